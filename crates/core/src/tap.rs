use crate::numeric::zero_padding;
use burn::tensor::{Bool, Shape, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// A named intermediate result of a network.
#[derive(Clone, Debug)]
pub enum Tap {
    /// One vector per sample. Shape: `[batch_size, features]`.
    Vector(Tensor<2>),
    /// One vector per token. Shape: `[batch_size, length, features]`.
    Sequence(Tensor<3>),
    /// A feature map. Shape: `[batch_size, channels, height, width]`.
    Map(Tensor<4>),
    /// Attention weights or scores, which are no map: they are never pooled.
    /// Shape: `[batch_size, heads, queries, keys]`.
    Attention(Tensor<4>),
    /// Which tokens count, of a network whose response does not tell. Shape: `[batch_size, length]`.
    Mask(Tensor<2, Bool>),
}

impl Tap {
    /// Returns whether operations on the tap are tracked for gradients.
    pub(crate) fn is_autodiff(&self) -> bool {
        match self {
            Self::Vector(tap) => tap.is_autodiff(),
            Self::Sequence(tap) => tap.is_autodiff(),
            Self::Map(tap) => tap.is_autodiff(),
            Self::Attention(tap) => tap.is_autodiff(),
            Self::Mask(_) => false,
        }
    }

    /// The shape, batch axis included.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Vector(vector) => vector.shape(),
            Self::Sequence(sequence) => sequence.shape(),
            Self::Map(map) | Self::Attention(map) => map.shape(),
            Self::Mask(mask) => mask.shape(),
        }
    }

    /// The kind as a word: `vector`, `sequence`, `map`, `attention` or `mask`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vector(_) => "vector",
            Self::Sequence(_) => "sequence",
            Self::Map(_) => "map",
            Self::Attention(_) => "attention",
            Self::Mask(_) => "mask",
        }
    }

    /// The features as a map: a vector is a map of one pixel, a sequence one of a single column.
    ///
    /// # Shapes
    ///
    /// - vector: `[batch_size, features]`, as `[batch_size, features, 1, 1]`
    /// - sequence: `[batch_size, length, features]`, as `[batch_size, features, length, 1]`
    ///
    /// # Panics
    ///
    /// Panics if it is attention or a mask, which are no features.
    pub fn into_map(self) -> Tensor<4> {
        match self {
            Self::Vector(vector) => vector.unsqueeze_dims(&[2, 3]),
            Self::Sequence(sequence) => sequence.swap_dims(1, 2).unsqueeze_dim(3),
            Self::Map(map) => map,
            other => other.is_no("a map of features"),
        }
    }

    /// One vector per sample: a map or a sequence is flattened.
    ///
    /// # Shapes
    ///
    /// - output: `[batch_size, features]`
    ///
    /// # Panics
    ///
    /// Panics if it is attention or a mask, which are no features.
    pub fn into_vectors(self) -> Tensor<2> {
        match self {
            Self::Vector(vector) => vector,
            Self::Sequence(sequence) => sequence.flatten(1, 2),
            Self::Map(map) => map.flatten(1, 3),
            other => other.is_no("features"),
        }
    }

    /// The sequence. Shape: `[batch_size, length, features]`.
    ///
    /// # Panics
    ///
    /// Panics if it is none.
    pub fn into_sequence(self) -> Tensor<3> {
        match self {
            Self::Sequence(sequence) => sequence,
            other => other.is_no("a sequence"),
        }
    }

    /// The attention. Shape: `[batch_size, heads, queries, keys]`.
    ///
    /// # Panics
    ///
    /// Panics if it is none.
    pub fn into_attention(self) -> Tensor<4> {
        match self {
            Self::Attention(attention) => attention,
            other => other.is_no("attention"),
        }
    }

    /// The mask. Shape: `[batch_size, length]`.
    ///
    /// # Panics
    ///
    /// Panics if it is none.
    pub fn into_mask(self) -> Tensor<2, Bool> {
        match self {
            Self::Mask(mask) => mask,
            other => other.is_no("a mask"),
        }
    }

    /// Returns the tap with zeros in place of the tokens that do not count. A tap of another kind, or a
    /// sequence of other tokens than the mask's, stays as it is.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all of them
    pub fn zero_padding(self, mask: Option<&Tensor<2, Bool>>) -> Self {
        match (self, mask) {
            (Self::Sequence(sequence), Some(mask)) if sequence.dims()[..2] == mask.dims() => {
                Self::Sequence(zero_padding(sequence, Some(mask)))
            }
            (other, _) => other,
        }
    }

    fn is_no(&self, expected: &str) -> ! {
        panic!("{}", self.not(expected))
    }

    /// Returns the error that the tap is not what is wanted.
    pub(crate) fn not(&self, expected: &str) -> String {
        format!(
            "A tap of kind {} with shape {:?} is not {expected}.",
            self.kind(),
            self.shape().as_slice()
        )
    }

    /// The same values as constants, off the autodiff graph.
    pub fn without_autodiff(self) -> Self {
        match self {
            Self::Vector(vector) => Self::Vector(vector.without_autodiff()),
            Self::Sequence(sequence) => Self::Sequence(sequence.without_autodiff()),
            Self::Map(map) => Self::Map(map.without_autodiff()),
            Self::Attention(weights) => Self::Attention(weights.without_autodiff()),
            Self::Mask(mask) => Self::Mask(mask),
        }
    }

    /// Returns the tap of these samples alone.
    pub fn of_samples(&self, samples: Range<usize>) -> Self {
        let (start, count) = (samples.start, samples.len());
        match self.clone() {
            Self::Vector(vector) => Self::Vector(vector.narrow(0, start, count)),
            Self::Sequence(sequence) => Self::Sequence(sequence.narrow(0, start, count)),
            Self::Map(map) => Self::Map(map.narrow(0, start, count)),
            Self::Attention(weights) => Self::Attention(weights.narrow(0, start, count)),
            Self::Mask(mask) => Self::Mask(mask.narrow(0, start, count)),
        }
    }
}

/// A tensor of rank 2 is one vector per sample.
impl From<Tensor<2>> for Tap {
    fn from(vectors: Tensor<2>) -> Self {
        Self::Vector(vectors)
    }
}

/// A tensor of rank 3 is one vector per token.
impl From<Tensor<3>> for Tap {
    fn from(sequence: Tensor<3>) -> Self {
        Self::Sequence(sequence)
    }
}

/// A tensor of rank 4 is a feature map; [attention](Tap::Attention) has to be named.
impl From<Tensor<4>> for Tap {
    fn from(map: Tensor<4>) -> Self {
        Self::Map(map)
    }
}

/// Which taps of a network are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TapSelection {
    /// None: only the response.
    #[default]
    None,
    /// Taps with these names. Copies share the names: each forward pass has a copy.
    Named(Arc<BTreeSet<String>>),
    /// All of them: for inspection, where memory does not matter.
    All,
    /// Selections for several networks, by the index of each: see [`of_network`](Self::of_network).
    PerNetwork(BTreeMap<usize, TapSelection>),
}

impl TapSelection {
    /// The taps with these names.
    pub fn named<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: BTreeSet<_> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            Self::None
        } else {
            Self::Named(names.into())
        }
    }

    /// Whether the tap of that name is wanted of one network.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            Self::None | Self::PerNetwork(_) => false,
            Self::Named(names) => names.contains(name),
            Self::All => true,
        }
    }

    /// Returns the taps that are in either of the two selections.
    ///
    /// # Panics
    ///
    /// Panics if one selects taps of one network and the other taps of several.
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, selection) | (selection, Self::None) => selection,
            (Self::Named(mut names), Self::Named(others)) => {
                Arc::make_mut(&mut names).extend(Arc::unwrap_or_clone(others));
                Self::Named(names)
            }
            (Self::PerNetwork(mut networks), Self::PerNetwork(others)) => {
                for (index, selection) in others {
                    let own = networks.entry(index).or_default();
                    *own = std::mem::take(own).union(selection);
                }
                Self::PerNetwork(networks)
            }
            (one, other) => panic!(
                "Taps of one network and taps of several cannot be selected together, but \
                 {one:?} and {other:?} are."
            ),
        }
    }
}

/// Selections for several networks in one, by the index of each network.
///
/// Networks that differ offer different taps: a tap of one of several teachers may be unknown to the
/// others.
impl TapSelection {
    /// Returns this selection, for the network at `index` of several.
    pub fn of_network(self, index: usize) -> Self {
        match self {
            Self::None => Self::None,
            selection => Self::PerNetwork([(index, selection)].into()),
        }
    }

    /// Returns the taps that are selected of the network at `index` of several.
    ///
    /// # Panics
    ///
    /// Panics if the selection names taps without the network that they are of.
    pub fn for_network(&self, index: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::All => Self::All,
            Self::PerNetwork(networks) => networks.get(&index).cloned().unwrap_or_default(),
            Self::Named(names) => panic!(
                "The taps {names:?} are selected of several networks, but not of which: use \
                 `TapSelection::of_network`."
            ),
        }
    }

    /// Asserts that every index of the selection is below `count`, the number of networks.
    ///
    /// # Panics
    ///
    /// Panics if the selection names taps of a network that does not exist.
    pub fn assert_networks(&self, count: usize) {
        if let Self::PerNetwork(networks) = self
            && let Some((index, selection)) = networks.last_key_value()
        {
            assert!(
                *index < count,
                "{selection:?} is selected of the network at index {index}, but there are {count} \
                 networks, whose indexes start at 0."
            );
        }
    }
}

/// The taps that one forward pass kept, in the order in which the network offered them.
#[derive(Clone, Debug, Default)]
pub struct Taps {
    kept: Vec<(String, Tap)>,
    /// Every name that the network offers, kept or not: what an error message lists.
    offered: Vec<String>,
}

impl Taps {
    /// The tap of that name.
    ///
    /// # Errors
    ///
    /// Returns [`UnknownTap`] if the network offers no such tap, or [`TapNotKept`](TapError) if
    /// nobody asked for it before the forward pass.
    pub fn get(&self, name: &str) -> Result<&Tap, TapError> {
        match self.kept.iter().find(|(kept, _)| kept == name) {
            Some((_, tap)) => Ok(tap),
            None if self.offered.iter().any(|offered| offered == name) => {
                Err(TapError::NotKept(name.to_string()))
            }
            None => Err(UnknownTap::new(name, &self.offered).into()),
        }
    }

    /// The tap of that name, which an objective has asked for.
    ///
    /// # Panics
    ///
    /// Panics if it is not there, with what [`get`](Self::get) says.
    pub fn expect(&self, name: &str) -> Tap {
        self.get(name)
            .unwrap_or_else(|error| panic!("{error}"))
            .clone()
    }

    /// The taps of these names, in this order, which an objective has asked for.
    ///
    /// # Panics
    ///
    /// Panics if one is not there, with what [`get`](Self::get) says.
    pub fn expect_all(&self, names: &[String]) -> Vec<Tap> {
        names.iter().map(|name| self.expect(name)).collect()
    }

    /// Every kept tap with its name, in the order of the forward pass.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tap)> {
        self.kept.iter().map(|(name, tap)| (name.as_str(), tap))
    }

    /// The number of kept taps.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no tap was kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The same values as constants, off the autodiff graph.
    pub fn without_autodiff(mut self) -> Self {
        for (_, tap) in &mut self.kept {
            *tap = tap.clone().without_autodiff();
        }
        self
    }

    /// Returns the taps of these samples alone.
    pub fn of_samples(&self, samples: Range<usize>) -> Self {
        let mut taps = self.clone();
        for (_, tap) in &mut taps.kept {
            *tap = tap.of_samples(samples.clone());
        }
        taps
    }
}

impl<N: Into<String>, T: Into<Tap>> FromIterator<(N, T)> for Taps {
    /// Collects taps by name.
    ///
    /// # Panics
    ///
    /// Panics if two taps have the same name.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(taps: I) -> Self {
        let mut recorder = TapRecorder::new(TapSelection::All);
        for (name, tap) in taps {
            recorder.offer(name, || tap.into());
        }
        recorder.taps
    }
}

/// Taps of tensors at hand: `Taps::from([("layer1", map)])`.
impl<N: Into<String>, T: Into<Tap>, const COUNT: usize> From<[(N, T); COUNT]> for Taps {
    fn from(taps: [(N, T); COUNT]) -> Self {
        taps.into_iter().collect()
    }
}

/// Collects the wanted taps during a forward pass.
///
/// A network offers each of its taps by name; only the wanted ones are kept alive, so that the
/// activations of the others are freed as the forward pass goes on.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{Tap, TapRecorder, TapSelection};
///
/// let mut taps = TapRecorder::new(TapSelection::named(["stem"]));
/// let map = Tensor::<4>::zeros([2, 8, 4, 4], &Device::default());
/// taps.offer("stem", || Tap::Map(map.clone()));
/// taps.offer("pool", || unreachable!("nobody wants this one"));
///
/// assert_eq!(taps.finish().unwrap().len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct TapRecorder {
    selection: TapSelection,
    taps: Taps,
}

impl TapRecorder {
    /// Creates a recorder that keeps the selected taps.
    ///
    /// # Panics
    ///
    /// Panics if the selection is of several networks: a recorder is for one.
    pub fn new(selection: TapSelection) -> Self {
        assert!(
            !matches!(selection, TapSelection::PerNetwork(_)),
            "One network is asked for taps of several, {selection:?}: select the part of the \
             network with `TapSelection::for_network`, once for each `TapSelection::of_network`."
        );
        Self {
            selection,
            taps: Taps::default(),
        }
    }

    /// Offer a tap; `tap` runs only if it is wanted.
    ///
    /// # Panics
    ///
    /// Panics if the name was offered before in this pass.
    pub fn offer(&mut self, name: impl Into<String>, tap: impl FnOnce() -> Tap) {
        let name = name.into();
        assert!(
            !self.taps.offered.contains(&name),
            "The network offers two taps named `{name}`."
        );
        if self.selection.wants(&name) {
            self.taps.kept.push((name.clone(), tap()));
        }
        self.taps.offered.push(name);
    }

    /// Run the forward pass of a network inside another one, and hand its tap of that name to the
    /// outer one, whether or not it is wanted outside.
    ///
    /// # Panics
    ///
    /// Panics if the network offers no tap of that name.
    pub fn watch<R>(&mut self, name: &str, forward: impl FnOnce(&mut Self) -> R) -> (R, Tap) {
        let (output, mut taps) = self.watch_all(&[name.to_string()], forward);
        (output, taps.swap_remove(0))
    }

    /// The same for several taps, which come in the order of their names here.
    ///
    /// # Panics
    ///
    /// Panics if the network does not offer one of them.
    pub fn watch_all<R>(
        &mut self,
        names: &[String],
        forward: impl FnOnce(&mut Self) -> R,
    ) -> (R, Vec<Tap>) {
        let requirements = std::mem::take(&mut self.selection);
        self.selection = requirements.clone().union(TapSelection::named(names));
        let output = forward(self);
        self.selection = requirements;

        let taps = self.taps.expect_all(names);
        let Self {
            selection,
            taps: kept,
        } = self;
        kept.kept
            .retain(|(kept, _)| !names.contains(kept) || selection.wants(kept));
        (output, taps)
    }

    /// The taps that were kept.
    ///
    /// # Errors
    ///
    /// Returns [`UnknownTap`] if a wanted tap was never offered.
    pub fn finish(self) -> Result<Taps, UnknownTap> {
        if let TapSelection::Named(names) = &self.selection
            && let Some(missing) = names.iter().find(|name| !self.taps.offered.contains(name))
        {
            return Err(UnknownTap::new(missing, &self.taps.offered));
        }
        Ok(self.taps)
    }
}

/// A tap that a network does not offer.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("no tap named `{name}`{}; this network offers {}", nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(), known.join(", "))]
pub struct UnknownTap {
    /// The name that was asked for.
    pub name: String,
    /// The names that the network offers.
    pub known: Vec<String>,
    /// The most similar of them, if one is similar.
    pub nearest: Option<String>,
}

impl UnknownTap {
    fn new(name: &str, known: &[String]) -> Self {
        Self {
            name: name.to_string(),
            known: known.to_vec(),
            nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_string),
        }
    }
}

/// Why a tap could not be read from a forward pass.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    /// The network offers no such tap.
    #[error(transparent)]
    Unknown(#[from] UnknownTap),
    /// The network offers it, but it was not among the wanted ones.
    #[error(
        "tap `{0}` was not kept: name it in `Objective::requirements`; if the objective of a distiller \
         was replaced after its first step, create a new distiller, which asks for its requirements"
    )]
    NotKept(String),
}

crate::debug_as_display!(UnknownTap, TapError);

/// The candidate most similar to `name`, if one is similar enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR: f64 = 0.6;
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn vector() -> Tap {
        Tap::Vector(Tensor::zeros([2, 3], &Device::default()))
    }

    fn record(selection: TapSelection) -> Result<Taps, UnknownTap> {
        let mut recorder = TapRecorder::new(selection);
        for name in ["layer1", "layer2", "pool"] {
            recorder.offer(name, vector);
        }
        recorder.finish()
    }

    #[test]
    fn tensors_at_hand_are_taps_by_their_rank() {
        let device = Device::default();
        let taps = Taps::from([("pool", Tensor::<2>::ones([2, 3], &device))]);
        assert_eq!(taps.expect("pool").kind(), "vector");
        assert_eq!(
            Tap::from(Tensor::<3>::ones([2, 3, 4], &device)).kind(),
            "sequence"
        );

        let map = Tap::from(Tensor::<4>::ones([2, 3, 4, 4], &device));
        let taps: Taps = [("a", map.clone()), ("b", map)].into_iter().collect();
        let error = taps.get("c").unwrap_err().to_string();
        assert!(error.contains("this network offers a, b"), "{error}");
    }

    #[test]
    #[should_panic(expected = "two taps named `pool`")]
    fn taps_at_hand_have_names_of_their_own() {
        let vectors = Tensor::<2>::ones([2, 3], &Device::default());
        let _ = Taps::from([("pool", vectors.clone()), ("pool", vectors)]);
    }

    #[test]
    fn only_wanted_taps_are_kept() {
        let taps = record(TapSelection::named(["pool", "layer1"])).unwrap();

        let names: Vec<_> = taps.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["layer1", "pool"]);
        assert!(record(TapSelection::None).unwrap().is_empty());
        assert_eq!(record(TapSelection::All).unwrap().len(), 3);
    }

    #[test]
    fn features_of_any_kind_are_maps_and_vectors() {
        let device = Device::default();
        let taps = [
            (vector(), [2, 3, 1, 1], [2, 3]),
            (
                Tap::Sequence(Tensor::zeros([2, 5, 3], &device)),
                [2, 3, 5, 1],
                [2, 15],
            ),
            (
                Tap::Map(Tensor::zeros([2, 3, 4, 5], &device)),
                [2, 3, 4, 5],
                [2, 60],
            ),
        ];
        for (tap, map, vectors) in taps {
            assert_eq!(tap.clone().into_map().dims(), map);
            assert_eq!(tap.into_vectors().dims(), vectors);
        }
    }

    #[test]
    #[should_panic(expected = "A tap of kind attention with shape [2, 1, 3, 3] is not a map")]
    fn attention_is_no_map() {
        Tap::Attention(Tensor::zeros([2, 1, 3, 3], &Device::default())).into_map();
    }

    #[test]
    fn unknown_tap_lists_the_known_ones_and_the_nearest() {
        let error = record(TapSelection::named(["pol"])).unwrap_err();

        assert_eq!(
            error.to_string(),
            "no tap named `pol`, did you mean `pool`?; this network offers layer1, layer2, pool"
        );
    }

    #[test]
    fn unlike_names_are_not_suggested() {
        let error = record(TapSelection::named(["attention"])).unwrap_err();

        assert_eq!(error.nearest, None);
    }

    #[test]
    fn a_tap_that_was_not_asked_for_is_not_unknown() {
        let taps = record(TapSelection::named(["pool"])).unwrap();

        let error = taps.get("layer1").unwrap_err();
        assert_eq!(error, TapError::NotKept("layer1".into()));
        assert!(matches!(taps.get("x").unwrap_err(), TapError::Unknown(_)));
    }

    #[test]
    #[should_panic(expected = "two taps named `pool`")]
    fn a_name_is_offered_once() {
        let mut recorder = TapRecorder::default();
        recorder.offer("pool", vector);
        recorder.offer("pool", vector);
    }

    #[test]
    fn every_network_is_asked_for_its_own_taps() {
        let first = TapSelection::named(["layer1", "pool"]);
        let second = TapSelection::named(["hidden.1"]);
        let both = first
            .clone()
            .of_network(0)
            .union(second.clone().of_network(11));

        assert_eq!(both.for_network(0), first);
        assert_eq!(both.for_network(11), second);
        assert_eq!(both.for_network(1), TapSelection::None);
        assert_eq!(TapSelection::All.for_network(0), TapSelection::All);
        let all_of_one = TapSelection::All.of_network(1).union(both);
        assert_eq!(all_of_one.for_network(1), TapSelection::All);
        assert_eq!(all_of_one.for_network(0), first);
        assert_eq!(TapSelection::None.of_network(1), TapSelection::None);
    }

    #[test]
    fn teachers_of_teachers_are_asked_for_their_own_taps() {
        let inner = TapSelection::named(["pool"]).of_network(2);
        let other = TapSelection::named(["layer1"]).of_network(0);
        let both = inner.of_network(1).union(other.of_network(1));

        let of_second = both.for_network(1);
        assert_eq!(of_second.for_network(2), TapSelection::named(["pool"]));
        assert_eq!(of_second.for_network(0), TapSelection::named(["layer1"]));
        assert_eq!(both.for_network(0), TapSelection::None);
    }

    #[test]
    fn a_name_that_looks_like_an_index_is_a_name() {
        let selection = TapSelection::named(["1:pool"]).of_network(0);

        assert_eq!(selection.for_network(1), TapSelection::None);
        assert_eq!(selection.for_network(0), TapSelection::named(["1:pool"]));
    }

    #[test]
    #[should_panic(expected = "selected of several networks, but not of which")]
    fn a_tap_of_several_networks_is_one_of_them() {
        TapSelection::named(["pool"]).for_network(0);
    }

    #[test]
    #[should_panic(expected = "Taps of one network and taps of several")]
    fn taps_of_one_and_of_several_networks_are_told_apart() {
        let several = TapSelection::named(["pool"]).of_network(0);
        several.union(TapSelection::named(["pool"]));
    }

    #[test]
    #[should_panic(expected = "One network is asked for taps of several")]
    fn one_network_has_no_taps_of_several() {
        TapRecorder::new(TapSelection::named(["pool"]).of_network(0));
    }

    #[test]
    fn a_watched_tap_is_kept_only_if_it_is_wanted() {
        for (selection, kept) in [
            (TapSelection::None, vec![]),
            (TapSelection::named(["b", "c"]), vec!["b", "c"]),
            (TapSelection::All, vec!["a", "b", "c"]),
        ] {
            let mut recorder = TapRecorder::new(selection);
            let (output, tap) = recorder.watch("a", |taps| {
                taps.offer("a", vector);
                taps.offer("b", vector);
                "output"
            });
            recorder.offer("c", vector);

            assert_eq!((output, tap.shape().as_slice()), ("output", &[2, 3][..]));
            let taps = recorder.finish().unwrap();
            let names: Vec<_> = taps.iter().map(|(name, _)| name).collect();
            assert_eq!(names, kept);
        }
    }

    #[test]
    fn several_taps_are_watched_at_once() {
        let mut recorder = TapRecorder::new(TapSelection::named(["b", "d"]));
        let names = ["c", "b"].map(String::from);
        let (_, taps) = recorder.watch_all(&names, |taps| {
            for (name, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)] {
                let device = Device::default();
                taps.offer(name, || Tap::Vector(Tensor::full([1, 1], value, &device)));
            }
        });

        let values = taps.into_iter().map(|tap| tap.into_vectors());
        let values: Vec<f32> = values.map(|value| value.into_scalar()).collect();
        assert_eq!(values, [3.0, 2.0]);
        let kept = recorder.finish().unwrap();
        assert!(kept.iter().map(|(name, _)| name).eq(["b", "d"]));
    }

    #[test]
    #[should_panic(expected = "no tap named `c`; this network offers a")]
    fn a_watched_tap_is_offered() {
        let mut recorder = TapRecorder::new(TapSelection::None);
        recorder.watch("c", |taps| taps.offer("a", vector));
    }

    #[test]
    fn union_wants_what_either_wants() {
        let both = TapSelection::named(["a"]).union(TapSelection::named(["b"]));

        assert_eq!(both, TapSelection::named(["a", "b"]));
        assert_eq!(both.clone().union(TapSelection::None), both);
        assert_eq!(both.union(TapSelection::All), TapSelection::All);
    }
}
