//! Strategies that learn tasks one after another.

mod ewc;
mod fine_tuning;
mod icarl;
mod joint;
mod lwf;
mod plan;

use super::StrategyEntry;
pub use plan::{ExemplarKeys, pool, prepared};

/// Entries of these strategies.
pub const ENTRIES: [StrategyEntry; 5] = [
    fine_tuning::ENTRY,
    joint::ENTRY,
    lwf::ENTRY,
    ewc::ENTRY,
    icarl::ENTRY,
];
