use super::*;
use burn::tensor::{Distribution, TensorData, Tolerance};
use burn_distill_core::{parameter_count, tensors};
use std::collections::{BTreeMap, BTreeSet};

const LAYERS: [AdapterKind; 4] = [
    AdapterKind::Conv1x1,
    AdapterKind::Conv3x3,
    AdapterKind::Regressor,
    AdapterKind::Connector,
];

fn device() -> Device {
    Device::default()
}

fn map(shape: [usize; 3]) -> Tap {
    let [channels, height, width] = shape;
    Tap::Map(Tensor::zeros([2, channels, height, width], &device()))
}

fn vector(features: usize) -> Tap {
    Tap::Vector(Tensor::zeros([2, features], &device()))
}

fn sequence(length: usize, features: usize) -> Tap {
    Tap::Sequence(Tensor::zeros([2, length, features], &device()))
}

fn random(tap: &Tap) -> Tap {
    let draw = Distribution::Normal(0.0, 1.0);
    match tap {
        Tap::Vector(tap) => Tap::Vector(tap.random_like(draw)),
        Tap::Sequence(tap) => Tap::Sequence(tap.random_like(draw)),
        Tap::Map(tap) => Tap::Map(tap.random_like(draw)),
        other => other.clone(),
    }
}

fn adapter(kind: AdapterKind, student: &Tap, teacher: &Tap) -> FeatureAdapter {
    FeatureAdapterConfig::new(kind)
        .init(student, teacher, &device())
        .unwrap()
}

fn error(config: FeatureAdapterConfig, student: &Tap, teacher: &Tap) -> String {
    let adapter = config.init(student, teacher, &device());
    adapter.err().unwrap().to_string()
}

fn refused(kind: AdapterKind, student: &Tap, teacher: &Tap) -> String {
    error(FeatureAdapterConfig::new(kind), student, teacher)
}

/// Returns the shapes of the maps of every network of RepDistiller in the test data, by stage.
fn stages_of_the_zoo() -> Vec<BTreeSet<[usize; 3]>> {
    #[derive(serde::Deserialize)]
    struct Network {
        features: Vec<Vec<usize>>,
    }
    let zoo: BTreeMap<String, Network> =
        serde_json::from_str(include_str!("../../../tests/zoo.json")).unwrap();
    let mut stages = vec![BTreeSet::new(); 4];
    for network in zoo.values() {
        for (stage, shape) in stages.iter_mut().zip(&network.features) {
            stage.insert(<[usize; 3]>::try_from(shape.as_slice()).unwrap());
        }
    }
    stages
}

#[test]
fn every_stage_of_the_zoo_is_adapted_to_the_neighboring_stages_of_all_networks() {
    let stages = stages_of_the_zoo();
    let mut pairs = BTreeSet::new();
    for (index, students) in stages.iter().enumerate() {
        let near = &stages[index.saturating_sub(1)..(index + 2).min(stages.len())];
        for student in students {
            pairs.extend(near.iter().flatten().map(|teacher| (*student, *teacher)));
        }
    }
    assert!(pairs.len() > 50);

    for (student_shape, teacher_shape) in pairs {
        let (student, teacher) = (map(student_shape), map(teacher_shape));
        for kind in LAYERS {
            let [channels, height, width] = match kind {
                AdapterKind::Regressor => teacher_shape,
                // A smaller map keeps its size: the loss pools the teacher's.
                _ => {
                    let [channels, height, width] = teacher_shape;
                    let [_, student_height, student_width] = student_shape;
                    [
                        channels,
                        height.min(student_height),
                        width.min(student_width),
                    ]
                }
            };
            let adapted = adapter(kind, &student, &teacher).adapt(student.clone());
            assert_eq!(
                adapted.shape().as_slice(),
                [2, channels, height, width],
                "{kind} from {student_shape:?} to {teacher_shape:?}"
            );
        }
    }
}

#[test]
fn a_regressor_shrinks_by_any_size_and_in_each_direction() {
    for (student, teacher) in [
        ([4, 9, 7], [6, 4, 7]),
        ([4, 32, 32], [6, 8, 8]),
        ([4, 8, 4], [6, 4, 4]),
        ([4, 5, 3], [6, 10, 6]),
        ([4, 1, 1], [6, 1, 1]),
    ] {
        let (student, teacher) = (map(student), map(teacher));
        let adapted = adapter(AdapterKind::Regressor, &student, &teacher).adapt(student);
        assert_eq!(adapted.shape(), teacher.shape());
    }
}

#[test]
fn vectors_and_sequences_keep_their_kind() {
    let kinds = [
        AdapterKind::Linear,
        AdapterKind::Conv1x1,
        AdapterKind::Connector,
    ];
    for kind in kinds {
        for (student, teacher) in [
            (vector(3), vector(5)),
            (sequence(4, 3), sequence(4, 5)),
            (sequence(1, 3), sequence(1, 5)),
        ] {
            for norm in [false, true] {
                let config = FeatureAdapterConfig::new(kind).with_norm(Some(norm));
                let adapter = config.init(&student, &teacher, &device()).unwrap();
                let adapted = adapter.adapt(student.clone());
                assert_eq!(adapted.kind(), teacher.kind());
                assert_eq!(adapted.shape(), teacher.shape());
            }
        }
    }
}

#[test]
fn vectors_are_adapted_to_the_bit_as_maps_of_one_pixel() {
    let device = Device::flex().autodiff();
    let draw = Distribution::Normal(0.0, 1.0);
    let input = Tensor::<2>::random([37, 19], draw, &device);
    let weights = Tensor::<2>::random([37, 23], draw, &device);
    let teacher = Tap::Vector(Tensor::zeros([37, 23], &device));
    for (kind, teacher) in [
        (AdapterKind::Linear, &teacher),
        (AdapterKind::Conv1x1, &teacher),
        (AdapterKind::Connector, &teacher),
        (AdapterKind::None, &Tap::Vector(input.clone())),
    ] {
        for norm in [false, true] {
            let config = FeatureAdapterConfig::new(kind)
                .with_norm(Some(norm))
                .with_activation(norm);
            let student = Tap::Vector(input.clone());
            let made = config.init(&student, teacher, &device).unwrap();
            let made = burn_distill_core::initialize(made);
            let bits = |adapt: &dyn Fn(Tensor<2>) -> Tensor<2>| {
                let input = input.clone().detach().require_grad();
                let output = adapt(input.clone());
                let weights = weights.clone().narrow(1, 0, output.dims()[1]);
                let grads = output.clone().mul(weights).sum().backward();
                let mut all = vec![output.into_data(), input.grad(&grads).unwrap().into_data()];
                match &made.layer {
                    AdapterLayer::Linear(layer) => {
                        all.push(layer.weight.grad(&grads).unwrap().into_data());
                        let bias = layer.bias.as_ref().unwrap();
                        all.push(bias.grad(&grads).unwrap().into_data());
                    }
                    AdapterLayer::Conv(layer) => {
                        all.push(layer.weight.grad(&grads).unwrap().into_data());
                    }
                    _ => {}
                }
                if let Some(norm) = &made.norm {
                    all.push(norm.gamma.grad(&grads).unwrap().into_data());
                    all.push(norm.beta.grad(&grads).unwrap().into_data());
                }
                all
            };

            let as_vector = bits(&|input| made.adapt(Tap::Vector(input)).into_vectors());
            let as_map = bits(&|input| {
                let map = made.forward(Tap::Vector(input).into_map());
                map.flatten(1, 3)
            });

            assert_eq!(as_vector.len(), as_map.len());
            for (index, (vector, map)) in as_vector.iter().zip(&as_map).enumerate() {
                assert_eq!(vector, map, "{kind} with norm {norm}: tensor {index}");
            }
        }
    }
}

#[test]
fn every_token_is_adapted_separately() {
    let (student, teacher) = (random(&sequence(4, 3)), sequence(4, 5));
    let adapter = adapter(AdapterKind::Linear, &student, &teacher);

    let adapted = adapter.adapt(student.clone()).into_sequence();

    let AdapterLayer::Linear(linear) = &adapter.layer else {
        panic!("it is a linear layer");
    };
    let expected = linear.forward(student.into_sequence());
    adapted
        .into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::default());
}

#[test]
fn maps_are_resized_to_any_size() {
    let (student, teacher) = (map([3, 4, 9]), map([5, 8, 3]));
    for (resize, size) in [
        (Resize::Pool, [4, 3]),
        (Resize::Nearest, [8, 3]),
        (Resize::Bilinear, [8, 3]),
    ] {
        for kind in [AdapterKind::Conv1x1, AdapterKind::Conv3x3] {
            let config = FeatureAdapterConfig::new(kind).with_resize(resize);
            let adapter = config.init(&student, &teacher, &device()).unwrap();
            let adapted = adapter.adapt(student.clone()).into_map();
            assert_eq!(adapted.dims(), [2, 5, size[0], size[1]]);
        }
    }
    let resized = FeatureAdapterConfig::new(AdapterKind::None)
        .with_resize(Resize::Bilinear)
        .init(&student, &map([3, 8, 3]), &device())
        .unwrap();
    assert_eq!(resized.adapt(student).into_map().dims(), [2, 3, 8, 3]);
}

#[test]
fn the_number_of_parameters_is_that_of_the_authors() {
    let count = |kind, student, teacher| parameter_count(&adapter(kind, &student, &teacher));
    let (maps, halves) = ((map([3, 8, 8]), map([5, 8, 8])), map([5, 4, 4]));
    let norm = 2 * 5;

    assert_eq!(
        count(AdapterKind::Conv1x1, maps.0.clone(), maps.1.clone()),
        3 * 5 + 5 + norm
    );
    assert_eq!(
        count(AdapterKind::Conv3x3, maps.0.clone(), maps.1.clone()),
        9 * 15 + 5 + norm
    );
    assert_eq!(
        count(AdapterKind::Regressor, maps.0.clone(), maps.1.clone()),
        15 + 5 + norm
    );
    assert_eq!(
        count(AdapterKind::Regressor, maps.0.clone(), halves.clone()),
        9 * 15 + 5 + norm
    );
    assert_eq!(
        count(AdapterKind::Connector, maps.0.clone(), maps.1.clone()),
        15 + norm
    );
    assert_eq!(count(AdapterKind::Linear, vector(3), vector(5)), 15 + 5);
    assert_eq!(count(AdapterKind::None, vector(5), vector(5)), 0);

    let doubles = adapter(AdapterKind::Regressor, &map([3, 4, 4]), &maps.1);
    assert_eq!(parameter_count(&doubles), 16 * 15 + 5 + norm);
}

#[test]
fn connectors_start_with_the_variance_of_the_authors() {
    let (student, teacher) = (map([40, 1, 1]), map([50, 1, 1]));
    let connector = adapter(AdapterKind::Connector, &student, &teacher);

    let weights = tensors(&connector).swap_remove(0).1;
    let count = weights.num_elements() as f64;
    let square: f64 = weights.iter::<f64>().map(|weight| weight * weight).sum();
    let variance = square / count;
    assert_eq!(count, 2000.0);
    assert!((variance / (2.0 / 50.0) - 1.0).abs() < 0.15, "{variance}");
}

#[test]
fn no_adapter_changes_nothing_and_needs_equal_shapes() {
    let student = random(&map([3, 4, 4]));
    let none = adapter(AdapterKind::None, &student, &map([3, 4, 4]));

    let before = student.clone().into_map().into_data();
    none.adapt(student)
        .into_map()
        .into_data()
        .assert_eq(&before, true);
    assert_eq!(
        refused(AdapterKind::None, &map([3, 4, 4]), &map([3, 4, 2])),
        "without an adapter, both taps should have the same shape, \
         but the student's is a map [3, 4, 4] and the teacher's a map [3, 4, 2]"
    );
    refused(AdapterKind::None, &vector(3), &vector(4));
}

#[test]
fn errors_name_both_taps() {
    for (kind, student, teacher, message) in [
        (
            AdapterKind::Conv1x1,
            vector(3),
            map([3, 1, 1]),
            "both taps of an adapter should be of the same kind, \
             but the student's tap is a vector [3] and the teacher's a map [3, 1, 1]",
        ),
        (
            AdapterKind::Linear,
            sequence(4, 3),
            sequence(5, 3),
            "both sequences should have the same number of tokens, \
             but the student's tap is a sequence [4, 3] and the teacher's a sequence [5, 3]",
        ),
        (
            AdapterKind::Linear,
            map([3, 4, 4]),
            map([5, 4, 4]),
            "the adapter `linear` is for vectors and sequences, \
             but the student's tap is a map [3, 4, 4]",
        ),
        (
            AdapterKind::Regressor,
            vector(3),
            vector(4),
            "the adapter `regressor` is for maps, but the student's tap is a vector [3]",
        ),
        (
            AdapterKind::Regressor,
            map([3, 4, 4]),
            map([5, 16, 16]),
            "a regressor halves or doubles a map, or makes it smaller in both directions, \
             but the student's tap is a map [3, 4, 4] and the teacher's a map [5, 16, 16]: \
             use `conv3x3`, which supports all sizes",
        ),
        (
            AdapterKind::Conv1x1,
            Tap::Attention(Tensor::zeros([2, 1, 3, 3], &device())),
            map([5, 16, 16]),
            "the student's tap is attention [1, 3, 3]: \
             only a vector, a sequence or a map has features to adapt",
        ),
    ] {
        assert_eq!(refused(kind, &student, &teacher), message);
    }
    let regressor = FeatureAdapterConfig::new(AdapterKind::Regressor).with_resize(Resize::Nearest);
    assert!(error(regressor, &map([3, 4, 4]), &map([5, 2, 2])).contains("leave out `resize`"));
}

#[test]
fn the_suited_kind_fits() {
    for (student, teacher, kind) in [
        (map([3, 8, 8]), map([5, 4, 4]), AdapterKind::Regressor),
        (map([3, 4, 4]), map([5, 16, 16]), AdapterKind::Conv3x3),
        (vector(3), vector(5), AdapterKind::Linear),
        (sequence(2, 3), sequence(2, 5), AdapterKind::Linear),
    ] {
        assert_eq!(AdapterKind::suited(&student, &teacher), kind);
        adapter(kind, &student, &teacher);
    }
}

#[test]
fn normalization_and_activation_follow_the_layer() {
    let device = device().autodiff();
    let input = Tensor::<2>::random([64, 3], Distribution::Normal(2.0, 3.0), &device);
    let adapt = |config: FeatureAdapterConfig| {
        let (student, teacher) = (Tap::Vector(input.clone()), vector(5));
        let adapter = config.init(&student, &teacher, &device).unwrap();
        adapter.adapt(student).into_vectors()
    };
    let plain = FeatureAdapterConfig::new(AdapterKind::Linear).with_norm(Some(true));

    let normal = adapt(plain.clone());
    let zeros = TensorData::zeros::<f32, _>([1, 5]);
    normal
        .clone()
        .mean_dim(0)
        .into_data()
        .assert_approx_eq::<f32>(&zeros, Tolerance::absolute(1e-4));
    assert!(normal.min().into_scalar::<f32>() < 0.0);
    let active = adapt(plain.with_activation(true));
    assert_eq!(active.min().into_scalar::<f32>(), 0.0);
}

#[test]
fn an_adapter_trains_and_configurations_are_read_back() {
    let device = device().autodiff();
    let (student, teacher) = (
        Tap::Map(Tensor::ones([2, 3, 4, 4], &device)),
        map([5, 8, 8]),
    );
    let config = FeatureAdapterConfig::new(AdapterKind::Regressor).with_activation(true);
    let adapter = config.init(&student, &teacher, &device).unwrap();

    let AdapterLayer::Transposed(conv) = &adapter.layer else {
        panic!("it doubles the size");
    };
    let grads = adapter.adapt(student).into_map().sum().backward();
    assert!(conv.weight.grad(&grads).is_some());

    let text = config.to_string();
    assert!(text.contains(r#""kind":"regressor""#) || text.contains(r#""kind": "regressor""#));
    let read = FeatureAdapterConfig::load_binary(text.as_bytes()).unwrap();
    assert_eq!(read.to_string(), text);
}
