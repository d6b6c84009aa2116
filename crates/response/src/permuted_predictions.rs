use crate::LogitLoss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor, TensorData};
use burn_distill_core::{
    Clock, Context, KeyedRng, LossTerm, NamedLoss, PairedRows, one_line_display, reduce_rows,
};

/// Key of these permutations: other draws with the same seed are independent of them.
const PURPOSE: u64 = 0x444b_5050; // DKPP

/// Dark knowledge with permuted predictions (DKPP): a loss between the student and a teacher whose
/// classes are shuffled, except for the likeliest.
///
/// ```text
/// a = argmax(teacher)
/// permuted[a] = teacher[a],    the other classes in a new random order for each row and step
/// L = mean of the loss(student, permuted) over the rows that count
/// ```
///
/// The teacher keeps its confidence in the likeliest class and the spread of the other
/// probabilities, but not their classes: the difference from the loss itself shows what similar
/// classes contribute. The loss may be any [`LogitLoss`]; the authors use soft cross-entropy at
/// temperature 1. If several classes are the likeliest, one of them is kept.
///
/// The order depends only on the seed, the clock and the row, so it is the same in a resumed run.
/// Rows and masks are as in a [`ResponseObjective`](crate::ResponseObjective).
///
/// # Example
///
/// ```
/// use burn_distill_core::Weighted;
/// use burn_distill_response::{PermutedPredictions, SoftCrossEntropyLossConfig};
///
/// let loss = SoftCrossEntropyLossConfig::new().with_temperature(1.0).init();
/// let objective = Weighted::of(PermutedPredictions::new(loss, 7), 1.0);
///
/// assert_eq!(objective.name, "permuted-soft-cross-entropy");
/// ```
///
/// # Reference
///
/// T. Furlanello, Z. C. Lipton, M. Tschannen, L. Itti and A. Anandkumar, [Born Again Neural
/// Networks](https://arxiv.org/abs/1805.04770), ICML 2018. The authors published no code. This is
/// our interpretation of the paper.
#[doc(alias = "DKPP")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct PermutedPredictions<L> {
    /// Loss of the rows.
    pub loss: L,
    /// Seed of the permutations.
    pub seed: usize,
}

one_line_display!(PermutedPredictions<L>: loss, seed);

impl<L: LogitLoss> PermutedPredictions<L> {
    /// Creates the term of a loss from the seed of the permutations.
    pub fn new(loss: L, seed: usize) -> Self {
        Self { loss, seed }
    }

    /// Returns the teacher's logits with all but the largest of each row in another order.
    ///
    /// # Shapes
    ///
    /// - teacher, output: `[rows, num_classes]`
    pub fn permute(&self, teacher: Tensor<2>, clock: Clock) -> Tensor<2> {
        let [rows, num_classes] = teacher.dims();
        if rows == 0 || num_classes < 3 {
            return teacher; // There are no two classes to exchange.
        }
        let others = num_classes - 1;
        let mut orders = Vec::with_capacity(rows * others);
        for row in 0..rows {
            let key = [self.seed as u64, clock.step() as u64, row as u64, PURPOSE];
            let order = KeyedRng::new(key).permutation(others);
            orders.extend(order.into_iter().map(|place| place as i32));
        }
        let device = teacher.device();
        let orders = TensorData::new(orders, [rows, others]);
        let orders = Tensor::<2, Int>::from_data(orders, &device);

        // From the likeliest class on, the index of a class is one more than its place among the
        // others.
        let likeliest = teacher.clone().argmax(1).repeat_dim(1, num_classes);
        let classes = Tensor::<1, Int>::arange(0..num_classes as i64, &device);
        let classes: Tensor<2, Int> = classes.unsqueeze::<2>().repeat_dim(0, rows);
        let is_likeliest = classes.clone().equal(likeliest.clone());
        let after = classes.clone().greater(likeliest.clone()).int();
        let places = classes.clone().sub(after).clamp_max(others as i64 - 1);
        let from = orders.gather(1, places);
        let shift = from.clone().greater_equal(likeliest).int();
        let from = from.add(shift).mask_where(is_likeliest, classes);
        teacher.gather(1, from)
    }
}

impl<L: LogitLoss> NamedLoss for PermutedPredictions<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }

    fn term_name(&self) -> String {
        format!("permuted-{}", self.loss.name())
    }
}

impl<L: LogitLoss> LossTerm for PermutedPredictions<L> {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let rows = PairedRows::new(&context.student.response, &context.teacher.response);
        let teacher = self.permute(rows.teacher.without_autodiff(), context.clock);
        let loss = self.loss.forward_rows(rows.student, teacher);
        reduce_rows(loss, rows.mask, &Reduction::Mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
    use burn::tensor::Device;
    use burn_distill_core::Weighted;
    use std::collections::BTreeMap;

    fn permuted(seed: usize) -> PermutedPredictions<SoftCrossEntropyLoss> {
        let loss = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
        PermutedPredictions::new(loss.init(), seed)
    }

    fn at(batch: usize) -> Clock {
        Clock {
            epoch: 1,
            batch,
            batches: 10_000,
        }
    }

    fn row(
        objective: &PermutedPredictions<SoftCrossEntropyLoss>,
        row: [f32; 4],
        step: usize,
    ) -> Vec<f32> {
        let row = Tensor::from_data([row], &Device::default());
        objective
            .permute(row, at(step))
            .into_data()
            .iter()
            .collect()
    }

    #[test]
    fn all_but_the_likeliest_class_change_places_and_every_order_occurs() {
        for largest in 0..4 {
            let mut logits = [0.1, 0.2, 0.3, 0.4];
            logits[largest] = 9.0;
            let mut seen = BTreeMap::new();
            for step in 0..600 {
                let row = row(&permuted(1), logits, step);
                assert_eq!(row[largest], 9.0);
                let mut sorted = row.clone();
                sorted.sort_by(f32::total_cmp);
                let mut expected = logits;
                expected.sort_by(f32::total_cmp);
                assert_eq!(sorted, expected);
                let key: Vec<_> = row.iter().map(|value| value.to_bits()).collect();
                *seen.entry(key).or_insert(0) += 1;
            }
            // 100 of each of six, give or take five standard deviations.
            assert_eq!(seen.len(), 6);
            assert!(
                seen.values().all(|count| (54..147).contains(count)),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn the_order_depends_on_seed_step_and_row() {
        let rows = |seed: usize, step: usize| -> Vec<f32> {
            let logits = Tensor::<1, Int>::arange(0..20, &Device::default()).float();
            let rows = logits.unsqueeze::<2>().repeat_dim(0, 2);
            permuted(seed)
                .permute(rows, at(step))
                .into_data()
                .iter()
                .collect()
        };
        let expected = rows(1, 2);

        assert_eq!(rows(1, 2), expected);
        assert_ne!(rows(2, 2), expected);
        assert_ne!(rows(1, 3), expected);
        assert_ne!(expected[..20], expected[20..]);
    }

    #[test]
    fn without_rows_or_a_third_class_nothing_is_exchanged() {
        let device = Device::default();
        for shape in [[0, 5], [2, 1], [2, 2]] {
            let teacher = Tensor::<2>::random(shape, burn::tensor::Distribution::Default, &device);
            let same = permuted(0).permute(teacher.clone(), at(0));
            same.into_data().assert_eq(&teacher.into_data(), true);
        }
    }

    #[test]
    fn display() {
        assert_eq!(
            Weighted::of(permuted(7), 1.0).with_name("dark").to_string(),
            "Weighted {loss: SoftCrossEntropyLoss {temperature: 1, scale_t2: true, renormalize: \
             false, epsilon: 0}, seed: 7, name: dark, weight: Constant(1.0)}"
        );
    }
}
