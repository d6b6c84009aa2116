use super::fault::Place;
use super::losses::{self, learns};
use super::naming::{check_name, loss_place};
use super::numbers::MOST_EPOCHS;
use super::training::check_training;
use super::{Loss, LossContext, Recipe, StageRecipe, Trains};
use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn_distill::core::{ConfigError, check};
use std::collections::HashMap;

/// Checks the stages of a recipe, without building their losses.
pub fn check(recipe: &Recipe) -> Result<()> {
    for (index, stage) in recipe.stages.iter().enumerate() {
        let place = format!("stage.{index}");
        check_stage_name(&stage.name, &recipe.stages[..index]).at(&place)?;
        check_stage(stage).at(&place)?;
    }
    ensure!(
        recipe.stages.is_empty()
            || recipe
                .stages
                .iter()
                .any(|stage| stage.trains == Trains::All),
        "no stage trains the student: `trains` is \"objective\" in each; leave it out in one"
    );
    Ok(())
}

/// Builds the losses of the stages of a recipe, and checks them. `contexts` returns the context of
/// the student with its teacher, for batches of the given size.
pub fn check_losses(
    recipe: &Recipe,
    contexts: impl Fn(usize) -> Result<Vec<LossContext>>,
) -> Result<()> {
    let mut earlier = HashMap::new();
    for (index, stage) in recipe.stages.iter().enumerate() {
        let batch_size = stage.training(&recipe.student.training).batch_size;
        let contexts = contexts(batch_size)?;
        let context = contexts.first().context("a stage has a teacher")?;
        let losses = losses::check_losses(recipe.registry.losses(), &stage.losses, context);
        let is_last = index + 1 == recipe.stages.len();
        losses
            .and_then(|losses| check_losses_of_stage(stage, losses, is_last, &mut earlier))
            .at(&format!("stage.{index}"))?;
    }
    Ok(())
}

/// Files and folders that a run writes beside the folders of the stages.
const RESERVED: [&str; 6] = [
    "checkpoint",
    "curriculum.json",
    "history.csv",
    "model.bpk",
    "snapshots",
    "training.json",
];

/// Checks the name of a stage, which is that of its folder. Some file systems ignore case.
fn check_stage_name(name: &str, before: &[StageRecipe]) -> Result<(), ConfigError> {
    check_name(name)?;
    let folder = name.to_lowercase();
    let other = before.iter().find(|it| it.name.to_lowercase() == folder);
    let expected = match other {
        Some(other) if other.name == name => {
            "another one, as two stages have this name".to_string()
        }
        Some(other) => format!(
            "different from the earlier stage `{}` by more than its case, as it names a folder",
            other.name
        ),
        // Files are written under such a name before they are renamed.
        None if RESERVED.contains(&folder.as_str()) || folder.starts_with("partial-") => {
            "another one, as it names a folder, and a run has files of this name".into()
        }
        None => return Ok(()),
    };
    Err(ConfigError::new("name", expected, format_args!("`{name}`")))
}

/// Trained losses of earlier stages, by name, with the name of their stage.
type Learned<'a> = HashMap<String, (&'a str, Loss)>;

fn check_stage(stage: &StageRecipe) -> Result<()> {
    match (stage.epochs, &stage.training) {
        (Some(_), Some(_)) => bail!("there are both `epochs` and a `training`: give one of them"),
        (None, None) => bail!("`epochs` is missing: give it, or a whole `training`"),
        (None, Some(training)) => check_training(training, "training")?,
        (Some(epochs), None) => check::count_in("epochs", epochs, 1..=MOST_EPOCHS)?,
    }
    ensure!(
        !stage.losses.is_empty(),
        "there is no loss: give at least one [[stage.loss]]"
    );
    Ok(())
}

fn check_losses_of_stage<'a>(
    stage: &'a StageRecipe,
    losses: Vec<Loss>,
    is_last: bool,
    earlier: &mut Learned<'a>,
) -> Result<()> {
    if let Some(loss) = losses.iter().find(|loss| loss.student.is_some()) {
        ensure!(
            is_last && stage.trains == Trains::All,
            "the loss `{}` changes the student, and can only be used in the last stage, with the student \
             trained",
            loss.name
        );
    }
    ensure!(
        stage.trains == Trains::All || losses.iter().any(learns),
        "`trains` is \"objective\", but none of the losses has parameters: give a loss with parameters, or leave `trains` out"
    );
    check_files(&losses)?;
    for loss in losses.into_iter().filter(learns) {
        let folded = loss.name.to_lowercase();
        let mut known = earlier.keys();
        if let Some(other) = known.find(|it| it.to_lowercase() == folded && **it != loss.name) {
            bail!(
                "the loss `{}` differs from `{other}` of an earlier stage only by its case, and both \
                 name files: give one of them another `name`",
                loss.name
            );
        }
        if let Some((name, before)) = earlier.get(&loss.name) {
            check_continuation(before, name, &loss)?;
        }
        earlier.insert(loss.name.clone(), (&stage.name, loss));
    }
    Ok(())
}

/// Checks the names of losses whose parameters are saved in a file.
pub fn check_files(losses: &[Loss]) -> Result<()> {
    let mut names = losses.iter().enumerate().filter(|(_, loss)| learns(loss));
    names.try_for_each(|(index, loss)| check_name(&loss.name).at(&loss_place(index)))
}

/// Checks that a loss can continue with the parameters of the loss of its name in an earlier stage.
fn check_continuation(earlier: &Loss, stage: &str, loss: &Loss) -> Result<()> {
    let prepared = |loss: &Loss| {
        let preparation = loss.preparation.as_ref();
        preparation.map(|it| (it.epochs, it.objective.to_string()))
    };
    ensure!(
        prepared(earlier) == prepared(loss),
        "the loss `{}` continues with the {} of the loss of that name in the stage `{stage}`, which is \
         prepared differently: give both the same options, or one of them another `name`",
        loss.name,
        earlier
            .preparation
            .as_ref()
            .map_or("knowledge", |it| it.name)
    );
    let record = earlier.objective.valid().into_record();
    let fits = loss.objective.valid().try_load_record(record);
    fits.map(|_| ()).with_context(|| {
        format!(
            "the loss `{}` would continue with the parameters of the loss of that name in the stage \
             `{stage}`, which do not fit: give one of them another `name`",
            loss.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example_context;
    use crate::read::tests::{error, recipe};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;
    use burn_distill::core::{
        Context as Step, DynObjective, Objective, Requirements, Terms, initialize,
    };

    const RECIPE: &str = r#"
        name = "test"
        data = { name = "digits" }
        teacher = { model = "convnet-8", training = { epochs = 2 } }
        student = { model = "convnet-4", training = { epochs = 3, batch_size = 32 } }
        [[stage]]
        name = "hints"
        epochs = 2
        [[stage.loss]]
        kind = "attention-transfer"
        [[stage]]
        name = "distillation"
        training = { epochs = 4, batch_size = 16 }
        [[stage.loss]]
        kind = "cross-entropy"
        [[stage.loss]]
        kind = "learned-temperature"
    "#;

    #[test]
    fn a_stage_trains_as_the_student_but_for_its_epochs() {
        let recipe: Recipe = recipe(RECIPE, &[]).unwrap();
        let training = |stage: usize| {
            let training = recipe.stages[stage].training(&recipe.student.training);
            (training.epochs, training.batch_size)
        };

        assert_eq!(training(0), (2, 32));
        assert_eq!(training(1), (4, 16));
    }

    #[test]
    fn stages_are_written_as_they_are_read() {
        let original = recipe(RECIPE, &["stage.1.loss.0.weight=2"]).unwrap();

        let text = toml::to_string(&original).unwrap();
        assert_eq!(recipe(&text, &[]).unwrap(), original);
        assert_eq!(original.stages[1].losses[0]["weight"], 2.into());
    }

    #[test]
    fn errors_in_a_stage_name_its_place() {
        for (change, messages) in [
            (
                "stage.1.loss.0.kind=hrd",
                ["`stage.1.loss.0.kind`", "did you mean `hard`?"],
            ),
            (
                "stage.0.loss.0.student=layer9",
                ["`stage.0.loss.0.student`", "layer9"],
            ),
            (
                "stage.0.epochs=0",
                ["`stage.0.epochs` should be from 1", "but is 0"],
            ),
            (
                "stage.1.training.learning_rate.base=0",
                [
                    "`stage.1.training.learning_rate.base` should be above 0",
                    "but is 0",
                ],
            ),
            (
                "stage.1.epochs=1",
                ["stage.1: ", "both `epochs` and a `training`"],
            ),
            (
                "stage.1.loss=[]",
                ["stage.1: ", "give at least one [[stage.loss]]"],
            ),
            ("stage.0.name=a/b", ["`stage.0.name`", "as it names files"]),
            (
                "stage.0.name='a b'",
                ["`stage.0.name`", "as it names files"],
            ),
            ("stage.0.name='hints '", ["`stage.0.name`", "`hints `"]),
            ("stage.0.name=hints.", ["`stage.0.name`", "last no `.`"]),
            ("stage.0.name=..", ["`stage.0.name`", "as it names files"]),
            ("stage.1.name=model.bpk", ["`stage.1.name`", "`model.bpk`"]),
            (
                "stage.0.name=Training.json",
                ["`stage.0.name`", "a run has files of this name"],
            ),
            (
                "stage.0.name=curriculum.json",
                ["`stage.0.name`", "a run has files of this name"],
            ),
            (
                "stage.0.name=checkpoint",
                ["`stage.0.name`", "a run has files of this name"],
            ),
            (
                "stage.0.name=history.csv",
                ["`stage.0.name`", "a run has files of this name"],
            ),
            (
                "stage.0.name=partial-a",
                ["`stage.0.name`", "a run has files of this name"],
            ),
            (
                "stage.1.name=Hints",
                ["`stage.1.name`", "`hints` by more than"],
            ),
            (
                "stage.0.name=distillation",
                ["`stage.1.name`", "two stages have this name"],
            ),
            (
                "stage.0.trains=objective",
                ["stage.0: ", "none of the losses has parameters"],
            ),
            (
                "stage.0.trains=objectve",
                ["`stage.0.trains`", "did you mean `objective`?"],
            ),
            (
                "stage.0.epoch=1",
                ["unknown key `stage.0.epoch`", "did you mean `epochs`?"],
            ),
            (
                "stage.0.loss.0.kind=sim-kd",
                ["stage.0: ", "can only be used in the last stage"],
            ),
            (
                "loss=[{ kind = 'hard' }]",
                ["both [[loss]] and [[stage]]", "[[stage.loss]]"],
            ),
            (
                "stage=[]",
                ["there is no loss", "[[stage]]s with a [[stage.loss]] each"],
            ),
        ] {
            let error = error(RECIPE, &[change]);
            for message in messages {
                assert!(error.contains(message), "{change}: {message}: {error}");
            }
        }
        let neither = error(
            &RECIPE.replace("epochs = 2\n        [[stage.loss]]", "[[stage.loss]]"),
            &[],
        );
        assert!(
            neither.contains("`epochs` is missing: give it, or a whole `training`"),
            "{neither}"
        );
    }

    #[test]
    fn a_preparation_of_a_loss_serves_later_stages_too() {
        let prepared = |epochs: usize| {
            let second = format!(
                "stage.1.loss=[{{ kind = 'factor-transfer', paraphraser_epochs = {epochs} }}]"
            );
            recipe(RECIPE, &["stage.0.loss.0.kind=factor-transfer", &second])
        };

        prepared(5).unwrap();
        let error = format!("{:#}", prepared(6).unwrap_err());
        assert!(
            error.contains("continues with the paraphraser") && error.contains("`hints`"),
            "{error}"
        );
        recipe(RECIPE, &["stage.1.loss.1.kind=sim-kd"]).unwrap();
    }

    #[test]
    fn some_stage_trains_the_student() {
        let only = "stage=[{ name = 'a', epochs = 1, trains = 'objective', \
                    loss = [{ kind = 'learned-temperature' }] }]";

        assert!(error(RECIPE, &[only]).contains("no stage trains the student"));
    }

    /// Objective with parameters of that size.
    #[derive(Module, Debug)]
    struct Adapted {
        layer: Linear,
    }

    impl Objective for Adapted {
        fn requirements(&self) -> Requirements {
            Requirements::responses()
        }

        fn forward(&self, _: &Step<'_>) -> Terms {
            Terms::default()
        }
    }

    fn adapted(width: usize) -> Loss {
        let table = "kind = 'hard'".parse().unwrap();
        let layer = initialize(LinearConfig::new(2, width).init(&Device::flex()));
        Loss {
            objective: DynObjective::new(Adapted { layer }),
            ..Loss::new(&table, &example_context()).unwrap()
        }
    }

    #[test]
    fn a_run_of_another_recipe_is_not_resumed() {
        check_continuation(&adapted(3), "hints", &adapted(3)).unwrap();

        let error = check_continuation(&adapted(3), "hints", &adapted(4)).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("in the stage `hints`, which do not fit"),
            "{error}"
        );
        assert!(error.contains("layer.weight: shape mismatch"), "{error}");
    }

    #[test]
    fn losses_of_one_name_go_on_with_each_other() {
        let learned = "[{ kind = 'learned-temperature', name = 'kd' }]";
        let same = format!("stage.0.loss={learned}");
        recipe(RECIPE, &[&same, "stage.1.loss.1.name=kd"]).unwrap();
        let slashed = error(RECIPE, &["stage.1.loss.1.name=a/b"]);
        assert!(
            slashed.contains("`stage.1.loss.1.name` should be of up to"),
            "{slashed}"
        );
        let other_case = error(RECIPE, &[&same, "stage.1.loss.1.name=KD"]);
        assert!(other_case.contains("only by its case"), "{other_case}");
        let both = "stage.0.loss=[{ kind = 'learned-temperature', name = 'kd' }, \
                    { kind = 'learned-temperature', name = 'Kd' }]";
        let both = error(RECIPE, &[both]);
        assert!(both.contains("`stage.0.loss.1.name`"), "{both}");
    }

    #[test]
    fn the_snippets_of_the_book_are_valid() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/curriculum.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (head, _) = RECIPE.split_once("[[stage]]").unwrap();
        let mut found = 0;
        for snippet in page.split("```toml\n").skip(1) {
            let snippet = snippet.split("```").next().unwrap();
            recipe(
                &format!("{head}\n{snippet}"),
                &["teacher.training.epochs=4"],
            )
            .unwrap();
            found += 1;
        }
        assert_eq!(found, 3);
    }
}
