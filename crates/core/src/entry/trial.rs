//! Trials of losses on random taps before a training.

use super::LossBuilder;
use crate::{Input, LossError, Tap, Taps};
use burn::tensor::{Device, Distribution, Shape, Tensor};

/// Largest loss that is treated as zero, because of rounding.
const ZERO: f64 = 1e-10;

/// Default number of samples in a trial of a loss. Losses of angles need at least three.
pub const TRIAL_SAMPLES: usize = 4;

impl<I: Input> LossBuilder<'_, I> {
    /// Tries a loss on random taps: whether it accepts their shapes, by `check`, and whether its
    /// value is not always zero.
    ///
    /// # Errors
    ///
    /// Returns an error if `check` fails or if the loss is always zero.
    pub fn try_out(
        &self,
        names: (&[String], &[String]),
        check: impl Fn(&[Tap], &[Tap]) -> Result<(), LossError>,
        loss: impl Fn(Vec<Tap>, Vec<Tap>) -> Tensor<1>,
    ) -> Result<(), LossError> {
        self.try_out_on(TRIAL_SAMPLES, names, check, loss)
    }

    /// Tries a loss on random taps of a number of samples, like [`try_out`](Self::try_out).
    ///
    /// # Errors
    ///
    /// Returns an error if `check` fails or if the loss is always zero.
    pub fn try_out_on(
        &self,
        samples: usize,
        (student, teacher): (&[String], &[String]),
        check: impl Fn(&[Tap], &[Tap]) -> Result<(), LossError>,
        loss: impl Fn(Vec<Tap>, Vec<Tap>) -> Tensor<1>,
    ) -> Result<(), LossError> {
        let context = self.context();
        let (student_taps, teacher_taps) = (&context.student_taps, &context.teacher_taps);
        let between = || {
            format!(
                "between {} of the student and {} of the teacher",
                in_words(student_taps, student),
                in_words(teacher_taps, teacher)
            )
        };
        let taps = || {
            let student = random(student_taps, student, samples, &context.device);
            let teacher = random(teacher_taps, teacher, samples, &context.device);
            (student, teacher)
        };
        let (first, second) = (taps(), taps());
        check(&first.0, &first.1).map_err(|error| error.context(between()))?;
        let values = [first, second]
            .map(|(student, teacher)| loss(student, teacher).into_scalar::<f64>().abs());
        match values.iter().any(|value| *value > ZERO || value.is_nan()) {
            true => Ok(()),
            false => Err(LossError::new(format_args!(
                "{}, with these keys, it is zero whatever the networks do: a map of one position, for \
                 example, has nothing that a loss of positions compares. Name other taps as `student` \
                 and `teacher`, or use another loss",
                between()
            ))),
        }
    }
}

/// Returns the named taps with random values for a number of samples.
fn random(taps: &Taps, names: &[String], samples: usize, device: &Device) -> Vec<Tap> {
    let tap = |tap: Tap| {
        let mut shape: Vec<usize> = tap.shape().as_slice().to_vec();
        shape[0] = samples;
        let shape = Shape::from(shape);
        // Values of both signs, as before an activation.
        let values = Distribution::Normal(0.0, 1.0);
        match tap {
            Tap::Vector(_) => Tap::Vector(Tensor::random(shape, values, device)),
            Tap::Sequence(_) => Tap::Sequence(Tensor::random(shape, values, device)),
            Tap::Map(_) => Tap::Map(Tensor::random(shape, values, device)),
            Tap::Attention(_) => Tap::Attention(Tensor::random(shape, values, device)),
            Tap::Mask(mask) => Tap::Mask(mask),
        }
    };
    taps.expect_all(names).into_iter().map(tap).collect()
}

/// Returns the names of taps with the shapes of one sample.
fn in_words(taps: &Taps, names: &[String]) -> String {
    let words = names.iter().map(|name| {
        let shape = taps.expect(name).shape();
        let sizes: Vec<_> = shape.as_slice()[1..].iter().map(usize::to_string).collect();
        format!("`{name}` ({})", sizes.join("x"))
    });
    words.collect::<Vec<_>>().join(", ")
}
