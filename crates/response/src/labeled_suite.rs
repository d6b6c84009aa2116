//! What holds for every loss of this crate that needs labels.

use crate::fixtures::{labels, student, teacher};
use crate::{
    BoundedRegressionLoss, BoundedRegressionLossConfig, DecoupledLoss, DecoupledLossConfig,
    DecoupledParts, HeatMapLoss, HeatMapLossConfig, HeatMapObjective, LabelSmoothingLoss,
    LabelSmoothingLossConfig, LabelSmoothingVariant, LabeledLoss, LabeledObjective, NormalizedLoss,
    NormalizedLossConfig, ProposalClassificationLoss, ProposalClassificationLossConfig,
    TargetHeatMaps, TeacherFreeLoss, TeacherFreeObjective, VirtualTeacherLoss,
    VirtualTeacherLossConfig,
};
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::reduce_rows;

type FT = f32;

type Rows = Box<dyn Fn(Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1>>;

/// A loss under test.
struct Case {
    name: String,
    rows: Rows,
    /// Whether a class that both exclude may be the label.
    any_label: bool,
}

fn labeled(loss: impl LabeledLoss, any_label: bool) -> Case {
    Case {
        name: format!("{loss:?}"),
        rows: Box::new(move |student, teacher, classes| {
            loss.forward_rows(student, teacher, classes)
        }),
        any_label,
    }
}

/// The losses that compare with a teacher.
fn with_teacher() -> Vec<Case> {
    let mut cases = vec![labeled(
        ProposalClassificationLossConfig::new().init(),
        false,
    )];
    for temperature in [0.5, 1.0, 4.0] {
        let decoupled = DecoupledLossConfig::new().with_temperature(temperature);
        let normalized = NormalizedLossConfig::new().with_temperature(temperature);
        cases.push(labeled(decoupled.init(), true));
        cases.push(labeled(normalized.init(), true));
    }
    cases
}

/// The losses that make their teacher up.
fn without_teacher() -> Vec<Case> {
    fn case(loss: impl TeacherFreeLoss) -> Case {
        Case {
            name: format!("{loss:?}"),
            rows: Box::new(move |student, _, classes| loss.forward_rows(student, classes)),
            any_label: false,
        }
    }
    let smoothing = LabelSmoothingLossConfig::new();
    vec![
        case(VirtualTeacherLossConfig::new().init()),
        case(smoothing.clone().init()),
        case(smoothing.with_variant(LabelSmoothingVariant::Others).init()),
    ]
}

fn every_case() -> impl Iterator<Item = Case> {
    with_teacher().into_iter().chain(without_teacher())
}

impl Case {
    fn mean(&self, student: Tensor<2>, teacher: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
        let rows = (self.rows)(student, teacher, classes);
        reduce_rows(rows, None, &Reduction::Mean)
    }

    /// The mean over rows and the gradient of the student.
    fn mean_and_gradient(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> (f64, TensorData) {
        let student = student.require_grad();
        let mean = self.mean(student.clone(), teacher, classes);
        let grads = mean.clone().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (mean.into_scalar::<f64>(), gradient)
    }

    fn assert_finite(&self, case: &str, rows: [Tensor<2>; 2], classes: Tensor<1, Int>) {
        let [student, teacher] = rows;
        let (value, gradient) = self.mean_and_gradient(student, teacher, classes);

        assert!(value.is_finite(), "{}, {case}: {value}", self.name);
        let finite = gradient.iter::<f32>().all(f32::is_finite);
        assert!(finite, "{}, {case}: {gradient}", self.name);
    }
}

#[test]
fn gradient_flows_to_the_student_only() {
    for case in every_case() {
        let device = Device::default().autodiff();
        let student = student(&device).require_grad();
        let teacher = teacher(&device).require_grad();

        let mean = case.mean(student.clone(), teacher.clone(), labels(&device));
        let grads = mean.backward();

        assert!(student.grad(&grads).is_some(), "{}", case.name);
        assert!(teacher.grad(&grads).is_none(), "{}", case.name);
    }
}

#[test]
fn teacher_and_labels_may_live_outside_autodiff() {
    for case in every_case() {
        let device = Device::default();
        let student = student(&device.clone().autodiff());

        let (_, gradient) = case.mean_and_gradient(student, teacher(&device), labels(&device));

        let flows = gradient.iter::<f32>().any(|value| value != 0.0);
        assert!(flows, "{}", case.name);
    }
}

#[test]
fn gradient_agrees_with_central_differences() {
    let device = Device::default();
    if !device.supports_dtype(DType::F64) {
        return;
    }
    let double = |tensor: Tensor<2>| tensor.cast(DType::F64);
    for case in every_case() {
        let tracked = double(student(&device.clone().autodiff()));
        let (_, gradient) =
            case.mean_and_gradient(tracked, double(teacher(&device)), labels(&device));

        const STEP: f64 = 1e-5;
        let shifted = |n: usize, step: f64| {
            let mut shift = [0.0; 20];
            shift[n] = step;
            let shift = TensorData::new(shift.to_vec(), [4, 5]);
            let student =
                double(student(&device)).add(Tensor::<2>::from_data(shift, (&device, DType::F64)));
            case.mean(student, double(teacher(&device)), labels(&device))
                .into_scalar::<f64>()
        };
        for (n, derivative) in gradient.iter::<f64>().enumerate() {
            let expected = (shifted(n, STEP) - shifted(n, -STEP)) / (2.0 * STEP);
            let error = (derivative - expected).abs();
            let name = &case.name;
            assert!(
                error < 1e-6,
                "{name} at {n}: {derivative} is not {expected}"
            );
        }
    }
}

#[test]
fn extreme_logits_keep_values_and_gradients_finite() {
    let device = Device::default().autodiff();
    let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
    let huge = [[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]];
    let cases = [
        ("zeros", [rows([[0.0; 3]; 2]), rows([[0.0; 3]; 2])]),
        ("equal and huge", [rows(huge), rows(huge)]),
        (
            "huge",
            [rows(huge), rows([[-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]])],
        ),
        (
            "one class",
            [[[1.0], [2.0]], [[1e4], [0.0]]].map(|rows| Tensor::from_data(rows, &device)),
        ),
        (
            "one sample of two classes",
            [[[1.0, 2.0]], [[1e4, 0.0]]].map(|rows| Tensor::from_data(rows, &device)),
        ),
    ];
    for case in every_case() {
        for (name, rows) in &cases {
            let [num_rows, num_classes] = rows[0].dims();
            for class in 0..num_classes {
                let classes = Tensor::full([num_rows], class as i64, &device);
                case.assert_finite(name, rows.clone(), classes);
            }
        }
    }
}

#[test]
fn excluded_classes_keep_values_and_gradients_finite() {
    const NONE: f32 = f32::NEG_INFINITY;
    let device = Device::default().autodiff();
    let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
    let teacher = [[0.0, NONE, 5.0], [NONE, 3.0, NONE]];
    let both = [rows([[1.0, NONE, 2.0], [NONE, 0.0, NONE]]), rows(teacher)];
    let one = [rows([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]), rows(teacher)];
    for case in with_teacher() {
        for label in [[0, 1], [2, 1], [1, 0], [1, 2]] {
            let classes = || Tensor::from_data(label, &device);
            if case.any_label || label[1] == 1 {
                case.assert_finite("excluded by both", both.clone(), classes());
            }
            case.assert_finite("excluded by the teacher", one.clone(), classes());
        }
    }
}

#[test]
fn a_class_that_both_exclude_contributes_nothing() {
    for case in with_teacher() {
        let device = Device::default().autodiff();
        let excluded = || Tensor::full([4, 1], f32::NEG_INFINITY, &device);
        let widened = |logits| Tensor::cat(vec![logits, excluded()], 1);
        let mean_and_gradient =
            |student, teacher| case.mean_and_gradient(student, teacher, labels(&device));

        let (value, gradient) =
            mean_and_gradient(widened(student(&device)), widened(teacher(&device)));
        let (expected, expected_gradient) = mean_and_gradient(student(&device), teacher(&device));

        let error = (value / expected - 1.0).abs();
        assert!(error < 1e-5, "{}: {value} is not {expected}", case.name);
        let expected_gradient = Tensor::<2>::from_data(expected_gradient, &Device::default());
        let zeros = Tensor::zeros([4, 1], &Device::default());
        let expected_gradient = Tensor::cat(vec![expected_gradient, zeros], 1);
        gradient.assert_approx_eq::<FT>(&expected_gradient.into_data(), Tolerance::absolute(1e-5));
    }
}

#[test]
fn half_precision_is_widened() {
    let device = Device::default();
    for case in every_case() {
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let half = |logits: Tensor<2>| logits.mul_scalar(1e3).cast(dtype);
            let single = |logits: Tensor<2>| half(logits).cast(DType::F32);
            let mean = |student, teacher| case.mean(student, teacher, labels(&device));

            let value = mean(half(student(&device)), half(teacher(&device)));
            let expected = mean(single(student(&device)), single(teacher(&device)));

            assert_eq!(value.dtype(), DType::F32);
            let (value, expected) = (value.into_scalar::<f32>(), expected.into_scalar::<f32>());
            let same = value.is_finite() && value == expected;
            assert!(same, "{}: {value}", case.name);
        }
    }
}

#[test]
fn an_empty_batch_is_zero() {
    let device = Device::default();
    for case in every_case() {
        let empty = || Tensor::<2>::zeros([0, 5], &device);
        let classes = Tensor::zeros([0], &device);

        let mean = case.mean(empty(), empty(), classes);
        assert_eq!(mean.into_scalar::<f32>(), 0.0, "{}", case.name);
    }
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync + Sized + Unpin>() {}

    check::<DecoupledLoss>();
    check::<DecoupledLossConfig>();
    check::<DecoupledParts>();
    check::<NormalizedLoss>();
    check::<NormalizedLossConfig>();
    check::<VirtualTeacherLoss>();
    check::<VirtualTeacherLossConfig>();
    check::<LabelSmoothingLoss>();
    check::<LabelSmoothingLossConfig>();
    check::<LabelSmoothingVariant>();
    check::<ProposalClassificationLoss>();
    check::<ProposalClassificationLossConfig>();
    check::<BoundedRegressionLoss>();
    check::<BoundedRegressionLossConfig>();
    check::<HeatMapLoss>();
    check::<HeatMapLossConfig>();
    check::<TargetHeatMaps>();
    check::<HeatMapObjective>();
    check::<LabeledObjective<DecoupledLoss>>();
    check::<TeacherFreeObjective<VirtualTeacherLoss>>();
}
