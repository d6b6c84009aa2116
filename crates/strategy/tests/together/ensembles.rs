//! What networks that have learnt together say as one.

use crate::common::{at, batch};
use crate::native_ensemble::native;
use crate::toys::{Counted, samples, terms, values};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Batch, Hard, Network, tensors};
use burn_distill_strategy::{MeanEnsemble, MeanOf};

fn networks(device: &Device) -> Vec<Counted> {
    [0.3, 1.1, 2.4]
        .map(|seed| Counted::new(seed, device))
        .into()
}

fn logits<N: Network<Input = Tensor<2>>>(network: &N, batch: &Batch<Tensor<2>>) -> Tensor<2> {
    let response = network.forward(batch.view().clone());
    response.classes().unwrap().clone()
}

fn assert_close(found: Tensor<2>, expected: Tensor<2>) {
    let pairs = values(found).into_iter().zip(values(expected));
    for (found, expected) in pairs {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

#[test]
fn a_mean_is_of_probabilities_or_of_logits() {
    let device = Device::default();
    let (networks, batch) = (networks(&device), samples(at(1, 0), &device));
    let each: Vec<_> = networks
        .iter()
        .map(|network| logits(network, &batch))
        .collect();
    let [a, b, c] = each.try_into().unwrap();

    let mean = MeanEnsemble::new(networks.clone(), MeanOf::Logits);
    let expected = (a.clone() + b.clone() + c.clone()).div_scalar(3.0);
    assert_close(logits(&mean, &batch), expected);

    let mean = MeanEnsemble::new(networks, MeanOf::Probabilities);
    let expected = (softmax(a, 1) + softmax(b, 1) + softmax(c, 1)).div_scalar(3.0);
    assert_close(logits(&mean, &batch).exp(), expected);
}

#[test]
fn certainties_are_finite() {
    let device = Device::default();
    let mut networks = networks(&device);
    for network in &mut networks {
        network.weight = network.weight.clone().map(|weight| weight.mul_scalar(1e6));
    }
    let mean = MeanEnsemble::new(networks, MeanOf::Probabilities);

    let logits = values(logits(&mean, &samples(at(1, 0), &device)));
    assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
}

#[test]
fn all_branches_say_what_is_shown_of_them() {
    let device = Device::default().autodiff();
    let model = native(&device).valid();
    let device = device.without_autodiff();
    let batch = batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device);

    let shown = terms(&model.forward(&batch).figures);
    let ensemble = model.ensemble();
    let loss = Hard::cross_entropy(logits(&ensemble, &batch), &batch.targets);

    let loss = f64::from(loss.into_scalar::<f32>());
    assert!(
        (loss - shown["ensemble hard"]).abs() < 1e-6,
        "{loss}: {shown:?}"
    );
    let names: Vec<_> = tensors(&ensemble)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        names.iter().any(|name| name == "gate.fc.weight"),
        "{names:?}"
    );
}

#[test]
#[should_panic(expected = "An ensemble is of one network at least.")]
fn nobody_is_no_ensemble() {
    MeanEnsemble::<Counted>::new(Vec::new(), MeanOf::Logits);
}
