use crate::numeric::zero_padding;
use burn::tensor::{Bool, Shape, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// An intermediate result of a network, such as the features of a layer.
#[derive(Clone, Debug)]
pub enum Tap {
    /// One vector per sample. Shape: `[batch_size, features]`.
    Vector(Tensor<2>),
    /// One vector per token. Shape: `[batch_size, length, features]`.
    Sequence(Tensor<3>),
    /// Feature map. Shape: `[batch_size, channels, height, width]`.
    Map(Tensor<4>),
    /// Attention weights or scores, which are never pooled, unlike maps.
    /// Shape: `[batch_size, heads, queries, keys]`.
    Attention(Tensor<4>),
    /// True for the tokens that count, for networks whose response has no mask.
    /// Shape: `[batch_size, length]`.
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

    /// Returns the shape, including the batch axis.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Vector(vector) => vector.shape(),
            Self::Sequence(sequence) => sequence.shape(),
            Self::Map(map) | Self::Attention(map) => map.shape(),
            Self::Mask(mask) => mask.shape(),
        }
    }

    /// Returns the kind as a word: `vector`, `sequence`, `map`, `attention` or `mask`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vector(_) => "vector",
            Self::Sequence(_) => "sequence",
            Self::Map(_) => "map",
            Self::Attention(_) => "attention",
            Self::Mask(_) => "mask",
        }
    }

    /// Converts the features to a map: a vector to a map of one pixel, a sequence to a map of one
    /// column.
    ///
    /// # Shapes
    ///
    /// - vector: `[batch_size, features]`, as `[batch_size, features, 1, 1]`
    /// - sequence: `[batch_size, length, features]`, as `[batch_size, features, length, 1]`
    ///
    /// # Panics
    ///
    /// Panics if the tap is attention or a mask, which hold no features.
    pub fn into_map(self) -> Tensor<4> {
        match self {
            Self::Vector(vector) => vector.unsqueeze_dims(&[2, 3]),
            Self::Sequence(sequence) => sequence.swap_dims(1, 2).unsqueeze_dim(3),
            Self::Map(map) => map,
            other => other.expected("a vector, a sequence or a map"),
        }
    }

    /// Converts the features to one vector per sample: a map or a sequence is flattened.
    ///
    /// # Shapes
    ///
    /// - output: `[batch_size, features]`
    ///
    /// # Panics
    ///
    /// Panics if the tap is attention or a mask, which hold no features.
    pub fn into_vectors(self) -> Tensor<2> {
        match self {
            Self::Vector(vector) => vector,
            Self::Sequence(sequence) => sequence.flatten(1, 2),
            Self::Map(map) => map.flatten(1, 3),
            other => other.expected("a vector, a sequence or a map"),
        }
    }

    /// Returns the sequence. Shape: `[batch_size, length, features]`.
    ///
    /// # Panics
    ///
    /// Panics if the tap is of another kind.
    pub fn into_sequence(self) -> Tensor<3> {
        match self {
            Self::Sequence(sequence) => sequence,
            other => other.expected("a sequence"),
        }
    }

    /// Returns the attention weights or scores. Shape: `[batch_size, heads, queries, keys]`.
    ///
    /// # Panics
    ///
    /// Panics if the tap is of another kind.
    pub fn into_attention(self) -> Tensor<4> {
        match self {
            Self::Attention(attention) => attention,
            other => other.expected("attention"),
        }
    }

    /// Returns the mask of the tokens that count. Shape: `[batch_size, length]`.
    ///
    /// # Panics
    ///
    /// Panics if the tap is of another kind.
    pub fn into_mask(self) -> Tensor<2, Bool> {
        match self {
            Self::Mask(mask) => mask,
            other => other.expected("a mask"),
        }
    }

    /// Sets the tokens of a sequence that do not count to zero. A tap of another kind, or a
    /// sequence whose length is not that of the mask, stays as it is.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens that count; `None` if all tokens count
    pub fn zero_padding(self, mask: Option<&Tensor<2, Bool>>) -> Self {
        match (self, mask) {
            (Self::Sequence(sequence), Some(mask)) if sequence.dims()[..2] == mask.dims() => {
                Self::Sequence(zero_padding(sequence, Some(mask)))
            }
            (other, _) => other,
        }
    }

    fn expected(&self, expected: &str) -> ! {
        panic!("{}", self.not(expected))
    }

    /// Returns the message that the tap is of another kind than expected.
    pub(crate) fn not(&self, expected: &str) -> String {
        format!(
            "A tap of kind {} with shape {:?} is not {expected}.",
            self.kind(),
            self.shape().as_slice()
        )
    }

    /// Returns the same values as constants, off the autodiff graph.
    pub fn without_autodiff(self) -> Self {
        match self {
            Self::Vector(vector) => Self::Vector(vector.without_autodiff()),
            Self::Sequence(sequence) => Self::Sequence(sequence.without_autodiff()),
            Self::Map(map) => Self::Map(map.without_autodiff()),
            Self::Attention(weights) => Self::Attention(weights.without_autodiff()),
            Self::Mask(mask) => Self::Mask(mask),
        }
    }

    /// Returns the tap of a range of the samples.
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

/// One vector per sample, from a tensor of rank 2.
impl From<Tensor<2>> for Tap {
    fn from(vectors: Tensor<2>) -> Self {
        Self::Vector(vectors)
    }
}

/// One vector per token, from a tensor of rank 3.
impl From<Tensor<3>> for Tap {
    fn from(sequence: Tensor<3>) -> Self {
        Self::Sequence(sequence)
    }
}

/// A feature map, from a tensor of rank 4. For attention, use [`Tap::Attention`].
impl From<Tensor<4>> for Tap {
    fn from(map: Tensor<4>) -> Self {
        Self::Map(map)
    }
}

/// Taps that a forward pass should keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TapSelection {
    /// No taps, only the response.
    #[default]
    None,
    /// Taps with these names. Copies share the names, because every forward pass gets a copy.
    Named(Arc<BTreeSet<String>>),
    /// All taps: for inspection, where memory does not matter.
    All,
    /// Selections for several networks, by the index of the network: see
    /// [`of_network`](Self::of_network).
    PerNetwork(BTreeMap<usize, TapSelection>),
}

impl TapSelection {
    /// Selects taps by name.
    pub fn named<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: BTreeSet<_> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            Self::None
        } else {
            Self::Named(names.into())
        }
    }

    /// Returns whether the selection for one network contains the tap.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::None | Self::PerNetwork(_) => false,
            Self::Named(names) => names.contains(name),
            Self::All => true,
        }
    }

    /// Returns the union of two selections.
    ///
    /// # Panics
    ///
    /// Panics if one is for a single network and the other for several.
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
                "A tap selection for one network cannot be combined with one for several networks, got \
                 {one:?} and {other:?}: use `TapSelection::of_network` in both."
            ),
        }
    }
}

/// Selections for several networks in one, by the index of the network.
///
/// Different networks offer different taps, so each of several teachers needs its own selection.
impl TapSelection {
    /// Converts a selection for one network into a selection for the network at `index` of several.
    pub fn of_network(self, index: usize) -> Self {
        match self {
            Self::None => Self::None,
            selection => Self::PerNetwork([(index, selection)].into()),
        }
    }

    /// Returns the selection for the network at `index` of several.
    ///
    /// # Panics
    ///
    /// Panics if the selection names taps without the index of their network.
    pub fn for_network(&self, index: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::All => Self::All,
            Self::PerNetwork(networks) => networks.get(&index).cloned().unwrap_or_default(),
            Self::Named(names) => panic!(
                "The taps {names:?} are selected without the index of their network, but there are \
                 several networks: use `TapSelection::of_network`."
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
                "{selection:?} is selected for the network at index {index}, but there are {count} \
                 networks, whose indexes start at 0."
            );
        }
    }
}

/// Taps of one forward pass, in the order in which the network offered them.
#[derive(Clone, Debug, Default)]
pub struct Taps {
    kept: Vec<(String, Tap)>,
    /// Names of all taps that the network offers, kept or not, for error messages.
    offered: Vec<String>,
}

impl Taps {
    /// Returns a tap by name.
    ///
    /// # Errors
    ///
    /// Returns [`TapError::Unknown`] if the network offers no such tap, and [`TapError::NotKept`]
    /// if it was not selected before the forward pass.
    pub fn get(&self, name: &str) -> Result<&Tap, TapError> {
        match self.kept.iter().find(|(kept, _)| kept == name) {
            Some((_, tap)) => Ok(tap),
            None if self.offered.iter().any(|offered| offered == name) => {
                Err(TapError::NotKept(name.to_string()))
            }
            None => Err(UnknownTap::new(name, &self.offered).into()),
        }
    }

    /// Returns a tap by name.
    ///
    /// An objective may expect every tap in its [requirements](crate::Requirements).
    ///
    /// # Panics
    ///
    /// Panics with the error of [`get`](Self::get) if the tap is missing.
    pub fn expect(&self, name: &str) -> Tap {
        self.get(name)
            .unwrap_or_else(|error| panic!("{error}"))
            .clone()
    }

    /// Returns several taps by name, in the order of the names.
    ///
    /// # Panics
    ///
    /// Panics with the error of [`get`](Self::get) if a tap is missing.
    pub fn expect_all(&self, names: &[String]) -> Vec<Tap> {
        names.iter().map(|name| self.expect(name)).collect()
    }

    /// Iterates over the kept taps with their names, in the order of the forward pass.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tap)> {
        self.kept.iter().map(|(name, tap)| (name.as_str(), tap))
    }

    /// Returns the number of kept taps.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Returns whether no tap was kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the same values as constants, off the autodiff graph.
    pub fn without_autodiff(mut self) -> Self {
        for (_, tap) in &mut self.kept {
            *tap = tap.clone().without_autodiff();
        }
        self
    }

    /// Returns the taps of a range of the samples.
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

/// Taps from names and tensors: `Taps::from([("layer1", map)])`.
impl<N: Into<String>, T: Into<Tap>, const COUNT: usize> From<[(N, T); COUNT]> for Taps {
    fn from(taps: [(N, T); COUNT]) -> Self {
        taps.into_iter().collect()
    }
}

/// Recorder that keeps the selected taps during a forward pass.
///
/// A network offers each of its taps by name. The recorder keeps only the selected ones, so that
/// the other activations are freed during the forward pass.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{Tap, TapRecorder, TapSelection};
///
/// let mut taps = TapRecorder::new(TapSelection::named(["stem"]));
/// let map = Tensor::<4>::zeros([2, 8, 4, 4], &Device::default());
/// taps.offer("stem", || Tap::Map(map.clone()));
/// taps.offer("pool", || unreachable!("this tap is not selected"));
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
    /// Panics if the selection is for several networks.
    pub fn new(selection: TapSelection) -> Self {
        assert!(
            !matches!(selection, TapSelection::PerNetwork(_)),
            "One network cannot keep the taps of several networks, {selection:?}: select the part of the \
             network with `TapSelection::for_network`, once for each `TapSelection::of_network`."
        );
        Self {
            selection,
            taps: Taps::default(),
        }
    }

    /// Offers a tap. The closure `tap` runs only if the tap is selected.
    ///
    /// # Panics
    ///
    /// Panics if a tap of the same name was already offered in this forward pass.
    pub fn offer(&mut self, name: impl Into<String>, tap: impl FnOnce() -> Tap) {
        let name = name.into();
        assert!(
            !self.taps.offered.contains(&name),
            "The network offers two taps named `{name}`: give every tap its own name."
        );
        if self.selection.contains(&name) {
            self.taps.kept.push((name.clone(), tap()));
        }
        self.taps.offered.push(name);
    }

    /// Runs the forward pass of an inner network and returns its output with one of its taps.
    ///
    /// A wrapper around a network uses it to get a tap of that network, whether or not the tap is
    /// selected.
    ///
    /// # Panics
    ///
    /// Panics if the inner network does not offer the tap.
    pub fn capture<R>(&mut self, name: &str, forward: impl FnOnce(&mut Self) -> R) -> (R, Tap) {
        let (output, mut taps) = self.capture_all(&[name.to_string()], forward);
        (output, taps.swap_remove(0))
    }

    /// Runs the forward pass of an inner network and returns its output with several of its taps,
    /// in the order of `names`.
    ///
    /// # Panics
    ///
    /// Panics if the inner network does not offer one of the taps.
    pub fn capture_all<R>(
        &mut self,
        names: &[String],
        forward: impl FnOnce(&mut Self) -> R,
    ) -> (R, Vec<Tap>) {
        let outer = std::mem::take(&mut self.selection);
        self.selection = outer.clone().union(TapSelection::named(names));
        let output = forward(self);
        self.selection = outer;

        let taps = self.taps.expect_all(names);
        let selection = &self.selection;
        let is_selected = |name: &String| !names.contains(name) || selection.contains(name);
        self.taps.kept.retain(|(name, _)| is_selected(name));
        (output, taps)
    }

    /// Returns the kept taps at the end of the forward pass.
    ///
    /// # Errors
    ///
    /// Returns [`UnknownTap`] if a selected tap was not offered.
    pub fn finish(self) -> Result<Taps, UnknownTap> {
        if let TapSelection::Named(names) = &self.selection
            && let Some(missing) = names.iter().find(|name| !self.taps.offered.contains(name))
        {
            return Err(UnknownTap::new(missing, &self.taps.offered));
        }
        Ok(self.taps)
    }
}

/// Error about a tap that a network does not offer.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("no tap named `{name}`{}; this network offers {}", nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(), known.join(", "))]
pub struct UnknownTap {
    /// Requested name.
    pub name: String,
    /// Names of the taps that the network offers.
    pub known: Vec<String>,
    /// The most similar of these names, if one is similar enough.
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

/// Error about a tap that is missing from a forward pass.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    /// The network does not offer the tap.
    #[error(transparent)]
    Unknown(#[from] UnknownTap),
    /// The network offers the tap, but it was not selected.
    #[error(
        "tap `{0}` was not kept: name it in `Objective::requirements`; if the objective of a distiller \
         was replaced after its first step, create a new distiller, which asks for its requirements"
    )]
    NotKept(String),
}

crate::debug_as_display!(UnknownTap, TapError);

/// Returns the candidate that is most similar to `name`, if one is similar enough for a suggestion:
/// one that continues `name` after a hyphen, as `rkd-angle` continues `rkd`, is more similar than
/// one of other letters.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR: f64 = 0.6;
    const CONTINUED: f64 = 0.9;
    let similarity = |candidate: &str| {
        let rest = candidate.strip_prefix(name);
        let continued = !name.is_empty() && rest.is_some_and(|rest| rest.starts_with('-'));
        let spelled = strsim::normalized_damerau_levenshtein(name, candidate);
        if continued {
            spelled.max(CONTINUED)
        } else {
            spelled
        }
    };
    candidates
        .into_iter()
        .map(|candidate| (similarity(candidate), candidate))
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
    fn a_name_that_is_continued_is_nearer_than_one_of_other_letters() {
        assert_eq!(nearest("rkd", ["rrd", "rkd-angle"]), Some("rkd-angle"));
        assert_eq!(nearest("rkdd", ["rkd", "rkd-angle"]), Some("rkd"));
        assert_eq!(nearest("", ["-1"]), None);
    }

    #[test]
    fn the_rank_of_a_tensor_decides_the_kind_of_its_tap() {
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
    fn two_taps_of_one_name_are_refused() {
        let vectors = Tensor::<2>::ones([2, 3], &Device::default());
        let _ = Taps::from([("pool", vectors.clone()), ("pool", vectors)]);
    }

    #[test]
    fn only_selected_taps_are_kept() {
        let taps = record(TapSelection::named(["pool", "layer1"])).unwrap();

        let names: Vec<_> = taps.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["layer1", "pool"]);
        assert!(record(TapSelection::None).unwrap().is_empty());
        assert_eq!(record(TapSelection::All).unwrap().len(), 3);
    }

    #[test]
    fn features_of_any_kind_convert_to_maps_and_vectors() {
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
    #[should_panic(
        expected = "A tap of kind attention with shape [2, 1, 3, 3] is not a vector, a sequence or a map"
    )]
    fn attention_does_not_convert_to_a_map() {
        Tap::Attention(Tensor::zeros([2, 1, 3, 3], &Device::default())).into_map();
    }

    #[test]
    fn an_unknown_tap_lists_the_known_ones_and_the_nearest() {
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
    fn a_tap_that_was_not_selected_is_not_unknown() {
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
    fn every_network_has_its_own_selection() {
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
    fn selections_for_several_networks_nest() {
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
    #[should_panic(expected = "selected without the index of their network")]
    fn a_selection_for_several_networks_needs_their_indices() {
        TapSelection::named(["pool"]).for_network(0);
    }

    #[test]
    #[should_panic(expected = "for one network cannot be combined with one for several networks")]
    fn selections_for_one_and_for_several_networks_are_not_combined() {
        let several = TapSelection::named(["pool"]).of_network(0);
        several.union(TapSelection::named(["pool"]));
    }

    #[test]
    #[should_panic(expected = "One network cannot keep the taps of several networks")]
    fn a_recorder_refuses_a_selection_for_several_networks() {
        TapRecorder::new(TapSelection::named(["pool"]).of_network(0));
    }

    #[test]
    fn a_captured_tap_is_kept_only_if_it_is_selected() {
        for (selection, kept) in [
            (TapSelection::None, vec![]),
            (TapSelection::named(["b", "c"]), vec!["b", "c"]),
            (TapSelection::All, vec!["a", "b", "c"]),
        ] {
            let mut recorder = TapRecorder::new(selection);
            let (output, tap) = recorder.capture("a", |taps| {
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
    fn several_taps_are_captured_at_once() {
        let mut recorder = TapRecorder::new(TapSelection::named(["b", "d"]));
        let names = ["c", "b"].map(String::from);
        let (_, taps) = recorder.capture_all(&names, |taps| {
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
    fn a_captured_tap_that_is_not_offered_is_refused() {
        let mut recorder = TapRecorder::new(TapSelection::None);
        recorder.capture("c", |taps| taps.offer("a", vector));
    }

    #[test]
    fn a_union_selects_the_taps_of_both() {
        let both = TapSelection::named(["a"]).union(TapSelection::named(["b"]));

        assert_eq!(both, TapSelection::named(["a", "b"]));
        assert_eq!(both.clone().union(TapSelection::None), both);
        assert_eq!(both.union(TapSelection::All), TapSelection::All);
    }
}
