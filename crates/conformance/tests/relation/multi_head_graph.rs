use crate::between_layers::{assert_golden, filled, sine_map, two_positive_layers};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_relation::*;

/// Creates the heads of the script: the first two linear layers are waves, and the normalization is
/// the identity.
fn heads() -> AttentionHeads {
    let device = Device::default();
    let mut heads = MultiHeadGraphConfig::new()
        .with_heads(2)
        .init_heads(&[4, 3], &device);
    let attention = &mut heads.layers[0];
    attention.sender.weight = Param::from_tensor(filled([3, 6], &wave(1.0, 0.5, 0.1)));
    attention.receiver.weight = Param::from_tensor(filled([4, 6], &wave(1.0, 0.4, QUARTER)));
    heads
}

fn direction(frequency: f64, channels: usize) -> Tensor<2> {
    filled([4, channels], &wave(1.0, frequency, 0.2))
}

// From crates/relation/scripts/between_layers.py: the code of the authors is in TensorFlow 1.
#[test]
fn graphs_are_compared_row_by_row() {
    let config = MultiHeadGraphConfig::new().with_heads(2);
    // Two heads of four samples.
    for (divergence, average, value, norms) in [
        (
            GraphDivergence::Reverse,
            false,
            0.011151268,
            [0.165342167, 0.030946981],
        ),
        (
            GraphDivergence::Forward,
            false,
            0.011211392,
            [0.166370341, 0.031158137],
        ),
        (
            GraphDivergence::Reverse,
            true,
            0.011151268 / 8.0,
            [0.165342167 / 8.0, 0.030946981 / 8.0],
        ),
    ] {
        let config = config
            .clone()
            .with_divergence(divergence)
            .with_average(average);
        let loss = config.init(heads());
        let teacher = [direction(0.6, 4), direction(1.1, 3)];
        assert_golden(
            vec![direction(0.9, 4), direction(0.7, 3)],
            |student| loss.forward_directions(&student, &teacher),
            value,
            &norms,
        );
    }
}

#[test]
fn trial() {
    let config = MultiHeadGraphConfig::new();
    // The layers of the suite have this number of channels.
    let heads = config.init_heads(&[4, 2], &Device::default());
    let heads = heads.map(&mut Waves(0));
    Trial::new("multi-head graph", [3, 4, 3, 2], move |student, teacher| {
        let precision = match student.dtype() {
            DType::F64 => DType::F64,
            _ => DType::F32,
        };
        let heads = heads.clone().map(&mut Precision(precision));
        let (student, teacher) = (two_positive_layers(student), two_positive_layers(teacher));
        config.init(heads).forward(student, teacher)
    })
    .minimum(0.0)
    .invariant("the sign of the features", |student, teacher| {
        (student.neg(), teacher)
    })
    .invariant("the order of the pixels", |student, teacher| {
        (student.flip([2]), teacher.flip([3]))
    })
    .skip("golden values", "above")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
    .run();
}

/// Sets parameters that no generator draws.
struct Waves(usize);

impl ModuleMapper for Waves {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        let phase = self.0 as f64;
        // The scales and variances are not changed.
        param.map(|tensor| match D {
            1 => tensor,
            _ => filled(tensor.dims(), &wave(0.8, 1.3, phase)),
        })
    }
}

/// Converts all parameters to a precision.
struct Precision(DType);

impl ModuleMapper for Precision {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

#[test]
fn frozen_heads_do_not_train_with_the_student() {
    let device = Device::default().autodiff();
    let heads = MultiHeadGraphConfig::new().init_heads(&[3, 4], &device);
    let loss = MultiHeadGraphConfig::new().init(heads.clone());
    let maps = [sine_map(0.7, 3, 4), sine_map(1.3, 4, 2)];
    let student: Vec<_> = maps
        .clone()
        .map(|map| map.autodiff().require_grad())
        .to_vec();
    let teacher = vec![sine_map(0.9, 3, 4), sine_map(1.7, 4, 2)];

    let grads = loss.forward(student.clone(), teacher).backward();

    assert!(student[0].grad(&grads).is_some());
    assert!(heads.layers[0].sender.weight.val().grad(&grads).is_none());
    assert_eq!(Module::num_params(&loss), 0);
}

#[test]
#[should_panic(expected = "`series` should be from 1 to 1000, but is 0")]
fn the_gradient_has_a_term() {
    let config = MultiHeadGraphConfig::new().with_series(0);
    config.init(config.init_heads(&[3, 4], &Device::default()));
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&MultiHeadGraphConfig::new());
    assert_shareable::<MultiHeadGraphLoss>();
}
