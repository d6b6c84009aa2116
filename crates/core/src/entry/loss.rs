use super::builder::LossBuilder;
use super::{BuiltLoss, LossContext, LossOptions, LossTable};
use crate::{
    CatalogEntry, Check, DefaultTaps, Input, LossError, Objective, TapLoss, WeightSchedule,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug};
use std::sync::Arc;

type Build<I> = Arc<dyn Fn(LossBuilder<'_, I>) -> Result<BuiltLoss<I>, LossError> + Send + Sync>;

/// Entry of a loss for lists and recipes: its name and reference, its default weight, and a
/// function that builds its term from a table of values.
///
/// # Example
///
/// A custom loss on logits, with the fields of its configuration as keys:
///
/// ```
/// use burn::config::Config;
/// use burn::module::Module;
/// use burn::tensor::Tensor;
/// use burn_distill_core::{
///     CatalogEntry, Check, Context, LossEntry, LossTerm, NamedLoss,
/// };
///
/// #[derive(Config, Debug)]
/// struct DecayConfig {
///     #[config(default = 2.0)]
///     power: f64,
/// }
///
/// impl Check for DecayConfig {}
///
/// #[derive(Module, Debug)]
/// struct Decay {
///     power: f64,
/// }
///
/// impl NamedLoss for Decay {
///     fn name(&self) -> &'static str {
///         "decay"
///     }
/// }
///
/// impl LossTerm for Decay {
///     fn value(&self, context: &Context<'_>) -> Tensor<1> {
///         let logits = context.student.response.rows().logits;
///         logits.abs().powf_scalar(self.power).mean()
///     }
/// }
///
/// let entry = LossEntry::<Tensor<4>>::new(
///     CatalogEntry {
///         name: "decay",
///         abbreviation: "",
///         about: "keeps the logits small",
///         kind: "response",
///         aliases: &[],
///         reference: "our own",
///     },
///     1e-4,
///     |builder| {
///         let config = builder.configure(DecayConfig::new())?;
///         builder.term(Decay { power: config.power })
///     },
/// );
/// assert!(entry.catalog.has_name("decay"));
/// ```
#[derive(Clone)]
pub struct LossEntry<I: Input> {
    /// Name, aliases and reference.
    pub catalog: CatalogEntry,
    /// Default weight of the term.
    pub weight: WeightSchedule,
    /// Whether the loss takes all teachers of a student at once.
    pub joint: bool,
    /// Description of the responses that the loss compares, if they are not classes or tokens.
    pub responses: Option<&'static str>,
    /// Whether the loss is computed from the labels of the samples, and is nothing without them.
    pub labels: bool,
    build: Build<I>,
}

/// Configuration of a loss whose fields can be keys of a table.
pub trait Configuration:
    Check + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<C> Configuration for C where
    C: Check + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// Configuration of a loss without options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoOptions {}

impl Check for NoOptions {}

impl<I: Input> LossEntry<I> {
    /// Creates an entry from the name and reference of a loss, its default weight, and a function
    /// that builds its term.
    pub fn new(
        catalog: CatalogEntry,
        weight: impl Into<WeightSchedule>,
        build: impl Fn(LossBuilder<'_, I>) -> Result<BuiltLoss<I>, LossError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            catalog,
            weight: weight.into(),
            joint: false,
            responses: None,
            labels: false,
            build: Arc::new(build),
        }
    }

    /// Creates the entry of a custom loss from its name, its default weight, and a function that
    /// builds its term.
    pub fn named(
        name: &'static str,
        weight: impl Into<WeightSchedule>,
        build: impl Fn(LossBuilder<'_, I>) -> Result<BuiltLoss<I>, LossError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(CatalogEntry::custom(name), weight, build)
    }

    /// Creates the entry of a custom loss between pairs of taps, from its name, its default taps
    /// and its default weight. The values of a table replace the fields of the configuration
    /// `default`, from which `init` creates the loss.
    pub fn taps<C, L, F>(
        name: &'static str,
        taps: DefaultTaps,
        weight: f64,
        default: C,
        init: F,
    ) -> Self
    where
        C: Configuration,
        L: TapLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::named(name, weight, move |builder| {
            builder.pairs_of(taps, default.clone(), &init)
        })
    }

    /// Creates the entry of a custom loss of any other kind, from its name and its default weight.
    /// The values of a table replace the fields of the configuration `default`. `init` creates the
    /// objective from the configuration, the name of the term and its weight.
    pub fn objective<C, O, F>(name: &'static str, weight: f64, default: C, init: F) -> Self
    where
        C: Configuration,
        O: Objective,
        F: Fn(&C, String, WeightSchedule) -> O + Send + Sync + 'static,
    {
        Self::named(name, weight, move |builder| {
            let config = builder.configure(default.clone())?;
            builder.objective(name, |name, weight| init(&config, name, weight))
        })
    }

    /// Sets alternative names.
    pub fn with_aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.catalog.aliases = aliases;
        self
    }

    /// Sets the reference: authors, title, venue, year.
    pub fn with_reference(mut self, reference: &'static str) -> Self {
        self.catalog.reference = reference;
        self
    }

    /// Declares that the loss takes all teachers of a student at once.
    pub fn for_all_teachers(mut self) -> Self {
        self.joint = true;
        self
    }

    /// Declares the kind of the responses that the loss compares, such as "boxes", if it is not
    /// classes or tokens.
    pub fn for_responses(mut self, responses: &'static str) -> Self {
        self.responses = Some(responses);
        self
    }

    /// Declares that the loss is computed from the labels of the samples, so that data without labels
    /// refuses it.
    pub fn for_labels(mut self) -> Self {
        self.labels = true;
        self
    }

    /// Builds the term for a student and its teachers. A loss that is not
    /// [of all teachers](Self::for_all_teachers) uses only the first.
    ///
    /// # Errors
    ///
    /// Returns an error if a value of the table is invalid, or if the loss cannot compare the
    /// networks.
    pub fn build(
        &self,
        options: LossOptions,
        table: Box<dyn LossTable>,
        contexts: &[LossContext<I>],
    ) -> Result<BuiltLoss<I>, LossError> {
        if contexts.is_empty() {
            return Err(LossError::new(
                "a loss needs a student and at least one teacher, but there is no teacher",
            ));
        }
        let builder = LossBuilder::new(options, self.weight.clone(), table, contexts);
        (self.build)(builder)
    }
}

impl<I: Input> Debug for LossEntry<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LossEntry")
            .field("catalog", &self.catalog)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Perceptron;
    use crate::{
        Check, ConfigError, DefaultTaps, DynNetwork, NamedLoss, Objective, Tap, TapLoss,
        TapSelection, check,
    };
    use burn::config::Config;
    use burn::module::Module;
    use burn::tensor::{Bool, Device, Tensor};
    use serde_json::json;

    #[derive(Config, Debug)]
    struct ScaledConfig {
        #[config(default = 1.0)]
        scale: f64,
    }

    impl Check for ScaledConfig {
        fn check(&self) -> Result<(), ConfigError> {
            check::positive("scale", self.scale)
        }
    }

    #[derive(Module, Debug)]
    struct Scaled {
        scale: f64,
    }

    impl NamedLoss for Scaled {
        fn name(&self) -> &'static str {
            "scaled"
        }
    }

    impl TapLoss for Scaled {
        fn forward_taps(
            &self,
            student: Tap,
            teacher: Tap,
            _: Option<Tensor<2, Bool>>,
        ) -> Tensor<1> {
            let difference = student.into_vectors().sub(teacher.into_vectors());
            difference.square().mean().mul_scalar(self.scale)
        }

        fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
            let [student, teacher] = [student.vector_size()?, teacher.vector_size()?];
            crate::check_same("features", student, teacher)
        }
    }

    fn entry() -> LossEntry<Tensor<2>> {
        let catalog = CatalogEntry {
            name: "scaled",
            abbreviation: "",
            about: "",
            kind: "feature",
            aliases: &["sc"],
            reference: "a test",
        };
        LossEntry::new(catalog, 3.0, |builder| {
            builder.pairs_of(DefaultTaps::Stages, ScaledConfig::new(), |config| Scaled {
                scale: config.scale,
            })
        })
    }

    fn context(features: usize) -> LossContext<Tensor<2>> {
        let device = Device::default();
        let network = |features: usize| DynNetwork::new(Perceptron::new([3, features, 4], &device));
        LossContext::new(network(5), network(features), 2, Vec::new(), device.clone())
    }

    fn built(
        table: serde_json::Value,
        options: LossOptions,
        features: usize,
    ) -> Result<BuiltLoss<Tensor<2>>, String> {
        let serde_json::Value::Object(table) = table else {
            panic!("a table is an object");
        };
        let built = entry().build(options, Box::new(table), &[context(features)]);
        built.map_err(|error| error.to_string())
    }

    #[test]
    fn a_loss_is_built_from_a_json_table() {
        let built = built(json!({ "scale": 2.0 }), LossOptions::default(), 5).unwrap();

        assert_eq!(built.name, "scaled");
        let super::super::BuiltObjective::One(objective) = built.objective else {
            panic!("the loss is of one teacher");
        };
        let text = objective.to_string();
        assert!(text.contains("scale: 2"), "{text}");
        assert!(text.contains("weight: Constant(3.0)"), "{text}");
        let taps = TapSelection::named(["hidden"]);
        assert_eq!(objective.requirements().student, taps);
        assert_eq!(context(5).classes().unwrap(), 4);
    }

    #[test]
    fn name_weight_and_views_are_those_of_the_table() {
        let options = LossOptions {
            name: Some("mine".into()),
            weight: Some(0.5.into()),
            views: 2,
        };
        let built = built(json!({}), options, 5).unwrap();

        assert_eq!(built.name, "mine");
        let super::super::BuiltObjective::One(objective) = built.objective else {
            panic!("the loss is of one teacher");
        };
        assert!(objective.to_string().contains("weight: Constant(0.5)"));
        assert_eq!(objective.requirements().views, 2);
    }

    #[test]
    fn invalid_values_and_taps_are_errors() {
        for (table, features, message) in [
            (json!({ "scal": 2.0 }), 5, "unknown field `scal`"),
            (
                json!({ "scale": 0.0 }),
                5,
                "`scale` should be finite and above 0",
            ),
            (json!({ "scale": "much" }), 5, "invalid type: string"),
            (
                json!({ "student": "layer7" }),
                5,
                "`student`: no tap named `layer7`",
            ),
            (
                json!({ "pairing": "last" }),
                5,
                "this program does not support `pairing`",
            ),
            (
                json!({}),
                6,
                "between `hidden` (5) of the student and `hidden` (6) of the teacher: student and \
                 teacher should have the same number of features, but have 5 and 6",
            ),
        ] {
            let error = built(table.clone(), LossOptions::default(), features);
            let error = error.err().unwrap();
            assert!(error.contains(message), "{table}: {error}");
        }
    }
}
