//! Objectives that turn losses of logits into weighted terms: the samples, tokens and labels that
//! count.

use crate::fixtures::*;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::{
    ChangingWeight, Clock, Context, CrossEntropyObjective, Knowledge, NamedLoss, Objective,
    Targets, Terms,
};
use burn_distill_response::*;

/// Losses of rows.
mod of_rows {
    use super::*;

    fn soft_target() -> ResponseObjective<SoftTargetLoss> {
        ResponseObjective::new(SoftTargetLossConfig::new().init(), 0.9)
    }

    fn terms(objective: &impl Objective, student: &Knowledge, teacher: &Knowledge) -> Terms {
        let context = Context::new(student, teacher, &Targets::Unlabeled, &[], Clock::start());
        objective.forward(&context)
    }

    /// Computes the single term of these tokens, and the gradient of the student.
    fn term_and_gradient(
        mask: [[bool; 2]; 2],
        teacher: impl Fn(&Device) -> Tensor<2>,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let rows = student(&device).require_grad();

        let student = tokens(rows.clone(), mask);
        let teacher = tokens(teacher(&device), [[true; 2]; 2]);
        let terms = terms(&soft_target(), &student, &teacher);
        let value = terms.into_iter().next().unwrap().value;
        let grads = value.clone().backward();

        let gradient = rows.grad(&grads).unwrap().into_data();
        (value.into_scalar::<f64>(), gradient)
    }

    // Expected values: the rows in the tests of the losses.

    #[test]
    fn unlabeled_samples_count() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));

        let terms = terms(&soft_target(), &student, &teacher);

        let term = terms.iter().next().unwrap();
        assert_eq!(term.name, "soft-target");
        assert_eq!(term.weight, 0.9);
        let value = term.value.clone().into_scalar::<f64>();
        assert!((value - 3.432760).abs() < 1e-5, "{value}");
    }

    #[test]
    fn only_tokens_of_the_mask_count() {
        let (value, gradient) = term_and_gradient([[true, false], [true, true]], teacher);

        // (3.617784 + 0.405030 + 4.361444) / 3
        assert!((value - 2.794753).abs() < 1e-5, "{value}");
        let gradient = gradient.try_to_vec::<f32>().unwrap();
        assert_eq!(gradient[5..10], [0.0; 5]);
        assert!(
            gradient[..5]
                .iter()
                .chain(&gradient[10..])
                .all(|g| *g != 0.0)
        );
    }

    #[test]
    fn the_weight_follows_its_schedule() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let schedule = ChangingWeight::Linear {
            from: 0.0,
            to: 1.0,
            epochs: 4,
        };
        let objective = ResponseObjective::new(SoftTargetLossConfig::new().init(), schedule);

        for (epoch, weight) in [(1, 0.25), (2, 0.5), (4, 1.0), (9, 1.0)] {
            let clock = Clock {
                epoch,
                batch: 0,
                batches: 1,
            };
            let context = Context::new(&student, &teacher, &Targets::Unlabeled, &[], clock);
            let terms = objective.forward(&context);

            assert_eq!(terms.iter().next().unwrap().weight, weight);
            let total = terms.total().into_scalar::<f64>();
            assert!((total - 3.432760 * weight).abs() < 1e-5, "{total}");
        }
    }

    #[test]
    fn terms_add_up_with_the_cross_entropy_and_other_responses() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let logits = LogitMatchingLossConfig::new().init();
        let objective = (
            CrossEntropyObjective::new(0.1),
            soft_target(),
            ResponseObjective::new(logits.clone(), 0.5),
            ResponseObjective::new(logits, 0.0).with_name("watched"),
        );

        let targets = Targets::classes(Tensor::from_data([0, 2, 4, 1], &device));
        let context = Context::new(&student, &teacher, &targets, &[0, 1, 2, 3], Clock::start());
        let terms = objective.forward(&context);

        let names: Vec<_> = terms.iter().map(|term| term.name.as_str()).collect();
        assert_eq!(
            names,
            ["cross-entropy", "soft-target", "logit-matching", "watched"]
        );
        // 0.1 · 4.420278 + 0.9 · 3.432760 + 0.5 · 9.257784
        let total = terms.total().into_scalar::<f64>();
        assert!((total - 8.160404).abs() < 2e-5, "{total}");
    }
}

/// Losses of whole batches.
mod of_batches {
    use super::*;

    fn dist() -> BatchObjective<DistLoss> {
        BatchObjective::new(DistLossConfig::new().init(), 2.0)
    }

    #[test]
    fn all_samples_count() {
        let device = Device::default();
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher(&device)));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());

        let terms = dist().forward(&context);

        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("dist", 2.0));
        let total = terms.total().into_scalar::<f64>();
        assert!((total - 2.0 * 33.0105964).abs() < 1e-3, "{total}");
    }
}

/// Losses that need labels.
mod of_labels {
    use super::*;

    fn objective() -> LabeledObjective<DecoupledLoss> {
        LabeledObjective::new(DecoupledLossConfig::new().init(), 0.5)
    }

    fn some_labeled(labeled: [bool; 4], device: &Device) -> Targets {
        Targets::Classes {
            classes: labels(device),
            labeled: Some(Tensor::from_data(labeled, device)),
        }
    }

    /// Computes the value of the term and the gradient of the student.
    fn value_and_gradient(
        change: impl Fn(Tensor<2>) -> Tensor<2>,
        targets: impl Fn(&Device) -> Targets,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let rows = change(student(&device)).require_grad();
        let student = knowledge(rows.clone());
        let teacher = knowledge(change(teacher(&device)));

        let targets = targets(&device);
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        let value = objective().forward(&context).into_iter().next().unwrap();
        let value = value.value;
        let grads = value.clone().backward();

        let gradient = rows.grad(&grads).unwrap().into_data();
        (value.into_scalar::<f64>(), gradient)
    }

    // Expected values: scripts/labeled.py.

    #[test]
    fn only_labeled_samples_count() {
        let labeled = [true, false, true, false];
        let (value, gradient) =
            value_and_gradient(|rows| rows, |device| some_labeled(labeled, device));

        // (16.436032 + 3.465847) / 2
        assert!((value - 9.950940).abs() < 1e-4, "{value}");
        let gradient = gradient.try_to_vec::<f32>().unwrap();
        assert_eq!(gradient[5..10], [0.0; 5]);
        assert_eq!(gradient[15..], [0.0; 5]);
        assert!(
            gradient[..5]
                .iter()
                .chain(&gradient[10..15])
                .all(|g| *g != 0.0)
        );
    }

    #[test]
    fn logits_of_samples_without_a_label_do_not_matter() {
        let targets = |device: &Device| some_labeled([true, false, true, true], device);
        let (expected, expected_gradient) = value_and_gradient(|rows| rows, targets);
        for anything in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
            let spoil = |rows: Tensor<2>| {
                let row = Tensor::full([1, 5], anything, &rows.device());
                rows.slice_assign([1..2, 0..5], row)
            };
            let (value, gradient) = value_and_gradient(spoil, targets);

            assert_eq!(value, expected);
            gradient.assert_approx_eq::<f32>(&expected_gradient, Tolerance::absolute(1e-5));
        }
    }

    /// Loss with a parameter.
    #[derive(Module, Debug)]
    struct Learned {
        scale: Param<Tensor<1>>,
    }

    impl NamedLoss for Learned {
        fn name(&self) -> &'static str {
            "learned"
        }
    }

    impl LabeledLoss for Learned {
        fn forward_rows(
            &self,
            student: Tensor<2>,
            teacher: Tensor<2>,
            _classes: Tensor<1, Int>,
        ) -> Tensor<1> {
            let square = student.sub(teacher).square().sum_dim(1);
            square.squeeze_dim::<1>(1).mul(self.scale.val())
        }
    }

    #[test]
    fn samples_without_a_label_do_not_change_the_gradient_of_parameters() {
        let device = Device::default().autodiff();
        let scale = Param::from_tensor(Tensor::ones([1], &device));
        let objective = LabeledObjective::new(Learned { scale }, 1.0);
        let spoilt = Tensor::full([1, 5], f32::NAN, &device);
        let teacher = teacher(&device).slice_assign([1..2, 0..5], spoilt);
        let (student, teacher) = (knowledge(student(&device)), knowledge(teacher));

        let targets = some_labeled([true, false, true, true], &device);
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        let grads = objective.forward(&context).total().backward();

        let gradient = objective.term.loss.scale.val().grad(&grads).unwrap();
        assert!(gradient.into_scalar::<f32>().is_finite());
    }

    #[test]
    fn the_likeliest_class_of_target_probabilities_is_the_label() {
        let mixed = |device: &Device| {
            let rows = LABELS.map(|label| {
                let mut row = [0.1_f32; 5];
                row[label as usize] = 0.6;
                row
            });
            Targets::Probabilities {
                probabilities: Tensor::from_data(rows, device),
                labeled: None,
            }
        };
        let (value, _) = value_and_gradient(|rows| rows, mixed);

        assert!((value - 26.9512647).abs() < 1e-4, "{value}");
    }
}

/// Losses that need labels and no teacher.
mod without_teacher {
    use super::*;

    fn objective() -> TeacherFreeObjective<VirtualTeacherLoss> {
        TeacherFreeObjective::new(VirtualTeacherLossConfig::new().init(), 0.1)
    }

    /// Computes the terms of a student without a teacher.
    fn terms(objective: &impl Objective<Knowledge, ()>, student: &Knowledge) -> Terms {
        let classes = labels(&Device::default());
        let targets = Targets::classes(classes);
        objective.forward(&Context::new(student, &(), &targets, &[], Clock::start()))
    }

    // Expected values: scripts/labeled.py.

    #[test]
    fn no_teacher_is_needed() {
        let student = knowledge(student(&Device::default()));

        let terms = terms(&(CrossEntropyObjective::new(0.9), objective()), &student);

        let names: Vec<_> = terms.iter().map(|term| term.name.as_str()).collect();
        assert_eq!(names, ["cross-entropy", "virtual-teacher"]);
        // 0.9 · 4.420278 + 0.1 · 1.084423
        let total = terms.total().into_scalar::<f64>();
        assert!((total - 4.086692).abs() < 1e-5, "{total}");
    }

    #[test]
    fn samples_without_a_label_do_not_count() {
        for anything in [0.0, f32::NAN, f32::INFINITY] {
            let device = Device::default().autodiff();
            let row = Tensor::full([1, 5], anything, &device);
            let rows = student(&device)
                .slice_assign([1..2, 0..5], row)
                .require_grad();
            let student = knowledge(rows.clone());
            let targets = Targets::Classes {
                classes: labels(&device),
                labeled: Some(Tensor::from_data([true, false, true, true], &device)),
            };

            let context = Context::new(&student, &(), &targets, &[], Clock::start());
            let term = objective().forward(&context).into_iter().next().unwrap();
            let grads = term.value.clone().backward();

            // (0.457856 + 0.988594 + 1.818938) / 3
            let value = term.value.into_scalar::<f64>();
            assert!((value - 1.088463).abs() < 1e-5, "{value}");
            let gradient = rows.grad(&grads).unwrap().into_data();
            let gradient = gradient.try_to_vec::<f32>().unwrap();
            assert_eq!(gradient[5..10], [0.0; 5]);
            assert!(gradient.iter().all(|g| g.is_finite()));
        }
    }
}
