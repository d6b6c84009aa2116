use super::entries::built;
use super::{JointLoss, LossContext, Losses, loss_context};
use anyhow::{Context, Result, bail, ensure};
use burn_distill::core::{BuiltObjective, DynObjective, Objective, PerTeacher};
use toml::{Table, Value};

impl Losses {
    /// Builds the term that a `[[loss]]` table describes, against the teacher of each context.
    ///
    /// A loss that is made for several teachers takes all at once. Any other one is against each of
    /// them, and averaged.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build`](Self::build), and one if the loss is for one teacher alone.
    pub fn build_joint(&self, table: &Table, contexts: &[LossContext]) -> Result<JointLoss> {
        let (loss, kind, rest) = self.take_kind(table)?;
        ensure!(
            matches!(table.get("clip"), None | Some(Value::Boolean(false))),
            "the loss `{kind}` is clipped, which it can be where one trained teacher teaches"
        );
        if loss.joint {
            let contexts: Vec<_> = contexts.iter().map(|context| context.clone()).collect();
            let (built, _) =
                built(loss, rest, &contexts).with_context(|| format!("in the loss `{kind}`"))?;
            let BuiltObjective::All(objective) = built.objective else {
                bail!("the loss `{kind}` is of all teachers, but was built for one");
            };
            return Ok(JointLoss {
                name: built.name,
                objective,
            });
        }
        let losses = contexts.iter().map(|context| self.build(table, context));
        let losses: Vec<_> = losses.collect::<Result<_>>()?;
        let alone = losses
            .iter()
            .all(|loss| loss.preparation.is_none() && loss.student.is_none());
        ensure!(
            alone,
            "the loss `{kind}` trains something before the student learns, or makes the student \
             another network: it is for one teacher that is trained before, and here {}",
            match contexts.len() {
                1 => "a peer teaches".to_string(),
                count => format!("{count} teach"),
            }
        );
        // An average over teachers is of the first view.
        ensure!(
            losses[0].objective.requirements().views == 1,
            "the loss `{kind}` is of several views, which it can be where one teacher teaches that \
             is trained before: leave out `views`"
        );
        let name = losses[0].name.clone();
        let objectives = losses.into_iter().map(|loss| loss.objective);
        Ok(JointLoss {
            name,
            objective: DynObjective::new(PerTeacher::new(objectives)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::for_digits;
    use burn_distill::core::TapSelection;

    fn contexts() -> Vec<LossContext> {
        ["convnet-8-16", "mlp-12"]
            .map(|teacher| {
                loss_context(
                    for_digits("convnet-4-8"),
                    for_digits(teacher),
                    4,
                    Vec::new(),
                )
            })
            .into()
    }

    fn loss(text: &str) -> Result<JointLoss> {
        Losses::standard().build_joint(&text.parse().unwrap(), &contexts())
    }

    #[test]
    fn every_teacher_is_asked_for_its_own_taps() {
        for text in [
            "kind = 'relational-representation'",
            "kind = 'modality-graph'",
            "kind = 'representation-graph'",
            "kind = 'relative-dissimilarity'",
        ] {
            let requirements = loss(text).unwrap().objective.requirements().teacher;

            assert_eq!(
                requirements.for_network(0),
                TapSelection::named(["pool"]),
                "{text}"
            );
            assert_eq!(
                requirements.for_network(1),
                TapSelection::named(["hidden.1"]),
                "{text}"
            );
        }
        let named = loss("kind = 'modality-graph'\nteachers = ['layer1', 'hidden.1']").unwrap();
        let requirements = named.objective.requirements().teacher;
        assert_eq!(requirements.for_network(0), TapSelection::named(["layer1"]));
    }

    #[test]
    fn a_loss_may_say_that_it_is_not_clipped() {
        for kind in ["kd", "modality-graph"] {
            let [plain, said] = ["", "clip = false"]
                .map(|clip| loss(&format!("kind = '{kind}'\n{clip}")).unwrap().name);
            assert_eq!(said, plain);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, message) in [
            ("kind = 'sim-kd'", "and here 2 teach"),
            ("kind = 'factor-transfer'", "and here 2 teach"),
            (
                "kind = 'kd'\nviews = 2",
                "of several views, which it can be where one teacher teaches",
            ),
            (
                "kind = 'kd'\nclip = true",
                "is clipped, which it can be where one trained teacher teaches",
            ),
            (
                "kind = 'modality-graph'\nclip = 0.5",
                "is clipped, which it can be where one trained teacher teaches",
            ),
            (
                "kind = 'modality-graph'\nteachers = ['pool']",
                "`teachers` should be a list of 2 taps, one for each teacher, but is a list of 1",
            ),
            (
                "kind = 'modality-graph'\nteachers = ['pool', 'pool']",
                "no tap named `pool`",
            ),
            (
                "kind = 'modality-graph'\nprior_scores = [1]",
                "`prior_scores` should be a list of 2 scores",
            ),
            (
                "kind = 'logits-graph'\ncost = [[0, 1], [1, 0]]",
                "`cost` should be a matrix with a row for each of the 10 classes, but is a matrix \
                 of 2 rows",
            ),
        ] {
            let error = format!("{:#}", loss(text).err().unwrap());
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
