mod base;
mod convnet;
mod resnet;

pub use base::*;
pub use convnet::*;
pub use resnet::*;
