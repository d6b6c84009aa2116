//! Parts that losses of several teachers have in common.

use crate::{ConfigError, CrossEntropyObjective, Requirements, TapSelection, Targets, check};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

/// Asserts that the number of teachers of a batch is the one that a loss was created for.
///
/// # Panics
///
/// Panics if the numbers differ.
pub fn assert_teacher_count(expected: usize, found: usize) {
    assert_eq!(
        found, expected,
        "This loss was created for {expected} teachers, found {found}."
    );
}

/// Returns the requirements of a loss between a tap of the student and a tap of each teacher.
pub fn requirements_of_several(student: &str, teachers: &[String]) -> Requirements {
    let teachers = teachers.iter().enumerate();
    let teacher = teachers
        .map(|(index, tap)| TapSelection::named([tap]).of_network(index))
        .fold(TapSelection::None, TapSelection::union);
    Requirements {
        student: TapSelection::named([student]),
        teacher,
        ..Requirements::default()
    }
}

/// Checks that a loss that compares teachers has two of them or more, for a recipe.
///
/// # Errors
///
/// Returns an error about the kind of the loss if there are fewer.
pub fn check_several(teachers: usize) -> Result<(), ConfigError> {
    check::ensure(
        teachers >= 2,
        "kind",
        "a loss of one teacher, or add teachers as `[[teacher.others]]`",
        format_args!("a loss of two teachers or more, with {teachers}"),
    )
}

/// Returns the weight of each of several classifiers for every row, which is larger the better it
/// predicts the target; `None` if no row is labeled.
///
/// ```text
/// wₘ = (1 − exp(CEₘ) / Σₖ exp(CEₖ)) / (M − 1)
/// ```
///
/// In rows without a label, and if there is only one classifier, the weights are equal. Gradients
/// flow to logits on autodiff.
///
/// # Shapes
///
/// - each of the logits: `[rows, num_classes]`
/// - output: `[rows, classifiers]`
///
/// # Panics
///
/// Panics if there are no logits, or if the targets have another number of rows.
pub fn confidence_weights(logits: Vec<Tensor<2>>, targets: &Targets) -> Option<Tensor<2>> {
    let count = logits.len();
    let mut known = None;
    let columns = logits.into_iter().map(|logits| {
        let (rows, labeled) = CrossEntropyObjective::cross_entropy_no_reduction(logits, targets)?;
        known = labeled;
        Some(rows.unsqueeze_dim::<2>(1))
    });
    let columns: Vec<_> = columns.collect::<Option<_>>()?;
    if count == 1 {
        return columns.first().map(|column| column.ones_like());
    }
    let weights = softmax(Tensor::cat(columns, 1), 1)
        .neg()
        .add_scalar(1.0)
        .div_scalar((count - 1) as f64);
    Some(match known {
        None => weights,
        Some(labeled) => {
            let unlabeled = labeled.bool_not().unsqueeze_dim::<2>(1);
            weights.mask_fill(unlabeled.repeat_dim(1, count), 1.0 / count as f64)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_better_classifier_counts_more_and_all_count_equally_without_a_label() {
        let device = Device::default();
        let logits = |row: [f32; 3]| Tensor::<2>::from_data([row, row], &device);
        let teachers = vec![logits([5.0, 0.0, 1.0]), logits([0.0, 5.0, -1.0])];
        let targets = Targets::Classes {
            classes: Tensor::from_data([0, 0], &device),
            labeled: Some(Tensor::from_data([true, false], &device)),
        };

        let weights = confidence_weights(teachers, &targets).unwrap().into_data();

        let weights: Vec<f32> = weights.iter().collect();
        assert!(weights[0] > 0.99 && (weights[0] + weights[1] - 1.0).abs() < 1e-6);
        assert_eq!(weights[2..], [0.5, 0.5]);
    }

    #[test]
    fn a_single_classifier_has_the_weight_one() {
        let device = Device::default();
        let targets = Targets::classes(Tensor::from_data([1], &device));
        let logits = Tensor::from_data([[3.0, 0.0]], &device);

        let weights = confidence_weights(vec![logits], &targets).unwrap();

        assert_eq!(weights.into_scalar::<f32>(), 1.0);
    }

    #[test]
    #[should_panic(expected = "This loss was created for 3 teachers, found 2.")]
    fn another_number_of_teachers_is_refused() {
        assert_teacher_count(3, 2);
    }
}
