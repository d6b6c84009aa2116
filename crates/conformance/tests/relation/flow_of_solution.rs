use crate::between_layers::{assert_golden, assert_near, sine_map, two_layers};
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

/// Creates maps of two sizes, of which the larger is pooled.
fn student() -> Vec<Tensor<4>> {
    vec![sine_map(0.7, 3, 4), sine_map(1.3, 4, 2)]
}

fn teacher() -> Vec<Tensor<4>> {
    vec![sine_map(0.9, 3, 4), sine_map(1.7, 4, 2)]
}

// The first is that of RepDistiller; all are from crates/relation/scripts/between_layers.py.
#[test]
fn matches_each_reference_implementation() {
    let mean = FlowOfSolutionLossConfig::new;
    for (config, value, norms) in [
        (mean(), 0.009395078, [0.009108849, 0.016933681]),
        (
            mean().with_distance(FlowDistance::HalfSquare),
            0.056370467,
            [0.054653093, 0.101602083],
        ),
        (
            mean().with_distance(FlowDistance::HalfSquarePerEntry),
            0.004697539,
            [0.004554424, 0.008466840],
        ),
        (
            mean().with_distance(FlowDistance::ColumnNorm),
            0.636013215,
            [0.347739851, 0.552185672],
        ),
        (
            mean().with_pooling(FlowPooling::Max),
            0.045425276,
            [0.035969656, 0.090906848],
        ),
    ] {
        let loss = config.init();
        let forward = |student| loss.forward(student, teacher());
        assert_golden(student(), forward, value, &norms);
    }
}

#[test]
fn pairs_are_summed_or_averaged() {
    let three = |maps: Vec<Tensor<4>>| [maps.clone(), vec![maps[0].clone()]].concat();
    let value = |average, student, teacher| {
        let config = FlowOfSolutionLossConfig::new().with_average_pairs(average);
        config.init().forward(student, teacher).into_scalar::<f64>()
    };
    let sum = value(false, three(student()), three(teacher()));

    // The flow in the other direction is transposed.
    assert_near("sum", sum, 2.0 * 0.009395078, 2e-5);
    let mean = value(true, three(student()), three(teacher()));
    assert_near("mean", mean, 0.009395078, 2e-5);
}

#[test]
fn products_are_of_all_pairs_of_channels() {
    let (maps, others) = (
        two_layers(sine_map(0.7, 5, 3)),
        two_layers(sine_map(0.9, 5, 3)),
    );
    // [batch_size, channels, next_channels, height, width], as RepDistiller multiplies.
    let flow = |maps: &[Tensor<4>]| {
        let product = maps[0]
            .clone()
            .unsqueeze_dim::<5>(2)
            .mul(maps[1].clone().unsqueeze_dim(1));
        product.mean_dim(4).mean_dim(3)
    };
    let expected = flow(&maps)
        .sub(flow(&others))
        .square()
        .mean()
        .into_scalar::<f64>();

    let loss = FlowOfSolutionLossConfig::new().init().forward(maps, others);

    assert_near("value", loss.into_scalar(), expected, 1e-4);
}

#[test]
fn trial() {
    for distance in [FlowDistance::MeanSquare, FlowDistance::ColumnNorm] {
        let config = FlowOfSolutionLossConfig::new().with_distance(distance);
        let loss = config.init();
        Trial::new(format!("{loss}"), [3, 4, 2, 3], move |student, teacher| {
            loss.forward(two_layers(student), two_layers(teacher))
        })
        .minimum(0.0)
        .invariant("the order of the pixels", |student, teacher| {
            (student.flip([2]), teacher.flip([3]))
        })
        .skip("golden values", "tested above, with maps of two sizes")
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
        .run();
    }
}

#[test]
#[should_panic(expected = "teacher, [batch_size, channels, _, _]")]
fn numbers_of_channels_must_match() {
    let narrow = vec![sine_map(0.9, 3, 4), sine_map(1.7, 3, 2)];
    FlowOfSolutionLossConfig::new()
        .init()
        .forward(student(), narrow);
}

#[test]
#[should_panic(expected = "The student needs at least 2 layers, found 1.")]
fn a_flow_needs_two_layers() {
    let one = |maps: Vec<Tensor<4>>| maps[..1].to_vec();
    let loss = FlowOfSolutionLossConfig::new().init();
    loss.forward(one(student()), one(teacher()));
}

#[test]
#[should_panic(expected = "needs a size that is a multiple of 3×3, found 4×4")]
fn max_pooling_needs_divisible_sizes() {
    let config = FlowOfSolutionLossConfig::new().with_pooling(FlowPooling::Max);
    let maps = vec![sine_map(0.9, 3, 4), sine_map(1.7, 3, 3)];
    config.init().forward(maps.clone(), maps);
}

#[test]
fn without_samples_the_loss_is_a_connected_zero() {
    let device = Device::default();
    let none = [[0, 3, 4, 4], [0, 4, 2, 2]].map(|shape| Tensor::<4>::zeros(shape, &device));
    let student = none.clone().map(|map| map.autodiff().require_grad());

    let loss = FlowOfSolutionLossConfig::new().init();
    let loss = loss.forward(student.to_vec(), none.to_vec());

    loss.clone().backward();
    assert_eq!(loss.into_scalar::<f32>(), 0.0);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&FlowOfSolutionLossConfig::new());
    assert_shareable::<FlowOfSolutionLoss>();
}
