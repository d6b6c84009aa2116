use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Tap, TapObjective, TapPair, TapRecorder,
    TapSelection, Targets,
};
use burn_distill_relation::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

#[test]
fn matches_the_code_of_the_authors_without_the_embedding() {
    // The teacher of another size in double precision from the formula, by a complex step.
    for (teacher_shape, value, norm) in [
        (SHAPE, 0.036764873, 0.049328531),
        ([2, 3, 6, 6], 0.0344341529, 0.0807726609),
    ] {
        let loss = InterChannelCorrelationLossConfig::new().init();
        Trial::new(format!("{loss}"), SHAPE, move |s, t| loss.forward(s, t))
            .teacher_shape(teacher_shape)
            .golden(activation(0.7), activation(0.9), value, norm)
            .minimum(0.0)
            .invariant("the order of the batch", reordered)
            .invariant("the scale of the features", scaled)
            .invariant("the order of the pixels", |student, teacher| {
                (student.flip([2]), teacher.swap_dims(2, 3))
            })
            .skip(
                "impossible classes",
                "features are finite: there is nothing to exclude",
            )
            .run();
    }
}

#[test]
fn the_embedding_trains_with_the_student() {
    let device = Device::default().autodiff();
    let knowledge = |channels: usize, size: usize| {
        let mut taps = TapRecorder::new(TapSelection::All);
        let map = features(4, channels * size * size, 0.7)
            .reshape([4, channels, size, size])
            .autodiff();
        taps.offer("layer3", || Tap::Map(map));
        Knowledge {
            response: Response::Classes(Tensor::zeros([4, 2], &device)),
            taps: taps.finish().unwrap(),
        }
    };
    let (student, teacher) = (knowledge(3, 4), knowledge(5, 2));
    let embedding = ChannelEmbeddingConfig::new(3, 5).init(&device);
    let loss = InterChannelCorrelationLossConfig::new().init();
    let pair = TapPair::new("layer3", "layer3", loss).with_adapter(embedding);
    let objective = TapObjective::new([pair], 2.5);

    let terms = objective.forward(&Context::new(
        &student,
        &teacher,
        &Targets::Unlabeled,
        &[],
        Clock::start(),
    ));
    let grads = terms.iter().next().unwrap().value.clone().backward();

    let embedding = &objective.term.pairs[0].adapter;
    assert!(embedding.conv.bias.is_none());
    for gradient in [
        embedding.conv.weight.grad(&grads).map(|g| g.abs().sum()),
        embedding.norm.gamma.grad(&grads).map(|g| g.abs().sum()),
    ] {
        let gradient = gradient.expect("the embedding has a gradient");
        assert!(gradient.into_scalar::<f32>() > 0.0);
    }
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&InterChannelCorrelationLossConfig::new());
    assert_round_trip(&ChannelEmbeddingConfig::new(64, 256));
    assert_shareable::<InterChannelCorrelationLoss>();
    assert_shareable::<ChannelEmbedding>();
}
