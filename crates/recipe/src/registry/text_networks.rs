//! The text networks of the architecture crate.

use super::network::{Architecture, NetworkFamily, Task};
use crate::configure::configured;
use crate::input::{AnyNetwork, any_network};
use crate::memory;
use crate::model::ModelRecipe;
use anyhow::{Result, anyhow};
use burn::tensor::Device;
use burn_distill::architecture::{
    self, CheckpointTensor, NetworkError, Plan, TextClassifierConfig, TextOptions, TextSize,
};
use burn_distill::core::{CatalogEntry, initialize};
use std::sync::Arc;

/// The text networks of the architecture crate.
pub(super) struct TextNetworks;

/// A text network with its options.
struct TextNetwork {
    size: TextSize,
    options: TextOptions,
}

impl NetworkFamily for TextNetworks {
    fn entries(&self) -> Vec<CatalogEntry> {
        let all = architecture::text_catalog().iter();
        all.map(|network| CatalogEntry {
            name: network.name,
            abbreviation: "",
            about: "",
            kind: network.kind,
            aliases: network.aliases,
            reference: network.reference,
        })
        .collect()
    }

    fn examples(&self) -> Vec<&'static str> {
        let all = architecture::text_catalog().iter();
        all.map(|network| network.example).collect()
    }

    fn find(&self, model: &ModelRecipe) -> Option<Result<Arc<dyn Architecture>>> {
        let size = match TextSize::by_name(&model.name) {
            Err(NetworkError::Unknown { .. }) => return None,
            Err(error) => return Some(Err(error.into())),
            Ok(size) => size,
        };
        let options = configured(&TextOptions::new(), &model.options);
        let network = options.map(|options| TextNetwork { size, options });
        Some(match network {
            Ok(network) => Ok(Arc::new(network)),
            Err(fault) => Err(fault.into()),
        })
    }
}

impl TextNetwork {
    /// Returns the configuration for the data of a recipe.
    fn config(&self, task: &Task) -> Result<TextClassifierConfig> {
        Ok(self
            .options
            .classifier(self.size, task.tokens()?, task.classes)?)
    }
}

impl TextNetwork {
    /// Checks that the scores of attention of two samples, which a trial needs, fit into the memory
    /// of this machine: a plan does not list them, and their number grows with the square of the
    /// length.
    fn check_scores(&self, task: &Task) -> Result<()> {
        let [length, _] = task.tokens()?;
        let per_sample = (self.size.depth * self.size.heads) as f64 * (length as f64).powi(2);
        let name = self.name();
        memory::fits("", &name, 2.0 * memory::NUMBER * per_sample)
            .map_err(|error| anyhow!("{name} for {} should be {}", task.input, error.expected))
    }
}

impl Architecture for TextNetwork {
    fn name(&self) -> String {
        self.size.to_string()
    }

    fn init(&self, task: &Task, device: &Device) -> Result<AnyNetwork> {
        let config = self.config(task)?;
        config.plan()?;
        self.check_scores(task)?;
        Ok(any_network(initialize(config.init(device))))
    }

    fn plan(&self, task: &Task) -> Result<Option<Plan>> {
        let plan = self.config(task)?.plan()?;
        self.check_scores(task)?;
        Ok(Some(plan))
    }

    fn checkpoint(&self, task: &Task) -> Result<Option<Vec<CheckpointTensor>>> {
        Ok(Some(self.config(task)?.checkpoint()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{AnyInput, InputShape};
    use crate::registry::Registry;
    use burn_distill::core::{Network, known_taps, parameter_count};

    fn task() -> Task {
        Task {
            input: InputShape::Tokens {
                length: 6,
                vocabulary: 20,
            },
            classes: 3,
        }
    }

    fn model(text: &str) -> ModelRecipe {
        let table: toml::Table = format!("model = {text}").parse().unwrap();
        table["model"].clone().try_into().unwrap()
    }

    fn error(text: &str, task: &Task) -> String {
        let built = Registry::standard()
            .network(&model(text))
            .and_then(|network| network.plan(task));
        format!("{:#}", built.unwrap_err())
    }

    #[test]
    fn vocabulary_length_and_classes_are_those_of_the_data() {
        let network = Registry::standard()
            .network(&model("'Transformer_8_1_2'"))
            .unwrap();

        let built = network.init(&task(), &Device::flex()).unwrap();

        let AnyInput::Tokens(example) = built.example(2, &Device::flex()) else {
            panic!("it takes tokens");
        };
        assert_eq!(example.ids.dims(), [2, 6]);
        let plan = network.plan(&task()).unwrap().unwrap();
        assert_eq!(network.name(), "transformer-8-1-2");
        // Words, positions, two segments and their normalization; attention, two linear layers and
        // two normalizations; the head.
        let parameters = 8 * (20 + 6 + 2 + 2) + 4 * 72 + (288 + 264) + 32 + 72 + 27;
        assert_eq!(plan.parameters(), parameters);
        assert_eq!(parameter_count(&built), parameters);
        let taps = known_taps(&built);
        assert_eq!(taps.get("hidden.1").unwrap().shape().as_slice(), [2, 6, 8]);
    }

    #[test]
    fn tensors_have_their_names_in_transformers() {
        let names = |name: &str| -> Vec<_> {
            let network = Registry::standard().network(&name.into()).unwrap();
            let tensors = network.checkpoint(&task()).unwrap().unwrap();
            tensors.into_iter().map(|tensor| tensor.original).collect()
        };

        let bert = names("transformer-8-1-2");
        assert!(bert.contains(&"bert.embeddings.word_embeddings.weight".into()));
        assert!(bert.contains(&"bert.encoder.layer.0.attention.self.query.weight".into()));
        assert!(names("distilbert").contains(&"pre_classifier.weight".into()));
    }

    #[test]
    fn options_give_the_sizes_of_a_published_checkpoint() {
        let published = model("{ name = 'bert-tiny', vocabulary = 30522, positions = 512 }");
        let network = Registry::standard().network(&published).unwrap();
        let task = Task {
            classes: 2,
            ..task()
        };

        let plan = network.plan(&task).unwrap().unwrap();

        assert_eq!(plan.parameters(), 4_386_178);
    }

    #[test]
    fn wrong_options_are_refused_with_their_key() {
        let of = |options: &str| error(&format!("{{ name = 'bert-tiny', {options} }}"), &task());
        for (options, expected) in [
            ("vocabluary = 30", "did you mean `vocabulary`?"),
            ("vocabulary = -1", "`vocabulary` should be a whole number"),
            ("vocabulary = 19", "should be at least 20"),
            ("positions = 5", "should be from 6, the number of tokens"),
            ("dropout = 1", "`dropout` should be a probability"),
            ("dropout = 'none'", "`dropout` should be a number"),
        ] {
            let error = of(options);
            assert!(error.contains(expected), "{options}: {error}");
        }
    }

    #[test]
    fn other_data_is_refused() {
        let images = Task {
            input: InputShape::Image([1, 8, 8]),
            classes: 10,
        };
        let expected = "the network takes tokens, but the data is images of 1x8x8";
        assert_eq!(error("'bert-tiny'", &images), expected);
        let unknown = error("'bert-tny'", &task());
        assert!(unknown.contains("did you mean `bert-tiny`?"), "{unknown}");
        let heads = error("'transformer-8-1-3'", &task());
        assert!(heads.contains("a divisor of the 8 features"), "{heads}");
    }
}
