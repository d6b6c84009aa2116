use crate::output::ClassRows;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Tensor};
use burn_distill_core::{
    Knowledge, Network, Requirements, Response, Tap, TapSelection, Taps, Targets, Terms,
    assert_parameters_differ,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Returns all items except the one at `index`, in order.
pub(super) fn others<T>(all: &[T], index: usize) -> impl Iterator<Item = &T> {
    all[..index].iter().chain(&all[index + 1..])
}

/// Returns the taps of the network at `peer` that the objectives of the other networks require. The
/// teachers of an objective are all networks but its own.
///
/// # Panics
///
/// Panics if an objective requires taps of a network that does not exist.
pub(super) fn required_by_others(requirements: &[Requirements], peer: usize) -> TapSelection {
    let by_others = others(requirements, peer).enumerate().map(|(other, each)| {
        each.teacher.assert_networks(requirements.len() - 1);
        // The teachers are in the order of the peers, without the peer that learns.
        let learner = if other < peer { other } else { other + 1 };
        let place = if peer < learner { peer } else { peer - 1 };
        each.teacher.for_network(place)
    });
    by_others.fold(TapSelection::None, TapSelection::union)
}

/// Asserts that there are at least two peers, whose parameters differ.
///
/// # Panics
///
/// Panics if there are fewer than two peers, or if two peers have the same parameters.
pub(super) fn assert_peers_differ<N: Network>(peers: &[N]) {
    assert!(
        peers.len() >= 2,
        "Mutual learning needs at least two peers, but there are {}.",
        peers.len()
    );
    assert_parameters_differ("Peers", peers);
}

/// Asserts that there is an objective for each network or branch.
///
/// # Panics
///
/// Panics if their numbers differ.
pub(crate) fn assert_objectives(objectives: usize, learners: usize, what: &str) {
    assert_eq!(
        objectives, learners,
        "There should be an objective for each of {learners} {what}, but there are {objectives}."
    );
}

/// Returns the class logits of a response.
///
/// # Panics
///
/// Panics if the response has none.
pub(crate) fn class_logits(response: &Response) -> Tensor<2> {
    let logits = response.classes().cloned();
    logits.unwrap_or_else(|| {
        panic!("An ensemble needs class logits, but a network responds with {response:?}.")
    })
}

/// Returns the knowledge that consists of class logits, without taps.
pub(crate) fn without_taps(logits: Tensor<2>) -> Knowledge {
    Knowledge {
        response: Response::Classes(logits),
        taps: Taps::default(),
    }
}

/// Returns one vector per sample: the mean of a map over its pixels, or of a sequence over its
/// tokens.
pub(crate) fn pooled(tap: Tap) -> Tensor<2> {
    match tap {
        Tap::Map(map) => map.mean_dims(&[2, 3]).flatten(1, 3),
        Tap::Sequence(sequence) => sequence.mean_dim(1).flatten(1, 2),
        other => other.into_vectors(),
    }
}

/// Returns the accuracy of each response, as `peer 1 accuracy`, and of the mean of their
/// probabilities, as `ensemble accuracy`, in percent of the labeled samples or tokens. Responses
/// without class logits have no accuracy.
pub(crate) fn accuracies(responses: &[&Response], targets: &Targets) -> Terms {
    let each = (1..).zip(responses).map(|(number, response)| {
        let name = format!("peer {number} accuracy");
        accuracy(name, response, targets)
    });
    let ensemble = mean_probabilities(responses);
    let ensemble = ensemble.map(|mean| accuracy("ensemble accuracy", &mean, targets));
    each.chain(ensemble).fold(Terms::default(), Terms::and)
}

/// Returns the sum of the probabilities of several responses, which predicts the same classes as
/// their mean. A token counts if it counts in all responses.
fn mean_probabilities(responses: &[&Response]) -> Option<Response> {
    fn sum<const D: usize>(logits: impl Iterator<Item = Tensor<D>>) -> Option<Tensor<D>> {
        let probabilities = logits.map(|logits| {
            let logits = logits.without_autodiff().cast(DType::F32);
            softmax(logits, D - 1)
        });
        probabilities.reduce(Tensor::add)
    }
    let classes: Option<Vec<_>> = responses.iter().map(|r| r.classes().cloned()).collect();
    if let Some(classes) = classes {
        return sum(classes.into_iter()).map(Response::Classes);
    }
    let tokens = responses.iter().map(|response| match response {
        Response::Tokens { logits, mask } => Some((logits.clone(), mask.clone())),
        _ => None,
    });
    let (logits, masks): (Vec<_>, Vec<_>) = tokens.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let sequences = |logits: &Tensor<3>| [logits.dims()[0], logits.dims()[1]];
    if logits
        .iter()
        .any(|other| sequences(other) != sequences(&logits[0]))
    {
        return None;
    }
    let masks = masks.into_iter().map(Tensor::without_autodiff);
    Some(Response::Tokens {
        logits: sum(logits.into_iter())?,
        mask: masks.reduce(Tensor::bool_and)?,
    })
}

/// Returns the accuracy of a response on the labeled samples, tokens or proposals, in percent, as a
/// shown term with this name, or no term if the response has no class logits or the batch no
/// labels. Where no row is labeled it is zero, with a weight of zero in the metric, which counts
/// labeled rows.
pub(crate) fn accuracy(name: impl Into<String>, response: &Response, targets: &Targets) -> Terms {
    let accuracy = ClassRows::of(response).and_then(|rows| rows.accuracy(targets));
    match accuracy {
        Some(share) => Terms::shown(name, share.mul_scalar(100.0)),
        None => Terms::default(),
    }
}

pub(crate) fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // The value is consistent between two steps, even if a thread panicked in one.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn accuracies_of_peers_count_the_tokens_without_padding() {
        let device = Device::default();
        let peer = |logits: [[[f32; 2]; 2]; 2]| Response::Tokens {
            logits: Tensor::from_data(logits, &device),
            mask: Tensor::from_data([[true, true], [true, false]], &device),
        };
        let (first, second) = (
            peer([[[2.0, 1.0], [0.0, 1.0]], [[0.0, 0.5], [0.0, 9.0]]]),
            peer([[[0.0, 9.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 9.0]]]),
        );
        let classes = Tensor::from_data([0, 1, 0, 1], &device);

        let shown = accuracies(&[&first, &second], &Targets::classes(classes));

        let shown: Vec<_> = shown
            .into_iter()
            .map(|term| (term.name, term.value.into_scalar::<f32>()))
            .collect();
        let expected = [
            ("peer 1 accuracy", 200.0 / 3.0),
            ("peer 2 accuracy", 200.0 / 3.0),
            // The second peer is more confident about the first token and about the third.
            ("ensemble accuracy", 200.0 / 3.0),
        ];
        assert_eq!(shown.len(), expected.len());
        for ((name, value), (expected_name, expected)) in shown.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert!((value - expected).abs() < 1e-4, "{name}: {value}");
        }
    }
}
