#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod catalogue;
mod clip;
mod curriculum;
mod display;
mod evaluation;
mod last_clock;
mod metric;
mod mutual;
mod offline;
mod optimizer;
mod output;
mod schedule;
mod self_distillation;
mod training;
mod weights;

pub use catalogue::*;
pub use clip::ClippedTerms;
pub use curriculum::*;
pub use display::*;
pub use evaluation::*;
pub use metric::*;
pub use mutual::*;
pub use offline::*;
pub use optimizer::*;
pub use output::*;
pub use schedule::*;
pub use self_distillation::*;
pub use training::*;
pub use weights::*;
