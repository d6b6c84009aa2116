//! Checks of a run before its first training, so that nothing is trained in vain.

use super::data::Data;
use super::strategies::context;
use super::weights;
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_distill::core::parameter_count;
use burn_distill_recipe::text::grouped;
use burn_distill_recipe::{
    AnyNetwork, LossContext, Losses, ModelRecipe, Notices, Recipe, Task, TeacherRecipe,
    check_losses, check_setting, loss_context, with_inputs,
};
use toml::{Table, Value};

/// Checks that a recipe can be run with this data: that batches and labels suffice, that the weights
/// of every teacher that is not trained are there and fit, and that the losses or the strategy can be
/// built between these networks.
///
/// The recipe by itself was checked when it was read.
pub fn check(recipe: &Recipe, data: &Data) -> Result<()> {
    data.check_batches(recipe)?;
    for &seed in &recipe.seeds {
        data.labels(seed)?;
    }
    describe_data(recipe, data)?;

    let seed = recipe.seeds[0];
    let registry = &recipe.registry;
    let build = |model: &ModelRecipe| registry.build(model, &data.task(), seed, &Device::flex());
    let student = build(&recipe.student.model).context("student.model")?;
    describe_network("student", &recipe.student.model, &student);
    let teachers = recipe.teachers();
    let teachers = teachers.iter().enumerate();
    let teachers: Vec<_> = teachers
        .map(|(index, recipe)| {
            let network = build(&recipe.model);
            let network =
                network.with_context(|| format!("{}.model", TeacherRecipe::place(index)))?;
            with_weights(network, index, recipe)
        })
        .collect::<Result<_>>()?;
    if !recipe.strategy.is_offline() {
        describe_losses("the strategy", &recipe.losses);
        return check_setting(&context(recipe, data, seed)?);
    }

    let contexts = |batch_size: usize| -> Result<Vec<LossContext>> {
        let context = |teacher: &AnyNetwork| {
            let samples = data.known_classes(seed)?;
            let inputs = data.first_inputs(&recipe.student.training, seed)?;
            let context = loss_context(student.clone(), teacher.clone(), batch_size, samples);
            Ok(with_inputs(context, inputs, Notices::default()))
        };
        teachers.iter().map(context).collect()
    };
    if recipe.stages.is_empty() {
        describe_losses("the student", &recipe.losses);
        let contexts = contexts(recipe.student.training.batch_size)?;
        return check_losses_between(registry.losses(), &recipe.losses, &contexts);
    }
    for (number, stage) in (1..).zip(&recipe.stages) {
        describe_losses(&format!("stage {}", stage.name), &stage.losses);
        let batch_size = stage.training(&recipe.student.training).batch_size;
        check_losses_between(registry.losses(), &stage.losses, &contexts(batch_size)?)
            .with_context(|| format!("[[stage]] number {number}"))?;
    }
    Ok(())
}

fn check_losses_between(kinds: &Losses, losses: &[Table], contexts: &[LossContext]) -> Result<()> {
    if let [context] = contexts {
        return check_losses(kinds, losses, context).map(drop);
    }
    (1..).zip(losses).try_for_each(|(number, loss)| {
        let built = kinds.build_joint(loss, contexts);
        built
            .map(drop)
            .with_context(|| format!("[[loss]] number {number}"))
    })
}

/// Returns a teacher, with its weights if it has some before the run.
fn with_weights(network: AnyNetwork, index: usize, recipe: &TeacherRecipe) -> Result<AnyNetwork> {
    let place = TeacherRecipe::place(index);
    describe_network(&place, &recipe.model, &network);
    let Some(file) = &recipe.weights else {
        return Ok(network);
    };
    let shown = file.display();
    ensure!(
        file.exists(),
        "`{place}.weights`: the file {shown} is not found. A path in a recipe is relative to its \
         folder, a path of --set to the current one"
    );
    ensure!(
        file.is_file(),
        "`{place}.weights` should be a file, but {shown} is {}",
        match file.is_dir() {
            true => "a folder",
            false => "not a regular file",
        }
    );
    log::info!("{place}: weights of {shown}");
    weights::load(network, &recipe.model.to_string(), file)
        .with_context(|| format!("`{place}.weights`"))
}

fn describe_data(recipe: &Recipe, data: &Data) -> Result<()> {
    let Task { input, classes } = data.task();
    let [train, validation, test] = data.sizes();
    log::info!(
        "data: {}, {input}, {classes} classes; {train} training, \
         {validation} validation and {test} test samples; the student knows {} labels",
        recipe.data.name,
        data.labels(recipe.seeds[0])?
    );
    Ok(())
}

fn describe_network(place: &str, model: &ModelRecipe, network: &AnyNetwork) {
    let parameters = grouped(parameter_count(network));
    log::info!("{place}: {model}, {parameters} parameters");
}

fn describe_losses(whose: &str, losses: &[Table]) {
    for loss in losses {
        let kind = loss.get("kind").and_then(Value::as_str).unwrap_or_default();
        let keys = loss.iter().filter(|(key, _)| *key != "kind");
        let mut keys: Vec<_> = keys.map(|(key, value)| format!("{key} {value}")).collect();
        if !loss.contains_key("weight") {
            keys.push("the weight of its authors".into());
        }
        log::info!("loss of {whose}: {kind}, {}", keys.join(", "));
    }
}
