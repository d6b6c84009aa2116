//! Learning without forgetting (LwF): its loss, and its steps.

use crate::common::digits::{Net, batch, optimizer};
use crate::golden::{Golden, assert_same, double};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_architecture::{GrowingNetwork, GrowingNetworkConfig};
use burn_distill_core::{
    Context, Frozen, Knowledge, NewClassCrossEntropy, Objective, OldClasses, tensors,
};
use burn_distill_response::{ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
use burn_distill_strategy::{OfflineDistiller, StepMetrics};

fn soft(epsilon: f64) -> OldClasses<ResponseObjective<SoftCrossEntropyLoss>> {
    let soft = SoftCrossEntropyLossConfig::new()
        .with_temperature(2.0)
        .with_scale_t2(false)
        .with_epsilon(epsilon);
    OldClasses::new(ResponseObjective::new(soft.init(), 1.0))
}

#[test]
fn the_loss_of_old_classes_has_its_golden_value_and_gradient() {
    let device = Device::flex().autodiff();
    // Two new classes follow the three old ones.
    let logits: Tensor<2> = double(
        [
            [2.0, 0.5, -1.0, 9.0, 0.0],
            [0.0, 1.0, 0.5, 0.0, 0.0],
            [1.0, -1.0, 0.3, 5.0, 7.0],
            [0.2, 0.1, 2.0, 0.0, -3.0],
        ],
        &device,
    );
    let logits = logits.require_grad();
    let old = double(
        [
            [3.0, 0.0, -1.0],
            [0.5, 2.0, 0.0],
            [2.0, -2.0, 0.0],
            [0.0, 0.0, 3.0],
        ],
        &device,
    );
    let (student, old) = (
        Knowledge::from_logits(logits.clone()),
        Knowledge::from_logits(old),
    );

    let loss = soft(1e-5).forward(&Context::of(&student, &old)).total();

    let golden = Golden::of("lwf");
    assert_same(loss.clone(), &[golden.number("value")]);
    let gradient = logits.grad(&loss.backward()).unwrap();
    assert_same(
        gradient.clone().narrow(1, 0, 3),
        &golden.numbers("gradient"),
    );
    let new = gradient.narrow(1, 3, 2);
    assert_eq!(new.abs().sum().into_scalar::<f64>(), 0.0);

    // Without the epsilon of the port: the loss of the paper.
    let paper = soft(0.0).forward(&Context::of(&student, &old)).total();
    assert!((paper.into_scalar::<f64>() - 0.905_553_723).abs() < 1e-9);
}

fn student() -> GrowingNetwork<Net> {
    let config = GrowingNetworkConfig::new().with_tap("layer1".into());
    config.init(Net::new(2, 3)).with_head(4)
}

/// Takes three steps of the second task, and returns the student and the old network.
fn learned(student: GrowingNetwork<Net>, old: GrowingNetwork<Net>) -> [GrowingNetwork<Net>; 2] {
    let objective = (NewClassCrossEntropy::new(1.0, 4), soft(0.0));
    let mut model = OfflineDistiller::new(student, Frozen::new(old), objective);
    let mut optimizer = optimizer().init();
    for _ in 0..3 {
        let output = TrainStep::step(&model, batch());
        let values = StepMetrics::read(std::slice::from_ref(&output.item.metrics)).unwrap();
        let names: Vec<_> = values[0]
            .terms
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["cross-entropy", "soft-cross-entropy"]);
        model = model.optimize(&mut optimizer, 0.05.into(), output.grads);
    }
    [model.student, model.teacher.into_inner()]
}

#[test]
fn the_old_network_does_not_change_and_its_heads_learn_only_in_the_paper() {
    let first = student();
    let before = tensors(&first.valid());

    let [of_paper, old] = learned(first.clone().with_head(6), first.clone());
    let [of_port, _] = learned(first.clone().with_head(6).with_frozen_old_heads(), first);

    assert_eq!(tensors(&old), before, "bit by bit");
    let head = |network: &GrowingNetwork<Net>, number: usize| network.heads[number].weight.val();
    let changed = |network: &GrowingNetwork<Net>| {
        let change = head(network, 0).sub(head(&old, 0).to_device(&Device::default().autodiff()));
        change.abs().max().into_scalar::<f32>() > 0.0
    };
    assert!(changed(&of_paper));
    assert!(
        !changed(&of_port),
        "weight decay does not apply to it either"
    );
    for network in [of_paper, of_port] {
        let body = tensors(&network.body.valid());
        assert_ne!(body, tensors(&old.body));
    }
}
