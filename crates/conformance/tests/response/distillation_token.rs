//! Hard distillation through a second head (DeiT).

use crate::fixtures::*;
use crate::trials::SHAPE;
use burn::tensor::{Bool, DType, Device, Int, Tensor};
use burn_distill_core::{Context, DynObjective, Objective, Targets, Weighted};
use burn_distill_response::*;

fn distillation(device: &Device) -> Tensor<2> {
    let wave = |n: usize| 3.0 * (0.4 * n as f64 + 1.1).sin();
    series(SHAPE, Box::new(wave), device)
}

/// Returns the value and the norms of the gradients of both heads and of the teacher, if it has one.
fn value_and_norms(
    config: &DistillationTokenLossConfig,
    targets: impl Fn(&Device) -> Targets,
) -> (f64, [f64; 2]) {
    let device = Device::default().autodiff();
    let class = student(&device).require_grad();
    let distillation = distillation(&device).require_grad();
    let teacher = teacher(&device).require_grad();
    let loss = config.init().forward(
        class.clone(),
        distillation.clone(),
        teacher.clone(),
        &targets(&device),
    );
    let grads = loss.clone().backward();
    assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
    let norms = [class, distillation].map(|head| {
        let gradient = head.grad(&grads).unwrap();
        gradient.square().sum().into_scalar::<f64>().sqrt()
    });
    (loss.into_scalar::<f64>(), norms)
}

fn all_labels(device: &Device) -> Targets {
    Targets::classes(labels(device))
}

fn close(actual: f64, expected: f64) -> bool {
    (actual - expected).abs() < 3e-6 * expected.abs()
}

// `(1 − alpha) F.cross_entropy(class, labels) + alpha F.cross_entropy(distillation,
// teacher.argmax(1))` in PyTorch, in double precision.
#[test]
fn it_matches_the_formula_in_pytorch() {
    for (share, value, of_class, of_distillation) in [
        (0.5, 3.212900511, 0.302420644, 0.249085753),
        (0.3, 3.695851427, 0.423388902, 0.149451452),
    ] {
        let config = DistillationTokenLossConfig::new().with_teacher_share(share);
        let (found, norms) = value_and_norms(&config, all_labels);
        assert!(close(found, value), "{found}");
        assert!(
            close(norms[0], of_class) && close(norms[1], of_distillation),
            "{norms:?}"
        );
    }
}

#[test]
fn unlabeled_samples_learn_from_the_teacher() {
    let config = DistillationTokenLossConfig::new();
    let unlabeled = |_: &Device| Targets::Unlabeled;

    let (_, labeled_norms) = value_and_norms(&config, all_labels);
    let (value, norms) = value_and_norms(&config, unlabeled);

    assert_eq!(norms, [0.0, labeled_norms[1]]);
    let (of_teacher, _) = value_and_norms(&config.with_teacher_share(1.0), unlabeled);
    assert!(close(value, of_teacher / 2.0), "{value} {of_teacher}");
}

fn objective() -> DynObjective {
    DynObjective::new(Weighted::of(DistillationTokenLossConfig::new().init(), 0.7))
}

#[test]
fn it_reads_the_logits_of_both_heads_from_taps() {
    let device = Device::default();
    let response = Tensor::<2>::full(SHAPE, f32::NAN, &device);
    let student = knowledge(response).with_taps([
        ("class-logits", student(&device)),
        ("distillation-logits", distillation(&device)),
    ]);
    let teacher = knowledge(teacher(&device));
    let targets = all_labels(&device);
    let objective = objective();

    assert!(objective.requirements().student.contains("class-logits"));
    let terms = objective.forward(&Context::of(&student, &teacher).with_targets(&targets));
    let term = terms.iter().next().unwrap();
    assert_eq!(
        (term.name.as_str(), term.weight),
        ("distillation-token", 0.7)
    );
    let value = term.value.clone().into_scalar::<f64>();
    assert!(close(value, 3.212900511), "{value}");
}

#[test]
#[should_panic(expected = "no tap named `class-logits`")]
fn a_student_without_the_heads_is_refused() {
    let device = Device::default();
    let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
    objective().forward(&Context::of(&student, &teacher));
}

#[test]
fn a_batch_of_no_samples_is_a_connected_zero() {
    let device = Device::default().autodiff();
    let heads = [(); 2].map(|_| Tensor::<2>::zeros([0, 5], &device).require_grad());
    let targets = Targets::Classes {
        classes: Tensor::<1, Int>::zeros([0], &device),
        labeled: Some(Tensor::<1, Bool>::full([0], true, &device)),
    };
    let teacher = Tensor::zeros([0, 5], &device);
    let [class, distillation] = heads.clone();
    let loss =
        DistillationTokenLossConfig::new()
            .init()
            .forward(class, distillation, teacher, &targets);
    let grads = loss.clone().backward();
    assert_eq!(loss.into_scalar::<f32>(), 0.0);
    assert!(heads.iter().all(|head| head.grad(&grads).is_some()));
}

#[test]
fn half_precision_is_widened() {
    let device = Device::default();
    if !device.supports_dtype(DType::F16) {
        return;
    }
    let half = |logits: Tensor<2>| logits.cast(DType::F16);
    let loss = DistillationTokenLossConfig::new().init();
    // Without labels, the part of the teacher remains.
    for (targets, expected) in [(all_labels(&device), 3.2129), (Targets::Unlabeled, 1.0028)] {
        let value = loss.forward(
            half(student(&device)),
            half(distillation(&device)),
            half(teacher(&device)),
            &targets,
        );
        assert_eq!(value.dtype(), DType::F32);
        let value = value.into_scalar::<f64>();
        assert!((value - expected).abs() < 2e-3, "{value}");
    }
}
