//! Tasks that the student learns one after another.

use super::Recipe;
use anyhow::{Result, bail, ensure};

/// Checks the tasks of a recipe, and that they are given where the strategy learns tasks.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check(recipe: &Recipe) -> Result<()> {
    let strategy = &recipe.strategy;
    let learns_tasks = strategy.options().learns_tasks();
    let tasks = match (&recipe.tasks, learns_tasks) {
        (None, false) => return Ok(()),
        (None, true) => bail!(
            "`tasks` is missing: the strategy {} learns tasks one after another: give [tasks] with their \
             number as `count`, or with the classes of each as `classes`",
            strategy.quoted()
        ),
        (Some(_), false) => bail!(
            "[tasks] is for a [strategy] that learns tasks one after another (`fine-tuning`, `joint`, \
             `lwf`, `ewc`, `icarl`): choose one of them, or leave it out"
        ),
        (Some(tasks), true) => tasks,
    };
    tasks.of(recipe.spec()?.task.classes)?;
    let data = &recipe.data;
    for (key, given) in [
        ("labels_per_class", data.labels_per_class.is_some()),
        ("without_class", data.without_class.is_some()),
    ] {
        ensure!(
            !given,
            "`data.{key}` cannot be combined with [tasks], which learn all classes with all labels: \
             leave it out"
        );
    }
    ensure!(
        recipe.losses.is_empty(),
        "[[loss]] cannot be combined with [tasks]: the terms are those of the strategy {}, so leave \
         them out",
        strategy.quoted()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::read::tests::{error, recipe};

    const RECIPE: &str = "name = 'test'\ndata = { name = 'digits' }\n\
        student = { model = 'convnet-4-8', training = { epochs = 2 } }\n\
        strategy = { kind = 'lwf' }\n";

    #[test]
    fn tasks_are_a_number_or_lists_of_classes() {
        for (tasks, sizes) in [
            ("tasks.count=5", vec![2; 5]),
            ("tasks.count=3", vec![4, 3, 3]),
            (
                "tasks.classes=[[9, 1, 2], [0, 3, 4, 5, 6, 7, 8]]",
                vec![3, 7],
            ),
        ] {
            let recipe = recipe(RECIPE, &[tasks]).unwrap();
            let tasks = recipe.tasks.unwrap().of(10).unwrap();
            let found: Vec<_> = (0..tasks.len()).map(|task| tasks.of(task).len()).collect();
            assert_eq!(found, sizes);
        }
    }

    #[test]
    fn tasks_that_cannot_be_learned_are_refused_with_their_key() {
        let lists = "tasks.classes=[[0, 1, 2, 3, 4], [5, 6, 7, 8]]";
        for (changes, expected) in [
            (vec![], "`tasks` is missing"),
            (vec!["tasks={}"], "`tasks` is empty"),
            (vec!["tasks.count=11"], "`tasks.count` should be"),
            (vec!["tasks.count=0"], "`tasks.count` should be"),
            (
                vec!["tasks.classes=[[0, 1], [1]]"],
                "`tasks.classes.1` should be",
            ),
            (
                vec!["tasks.classes=[[0, 10]]"],
                "`tasks.classes.0` should be",
            ),
            (vec![lists], "(missing: [9])"),
            (vec![lists, "tasks.count=2"], "there are both"),
            (vec!["tasks.cout=2"], "did you mean `count`?"),
            (
                vec!["tasks.count=2", "data.labels_per_class=3"],
                "`data.labels_per_class`",
            ),
            (
                vec!["tasks.count=2", "loss=[{ kind = 'hard' }]"],
                "[[loss]] cannot be combined",
            ),
            (
                vec!["tasks.count=2", "strategy.kind=mutual"],
                "[tasks] is for a [strategy]",
            ),
            (vec!["tasks.count=2", "strategy.tap=layer9"], "layer9"),
            (
                vec!["tasks.count=2", "strategy.tap=layer1"],
                "takes 8 features",
            ),
        ] {
            let error = error(RECIPE, &changes);
            assert!(error.contains(expected), "{changes:?}: {error}");
        }
    }

    #[test]
    fn options_of_each_strategy_are_checked() {
        for (strategy, expected) in [
            ("{ kind = 'icarl', exemplars = 0 }", "`strategy.exemplars`"),
            (
                "{ kind = 'icarl', exemplars = 9, exemplars_per_class = 2 }",
                "`strategy.exemplars` should be left out where `exemplars_per_class` is given",
            ),
            (
                "{ kind = 'lwf', temperature = 0 }",
                "`strategy.temperature`",
            ),
            ("{ kind = 'lwf', epsilon = 2 }", "`strategy.epsilon`"),
            (
                "{ kind = 'lwf', freeze_old_heads = true, exemplars = 20 }",
                "`strategy.freeze_old_heads`",
            ),
            ("{ kind = 'ewc', decay = 1.5 }", "`strategy.decay`"),
            ("{ kind = 'ewc', weight = -1 }", "`strategy.weight`"),
            (
                "{ kind = 'ewc', fisher = { labels = 'expected' } }",
                "`strategy.fisher.labels`",
            ),
        ] {
            let strategy = format!("strategy={strategy}");
            let error = error(RECIPE, &["tasks.count=2", &strategy]);
            assert!(error.contains(expected), "{strategy}: {error}");
        }
    }
}
