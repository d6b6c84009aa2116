mod attention_fusion;
mod bottleneck;
mod channels;
mod expansion;
mod factor;
mod link_attention;
mod semantic_attention;
mod spatial;

pub use attention_fusion::*;
pub use bottleneck::*;
pub use channels::*;
pub use expansion::*;
pub use factor::*;
pub use link_attention::*;
pub use semantic_attention::*;
pub use spatial::*;
