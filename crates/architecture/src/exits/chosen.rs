use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use burn_distill_core::numeric::at_least_f32;

/// Logits of the exits that a rule has chosen for each sample, such as the first confident exit.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::ChosenExits;
///
/// let device = Device::default();
/// let shallow = Tensor::<2>::from_data([[4.0, 0.0], [0.1, 0.0]], &device);
/// let deep = Tensor::<2>::from_data([[0.0, 1.0], [0.0, 1.0]], &device);
///
/// let chosen = ChosenExits::first_confident(&[shallow, deep], 0.9);
///
/// assert_eq!(chosen.mean_exit().into_scalar::<f32>(), 1.5);
/// ```
#[derive(Clone, Debug)]
pub struct ChosenExits {
    /// Logits of the chosen exit of each sample. Shape: `[batch_size, classes]`.
    pub logits: Tensor<2>,
    /// Chosen exit of each sample, counted from 1. Shape: `[batch_size]`.
    pub exits: Tensor<1, Int>,
}

impl ChosenExits {
    /// Chooses, for each sample, the first exit whose most probable class has at least the
    /// probability `threshold`, or else the last exit.
    ///
    /// A threshold of 0 chooses the first exit, a threshold above 1 the last. No value is read from
    /// the device.
    ///
    /// # Shapes
    ///
    /// - logits: for each exit, shallowest first, `[batch_size, classes]`
    ///
    /// # Panics
    ///
    /// Panics if there are no exits, if the shapes differ, or if the threshold is NaN.
    pub fn first_confident(logits: &[Tensor<2>], threshold: f64) -> Self {
        assert_threshold(threshold);
        let (deepest, shallow) = logits
            .split_last()
            .expect("There must be at least one exit.");
        let shape = deepest.dims();
        let exits = Tensor::full([shape[0]], logits.len() as i64, &deepest.device());
        let last = Self {
            logits: deepest.clone(),
            exits,
        };
        // From deep to shallow, so that the shallowest confident exit overwrites the others.
        let shallow = shallow.iter().enumerate().rev();
        shallow.fold(last, |chosen, (index, logits)| {
            assert_eq!(
                logits.dims(),
                shape,
                "The logits of all exits should have the same shape."
            );
            let likely = softmax(at_least_f32(logits.clone()), 1).max_dim(1);
            let sure = likely.greater_equal_scalar(threshold);
            let exits = chosen.exits;
            Self {
                logits: (chosen.logits).mask_where(sure.clone().expand(shape), logits.clone()),
                exits: exits.mask_fill(sure.squeeze_dim::<1>(1), index as i64 + 1),
            }
        })
    }

    /// Computes the mean of the chosen exits, a measure of the depth that the samples need. Shape:
    /// `[1]`.
    pub fn mean_exit(&self) -> Tensor<1> {
        self.exits.clone().float().mean()
    }
}

/// Asserts that the threshold of an exit is a number.
///
/// # Panics
///
/// Panics if the threshold is NaN.
pub(super) fn assert_threshold(threshold: f64) {
    assert!(
        !threshold.is_nan(),
        "The threshold of an exit should be a probability, got {threshold}."
    );
}

/// Computes the mean of the logits of several exits, as an ensemble.
///
/// # Shapes
///
/// - logits: for each exit `[batch_size, classes]`
/// - output: `[batch_size, classes]`
///
/// # Panics
///
/// Panics if there are no exits, or if the shapes differ.
pub fn mean_logits(logits: &[Tensor<2>]) -> Tensor<2> {
    let sum = logits.iter().cloned().reduce(Tensor::add);
    let sum = sum.expect("There must be at least one exit.");
    sum.div_scalar(logits.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// Returns the logits of three exits for four samples and two classes. The probabilities of the
    /// most probable classes are 0.982, 0.731, 0.5 and 0.982, and so on.
    fn exits() -> Vec<Tensor<2>> {
        let device = Device::default();
        let exit = |logits: [[f32; 2]; 4]| Tensor::from_data(logits, &device);
        vec![
            exit([[4.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 4.0]]),
            exit([[0.0, 9.0], [0.0, 3.0], [1.0, 0.0], [9.0, 0.0]]),
            exit([[0.0, 5.0], [5.0, 0.0], [0.0, 0.1], [5.0, 0.0]]),
        ]
    }

    fn taken(threshold: f64) -> Vec<i64> {
        let chosen = ChosenExits::first_confident(&exits(), threshold);
        // The logits are those of the chosen exit.
        let rows = exits()
            .iter()
            .map(|exit| exit.to_data())
            .collect::<Vec<_>>();
        let taken: Vec<i64> = chosen.exits.into_data().iter::<i64>().collect();
        let logits: Vec<f32> = chosen.logits.into_data().iter::<f32>().collect();
        for (sample, &exit) in taken.iter().enumerate() {
            let of_exit: Vec<f32> = rows[exit as usize - 1].iter::<f32>().collect();
            let place = 2 * sample..2 * sample + 2;
            assert_eq!(logits[place.clone()], of_exit[place]);
        }
        taken
    }

    #[test]
    fn the_first_confident_exit_is_chosen_for_each_sample() {
        assert_eq!(taken(0.9), [1, 2, 3, 1]);
        assert_eq!(taken(0.7), [1, 1, 2, 1]);
    }

    #[test]
    fn a_threshold_of_zero_chooses_the_first_exit_and_one_above_1_the_last() {
        assert_eq!(taken(0.0), [1; 4]);
        // A probability equal to the threshold is enough.
        assert_eq!(taken(0.5), [1; 4]);
        assert_eq!(taken(1.1), [3; 4]);
    }

    #[test]
    fn the_mean_exit_is_over_the_samples() {
        let mean = ChosenExits::first_confident(&exits(), 0.9).mean_exit();
        assert_eq!(mean.into_scalar::<f32>(), 1.75);
    }

    #[test]
    fn the_ensemble_is_the_mean_of_logits() {
        let device = Device::default();
        let exits = [[[1.0, 3.0]], [[2.0, -3.0]]].map(|exit| Tensor::from_data(exit, &device));

        let expected = TensorData::from([[1.5_f32, 0.0]]);
        mean_logits(&exits).into_data().assert_eq(&expected, false);
    }

    #[test]
    #[should_panic(expected = "should be a probability, got NaN")]
    fn a_threshold_of_nan_is_refused() {
        ChosenExits::first_confident(&exits(), f64::NAN);
    }
}
