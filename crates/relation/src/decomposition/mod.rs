//! The leading singular vectors of feature maps, computed where the maps are: no value is read back
//! to the host and no sample waits for another.

mod constant;
mod direction;
mod eigen;
mod eigenpairs;
mod jacobi;
mod singular;

pub(crate) use direction::*;
