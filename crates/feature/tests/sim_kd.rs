//! SimKD from end to end: a student that reuses its teacher's classifier.

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_architecture::{NetworkConfig, ReusedClassifier, ReusedClassifierConfig};
use burn_distill_core::{
    Batch, Clock, CrossEntropyObjective, DynNetwork, Frozen, Network, TapObjective, TapPair,
    Targets, tensors,
};
use burn_distill_feature::SimKdLossConfig;
use burn_distill_strategy::OfflineDistiller;

type Images = DynNetwork<Tensor<4>>;

fn network(name: &str, device: &Device) -> Images {
    let config = NetworkConfig::by_name(name).unwrap();
    config.init([1, 8, 8], 3, device).unwrap()
}

fn wrapped(teacher: &Images, device: &Device) -> ReusedClassifier<Images> {
    let student = network("convnet-4-6", device);
    ReusedClassifierConfig::new().init((student, "layer2"), (teacher, "layer2"))
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

fn logits(network: &impl Network<Input = Tensor<4>>, batch: &Batch<Tensor<4>>) -> Tensor<2> {
    let response = network.valid().forward(batch.view().clone());
    response.classes().unwrap().clone()
}

#[test]
fn student_and_projector_are_trained_and_the_classifier_is_constant() {
    let device = Device::default().autodiff();
    let batch = batch(&device);
    let teacher = network("convnet-6-8", &device);
    let student = wrapped(&teacher, &device);
    let loss = SimKdLossConfig::new().init();
    let features = TapPair::new(ReusedClassifierConfig::TAP, "layer2", loss);
    // SimKD itself does not use the labels: here their gradient flows through the classifier.
    let objective = (
        CrossEntropyObjective::new(1.0),
        TapObjective::new([features], 1.0),
    );
    // The same steps as in `Training` and in burn's training loop.
    let mut model = OfflineDistiller::new(student, Frozen::new(teacher.clone()), objective)
        .valid()
        .train()
        .fork(&device);
    let before = tensors(&model.student);
    let mut optimizer = SgdConfig::new()
        .with_momentum(Some(MomentumConfig::new()))
        .with_weight_decay(Some(WeightDecayConfig::new(0.1)))
        .init();

    let mut losses = Vec::new();
    for _ in 0..20 {
        let output = TrainStep::step(&model, batch.clone());
        losses.push(output.item.loss.into_scalar::<f32>());
        model = optimizer.step(0.05, model, output.grads);
    }

    // By how much depends on the weights that are drawn.
    assert!(losses[19] < losses[0], "{losses:?}");
    for ((path, after), (_, before)) in tensors(&model.student).iter().zip(&before) {
        // The student's own classifier is unused.
        let constant = path.starts_with("classifier") || path.starts_with("student.fc");
        assert_eq!(after == before, constant, "{path}");
    }
    let classifier = teacher.classifier().unwrap();
    assert_eq!(tensors(&model.student.classifier), tensors(&classifier));
    // The classifier of the original teacher is still trainable.
    let grads = teacher.forward(batch.view().clone().autodiff());
    let grads = grads.classes().unwrap().clone().sum().backward();
    assert!(classifier.weight.grad(&grads).is_some());
}

#[test]
fn the_record_holds_everything_deployed() {
    let device = Device::default();
    let batch = batch(&device);
    let original = wrapped(&network("convnet-6-8", &device), &device);
    let expected = logits(&original, &batch);

    let other = wrapped(&network("convnet-6-8", &device), &device);
    assert_ne!(tensors(&other.classifier), tensors(&original.classifier));
    let loaded = other.load_record(original.into_record());

    expected
        .into_data()
        .assert_eq(&logits(&loaded, &batch).into_data(), true);
    let weight = &loaded.train().classifier.weight;
    assert!(!weight.is_require_grad(), "still constant after a resume");
}
