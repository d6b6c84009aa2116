use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];

fn trial(kernel: SelectivityKernel) -> Trial<4> {
    let loss = NeuronSelectivityLossConfig::new()
        .with_kernel(kernel)
        .init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .invariant("the scale of the features", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(0.5))
    })
    .invariant("the order of the channels", |student, teacher| {
        (student.flip([1]), teacher)
    })
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_rep_distiller() {
    const DEFAULT: SelectivityKernel = SelectivityKernel::Polynomial { offset: 0.0 };
    trial(DEFAULT)
        .golden(
            wave(1.0, 0.37, 0.2),
            wave(1.0, 0.23, 0.5 + QUARTER),
            1.2435613,
            0.222067686,
        )
        .invariant("the sign of a feature", |student, teacher| {
            (student.neg(), teacher)
        })
        .run();
    trial(DEFAULT)
        .teacher_shape([2, 5, 4, 4])
        .golden(
            wave(1.0, 0.37, 0.2),
            wave(1.0, 0.19, 0.4 + QUARTER),
            1.15433967,
            0.261642284,
        )
        .skip("perfect student", "the shapes differ")
        .run();
}

/// With the same number of channels and pixels, the other form is computed.
#[test]
fn with_equal_numbers_of_channels_and_pixels() {
    let loss = NeuronSelectivityLossConfig::new().init();
    Trial::new("by pixels", [2, 6, 2, 3], move |student, teacher| {
        loss.forward(student, teacher)
    })
    .in_any_order()
    .minimum(0.0)
    .skip(
        "golden values",
        "the tests of the crate show that both forms agree",
    )
    .skip("impossible classes", "features are finite")
    .run();
}

#[test]
fn the_kernels_of_the_paper() {
    const MEAN: SelectivityKernel = SelectivityKernel::Gaussian { variance: None };
    const UNIT: SelectivityKernel = SelectivityKernel::Gaussian {
        variance: Some(1.0),
    };
    for (kernel, value, norm) in [
        (SelectivityKernel::Linear, 0.838781782, 0.0901468618),
        (MEAN, 0.364414675, 0.0475178347),
        (UNIT, 0.589079491, 0.0868412856),
    ] {
        let (student, teacher) = (wave(1.0, 0.37, 0.2), wave(1.0, 0.19, 0.4 + QUARTER));
        let trial = trial(kernel)
            .teacher_shape([2, 5, 4, 4])
            .golden(student, teacher, value, norm)
            .skip("perfect student", "the shapes differ");
        match kernel == MEAN {
            true => trial
                .skip(
                    "differences",
                    "the variance is a constant, but differences change it",
                )
                .run(),
            false => trial.run(),
        }
    }
}

#[test]
fn equal_neurons_are_the_minimum_of_every_kernel() {
    for kernel in [
        SelectivityKernel::Linear,
        SelectivityKernel::Gaussian { variance: None },
    ] {
        trial(kernel)
            .skip("golden values", "they are above")
            .skip("differences", "they are above")
            .run();
    }
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&NeuronSelectivityLossConfig::new());
    let kernel = SelectivityKernel::Gaussian {
        variance: Some(2.0),
    };
    assert_round_trip(&NeuronSelectivityLossConfig::new().with_kernel(kernel));
    assert_shareable::<NeuronSelectivityLoss>();
}
