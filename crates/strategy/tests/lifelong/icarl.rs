//! The objective of iCaRL.

use crate::golden::{Golden, assert_same, wave};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Context, Knowledge, Objective, Targets};
use burn_distill_strategy::{IcarlForm, IcarlObjective, IcarlObjectiveConfig};

fn objective(form: IcarlForm) -> IcarlObjective {
    IcarlObjectiveConfig::new().with_form(form).init()
}

fn student(device: &Device) -> Tensor<2> {
    wave([4, 5], [0.7, 0.2, 2.0], device)
}

fn old(device: &Device) -> Knowledge {
    Knowledge::from_logits(wave([4, 3], [1.1, 0.4, 1.5], device))
}

/// Two new classes after three old ones; the third sample is an exemplar.
fn targets(device: &Device) -> Targets {
    Targets::labels(&[3, 4, 1, 3].map(Some), device)
}

#[test]
fn both_forms_have_their_golden_values_and_gradients() {
    let device = Device::flex().autodiff();
    for (form, name) in [
        (IcarlForm::Binary, "icarl.binary"),
        (IcarlForm::CrossEntropy, "icarl.cross-entropy"),
    ] {
        let logits = student(&device).require_grad();
        let (student, old, targets) = (
            Knowledge::from_logits(logits.clone()),
            old(&device),
            targets(&device),
        );

        let context = Context::of(&student, &old).with_targets(&targets);
        let loss = objective(form).forward(&context).total();

        let golden = Golden::of(name);
        assert_same(loss.clone(), &[golden.number("value")]);
        let gradient = logits.grad(&loss.backward()).unwrap();
        assert_same(gradient, &golden.numbers("gradient"));
    }
}

#[test]
fn the_first_task_has_its_golden_value_and_gradient() {
    let device = Device::flex().autodiff();
    let logits = student(&device).require_grad();
    let (student, targets) = (Knowledge::from_logits(logits.clone()), targets(&device));

    let context = Context::of(&student, &()).with_targets(&targets);
    let loss = objective(IcarlForm::Binary).forward(&context).total();

    let golden = Golden::of("icarl.first");
    assert_same(loss.clone(), &[golden.number("value")]);
    let gradient = logits.grad(&loss.backward()).unwrap();
    assert_same(gradient, &golden.numbers("gradient"));
}

#[test]
fn the_first_task_may_have_one_class() {
    let device = Device::flex();
    let student = Knowledge::from_logits(Tensor::from_data([[0.0], [2.0]], &device));
    let targets = Targets::labels(&[Some(0), None], &device);

    let context = Context::of(&student, &()).with_targets(&targets);
    let loss = objective(IcarlForm::Binary).forward(&context).total();

    // −ln σ(0) of the labeled sample.
    let loss = loss.into_scalar::<f64>();
    assert!((loss - std::f64::consts::LN_2).abs() < 1e-6, "{loss}");
}

#[test]
fn only_the_distillation_is_weighted_and_unlabeled_samples_have_only_that() {
    let device = Device::flex();
    let (student, old) = (Knowledge::from_logits(student(&device)), old(&device));
    let values = |targets: &Targets, weight: f64| {
        let config = IcarlObjectiveConfig::new().with_weight(weight.into());
        let context = Context::of(&student, &old).with_targets(targets);
        let terms = config.init().forward(&context);
        let values = terms.iter().map(|term| {
            let value = term.value.clone().into_scalar::<f64>();
            (term.name.clone(), term.weight, value)
        });
        values.collect::<Vec<_>>()
    };

    let all = values(&targets(&device), 0.25);
    let some = values(
        &Targets::labels(&[Some(3), None, None, None], &device),
        0.25,
    );
    let none = values(&Targets::Unlabeled, 0.25);

    assert_eq!((all[0].0.as_str(), all[0].1), ("classification", 1.0));
    assert_eq!((all[1].0.as_str(), all[1].1), ("distillation", 0.25));
    assert_eq!([&some[1], &none[1]], [&all[1]; 2]);
    assert!(some[0].2 > 0.0 && some[0].2 != all[0].2);
    assert_eq!(none[0].2, 0.0);
}

#[test]
fn the_old_network_is_a_constant_and_batches_of_one_are_finite() {
    let device = Device::flex().autodiff();
    for form in [IcarlForm::Binary, IcarlForm::CrossEntropy] {
        let logits = Tensor::<2>::from_data([[1e4, -1e4, 1e4]], &device).require_grad();
        let old = Tensor::<2>::from_data([[-1e4, 1e4]], &device).require_grad();
        let (student, teacher) = (
            Knowledge::from_logits(logits.clone()),
            Knowledge::from_logits(old.clone()),
        );
        let targets = Targets::labels(&[Some(0)], &device);

        let context = Context::of(&student, &teacher).with_targets(&targets);
        let grads = objective(form).forward(&context).total().backward();

        let gradient = logits.grad(&grads).unwrap();
        assert!(!gradient.contains_nan().into_scalar::<bool>());
        assert!(old.grad(&grads).is_none());
    }
}

#[test]
#[should_panic(expected = "add a head for the new task to the student")]
fn a_student_without_new_classes_is_refused() {
    let device = Device::flex();
    let knowledge = Knowledge::from_logits(Tensor::zeros([1, 2], &device));
    objective(IcarlForm::Binary).forward(&Context::of(&knowledge, &knowledge));
}
