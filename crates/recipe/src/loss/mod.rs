mod built;
mod catch;
mod entries;
mod joint;
mod options;
mod pairing;
mod scene;
mod standard;
mod student;
mod table;
#[cfg(test)]
mod tests;

pub use built::{JointLoss, Loss, LossClip};
pub use burn_distill::core::{Configuration, DefaultTaps, NoOptions, Preparation};
pub use burn_distill::response::ResponseEntry;
pub use catch::catch;
pub use entries::{LossEntry, Losses};
pub use scene::Scene;
#[cfg(test)]
pub use standard::catalogue;
pub use student::student_of;
