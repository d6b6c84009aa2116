//! Consistency of a second head of the student, which is kept close to the first.

use crate::fixtures::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Tap, TapRecorder, TapSelection, Taps, Targets,
};
use burn_distill_response::*;

fn objective() -> DualHeadConsistency<ProbabilityMatchingLoss> {
    let loss = ProbabilityMatchingLossConfig::new().init();
    DualHeadConsistency::new("second", loss, 100.0, 0.01)
}

fn with_second_head(response: &Tensor<2>, second: Option<&Tensor<2>>) -> Knowledge {
    let mut taps = TapRecorder::new(TapSelection::All);
    if let Some(second) = second {
        taps.offer("second", || Tap::Vector(second.clone()));
    }
    Knowledge {
        response: Response::Classes(response.clone()),
        taps: taps.finish().unwrap_or_else(|_| Taps::default()),
    }
}

fn close(actual: f64, expected: f64) -> bool {
    (actual - expected).abs() < 3e-6 * expected.abs()
}

// Values: `softmax_mse_loss` and `symmetric_mse_loss` of mean-teacher, divided by the samples;
// norms of the gradients: scripts/response.py.
#[test]
fn matches_the_reference_implementation() {
    let device = Device::default().autodiff();
    let (first, second) = (
        small_teacher(&device).require_grad(),
        small_student(&device).require_grad(),
    );
    let teacher = small_teacher(&device).require_grad();
    let student = with_second_head(&first, Some(&second));
    let teacher_knowledge = with_second_head(&teacher, None);
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teacher_knowledge, &targets, &[], Clock::start());

    let terms = objective().forward(&context);
    let values: Vec<_> = terms
        .iter()
        .map(|term| {
            (
                term.name.clone(),
                term.weight,
                term.value.clone().into_scalar::<f64>(),
            )
        })
        .collect();
    assert_eq!(
        (values[0].0.as_str(), values[0].1),
        ("probability-matching", 100.0)
    );
    assert_eq!(
        (values[1].0.as_str(), values[1].1),
        ("logit-distance", 0.01)
    );
    assert!(
        close(values[0].2, 0.022780948) && close(values[1].2, 0.490833333),
        "{values:?}"
    );

    let grads = terms.into_iter().nth(1).unwrap().value.backward();
    let norm = |tensor: &Tensor<2>| {
        let gradient = tensor.grad(&grads).unwrap();
        gradient.square().sum().into_scalar::<f64>().sqrt()
    };
    assert!(close(norm(&first), 0.404488703) && close(norm(&second), 0.404488703));
    assert!(teacher.grad(&grads).is_none());
}

#[test]
fn the_first_head_is_not_pulled_to_the_teacher() {
    let device = Device::default().autodiff();
    let (first, second) = (
        small_student(&device).require_grad(),
        small_student(&device).require_grad(),
    );
    let student = with_second_head(&first, Some(&second));
    let teacher_knowledge = with_second_head(&small_teacher(&device), None);
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teacher_knowledge, &targets, &[], Clock::start());
    let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();

    let terms = DualHeadConsistency::new("second", loss, 1.0, 0.0).forward(&context);
    let value = terms.iter().next().unwrap().value.clone();
    let grads = value.clone().backward();

    // `softmax_kl_loss` of mean-teacher, divided by the samples.
    assert!(close(value.into_scalar::<f64>(), 0.116988909));
    assert!(first.grad(&grads).is_none() && second.grad(&grads).is_some());
}
