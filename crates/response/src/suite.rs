//! What holds for every loss of this crate.

use crate::fixtures::{student, teacher};
use crate::{
    BatchLogitLoss, BatchObjective, ConfidenceMask, DistLoss, DistLossConfig, LearnedTemperature,
    LearnedTemperatureConfig, LogitLoss, LogitMatchingLoss, LogitMatchingLossConfig,
    LogitMatchingVariant, MultiLevelLoss, MultiLevelLossConfig, NormKdLoss, NormKdLossConfig,
    ProbabilityMatchingLossConfig, ResponseObjective, SoftCrossEntropyLoss,
    SoftCrossEntropyLossConfig, SoftTargetLoss, SoftTargetLossConfig, StandardizationConfig,
    Standardized,
};
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use burn_distill_core::{NamedLoss, reduce_rows};

type FT = f32;

/// Call a check once for every loss.
macro_rules! for_every_loss {
    ($check:ident($($argument:expr),*)) => {
        for temperature in [0.5, 1.0, 4.0, 100.0] {
            $check(
                SoftTargetLossConfig::new().with_temperature(temperature).init(),
                $($argument),*
            );
            $check(
                SoftCrossEntropyLossConfig::new().with_temperature(temperature).init(),
                $($argument),*
            );
        }
        for variant in [
            LogitMatchingVariant::Mean,
            LogitMatchingVariant::HalfSum,
            LogitMatchingVariant::Centered,
        ] {
            $check(LogitMatchingLossConfig::new().with_variant(variant).init(), $($argument),*);
        }
        $check(NormKdLossConfig::new().init(), $($argument),*);
        $check(ProbabilityMatchingLossConfig::new().init(), $($argument),*);
        for population in [false, true] {
            let standardization = StandardizationConfig::new().with_population(population);
            $check(standardization.init(SoftTargetLossConfig::new().init()), $($argument),*);
            $check(standardization.init(LogitMatchingLossConfig::new().init()), $($argument),*);
        }
    };
}

/// Call a check once for every loss of whole batches, as one of rows that are all alike.
macro_rules! for_every_batch_loss {
    ($check:ident($($argument:expr),*)) => {
        for temperature in [1.0, 4.0] {
            $check(
                InRows { loss: DistLossConfig::new().with_temperature(temperature).init() },
                $($argument),*
            );
        }
        for confidence in [
            ConfidenceMask::None,
            ConfidenceMask::Select,
            ConfidenceMask::ReferenceCompat,
        ] {
            let config = MultiLevelLossConfig::new().with_confidence(confidence);
            $check(InRows { loss: config.init() }, $($argument),*);
        }
    };
}

/// A loss of a batch, seen as one of its rows.
#[derive(Module, Debug)]
struct InRows<L> {
    loss: L,
}

impl<L: NamedLoss> NamedLoss for InRows<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: BatchLogitLoss> LogitLoss for InRows<L> {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [rows, _] = student.dims();
        self.loss.forward(student, teacher).expand([rows.max(1)])
    }
}

fn mean(loss: &impl LogitLoss, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    reduce_rows(loss.forward_rows(student, teacher), None, &Reduction::Mean)
}

/// The mean over rows and the gradient of the student.
fn mean_and_gradient(
    loss: &impl LogitLoss,
    student: Tensor<2>,
    teacher: Tensor<2>,
) -> (f64, TensorData) {
    let student = student.require_grad();
    let mean = mean(loss, student.clone(), teacher);
    let grads = mean.clone().backward();
    let gradient = student.grad(&grads).unwrap().into_data();
    (mean.into_scalar::<f64>(), gradient)
}

#[test]
fn gradient_flows_to_the_student_only() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default().autodiff();
        let student = student(&device).require_grad();
        let teacher = teacher(&device).require_grad();

        let grads = mean(&loss, student.clone(), teacher.clone()).backward();

        assert!(student.grad(&grads).is_some(), "{loss:?}");
        assert!(teacher.grad(&grads).is_none(), "{loss:?}");
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn teacher_may_live_outside_autodiff() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default();
        let student = student(&device.clone().autodiff());

        let (_, gradient) = mean_and_gradient(&loss, student, teacher(&device));

        assert!(gradient.iter::<f32>().any(|value| value != 0.0), "{loss:?}");
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn gradient_agrees_with_central_differences() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default();
        if !device.supports_dtype(DType::F64) {
            return;
        }
        let double = |tensor: Tensor<2>| tensor.cast(DType::F64);
        let tracked = double(student(&device.clone().autodiff()));
        let (_, gradient) = mean_and_gradient(&loss, tracked, double(teacher(&device)));

        const STEP: f64 = 1e-5;
        let shifted = |n: usize, step: f64| {
            let mut shift = [0.0; 20];
            shift[n] = step;
            let shift = TensorData::new(shift.to_vec(), [4, 5]);
            let shift = Tensor::<2>::from_data(shift, (&device, DType::F64));
            mean(
                &loss,
                double(student(&device)).add(shift),
                double(teacher(&device)),
            )
            .into_scalar::<f64>()
        };
        for (n, derivative) in gradient.iter::<f64>().enumerate() {
            let expected = (shifted(n, STEP) - shifted(n, -STEP)) / (2.0 * STEP);
            let error = (derivative - expected).abs();
            assert!(
                error < 1e-6,
                "{loss:?} at {n}: {derivative} is not {expected}"
            );
        }
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn extreme_logits_keep_values_and_gradients_finite() {
    fn check(loss: impl LogitLoss, cases: &[(&str, Tensor<2>, Tensor<2>)]) {
        for (case, student, teacher) in cases {
            let (value, gradient) = mean_and_gradient(&loss, student.clone(), teacher.clone());

            assert!(value.is_finite(), "{loss:?}, {case}: {value}");
            let finite = gradient.iter::<f32>().all(f32::is_finite);
            assert!(finite, "{loss:?}, {case}: {gradient}");
        }
    }

    let device = Device::default().autodiff();
    let rows = |rows: [[f32; 3]; 2]| Tensor::<2>::from_data(rows, &device);
    const NONE: f32 = f32::NEG_INFINITY;
    let cases = [
        ("zeros", rows([[0.0; 3]; 2]), rows([[0.0; 3]; 2])),
        (
            "huge",
            rows([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]]),
            rows([[-1e4, 1e4, 0.0], [1e4, 1e4, -1e4]]),
        ),
        (
            "excluded by both",
            rows([[1.0, NONE, 2.0], [NONE, 0.0, NONE]]),
            rows([[0.0, NONE, 5.0], [NONE, 3.0, NONE]]),
        ),
        (
            "excluded by the teacher",
            rows([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]),
            rows([[0.0, NONE, 5.0], [NONE, 3.0, NONE]]),
        ),
        (
            "one class",
            Tensor::from_data([[1.0], [2.0]], &device),
            Tensor::from_data([[1e4], [0.0]], &device),
        ),
        (
            "one sample",
            Tensor::from_data([[1.0, 2.0]], &device),
            Tensor::from_data([[1e4, 0.0]], &device),
        ),
    ];
    for_every_loss!(check(&cases));
    for_every_batch_loss!(check(&cases));
}

#[test]
fn equal_logits_have_no_gradient() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default().autodiff();
        let (_, gradient) = mean_and_gradient(&loss, teacher(&device), teacher(&device));

        let expected = TensorData::from([[0.0; 5]; 4]);
        gradient.assert_approx_eq::<FT>(&expected, Tolerance::absolute(1e-5));
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn a_class_that_both_exclude_contributes_nothing() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default().autodiff();
        let excluded = || Tensor::full([4, 1], f32::NEG_INFINITY, &device);
        let widened = |logits| Tensor::cat(vec![logits, excluded()], 1);

        let (value, gradient) =
            mean_and_gradient(&loss, widened(student(&device)), widened(teacher(&device)));
        let (expected, expected_gradient) =
            mean_and_gradient(&loss, student(&device), teacher(&device));

        let error = (value / expected - 1.0).abs();
        assert!(error < 1e-5, "{loss:?}: {value} is not {expected}");
        let expected_gradient = Tensor::<2>::from_data(expected_gradient, &Device::default());
        let zeros = Tensor::zeros([4, 1], &Device::default());
        let expected_gradient = Tensor::cat(vec![expected_gradient, zeros], 1);
        gradient.assert_approx_eq::<FT>(&expected_gradient.into_data(), Tolerance::absolute(1e-5));
    }
    for_every_loss!(check());
}

#[test]
fn half_precision_is_widened() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default().autodiff();
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            // Their squares would overflow.
            let half = |logits: Tensor<2>| logits.mul_scalar(1e3).cast(dtype);
            let single = |logits: Tensor<2>| half(logits).cast(DType::F32);

            let value = mean(&loss, half(student(&device)), half(teacher(&device)));
            let expected = mean(&loss, single(student(&device)), single(teacher(&device)));

            assert_eq!(value.dtype(), DType::F32);
            let (value, expected) = (value.into_scalar::<f32>(), expected.into_scalar::<f32>());
            assert!(value.is_finite() && value == expected, "{loss:?}: {value}");
        }
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn an_empty_batch_is_zero() {
    fn check(loss: impl LogitLoss) {
        let device = Device::default();
        let empty = || Tensor::<2>::zeros([0, 5], &device);

        assert_eq!(mean(&loss, empty(), empty()).into_scalar::<f32>(), 0.0);
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn losses_have_nothing_to_train() {
    fn check(loss: impl LogitLoss) {
        assert_eq!(Module::num_params(&loss), 0);
    }
    for_every_loss!(check());
    for_every_batch_loss!(check());
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync + Sized + Unpin>() {}

    check::<SoftTargetLoss>();
    check::<SoftTargetLossConfig>();
    check::<LogitMatchingLoss>();
    check::<LogitMatchingLossConfig>();
    check::<LogitMatchingVariant>();
    check::<SoftCrossEntropyLoss>();
    check::<SoftCrossEntropyLossConfig>();
    check::<ResponseObjective<SoftTargetLoss>>();
    check::<Standardized<SoftTargetLoss>>();
    check::<StandardizationConfig>();
    check::<NormKdLoss>();
    check::<NormKdLossConfig>();
    check::<DistLoss>();
    check::<DistLossConfig>();
    check::<MultiLevelLoss>();
    check::<MultiLevelLossConfig>();
    check::<ConfidenceMask>();
    check::<BatchObjective<DistLoss>>();
    check::<LearnedTemperature>();
    check::<LearnedTemperatureConfig>();
    check::<burn_distill_core::CatalogEntry>();
}
