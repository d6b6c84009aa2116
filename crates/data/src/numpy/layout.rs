use super::array::NumpyArray;
use crate::DataError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Order of the axes of an array of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageLayout {
    /// Samples, channels, height, width.
    Nchw,
    /// Samples, height, width, channels.
    Nhwc,
    /// Samples, height, width, of one channel.
    Nhw,
}

impl ImageLayout {
    /// Returns the shape of the images of an array, as channels, height, width, and the pixels: one
    /// image after another, each as planes of rows. The path is for messages.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if the array has another number of axes, or if its elements are
    /// not bytes.
    pub fn pixels(
        self,
        samples: &NumpyArray,
        path: &Path,
    ) -> Result<([usize; 3], Vec<u8>), DataError> {
        let (shape, axes) = match (self, samples.shape()) {
            (Self::Nchw, &[_, channels, height, width]) => {
                ([channels, height, width], [height * width, width, 1])
            }
            (Self::Nhwc, &[_, height, width, channels]) => {
                ([channels, height, width], [1, width * channels, channels])
            }
            (Self::Nhw, &[_, height, width]) => ([1, height, width], [0, width, 1]),
            (_, shape) => {
                return Err(DataError::Invalid(format!(
                    "{}: images of the layout `{}` have {} axes, but the array is of the shape \
                     {shape:?}",
                    path.display(),
                    match self {
                        Self::Nchw => "nchw",
                        Self::Nhwc => "nhwc",
                        Self::Nhw => "nhw",
                    },
                    if self == Self::Nhw { 3 } else { 4 }
                )));
            }
        };
        if !samples.is_byte() {
            return Err(DataError::Invalid(format!(
                "{}: images should be bytes from 0 to 255, of the type `uint8`: convert numbers \
                 from 0 to 1 by `(255 * x).round().astype('uint8')`",
                path.display()
            )));
        }
        let [channels, height, width] = shape;
        let size = channels * height * width;
        let mut pixels = Vec::with_capacity(samples.samples() * size);
        let mut image = Vec::with_capacity(size);
        for sample in 0..samples.samples() {
            image.clear();
            image.extend(
                samples
                    .integers(sample)
                    .map(|pixel| pixel.unwrap_or_default() as u8),
            );
            let place = |channel, row, column| channel * axes[0] + row * axes[1] + column * axes[2];
            for channel in 0..channels {
                for row in 0..height {
                    let columns = 0..width;
                    pixels.extend(columns.map(|column| image[place(channel, row, column)]));
                }
            }
        }
        Ok((shape, pixels))
    }
}
