//! Trials of losses on random taps, before anything is trained.

use super::catch::catch;
use super::description::Description;
use super::scene::Scene;
use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Distribution, Shape, Tensor};
use burn_distill::core::{Tap, Taps};

/// A loss below this is zero but for rounding.
const ZERO: f64 = 1e-10;

/// The samples that a loss is tried on, where it does not need more: three have an angle.
const SAMPLES: usize = 4;

impl Description<'_> {
    /// Tries a loss out on random taps: whether it takes their shapes, and whether it says anything
    /// about them.
    pub fn try_out(
        &self,
        (student, teacher): (&[String], &[String]),
        loss: impl Fn(Vec<Tap>, Vec<Tap>) -> Tensor<1>,
    ) -> Result<()> {
        self.try_out_on(SAMPLES, (student, teacher), loss)
    }

    /// Tries a loss out on random taps of that many samples.
    pub fn try_out_on(
        &self,
        samples: usize,
        (student, teacher): (&[String], &[String]),
        loss: impl Fn(Vec<Tap>, Vec<Tap>) -> Tensor<1>,
    ) -> Result<()> {
        let Scene {
            student_taps,
            teacher_taps,
            device,
            ..
        } = self.scene;
        let value = || {
            let student = random(student_taps, student, samples, device);
            let teacher = random(teacher_taps, teacher, samples, device);
            catch(|| loss(student, teacher).into_scalar::<f64>().abs())
        };
        let between = || {
            format!(
                "between {} of the student and {} of the teacher",
                in_words(student_taps, student),
                in_words(teacher_taps, teacher)
            )
        };
        let values = [
            value().with_context(between)?,
            value().with_context(between)?,
        ];
        ensure!(
            values.iter().any(|value| *value > ZERO || value.is_nan()),
            "{} it is zero whatever the networks do, with these keys: a map of one position, for \
             example, has nothing that a loss of positions compares. Name other taps as `student` \
             and `teacher`, or take another loss",
            between()
        );
        Ok(())
    }
}

/// Returns taps of these names with random values, of that many samples.
fn random(taps: &Taps, names: &[String], samples: usize, device: &Device) -> Vec<Tap> {
    let tap = |tap: Tap| {
        let mut shape: Vec<usize> = tap.shape().as_slice().to_vec();
        shape[0] = samples;
        let shape = Shape::from(shape);
        // Activations, and what is before them, of either sign.
        let values = Distribution::Normal(0.0, 1.0);
        match tap {
            Tap::Vector(_) => Tap::Vector(Tensor::random(shape, values, device)),
            Tap::Sequence(_) => Tap::Sequence(Tensor::random(shape, values, device)),
            Tap::Map(_) => Tap::Map(Tensor::random(shape, values, device)),
            Tap::Attention(_) => Tap::Attention(Tensor::random(shape, values, device)),
            Tap::Mask(mask) => Tap::Mask(mask),
        }
    };
    taps.take_all(names).into_iter().map(tap).collect()
}

/// Returns the names of taps with the shapes of one sample.
fn in_words(taps: &Taps, names: &[String]) -> String {
    let words = names.iter().map(|name| {
        let shape = taps.take(name).shape();
        let sizes: Vec<_> = shape.as_slice()[1..].iter().map(usize::to_string).collect();
        format!("`{name}` ({})", sizes.join("x"))
    });
    words.collect::<Vec<_>>().join(", ")
}
