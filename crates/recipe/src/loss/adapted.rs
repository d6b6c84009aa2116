use super::Loss;
use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use crate::configure::configure;
use crate::typed::typed_value;
use anyhow::{Context, Result};
use burn_distill::architecture::{AdapterKind, FeatureAdapter, FeatureAdapterConfig, Resize};
use burn_distill::core::{Check, Network, Pair, Tap, TapLoss, TapPairs};
use burn_distill::feature::{
    ActivationBoundaryLossConfig, HintLossConfig, OverhaulLossConfig, PearsonLossConfig,
    VidLossConfig, doubling_weights,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

/// What a loss between adapted taps does where the recipe does not say.
struct Adapted<C> {
    /// The taps.
    layers: Layers,
    /// The adapter between two of them.
    adapter: fn(&Tap, &Tap) -> FeatureAdapterConfig,
    /// The weights of so many pairs.
    weights: fn(usize) -> Vec<f64>,
    /// The weight of the term.
    weight: f64,
    /// The configuration of the loss.
    config: C,
}

impl Description<'_> {
    pub fn hint(self) -> Result<Loss> {
        let defaults = Adapted {
            layers: Layers::MiddleStage,
            adapter: |student, teacher| {
                FeatureAdapterConfig::new(AdapterKind::suited(student, teacher))
            },
            weights: |pairs| vec![1.0; pairs],
            weight: 100.0,
            config: HintLossConfig::new(),
        };
        self.adapted(defaults, |config, _| config.init())
    }

    pub fn pearson(self) -> Result<Loss> {
        let defaults = Adapted {
            layers: Layers::Stages,
            adapter: |student, teacher| {
                let kind = match features(student) == features(teacher) {
                    true => AdapterKind::None,
                    false => AdapterKind::Conv1x1,
                };
                FeatureAdapterConfig::new(kind).with_resize(Resize::Bilinear)
            },
            weights: |pairs| vec![1.0; pairs],
            weight: 1.0,
            config: PearsonLossConfig::new(),
        };
        self.adapted(defaults, |config, _| config.init())
    }

    pub fn activation_boundaries(self) -> Result<Loss> {
        let defaults = Adapted {
            layers: Layers::BeforeActivation,
            adapter: |_, _| FeatureAdapterConfig::new(AdapterKind::Connector),
            weights: doubling_weights,
            weight: 1.0,
            config: ActivationBoundaryLossConfig::new(),
        };
        self.adapted(defaults, |config, _| config.init())
    }

    pub fn overhaul(self) -> Result<Loss> {
        let defaults = Adapted {
            layers: Layers::BeforeActivation,
            adapter: |_, _| FeatureAdapterConfig::new(AdapterKind::Connector),
            weights: doubling_weights,
            weight: 1.0,
            config: OverhaulLossConfig::new(),
        };
        let scene = self.scene;
        self.adapted(defaults, |config, teacher| {
            match scene.teacher.normalization(teacher) {
                Some(norm) => config.init_with_normalization(&norm, &scene.device),
                None => config.init(),
            }
        })
    }

    pub fn variational(mut self) -> Result<Loss> {
        let names = self.pairs(Layers::Stages)?;
        let config = self.configure(VidLossConfig::new())?;
        let scene = self.scene;
        let pairs = catch(|| {
            let pair = |(student, teacher): (String, String)| {
                let loss = config.init(
                    features(&scene.student_taps.take(&student)),
                    features(&scene.teacher_taps.take(&teacher)),
                    &scene.device,
                );
                Pair::new(student, teacher, loss)
            };
            names.into_iter().map(pair).collect::<Vec<_>>()
        })?;
        self.term(TapPairs::from(pairs), 1.0)
    }

    /// A loss between pairs of taps, the student's adapted as `adapter` and what belongs to it say.
    /// `init` makes the loss for a tap of the teacher.
    fn adapted<C, L>(mut self, defaults: Adapted<C>, init: impl Fn(&C, &str) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: TapLoss,
    {
        let names = self.pairs(defaults.layers)?;
        let adapters = self.adapters(&names, defaults.adapter)?;
        let config = self.configure(defaults.config)?;
        let weights = (defaults.weights)(names.len());
        let pairs = catch(|| {
            names
                .into_iter()
                .zip(adapters)
                .zip(weights)
                .map(|(((student, teacher), adapter), weight)| {
                    let loss = init(&config, &teacher);
                    Pair::new(student, teacher, loss)
                        .with_adapter(adapter)
                        .with_weight(weight)
                })
                .collect::<Vec<_>>()
        })?;
        self.term(TapPairs::from(pairs), defaults.weight)
    }

    /// The adapters of pairs of taps.
    fn adapters(
        &mut self,
        pairs: &[(String, String)],
        default: fn(&Tap, &Tap) -> FeatureAdapterConfig,
    ) -> Result<Vec<FeatureAdapter>> {
        let mut keys = Table::new();
        for (key, field) in [
            ("adapter", "kind"),
            ("norm", "norm"),
            ("activation", "activation"),
            ("resize", "resize"),
        ] {
            if let Some(value) = self.take(key) {
                keys.insert(field.into(), value);
            }
        }
        // The key of a recipe is not the name of the field.
        if let Some(kind) = keys.get("kind") {
            typed_value::<AdapterKind>("adapter", kind.clone())?;
        }
        let scene = self.scene;
        let adapter = |(student, teacher): &(String, String)| {
            let student_tap = scene.student_taps.get(student)?;
            let teacher_tap = scene.teacher_taps.get(teacher)?;
            let config = configure(&default(student_tap, teacher_tap), &keys, &[])?;
            let adapter = config.init(student_tap, teacher_tap, &scene.device)?;
            anyhow::Ok(adapter)
        };
        pairs
            .iter()
            .map(|pair| {
                let between = || format!("`adapter` from `{}` to `{}`", pair.0, pair.1);
                adapter(pair).with_context(between)
            })
            .collect()
    }
}

/// The number of features or channels; none of what has none.
fn features(tap: &Tap) -> usize {
    match tap {
        Tap::Vector(_) | Tap::Sequence(_) | Tap::Map(_) => tap.clone().into_map().dims()[1],
        Tap::Attention(_) | Tap::Mask(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scene;
    use super::*;
    use crate::network::for_digits;

    fn scene(student: &str, teacher: &str) -> Scene {
        Scene::new(for_digits(student), for_digits(teacher), 4, vec![(0, None)])
    }

    fn loss(text: &str, scene: &Scene) -> String {
        let loss = Loss::new(&text.parse().unwrap(), scene).unwrap();
        loss.objective.to_string()
    }

    fn error(text: &str) -> String {
        let scene = Scene::example();
        let loss = Loss::new(&text.parse().unwrap(), &scene);
        format!("{:#}", loss.err().unwrap())
    }

    #[test]
    fn adapters_are_those_of_the_table_or_else_of_the_authors() {
        let scene = Scene::example();
        for (text, layer, norm) in [
            ("kind = 'hint'", "kernel_size: [1, 1]", true),
            (
                "kind = 'hint'\nadapter = 'conv3x3'\nnorm = false",
                "kernel_size: [3, 3]",
                false,
            ),
            (
                "kind = 'hint'\nstudent = 'pool'\nteacher = 'pool'",
                "Linear",
                false,
            ),
            (
                "kind = 'hint'\nstudent = 'layer1'\nteacher = 'layer2'",
                "stride: [2, 2]",
                true,
            ),
            (
                "kind = 'hint'\nstudent = 'layer2'\nteacher = 'layer1'",
                "kernel_size: [4, 4]",
                true,
            ),
            ("kind = 'pearson'", "kernel_size: [1, 1]", true),
            (
                "kind = 'pearson'\nstudent = 'layer2'\nteacher = 'layer1'",
                "Identity",
                false,
            ),
            ("kind = 'ab'", "params: 32", true),
        ] {
            let objective = loss(text, &scene);
            assert!(objective.contains(layer), "{text}: {objective}");
            assert_eq!(objective.contains("BatchNorm"), norm, "{text}: {objective}");
        }
        let active = loss("kind = 'hint'\nactivation = true", &scene);
        assert!(active.contains("activation: true"), "{active}");
    }

    #[test]
    fn margins_come_from_the_normalization_where_there_is_one() {
        let given = loss("kind = 'ofd'", &Scene::example());
        assert!(given.contains("margins: 16 given"), "{given}");

        let perceptrons = scene("mlp-8", "mlp-16");
        let estimated = loss("kind = 'ofd'", &perceptrons);
        assert!(estimated.contains("margins: estimated"), "{estimated}");
    }

    #[test]
    fn later_layers_count_more() {
        let boundaries = loss("kind = 'ab'", &Scene::example());

        let (first, second) = boundaries.split_once("layer2.pre").unwrap();
        assert!(first.contains("weight: 0.5"), "{boundaries}");
        assert!(second.contains("weight: 1.0"), "{boundaries}");
    }

    #[test]
    fn errors_name_the_taps_and_what_there_is() {
        let misfit = error("kind = 'hint'\nadapter = 'none'");
        assert!(
            misfit.contains("`adapter` from `layer2` to `layer2`: without an adapter both taps"),
            "{misfit}"
        );
        let misspelt = error("kind = 'hint'\nadapter = 'conv'");
        assert!(
            misspelt.contains("`adapter` should be one of none, linear, conv1x1"),
            "{misspelt}"
        );
        let kinds = error("kind = 'hint'\nstudent = 'pool'");
        assert!(
            kinds.contains("a vector [8] and the teacher's a map [16, 4, 4]"),
            "{kinds}"
        );
        let margin = error("kind = 'ab'\nmargin = 0.0");
        assert!(
            margin.contains("`margin` should be finite and above 0, but is 0"),
            "{margin}"
        );
    }
}
