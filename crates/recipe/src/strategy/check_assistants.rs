//! Checks of recipes with networks between the teacher and the student.

use super::assistant::{AssistantPlan, Guidance};
use crate::Recipe;
use crate::fault::Place;
use crate::input::AnyNetwork;
use crate::loss::LossContext;
use crate::training::check_training;
use anyhow::{Result, ensure};
use burn::tensor::Device;
use burn_distill::core::{Seed, known_taps};

/// Checks a recipe with assistants, without building its losses.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check_recipe(recipe: &Recipe, plan: &AssistantPlan<'_>) -> Result<()> {
    for (place, assistant) in plan.placed() {
        if let Some(training) = &assistant.training {
            check_training(training, &format!("{place}.training"))?;
        }
    }
    check_tables_of_one_teacher(recipe)?;
    ensure!(
        recipe.student.from_teacher.is_empty(),
        "`student.from_teacher` is for a student whose only teacher is the [teacher], but with {} it \
         learns from assistants: leave it out",
        recipe.strategy.quoted()
    );
    Ok(())
}

/// Checks that a recipe with a strategy of one teacher has no tables of other trainings.
///
/// # Errors
///
/// Returns an error that names the table.
pub fn check_tables_of_one_teacher(recipe: &Recipe) -> Result<()> {
    let refused = [
        ("[[stage]]", !recipe.stages.is_empty()),
        ("[route]", recipe.route.is_some()),
        ("`teacher.others`", recipe.teachers().len() > 1),
    ];
    for (key, given) in refused {
        ensure!(
            !given,
            "{key} is for plain distillation from a [teacher], but the strategy is {}: leave out {key} \
             or the [strategy]",
            recipe.strategy.quoted()
        );
    }
    Ok(())
}

/// Builds the losses of every network of a chain, untrained, and checks them. The context is that
/// of the student with the teacher.
///
/// # Errors
///
/// Returns an error that names the key and the network.
pub fn check_chain(recipe: &Recipe, plan: &AssistantPlan<'_>, context: &LossContext) -> Result<()> {
    let task = recipe.spec()?.task;
    let mut networks = vec![context.teacher.clone()];
    for (place, assistant) in plan.placed() {
        let network =
            recipe
                .registry
                .networks()
                .build(&assistant.model, &task, 0_u64, &Device::flex());
        networks.push(network.at(&format!("{place}.model"))?);
    }
    networks.push(context.student.clone());
    let kinds = recipe.registry.losses();
    for place in 1..networks.len() {
        let (guides, learners) = networks.split_at(place);
        let built = match plan.guidance {
            Guidance::Previous => {
                let context = between(context, &learners[0], &guides[place - 1]);
                AssistantPlan::losses(kinds, &recipe.losses, &context).map(drop)
            }
            Guidance::All { .. } => {
                let contexts = guides.iter();
                let contexts: Vec<_> = contexts
                    .map(|guide| between(context, &learners[0], guide))
                    .collect();
                let losses = plan.guided_losses(kinds, &recipe.losses, &contexts, Seed::new(0));
                losses.map(drop)
            }
        };
        if place <= plan.assistants.len() {
            built.at(&AssistantPlan::place(place - 1))?;
        } else {
            built?;
        }
    }
    Ok(())
}

/// Returns the context of the losses between other networks.
fn between(context: &LossContext, student: &AnyNetwork, teacher: &AnyNetwork) -> LossContext {
    LossContext {
        student: student.clone(),
        teacher: teacher.clone(),
        student_taps: known_taps(student),
        teacher_taps: known_taps(teacher),
        ..context.clone()
    }
}
