//! Losses between text networks, whose sequences have padding.

use crate::{InputShape, Loss, LossContext, Registry, Task, Tokens, loss_context};
use burn::tensor::{Device, Tensor};
use burn_distill::core::{Clock, Context, Network, Objective, Targets};

const CLASSES: usize = 3;

fn context(student: &str, teacher: &str) -> LossContext {
    let task = Task {
        input: InputShape::Tokens {
            length: 4,
            vocabulary: 12,
        },
        classes: CLASSES,
    };
    let network = |name: &str| {
        let network = Registry::standard().network(&name.into()).unwrap();
        network.init(&task, &Device::flex()).unwrap()
    };
    let samples = (0..4).map(|id| (id, Some(id % CLASSES))).collect();
    loss_context(network(student), network(teacher), 4, samples)
}

/// Four sequences of 4, 3, 2 and 1 tokens, with this token as padding.
fn sequences(padding: i64) -> Tokens {
    let p = padding;
    let ids = [[1, 2, 3, 4], [6, 7, 8, p], [9, 10, p, p], [5, p, p, p]];
    let mask = [0, 1, 2, 3].map(|row| [0, 1, 2, 3].map(|place| place + row < 4));
    let device = Device::flex();
    Tokens {
        ids: Tensor::from_data(ids, &device),
        mask: Tensor::from_data(mask, &device),
    }
}

/// Returns the values of a loss of these keys on sequences with each of these tokens as padding, or
/// `None` if the loss does not fit or needs more than a batch.
fn values(keys: &str, context: &LossContext, paddings: [i64; 2]) -> Option<[f64; 2]> {
    let loss = Loss::new(&keys.parse().unwrap(), context).ok()?;
    let needed = loss.objective.requirements();
    if needed.views > 1 || loss.preparation.is_some() {
        return None;
    }
    let student = loss.student.as_ref().unwrap_or(&context.student);
    let classes = Targets::classes(Tensor::from_data([0, 1, 2, 0], &Device::flex()));
    let ids = [0, 1, 2, 3];
    Some(paddings.map(|padding| {
        let inputs = || sequences(padding).into();
        let student = student.forward_knowledge(inputs(), &needed.student);
        let teacher = context.teacher.forward_knowledge(inputs(), &needed.teacher);
        let context = Context::new(&student, &teacher, &classes, &ids, Clock::start());
        let terms = loss.objective.forward(&context);
        terms.total().into_scalar::<f64>()
    }))
}

#[test]
fn losses_between_tokens_do_not_depend_on_padding() {
    let context = context("transformer-48-2-4", "transformer-48-4-4");
    for kind in [
        "hidden-states",
        "attention-scores",
        "patient",
        "hidden-cosine",
        "attention-relation",
        "self-attention-relations",
        "token-similarity",
        "token-flow",
        "hint",
    ] {
        let found = values(&format!("kind = '{kind}'"), &context, [0, 11]);
        let [one, other] = found.expect(kind);
        assert!(one.is_finite() && one > 0.0, "{kind}: {one}");
        let difference = (one - other).abs();
        assert!(difference <= 1e-5 * one, "{kind}: {one} {other}");
    }
}

#[test]
fn the_mask_is_a_tap_of_the_requirements_where_tokens_are_compared() {
    let context = context("transformer-48-2-4", "transformer-48-4-4");
    for (keys, masked) in [
        ("kind = 'hidden-states'", true),
        ("kind = 'attention-scores'", true),
        ("kind = 'hint'", true),
        ("kind = 'relational-distance'", false),
        ("kind = 'kd'", false),
    ] {
        let loss = Loss::new(&keys.parse().unwrap(), &context).unwrap();
        let needed = loss.objective.requirements();
        for side in [needed.student, needed.teacher] {
            assert_eq!(side.contains("mask"), masked, "{keys}");
        }
    }
}
