use super::decode::decode;
use super::decoded::DecodedImage;
use crate::read::read_file;
use crate::resize::resize;
use crate::{CropBox, DataError};
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Longest side of a resized or cropped image.
const LONGEST: usize = 16_384;

/// Largest number of pixels of a resized image: by its shorter side, a very narrow image could
/// become very long.
const MOST_RESIZED: usize = 1 << 26;

/// Longest side of an image that is resized, before and after: that of the largest JPEG image.
const LONGEST_RESIZED: usize = 1 << 16;

/// Most pixels between the two steps of a resize: with the height of the image, and the width that
/// it is resized to.
const MOST_BETWEEN: usize = 1 << 27;

/// Deterministic steps from an image file to pixels: resize, center crop, number of channels.
///
/// The resize is bilinear (a triangle filter), with antialiasing if images become smaller, as in
/// Pillow and in torchvision's `Resize(antialias=True)`; the crop is torchvision's `CenterCrop`, and
/// gray is computed as in Pillow's mode `L`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Size that images are resized to. Default: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<ImageResize>,
    /// Height and width of the center crop. Default: no crop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[usize; 2]>,
    /// Number of channels: 1 or 3. Default: that of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
}

/// Size that images are resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "wanted a whole number from 1, or a list of height and width"
)]
pub enum ImageResize {
    /// Size of the shorter side; the longer one keeps the aspect ratio, rounded down.
    Shorter(usize),
    /// Height and width, regardless of the aspect ratio.
    Exact([usize; 2]),
}

impl Check for Preprocessing {
    fn check(&self) -> Result<(), ConfigError> {
        match self.resize {
            Some(ImageResize::Shorter(side)) => check::count_in("resize", side, 1..=LONGEST)?,
            Some(ImageResize::Exact(size)) => {
                for (index, side) in size.into_iter().enumerate() {
                    check::count_in(format_args!("resize.{index}"), side, 1..=LONGEST)?;
                }
            }
            None => {}
        }
        for (index, side) in self.crop.into_iter().flatten().enumerate() {
            let most = match self.resize {
                Some(ImageResize::Shorter(shorter)) => shorter,
                Some(ImageResize::Exact(size)) => size[index],
                None => LONGEST,
            };
            check::count_in(format_args!("crop.{index}"), side, 1..=most)?;
        }
        check::ensure(
            self.channels
                .is_none_or(|channels| [1, 3].contains(&channels)),
            "channels",
            "1 (gray) or 3 (color)",
            self.channels.unwrap_or_default(),
        )
    }
}

impl Preprocessing {
    /// Reads an image from a file.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Io`] if the file cannot be read, and [`DataError::Image`] if it is not
    /// an image, is damaged, or is smaller than the crop.
    pub fn read(&self, path: &Path) -> Result<DecodedImage, DataError> {
        let bytes = read_file(path).map_err(|source| DataError::io(path, source))?;
        let image = self.decode(&bytes).map_err(|reason| DataError::Image {
            path: path.to_path_buf(),
            reason,
        })?;
        let channels = self.channels.unwrap_or(image.shape[0]);
        Ok(image.with_channels(channels))
    }

    /// Decodes the contents of a file. Gray images stay gray even if three channels are set, since
    /// these would be equal.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<DecodedImage, String> {
        let image = decode(bytes)?;
        let image = match self.channels {
            Some(1) => image.into_gray(),
            _ => image,
        };
        self.cropped(self.resized(image)?)
    }

    fn resized(&self, image: DecodedImage) -> Result<DecodedImage, String> {
        let [channels, height, width] = image.shape;
        let size = match self.resize {
            None => return Ok(image),
            Some(ImageResize::Exact(size)) => size,
            Some(ImageResize::Shorter(side)) if height <= width => [side, side * width / height],
            Some(ImageResize::Shorter(side)) => [side * height / width, side],
        };
        if size == [height, width] {
            return Ok(image);
        }
        if size[0] * size[1] > MOST_RESIZED {
            return Err(format!(
                "resized, the image of {height} × {width} pixels (height × width) would have {} × \
                 {}, but at most {MOST_RESIZED} pixels are made: set `resize` to a height and a \
                 width",
                size[0], size[1]
            ));
        }
        let longest = [height, width, size[0], size[1]].into_iter().max();
        if longest > Some(LONGEST_RESIZED) || height * size[1] > MOST_BETWEEN {
            return Err(format!(
                "to resize the image of {height} × {width} pixels (height × width) to {} × {} takes \
                 too much memory: cut it into parts, or make it smaller",
                size[0], size[1]
            ));
        }
        let all = CropBox {
            top: 0,
            left: 0,
            height,
            width,
        };
        let planes = image.pixels.chunks_exact(height * width);
        Ok(DecodedImage {
            shape: [channels, size[0], size[1]],
            pixels: planes
                .flat_map(|plane| resize(plane, width, all, size))
                .collect(),
        })
    }

    fn cropped(&self, image: DecodedImage) -> Result<DecodedImage, String> {
        let [channels, height, width] = image.shape;
        let Some(size) = self.crop.filter(|size| *size != [height, width]) else {
            return Ok(image);
        };
        if size[0] > height || size[1] > width {
            return Err(format!(
                "the image of {height} × {width} pixels (height × width) is smaller than the \
                 `crop` of {} × {}: set `resize` as well",
                size[0], size[1]
            ));
        }
        let [top, left] = [middle(height, size[0]), middle(width, size[1])];
        let planes = image.pixels.chunks_exact(height * width);
        let rows = planes.flat_map(|plane| plane.chunks_exact(width).skip(top).take(size[0]));
        Ok(DecodedImage {
            shape: [channels, size[0], size[1]],
            pixels: rows
                .flat_map(|row| &row[left..left + size[1]])
                .copied()
                .collect(),
        })
    }
}

/// Returns the start of the middle, where half a pixel is rounded to an even number, as in Python.
fn middle(whole: usize, part: usize) -> usize {
    let (half, odd) = ((whole - part) / 2, (whole - part) % 2);
    half + odd * (half % 2)
}

#[cfg(test)]
mod tests;
