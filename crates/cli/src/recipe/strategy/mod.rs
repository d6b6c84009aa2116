//! Strategies: who teaches the student, and what comes of it.

mod alone;
mod check;
mod options;
mod peers;
mod setting;
mod terms;
mod together;

pub use check::check;
pub use options::*;
pub use peers::Peers;
pub use setting::{Finish, Member, Outcome, Ready, Sees, Setting, figures_of_taught};
pub use terms::write_out;
pub use together::mean_of_networks;
