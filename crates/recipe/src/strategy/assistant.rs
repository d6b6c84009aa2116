//! Networks between the teacher and the student of a recipe, and the checks of their chain.

use crate::fault::Place;
use crate::loss::{LossContext, Losses};
use crate::losses::{check_distinct, check_losses};
use crate::model::ModelRecipe;
use crate::naming::loss_place;
use crate::numbers::MOST_VIEWS;
use crate::parts::TrainingRecipe;
use crate::{JointLoss, Loss};
use anyhow::{Result, ensure};
use burn_distill::core::{ConfigError, Seed, check};
use serde::{Deserialize, Serialize};
use toml::Table;

/// A network between teacher and student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistantRecipe {
    /// Network.
    pub model: ModelRecipe,
    /// Training of the network. Default: that of the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
}

/// State of a trained network in which it teaches the next ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeachingEpoch {
    /// State after its last epoch.
    #[default]
    Last,
    /// State after the epoch with the highest validation accuracy.
    Best,
}

/// Assistants of a recipe, and which networks each of them and the student learn from.
#[derive(Clone, Copy, Debug)]
pub struct AssistantPlan<'a> {
    /// Networks between teacher and student, the first of which learns from the teacher only.
    pub assistants: &'a [AssistantRecipe],
    /// Networks that an assistant or the student learns from.
    pub guidance: Guidance,
    /// State in which teacher and assistants teach.
    pub teaching_epoch: TeachingEpoch,
}

/// Networks that an assistant or the student learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guidance {
    /// The network before it.
    Previous,
    /// All networks before it, the teacher first.
    All {
        /// Number of them that are left out at random in every step.
        dropped: usize,
    },
}

impl Guidance {
    /// Returns the number of networks that are left out in every step of a network with this number
    /// of guides: an assistant without more guides than that learns from all of them.
    pub fn dropped(self, guides: usize) -> usize {
        match self {
            Self::All { dropped } if dropped < guides => dropped,
            _ => 0,
        }
    }
}

impl AssistantPlan<'_> {
    /// Returns the place in the recipe of the assistant at an index, counted from 0.
    pub fn place(index: usize) -> String {
        format!("strategy.assistants.{index}")
    }

    /// Returns the assistants with their places in the recipe.
    pub fn placed(&self) -> impl Iterator<Item = (String, &AssistantRecipe)> {
        let assistants = self.assistants.iter().enumerate();
        assistants.map(|(index, assistant)| (Self::place(index), assistant))
    }

    /// Builds the losses of a network that learns from the one before it.
    ///
    /// # Errors
    ///
    /// Returns an error, with the place of the loss, if it cannot be built, or if it is for a single
    /// student only.
    pub fn losses(kinds: &Losses, tables: &[Table], context: &LossContext) -> Result<Vec<Loss>> {
        let losses = check_losses(kinds, tables, context)?;
        for (index, loss) in losses.iter().enumerate() {
            let is_plain = loss.preparation.is_none() && loss.student.is_none();
            check_plain(is_plain, &loss.name).at(&loss_place(index))?;
        }
        Ok(losses)
    }

    /// Builds the losses of a network that learns from all networks before it, given its context
    /// with each of them and the seed of the guides that are left out.
    ///
    /// # Errors
    ///
    /// Returns an error, with the place of the loss, if it cannot be built.
    pub fn guided_losses(
        &self,
        kinds: &Losses,
        tables: &[Table],
        contexts: &[LossContext],
        seed: Seed,
    ) -> Result<Vec<JointLoss>> {
        let dropped = self.guidance.dropped(contexts.len());
        let mut losses = Vec::with_capacity(tables.len());
        for (index, table) in tables.iter().enumerate() {
            let loss = kinds.build_guided(table, contexts, dropped, seed);
            losses.push(loss.at(&loss_place(index))?);
        }
        check_distinct(losses.iter().map(|loss| loss.name.as_str()).enumerate())?;
        Ok(losses)
    }
}

fn check_plain(is_plain: bool, name: &str) -> Result<()> {
    ensure!(
        is_plain,
        "the loss `{name}` has a preparation for one student and its teacher, or changes the student, \
         and cannot be used with assistants, which are students and teachers: leave it out"
    );
    Ok(())
}

/// Checks the number of assistants.
pub fn check_count(assistants: &[AssistantRecipe]) -> Result<(), ConfigError> {
    check::ensure(
        (1..=MOST_VIEWS).contains(&assistants.len()),
        "assistants",
        format_args!(
            "a list of 1 to {MOST_VIEWS} networks between teacher and student, such as \
             [{{ model = \"convnet-8-16\" }}]"
        ),
        match assistants.len() {
            0 => "empty".to_string(),
            count => format!("a list of {count}"),
        },
    )
}

/// Returns the models of the assistants, each with its key.
pub fn models_mut(assistants: &mut [AssistantRecipe]) -> Vec<(String, &mut ModelRecipe)> {
    let all = assistants.iter_mut().enumerate();
    all.map(|(index, assistant)| (format!("assistants.{index}.model"), &mut assistant.model))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::assistants::AssistantsRecipe;
    use super::super::dense_guidance::DenseGuidanceRecipe;
    use super::super::tests::options;
    use super::*;
    use crate::read::tests::{error, recipe};

    const RECIPE: &str = r#"
        name = "test"
        data = { name = "digits" }
        teacher = { model = "mlp-16", training = { epochs = 2 } }
        student = { model = "mlp-4", training = { epochs = 3 } }
        loss = [{ kind = "cross-entropy", weight = 0.5 }, { kind = "kd", weight = 0.5 }]
        strategy = { kind = "takd", assistants = [{ model = "mlp-12" }, { model = "mlp-8" }] }
    "#;

    fn dense(options: &str) -> String {
        let assistants = "assistants = [{ model = 'mlp-12' }, { model = 'mlp-8' }]";
        format!("strategy={{ kind = 'dgkd', {assistants}{options} }}")
    }

    /// The recipe without losses, whose terms are those of the authors.
    fn without_losses() -> String {
        let lines = RECIPE.lines().filter(|line| !line.contains("loss = "));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn chains_are_read_and_written() {
        let chain = recipe(RECIPE, &[]).unwrap();
        let plan = options::<AssistantsRecipe>(&chain).assistants.clone();
        let models: Vec<_> = plan.iter().map(|it| it.model.to_string()).collect();
        assert_eq!(models, ["mlp-12", "mlp-8"]);
        let dense = recipe(RECIPE, &[&dense(", teaching_epoch = 'best'")]).unwrap();
        let of_dense: &DenseGuidanceRecipe = options(&dense);
        assert_eq!(of_dense.dropped, 1);
        assert_eq!(of_dense.teaching_epoch, TeachingEpoch::Best);

        for original in [chain, dense] {
            let text = toml::to_string(&original).unwrap();
            assert_eq!(recipe(&text, &[]).unwrap(), original, "{text}");
        }
    }

    #[test]
    fn terms_of_dense_guidance_are_those_of_the_authors() {
        let terms = |options: &str| {
            let recipe = recipe(&without_losses(), &[&dense(options)]).unwrap();
            let losses = recipe.losses.into_iter();
            let losses = losses.map(|table| toml::Value::Table(table).to_string());
            losses.collect::<Vec<_>>().join(" ")
        };

        assert_eq!(
            terms(""),
            r#"{ kind = "soft-target", temperature = 5.0, weight = 1.0 }"#
        );
        assert_eq!(
            terms(", temperature = 2, weight = 0.75"),
            r#"{ kind = "cross-entropy", weight = 0.25 } { kind = "soft-target", temperature = 2.0, weight = 0.75 }"#
        );
    }

    #[test]
    fn a_network_without_more_guides_than_are_left_out_learns_from_all() {
        let all = Guidance::All { dropped: 2 };
        let dropped: Vec<_> = (1..5).map(|guides| all.dropped(guides)).collect();
        assert_eq!(dropped, [0, 0, 2, 2]);
        assert_eq!(Guidance::Previous.dropped(1), 0);
    }

    #[test]
    fn chains_that_do_not_fit_are_refused_with_what_to_do() {
        let dense_of = |options: &str| vec![dense(options)];
        let changed = |text: &str| vec![text.to_string()];
        for (changes, message) in [
            (
                changed("strategy={ kind = 'takd' }"),
                "`strategy.assistants` should be a list of 1 to 64 networks between teacher and student",
            ),
            (
                changed("strategy.assistants.1.model=resnt20"),
                "did you mean `resnet20`?",
            ),
            (
                changed("strategy.assistants.0.training={ epochs = 0 }"),
                "`strategy.assistants.0.training.epochs` should be",
            ),
            (
                changed("strategy.teaching_epoch=worst"),
                "`strategy.teaching_epoch`",
            ),
            (
                dense_of(", dropped = 3"),
                "`strategy.dropped` should be below the number of guides of the student, which are the \
                 teacher and 2 assistants, but is 3",
            ),
            (
                dense_of(", weight = 0.5"),
                "`strategy.weight` is an option of the default terms, which [[loss]] replaces",
            ),
            (
                changed("route={ anchors = 1 }"),
                "[route] is for plain distillation from a [teacher], but the strategy is `assistants` \
                 (TAKD)",
            ),
            (
                changed("teacher.others=[{ model = 'mlp-16' }]"),
                "`teacher.others` is for plain distillation",
            ),
            (
                changed("student.from_teacher=['fc']"),
                "`student.from_teacher` is for a student whose only teacher",
            ),
            (
                vec![
                    dense(""),
                    "loss=[{ kind = 'averaged-teachers' }]".to_string(),
                ],
                "takes all teachers at once",
            ),
            (
                vec![dense(""), "loss=[{ kind = 'kd', clip = true }]".to_string()],
                "is clipped, which is possible with one trained teacher only",
            ),
        ] {
            let changes: Vec<_> = changes.iter().map(String::as_str).collect();
            let error = error(RECIPE, &changes);
            assert!(error.contains(message), "{changes:?}: {error}");
        }
        // A loss that an assistant cannot have is refused at the assistant.
        let maps = ["teacher.model=convnet-8", "student.model=convnet-4"];
        let loss = "loss=[{ kind = 'attention-transfer' }]";
        let refused = error(RECIPE, &[&maps[..], &[loss]].concat());
        assert!(refused.contains("strategy.assistants.0"), "{refused}");
        let convnets = "strategy.assistants=[{ model = 'convnet-6' }]";
        recipe(RECIPE, &[&maps[..], &[loss, convnets]].concat()).unwrap();
        let prepared = "loss=[{ kind = 'factor-transfer' }]";
        let refused = error(RECIPE, &[&maps[..], &[prepared, convnets]].concat());
        assert!(
            refused.contains("cannot be used with assistants"),
            "{refused}"
        );
        // The targets count once: they need no guide.
        recipe(RECIPE, &[&dense("")]).unwrap();
    }
}
