use crate::network::for_digits;
use crate::{Loss, LossContext, example_context, loss_context, student_of};
use anyhow::Result;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use burn_distill::core::{Network, Objective, TapSelection, known_taps};

fn loss(text: &str, context: &LossContext) -> Result<Loss> {
    Loss::new(&text.parse().unwrap(), context)
}

#[test]
fn the_classifier_sees_the_mean_of_the_rectified_default() {
    for name in ["mlp-6-5", "convnet-4-8", "resnet8", "wrn-10-1"] {
        let context = loss_context(
            for_digits("convnet-4-8"),
            for_digits(name),
            4,
            vec![(0, Some(0))],
        );
        let reused = loss("kind = 'sim-kd'", &context).unwrap();
        let TapSelection::Named(taps) = reused.objective.requirements().teacher else {
            panic!("a tap of {name} is reused");
        };
        let tap = taps.first().unwrap();

        let input = Tensor::<4>::random([2, 1, 8, 8], Distribution::Default, &Device::flex());
        let knowledge = context
            .teacher
            .forward_knowledge(input.into(), &TapSelection::named([tap]));
        let map = relu(knowledge.taps.expect(tap).into_map());
        let classifier = context.teacher.classifier().unwrap();
        let logits: Tensor<2> = classifier.forward(map.mean_dims(&[2, 3]).flatten(1, 3));

        let expected = knowledge.response.classes().unwrap().to_data();
        let tolerance = Tolerance::default();
        logits
            .into_data()
            .assert_approx_eq::<f32>(&expected, tolerance);
    }
}

#[test]
fn a_loss_may_change_the_student() {
    let context = example_context();
    for (kind, tap) in [
        ("sim-kd", "projected"),
        ("feature-normalization", "logits.normalized"),
    ] {
        let loss = loss(&format!("kind = '{kind}'"), &context).unwrap();

        let student = student_of(&[loss]).unwrap().unwrap();
        assert!(known_taps(&student).get(tap).is_ok());
    }
    let plain = loss("kind = 'kd'", &context).unwrap();
    assert!(student_of(&[plain]).unwrap().is_none());
}

#[test]
fn two_kinds_of_student_are_refused() {
    let context = example_context();
    let losses = ["sim-kd", "fn"].map(|kind| loss(&format!("kind = '{kind}'"), &context).unwrap());

    let error = student_of(&losses).err().unwrap().to_string();

    assert!(
        error.contains("`sim-kd` and `feature-normalization`"),
        "{error}"
    );
}

#[test]
fn a_tap_that_the_classifier_does_not_see_is_refused() {
    let error = loss("kind = 'sim-kd'\nteacher = 'layer1'", &example_context());

    let error = format!("{:#}", error.err().unwrap());
    assert!(
        error.contains("takes 16 features, but its tap `layer1` has 8"),
        "{error}"
    );
}
