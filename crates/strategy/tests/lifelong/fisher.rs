//! The diagonal of the Fisher information.

use crate::common::{Counted, at, samples};
use crate::golden::{Batches, Golden, Net, assert_same};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Targets, tensors};
use burn_distill_strategy::{FisherConfig, FisherGradients, FisherLabels};

fn config(gradients: FisherGradients, labels: FisherLabels) -> FisherConfig {
    FisherConfig::new()
        .with_gradients(gradients)
        .with_labels(labels)
}

#[test]
fn every_form_has_its_golden_values() {
    let device = Device::flex().autodiff();
    let (network, batches) = (Net::new(&device), Batches::new(&device));
    use FisherGradients::{BatchMean, PerSample};
    use FisherLabels::{Expected, Given, Predicted};
    for (gradients, labels, name) in [
        (BatchMean, Predicted, "batch-mean predicted"),
        (BatchMean, Given, "batch-mean given"),
        (PerSample, Predicted, "per-sample predicted"),
        (PerSample, Given, "per-sample given"),
        (PerSample, Expected, "per-sample expected"),
    ] {
        let information = config(gradients, labels).compute(&network, &batches, &[]);

        let expected = Golden::of("fisher").numbers(name);
        assert_same(information.unwrap(), &expected);
    }
}

#[test]
fn skipped_parts_are_left_out() {
    let device = Device::flex().autodiff();
    let (network, batches) = (Net::new(&device), Batches::new(&device));

    let information = FisherConfig::new().compute(&network, &batches, &["output".into()]);

    let expected = &Golden::of("fisher").numbers("batch-mean predicted")[..16];
    assert_same(information.unwrap(), expected);
}

#[test]
fn neither_form_changes_the_network() {
    let device = Device::flex().autodiff();
    let network = Counted::new(0.3, &device);
    let before = (tensors(&network), network.statistics());
    let batches = || Batches(vec![samples(at(1, 0), &device)]);

    let in_training = FisherConfig::new().compute(&network, &batches(), &[]);
    let passes = network.asked();
    let by_sample = config(FisherGradients::PerSample, FisherLabels::Given);
    let by_sample = by_sample.compute(&network, &batches(), &[]).unwrap();

    assert_eq!((tensors(&network), network.statistics()), before);
    // On autodiff in both, but the statistics of one sample alone would hide its features.
    assert_eq!((passes, network.asked()), ((1, 0), (4, 0)));
    assert!(!in_training.unwrap().contains_nan().into_scalar::<bool>());
    assert!(by_sample.sum().into_scalar::<f32>() > 0.0);
}

#[test]
fn unlabeled_samples_add_nothing_to_the_empirical_information() {
    let device = Device::flex().autodiff();
    let network = Net::new(&device);
    let mut batches = Batches::new(&device);
    for batch in &mut batches.0 {
        batch.targets = Targets::labels(&vec![None; batch.len()], &device);
    }
    for gradients in [FisherGradients::BatchMean, FisherGradients::PerSample] {
        let given = config(gradients, FisherLabels::Given);
        let information: Tensor<1> = given.compute(&network, &batches, &[]).unwrap();

        assert_eq!(information.abs().sum().into_scalar::<f64>(), 0.0);
    }
}

#[test]
#[should_panic(expected = "`labels` should be predicted or given for gradients of batches")]
fn an_expected_value_of_batches_is_refused() {
    let device = Device::flex().autodiff();
    let expected = FisherConfig::new().with_labels(FisherLabels::Expected);
    let _ = expected.compute(&Net::new(&device), &Batches::new(&device), &[]);
}

#[test]
#[should_panic(expected = "give a loader for `device.autodiff()`")]
fn batches_without_autodiff_are_refused() {
    let device = Device::flex();
    let network = Net::new(&device.clone().autodiff());
    let _ = FisherConfig::new().compute(&network, &Batches::new(&device), &[]);
}
