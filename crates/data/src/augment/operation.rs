use super::affine::Affine;
use super::{enhance, levels};

/// Operation of a [strong augmentation](crate::StrongAugmentation), with its strength.
///
/// The results equal those of the Python Imaging Library in every pixel: levels are in `0..=255`,
/// and pixels from outside the image are black.
///
/// ```
/// use burn_distill_data::Operation;
///
/// let mut image = [10, 200, 30, 40];
/// Operation::Solarize(128.0).apply(&mut image, [1, 2, 2], &[0]);
/// assert_eq!(image, [10, 55, 30, 40]);
///
/// Operation::TranslateX(1).apply(&mut image, [1, 2, 2], &[0]);
/// assert_eq!(image, [0, 10, 0, 30]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Leaves the image unchanged.
    Identity,
    /// Stretches the levels of each channel, so that its darkest is 0 and its brightest 255.
    AutoContrast,
    /// Equalizes the histogram of each channel.
    Equalize,
    /// Rotates about the center by this number of degrees, counterclockwise.
    Rotate(f64),
    /// Inverts the levels from this one on.
    Solarize(f64),
    /// Keeps this number of the highest of the eight bits of a level.
    Posterize(u32),
    /// Changes the saturation: `gray + factor (image − gray)`; 0 removes the colors. A gray image
    /// stays unchanged.
    Color(f64),
    /// Changes the contrast: `mean + factor (image − mean)`, with the mean of the gray image.
    Contrast(f64),
    /// Changes the brightness: `factor image`.
    Brightness(f64),
    /// Changes the sharpness: `smooth + factor (image − smooth)`; a factor below 1 blurs. Pixels at
    /// the edge stay unchanged.
    Sharpness(f64),
    /// Shears horizontally: row `y` shows the pixels that were `factor · y` to the right.
    ShearX(f64),
    /// Shears vertically: column `x` shows the pixels that were `factor · x` below.
    ShearY(f64),
    /// Moves the image to the right by this number of pixels.
    TranslateX(isize),
    /// Moves the image down by this number of pixels.
    TranslateY(isize),
    /// Covers a rectangle with the mean pixel.
    Cutout {
        /// First covered row, and the row after the last.
        rows: [usize; 2],
        /// First covered column, and the column after the last.
        columns: [usize; 2],
    },
}

impl Operation {
    /// Applies the operation to an image, stored as planes of rows.
    ///
    /// # Shapes
    ///
    /// - image: `[channels, height, width]`, one gray channel, or red, green and blue
    /// - mean: `[channels]`, the level of each channel in a cutout
    ///
    /// # Panics
    ///
    /// Panics if the image does not have this shape, if it has neither 1 nor 3 channels, or if the
    /// mean has another number of channels.
    pub fn apply(&self, image: &mut [u8], shape: [usize; 3], mean: &[u8]) {
        let [channels, height, width] = shape;
        assert!(
            channels == 1 || channels == 3,
            "The image should have 1 or 3 channels, but has {channels}."
        );
        assert_eq!(
            image.len(),
            channels * height * width,
            "The image should have {channels} · {height} · {width} bytes, but has {}.",
            image.len()
        );
        assert_eq!(
            mean.len(),
            channels,
            "The mean pixel should have {channels} channels, but has {}.",
            mean.len()
        );

        match *self {
            Self::Identity => (),
            Self::AutoContrast => levels::auto_contrast(image, height * width),
            Self::Equalize => levels::equalize(image, height * width),
            Self::Solarize(threshold) => levels::solarize(image, threshold),
            Self::Posterize(bits) => levels::posterize(image, bits),
            Self::Color(factor) => enhance::color(image, height * width, factor),
            Self::Contrast(factor) => enhance::contrast(image, height * width, factor),
            Self::Brightness(factor) => enhance::brightness(image, factor),
            Self::Sharpness(factor) => enhance::sharpness(image, [height, width], factor),
            Self::Rotate(degrees) => {
                Affine::rotation(degrees, [height, width]).apply(image, [height, width]);
            }
            Self::ShearX(slope) => {
                Affine([1.0, slope, 0.0, 0.0, 1.0, 0.0]).apply(image, [height, width]);
            }
            Self::ShearY(slope) => {
                Affine([1.0, 0.0, 0.0, slope, 1.0, 0.0]).apply(image, [height, width]);
            }
            Self::TranslateX(right) => {
                Affine([1.0, 0.0, -right as f64, 0.0, 1.0, 0.0]).apply(image, [height, width]);
            }
            Self::TranslateY(down) => {
                Affine([1.0, 0.0, 0.0, 0.0, 1.0, -down as f64]).apply(image, [height, width]);
            }
            Self::Cutout { rows, columns } => {
                let planes = image.chunks_exact_mut(height * width);
                for (plane, &level) in planes.zip(mean) {
                    for row in plane.chunks_exact_mut(width).take(rows[1]).skip(rows[0]) {
                        row[columns[0].min(width)..columns[1].min(width)].fill(level);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
