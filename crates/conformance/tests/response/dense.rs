//! Losses on what dense predictors say: boxes and maps.

use burn::tensor::{Tensor, TensorData};
use burn_distill_core::reduce_rows;
use burn_distill_core::testing::{QUARTER, Trial, wave};
use burn_distill_response::{BoundedRegressionLossConfig, HeatMapLossConfig};

/// The annotation: sin(0.5 n + 0.9), as many boxes as there are.
fn annotation(boxes: &Tensor<2>) -> Tensor<2> {
    let [rows, columns] = boxes.dims();
    let target: Vec<f64> = (0..rows * columns).map(wave(1.0, 0.5, 0.9)).collect();
    let target = TensorData::new(target, [rows, columns]);
    Tensor::from_data(target, (&boxes.device(), boxes.dtype()))
}

#[test]
fn bounded_regression() {
    for (margin, value, norm) in [
        (0.0, 0.951705627, 0.97555401),
        (1.0, 2.64608256, 1.62667838),
    ] {
        let loss = BoundedRegressionLossConfig::new()
            .with_margin(margin)
            .init();
        let name = format!("{loss}");
        Trial::of_rows(
            name,
            [4, 4],
            move |student: Tensor<2>, teacher: Tensor<2>, reduction| {
                let target = annotation(&student);
                let bounded = loss.forward_bounded(student, teacher, target);
                reduce_rows(bounded, None, &reduction)
            },
        )
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 1.1, 0.1 + QUARTER),
            value,
            norm,
        )
        .invariant(
            "on which side of the annotation the teacher is",
            |student, teacher| {
                let mirrored = annotation(&teacher).mul_scalar(2.0).sub(teacher);
                (student, mirrored)
            },
        )
        .skip(
            "perfect student",
            "a student like its teacher is still pulled to the annotation",
        )
        .skip("impossible classes", "boxes have no classes")
        .skip(
            "extreme inputs",
            "a box has four numbers: in the tests of the loss",
        )
        .skip(
            "differences",
            "the bound is a step, which differences do not see",
        )
        .run();
    }
}

#[test]
fn heat_map() {
    let all = HeatMapLossConfig::new().init();
    let some = all.clone();
    // Two samples of three joints, as many as the visibility of the reference has.
    let visible = |maps: &Tensor<4>| {
        let [samples, joints, _, _] = maps.dims();
        let pattern = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0].into_iter().cycle();
        let pattern: Vec<f32> = pattern.take(samples * joints).collect();
        Tensor::from_data(TensorData::new(pattern, [samples, joints]), &maps.device())
    };
    let golden = |trial: Trial<4>, value, norm| {
        trial
            .golden(
                wave(1.0, 0.37, 0.2),
                wave(1.0, 0.23, 0.5 + QUARTER),
                value,
                norm,
            )
            .minimum(0.0)
            .invariant("the order of the rows of pixels", |student, teacher| {
                (student.flip([2]), teacher.flip([2]))
            })
            .skip("impossible classes", "maps have no classes")
            .run();
    };
    let shape = [2, 3, 4, 4];
    let loss = Trial::of_rows("HeatMapLoss", shape, move |student, teacher, reduction| {
        all.forward(student, teacher, None, reduction)
    });
    golden(loss, 0.488262324, 0.100856987);
    let loss = Trial::of_rows(
        "HeatMapLoss of visible joints",
        shape,
        move |student, teacher, reduction| {
            let visibility = visible(&student);
            some.forward(student, teacher, Some(visibility), reduction)
        },
    );
    golden(loss, 0.274896191, 0.0756769713);
}
