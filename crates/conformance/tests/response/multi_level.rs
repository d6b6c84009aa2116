//! Multi-level logit distillation (MLLD).

use crate::fixtures::*;
use crate::trials::*;
use burn::tensor::{Device, Tensor, Tolerance};
use burn_distill_core::{Clock, Context, Knowledge, Objective, Targets, View, Weighted};
use burn_distill_response::*;

// Expected values: `kd_loss`, `bc_loss` and `cc_loss` of Multi-Level-Logit-Distillation, and
// scripts/response_batch.py; only the script for the sums of the levels, because the authors' code
// for the whole loss could not be run.

#[test]
fn multi_level() {
    // At one temperature its instance level is the soft-target loss.
    for (instance, batch_weight, class_weight, value, norm) in [
        (1.0, 0.0, 0.0, 3.43276022, 0.609944507),
        (0.0, 1.0, 0.0, 0.00779972349, 0.00191953254),
        (0.0, 0.0, 1.0, 0.047646382, 0.012140619),
    ] {
        let config = MultiLevelLossConfig::new()
            .with_temperatures(vec![4.0])
            .with_instance(instance)
            .with_batch(batch_weight)
            .with_class(class_weight);
        batch(config.init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn multi_level_at_several_temperatures() {
    for (confidence, value, norm) in [
        (ConfidenceMask::None, 17.1737642, 3.09508614),
        (ConfidenceMask::Select, 7.23056716, 1.97808957),
        (ConfidenceMask::ReferenceCompat, 8.62301602, 1.55470106),
    ] {
        let config = MultiLevelLossConfig::new().with_confidence(confidence);
        batch(config.init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn multi_level_of_standardized_logits() {
    batch(MultiLevelLossConfig::new().with_standardize(true).init())
        .golden(student_wave(), teacher_wave(), 4.76378004, 0.579508286)
        .minimum(0.0)
        .run();
}

fn with_confidence(confidence: ConfidenceMask) -> MultiLevelLoss {
    MultiLevelLossConfig::new()
        .with_confidence(confidence)
        .init()
}

#[test]
fn the_levels_match_the_reference_implementation() {
    assert_value_and_gradient(|s, t| instance_level(s, t, 4.0), 3.43276022, 0.609944507);
    assert_value_and_gradient(|s, t| batch_level(s, t, 4.0), 0.00779972349, 0.00191953254);
    assert_value_and_gradient(|s, t| class_level(s, t, 4.0), 0.047646382, 0.012140619);
}

#[test]
fn the_parts_are_the_levels_summed_over_the_temperatures() {
    let device = Device::default();
    let criterion = MultiLevelLossConfig::new()
        .with_temperatures(vec![2.0, 4.0])
        .init();
    let parts = criterion.forward_parts(student(&device), teacher(&device));

    type LevelOf = fn(Tensor<2>, Tensor<2>, f64) -> Tensor<1>;
    let levels: [(Tensor<1>, LevelOf); 3] = [
        (parts.instance, instance_level),
        (parts.batch, batch_level),
        (parts.class, class_level),
    ];
    for (part, level) in levels {
        let at = |temperature| level(student(&device), teacher(&device), temperature);
        let expected = at(2.0).add(at(4.0)).into_data();
        part.into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-5, 1e-6));
    }
}

#[test]
fn the_instance_level_of_standardized_logits_is_the_standardized_soft_target_loss() {
    let config = MultiLevelLossConfig::new().with_standardize(true);
    let config = config.with_batch(0.0).with_class(0.0);
    let criterion = config.with_temperatures(vec![2.0]).init();
    assert_value_and_gradient(|s, t| criterion.forward(s, t), 0.840799317, 0.108832562);
}

#[test]
fn the_instance_level_under_a_mask_matches_the_reference_implementation() {
    for (confidence, value, norm) in [
        (ConfidenceMask::Select, 6.95075458, 1.91673517),
        (ConfidenceMask::ReferenceCompat, 8.35031592, 1.50070057),
    ] {
        let criterion = MultiLevelLossConfig::new()
            .with_batch(0.0)
            .with_class(0.0)
            .with_confidence(confidence)
            .init();
        assert_value_and_gradient(|s, t| criterion.forward(s, t), value, norm);
    }
}

#[test]
fn each_level_has_its_weight() {
    let device = Device::default();
    let criterion = MultiLevelLossConfig::new()
        .with_temperatures(vec![4.0])
        .with_instance(0.0)
        .with_batch(10.0)
        .with_class(100.0)
        .init();

    let loss = criterion.forward(student(&device), teacher(&device));

    let loss = loss.into_scalar::<f64>();
    assert!((loss - 4.84263543).abs() < 1e-5, "{loss}");
}

#[test]
fn the_loss_of_two_views_is_a_sum_with_the_confidence_of_the_weak_one() {
    let device = Device::default();
    // The rows of the strong view are in another order, so its confidence differs.
    let next = |logits: Tensor<2>| {
        let (first, others) = (logits.clone().slice(0..1), logits.slice(1..4));
        Tensor::cat(vec![others, first], 0)
    };
    let weak = || (student(&device), teacher(&device));
    let strong = || (next(student(&device)), next(teacher(&device)));

    let plain = with_confidence(ConfidenceMask::None).forward_views(weak(), strong());
    let plain = plain.into_scalar::<f64>();
    assert!((plain - 2.0 * 17.1737642).abs() < 1e-4, "{plain}");

    let selected = MultiLevelLossConfig::new()
        .with_temperatures(vec![4.0])
        .with_batch(0.0)
        .with_class(0.0)
        .with_confidence(ConfidenceMask::Select)
        .init()
        .forward_views(weak(), strong());
    // The rows of the soft-target loss: (5.346783 + 0.405030) / 4 + (0.405030 + 4.361444) / 4
    let selected = selected.into_scalar::<f64>();
    assert!((selected - 2.629572).abs() < 1e-5, "{selected}");
}

/// Returns the rows in another order, so that the teacher is confident about others.
fn next(logits: Tensor<2>) -> Tensor<2> {
    let (first, others) = (logits.clone().slice(0..1), logits.slice(1..4));
    Tensor::cat(vec![others, first], 0)
}

fn objective(confidence: ConfidenceMask) -> Weighted<MultiLevelTerm> {
    of_views(confidence, 2)
}

fn of_views(confidence: ConfidenceMask, views: usize) -> Weighted<MultiLevelTerm> {
    let config = MultiLevelLossConfig::new().with_confidence(confidence);
    Weighted::of(MultiLevelTerm::new(config.init(), views), 0.9)
}

fn value(
    objective: &Weighted<MultiLevelTerm>,
    weak: (Knowledge, Knowledge),
    strong: (Knowledge, Knowledge),
) -> Tensor<1> {
    let further = [View {
        student: strong.0,
        teacher: strong.1,
    }];
    let (targets, clock) = (Targets::Unlabeled, Clock::start());
    let context = Context::new(&weak.0, &weak.1, &targets, &[], clock);
    let terms = objective.forward(&context.with_further(&further));
    assert_eq!(terms.len(), 1);
    let term = terms.into_iter().next().unwrap();
    assert_eq!((term.name.as_str(), term.weight), ("multi-level", 0.9));
    term.value
}

#[test]
fn the_term_of_two_views_is_a_sum_with_the_confidence_of_the_first() {
    let device = Device::default();
    let weak = || (knowledge(student(&device)), knowledge(teacher(&device)));
    let strong = || {
        let (student, teacher) = (student(&device), teacher(&device));
        (knowledge(next(student)), knowledge(next(teacher)))
    };

    let plain = value(&objective(ConfidenceMask::None), weak(), strong());
    let plain = plain.into_scalar::<f64>();
    assert!((plain - 2.0 * 17.1737642).abs() < 1e-4, "{plain}");

    let config = MultiLevelLossConfig::new()
        .with_temperatures(vec![4.0])
        .with_batch(0.0)
        .with_class(0.0)
        .with_confidence(ConfidenceMask::Select);
    let objective = Weighted::of(MultiLevelTerm::new(config.init(), 2), 0.9);
    let selected = value(&objective, weak(), strong()).into_scalar::<f64>();
    // The rows of the soft-target loss: (5.346783 + 0.405030) / 4 + (0.405030 + 4.361444) / 4
    assert!((selected - 2.629572).abs() < 1e-5, "{selected}");
}

#[test]
fn gradient_flows_to_the_student_of_both_views_and_to_no_teacher() {
    let device = Device::default().autodiff();
    let [weak, strong, weak_teacher, strong_teacher] = [
        student(&device),
        next(student(&device)),
        teacher(&device),
        next(teacher(&device)),
    ]
    .map(|logits| logits.require_grad());

    let grads = value(
        &objective(ConfidenceMask::Select),
        (knowledge(weak.clone()), knowledge(weak_teacher.clone())),
        (knowledge(strong.clone()), knowledge(strong_teacher.clone())),
    )
    .backward();

    for student in [weak, strong] {
        let gradient = student.grad(&grads).unwrap().abs().sum();
        assert!(gradient.into_scalar::<f32>() > 0.1);
    }
    for teacher in [weak_teacher, strong_teacher] {
        assert!(teacher.grad(&grads).is_none());
    }
}

#[test]
fn one_view_equals_the_objective_of_batches() {
    let device = Device::default();
    let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
    for confidence in [ConfidenceMask::None, ConfidenceMask::ReferenceCompat] {
        let objective = of_views(confidence, 1);
        let expected = BatchObjective::new(objective.term.loss.clone(), 0.9);

        let [one, expected] = [objective.forward(&context), expected.forward(&context)]
            .map(|terms| terms.total().into_data());
        one.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-5, 1e-6));
    }
}

#[test]
fn the_tokens_of_each_view_count_by_the_mask_of_the_view() {
    let device = Device::default();
    let masks = [[true, false, true, true], [true, true, false, true]];
    let tokens = |rows, [a, b, c, d]: [bool; 4]| tokens(rows, [[a, b], [c, d]]);
    let rows = |mask: [bool; 4], logits: Tensor<2>| {
        let kept: Vec<_> = (0..4).filter(|&row| mask[row]).collect();
        let kept = kept
            .into_iter()
            .map(|row| logits.clone().slice(row..row + 1));
        Tensor::cat(kept.collect(), 0)
    };
    let objective = objective(ConfidenceMask::None);
    let view = |mask, f: fn(Tensor<2>) -> Tensor<2>| {
        let teacher = tokens(f(teacher(&device)), [true; 4]);
        (tokens(f(student(&device)), mask), teacher)
    };

    let loss = value(&objective, view(masks[0], |x| x), view(masks[1], next));

    let alone = |mask, f: fn(Tensor<2>) -> Tensor<2>| {
        let (student, teacher) = (f(student(&device)), f(teacher(&device)));
        objective
            .term
            .loss
            .forward(rows(mask, student), rows(mask, teacher))
    };
    let expected = alone(masks[0], |x| x)
        .add(alone(masks[1], next))
        .into_data();
    loss.into_data()
        .assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-5, 1e-5));
}
