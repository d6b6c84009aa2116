//! The networks, losses, strategies and data sets that recipes can name.

mod base;
mod dataset;
mod network;
mod networks;
mod text_networks;
mod viewed;

pub use base::Registry;
pub(crate) use dataset::own_dataset;
pub use dataset::{DatasetSource, DatasetSpec};
pub use network::{Architecture, NetworkFamily, Task};
pub use networks::Networks;
