use super::{
    JointLoss, Loss, Recipe, Scene, TeacherRecipe, TrainingRecipe, overrides, paths, route, stages,
    strategy, student_of,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::Device;
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::nearest;
use burn_distill::strategy::OptimizerConfig;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use toml::Table;

/// Read a recipe, change it as the command line says, and check it.
///
/// Paths in a recipe are relative to the folder of its file, those of changes to the current one.
pub fn read(path: &Path, overridden: &[String]) -> Result<Recipe> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let in_file = |error: toml::de::Error| with_hint(error).context(path.display().to_string());

    let mut table: Table = toml::from_str(&text).map_err(in_file)?;
    strategy::refuse_tables(&table).with_context(|| path.display().to_string())?;
    // Typed before anything is changed: its errors then name line and column of the file.
    toml::from_str::<Recipe>(&text).map_err(in_file)?;
    paths::make_absolute(&mut table, path.parent().unwrap_or(Path::new("")));
    for assignment in overridden {
        overrides::apply(&mut table, assignment)?;
    }
    // Those that are still relative are of the changes.
    paths::make_absolute(&mut table, Path::new(""));
    strategy::refuse_tables(&table).context("after the changes of --set")?;
    let mut recipe: Recipe = table
        .try_into()
        .map_err(|error| with_hint(error).context("after the changes of --set"))?;

    strategy::write_out(&mut recipe)
        .and_then(|()| check(&recipe))
        .with_context(|| path.display().to_string())?;
    Ok(recipe)
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
    for (key, part) in [
        ("test", recipe.data.test),
        ("validation", recipe.data.validation),
    ] {
        ensure!(
            part > 0.0 && part < 1.0,
            "`data.{key}` should be between 0 and 1, but is {part}"
        );
    }
    let teachers = recipe.teachers();
    let trainings = teachers
        .iter()
        .enumerate()
        .map(|(index, teacher)| (TeacherRecipe::place(index), &teacher.training))
        .chain([("student".to_string(), &recipe.student.training)]);
    for (role, training) in trainings {
        check_training(training, &format!("{role}.training."))?;
    }
    let classes = recipe.data.name.info().classes.len();
    if let Some(class) = recipe.data.without_class {
        ensure!(
            class < classes,
            "`data.without_class` should be below {classes}, but is {class}"
        );
    }

    let of_stages = recipe.stages.iter().flat_map(|stage| &stage.losses);
    for table in recipe.losses.iter().chain(of_stages) {
        Loss::check_response(table)?;
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
            let losses = check_losses(&recipe.losses, &scene)?;
            if recipe.route.is_some() {
                check_legs(&losses).context("[route]")?;
                stages::check_files(&losses)?;
            }
        }
        (true, false) => stages::check(recipe)?,
    }
    route::check(recipe)
}

/// Check what names a folder.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    ensure!(
        name.chars().all(plain) && name.starts_with(char::is_alphanumeric),
        "`name` names a folder, so it should be of letters, digits, `-`, `_` and `.`, \
         but is `{name}`"
    );
    Ok(())
}

/// Check a training, whose keys stand behind that prefix.
pub fn check_training(training: &TrainingRecipe, prefix: &str) -> Result<()> {
    ensure!(
        training.epochs > 0,
        "`{prefix}epochs` should be at least 1, but is 0"
    );
    ensure!(
        training.batch_size > 0,
        "`{prefix}batch_size` should be at least 1, but is 0"
    );
    let peak = training.learning_rate.peak;
    ensure!(
        peak > 0.0 && peak.is_finite(),
        "`{prefix}learning_rate.peak` should be above 0, but is {peak}"
    );
    check_optimizer(&training.optimizer, &format!("{prefix}optimizer."))
}

/// What an optimizer would take for none, or leave unused.
fn check_optimizer(optimizer: &OptimizerConfig, prefix: &str) -> Result<()> {
    let weight_decay = match *optimizer {
        OptimizerConfig::Sgd {
            momentum,
            nesterov,
            weight_decay,
            ..
        } => {
            ensure!(
                (0.0..1.0).contains(&momentum), // This also rejects NaN
                "`{prefix}momentum` should be from 0, without 1, but is {momentum}"
            );
            ensure!(
                !nesterov || momentum > 0.0,
                "`{prefix}nesterov` is of a momentum, but `{prefix}momentum` is 0"
            );
            weight_decay
        }
        OptimizerConfig::Adam { weight_decay, .. }
        | OptimizerConfig::AdamW { weight_decay, .. } => weight_decay,
    };
    if let Some(norm) = optimizer.clip_norm() {
        ensure!(
            norm > 0.0 && norm.is_finite(),
            "`{prefix}clip_norm` should be above 0 and finite, but is {norm}"
        );
    }
    ensure!(
        weight_decay >= 0.0 && weight_decay.is_finite(),
        "`{prefix}weight_decay` should be finite and not negative, but is {weight_decay}"
    );
    Ok(())
}

/// Check the losses of a training by building them.
pub fn check_losses(tables: &[Table], scene: &Scene) -> Result<Vec<Loss>> {
    let mut names = HashSet::new();
    let mut losses = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let loss =
            Loss::new(table, scene).with_context(|| format!("[[loss]] number {}", index + 1))?;
        if !names.insert(loss.name.clone()) {
            bail!(
                "two losses are named `{}`: give one of them a `name`",
                loss.name
            );
        }
        if let Some(preparation) = &loss.preparation {
            let what = || format!("the {} of `{}` is kept", preparation.name, loss.name);
            check_name(&loss.name).with_context(what)?;
        }
        losses.push(loss);
    }
    student_of(&losses)?;
    ensure!(
        losses.is_empty() || losses.iter().any(|loss| loss.clip.is_none()),
        "every loss has a `clip`: it is a share of the gradient of those that have none"
    );
    Ok(losses)
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
    teacher: &NetworkConfig,
) -> Result<Scene> {
    let data = recipe.data.name.info();
    let build = |model: &NetworkConfig| model.init(data.shape, data.classes.len(), &Device::flex());
    let student = build(&recipe.student.model).context("student.model")?;
    let place = || format!("{}.model", TeacherRecipe::place(index));
    let teacher = build(teacher).with_context(place)?;
    // Which samples there are is known with the data: until then as many as were published.
    let classes = data.classes.len();
    let samples = (0..data.images[0])
        .map(|id| (id, Some(id % classes)))
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
    let mut names = HashSet::new();
    for (index, table) in recipe.losses.iter().enumerate() {
        let loss = JointLoss::new(table, &scenes)
            .with_context(|| format!("[[loss]] number {}", index + 1))?;
        if !names.insert(loss.name.clone()) {
            bail!(
                "two losses are named `{}`: give one of them a `name`",
                loss.name
            );
        }
    }
    Ok(())
}

/// The error of the parser, with the nearest name if it is about an unknown one.
fn with_hint(error: toml::de::Error) -> anyhow::Error {
    // serde says: unknown field `a`, expected one of `b`, `c`
    let quoted: Vec<_> = error.message().split('`').skip(1).step_by(2).collect();
    let hint = match (error.message().starts_with("unknown"), quoted.as_slice()) {
        (true, [unknown, known @ ..]) => nearest(unknown, known.iter().copied()),
        _ => None,
    };
    match hint {
        Some(name) => anyhow!("{}did you mean `{name}`?", error),
        None => anyhow!("{}", error.to_string().trim_end()),
    }
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
        read(&path, &overridden)
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
        assert!(error.contains("unknown field `epoch`"), "{error}");
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
                "`student.training.epochs` should be at least 1",
            ),
            (
                "data.validation=1.5",
                "`data.validation` should be between 0 and 1, but is 1.5",
            ),
            (
                "data.without_class=10",
                "`data.without_class` should be below 10, but is 10",
            ),
            ("seeds=[]", "`seeds` is empty"),
            ("seeds=[1, 1]", "`seeds` holds a seed twice"),
            ("name='../x'", "`name` names a folder"),
            (
                "teacher.training.learning_rate.peak=-1",
                "should be above 0, but is -1",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', momentum = -0.9 }",
                "`student.training.optimizer.momentum` should be from 0, without 1, but is -0.9",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', momentum = nan }",
                "`student.training.optimizer.momentum` should be from 0, without 1, but is NaN",
            ),
            (
                "teacher.training.optimizer={ kind = 'sgd', momentum = 1 }",
                "`teacher.training.optimizer.momentum` should be from 0, without 1, but is 1",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', momentum = 0, nesterov = true }",
                "`student.training.optimizer.nesterov` is of a momentum, but",
            ),
            (
                "student.training.optimizer={ kind = 'sgd', weight_decay = -1e-4 }",
                "`student.training.optimizer.weight_decay` should be finite and not negative",
            ),
            (
                "student.training.optimizer={ kind = 'adam', weight_decay = nan }",
                "`student.training.optimizer.weight_decay` should be finite and not negative",
            ),
            (
                "student.training.optimizer={ kind = 'adam-w', weight_decay = inf }",
                "`student.training.optimizer.weight_decay` should be finite and not negative",
            ),
            (
                "student.training.optimizer={ kind = 'adam-w', clip_norm = 0 }",
                "`student.training.optimizer.clip_norm` should be above 0 and finite, but is 0",
            ),
            (
                "teacher.training.optimizer={ kind = 'sgd', clip_norm = nan }",
                "`teacher.training.optimizer.clip_norm` should be above 0 and finite, but is NaN",
            ),
            (
                "student.training.optimizer={ kind = 'adam', clipnorm = 3 }",
                "did you mean `clip_norm`?",
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

        assert!(error(&twice, &[]).contains("two losses are named `soft-target`"));
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
            let teachers = read(&path, &changes).unwrap().teachers().into_iter();
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
                    let recipe = read(&path, &[]).unwrap();
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
