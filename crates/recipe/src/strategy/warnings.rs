//! Warnings about values that a recipe may have, but that have no effect.

use crate::naming::loss_place;
use crate::{AssistantPlan, Recipe, TeacherRecipe};
use burn_distill::relation::{self, MultiHeadGraphConfig, MultiHeadGraphLoss};
use burn_distill::response;
use burn_distill::strategy::LrSchedule;
use toml::{Table, Value};

/// Returns warnings about a recipe, to be shown before it is run.
pub fn warnings(recipe: &Recipe) -> Vec<String> {
    let strong = recipe.data.augmentation.strong.is_some();
    let unseen = (strong && !uses_a_second_view(recipe)).then(|| {
        "`data.augmentation.strong` changes nothing: the first view stays weak, and no [[loss]] takes a \
         second one: give one of them `views = 2`, or leave it out"
            .to_string()
    });
    let of_strategy = recipe
        .strategy
        .options()
        .warning(&recipe.student, &recipe.losses);
    let of_mixtures = slight_mixtures(recipe);
    of_strategy
        .into_iter()
        .chain(idle_losses(recipe))
        .chain(unreached(recipe))
        .chain(unseen)
        .chain(busy_heads(recipe))
        .chain(of_mixtures)
        .collect()
}

/// Returns warnings about losses whose weight is always zero.
fn idle_losses(recipe: &Recipe) -> Vec<String> {
    let of_recipe = recipe.losses.iter().enumerate();
    let of_recipe = of_recipe.map(|(index, table)| (loss_place(index), table));
    let of_stages = recipe.losses_of_stages();
    let of_stages = of_stages
        .map(|(stage, index, table)| (format!("stage.{stage}.{}", loss_place(index)), table));
    let warning = |(place, table): (String, &Table)| {
        let shown = match table.get("weight")? {
            Value::Integer(0) => "0".to_string(),
            Value::Float(0.0) => "0".into(),
            // Tensors compute with it.
            Value::Float(weight) if *weight as f32 == 0.0 => {
                format!("{weight:e}, which is 0 in single precision")
            }
            _ => return None,
        };
        Some(format!(
            "`{place}.weight` is {shown}: the loss has no effect"
        ))
    };
    of_recipe.chain(of_stages).filter_map(warning).collect()
}

/// Returns warnings about changes of the learning rate after the last epoch of a training.
fn unreached(recipe: &Recipe) -> Vec<String> {
    let mut trainings = vec![("student.training".to_string(), &recipe.student.training)];
    let teachers = recipe.teachers();
    let of_teachers = teachers
        .iter()
        .enumerate()
        .filter(|(_, it)| it.weights.is_none());
    trainings.extend(of_teachers.filter_map(|(index, teacher)| {
        let place = TeacherRecipe::place(index);
        Some((format!("{place}.training"), teacher.training.as_ref()?))
    }));
    let chain = recipe.strategy.options().assistants();
    let of_assistants = chain.iter().flat_map(AssistantPlan::placed);
    trainings.extend(of_assistants.filter_map(|(place, assistant)| {
        Some((format!("{place}.training"), assistant.training.as_ref()?))
    }));
    let mut warnings = Vec::new();
    for (place, training) in trainings {
        let epochs = training.epochs;
        let rate = &training.learning_rate;
        if rate.warm_up >= epochs && rate.warm_up > 0 {
            warnings.push(format!(
                "`{place}.learning_rate.warm_up` is {}: in {epochs} epochs the rate never reaches \
                 its highest",
                rate.warm_up
            ));
        }
        if let LrSchedule::MultiStep { milestones, .. } = &rate.shape
            && let Some(late) = milestones.iter().find(|milestone| **milestone >= epochs)
        {
            warnings.push(format!(
                "`{place}.learning_rate.shape.milestones` has {late}, which {epochs} epochs do not \
                 reach"
            ));
        }
    }
    warnings
}

/// Returns warnings about mixtures in which the share of the teacher, and therefore the loss, is
/// almost zero.
fn slight_mixtures(recipe: &Recipe) -> Vec<String> {
    const LEAST: f64 = 0.01;
    let mut kinds = response::catalog().iter();
    let Some(mixture) = kinds.find(|entry| entry.name == "jensen-shannon") else {
        return Vec::new();
    };
    let of_stages = recipe.stages.iter().flat_map(|stage| &stage.losses);
    let losses = recipe.losses.iter().chain(of_stages);
    let slight = losses.filter_map(|table| {
        let kind = table.get("kind").and_then(Value::as_str)?;
        let beta = table.get("beta").and_then(Value::as_float)?;
        (mixture.has_name(kind) && beta > 0.0 && beta < LEAST).then(|| {
            format!(
                "the loss `{kind}` goes to zero with its `beta`, which is {beta}: take the loss \
                 `soft-target` at a temperature of 1, which it is near to once divided by `beta`"
            )
        })
    });
    slight.collect()
}

/// Returns a warning about heads that are trained until the last epoch, so that their loss never
/// reaches the student.
fn busy_heads(recipe: &Recipe) -> Option<String> {
    let trained = recipe.student.training.epochs;
    let mut kinds = relation::catalog().iter();
    let graph = kinds.find(|entry| entry.name == MultiHeadGraphLoss::TERM)?;
    recipe.losses.iter().find_map(|table| {
        let kind = table.get("kind").and_then(Value::as_str)?;
        let heads = table.get("heads_epochs").and_then(Value::as_integer);
        let heads = heads.unwrap_or(MultiHeadGraphConfig::new().heads_epochs as i64);
        (graph.has_name(kind) && heads >= trained as i64).then(|| {
            format!(
                "in {trained} epochs the loss `{kind}` never reaches the student: lower its \
                 `heads_epochs`, which is {heads}"
            )
        })
    })
}

/// Returns whether a loss or the strategy takes more than one view of a sample.
fn uses_a_second_view(recipe: &Recipe) -> bool {
    let of_stages = recipe.stages.iter().flat_map(|stage| &stage.losses);
    let mut losses = recipe.losses.iter().chain(of_stages);
    recipe.strategy.options().uses_several_views()
        || losses.any(|table| {
            let views = table.get("views").and_then(Value::as_integer);
            views.is_some_and(|views| views > 1)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::examples;
    use crate::strategy::tests::changed;

    #[test]
    fn a_ramp_that_is_longer_than_the_training_is_warned_of() {
        for (strategy, expected) in [
            (
                "strategy.kind=one",
                "in 10 epochs the weight of the ensemble term only rises to 0.02 of its maximum: \
                 lower `strategy.ramp_epochs`, which is 80",
            ),
            (
                "strategy={ kind = 'okddip', ramp_epochs = 20 }",
                "in 10 epochs the weight of the ensemble term only rises to 0.22 of its maximum: \
                 lower `strategy.ramp_epochs`, which is 20",
            ),
            (
                "strategy={ kind = 'okddip', ramp_epochs = 20, ramp_interval = 'step' }",
                "in 10 epochs the weight of the ensemble term only rises to 0.29 of its maximum: \
                 lower `strategy.ramp_epochs`, which is 20",
            ),
            (
                "strategy={ kind = 'ema', ramp_epochs = 30 }",
                "in 10 epochs the weight of the consistency only rises to 0.09 of its maximum: \
                 lower `strategy.ramp_epochs`, which is 30",
            ),
            (
                "strategy={ kind = 'dino', epochs = 20 }",
                "in 20 epochs the temperature of the average does not rise to its end: \
                 lower `strategy.objective.warm_up`, which is 30",
            ),
        ] {
            assert_eq!(warnings(&changed(&[strategy])), [expected], "{strategy}");
        }
        for strategy in [
            "strategy={ kind = 'one', ramp_epochs = 10 }",
            "strategy={ kind = 'okddip', ramp_epochs = 10 }",
            "strategy={ kind = 'ema', ramp_epochs = 10 }",
            "strategy.kind=ema",
            "strategy={ kind = 'dino', objective = { warm_up = 10 } }",
            "strategy={ kind = 'dino', epochs = 30 }",
            "strategy.kind=mutual",
        ] {
            assert!(warnings(&changed(&[strategy])).is_empty(), "{strategy}");
        }
        // The weights of losses are their own.
        let losses = "loss=[{ kind = 'hard' }, { kind = 'kd' }]";
        for strategy in [
            "strategy.kind=one",
            "strategy={ kind = 'ema', decay = 0.9 }",
        ] {
            assert!(warnings(&changed(&[strategy, losses])).is_empty());
        }
    }

    #[test]
    fn heads_that_never_reach_the_student_are_warned_of() {
        let offline = |loss: &str| {
            let teacher = "teacher={ model = 'convnet-8-16', training = { epochs = 1 } }";
            warnings(&changed(&[
                teacher,
                &format!("loss=[{{ kind = 'hard' }}, {loss}]"),
            ]))
        };

        let expected = "in 10 epochs the loss `mhgd` never reaches the student: lower its \
                        `heads_epochs`, which is 40";
        assert_eq!(offline("{ kind = 'mhgd' }"), [expected]);
        assert_eq!(offline("{ kind = 'mhgd', heads_epochs = 10 }").len(), 1);
        assert!(offline("{ kind = 'mhgd', heads_epochs = 9 }").is_empty());
    }

    #[test]
    fn mixtures_that_are_next_to_nothing_are_warned_of() {
        let teacher = "teacher={ model = 'convnet-8-16', training = { epochs = 1 } }";
        let of_beta = |beta: f64| {
            let losses = format!(
                "loss=[{{ kind = 'hard' }}, {{ kind = 'jensen-shannon', beta = {beta:?} }}]"
            );
            warnings(&changed(&[teacher, &losses]))
        };

        let expected = "the loss `jensen-shannon` goes to zero with its `beta`, which is 0.005: \
                        take the loss `soft-target` at a temperature of 1, which it is near to \
                        once divided by `beta`";
        assert_eq!(of_beta(0.005), [expected]);
        assert!(of_beta(0.01).is_empty());
        assert!(of_beta(0.5).is_empty());
    }

    #[test]
    fn values_without_an_effect_are_warned_of() {
        for (change, expected) in [
            (
                "loss=[{ kind = 'hard' }, { kind = 'kd', weight = 0 }]",
                "`loss.1.weight` is 0: the loss has no effect",
            ),
            (
                "loss=[{ kind = 'hard' }, { kind = 'kd', weight = 1e-300 }]",
                "`loss.1.weight` is 1e-300, which is 0 in single precision: the loss has no effect",
            ),
            (
                "student.training.learning_rate.warm_up=10",
                "`student.training.learning_rate.warm_up` is 10: in 10 epochs the rate never \
                 reaches its highest",
            ),
            (
                "student.training.learning_rate.shape={ kind = 'multi-step', milestones = [5, 12], \
                 factor = 0.1 }",
                "`student.training.learning_rate.shape.milestones` has 12, which 10 epochs do not \
                 reach",
            ),
        ] {
            let warnings = warnings(&changed(&["strategy.kind=mutual", change]));
            assert_eq!(warnings, [expected], "{change}");
        }
    }

    #[test]
    fn unused_strong_views_are_warned_of() {
        let strong = "data.augmentation={ strong = { kind = 'rand-augment' } }";
        for (strategy, views, seen) in [
            ("strategy.kind=mutual", 1, false),
            ("strategy.kind=tf-kd", 1, false),
            ("strategy.kind=tf-kd", 2, true),
            ("strategy.kind=kdcl", 1, true),
            ("strategy.kind=cs-kd", 1, true),
            ("strategy.kind=dlb", 1, true),
        ] {
            let losses = format!("loss=[{{ kind = 'hard' }}, {{ kind = 'kd', views = {views} }}]");
            let warnings = warnings(&changed(&[strong, strategy, &losses]));
            let warned = warnings
                .iter()
                .any(|warning| warning.starts_with("`data.augmentation.strong` changes nothing"));
            assert_eq!(warned, !seen, "{strategy}: {warnings:?}");
        }
    }

    #[test]
    fn the_recipes_of_the_examples_warn_of_nothing() {
        for (path, recipe) in examples() {
            let warnings = warnings(&recipe);
            assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
        }
    }
}
