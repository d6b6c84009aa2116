use crate::output::predictions;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, DType, Tensor};
use burn_distill_core::{
    Knowledge, Network, Response, Tap, TapSelection, Taps, Targets, Terms, Wanted,
    assert_parameters_differ,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All but the one at `index`, in their order.
pub(super) fn others<T>(all: &[T], index: usize) -> impl Iterator<Item = &T> {
    all[..index].iter().chain(&all[index + 1..])
}

/// What the network at `peer` is asked for by the objectives of the others, each of which sees all
/// networks but its own.
pub(super) fn asked_by_others(wanted: &[Wanted], peer: usize) -> TapSelection {
    let by_others = others(wanted, peer).enumerate().map(|(other, wanted)| {
        // In the order of the peers without the one who asks.
        let asks = if other < peer { other } else { other + 1 };
        let place = if peer < asks { peer } else { peer - 1 };
        wanted.teacher.for_network(place)
    });
    by_others.fold(TapSelection::None, TapSelection::union)
}

/// # Panics
///
/// Panics if there are fewer than two peers, or if two peers have the same parameters.
pub(super) fn assert_peers_differ<N: Network>(peers: &[N]) {
    assert!(
        peers.len() >= 2,
        "Mutual learning needs two peers, but there are {}.",
        peers.len()
    );
    assert_parameters_differ("Peers", peers);
}

/// # Panics
///
/// Panics if there is not an objective for each of these.
pub(crate) fn assert_objectives(objectives: usize, learners: usize, what: &str) {
    assert_eq!(
        objectives, learners,
        "There should be an objective for each of {learners} {what}, but there are {objectives}."
    );
}

/// The class logits of a response.
///
/// # Panics
///
/// Panics if it is none of classes.
pub(crate) fn class_logits(response: &Response) -> Tensor<2> {
    let logits = response.classes().cloned();
    logits.unwrap_or_else(|| panic!("An ensemble is one of classes, not of {response:?}."))
}

/// What somebody says who has no taps to offer.
pub(crate) fn saying(logits: Tensor<2>) -> Knowledge {
    Knowledge {
        response: Response::Classes(logits),
        taps: Taps::default(),
    }
}

/// One vector per sample: a map is averaged over its pixels, a sequence over its tokens.
pub(crate) fn pooled(tap: Tap) -> Tensor<2> {
    match tap {
        Tap::Map(map) => map.mean_dims(&[2, 3]).flatten(1, 3),
        Tap::Sequence(sequence) => sequence.mean_dim(1).flatten(1, 2),
        other => other.into_vectors(),
    }
}

/// The accuracy of each response, as `peer 1 accuracy`, and of the mean of their probabilities, as
/// `ensemble accuracy`, in percent of the labelled samples. Nothing is shown of responses that are
/// no classes.
pub(crate) fn accuracies(responses: &[&Response], targets: &Targets) -> Terms {
    let each = (1..).zip(responses).map(|(number, response)| {
        let name = format!("peer {number} accuracy");
        accuracy(name, response, targets)
    });
    let ensemble = mean_probabilities(responses).map(Response::Classes);
    let ensemble = ensemble.map(|mean| accuracy("ensemble accuracy", &mean, targets));
    each.chain(ensemble).fold(Terms::default(), Terms::and)
}

fn mean_probabilities(responses: &[&Response]) -> Option<Tensor<2>> {
    let logits: Option<Vec<_>> = responses.iter().map(|r| r.classes().cloned()).collect();
    // Of the classes that they predict, the sum says what the mean does.
    let probabilities = logits?.into_iter().map(|logits| {
        let logits = logits.without_autodiff().cast(DType::F32);
        softmax(logits, 1)
    });
    probabilities.reduce(Tensor::add)
}

/// How often a response is right, in percent of the labelled samples, under that name. Nothing if it
/// is none of classes. Where no sample is labelled it is zero, which no metric counts: it weighs by
/// the labelled samples.
pub(crate) fn accuracy(name: impl Into<String>, response: &Response, targets: &Targets) -> Terms {
    let (Some(logits), Some((classes, labelled))) = (response.classes(), targets.hard()) else {
        return Terms::default();
    };
    let count = |mask: Tensor<1, Bool>| mask.float().cast(DType::F32).sum();
    let right = predictions(logits).equal(classes.without_autodiff());
    let share = match labelled {
        None => right.float().cast(DType::F32).mean(),
        Some(labelled) => {
            let labels = count(labelled.clone()).clamp_min(1.0);
            count(right.bool_and(labelled)).div(labels)
        }
    };
    Terms::shown(name, share.mul_scalar(100.0))
}

pub(super) fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // The value is whole between two steps, also if a thread panicked in one.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
