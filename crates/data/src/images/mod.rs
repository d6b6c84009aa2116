//! Folders of images, decoded while batches are prepared.

mod config;
mod dataset;
mod decode;
mod decoded;
mod files;
#[cfg(feature = "images")]
mod jpeg;
mod load;
#[cfg(feature = "images")]
mod png;
mod preprocessing;
mod progress;
mod scan;
#[cfg(feature = "images")]
mod webp;

pub use config::{BrokenImages, ImageFolderConfig};
pub use dataset::ImageFolder;
pub use decoded::DecodedImage;
pub use preprocessing::{ImageResize, Preprocessing};
