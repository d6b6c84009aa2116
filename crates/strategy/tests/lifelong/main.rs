//! Tasks that are learned one after another. Golden values: `scripts/lifelong.py`.

#[path = "../common/mod.rs"]
mod common;
mod elastic;
mod fisher;
mod forgetting;
mod golden;
mod herding;
mod icarl;
mod sequence;
