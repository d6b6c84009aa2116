use super::fault::{Fault, Place};
use super::numbers::{check_finite, check_training};
use super::typed::typed;
use super::{
    Loss, Losses, Recipe, Scene, TeacherRecipe, memory, names, overrides, paths, route, stages,
    strategy, student_of,
};
use crate::input::InputShape;
use crate::model::ModelRecipe;
use crate::registry::{DatasetSpec, Registry};
use crate::text::tidy;
use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::Device;
use burn_distill::core::{ConfigError, Hard, check};
use burn_distill::data::{Augmentation, DataError};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// The size of the largest recipe, in bytes.
const LARGEST: u64 = 1 << 20;

/// Read a recipe, change it as the command line says, and check it.
///
/// Paths in a recipe are relative to the folder of its file, those of changes to the current one. Its
/// names are those of the registry.
///
/// # Errors
///
/// Returns an error that names the file, the line where it can, and the key.
pub fn read(path: &Path, overridden: &[String], registry: &Registry) -> Result<Recipe> {
    let file = path.display();
    let text = text_of(path).with_context(|| file.to_string())?;
    let tidied = |error: anyhow::Error| anyhow!(tidy(&format!("{error:#}")));
    // Before anything is changed, so that an error in the file is not taken for one of a change.
    let original = table_of(&text).and_then(|mut table| {
        strategy::refuse_tables(&table)?;
        let understood = understood(&mut table, registry);
        understood.map_err(|fault| in_line(fault, &text))?;
        Ok(table)
    });
    let mut table = original.map_err(tidied).with_context(|| file.to_string())?;
    paths::make_absolute(&mut table, path.parent().unwrap_or(Path::new("")));
    for assignment in overridden {
        overrides::apply(&mut table, assignment).map_err(tidied)?;
    }
    // Those that are still relative are of the changes.
    paths::make_absolute(&mut table, Path::new(""));
    strategy::refuse_tables(&table).context("after the changes of --set")?;
    let recipe = understood(&mut table, registry).map_err(anyhow::Error::from);
    let mut recipe = recipe
        .map_err(tidied)
        .context("after the changes of --set")?;

    strategy::check_numbers(&recipe)
        .and_then(|()| strategy::write_out(&mut recipe))
        .and_then(|()| check(&recipe))
        .map_err(tidied)
        .with_context(|| file.to_string())?;
    Ok(recipe)
}

/// The text of a file that is no larger than a recipe.
fn text_of(path: &Path) -> Result<String> {
    let size = fs::metadata(path)?.len();
    ensure!(
        size <= LARGEST,
        "the file has {size} bytes, but a recipe has at most {LARGEST}: is it one?"
    );
    Ok(fs::read_to_string(path)?)
}

/// The table of a text, or where it is no TOML.
fn table_of(text: &str) -> Result<Table> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let message = error.message().trim_end();
        match error.span() {
            Some(span) => {
                let (line, column) = position(text, span.start);
                anyhow!("line {line}, column {column}: {message}")
            }
            None => anyhow!("{message}"),
        }
    })
}

/// The line and the column of a place in a text, both counted from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Returns the recipe that a table describes, with the names that the registry has for what it names.
fn understood(table: &mut Table, registry: &Registry) -> Result<Recipe, Fault> {
    check_finite(&Value::Table(table.clone()), "")?;
    // Types first: their errors are the more basic ones.
    typed::<Recipe>(table)?;
    names::resolve(table, registry)?;
    let recipe = typed(table)?;
    Ok(Recipe {
        registry: registry.clone(),
        ..recipe
    })
}

/// The fault with the line of the file where the parser sees it, if it does.
fn in_line(fault: Fault, text: &str) -> anyhow::Error {
    let span = toml::from_str::<Recipe>(text)
        .err()
        .and_then(|error| error.span());
    match span {
        Some(span) if span.start > 0 => {
            let (line, _) = position(text, span.start);
            anyhow::Error::from(fault).context(format!("line {line}"))
        }
        // The types are right: it is about a name.
        _ => match names::line(text, &fault.key) {
            Some(line) => anyhow::Error::from(fault).context(format!("line {line}")),
            None => fault.into(),
        },
    }
}

/// What the types do not say.
fn check(recipe: &Recipe) -> Result<()> {
    ensure!(
        !recipe.seeds.is_empty(),
        "`seeds` is empty: give at least one"
    );
    let distinct: HashSet<_> = recipe.seeds.iter().collect();
    ensure!(
        distinct.len() == recipe.seeds.len(),
        "`seeds` holds a seed twice"
    );

    check_name(&recipe.name)?;
    check_data(recipe)?;
    let teachers = recipe.teachers();
    for (index, teacher) in teachers.iter().enumerate() {
        let place = TeacherRecipe::place(index);
        check_training(&teacher.training, &format!("{place}.training"))?;
        let weights = teacher.weights.as_deref();
        check::ensure(
            weights.is_none_or(|path| !path.as_os_str().is_empty()),
            "weights",
            "the path of a file",
            "empty",
        )
        .at(&place)?;
    }
    check_training(&recipe.student.training, "student.training")?;
    memory::check(recipe)?;

    for (index, table) in recipe.losses.iter().enumerate() {
        recipe
            .registry
            .losses()
            .check_response(table)
            .at(&loss_place(index))?;
    }
    for (stage, index, table) in recipe.losses_of_stages() {
        recipe
            .registry
            .losses()
            .check_response(table)
            .at(&format!("stage.{stage}.{}", loss_place(index)))?;
    }

    if !recipe.strategy.is_offline() {
        return strategy::check(recipe);
    }
    recipe.first_teacher()?;
    let several = teachers.len() > 1;
    match (recipe.losses.is_empty(), recipe.stages.is_empty()) {
        (true, true) => {
            bail!("there is no loss: give a [[loss]], or [[stage]]s with a [[stage.loss]] each")
        }
        (false, false) => bail!(
            "there are both [[loss]] and [[stage]]: the losses of a stage are its own, \
             as [[stage.loss]]"
        ),
        _ if several => check_joint_losses(recipe)?,
        (false, true) => {
            let scene = scene(recipe, recipe.student.training.batch_size)?;
            let losses = check_losses(recipe.registry.losses(), &recipe.losses, &scene)?;
            if recipe.route.is_some() {
                check_legs(&losses).context("[route]")?;
                stages::check_files(&losses)?;
            }
        }
        (true, false) => stages::check(recipe)?,
    }
    route::check(recipe)
}

/// The longest name of a folder, in bytes: file systems go to 255, and numbers follow the name.
const LONGEST_NAME: usize = 200;

/// Checks what names a folder.
pub fn check_name(name: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    check::ensure(
        name.chars().all(plain)
            && name.starts_with(char::is_alphanumeric)
            // Some systems leave it out.
            && !name.ends_with('.')
            && name.len() <= LONGEST_NAME,
        "name",
        format_args!(
            "of up to {LONGEST_NAME} letters, digits, `-`, `_` and `.`, the first a letter or digit \
             and the last no `.`, as it names files"
        ),
        format_args!("`{name}`"),
    )
}

/// Where a loss stands in its table.
pub fn loss_place(index: usize) -> String {
    format!("loss.{index}")
}

/// Check what is said about the data, as far as that can be done without the data.
fn check_data(recipe: &Recipe) -> Result<()> {
    let data = &recipe.data;
    let task = recipe.spec()?.task;
    for (key, part) in [("test", data.test), ("validation", data.validation)] {
        check::strictly_between(key, part, 0.0, 1.0).at("data")?;
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
            data.name
        )),
    };
    checked.at("data.augmentation")
}

/// Returns the error about a key alone, if it is about one.
fn with_key(error: DataError) -> anyhow::Error {
    match error {
        DataError::Config(error) => error.into(),
        error => error.into(),
    }
}

/// The most threads that prepare batches.
const MOST_WORKERS: usize = 1024;

/// Check the losses of a training by building them.
pub fn check_losses(kinds: &Losses, tables: &[Table], scene: &Scene) -> Result<Vec<Loss>> {
    let mut losses = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let loss = kinds.build(table, scene).at(&loss_place(index))?;
        if loss.preparation.is_some() {
            check_name(&loss.name).at(&loss_place(index))?;
        }
        losses.push(loss);
    }
    check_distinct(losses.iter().map(|loss| loss.name.as_str()).enumerate())?;
    check_distinct_files(&losses)?;
    student_of(&losses)?;
    ensure!(
        losses.is_empty() || losses.iter().any(|loss| !loss.is_to_be_clipped()),
        "every loss has a `clip`: it is a share of the gradient of those that have none"
    );
    Ok(losses)
}

/// Checks that the losses that leave files, which have their names, differ by more than their case:
/// some file systems do not tell it apart.
fn check_distinct_files(losses: &[Loss]) -> Result<()> {
    let files = losses.iter().enumerate();
    let files = files.filter(|(_, loss)| loss.preparation.is_some() || stages::learns(loss));
    let mut known = HashMap::new();
    for (index, loss) in files {
        if let Some(other) = known.insert(loss.name.to_lowercase(), &loss.name) {
            let expected =
                format!("different from `{other}` by more than its case, as it names files");
            let found = format_args!("`{}`", loss.name);
            return Err(ConfigError::new("name", expected, found)).at(&loss_place(index));
        }
    }
    Ok(())
}

/// Check that losses can be those of every leg of a route.
fn check_legs(losses: &[Loss]) -> Result<()> {
    for loss in losses {
        ensure!(
            loss.preparation.is_none() && loss.student.is_none(),
            "the loss `{}` trains something of its own for one teacher first, or makes the student \
             another network: it cannot be that of a route, along which the teacher changes",
            loss.name
        );
    }
    Ok(())
}

/// The first teacher and the student, untrained: enough to see whether the losses fit between them.
pub fn scene(recipe: &Recipe, batch_size: usize) -> Result<Scene> {
    scene_with(recipe, batch_size, 0, &recipe.first_teacher()?.model)
}

/// The student with one of the teachers.
fn scene_with(
    recipe: &Recipe,
    batch_size: usize,
    index: usize,
    teacher: &ModelRecipe,
) -> Result<Scene> {
    let DatasetSpec { task, samples } = recipe.spec()?;
    let build = |model: &ModelRecipe| {
        let architecture = recipe.registry.network(model)?;
        architecture.init(&task, &Device::flex())
    };
    let student = build(&recipe.student.model).at("student.model")?;
    let place = format!("{}.model", TeacherRecipe::place(index));
    let teacher = build(teacher).at(&place)?;
    // Which samples there are is known with the data: until then as many as were published.
    let samples = (0..samples)
        .map(|id| (id, Some(id % task.classes)))
        .collect();
    Ok(Scene::new(student, teacher, batch_size, samples))
}

/// Check the losses between a student and several teachers.
fn check_joint_losses(recipe: &Recipe) -> Result<()> {
    ensure!(
        recipe.stages.is_empty() && recipe.route.is_none(),
        "there are several teachers, and [[stage]] or [route], which are for one"
    );
    let batch_size = recipe.student.training.batch_size;
    let scenes = recipe.teachers();
    let scenes = scenes.iter().enumerate();
    let scenes = scenes
        .map(|(index, teacher)| scene_with(recipe, batch_size, index, &teacher.model))
        .collect::<Result<Vec<_>>>()?;
    let mut names = Vec::new();
    for (index, table) in recipe.losses.iter().enumerate() {
        let kinds = recipe.registry.losses();
        let loss = kinds.build_joint(table, &scenes).at(&loss_place(index))?;
        names.push(loss.name);
    }
    check_distinct(names.iter().map(String::as_str).enumerate())
}

/// Check that no two losses, each with its index in the recipe, have one name.
pub fn check_distinct<'a>(losses: impl Iterator<Item = (usize, &'a str)>) -> Result<()> {
    let mut known = HashMap::new();
    for (index, name) in losses {
        if let Some(first) = known.insert(name, index) {
            let remedy = match name == Hard::TERM {
                // Two cross-entropies with the same targets are one with the sum of the weights.
                true => "leave one out, and give the other the sum of their weights",
                false => "give one of them a `name`",
            };
            bail!(
                "the losses `{}` and `{}` are both named `{name}`: {remedy}",
                loss_place(first),
                loss_place(index)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::path::PathBuf;

    const RECIPE: &str = r#"
        name = "test"
        [data]
        name = "digits"
        [teacher]
        model = "mlp-16"
        training = { epochs = 2 }
        [student]
        model = "mlp-8"
        training = { epochs = 3, learning_rate = { peak = 0.1 } }
        [[loss]]
        kind = "soft-target"
    "#;

    /// What a file of that text with these changes says.
    pub fn recipe(text: &str, overridden: &[&str]) -> Result<Recipe> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        fs::write(&path, text).unwrap();
        let overridden: Vec<_> = overridden.iter().map(|text| text.to_string()).collect();
        read(&path, &overridden, &Registry::standard())
    }

    /// Why it is refused.
    pub fn error(text: &str, overridden: &[&str]) -> String {
        format!("{:#}", recipe(text, overridden).unwrap_err())
    }

    #[test]
    fn a_short_recipe_has_defaults() {
        let recipe = recipe(RECIPE, &[]).unwrap();

        assert_eq!(recipe.seeds, [0]);
        assert_eq!(recipe.student.training.batch_size, 64);
        assert_eq!(recipe.student.training.learning_rate.peak, 0.1);
    }

    #[test]
    fn a_recipe_is_written_as_it_is_read() {
        let original = recipe(RECIPE, &["data.labels_per_class=3"]).unwrap();

        let text = toml::to_string(&original).unwrap();
        assert_eq!(recipe(&text, &[]).unwrap(), original);
    }

    #[test]
    fn a_misspelt_field_is_refused_with_its_line_and_the_nearest() {
        let error = error(&RECIPE.replace("epochs = 3", "epoch = 3"), &[]);

        assert!(error.contains("line 10"), "{error}");
        assert!(
            error.contains("unknown key `student.training.epoch`"),
            "{error}"
        );
        assert!(error.contains("did you mean `epochs`?"), "{error}");
    }

    #[test]
    fn a_misspelt_change_is_refused_with_the_nearest() {
        let error = error(RECIPE, &["student.training.epoch=1"]);

        assert!(error.contains("after the changes of --set"), "{error}");
        assert!(error.contains("did you mean `epochs`?"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (change, message) in [
            (
                "student.training.epochs=0",
                "`student.training.epochs` should be from 1 to 1000000, but is 0",
            ),
            (
                "data.validation=1.5",
                "`data.validation` should be above 0 and below 1, but is 1.5",
            ),
            (
                "data.without_class=10",
                "`data.without_class` should be from 0 to 9, but is 10",
            ),
            ("seeds=[]", "`seeds` is empty"),
            ("seeds=[1, 1]", "`seeds` holds a seed twice"),
            ("name='../x'", "as it names files, but is `../x`"),
            ("name='x.'", "`name` should be of up to 200 letters"),
            (
                "teacher.training.learning_rate.peak=-1",
                "`teacher.training.learning_rate.peak` should be above 0 and at most 1000, but is -1",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', momentum = -0.9 }",
                "`student.training.optimizer.momentum` should be from 0 and below 1, but is -0.9",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', momentum = nan }",
                "`student.training.optimizer.momentum` should be a finite number, but is nan",
            ),
            (
                "teacher.training.optimizer={ kind = 'sgd', momentum = 1 }",
                "`teacher.training.optimizer.momentum` should be from 0 and below 1, but is 1",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', momentum = 0, nesterov = true }",
                "`student.training.optimizer.nesterov` should be false where `momentum` is 0",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', weight_decay = -1e-4 }",
                "`student.training.optimizer.weight_decay` should be from 0 to 1000, but is -0.0001",
            ),
            (
                "student.training.optimizer={ kind = 'adam', weight_decay = nan }",
                "`student.training.optimizer.weight_decay` should be a finite number, but is nan",
            ),
            (
                "student.training.optimizer={ kind = 'adam-w', weight_decay = inf }",
                "`student.training.optimizer.weight_decay` should be a finite number, but is inf",
            ),
            (
                "student.training.optimizer={ kind = 'adam-w', clip_norm = 0 }",
                "`student.training.optimizer.clip_norm` should be finite and above 0, but is 0",
            ),
            (
                "teacher.training.optimizer={ kind = 'sgd', clip_norm = nan }",
                "`teacher.training.optimizer.clip_norm` should be a finite number, but is nan",
            ),
            (
                "student.training.optimizer={ kind = 'adam', clipnorm = 3 }",
                "did you mean `clip_norm`?",
            ),
            (
                "data.augmentation={ strong = { kind = 'rand-augment', operations = 1000000000 } }",
                "`data.augmentation.strong.operations` should be from 1 to 64, but is 1000000000",
            ),
            (
                "data.augmentation={ strong = { kind = 'fix-match', operations = \
                 9223372036854775807 } }",
                "`data.augmentation.strong.operations` should be from 1 to 64, but is 9223372036854775807",
            ),
            (
                "data.augmentation={ strong = { kind = 'rand-augment', magnitude = 31 } }",
                "`data.augmentation.strong.magnitude` should be from 0 to 30, but is 31",
            ),
            (
                "data.augmentation={ strong = { kind = 'rand-augment', cutout = 9 } }",
                "`data.augmentation.strong.cutout` should be from 1 to 8, but is 9",
            ),
            (
                "data.augmentation={ crop = 9 }",
                "`data.augmentation.crop` should be from 0 to 8, but is 9",
            ),
            (
                "student.training.learning_rate.shape={ kind = 'cosine', foo = 1 }",
                "unknown key `student.training.learning_rate.shape.foo`",
            ),
            (
                "teacher.training.learning_rate.shape={ kind = 'constant', milestnes = [1] }",
                "unknown key `teacher.training.learning_rate.shape.milestnes`",
            ),
            (
                "student.training.learning_rate.shape={ kind = 'cosine', milestones = true }",
                "unknown key `student.training.learning_rate.shape.milestones`",
            ),
            (
                "strategy={ kind = 'offline', foo = 1 }",
                "unknown key `strategy.foo`",
            ),
            (
                "student.training.learning_rate.peak=1e-300",
                "`student.training.learning_rate.peak` should be above 0 also in single precision, \
                 but is 1e-300",
            ),
            (
                "teacher.weights=''",
                "`teacher.weights` should be the path of a file, but is empty",
            ),
            (
                "teacher.others=[{ model = 'mlp-4', weights = '' }]",
                "`teacher.others.0.weights` should be the path of a file, but is empty",
            ),
            ("student.model=resnt20", "did you mean `resnet20`?"),
            ("data.name=digit", "did you mean `digits`?"),
            ("loss.0.kind=sft-target", "did you mean `soft-target`?"),
        ] {
            let error = error(RECIPE, &[change]);
            assert!(error.contains(message), "{change}: {error}");
        }
    }

    #[test]
    fn an_optimizer_may_go_without_momentum_and_decay() {
        let plain = "{ kind = 'sgd', momentum = 0, weight_decay = 0 }";
        recipe(RECIPE, &[&format!("student.training.optimizer={plain}")]).unwrap();
    }

    #[test]
    fn two_terms_of_one_name_are_refused() {
        let twice = format!("{RECIPE}\n[[loss]]\nkind = 'kd'");

        assert!(error(&twice, &[]).contains(
            "the losses `loss.0` and `loss.1` are both named `soft-target`: give one of them a `name`"
        ));
        let hard = "loss=[{ kind = 'hard' }, { kind = 'kd' }, { kind = 'ce', weight = 2 }]";
        assert!(error(RECIPE, &[hard]).contains(
            "the losses `loss.0` and `loss.2` are both named `hard`: leave one out, and give the other \
             the sum of their weights"
        ));
    }

    #[test]
    fn losses_on_boxes_and_joints_are_not_for_images_of_classes() {
        for (kind, what) in [
            ("bounded-regression", "boxes"),
            ("heat-map", "maps of joints"),
        ] {
            let error = error(&RECIPE.replace("soft-target", kind), &[]);
            let expected = format!("the loss `{kind}` compares {what}, and the data sets");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn one_term_bounds_those_that_are_clipped() {
        let clipped = RECIPE.replace("[[loss]]", "[[loss]]\nclip = true");

        assert!(error(&clipped, &[]).contains("every loss has a `clip`"));
        assert!(recipe(&clipped, &["loss.0.clip=false"]).is_ok());
        // What is clipped by default goes without where nothing bounds it.
        let changes = ["teacher.model=convnet-4-8", "student.model=convnet-4-8"];
        let alone = [&changes[..], &["loss=[{ kind = 'mhgd' }]"]].concat();
        assert!(recipe(RECIPE, &alone).is_ok());
        let asked = [&changes[..], &["loss=[{ kind = 'mhgd', clip = true }]"]].concat();
        assert!(error(RECIPE, &asked).contains("every loss has a `clip`"));
    }

    #[test]
    fn paths_of_a_file_are_relative_to_it_and_those_of_changes_to_the_current_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        let text =
            "[teacher]\nweights = 'own.bpk'\nothers = [{ model = 'mlp-4', weights = 'b.bpk' }]";
        fs::write(&path, RECIPE.replace("[teacher]", text)).unwrap();
        let weights = |changes: &[&str]| -> Vec<PathBuf> {
            let changes: Vec<_> = changes.iter().map(|text| text.to_string()).collect();
            let teachers = read(&path, &changes, &Registry::standard())
                .unwrap()
                .teachers()
                .into_iter();
            teachers.filter_map(|teacher| teacher.weights).collect()
        };
        let of_file = |name: &str| folder.path().canonicalize().unwrap().join(name);
        let current = |name: &str| std::env::current_dir().unwrap().join(name);

        assert_eq!(weights(&[]), [of_file("own.bpk"), of_file("b.bpk")]);
        assert_eq!(
            weights(&["teacher.weights=a.bpk"]),
            [current("a.bpk"), of_file("b.bpk")]
        );
        for others in [
            "teacher.others=[{ model = 'mlp-5', weights = 'src/c.bpk' }]",
            "teacher.others.0={ model = 'mlp-5', weights = './src/c.bpk' }",
            "teacher.others.0.weights=src/../src/c.bpk",
        ] {
            assert_eq!(weights(&[others])[1], current("src/c.bpk"), "{others}");
        }
    }

    #[test]
    fn other_teachers_are_trained_like_the_first() {
        let two = "teacher.others=[{ model = 'mlp-4', weights = 'b.bpk' }, { model = 'mlp-5' }]";
        let original = recipe(RECIPE, &[two]).unwrap();

        let teachers = original.teachers();
        let models: Vec<_> = teachers.iter().map(|t| t.model.to_string()).collect();
        assert_eq!(models, ["mlp-16", "mlp-4", "mlp-5"]);
        assert!(teachers[1].weights.as_ref().unwrap().is_absolute());
        assert!(teachers.iter().all(|t| t.training == teachers[0].training));
        let text = toml::to_string(&original).unwrap();
        assert_eq!(recipe(&text, &[]).unwrap(), original);

        let zero = "teacher.others=[{ model = 'mlp-4', training = { epochs = 0 } }]";
        let error = error(RECIPE, &[zero]);
        assert!(
            error.contains("`teacher.others.0.training.epochs`"),
            "{error}"
        );
    }

    #[test]
    fn what_only_one_teacher_can_teach_is_refused() {
        let two = "teacher.others=[{ model = 'mlp-16' }]";
        let error = error(RECIPE, &[two, "loss.0.kind=sim-kd"]);

        assert!(
            error.contains("for one teacher that is trained before"),
            "{error}"
        );
    }

    /// The recipes of the examples, with their files.
    pub fn examples() -> Vec<(PathBuf, Recipe)> {
        let mut folders =
            vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/recipes")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let recipe = read(&path, &[], &Registry::standard()).unwrap();
                    found.push((path, recipe));
                }
            }
        }
        found
    }

    #[test]
    fn the_recipes_of_the_examples_are_valid() {
        assert!(examples().len() >= 5);
    }
}
