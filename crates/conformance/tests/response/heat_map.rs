//! Heat maps of joints (FPD).

use crate::fixtures::*;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_core::testing::Trial;
use burn_distill_core::testing::{Fill, QUARTER, wave};
use burn_distill_core::{Clock, Context, Knowledge, Objective, Response, Targets};
use burn_distill_response::*;

fn student_maps() -> Fill {
    wave(1.0, 0.37, 0.2)
}

fn teacher_maps() -> Fill {
    wave(1.0, 0.23, 0.5 + QUARTER)
}

#[test]
fn heat_map() {
    let all = HeatMapLossConfig::new().init();
    let some = all.clone();
    // Two samples of three joints, with the visibility of the reference.
    let visible = |maps: &Tensor<4>| {
        let [samples, joints, _, _] = maps.dims();
        let pattern = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0].into_iter().cycle();
        let pattern: Vec<f32> = pattern.take(samples * joints).collect();
        Tensor::from_data(TensorData::new(pattern, [samples, joints]), &maps.device())
    };
    let golden = |trial: Trial<4>, value, norm| {
        trial
            .golden(student_maps(), teacher_maps(), value, norm)
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

fn student(device: &Device) -> Tensor<4> {
    series([2, 3, 4, 4], student_maps(), device)
}

fn teacher(device: &Device) -> Tensor<4> {
    series([2, 3, 4, 4], teacher_maps(), device)
}

fn visibility(device: &Device) -> Tensor<2> {
    Tensor::from_data([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], device)
}

fn criterion() -> HeatMapLoss {
    HeatMapLossConfig::new().init()
}

/// Computes the mean and the gradient of the student.
fn mean_and_gradient(
    student: Tensor<4>,
    teacher: Tensor<4>,
    visibility: Option<Tensor<2>>,
) -> (f64, TensorData) {
    let student = student.require_grad();
    let teacher = teacher.require_grad();
    let loss = criterion().forward(
        student.clone(),
        teacher.clone(),
        visibility,
        Reduction::Mean,
    );
    let grads = loss.clone().backward();
    assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
    let gradient = student.grad(&grads).unwrap().into_data();
    (loss.into_scalar::<f64>(), gradient)
}

fn norm(gradient: &TensorData) -> f64 {
    let square: f64 = gradient.iter::<f64>().map(|value| value * value).sum();
    square.sqrt()
}

#[test]
fn visibility_counts_by_its_square() {
    let device = Device::default();
    let loss = |visibility: f64| {
        let visibility = Tensor::full([2, 3], visibility, &device);
        criterion()
            .forward(
                student(&device),
                teacher(&device),
                Some(visibility),
                Reduction::Mean,
            )
            .into_scalar::<f32>()
    };

    assert!((loss(1.0) - 0.488262).abs() < 1e-5);
    assert!((loss(0.5) - 0.488262 / 4.0).abs() < 1e-5);
}

#[test]
fn the_map_of_a_hidden_joint_does_not_matter() {
    let device = Device::default().autodiff();
    for anything in [f32::NAN, f32::INFINITY] {
        let spoil = |maps: Tensor<4>| {
            let map = Tensor::full([1, 1, 4, 4], anything, &device);
            maps.slice_assign([0..1, 1..2, 0..4, 0..4], map)
        };
        let (value, gradient) = mean_and_gradient(
            spoil(student(&device)),
            spoil(teacher(&device)),
            Some(visibility(&device)),
        );

        assert!((value - 0.274896).abs() < 1e-5, "{value}");
        assert!((norm(&gradient) - 0.075677).abs() < 1e-5, "{gradient}");
    }
}

#[test]
fn extreme_maps_keep_values_and_gradients_finite() {
    let device = Device::default().autodiff();
    let full = |value: f64| Tensor::<4>::full([1, 1, 2, 2], value, &device);
    for (ours, theirs, expected) in [
        (0.0, 0.0, 0.0),
        (1e4, 1e4, 0.0),
        (1e4, -1e4, 2e8), // ½ · (2·10⁴)²
    ] {
        let (value, gradient) = mean_and_gradient(full(ours), full(theirs), None);

        assert_eq!(value, expected);
        assert!(gradient.iter::<f32>().all(f32::is_finite));
    }
}

#[test]
fn half_precision_is_widened() {
    let device = Device::default();
    for dtype in [DType::F16, DType::BF16] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        // The square of 1024 overflows in half precision.
        let student = Tensor::<4>::full([1, 1, 2, 2], 1024.0, (&device, dtype));
        let teacher = student.zeros_like();

        let loss = criterion().forward(student, teacher, None, Reduction::Mean);

        assert_eq!(loss.dtype(), DType::F32);
        assert_eq!(loss.into_scalar::<f32>(), 524288.0);
    }
}

#[test]
fn the_objective_compares_the_responses() {
    let device = Device::default();
    let student = knowledge(Response::Maps(student(&device)));
    let teacher = knowledge(Response::Maps(teacher(&device)));

    let objective = HeatMapObjective::new(criterion(), 0.5);
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
    let terms = objective.forward(&context);

    assert_eq!(terms.iter().next().unwrap().name, "heat-map");
    let total = terms.total().into_scalar::<f64>();
    assert!((total - 0.244131).abs() < 1e-5, "{total}");
}

/// Creates annotated maps.
fn annotation(maps: Tensor<4>, visibility: Option<Tensor<2>>) -> Targets {
    Targets::Maps { maps, visibility }
}

fn total(objective: &impl Objective<Knowledge, Knowledge>, targets: &Targets) -> (f64, TensorData) {
    let device = Device::default().autodiff();
    let maps = student(&device).require_grad();
    let student = knowledge(Response::Maps(maps.clone()));
    let teacher = knowledge(Response::Maps(teacher(&device)));
    let context = Context::new(&student, &teacher, targets, &[], Clock::start());
    let total = objective.forward(&context).total();
    let grads = total.clone().backward();
    let gradient = maps.grad(&grads).unwrap().into_data();
    (total.into_scalar::<f64>(), gradient)
}

#[test]
fn the_objective_takes_the_visibility_of_the_targets() {
    let device = Device::default().autodiff();
    // The annotated maps do not matter to the term of the teacher.
    let zeros = Tensor::zeros([2, 3, 4, 4], &device);
    let targets = annotation(zeros, Some(visibility(&device)));

    let (value, gradient) = total(&HeatMapObjective::new(criterion(), 0.5), &targets);

    assert!((value - 0.5 * 0.274896191).abs() < 1e-5, "{value}");
    let norm = norm(&gradient);
    assert!((norm - 0.5 * 0.0756769713).abs() < 1e-5, "{norm}");
}

#[test]
fn the_annotation_has_a_separate_term() {
    let device = Device::default().autodiff();
    let objective = TargetHeatMaps::new(criterion(), 0.5);
    for (visibility, expected, expected_norm) in [
        (Some(visibility(&device)), 0.274896191, 0.0756769713),
        (None, 0.488262324, 0.100856987),
    ] {
        let targets = annotation(teacher(&device), visibility);
        let (value, gradient) = total(&objective, &targets);

        assert!((value - 0.5 * expected).abs() < 1e-5, "{value}");
        let norm = norm(&gradient);
        assert!((norm - 0.5 * expected_norm).abs() < 1e-5, "{norm}");
    }
    let (value, gradient) = total(&objective, &Targets::Unlabeled);
    assert_eq!((value, norm(&gradient)), (0.0, 0.0));
    assert_eq!(objective.with_name("truth").name, "truth");
}
