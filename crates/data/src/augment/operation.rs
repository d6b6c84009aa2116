use super::affine::Affine;
use super::{enhance, levels};

/// An operation of a [strong augmentation](crate::StrongAugmentation), with its strength.
///
/// Each is what the Python Imaging Library computes, to the pixel: a level is of `0..=255`, and what
/// comes from outside the image is black.
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
    /// Nothing.
    Identity,
    /// Spread the levels of each channel, so that its darkest is 0 and its brightest 255.
    AutoContrast,
    /// Spread the levels of each channel, so that each range of them is as frequent.
    Equalize,
    /// Turn about the center by so many degrees, against the clock.
    Rotate(f64),
    /// Invert the levels from this one on.
    Solarize(f64),
    /// Keep so many of the eight bits of a level, the highest.
    Posterize(u32),
    /// `gray + factor (image − gray)`: 0 takes the colors away. A gray image stays as it is.
    Color(f64),
    /// `mean + factor (image − mean)`, where the mean is that of the gray image.
    Contrast(f64),
    /// `factor image`.
    Brightness(f64),
    /// `smooth + factor (image − smooth)`: below 1 blurs. The pixels at the edge stay as they are.
    Sharpness(f64),
    /// Row `y` shows what was so many times `y` to the right.
    ShearX(f64),
    /// Column `x` shows what was so many times `x` below.
    ShearY(f64),
    /// Move to the right by so many pixels.
    TranslateX(isize),
    /// Move down by so many pixels.
    TranslateY(isize),
    /// Cover a rectangle with the mean pixel: from the first row and column to before the last.
    Cutout {
        /// The first row, and the first that is not covered.
        rows: [usize; 2],
        /// The first column, and the first that is not covered.
        columns: [usize; 2],
    },
}

impl Operation {
    /// Change an image of planes of rows.
    ///
    /// # Shapes
    ///
    /// - image: `[channels, height, width]`, one channel of gray or red, green and blue
    /// - mean: `[channels]`, the level of each that covers
    ///
    /// # Panics
    ///
    /// Panics if the image is not of this shape, or has neither 1 nor 3 channels, or if the mean is
    /// not of as many.
    pub fn apply(&self, image: &mut [u8], shape: [usize; 3], mean: &[u8]) {
        let [channels, height, width] = shape;
        assert!(
            channels == 1 || channels == 3,
            "The image should have 1 or 3 channels, but has {channels}."
        );
        assert_eq!(
            image.len(),
            channels * height * width,
            "The image should be of its shape."
        );
        assert_eq!(
            mean.len(),
            channels,
            "The mean pixel should have as many channels as the image."
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
