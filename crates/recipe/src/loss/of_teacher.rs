//! The key `of_teacher`: a loss for one of several teachers.

use super::options::OF_TEACHER as KEY;
use super::{JointLoss, LossContext, Losses};
use crate::fault::Fault;
use crate::naming::quoted;
use anyhow::Result;
use burn_distill::core::{DynObjective, OfTeacher, RandomTeacher, Seed};
use toml::{Table, Value};

/// Teachers of a loss: their names, and the seed of the choice between them.
#[derive(Clone, Copy, Debug)]
pub struct TeacherChoices<'a> {
    /// Name of each teacher in the recipe.
    pub names: &'a [String],
    /// Seed from which the random choices of the losses are derived.
    pub seed: Seed,
}

/// Teacher that the key names.
enum Choice {
    /// The teacher of an index.
    Index(usize),
    /// Another teacher in each batch.
    Random,
}

impl Losses {
    /// Builds the term that a `[[loss]]` table describes, for all teachers of several contexts, or
    /// for the one that its key `of_teacher` chooses.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build_joint`](Self::build_joint), and an error if there is no such
    /// teacher or if the loss is not of one teacher.
    pub fn build_of_several(
        &self,
        table: &Table,
        contexts: &[LossContext],
        teachers: TeacherChoices<'_>,
    ) -> Result<JointLoss> {
        let mut table = table.clone();
        let Some(value) = table.remove(KEY) else {
            return self.build_joint(&table, contexts);
        };
        let choice = chosen(&value, teachers.names)?;
        let (loss, _) = self.take_kind(&table)?;
        let kind = quoted(&loss.catalog);
        if loss.joint || self.is_of_targets(&table) {
            let text = match loss.joint {
                true => format!("the loss {kind} takes all teachers at once: leave out the key"),
                false => format!("the loss {kind} uses no teacher: leave out the key"),
            };
            return Err(Fault::other(KEY, text).into());
        }
        let (contexts, index) = match choice {
            Choice::Index(index) => (&contexts[index..=index], Some(index)),
            Choice::Random => (contexts, None),
        };
        let found = format!("there are {} teachers", teachers.names.len());
        let mut losses = self.build_for_each(&table, contexts, &found)?;
        let name = losses[0].name.clone();
        let objective = match index {
            Some(index) => {
                let objective = losses.swap_remove(0).objective;
                DynObjective::new(OfTeacher::new(objective, index))
            }
            None => {
                let objectives = losses.into_iter().map(|loss| loss.objective);
                DynObjective::new(RandomTeacher::new(objectives, teachers.seed.value()))
            }
        };
        Ok(JointLoss { name, objective })
    }
}

/// Returns the choice of a value.
fn chosen(value: &Value, names: &[String]) -> Result<Choice, Fault> {
    let refused = || {
        let expected = format!(
            "a number from 0 to {} (there are {} teachers), the name of one of them ({}), or \"random\"",
            names.len() - 1,
            names.len(),
            names.join(", ")
        );
        Fault::value(KEY, expected, value)
    };
    match value {
        Value::Integer(index) => match usize::try_from(*index) {
            Ok(index) if index < names.len() => Ok(Choice::Index(index)),
            _ => Err(refused()),
        },
        Value::String(name) if name == "random" => Ok(Choice::Random),
        Value::String(name) => {
            // The options of a network are in parentheses after its name.
            let is_named = |shown: &str| shown == name || shown.split(" (").next() == Some(name);
            let mut indices = (0..names.len()).filter(|&index| is_named(&names[index]));
            match (indices.next(), indices.next()) {
                (Some(index), None) => Ok(Choice::Index(index)),
                (Some(first), Some(second)) => Err(Fault::other(
                    KEY,
                    format!(
                        "the teachers {first} and {second} are both `{name}`: give the number of one \
                         of them, counted from 0"
                    ),
                )),
                (None, _) => Err(refused()),
            }
        }
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::loss_context;
    use crate::network::for_digits;
    use burn_distill::core::{Objective, TapSelection};

    fn built(text: &str, teachers: &[&str]) -> Result<JointLoss> {
        let contexts = teachers.iter().map(|teacher| {
            loss_context(
                for_digits("convnet-4-8"),
                for_digits(teacher),
                4,
                Vec::new(),
            )
        });
        let contexts: Vec<_> = contexts.collect();
        let names: Vec<_> = teachers.iter().map(|name| name.to_string()).collect();
        let teachers = TeacherChoices {
            names: &names,
            seed: Seed::new(3),
        };
        Losses::standard().build_of_several(&text.parse().unwrap(), &contexts, teachers)
    }

    const TEACHERS: [&str; 3] = ["convnet-8-16", "mlp-12", "mlp-12-8"];

    #[test]
    fn a_loss_is_of_the_teacher_with_the_index_or_the_name() {
        for text in ["of_teacher = 1", "of_teacher = 'mlp-12'"] {
            let text = format!("kind = 'relational-distance'\nteacher = 'hidden.1'\n{text}");
            let loss = built(&text, &TEACHERS).unwrap();
            let teacher = loss.objective.requirements().teacher;
            assert_eq!(loss.name, "relational-distance");
            assert_eq!(teacher.for_network(0), TapSelection::None);
            assert_eq!(teacher.for_network(1), TapSelection::named(["hidden.1"]));
        }
        // Without the key, every teacher would need the tap.
        assert!(
            built(
                "kind = 'relational-distance'\nteacher = 'hidden.1'",
                &TEACHERS
            )
            .is_err()
        );
    }

    #[test]
    fn a_random_teacher_needs_the_taps_of_all() {
        let loss = built(
            "kind = 'relational-distance'\nof_teacher = 'random'",
            &TEACHERS,
        );
        let teacher = loss.unwrap().objective.requirements().teacher;
        let taps = ["pool", "hidden.1", "hidden.2"];
        for (index, tap) in taps.into_iter().enumerate() {
            assert_eq!(teacher.for_network(index), TapSelection::named([tap]));
        }
    }

    #[test]
    fn a_loss_of_the_key_without_a_teacher_is_refused() {
        for (text, message) in [
            (
                "kind = 'kd'\nof_teacher = 3",
                "`of_teacher` should be a number from 0 to 2 (there are 3 teachers), the name of one of \
                 them (convnet-8-16, mlp-12, mlp-12-8), or \"random\", but is 3",
            ),
            ("kind = 'kd'\nof_teacher = -1", "but is -1"),
            (
                "kind = 'kd'\nof_teacher = 'resnet8'",
                "or \"random\", but is the text \"resnet8\"",
            ),
            ("kind = 'kd'\nof_teacher = true", "but is true"),
            (
                "kind = 'averaged-teachers'\nof_teacher = 0",
                "`of_teacher`: the loss `averaged-teachers` takes all teachers at once",
            ),
            (
                "kind = 'cross-entropy'\nof_teacher = 0",
                "uses no teacher: leave out the key",
            ),
            (
                "kind = 'sim-kd'\nof_teacher = 0",
                "which is possible with one trained teacher only: here there are 3 teachers",
            ),
            (
                "kind = 'kd'\nof_teacher = 0\nclip = 0.5",
                "is clipped, which is possible with one trained teacher only",
            ),
            (
                "kind = 'kd'\nof_teacher = 0\nviews = 2",
                "is of several views",
            ),
        ] {
            let error = format!("{:#}", built(text, &TEACHERS).err().unwrap());
            assert!(error.contains(message), "{text}: {error}");
        }
        let twins = ["mlp-12", "mlp-12"];
        let error = built("kind = 'kd'\nof_teacher = 'mlp-12'", &twins);
        let error = format!("{:#}", error.err().unwrap());
        assert!(
            error.contains("the teachers 0 and 1 are both `mlp-12`: give the number"),
            "{error}"
        );
    }

    #[test]
    fn the_only_teacher_is_not_chosen() {
        let table = "kind = 'kd'\nof_teacher = 0".parse().unwrap();
        let context = crate::loss::example_context();
        for error in [
            Losses::standard().build(&table, &context).err(),
            Losses::standard().build_joint(&table, &[context]).err(),
        ] {
            let error = format!("{:#}", error.unwrap());
            assert!(
                error.contains("`of_teacher`: it chooses one of several trained teachers"),
                "{error}"
            );
        }
    }
}
