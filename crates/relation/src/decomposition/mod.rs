//! The leading singular vectors of feature maps, computed on the device of the maps for a whole
//! batch at once, without reading values back to the host.

mod constant;
mod direction;
mod eigen;
mod eigenpairs;
mod jacobi;
mod singular;

pub(crate) use direction::*;
