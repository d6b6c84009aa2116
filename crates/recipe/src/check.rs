//! Checks of a recipe as a whole, beyond the types of its values.

use super::fault::Place;
use super::losses::{check_distinct, check_losses};
use super::naming::{check_name, loss_place};
use super::training::check_training;
use super::{
    Loss, LossContext, Recipe, RouteBy, TeacherRecipe, TeacherSource, TeachingEpoch, capacity,
    route, stages, strategy, tasks, unlabeled,
};
use crate::class_names::ClassNames;
use crate::input::{AnyNetwork, InputShape};
use crate::loss::{TeacherChoices, loss_context};
use crate::model::ModelRecipe;
use crate::onnx::OnnxTask;
use crate::parts::QUANTIZATION;
use crate::registry::DatasetSpec;
use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{Check, Objective, Seed, check};
use burn_distill::data::{Augmentation, DataError};
use burn_distill::interchange::KeyMap;
use std::collections::{BTreeSet, HashSet};

/// Checks a recipe whose types and numbers are valid, without building its losses.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check(recipe: &Recipe) -> Result<()> {
    ensure!(
        !recipe.seeds.is_empty(),
        "`seeds` is empty: give at least one"
    );
    let distinct: HashSet<_> = recipe.seeds.iter().collect();
    ensure!(
        distinct.len() == recipe.seeds.len(),
        "`seeds` contains a seed twice: leave one out"
    );

    check_name(&recipe.name)?;
    check_data(recipe)?;
    let teachers = recipe.teachers();
    for (index, teacher) in teachers.iter().enumerate() {
        let place = TeacherRecipe::place(index);
        match teacher.source().at(&place)? {
            TeacherSource::Trained(_, training) => {
                check_training(training, &format!("{place}.training"))?;
                check_weights(teacher).at(&place)?;
            }
            TeacherSource::Weights(..) => check_weights(teacher).at(&place)?,
            TeacherSource::Onnx(onnx) => onnx.check().at(&format!("{place}.onnx"))?,
        }
        let empty = teacher
            .only_classes
            .as_ref()
            .is_some_and(ClassNames::is_empty);
        check::ensure(!empty, "only_classes", "a list of names", "empty").at(&place)?;
    }
    check_parts(recipe)?;
    check_quantization(recipe)?;
    check_training(&recipe.student.training, "student.training")?;
    capacity::check(recipe)?;

    let kinds = recipe.registry.losses();
    for (index, table) in recipe.losses.iter().enumerate() {
        kinds.check_response(table).at(&loss_place(index))?;
    }
    for (stage, index, table) in recipe.losses_of_stages() {
        let place = format!("stage.{stage}.{}", loss_place(index));
        kinds.check_response(table).at(&place)?;
    }

    unlabeled::check(recipe)?;
    if let Some(evaluation) = &recipe.evaluation {
        evaluation.check(recipe.data.source.has_labels())?;
    }
    tasks::check(recipe)?;
    if recipe.strategy.options().without_data().is_some() {
        return strategy::check_without_data(recipe);
    }
    if !recipe.strategy.is_offline() {
        return strategy::check_no_teacher(recipe);
    }
    recipe.first_teacher()?;
    if let Some(plan) = recipe.strategy.options().assistants() {
        strategy::check_recipe(recipe, &plan)?;
    }
    if recipe.strategy.options().has_distiller() {
        strategy::check_tables_of_one_teacher(recipe)?;
    }
    match (recipe.losses.is_empty(), recipe.stages.is_empty()) {
        (true, true) => {
            bail!("there is no loss: give a [[loss]], or [[stage]]s with a [[stage.loss]] each")
        }
        (false, false) => bail!(
            "there are both [[loss]] and [[stage]]: give each stage its losses as [[stage.loss]], and \
             leave out [[loss]]"
        ),
        _ => {}
    }
    ensure!(
        teachers.len() == 1 || (recipe.stages.is_empty() && recipe.route.is_none()),
        "[[stage]] and [route] are for one teacher, but there are several: leave out `teacher.others`, or the stages or the route"
    );
    stages::check(recipe)?;
    route::check(recipe)
}

/// Checks the file of the weights of a teacher and what belongs to it, without reading it.
fn check_weights(teacher: &TeacherRecipe) -> Result<()> {
    let weights = teacher.weights.as_deref();
    check::ensure(
        weights.is_none_or(|path| !path.as_os_str().is_empty()),
        "weights",
        "the path of a file",
        "empty",
    )?;
    let of_weights = [
        ("keys", !teacher.keys.is_empty()),
        ("classes", teacher.classes.is_some()),
    ];
    for (key, given) in of_weights {
        ensure!(
            weights.is_some() || !given,
            "there are `{key}` but no `weights`, to which they belong: give the file of the weights, \
             or leave them out"
        );
    }
    let classes = teacher.classes.as_ref();
    check::ensure(
        classes.is_none_or(|classes| !classes.is_empty()),
        "classes",
        "a list of names, or the path of a file with a name per line",
        "empty",
    )?;
    KeyMap::new(&teacher.keys).map(drop).at("keys")
}

/// Checks that parts of the student are copied or frozen only where there is a teacher.
fn check_parts(recipe: &Recipe) -> Result<()> {
    let student = &recipe.student;
    for (key, parts) in [
        ("from_teacher", &student.from_teacher),
        ("frozen", &student.frozen),
    ] {
        ensure!(
            parts.is_empty() || (recipe.strategy.has_teacher() && recipe.teacher.is_some()),
            "`student.{key}` is for a student with a [teacher], but the [strategy] has none: leave it \
             out"
        );
        let mut distinct = HashSet::new();
        for part in parts {
            check::ensure(!part.is_empty(), key, "names of parts", "an empty name")
                .at("student")?;
            ensure!(
                distinct.insert(part),
                "`student.{key}` names `{part}` twice: leave one out"
            );
        }
    }
    Ok(())
}

/// Checks the numbers of the quantization of the student, and that the strategy supports one.
fn check_quantization(recipe: &Recipe) -> Result<()> {
    let Some(quantization) = &recipe.student.quantization else {
        return Ok(());
    };
    quantization.0.check().at(QUANTIZATION)?;
    let options = recipe.strategy.options();
    ensure!(
        options.takes_quantized() && !options.learns_tasks(),
        "`{QUANTIZATION}`: the strategy {} does not train a quantized student: leave out the \
         quantization, or distill the trained student once more by another strategy",
        recipe.strategy.quoted()
    );
    Ok(())
}

/// Checks that the quantization of a recipe fits its student.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check_quantized(recipe: &Recipe, student: &AnyNetwork) -> Result<()> {
    // A copy: the wrapper and the network would share running statistics.
    let quantized = recipe.student.quantized(student.valid());
    quantized.map(drop).at(QUANTIZATION)
}

/// Checks the losses or the strategy of a recipe between untrained networks, before its data is
/// loaded.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check_untrained(recipe: &Recipe) -> Result<()> {
    if recipe.strategy.options().without_data().is_some() {
        let context = recipe.context_without_data()?;
        let batch_size = recipe.student.training.batch_size;
        let networks = untrained(recipe, batch_size)?.into_iter().next();
        let networks = networks.context("`teacher` is missing")?;
        let networks = (networks.student, networks.teacher);
        return strategy::prepare_without_data(&recipe.strategy, &context, networks).map(drop);
    }
    if !recipe.strategy.is_offline() {
        let context = recipe.strategy_context()?;
        return strategy::prepare_checked(&recipe.strategy, &context).map(drop);
    }
    check_built(recipe, |batch_size| untrained(recipe, batch_size))
}

/// Builds the losses of a recipe with a `[teacher]`, and checks them. `contexts` returns the
/// context of the student with each teacher, for batches of the given size.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check_built(
    recipe: &Recipe,
    contexts: impl Fn(usize) -> Result<Vec<LossContext>>,
) -> Result<()> {
    if !recipe.stages.is_empty() {
        return stages::check_losses(recipe, contexts);
    }
    let kinds = recipe.registry.losses();
    let contexts = contexts(recipe.student.training.batch_size)?;
    let [context] = contexts.as_slice() else {
        return check_joint_losses(recipe, &contexts);
    };
    if let Some(plan) = recipe.strategy.options().assistants() {
        return strategy::check_chain(recipe, &plan, context);
    }
    let losses = check_losses(kinds, &recipe.losses, context)?;
    if recipe.strategy.options().has_distiller() {
        check_of_distiller(recipe, &losses)?;
    }
    if recipe.route.is_some() {
        check_anchors(&losses).context("[route]")?;
        stages::check_files(&losses)?;
    }
    Ok(())
}

/// Checks that nothing needs validation samples.
fn check_without_validation(recipe: &Recipe) -> Result<()> {
    const NONE: &str = "needs validation samples, but `data.validation` is 0";
    let teachers = recipe.teachers();
    let of_teachers = teachers.iter().enumerate().map(|(index, teacher)| {
        let place = format!("{}.training", TeacherRecipe::place(index));
        (place, teacher.training.clone())
    });
    let of_stages = recipe.stages.iter().enumerate().map(|(index, stage)| {
        let place = format!("stage.{index}.training");
        (place, stage.training.clone())
    });
    let plan = recipe.strategy.options().assistants();
    let assistants = plan
        .into_iter()
        .flat_map(|plan| plan.assistants)
        .enumerate();
    let of_assistants = assistants.map(|(index, assistant)| {
        let place = format!("strategy.assistants.{index}.training");
        (place, assistant.training.clone())
    });
    let student = Some(recipe.student.training.clone());
    let mut trainings = of_teachers
        .chain([("student.training".to_string(), student)])
        .chain(of_stages)
        .chain(of_assistants);
    let early = trainings.find(|(_, training)| {
        let patience = training.as_ref().map(|training| training.patience);
        patience.flatten().is_some()
    });
    if let Some((place, _)) = early {
        bail!("`{place}.patience` {NONE}: leave one of them out");
    }
    ensure!(
        recipe.tasks.is_none(),
        "[tasks] {NONE}, of which each task has its own: leave `data.validation` out"
    );
    ensure!(
        plan.is_none_or(|plan| plan.teaching_epoch == TeachingEpoch::Last),
        "`strategy.teaching_epoch` {NONE}: set it to \"last\", or leave `data.validation` out"
    );
    let route = recipe.route.as_ref();
    ensure!(
        route.is_none_or(|route| route.by != RouteBy::Hardness),
        "a route by \"hardness\" {NONE}: set `route.by = \"interval\"`, or leave `data.validation` out"
    );
    Ok(())
}

/// Checks the table of the data, as far as that can be done before the data is loaded.
fn check_data(recipe: &Recipe) -> Result<()> {
    let data = &recipe.data;
    data.source.check().at("data")?;
    let task = recipe.spec()?.task;
    check::strictly_between("test", data.test, 0.0, 1.0).at("data")?;
    check::ensure(
        (0.0..1.0).contains(&data.validation), // This also rejects NaN
        "validation",
        "at least 0 and below 1",
        data.validation,
    )
    .at("data")?;
    if data.validation == 0.0 {
        check_without_validation(recipe)?;
    }
    let counts = [
        ("samples", data.samples),
        ("labels_per_class", data.labels_per_class),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            check::at_least(key, count, 1).at("data")?;
        }
    }
    let classes = task.classes;
    if let Some(class) = data.without_class {
        check::count_in("without_class", class, 0..=classes - 1).at("data")?;
    }
    check::count_in("workers", data.workers, 0..=MOST_WORKERS).at("data")?;
    let checked = match task.input {
        InputShape::Image(shape) => data.augmentation.check(shape).map_err(with_key),
        _ if data.augmentation == Augmentation::default() => Ok(()),
        input => Err(anyhow!(
            "only images are augmented, and `{}` holds {input}: leave it out",
            data.source.name()
        )),
    };
    checked.at("data.augmentation")
}

/// Returns the error about a key without its wrapper, if it is about a key.
fn with_key(error: DataError) -> anyhow::Error {
    match error {
        DataError::Config(error) => error.into(),
        error => error.into(),
    }
}

/// Largest number of threads that prepare batches.
const MOST_WORKERS: usize = 1024;

/// Checks that the losses can be used with every anchor of a route.
fn check_anchors(losses: &[Loss]) -> Result<()> {
    for loss in losses {
        ensure!(
            loss.preparation.is_none() && loss.student.is_none(),
            "the loss `{}` has a preparation for one teacher, or changes the student, and cannot be used with \
             a route, along which the teacher changes",
            loss.name
        );
    }
    Ok(())
}

/// Checks that losses can be used by the distiller of a strategy.
fn check_of_distiller(recipe: &Recipe, losses: &[Loss]) -> Result<()> {
    for (index, loss) in losses.iter().enumerate() {
        let views = loss.objective.requirements().views;
        let refused = [("clip", loss.is_to_be_clipped()), ("views", views > 1)];
        for (key, given) in refused {
            ensure!(
                !given,
                "`{}.{key}` is for plain distillation from a [teacher], but the strategy is {}: leave it \
                 out",
                loss_place(index),
                recipe.strategy.quoted()
            );
        }
    }
    let tables = recipe.losses.iter();
    let kinds = recipe.registry.losses();
    let of_targets = tables.filter(|table| kinds.is_of_targets(table)).count();
    let terms = [of_targets, losses.len() - of_targets];
    let options = recipe.strategy.options();
    options.check_distiller(&recipe.student.training, terms)
}

/// Checks the losses between a student and several teachers.
fn check_joint_losses(recipe: &Recipe, contexts: &[LossContext]) -> Result<()> {
    let kinds = recipe.registry.losses();
    let teachers = recipe.teacher_names();
    let choices = TeacherChoices {
        names: &teachers,
        seed: Seed::new(0),
    };
    let mut names = Vec::new();
    for (index, table) in recipe.losses.iter().enumerate() {
        let loss = kinds.build_of_several(table, contexts, choices);
        names.push(loss.at(&loss_place(index))?.name);
    }
    check_distinct(names.iter().map(String::as_str).enumerate())?;
    check_amalgamated(recipe)
}

/// Checks that every class is known by a teacher, where the student learns its classes from those
/// that know them.
fn check_amalgamated(recipe: &Recipe) -> Result<()> {
    let kinds = recipe.registry.losses();
    let mut losses = recipe.losses.iter();
    let Some(index) = losses.position(|table| kinds.is_named(table, AMALGAMATED)) else {
        return Ok(());
    };
    let classes = recipe.spec()?.classes;
    let mut unknown: BTreeSet<_> = (0..classes.len()).collect();
    for (number, teacher) in recipe.teachers().iter().enumerate() {
        let known = teacher.known_classes(&classes);
        match known.at(&TeacherRecipe::place(number))? {
            Some(known) => unknown.retain(|class| !known.contains(class)),
            None => unknown.clear(),
        }
    }
    match unknown.first() {
        None => Ok(()),
        Some(&class) => Err(anyhow!(
            "no teacher knows the class `{}`, so that the student would never predict it: add it to the \
             `only_classes` of a teacher, or add a teacher",
            classes[class]
        ))
        .at(&loss_place(index)),
    }
}

/// Name of the loss of teachers that know different classes.
const AMALGAMATED: &str = "amalgamated-teachers";

/// Returns the contexts of the student with each teacher, all untrained, before the data is loaded.
fn untrained(recipe: &Recipe, batch_size: usize) -> Result<Vec<LossContext>> {
    let spec = recipe.spec()?;
    let DatasetSpec { task, samples, .. } = &spec;
    let build = |model: &ModelRecipe, place: &str| {
        let networks = recipe.registry.networks();
        networks.build(model, task, 0, &Device::flex()).at(place)
    };
    // The split is known with the data only: until then these are all published samples.
    let has_labels = recipe.data.source.has_labels();
    let samples: Vec<_> = (0..*samples)
        .map(|id| (id, has_labels.then_some(id % task.classes)))
        .collect();
    let teachers = recipe.teachers();
    let teachers = teachers.iter().enumerate();
    let context = |(index, teacher): (usize, &TeacherRecipe)| {
        let student = build(&recipe.student.model, "student.model")?;
        check_quantized(recipe, &student)?;
        let place = TeacherRecipe::place(index);
        teacher.known_classes(&spec.classes).at(&place)?;
        let teacher = match teacher.source().at(&place)? {
            TeacherSource::Trained(model, _) | TeacherSource::Weights(model, _) => {
                build(model, &format!("{place}.model"))?
            }
            TeacherSource::Onnx(onnx) => {
                // The normalization is known with the data only.
                let task = OnnxTask {
                    input: &spec.task.input,
                    classes: &spec.classes,
                    normalization: None,
                };
                let loaded = onnx.load(task, &Device::flex());
                loaded.at(&format!("{place}.onnx"))?.network
            }
        };
        Ok(loss_context(student, teacher, batch_size, samples.clone()))
    };
    teachers.map(context).collect()
}
