use super::options::{Clip, take_options};
use super::table::{TomlTable, placed};
use super::{Loss, LossContext};
use crate::fault::Fault;
use crate::input::AnyInput;
use crate::naming::{assert_names, quoted};
use anyhow::{Context, Result, bail};
use burn_distill::core::{
    BuiltLoss, BuiltObjective, CatalogEntry, CrossEntropyObjective, DynObjective, Objective,
    SingleTeacher, TapSelection, Taps, known_taps, nearest,
};
use std::slice;
use toml::{Table, Value};

/// A loss that recipes can name.
///
/// ```
/// use burn_distill::response::SoftTargetLossConfig;
/// use burn_distill_recipe::{LossEntry, Registry, ResponseEntry};
///
/// let default = SoftTargetLossConfig::new().with_temperature(20.0);
/// let hot = LossEntry::logits("hot", default, |config| config.init());
///
/// let registry = Registry::standard().with_loss(hot);
/// assert!(registry.losses().get("hot").is_some());
/// ```
pub type LossEntry = burn_distill::core::LossEntry<AnyInput>;

/// The losses that recipes can name.
#[derive(Clone)]
pub struct Losses(Vec<LossEntry>);

impl Losses {
    /// Returns the losses of the toolkit.
    pub fn standard() -> Self {
        let mut all = vec![CrossEntropyObjective::entry()];
        all.extend(burn_distill::response::losses());
        all.extend(burn_distill::feature::losses());
        all.extend(burn_distill::relation::losses());
        Self(all)
    }

    /// Adds a loss.
    ///
    /// # Panics
    ///
    /// Panics if its name or an alias is empty, repeated, or taken by another loss.
    pub fn add(&mut self, loss: LossEntry) {
        assert_names("loss", "losses", &loss.catalog, |name| {
            self.get(name).is_some()
        });
        self.0.push(loss);
    }

    /// Returns the loss of a name or an alias.
    pub fn get(&self, name: &str) -> Option<&LossEntry> {
        self.0.iter().find(|loss| loss.catalog.has_name(name))
    }

    /// Returns the entries, for a list.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.0.iter().map(|loss| &loss.catalog)
    }

    /// Builds the term that a `[[loss]]` table describes: its kind, its name and weight, and the
    /// fields of the configuration of that kind. Its parameters are sized for the two networks.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such loss, if a field or a value is wrong, or if the loss
    /// does not fit these networks.
    pub fn build(&self, table: &Table, context: &LossContext) -> Result<Loss> {
        let (loss, table) = self.take_kind(table)?;
        let built = || -> Result<Loss> {
            let (built, clip) = built(loss, table, slice::from_ref(context))?;
            let objective = match built.objective {
                BuiltObjective::One(objective) => objective,
                BuiltObjective::All(objective) => DynObjective::new(SingleTeacher::new(objective)),
            };
            check_name(loss, &built.name)?;
            let requirements = objective.requirements();
            let student = match &built.student {
                Some(student) => &known_taps(student),
                None => &context.student_taps,
            };
            check_taps(&requirements.student, student, "student")?;
            check_taps(&requirements.teacher, &context.teacher_taps, "teacher")?;
            Ok(Loss {
                name: built.name,
                objective,
                clip: clip.of(built.clipped_at),
                preparation: built.preparation,
                student: built.student,
            })
        };
        built().with_context(|| in_loss(loss))
    }

    /// Checks that the loss of a table compares class logits, or features.
    ///
    /// # Errors
    ///
    /// Returns an error if the loss is for another kind of response.
    pub fn check_response(&self, table: &Table) -> Result<()> {
        // An unknown kind is refused with its place where the loss is built.
        let Ok((loss, _)) = self.take_kind(table) else {
            return Ok(());
        };
        match loss.responses {
            Some(responses) => bail!(
                "the loss {} compares {responses}, and the networks of recipes return class logits: \
                 use this loss from a program, with a network that returns {responses}",
                quoted(&loss.catalog)
            ),
            None => Ok(()),
        }
    }

    /// Checks that the loss of a table needs no labels.
    ///
    /// # Errors
    ///
    /// Returns an error if the loss is computed from them.
    pub fn check_without_labels(&self, table: &Table) -> Result<()> {
        // An unknown kind is refused with its place where the loss is built.
        match self.take_kind(table) {
            Ok((loss, _)) if loss.labels => bail!(
                "the loss {} needs labels, but the data has none (`data.labels` is false): leave it \
                 out, and use losses that compare the student with the teacher, such as \
                 `soft-target` (KD)",
                quoted(&loss.catalog)
            ),
            _ => Ok(()),
        }
    }

    /// Returns whether the loss of a table needs labels; not so for an unknown kind, which is
    /// refused where the loss is built.
    pub fn needs_labels(&self, table: &Table) -> bool {
        let loss = self.take_kind(table);
        loss.is_ok_and(|(loss, _)| loss.labels)
    }

    /// Returns whether the loss of a table is computed from the student and the targets, without a
    /// teacher.
    pub fn is_of_targets(&self, table: &Table) -> bool {
        let loss = self.take_kind(table);
        loss.is_ok_and(|(loss, _)| loss.catalog.kind == CrossEntropyObjective::CATALOG.kind)
    }

    /// Returns whether the loss of a table is on features or relations, without labels.
    pub fn is_of_features(&self, table: &Table) -> bool {
        let loss = self.take_kind(table);
        loss.is_ok_and(|(loss, _)| {
            ["feature", "relation"].contains(&loss.catalog.kind) && !loss.labels
        })
    }

    /// Returns whether the kind of a table is the loss of this name.
    pub fn is_named(&self, table: &Table, name: &str) -> bool {
        let loss = self.take_kind(table);
        loss.is_ok_and(|(loss, _)| loss.catalog.name == name)
    }

    /// Returns the loss that a table names, and the rest of the table.
    pub(super) fn take_kind(&self, table: &Table) -> Result<(&LossEntry, Table)> {
        let mut table = table.clone();
        let one_of = || {
            let kinds: Vec<_> = self.entries().map(|loss| loss.name).collect();
            format!("one of {}", kinds.join(", "))
        };
        let kind = match table.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(Fault::value("kind", one_of(), &other).into()),
            None => return Err(Fault::missing("kind", Some(one_of())).into()),
        };
        match self.get(&kind) {
            Some(loss) => Ok((loss, table)),
            None => {
                let names = self.entries();
                let names = names.flat_map(|loss| [&[loss.name], loss.aliases].concat());
                let hint = nearest(&kind, names).map(|name| format!(", did you mean `{name}`?"));
                let text = format!(
                    "there is no loss `{kind}`{}; the known ones are {}",
                    hint.unwrap_or_default(),
                    one_of().trim_start_matches("one of ")
                );
                Err(Fault::other("kind", text).into())
            }
        }
    }
}

/// Returns the place of an error in a loss: "in the loss `decoupled` (DKD)".
pub(super) fn in_loss(loss: &LossEntry) -> String {
    format!("in the loss {}", quoted(&loss.catalog))
}

/// Builds the loss of a table, and returns the option for the clipping of its gradient.
pub(super) fn built(
    entry: &LossEntry,
    mut table: Table,
    contexts: &[LossContext],
) -> Result<(BuiltLoss<AnyInput>, Clip)> {
    let (options, clip) = take_options(&mut table)?;
    let built = entry.build(options, Box::new(TomlTable(table)), contexts);
    Ok((built.map_err(placed)?, clip))
}

/// Names that a run has for other metrics than terms of the loss.
const TAKEN: [&str; 5] = ["accuracy", "discriminator", "ensemble", "generator", "loss"];

/// Checks that a term does not have the name of another metric of a run.
fn check_name(entry: &LossEntry, name: &str) -> Result<(), Fault> {
    let of_labels =
        name == CrossEntropyObjective::TERM && entry.catalog.name != CrossEntropyObjective::TERM;
    match of_labels || TAKEN.contains(&name) {
        true => Err(Fault::other(
            "name",
            format!("`{name}` is the name of another metric of a run: give the term another name"),
        )),
        false => Ok(()),
    }
}

/// Checks that a network has the taps that a loss selects.
pub(super) fn check_taps(selection: &TapSelection, taps: &Taps, side: &str) -> Result<()> {
    match selection {
        TapSelection::Named(names) => names.iter().try_for_each(|name| {
            let tap = taps.get(name).map(drop);
            tap.with_context(|| format!("the loss takes the tap `{name}` of the {side}"))
        }),
        TapSelection::PerNetwork(_) => bail!(
            "the loss selects taps by the index of a network, but the {side} is one network: declare it \
             as a loss of all teachers (`of_all_teachers`)"
        ),
        TapSelection::None | TapSelection::All => Ok(()),
    }
}
