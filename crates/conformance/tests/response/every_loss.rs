//! Properties of every loss of logits that a trial of two logits does not show: excluded classes in
//! any pattern, every label, and the precision of the result.

use crate::fixtures::{labels, student, teacher};
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::reduce_rows;
use burn_distill_core::testing::computes_in_double_precision;
use burn_distill_response::*;

/// Computes the values of the rows. A loss of whole batches has the same value in each.
type Rows = Box<dyn Fn(Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1>>;

/// A loss under test.
struct Case {
    name: String,
    rows: Rows,
    parameters: usize,
    kind: Kind,
}

/// Properties that not every loss has.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A loss of rows that needs no labels.
    Unlabeled,
    /// A loss of rows that needs no labels, with another target than the teacher's distribution: a
    /// student with the logits of its teacher has a gradient.
    OtherTarget,
    /// A loss of whole batches: a class that both networks exclude is one of its classes.
    Batch,
    /// A loss that needs labels. `any_label`: the label may be a class that both networks exclude.
    Labeled { any_label: bool },
    /// A loss that needs labels and no teacher. It gives every class a probability.
    TeacherFree,
}

impl Case {
    fn new<L: Module + 'static>(
        loss: L,
        kind: Kind,
        rows: impl Fn(&L, Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1> + 'static,
    ) -> Self {
        Self {
            name: format!("{loss:?}"),
            parameters: loss.num_params(),
            kind,
            rows: Box::new(move |student, teacher, labels| rows(&loss, student, teacher, labels)),
        }
    }

    fn mean(&self, student: Tensor<2>, teacher: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let rows = (self.rows)(student, teacher, labels);
        reduce_rows(rows, None, &Reduction::Mean)
    }

    /// Computes the mean over the rows and the gradient of the student.
    fn mean_and_gradient(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> (f64, TensorData) {
        let student = student.require_grad();
        let mean = self.mean(student.clone(), teacher, labels);
        let grads = mean.clone().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (mean.into_scalar::<f64>(), gradient)
    }

    fn assert_finite(&self, what: &str, rows: [Tensor<2>; 2], labels: Tensor<1, Int>) {
        let [student, teacher] = rows;
        let (value, gradient) = self.mean_and_gradient(student, teacher, labels);

        assert!(value.is_finite(), "{}, {what}: {value}", self.name);
        let finite = gradient.iter::<f32>().all(f32::is_finite);
        assert!(finite, "{}, {what}: {gradient}", self.name);
    }

    fn needs_labels(&self) -> bool {
        matches!(self.kind, Kind::Labeled { .. } | Kind::TeacherFree)
    }
}

fn of_rows<L: LogitLoss>(loss: L) -> Case {
    Case::new(loss, Kind::Unlabeled, |loss, student, teacher, _| {
        loss.forward_rows(student, teacher)
    })
}

fn of_other_targets<L: LogitLoss>(loss: L) -> Case {
    Case::new(loss, Kind::OtherTarget, |loss, student, teacher, _| {
        loss.forward_rows(student, teacher)
    })
}

fn of_batches<L: BatchLogitLoss>(loss: L) -> Case {
    Case::new(loss, Kind::Batch, |loss, student, teacher, _| {
        let [rows, _] = student.dims();
        loss.forward(student, teacher).expand([rows.max(1)])
    })
}

fn of_labels<L: LabeledLoss>(loss: L, any_label: bool) -> Case {
    let kind = Kind::Labeled { any_label };
    Case::new(loss, kind, |loss, student, teacher, labels| {
        loss.forward_rows(student, teacher, labels)
    })
}

fn without_teacher<L: TeacherFreeLoss>(loss: L) -> Case {
    Case::new(loss, Kind::TeacherFree, |loss, student, _, labels| {
        loss.forward_rows(student, labels)
    })
}

/// Returns every loss of logits that is finite wherever the teacher excludes a class.
fn cases() -> Vec<Case> {
    let soft_target = |temperature: f64| {
        let config = SoftTargetLossConfig::new();
        config.with_temperature(temperature).init()
    };
    let mut cases = vec![
        of_rows(NormKdLossConfig::new().init()),
        of_rows(ProbabilityMatchingLossConfig::new().init()),
        of_other_targets(HardTargetLossConfig::new().init()),
        of_rows(Chunked::new(soft_target(4.0)).with_chunk_rows(3)),
        of_labels(ProposalClassificationLossConfig::new().init(), false),
        without_teacher(VirtualTeacherLossConfig::new().init()),
    ];
    for temperature in [0.5, 1.0, 4.0, 100.0] {
        let cross_entropy = SoftCrossEntropyLossConfig::new().with_temperature(temperature);
        cases.push(of_rows(soft_target(temperature)));
        cases.push(of_rows(cross_entropy.init()));
    }
    for variant in [
        LogitMatchingVariant::Mean,
        LogitMatchingVariant::HalfSum,
        LogitMatchingVariant::Centered,
        LogitMatchingVariant::AbsoluteSum,
    ] {
        let config = LogitMatchingLossConfig::new().with_variant(variant);
        cases.push(of_rows(config.init()));
    }
    for population in [false, true] {
        let standardization = StandardizationConfig::new().with_population(population);
        let logit_matching = LogitMatchingLossConfig::new().init();
        cases.push(of_rows(standardization.init(soft_target(4.0))));
        cases.push(of_rows(standardization.init(logit_matching)));
    }
    for temperature in [1.0, 4.0] {
        let config = DistLossConfig::new().with_temperature(temperature);
        cases.push(of_batches(config.init()));
    }
    for confidence in [
        ConfidenceMask::None,
        ConfidenceMask::Select,
        ConfidenceMask::ReferenceCompat,
    ] {
        let config = MultiLevelLossConfig::new().with_confidence(confidence);
        cases.push(of_batches(config.init()));
    }
    for temperature in [0.5, 1.0, 4.0] {
        let decoupled = DecoupledLossConfig::new().with_temperature(temperature);
        let normalized = NormalizedLossConfig::new().with_temperature(temperature);
        cases.push(of_labels(decoupled.init(), true));
        cases.push(of_labels(normalized.init(), true));
        let weighted = WeightedSoftLabelsLossConfig::new().with_temperature(temperature);
        cases.push(of_labels(weighted.init(), true));
    }
    for variant in [LabelSmoothingVariant::All, LabelSmoothingVariant::Others] {
        let config = LabelSmoothingLossConfig::new().with_variant(variant);
        cases.push(without_teacher(config.init()));
    }
    cases
}

const NONE: f32 = f32::NEG_INFINITY;

#[test]
fn extreme_logits_keep_values_and_gradients_finite() {
    let device = Device::default().autodiff();
    let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
    let huge = [[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]];
    let opposite = [[-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]];
    let inputs = [
        ("zeros", [rows([[0.0; 3]; 2]), rows([[0.0; 3]; 2])]),
        ("equal and huge", [rows(huge), rows(huge)]),
        ("opposite and huge", [rows(huge), rows(opposite)]),
        (
            "one class",
            [[[1.0], [2.0]], [[1e4], [0.0]]].map(|rows| Tensor::from_data(rows, &device)),
        ),
        (
            "one sample of two classes",
            [[[1.0, 2.0]], [[1e4, 0.0]]].map(|rows| Tensor::from_data(rows, &device)),
        ),
    ];
    for case in cases() {
        for (what, rows) in &inputs {
            let [num_rows, num_classes] = rows[0].dims();
            for class in 0..num_classes as i64 {
                let labels = Tensor::full([num_rows], class, &device);
                case.assert_finite(what, rows.clone(), labels);
                if !case.needs_labels() {
                    break;
                }
            }
        }
    }
}

#[test]
fn excluded_classes_keep_values_and_gradients_finite() {
    let device = Device::default().autodiff();
    let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
    let teacher = [[0.0, NONE, 5.0], [NONE, 3.0, NONE]];
    let both = [rows([[1.0, NONE, 2.0], [NONE, 0.0, NONE]]), rows(teacher)];
    let one = [rows([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]), rows(teacher)];
    for case in cases() {
        let any_label = match case.kind {
            Kind::Unlabeled | Kind::OtherTarget | Kind::Batch => true,
            Kind::Labeled { any_label } => any_label,
            Kind::TeacherFree => continue,
        };
        for label in [[0, 1], [2, 1], [1, 0], [1, 2]] {
            let labels = || Tensor::from_data(label, &device);
            if any_label || label[1] == 1 {
                case.assert_finite("excluded by both", both.clone(), labels());
            }
            case.assert_finite("excluded by the teacher", one.clone(), labels());
            if !case.needs_labels() {
                break;
            }
        }
    }
}

#[test]
fn a_class_that_both_exclude_contributes_nothing() {
    let device = Device::default().autodiff();
    let excluded = || Tensor::full([4, 1], NONE, &device);
    let widened = |logits| Tensor::cat(vec![logits, excluded()], 1);
    for case in cases() {
        if matches!(case.kind, Kind::Batch | Kind::TeacherFree) {
            continue;
        }
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
        gradient.assert_approx_eq::<f32>(&expected_gradient.into_data(), gradient_tolerance());
    }
}

#[test]
fn equal_logits_have_no_gradient() {
    let device = Device::default().autodiff();
    for case in cases() {
        if case.needs_labels() || case.kind == Kind::OtherTarget {
            continue;
        }
        let (_, gradient) =
            case.mean_and_gradient(teacher(&device), teacher(&device), labels(&device));

        println!("{}", case.name);
        let zeros = TensorData::from([[0.0; 5]; 4]);
        gradient.assert_approx_eq::<f32>(&zeros, gradient_tolerance());
    }
}

/// Errors of a gradient in single precision. They are larger on a GPU, which rounds functions more
/// coarsely.
fn gradient_tolerance() -> Tolerance<f32> {
    match computes_in_double_precision() {
        true => Tolerance::absolute(1e-5),
        false => Tolerance::absolute(1e-4),
    }
}

#[test]
fn half_precision_is_widened() {
    let device = Device::default();
    for case in cases() {
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            // The squares of these logits overflow in half precision.
            let half = |logits: Tensor<2>| logits.mul_scalar(1e3).cast(dtype);
            let single = |logits: Tensor<2>| half(logits).cast(DType::F32);
            let mean = |student, teacher| case.mean(student, teacher, labels(&device));

            let value = mean(half(student(&device)), half(teacher(&device)));
            let expected = mean(single(student(&device)), single(teacher(&device)));

            assert_eq!(value.dtype(), DType::F32, "{}", case.name);
            let (value, expected) = (value.into_scalar::<f32>(), expected.into_scalar::<f32>());
            // Rounding to half precision would be an error of 1e-3.
            let error = (value - expected).abs() / expected.abs();
            assert!(
                value.is_finite() && error < 1e-5,
                "{}: {value} is not {expected}",
                case.name
            );
        }
    }
}

#[test]
fn losses_have_no_parameters() {
    for case in cases() {
        assert_eq!(case.parameters, 0, "{}", case.name);
    }
}
