use crate::{LossError, Tap, Taps};

/// Default taps of a loss, for a table that names no taps.
#[derive(Clone, Copy, Debug)]
pub enum DefaultTaps {
    /// The output of every stage: the maps, or else the sequences, or else the vectors of hidden
    /// layers.
    Stages,
    /// The output of the last stage.
    LastStage,
    /// The output of the last stage if it is a map or a vector, or else the pooled features, as for
    /// transformers.
    LastMap,
    /// The output of the middle stage, the usual place of hints.
    MiddleStage,
    /// Every stage before its last activation.
    BeforeActivation,
    /// Every stage before its last activation, then the pooled features.
    BeforeActivationAndPool,
    /// Every stage, then the pooled features.
    StagesAndPool,
    /// The input of the classifier.
    Pooled,
    /// The class activation maps of networks that classify the mean of each channel.
    ClassMaps,
    /// The tokens or the attention of every layer of a transformer, such as `hidden.0`, `hidden.1`,
    /// ….
    EveryOf(&'static str),
    /// The last layer of each of several kinds, such as `query.4`, `key.4`, `value.4`.
    LastOf(&'static [&'static str]),
}

impl DefaultTaps {
    /// Returns the names of the default taps of a network.
    pub fn of(self, taps: &Taps) -> Vec<String> {
        let named = |keep: &dyn Fn(&str, &Tap) -> bool| -> Vec<String> {
            let kept = taps.iter().filter(|(name, tap)| keep(name, tap));
            kept.map(|(name, _)| name.to_string()).collect()
        };
        let is_pre = |name: &str| name.ends_with(".pre");
        let outputs = || {
            let kinds: [fn(&Tap) -> bool; 3] = [
                |tap| matches!(tap, Tap::Map(_)),
                |tap| matches!(tap, Tap::Sequence(_)),
                |tap| matches!(tap, Tap::Vector(_)),
            ];
            let numbered = |name: &str| name.starts_with("layer") || name.starts_with("hidden");
            kinds
                .iter()
                .map(|kind| named(&|name, tap| kind(tap) && numbered(name) && !is_pre(name)))
                .find(|names| !names.is_empty())
                .unwrap_or_default()
        };
        let pool = || {
            let pool = named(&|name, _| name == "pool");
            match pool.is_empty() {
                true => outputs().pop().into_iter().collect(),
                false => pool,
            }
        };
        match self {
            Self::Stages => outputs(),
            Self::LastStage => outputs().pop().into_iter().collect(),
            Self::LastMap => match outputs().pop() {
                Some(last) if !matches!(taps.get(&last), Ok(Tap::Sequence(_))) => vec![last],
                _ => pool(),
            },
            Self::MiddleStage => {
                let mut stages = outputs();
                match stages.len() {
                    0 => stages,
                    count => vec![stages.swap_remove(count / 2)],
                }
            }
            Self::BeforeActivation => named(&|name, _| is_pre(name)),
            Self::BeforeActivationAndPool => {
                let mut names = named(&|name, _| is_pre(name));
                names.extend(pool());
                names
            }
            Self::StagesAndPool => {
                let mut names = outputs();
                names.extend(pool());
                names
            }
            Self::Pooled => pool(),
            Self::ClassMaps => named(&|name, _| name == "class-maps"),
            Self::EveryOf(kind) => named(&|name, tap| {
                let number = name
                    .strip_prefix(kind)
                    .and_then(|rest| rest.strip_prefix('.'));
                let is_layer = number.is_some_and(|number| number.parse::<usize>().is_ok());
                is_layer && matches!(tap, Tap::Sequence(_) | Tap::Attention(_))
            }),
            Self::LastOf(kinds) => {
                let last = |kind: &&'static str| Self::EveryOf(kind).of(taps).pop();
                kinds.iter().filter_map(last).collect()
            }
        }
    }

    /// Returns the number of layers of a transformer whose taps are `kind.1`, `kind.2`, ….
    ///
    /// # Errors
    ///
    /// Returns an error if there are no such taps.
    pub fn depth_of(taps: &Taps, kind: &'static str) -> Result<usize, LossError> {
        let layers = Self::EveryOf(kind).of(taps);
        match layers.iter().filter(|name| !name.ends_with(".0")).count() {
            0 => Err(LossError::new(format_args!(
                "the network has no taps `{kind}.1`, …, which a transformer should have: name other taps"
            ))),
            depth => Ok(depth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn the_last_map_of_a_transformer_is_its_pooled_features() {
        let device = Device::default();
        let sequence = || Tensor::<3>::zeros([2, 5, 4], &device);
        let vectors = || Tensor::<2>::zeros([2, 4], &device);
        let map = || Tensor::<4>::zeros([2, 4, 3, 3], &device);
        let of = |taps: Taps| DefaultTaps::LastMap.of(&taps);

        let convolutional = [("layer1", map()), ("layer2", map())];
        assert_eq!(of(Taps::from(convolutional)), ["layer2"]);
        assert_eq!(of(Taps::from([("hidden.1", vectors())])), ["hidden.1"]);
        let transformer = [
            ("hidden.1", Tap::from(sequence())),
            ("pool", Tap::from(vectors())),
        ];
        assert_eq!(of(transformer.into_iter().collect()), ["pool"]);
    }
}
