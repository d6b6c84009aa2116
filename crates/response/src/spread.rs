use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{at_least_f32, l2_norm};

/// Centered logits of each row and their standard deviation.
pub(crate) struct Spread {
    /// Logits minus the mean of their row; zero where excluded. Shape: `[rows, num_classes]`.
    centered: Tensor<2>,
    /// Places where logits are −∞. Shape: `[rows, num_classes]`.
    excluded: Tensor<2, Bool>,
    /// Standard deviation, at least the floor. Shape: `[rows, 1]`.
    pub deviation: Tensor<2>,
}

impl Spread {
    /// Computes the statistics of logits. `population` divides the sum of squares by the number of
    /// classes instead of one less.
    pub fn of(logits: Tensor<2>, population: bool, floor: f64) -> Self {
        let logits = at_least_f32(logits);
        let excluded = logits.clone().equal_scalar(f32::NEG_INFINITY);
        let logits = logits.mask_fill(excluded.clone(), 0.0);
        let count = excluded
            .clone()
            .bool_not()
            .float()
            .cast(logits.dtype())
            .sum_dim(1);

        let mean = logits.clone().sum_dim(1).div(count.clone().clamp_min(1.0));
        let centered = logits.sub(mean).mask_fill(excluded.clone(), 0.0);
        let freedom = match population {
            true => count,
            false => count.sub_scalar(1.0),
        };
        let deviation = l2_norm(centered.clone(), 1)
            .div(freedom.clamp_min(1.0).sqrt())
            .clamp_min(floor);
        Self {
            centered,
            excluded,
            deviation,
        }
    }

    /// Returns the centered logits divided by a unit, row by row. Shape: `[rows, num_classes]`.
    ///
    /// - unit: `[rows, 1]`
    pub fn in_units_of(self, unit: Tensor<2>) -> Tensor<2> {
        // Classes are excluded only after the division: −∞ in a quotient is NaN in the backward
        // pass.
        self.centered
            .div(unit)
            .mask_fill(self.excluded, f32::NEG_INFINITY)
    }
}
