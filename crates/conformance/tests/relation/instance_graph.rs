use crate::between_layers::{assert_near, filled, table};
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{
    Clock, Context, Knowledge, MultiLayerLoss, Objective, Response, Tap, TapRecorder, TapSelection,
    Taps, Targets, Weighted,
};
use burn_distill_relation::*;

const STUDENT: [f64; 8] = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 0.5];
const TEACHER: [f64; 12] = [1.0, 2.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 3.0, 2.0, 1.0, 1.0];

fn edges_only() -> InstanceGraphLossConfig {
    InstanceGraphLossConfig::new()
        .with_vertex_weight(0.0)
        .with_edge_weight(1.0)
        .with_transformation_weight(0.0)
}

fn vectors(tensors: impl IntoIterator<Item = Tensor<2>>) -> Vec<Tap> {
    tensors.into_iter().map(Tap::Vector).collect()
}

fn trial(name: &str, loss: InstanceGraphLoss, layers: fn(Tensor<2>) -> Vec<Tensor<2>>) -> Trial<2> {
    Trial::new(name, [4, 2], move |student, teacher| {
        loss.forward_layers(vectors(layers(student)), vectors(layers(teacher)), None)
    })
    .teacher_shape([4, 3])
    .invariant("the order of the samples", |student, teacher| {
        (student.flip([0]), teacher.flip([0]))
    })
    .skip("perfect student", "the shapes differ: see the other tests")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

// Value and gradient of the edges are those of Knowledge-Distillation-Zoo; the others are from
// crates/relation/scripts/between_layers.py, which reproduces a value of SemCKD.
#[test]
fn edges() {
    let alone = |tensor| vec![tensor];
    let golden =
        |trial: Trial<2>, norm| trial.golden(table(STUDENT), table(TEACHER), 0.150600930, norm);
    let anywhere = |trial: Trial<2>| {
        trial.invariant("scale and shift", |student, teacher| {
            let student = student.mul_scalar(3.0).add_scalar(100.0);
            (student, teacher.mul_scalar(-0.2).sub_scalar(5.0))
        })
    };

    let trial_of = trial("edges", edges_only().init(), alone);
    anywhere(golden(trial_of, 0.130861414)).run();

    let detached = edges_only().with_detach_max(true).init();
    let trial_of = trial("edges, the maximum detached", detached, alone);
    anywhere(golden(trial_of, 0.262777693))
        .skip("differences", "the maximum is a constant of the gradient")
        .run();
}

#[test]
fn transformation_of_edges() {
    let config = edges_only().with_transformation_weight(1.0);
    let loss = config
        .with_transformation(GraphTransformation::Edges)
        .init();
    trial("transformation of edges", loss, |tensor| {
        vec![tensor.clone(), tensor.square()]
    })
    .golden(table(STUDENT), table(TEACHER), 0.208327774, 0.103303753)
    .run();
}

/// Creates the layers of a network as in the script: pooled features, and two maps of which the
/// second has twice the channels and half the size.
fn maps(first: f64, second: f64) -> [Tensor<4>; 2] {
    let as_after_relu =
        |frequency: f64| move |n: usize| ((frequency * n as f64).sin() + 0.4).max(0.0);
    [
        filled([3, 2, 4, 4], &as_after_relu(first)),
        filled([3, 4, 2, 2], &as_after_relu(second)),
    ]
}

struct Layers {
    logits: Tensor<2>,
    features: Tensor<2>,
    maps: [Tensor<4>; 2],
}

impl Layers {
    fn student() -> Self {
        Self {
            logits: filled([3, 4], &wave(1.0, 0.7, 0.3)),
            features: filled([3, 5], &wave(1.0, 1.3, 0.0)),
            maps: maps(0.7, 1.3),
        }
    }

    fn teacher() -> Self {
        Self {
            logits: filled([3, 4], &wave(1.0, 1.1, 0.1 + QUARTER)),
            features: filled([3, 6], &wave(1.0, 0.9, QUARTER)),
            maps: maps(0.9, 1.7),
        }
    }

    fn tracked(self) -> Self {
        Self {
            logits: self.logits.autodiff().require_grad(),
            features: self.features.autodiff().require_grad(),
            maps: self.maps.map(|map| map.autodiff().require_grad()),
        }
    }

    fn taps(&self) -> Taps {
        let mut taps = TapRecorder::new(TapSelection::All);
        for (name, map) in ["layer1", "layer2"].into_iter().zip(&self.maps) {
            taps.offer(name, || Tap::Map(map.clone()));
        }
        taps.offer("pool", || Tap::Vector(self.features.clone()));
        taps.finish().unwrap()
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge {
            response: Response::Classes(self.logits.clone()),
            taps: self.taps(),
        }
    }
}

const NAMES: [&str; 3] = ["layer1", "layer2", "pool"];

fn forward(config: InstanceGraphLossConfig, student: &Layers, teacher: &Layers) -> Tensor<1> {
    let objective = Weighted::of(InstanceGraphTerm::new(config.init(), NAMES, NAMES), 1.0);
    let (student, teacher) = (student.knowledge(), teacher.knowledge());
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
    objective.forward(&context).total()
}

#[test]
fn vertices_edges_and_a_transformation() {
    let (student, teacher) = (Layers::student().tracked(), Layers::teacher());

    let loss = forward(InstanceGraphLossConfig::new(), &student, &teacher);
    let grads = loss.clone().backward();

    assert_near("value", loss.into_scalar(), 0.203888381, 2e-5);
    let norm = |gradient: Tensor<1>| gradient.square().sum().sqrt().into_scalar::<f64>();
    let flat = |tensor: &Tensor<2>| norm(tensor.grad(&grads).unwrap().flatten(0, 1));
    assert_near("logits", flat(&student.logits), 0.063980878, 2e-4);
    assert_near("features", flat(&student.features), 0.048836746, 2e-4);
    for (map, expected) in student.maps.iter().zip([0.709661225, 0.954051176]) {
        assert_near(
            "map",
            norm(map.grad(&grads).unwrap().flatten(0, 3)),
            expected,
            2e-4,
        );
    }
}

#[test]
fn the_parts_add_up_to_the_loss() {
    let (student, teacher) = (Layers::student(), Layers::teacher());
    let config = InstanceGraphLossConfig::new()
        .with_vertex_weight(2.0)
        .with_edge_weight(3.0)
        .with_transformation_weight(5.0);
    let taps = |layers: &Layers| NAMES.map(|name| layers.taps().expect(name)).to_vec();

    let parts = config.init().forward_parts(
        &student.knowledge().response,
        &teacher.knowledge().response,
        taps(&student),
        taps(&teacher),
    );

    let [vertex, edge, transformation] = [
        parts.vertex.unwrap(),
        parts.edge,
        parts.transformation.unwrap(),
    ]
    .map(|part| part.into_scalar::<f64>());
    let loss = forward(config, &student, &teacher).into_scalar::<f64>();
    let sum = 2.0 * vertex + 3.0 * edge + 5.0 * transformation;
    assert!((loss / sum - 1.0).abs() < 1e-5, "{loss} is not {sum}");
}

#[test]
fn a_perfect_student_has_no_loss() {
    for transformation in [GraphTransformation::Vertices, GraphTransformation::Edges] {
        let config = InstanceGraphLossConfig::new().with_transformation(transformation);
        let student = Layers::student().tracked();

        let loss = forward(config, &student, &Layers::student());
        let grads = loss.clone().backward();

        assert_eq!(loss.into_scalar::<f32>(), 0.0);
        for map in &student.maps {
            let gradient = map.grad(&grads).unwrap().abs().max().into_scalar::<f32>();
            assert_eq!(gradient, 0.0);
        }
    }
}

#[test]
fn equal_layers_and_single_samples_have_finite_gradients() {
    let device = Device::default();
    for batch_size in [1, 2, 3] {
        let map = |channels: usize, size, value: f32| {
            Tensor::<4>::full([batch_size, channels, size, size], value, &device)
        };
        for value in [0.0, 1.0, 1e4] {
            let layers = |value| Layers {
                logits: Tensor::full([batch_size, 4], value, &device),
                features: Tensor::full([batch_size, 5], value, &device),
                maps: [map(2, 4, value), map(4, 2, value)],
            };
            let student = layers(value).tracked();
            let loss = forward(InstanceGraphLossConfig::new(), &student, &layers(-value));
            let grads = loss.clone().backward();

            assert!(loss.into_scalar::<f32>().is_finite());
            for map in &student.maps {
                let gradient = map.grad(&grads).unwrap();
                assert!(gradient.is_finite().all().into_scalar::<bool>());
            }
        }
    }
}

#[test]
fn samples_that_differ_by_rounding_have_no_edges() {
    let alike = filled([6, 5], &|n| 1e4 * (0.7 * (n % 5) as f64).sin());
    let apart = filled([6, 5], &|n| 1e-5 * (1.3 * n as f64).sin());
    let student = alike.add(apart).autodiff().require_grad();
    let teacher = filled([6, 3], &wave(1.0, 0.9, 0.0));
    let value = |student: Tensor<2>| {
        let loss = edges_only().init();
        loss.forward_layers(vectors([student]), vectors([teacher.clone()]), None)
    };

    let loss = value(student.clone());
    let grads = loss.clone().backward();

    let none = value(Tensor::zeros([6, 5], &Device::default()));
    assert_eq!(loss.into_scalar::<f32>(), none.into_scalar::<f32>());
    let gradient = student.grad(&grads).unwrap().abs().max();
    assert_eq!(gradient.into_scalar::<f32>(), 0.0);
}

#[test]
fn layers_of_the_student_share_the_edges_of_one_or_of_all() {
    let (student, teacher) = (Layers::student().taps(), Layers::teacher().taps());
    let take = |taps: &Taps| NAMES.map(|name| taps.expect(name)).to_vec();
    let value = |pairing, student: Vec<Tap>, teacher: Vec<Tap>| {
        let loss = edges_only().with_pairing(pairing).init();
        loss.forward_layers(student, teacher, None)
            .into_scalar::<f64>()
    };
    let pair = |s: usize, t: usize| {
        let (student, teacher) = (student.expect(NAMES[s]), teacher.expect(NAMES[t]));
        value(LayerPairing::OneToOne, vec![student], vec![teacher])
    };
    for (pairing, pairs) in [
        (LayerPairing::OneToOne, vec![(0, 0), (1, 1), (2, 2)]),
        (LayerPairing::OneToAll, vec![(0, 2), (1, 2), (2, 2)]),
        (
            LayerPairing::AllToAll,
            (0..9).map(|n| (n / 3, n % 3)).collect(),
        ),
    ] {
        let count = pairs.len() as f64;
        let expected = pairs.into_iter().map(|(s, t)| pair(s, t)).sum::<f64>() / count;
        let actual = value(pairing, take(&student), take(&teacher));
        assert_near("value", actual, expected, 1e-5);
    }
}

#[test]
#[should_panic(
    expected = "The next layer after one with 2 channels needs the same or twice the number of channels, found 5"
)]
fn transformations_are_between_maps_of_related_widths() {
    let taps = || {
        let map = |channels| Tap::Map(filled([3, channels, 2, 2], &wave(1.0, 0.7, 0.3)));
        vec![map(2), map(5)]
    };
    let loss = InstanceGraphLossConfig::new().init();
    loss.forward_layers(taps(), taps(), None);
}

#[test]
#[should_panic(
    expected = "the same number of layers of both networks, found 2 of the student and 1 of the teacher"
)]
fn numbers_of_paired_layers_must_match() {
    let layer = filled([3, 4], &wave(1.0, 0.7, 0.3));
    let loss = edges_only().init();
    loss.forward_layers(
        vectors([layer.clone(), layer.clone()]),
        vectors([layer]),
        None,
    );
}

#[test]
#[should_panic(expected = "teacher, [rows, num_classes]")]
fn numbers_of_classes_must_match() {
    let teacher = Layers {
        logits: Tensor::zeros([3, 9], &Device::default()),
        ..Layers::teacher()
    };
    forward(InstanceGraphLossConfig::new(), &Layers::student(), &teacher);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&InstanceGraphLossConfig::new());
    assert_shareable::<InstanceGraphLoss>();
}
