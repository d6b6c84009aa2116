mod built;
mod context;
mod entries;
mod joint;
mod of_teacher;
mod options;
mod pairing;
mod student;
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
use burn_distill::core::{CatalogEntry, CrossEntropyObjective};

pub use built::{JointLoss, Loss, LossClip};
pub use burn_distill::core::{Configuration, DefaultTaps, NoOptions, Preparation};
pub use burn_distill::response::ResponseEntry;
pub use context::{LossContext, loss_context, with_inputs};
#[cfg(test)]
pub use context::{example_context, example_context_of_heads, example_context_of_tokens};
pub use entries::{LossEntry, Losses};
pub use of_teacher::TeacherChoices;

pub use student::student_of;

/// Returns the losses of the toolkit.
#[cfg(test)]
pub fn catalog() -> impl Iterator<Item = &'static CatalogEntry> {
    [&CrossEntropyObjective::CATALOG]
        .into_iter()
        .chain(burn_distill::response::catalog())
        .chain(burn_distill::feature::catalog())
        .chain(burn_distill::relation::catalog())
}

#[cfg(test)]
impl Loss {
    /// Builds a loss of the toolkit.
    pub fn new(table: &toml::Table, context: &LossContext) -> anyhow::Result<Self> {
        Losses::standard().build(table, context)
    }
}
