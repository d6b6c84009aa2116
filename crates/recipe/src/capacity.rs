//! Checks that the networks of a recipe fit into the memory of this machine.

use super::fault::{Fault, Place};
use super::memory::{NUMBER, fits, trained};
use super::{AssistantPlan, Recipe, TeacherRecipe, TeacherSource};
use crate::model::ModelRecipe;
use crate::registry::{Architecture, Task};
use anyhow::{Context, Result};
use burn_distill::architecture::{LayerKind, Plan};
use burn_distill::core::ConfigError;

/// Checks that a network can be built and run on this number of samples.
///
/// # Errors
///
/// Returns an error with the estimate if there is less memory.
pub fn check_network(network: &dyn Architecture, task: &Task, samples: usize) -> Result<()> {
    let Some(plan) = network.plan(task)? else {
        return Ok(());
    };
    let bytes = NUMBER * (plan.parameters() as f64 + samples as f64 * activations(&plan));
    let name = network.name();
    fits("", &name, bytes).map_err(|error| {
        let text = format!("{name} for {} should be {}", task.input, error.expected);
        Fault::other("", text).into()
    })
}

/// Checks the networks of a recipe, and their activations for a batch.
pub fn check(recipe: &Recipe) -> Result<()> {
    let task = recipe.spec()?.task;
    let planned = |model: &ModelRecipe, place: &str| -> Result<Option<Plan>> {
        let planned = recipe.registry.network(model);
        let planned = planned.and_then(|network| network.plan(&task));
        planned.with_context(|| place.to_string())
    };
    for (index, teacher) in recipe.teachers().iter().enumerate() {
        let place = TeacherRecipe::place(index);
        let (model, training) = match teacher.source().at(&place)? {
            TeacherSource::Trained(model, training) => (model, Some(training)),
            TeacherSource::Weights(model, _) => (model, None),
            TeacherSource::Onnx(_) => continue,
        };
        let Some(plan) = planned(model, &format!("{place}.model"))? else {
            continue;
        };
        match training {
            Some(training) => check_trained(&plan, model, 1, training.batch_size),
            None => fits("model", model, NUMBER * plan.parameters() as f64),
        }
        .at(&place)?;
    }
    let student = &recipe.student;
    let chain = recipe.strategy.options().assistants();
    for (place, assistant) in chain.iter().flat_map(AssistantPlan::placed) {
        if let Some(plan) = planned(&assistant.model, &format!("{place}.model"))? {
            let training = assistant.training.as_ref().unwrap_or(&student.training);
            check_trained(&plan, &assistant.model, 1, training.batch_size).at(&place)?;
        }
    }
    let Some(plan) = planned(&student.model, "student.model")? else {
        return Ok(());
    };
    let copies = recipe.strategy.options().networks();
    check_trained(&plan, &student.model, copies, student.training.batch_size).at("student")?;
    for (index, stage) in recipe.stages.iter().enumerate() {
        if let Some(training) = &stage.training {
            let place = format!("stage.{index}");
            check_trained(&plan, &student.model, 1, training.batch_size).at(&place)?;
        }
    }
    Ok(())
}

/// Checks copies of a network that are trained at the same time on batches of that size.
fn check_trained(
    plan: &Plan,
    model: &ModelRecipe,
    copies: usize,
    batch_size: usize,
) -> Result<(), ConfigError> {
    let copies = copies as f64;
    fits("model", model, copies * trained(plan.parameters() as f64))?;
    let batch = copies * NUMBER * activations(plan) * batch_size as f64;
    fits("training.batch_size", batch_size, batch)
}

/// Returns the number of outputs of all layers for one sample.
fn activations(plan: &Plan) -> f64 {
    // Embeddings are looked up: all of them are parameters, not outputs.
    let outputs = plan.layers.iter();
    let outputs = outputs.filter(|layer| layer.kind != LayerKind::Embeddings);
    let sizes = outputs.map(|layer| {
        let sizes = layer.output.iter();
        sizes.map(|&size| size as f64).product::<f64>()
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputShape;
    use burn_distill::architecture::NetworkConfig;

    #[test]
    fn a_network_that_is_too_large_is_refused_with_its_estimate() {
        let error = |name: &str, input: [usize; 3]| {
            let model = NetworkConfig::by_name(name).unwrap();
            let input = InputShape::Image(input);
            let task = Task { input, classes: 10 };
            check_network(&model, &task, 2).unwrap_err().to_string()
        };

        let wide = error(
            "mlp-65536-65536-65536-65536-65536-65536-65536",
            [3, 4096, 4096],
        );
        assert!(
            wide.contains("it needs about") && wide.contains("TB"),
            "{wide}"
        );
        let image = error("resnet20", [3, 60_000, 60_000]);
        assert!(image.contains("for images of 3x60000x60000"), "{image}");
        let model = NetworkConfig::by_name("resnet20").unwrap();
        let input = InputShape::Image([3, 32, 32]);
        check_network(&model, &Task { input, classes: 10 }, 2).unwrap();
    }
}
