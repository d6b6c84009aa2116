use super::entries::{built, check_taps, in_loss};
use super::{JointLoss, Loss, LossContext, LossEntry, Losses};
use crate::naming::quoted;
use anyhow::{Context, Result, bail, ensure};
use burn_distill::core::{
    BuiltObjective, DenseGuidance, DynObjective, Objective, PerTeacher, Seed, TapSelection,
};
use toml::{Table, Value};

impl Losses {
    /// Builds the term that a `[[loss]]` table describes, for the teachers of several contexts.
    ///
    /// A loss of all teachers takes them at once. Any other loss is computed for each teacher, and
    /// averaged.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build`](Self::build), and an error if the loss is for one teacher
    /// only.
    pub fn build_joint(&self, table: &Table, contexts: &[LossContext]) -> Result<JointLoss> {
        let (loss, rest) = self.take_kind(table)?;
        if loss.joint {
            check_unclipped(loss, table)?;
            return joint(loss, rest, contexts).with_context(|| in_loss(loss));
        }
        let here = match contexts.len() {
            1 => "the teacher is a peer".to_string(),
            count => format!("there are {count} teachers"),
        };
        let losses = self.build_for_each(table, contexts, &here)?;
        let name = losses[0].name.clone();
        let objectives = losses.into_iter().map(|loss| loss.objective);
        Ok(JointLoss {
            name,
            objective: DynObjective::new(PerTeacher::new(objectives)),
        })
    }

    /// Builds the term that a `[[loss]]` table describes, for a student with several guides, some
    /// of which are left out in every step.
    ///
    /// The loss is computed for each guide that is kept, and added up. A loss of the targets counts
    /// once.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build_joint`](Self::build_joint), and an error if the loss takes all
    /// teachers at once.
    pub fn build_guided(
        &self,
        table: &Table,
        contexts: &[LossContext],
        dropped: usize,
        seed: Seed,
    ) -> Result<JointLoss> {
        if self.is_of_targets(table) {
            return self.build_joint(table, contexts);
        }
        let (loss, _) = self.take_kind(table)?;
        let kind = quoted(&loss.catalog);
        ensure!(
            !loss.joint,
            "the loss {kind} takes all teachers at once, so that it cannot be added up over those that \
             are not left out: use a loss between a student and one teacher, such as `soft-target` (KD)"
        );
        let here = "the guides are the teacher and its assistants";
        let losses = self.build_for_each(table, contexts, here)?;
        let name = losses[0].name.clone();
        let objectives = losses.into_iter().map(|loss| loss.objective);
        Ok(JointLoss {
            name,
            objective: DynObjective::new(DenseGuidance::new(objectives, dropped, seed.value())),
        })
    }

    /// Builds the term of a table, which is not of all teachers at once, for the teacher of each
    /// context. `here` says which teachers there are, for errors.
    pub(super) fn build_for_each(
        &self,
        table: &Table,
        contexts: &[LossContext],
        here: &str,
    ) -> Result<Vec<Loss>> {
        let (loss, _) = self.take_kind(table)?;
        check_unclipped(loss, table)?;
        let kind = quoted(&loss.catalog);
        let losses = contexts.iter().map(|context| self.build(table, context));
        let losses: Vec<_> = losses.collect::<Result<_>>()?;
        let plain = losses
            .iter()
            .all(|loss| loss.preparation.is_none() && loss.student.is_none());
        ensure!(
            plain,
            "the loss {kind} has a preparation before the training, or changes the student, which is \
             possible with one trained teacher only: here {here}"
        );
        // Several teachers are combined on the first view.
        ensure!(
            losses[0].objective.requirements().views == 1,
            "the loss {kind} is of several views, which is possible with one trained teacher only: leave \
             out `views`"
        );
        Ok(losses)
    }
}

/// Checks that a loss between a student and several teachers is not clipped.
fn check_unclipped(loss: &LossEntry, table: &Table) -> Result<()> {
    ensure!(
        matches!(table.get("clip"), None | Some(Value::Boolean(false))),
        "the loss {} is clipped, which is possible with one trained teacher only: leave out `clip`",
        quoted(&loss.catalog)
    );
    Ok(())
}

/// Builds a loss of all teachers at once.
fn joint(loss: &LossEntry, table: Table, contexts: &[LossContext]) -> Result<JointLoss> {
    let contexts: Vec<_> = contexts.to_vec();
    let (built, _) = built(loss, table, &contexts)?;
    let BuiltObjective::All(objective) = built.objective else {
        bail!("it is declared as a loss of all teachers, but was built for one");
    };
    let requirements = objective.requirements();
    check_taps(&requirements.student, &contexts[0].student_taps, "student")?;
    if let TapSelection::PerNetwork(networks) = &requirements.teacher {
        for (&index, selection) in networks {
            let Some(context) = contexts.get(index) else {
                bail!(
                    "the loss selects taps of the teacher with index {index}, but there are {} \
                     teachers, whose indices begin at 0",
                    contexts.len()
                );
            };
            let side = format!("teacher with index {index}");
            check_taps(selection, &context.teacher_taps, &side)?;
        }
    }
    Ok(JointLoss {
        name: built.name,
        objective,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::loss_context;
    use crate::network::for_digits;
    use burn::module::Module;
    use burn_distill::core::{BuiltLoss, Context as Step, Knowledge, Requirements, Terms};

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

    /// A loss of all teachers that selects a tap of one of them.
    #[derive(Module, Debug)]
    struct OfOne {
        #[module(skip)]
        index: usize,
        #[module(skip)]
        tap: String,
    }

    impl Objective<Knowledge, Vec<Knowledge>> for OfOne {
        fn requirements(&self) -> Requirements {
            Requirements {
                teacher: TapSelection::named([&self.tap]).of_network(self.index),
                ..Requirements::responses()
            }
        }

        fn forward(&self, _: &Step<'_, Knowledge, Vec<Knowledge>>) -> Terms {
            Terms::default()
        }
    }

    #[test]
    fn a_loss_of_all_teachers_selects_taps_of_known_teachers() {
        let error = |index: usize, tap: &'static str| {
            let entry = LossEntry::named("of-one", 1.0, move |_| {
                let tap = tap.to_string();
                Ok(BuiltLoss {
                    name: "of-one".into(),
                    objective: BuiltObjective::All(DynObjective::new(OfOne { index, tap })),
                    clipped_at: None,
                    preparation: None,
                    student: None,
                })
            });
            let mut losses = Losses::standard();
            losses.add(entry.for_all_teachers());
            let built = losses.build_joint(&"kind = 'of-one'".parse().unwrap(), &contexts());
            built.err().map(|error| format!("{error:#}"))
        };

        assert_eq!(error(1, "hidden.1"), None);
        let unknown = error(2, "pool").unwrap();
        let expected = "in the loss `of-one`: the loss selects taps of the teacher with index 2, but there \
                        are 2 teachers, whose indices begin at 0";
        assert_eq!(unknown, expected);
        let tap = error(1, "pool").unwrap();
        assert!(
            tap.contains("the tap `pool` of the teacher with index 1"),
            "{tap}"
        );
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
    fn losses_that_do_not_fit_are_refused() {
        for (text, message) in [
            (
                "kind = 'sim-kd'",
                "with one trained teacher only: here there are 2 teachers",
            ),
            (
                "kind = 'factor-transfer'",
                "with one trained teacher only: here there are 2 teachers",
            ),
            (
                "kind = 'kd'\nviews = 2",
                "of several views, which is possible with one trained teacher only",
            ),
            (
                "kind = 'kd'\nclip = true",
                "is clipped, which is possible with one trained teacher only",
            ),
            (
                "kind = 'modality-graph'\nclip = 0.5",
                "is clipped, which is possible with one trained teacher only",
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
