use crate::between_layers::{assert_golden, sine_map, two_positive_layers};
use burn::tensor::Tensor;
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn maps(frequencies: [f64; 2], channels: usize, size: usize) -> Vec<Tensor<4>> {
    vec![
        sine_map(frequencies[0], channels, size),
        sine_map(frequencies[1], 6, 3),
    ]
}

// The first is that of RepDistiller; all are from crates/relation/scripts/between_layers.py, whose
// decomposition is that of LAPACK.
#[test]
fn matches_the_code_of_the_authors() {
    for (rank, channels, size, value, norms) in [
        (1, 5, 4, 0.000769677, [0.000470701, 0.000898345]),
        (2, 5, 4, 0.014019955, [0.003174795, 0.011070435]),
        // Fewer pixels than channels.
        (1, 9, 2, 0.005107352, [0.003663793, 0.004241780]),
    ] {
        let loss = SingularVectorLossConfig::new().with_rank(rank).init();
        let student = maps([0.7, 1.3], channels, size);
        let teacher = maps([0.9, 1.7], channels, size);
        let forward = |student| loss.forward(student, teacher);
        assert_golden(student, forward, value, &norms);
    }
}

#[test]
fn trial() {
    for rank in [1, 2] {
        let loss = SingularVectorLossConfig::new().with_rank(rank).init();
        Trial::new(format!("{loss}"), [3, 4, 3, 2], move |student, teacher| {
            loss.forward(two_positive_layers(student), two_positive_layers(teacher))
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

fn value(student: Vec<Tensor<4>>, teacher: Vec<Tensor<4>>) -> f64 {
    let loss = SingularVectorLossConfig::new().init();
    loss.forward(student, teacher).into_scalar()
}

#[test]
fn scale_sign_and_order_of_the_channels_do_not_matter() {
    let (student, teacher) = (maps([0.7, 1.3], 5, 4), maps([0.9, 1.7], 5, 4));
    let expected = value(student.clone(), teacher.clone());
    let each = |maps: &[Tensor<4>], change: fn(Tensor<4>) -> Tensor<4>| -> Vec<_> {
        maps.iter().cloned().map(change).collect()
    };
    for (name, actual) in [
        (
            "size",
            value(
                each(&student, |map| map.mul_scalar(300.0)),
                each(&teacher, |map| map.mul_scalar(0.02)),
            ),
        ),
        (
            "sign",
            value(each(&student, Tensor::neg), each(&teacher, Tensor::neg)),
        ),
        (
            "order",
            value(
                each(&student, |map| map.flip([1])),
                each(&teacher, |map| map.flip([1])),
            ),
        ),
    ] {
        let error = (actual - expected).abs() / expected;
        assert!(error < 1e-3, "{name}: {actual} is not {expected}");
    }
}

#[test]
#[should_panic(expected = "`rank` should be from 1 to 65536, but is 0")]
fn the_number_of_vectors_must_not_be_zero() {
    SingularVectorLossConfig::new().with_rank(0).init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&SingularVectorLossConfig::new());
    assert_shareable::<SingularVectorLoss>();
}
