mod chosen;
mod deployed;
mod network;

pub use chosen::*;
pub use deployed::*;
pub use network::*;
