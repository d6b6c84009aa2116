//! Factor transfer from end to end: a paraphraser, then a student.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_architecture::NetworkConfig;
use burn_distill_core::{
    Batch, Clock, CrossEntropyObjective, DynNetwork, Frozen, TapObjective, TapPair, Targets,
    tensors,
};
use burn_distill_feature::{FactorTransferLossConfig, ReconstructionObjective};
use burn_distill_strategy::{Distiller, OfflineDistiller};

fn network(name: &str, device: &Device) -> DynNetwork<Tensor<4>> {
    let config = NetworkConfig::by_name(name).unwrap();
    config.init([1, 8, 8], 3, device).unwrap()
}

fn batch(device: &Device) -> Batch<Tensor<4>> {
    let images = Tensor::arange(0..6 * 64, &device.clone().without_autodiff()).float();
    Batch {
        views: vec![images.mul_scalar(0.37).sin().reshape([6, 1, 8, 8])],
        targets: Targets::classes(Tensor::from_data([0, 1, 2, 0, 1, 2], device)),
        ids: (0..6).collect(),
        clock: Clock::start(),
    }
}

/// Takes steps of Adam and returns the loss before each.
fn train<M: Distiller<Tensor<4>>>(mut model: M, batch: &Batch<Tensor<4>>) -> (M, Vec<f32>) {
    let mut optimizer = AdamConfig::new().init();
    let mut losses = Vec::new();
    for _ in 0..20 {
        let output = TrainStep::step(&model, batch.clone());
        losses.push(output.item.loss.into_scalar::<f32>());
        model = optimizer.step(0.01, model, output.grads);
    }
    (model, losses)
}

#[test]
fn a_trained_paraphraser_distills_a_student() {
    let device = Device::default().autodiff();
    let batch = batch(&device);
    let student = network("convnet-4-6", &device);
    let teacher = network("convnet-6-8", &device);

    let config = FactorTransferLossConfig::new();
    let objective = ReconstructionObjective::new(config.paraphraser(8, &device), "layer2");
    let first_stage = OfflineDistiller::new(
        Frozen::new(student.clone()),
        Frozen::new(teacher.clone()),
        objective,
    );
    let before = tensors(&first_stage.objective);
    let student_before = tensors(first_stage.student.inner());
    let teacher_before = tensors(first_stage.teacher.inner());

    let (first_stage, losses) = train(first_stage, &batch);

    let last = losses[losses.len() - 1];
    assert!(last < 0.8 * losses[0], "{losses:?}");
    for (after, before) in tensors(&first_stage.objective).iter().zip(&before) {
        assert_ne!(after, before);
    }
    assert_eq!(tensors(first_stage.student.inner()), student_before);
    assert_eq!(tensors(first_stage.teacher.inner()), teacher_before);

    let loss = config.init(6, first_stage.objective.paraphraser, &device);
    let paraphraser_before = tensors(loss.paraphraser.inner());
    let translator_before = tensors(&loss.translator);
    let factors = TapObjective::new([TapPair::new("layer2", "layer2", loss)], 10.0);
    let objective = (CrossEntropyObjective::new(1.0), factors);
    let second_stage = OfflineDistiller::new(student, Frozen::new(teacher), objective);

    let (second_stage, losses) = train(second_stage, &batch);

    assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");
    let loss = &second_stage.objective.1.term.pairs[0].loss;
    assert_eq!(tensors(loss.paraphraser.inner()), paraphraser_before);
    assert_eq!(tensors(second_stage.teacher.inner()), teacher_before);
    for (after, before) in tensors(&loss.translator).iter().zip(&translator_before) {
        assert_ne!(after, before);
    }
    for (after, before) in tensors(&second_stage.student).iter().zip(&student_before) {
        assert_ne!(after, before);
    }
}

#[test]
fn records_hold_the_translator_and_not_the_paraphraser() {
    let device = Device::default();
    let config = FactorTransferLossConfig::new();
    let loss = config.init(6, config.paraphraser(8, &device), &device);

    assert_eq!(tensors(&loss).len(), tensors(&loss.translator).len());
}

#[test]
fn a_frozen_paraphraser_keeps_its_statistics() {
    let device = Device::default().autodiff();
    let config = FactorTransferLossConfig::new().with_paraphraser_norm(true);
    let objective = ReconstructionObjective::new(config.paraphraser(4, &device), "layer2");
    let map = || Tensor::<4>::ones([2, 4, 3, 3], &device);
    let grads = objective.loss(map()).backward();
    assert!(!GradientsParams::from_grads(grads, &objective).is_empty());

    let loss = config.init(6, objective.paraphraser, &device);
    let before = tensors(loss.paraphraser.inner());
    loss.forward(Tensor::ones([2, 6, 3, 3], &device), map());

    assert_eq!(tensors(loss.paraphraser.inner()), before, "statistics too");
}
