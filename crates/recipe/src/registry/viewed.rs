//! Networks that see a part of their input.

use super::network::{Architecture, Task};
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use crate::typed::typed_by;
use anyhow::{Result, anyhow};
use burn::tensor::Device;
use burn_distill::architecture::{CheckpointTensor, InputView, Plan, ViewedNetwork};
use burn_distill::core::DynNetwork;
use std::sync::Arc;
use toml::{Table, Value};

/// Option of every network: the part of the input that it sees.
pub const VIEW: &str = "view";

/// Splits a network of a recipe into the network alone and its view, if it has one.
///
/// # Errors
///
/// Returns an error if the view is not a table of its fields.
pub fn split(model: &ModelRecipe) -> Result<Option<(ModelRecipe, InputView)>> {
    let mut model = model.clone();
    let Some(view) = model.options.remove(VIEW) else {
        return Ok(None);
    };
    let name = model.name.clone();
    let Value::Table(view) = view else {
        return Err(anyhow!(
            "the `{VIEW}` of `{name}` should be a table, such as {{ pool = [4, 4] }}, but is {view}"
        ));
    };
    let read = |table: &Table| {
        let view = table.clone().try_into::<InputView>();
        view.map_err(|error| error.message().to_string())
    };
    let view =
        typed_by(&view, read).map_err(|fault| anyhow!("the `{VIEW}` of `{name}`: {fault}"))?;
    Ok(Some((model, view)))
}

/// A network with a view of its input.
pub struct Viewed {
    pub inner: Arc<dyn Architecture>,
    pub view: InputView,
}

impl Viewed {
    /// Returns the task of the inner network.
    fn seen(&self, task: &Task) -> Result<Task> {
        let input = self.view.shape(&task.input);
        // As a text, so that no caller takes the key for one of another table.
        let input =
            input.map_err(|error| anyhow!("the `{VIEW}` of `{}`: {error}", self.inner.name()))?;
        let classes = task.classes;
        Ok(Task { input, classes })
    }

    fn wrapped(&self, network: AnyNetwork, task: &Task) -> Result<AnyNetwork> {
        let network = ViewedNetwork::new(network, self.view.clone(), task.input.clone())?;
        Ok(DynNetwork::new(network))
    }
}

impl Architecture for Viewed {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn init(&self, task: &Task, device: &Device) -> Result<AnyNetwork> {
        self.wrapped(self.inner.init(&self.seen(task)?, device)?, task)
    }

    fn plan(&self, task: &Task) -> Result<Option<Plan>> {
        self.inner.plan(&self.seen(task)?)
    }

    fn checkpoint(&self, task: &Task) -> Result<Option<Vec<CheckpointTensor>>> {
        self.inner.checkpoint(&self.seen(task)?)
    }

    fn init_branched(&self, branches: usize, task: &Task, device: &Device) -> Result<AnyNetwork> {
        let seen = self.seen(task)?;
        self.wrapped(self.inner.init_branched(branches, &seen, device)?, task)
    }
}

#[cfg(test)]
mod tests {
    use crate::{InputShape, ModelRecipe, Registry, Task};
    use burn::tensor::Device;
    use burn_distill::core::{Network, tensors};

    fn model(text: &str) -> ModelRecipe {
        let table: toml::Table = format!("model = {text}").parse().unwrap();
        table["model"].clone().try_into().unwrap()
    }

    fn task(input: InputShape) -> Task {
        Task { input, classes: 10 }
    }

    fn error(text: &str) -> String {
        let registry = Registry::standard();
        let task = task(InputShape::Image([1, 8, 8]));
        let built = registry.build(&model(text), &task, 0_u64, &Device::flex());
        format!("{:#}", built.err().unwrap())
    }

    #[test]
    fn a_network_with_a_view_begins_with_the_weights_of_one_for_smaller_inputs() {
        let registry = Registry::standard();
        let build = |text: &str, input| {
            let task = task(InputShape::Image(input));
            registry
                .build(&model(text), &task, 3_u64, &Device::flex())
                .unwrap()
        };
        let viewed = build("{ name = 'mlp-8', view = { pool = [4, 4] } }", [1, 8, 8]);
        let small = build("'mlp-8'", [1, 4, 4]);

        assert_eq!(tensors(&viewed), tensors(&small));
        let logits = viewed.forward(viewed.example(2, &Device::flex()));
        assert_eq!(logits.classes().unwrap().dims(), [2, 10]);
        let architecture = registry.network(&model("{ name = 'mlp-8', view = { gray = true } }"));
        let plan = architecture
            .unwrap()
            .plan(&task(InputShape::Image([3, 8, 8])));
        assert_eq!(plan.unwrap().unwrap().parameters(), 8 * 65 + 90);
    }

    #[test]
    fn views_that_do_not_fit_are_refused_with_their_key() {
        assert_eq!(
            error("{ name = 'mlp-8', view = { pol = [4, 4] } }"),
            "the `view` of `mlp-8`: unknown key `pol`, did you mean `pool`?; the known ones are crop, \
             gray, edges, pool, features"
        );
        assert!(error("{ name = 'mlp-8', view = 4 }").contains("should be a table"));
        let error = error("{ name = 'mlp-8', view = { pool = [4, 9] } }");
        assert!(
            error.starts_with("the `view` of `mlp-8`: `pool` should be a height and a width"),
            "{error}"
        );
    }
}
