//! Teacher-free distillation (Tf-KD): a network that learns from a frozen copy of itself after a
//! training.

use crate::common::{at, descent, values};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{
    Batch, CrossEntropyObjective, Frozen, Network, Response, TapRecorder, Targets, tensors,
};
use burn_distill_response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill_strategy::OfflineDistiller;

/// A network whose logits do not depend on the input.
#[derive(Module, Debug)]
struct Says {
    logits: Param<Tensor<2>>,
}

impl Says {
    fn new(logits: [[f64; 3]; 4], device: &Device) -> Self {
        Self {
            logits: Param::from_tensor(Tensor::from_data(logits, device)),
        }
    }
}

impl Network for Says {
    type Input = Tensor<2>;

    fn forward_tapped(&self, _: Tensor<2>, _: &mut TapRecorder) -> Response {
        Response::Classes(self.logits.val())
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }
}

#[test]
fn the_loss_agrees_with_that_of_the_authors() {
    let zs = [
        [2.0, 0.5, -1.0],
        [0.0, 1.0, 0.5],
        [1.0, -1.0, 0.3],
        [0.2, 0.1, 2.0],
    ];
    let zt = [
        [3.0, 0.0, -1.0],
        [0.5, 2.0, 0.0],
        [2.0, -2.0, 0.0],
        [0.0, 0.0, 3.0],
    ];
    let device = Device::default().autodiff();
    // `loss_kd_self` of Teacher-free-Knowledge-Distillation with alpha 0.95, a temperature of 6 and
    // a multiplier of 3: its divergence is also a mean over the classes, here three.
    let (alpha, multiplier, classes) = (0.95, 3.0, 3.0);
    let soft = SoftTargetLossConfig::new().with_temperature(6.0).init();
    let objective = (
        CrossEntropyObjective::new(1.0 - alpha),
        ResponseObjective::new(soft, alpha * multiplier / classes),
    );
    let pretrained = Says::new(zt, &device);
    let model = OfflineDistiller::new(Says::new(zs, &device), Frozen::new(pretrained), objective);
    let teacher = tensors(model.teacher.inner());
    let batch = Batch {
        views: vec![Tensor::zeros([4, 1], &device)],
        targets: Targets::classes(Tensor::from_data([0, 1, 0, 2], &device)),
        ids: vec![0, 1, 2, 3],
        clock: at(1, 0),
    };

    let output = TrainStep::step(&model, batch);
    let loss = output.item.loss.clone().into_scalar::<f64>();
    // In single precision, with rounding errors that the square of the temperature multiplies.
    assert!((loss / 0.239921252 - 1.0).abs() < 2e-5, "{loss}");

    let before = values(model.student.logits.val());
    let stepped = model.optimize(&mut descent(), 1.0.into(), output.grads);
    let after = values(stepped.student.logits.val());
    let square: f64 = before.iter().zip(after).map(|(a, b)| (a - b).powi(2)).sum();
    let norm = square.sqrt();
    assert!((norm / 0.201253942 - 1.0).abs() < 1e-5, "{norm}");
    assert_eq!(tensors(stepped.teacher.inner()), teacher);
}

#[test]
fn a_frozen_copy_does_not_change_with_the_network_that_trains() {
    let device = Device::default().autodiff();
    let student = Says::new([[1.0, 0.0, 0.0]; 4], &device);
    let teacher = Frozen::new(student.clone());
    let before = tensors(teacher.inner());
    let model = OfflineDistiller::new(student, teacher, CrossEntropyObjective::new(1.0));
    let batch = Batch {
        views: vec![Tensor::zeros([4, 1], &device)],
        targets: Targets::classes(Tensor::from_data([1, 1, 1, 1], &device)),
        ids: vec![0, 1, 2, 3],
        clock: at(1, 0),
    };

    let output = TrainStep::step(&model, batch);
    let stepped = model.optimize(&mut descent(), 1.0.into(), output.grads);

    assert_ne!(tensors(&stepped.student), before);
    assert_eq!(tensors(stepped.teacher.inner()), before);
}
