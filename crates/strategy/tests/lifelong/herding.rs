//! Exemplars by herding.

use crate::golden::{Golden, assert_same, double};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_architecture::mean_features;
use burn_distill_strategy::herding;

fn features() -> Tensor<2> {
    let features = Golden::of("herding").numbers("features");
    double(TensorData::new(features, [12, 4]), &Device::flex())
}

#[test]
fn the_order_is_that_of_the_algorithm() {
    let order = Golden::of("herding").numbers("order");
    let order: Vec<_> = order.into_iter().map(|place| place as usize).collect();

    assert_eq!(herding(features(), 7), order);
    assert_eq!(herding(features(), 3), order[..3]);
}

#[test]
fn the_mean_of_the_exemplars_has_unit_length() {
    let chosen: Vec<_> = herding(features(), 5).iter().map(|&at| at as i64).collect();
    let chosen = Tensor::<1, Int>::from_data(chosen.as_slice(), &Device::flex());

    let mean = mean_features(features().select(0, chosen));

    assert_same(mean, &Golden::of("herding").numbers("mean_of_five"));
}

#[test]
fn all_samples_are_chosen_once_if_there_are_fewer() {
    let mut all = herding(features(), 100);
    all.sort_unstable();

    assert_eq!(all, (0..12).collect::<Vec<_>>());
    let none = Tensor::<2>::zeros([0, 4], &Device::flex());
    assert!(herding(none, 3).is_empty());
    // Equal samples, and features of zero, are chosen in their order.
    assert_eq!(herding(Tensor::zeros([3, 2], &Device::flex()), 2), [0, 1]);
    assert_eq!(herding(Tensor::ones([3, 2], &Device::flex()), 2), [0, 1]);
}
