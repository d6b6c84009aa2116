//! Checks of a run before its first training.

use super::checked::Checked;
use super::data::Data;
use super::given_teacher::GivenTeacher;
use super::given_weights::check_given_weights;
use super::strategy_context::{notices_of, strategy_context};
use super::student;
use anyhow::{Context, Result};
use burn::tensor::Device;
use burn_distill::core::parameter_count;
use burn_distill_recipe::text::grouped;
use burn_distill_recipe::{
    AnyNetwork, AssistantPlan, ModelRecipe, Notices, OnnxNetwork, OnnxRecipe, Place, Recipe,
    Registry, StrategyContext, Task, TeacherRecipe, TeacherSource, check_built, check_file,
    check_quantized, loss_context, prepare_checked, prepare_without_data, with_inputs,
};
use std::path::Path;
use toml::{Table, Value};

/// Checks that a recipe can be run with this data: that batches and labels suffice, that the
/// weights of every teacher that is not trained exist, fit and were trained on none of its test
/// samples, and that the losses or the strategy can be built between these networks, each loss once.
///
/// The rest was checked when the recipe was read. Messages of a strategy about the data go to the
/// notices; warnings about weights are in the result.
///
/// # Errors
///
/// Returns an error that names the key of the recipe.
pub fn check(recipe: &Recipe, data: &Data, notices: &Notices) -> Result<Checked> {
    data.check_batches(recipe)?;
    for &seed in &recipe.seeds {
        data.labels(seed)?;
    }
    describe_data(recipe, data)?;

    let seed = recipe.seeds[0];
    let registry = &recipe.registry;
    let build = |model: &ModelRecipe| registry.build(model, &data.task(), seed, &Device::flex());
    let network = build(&recipe.student.model).at("student.model")?;
    describe_network("student", &recipe.student.model, &network);
    check_quantized(recipe, &network)?;
    let teachers = recipe.teachers();
    let teachers = teachers.iter().enumerate();
    let teachers: Vec<_> = teachers
        .map(|(index, recipe)| {
            let place = TeacherRecipe::place(index);
            match recipe.source().at(&place)? {
                TeacherSource::Trained(model, _) => {
                    let network = build(model).at(&format!("{place}.model"))?;
                    describe_network(&place, model, &network);
                    Ok(network)
                }
                TeacherSource::Weights(model, file) => {
                    let network = with_weights(registry, model, recipe, &place, file, data)?;
                    describe_network(&place, model, &network);
                    Ok(network)
                }
                TeacherSource::Onnx(onnx) => of_file(onnx, &place, data),
            }
        })
        .collect::<Result<_>>()?;
    let chain = recipe.strategy.options().assistants();
    for (place, assistant) in chain.iter().flat_map(AssistantPlan::placed) {
        let network = build(&assistant.model).at(&format!("{place}.model"))?;
        describe_network(&place, &assistant.model, &network);
    }
    let warnings = check_given_weights(recipe, data)?;
    let student = match teachers.first() {
        Some(teacher) => student::prepared(network, teacher, &recipe.student)?,
        None => network,
    };
    if let Some(evaluation) = &recipe.evaluation {
        let teachers = teachers.iter().enumerate();
        let teachers = teachers.map(|(index, teacher)| (TeacherRecipe::place(index), teacher));
        for (place, network) in teachers.chain([("student".to_string(), &student)]) {
            let tap = evaluation.tap_of(network);
            tap.with_context(|| format!("`evaluation.tap`, of the {place}"))?;
        }
    }
    if recipe.strategy.options().without_data().is_some() {
        describe_losses("the student", &recipe.losses);
        log::info!("the student sees no sample: it learns on images of a generator");
        let context = StrategyContext {
            task: data.task(),
            seed,
            ..recipe.context_without_data()?
        };
        let teacher = teachers
            .into_iter()
            .next()
            .context("`teacher` is missing")?;
        prepare_without_data(&recipe.strategy, &context, (student, teacher))?;
        return Ok(Checked::new(warnings, None));
    }
    if !recipe.strategy.is_offline() {
        describe_losses("the strategy", &recipe.losses);
        let context = strategy_context(recipe, data, seed, notices_of(notices, seed))?;
        let prepared = prepare_checked(&recipe.strategy, &context)?;
        return Ok(Checked::new(warnings, Some((seed, prepared))));
    }

    describe_losses("the student", &recipe.losses);
    for stage in &recipe.stages {
        describe_losses(&format!("stage {}", stage.name), &stage.losses);
    }
    check_built(recipe, |batch_size| {
        let context = |teacher: &AnyNetwork| {
            let samples = data.known_classes(seed)?;
            let inputs = data.first_inputs(&recipe.student.training, seed)?;
            let context = loss_context(student.clone(), teacher.clone(), batch_size, samples);
            // The run adds the messages of these losses to its notices.
            Ok(with_inputs(context, inputs, Notices::default()))
        };
        teachers.iter().map(context).collect()
    })?;
    Ok(Checked::new(warnings, None))
}

/// Returns a teacher in an ONNX file.
fn of_file(onnx: &OnnxRecipe, place: &str, data: &Data) -> Result<AnyNetwork> {
    let OnnxNetwork {
        network,
        parameters,
        ..
    } = data
        .onnx(onnx, &Device::flex())
        .at(&format!("{place}.onnx"))?;
    log::info!(
        "{place}: {}, {} parameters",
        onnx.file.display(),
        grouped(parameters)
    );
    Ok(network)
}

/// Builds a teacher with the weights of its file.
fn with_weights(
    registry: &Registry,
    model: &ModelRecipe,
    recipe: &TeacherRecipe,
    place: &str,
    file: &Path,
    data: &Data,
) -> Result<AnyNetwork> {
    check_file(&format!("{place}.weights"), file)?;
    log::info!("{place}: weights of {}", file.display());
    let teacher = GivenTeacher::load(registry, model, recipe, file, data, &Device::flex());
    Ok(teacher
        .with_context(|| format!("`{place}.weights`"))?
        .network)
}

fn describe_data(recipe: &Recipe, data: &Data) -> Result<()> {
    let Task { input, classes } = data.task();
    let [train, validation, test] = data.sizes();
    log::info!(
        "data: {}, {input}, {classes} classes; {train} training, \
         {validation} validation and {test} test samples; the student has {} labels",
        recipe.data.source.name(),
        data.labels(recipe.seeds[0])?
    );
    for warning in data.repeats() {
        log::warn!("{}: {warning}", recipe.data.source.name());
    }
    if !data.has_labels() {
        log::info!(
            "the data has no labels: the student learns from the teacher alone, and there is no \
             baseline; {}",
            match data.test_has_labels() {
                true => "accuracies are measured on the labeled test samples",
                false => "the agreement with the teacher is measured, and no accuracy",
            }
        );
        return Ok(());
    }
    let counts = data.class_counts();
    log::info!("training samples of each class: {counts}");
    if let Some(imbalance) = counts.imbalance() {
        log::warn!("{}: {imbalance}", recipe.data.source.name());
    }
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
            keys.push("default weight".into());
        }
        log::info!("loss of {whose}: {kind}, {}", keys.join(", "));
    }
}
