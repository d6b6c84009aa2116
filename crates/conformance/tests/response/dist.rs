//! Correlations of classes and of samples (DIST).

use crate::fixtures::*;
use crate::trials::*;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_response::*;

// Expected values: `DIST` of image_classification_sota, and scripts/response_batch.py. The paper
// does not multiply by the square of the temperature.

#[test]
fn dist() {
    for (temperature, scale_t2, value, norm) in [
        (1.0, true, 2.25227841, 0.362771809),
        (4.0, true, 33.0105964, 4.00528645),
        (4.0, false, 33.0105964 / 16.0, 4.00528645 / 16.0),
    ] {
        let config = DistLossConfig::new().with_temperature(temperature);
        batch(config.with_scale_t2(scale_t2).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            // The constant in the denominator of the correlation, times the squared temperature.
            .minimum_tolerance(1e-4)
            .run();
    }
}

fn at_temperature(temperature: f64) -> DistLoss {
    DistLossConfig::new().with_temperature(temperature).init()
}

#[test]
fn the_parts_are_those_of_the_loss() {
    let device = Device::default();
    let of = |beta, gamma| {
        let config = DistLossConfig::new().with_temperature(2.0);
        config.with_beta(beta).with_gamma(gamma).init()
    };
    let parts = of(1.0, 1.0).forward_parts(student(&device), teacher(&device));

    for (part, criterion) in [(parts.inter, of(1.0, 0.0)), (parts.intra, of(0.0, 1.0))] {
        let expected = criterion.forward(student(&device), teacher(&device));
        let part = part.mul_scalar(4.0).into_data();
        part.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::rel_abs(1e-5, 1e-6));
    }
}

#[test]
fn matches_the_reference_implementation_for_fewer_classes_than_samples() {
    for (temperature, value, norm) in [
        (1.0, 0.0701183947, 0.224862717),
        (4.0, 1.85178252, 4.87350695),
    ] {
        let criterion = at_temperature(temperature);
        let loss = |student, teacher| criterion.forward(student, teacher);
        assert_value_and_gradient_of(small_student, small_teacher, loss, value, norm);
    }
}

#[test]
fn each_part_has_its_weight() {
    for (beta, gamma, value) in [(1.0, 0.0, 1.12913412), (0.0, 1.0, 1.1231443)] {
        let criterion = DistLossConfig::new()
            .with_temperature(1.0)
            .with_beta(beta)
            .with_gamma(gamma)
            .init();
        let device = Device::default();
        let (student, teacher) = (student(&device), teacher(&device));
        let loss = criterion.forward(student, teacher).into_scalar::<f64>();
        assert!((loss - value).abs() < 1e-5, "{loss}");
    }
    let criterion = DistLossConfig::new().with_beta(2.0).with_gamma(0.5).init();
    assert_value_and_gradient(|s, t| criterion.forward(s, t), 43.3918094, 4.82430196);
}

#[test]
fn equal_samples_have_no_gradient() {
    let device = Device::default().autodiff();
    // Undecided and equal samples, whose probabilities do not add up to one exactly.
    for num_classes in [1, 3, 7, 10] {
        let student = Tensor::<2>::full([6, num_classes], 0.3, &device).require_grad();
        let teacher = Tensor::<1, burn::tensor::Int>::arange(0..6 * num_classes as i64, &device)
            .float()
            .sin()
            .reshape([6, num_classes]);

        let loss = at_temperature(1.0).forward(student.clone(), teacher);
        let grads = loss.clone().backward();

        assert_near(loss, 2.0);
        let gradient = student.grad(&grads).unwrap().into_data();
        let zeros = TensorData::zeros::<f32, _>([6, num_classes]);
        gradient.assert_approx_eq::<f32>(&zeros, Tolerance::absolute(1e-5));
    }
}

#[test]
fn a_single_sample_has_no_relations_to_others() {
    let device = Device::default().autodiff();
    let sample = |data: [[f64; 3]; 1]| Tensor::<2>::from_data(data, &device);
    let intra_only = DistLossConfig::new().with_beta(0.0).init();
    let student = sample([[1.0, 2.0, 0.0]]).require_grad();

    let loss = intra_only.forward(student.clone(), sample([[0.0, 5.0, 1.0]]));
    let grads = loss.clone().backward();

    assert_near(loss, 16.0);
    let gradient = student.grad(&grads).unwrap().into_data();
    gradient.assert_approx_eq::<f32>(&TensorData::from([[0.0_f32; 3]]), Tolerance::absolute(1e-5));
}

#[test]
fn a_class_that_both_exclude_adds_its_share_to_intra() {
    let device = Device::default();
    let excluded = || Tensor::full([4, 1], f32::NEG_INFINITY, &device);
    let widened = |logits| Tensor::cat(vec![logits, excluded()], 1);
    let (student, teacher) = (student(&device), teacher(&device));
    let criterion = DistLossConfig::new()
        .with_temperature(1.0)
        .with_beta(0.0)
        .init();

    let wide = criterion.forward(widened(student.clone()), widened(teacher.clone()));
    let narrow = criterion.forward(student, teacher);

    let wide = wide.into_scalar::<f64>();
    let expected = (5.0 * narrow.into_scalar::<f64>() + 1.0) / 6.0;
    assert!((wide - expected).abs() < 1e-5, "{wide} is not {expected}");
}
