use super::Operation;
use crate::DataError;
use burn_distill_core::{KeyedRng, check};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Highest magnitude of RandAugment.
const MAX_MAGNITUDE: usize = 30;

/// Accepted numbers of operations; larger ones are surely a typing error.
const OPERATIONS: RangeInclusive<usize> = 1..=64;

/// Strong augmentation: random operations that make a view hard to recognize, after crop and flip.
///
/// Both policies draw from fourteen [operations](Operation) with equal probabilities and with
/// repetition:
///
/// | Operation | RandAugment, at magnitude `m` | FixMatch, drawn from |
/// | --- | --- | --- |
/// | identity, auto-contrast, equalize | | |
/// | rotate | ± `m` degrees | −30 to 30 degrees |
/// | shear-x, shear-y | ± `0.01 m` | −0.3 to 0.3 |
/// | translate-x, translate-y | ± `m / 30 · 150 / 331` of the size | −0.3 to 0.3 of the size |
/// | brightness, color, contrast, sharpness | `1 ± 0.03 m` | 0.05 to 0.95 |
/// | posterize | `8 − m / 7.5` bits, rounded | 4 to 7 bits |
/// | solarize | from `255 − 8.5 m` | from 0 to 256 |
///
/// ```
/// use burn_distill_data::{Augmentation, StrongAugmentation, ViewKey};
///
/// let strong = StrongAugmentation::RandAugment { operations: 2, magnitude: 9, cutout: None };
/// let augmentation = Augmentation { strong: Some(strong), ..Augmentation::default() };
/// let key = ViewKey { seed: 0, id: 42, epoch: 1, view: 0, repetition: 0 };
///
/// // The first view is weak, the others are strong.
/// assert!(augmentation.operations(key, [3, 32, 32]).is_empty());
/// let strong = augmentation.operations(ViewKey { view: 1, ..key }, [3, 32, 32]);
/// assert_eq!(strong.len(), 2);
/// ```
///
/// # Reference
///
/// - E. D. Cubuk, B. Zoph, J. Shlens and Q. V. Le, [RandAugment: Practical Automated Data
///   Augmentation with a Reduced Search Space](https://arxiv.org/abs/1909.13719), NeurIPS 2020.
///   Table and defaults are those of torchvision's `RandAugment`, with its 31 magnitudes, nearest
///   pixels and black outside the image. Strengths are in double precision here and in single
///   precision there.
/// - T. DeVries and G. W. Taylor, [Improved Regularization of Convolutional Neural Networks with
///   Cutout](https://arxiv.org/abs/1708.04552), 2017.
/// - K. Sohn et al., [FixMatch: Simplifying Semi-Supervised Learning with Consistency and
///   Confidence](https://arxiv.org/abs/2001.07685), NeurIPS 2020. Agrees with the loader of strong
///   views in the repository of Sun et al., CVPR 2024, except for the color of the covered square,
///   which is (125, 123, 114) there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StrongAugmentation {
    /// Operations of one magnitude, with random signs.
    RandAugment {
        /// Number of operations in a row, from 1 to 64. Default: 2.
        #[serde(default = "two")]
        operations: usize,
        /// Magnitude of the operations, at most 30. Default: 9.
        #[serde(default = "nine")]
        magnitude: usize,
        /// Side in pixels of a square around a random pixel that is covered last: at least 1, at
        /// most the longer side of the image. The paper of Cutout uses 16 on CIFAR-10 and 8 on
        /// CIFAR-100. Default: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cutout: Option<usize>,
    },
    /// Operations of random strengths; last, a square of up to half the width is covered.
    FixMatch {
        /// Number of operations in a row, from 1 to 64. Default: 2.
        #[serde(default = "two")]
        operations: usize,
    },
}

fn two() -> usize {
    2
}

fn nine() -> usize {
    9
}

/// Kind of operation that both policies draw from.
#[derive(Clone, Copy)]
enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    fn draw(rng: &mut KeyedRng) -> Self {
        Self::ALL[rng.below(Self::ALL.len() as u64) as usize]
    }

    /// Returns the operation at a magnitude of RandAugment; `sign` is 1 or −1.
    fn at_magnitude(self, magnitude: usize, sign: f64, [height, width]: [usize; 2]) -> Operation {
        let magnitude = magnitude as f64;
        let shear = sign * 0.01 * magnitude;
        let pixels = |size: usize| {
            let pixels = 150.0 / 331.0 * size as f64 * magnitude / MAX_MAGNITUDE as f64;
            (sign * pixels) as isize
        };
        let factor = 1.0 + sign * 0.03 * magnitude;
        match self {
            Self::Identity => Operation::Identity,
            Self::ShearX => Operation::ShearX(shear),
            Self::ShearY => Operation::ShearY(shear),
            Self::TranslateX => Operation::TranslateX(pixels(width)),
            Self::TranslateY => Operation::TranslateY(pixels(height)),
            Self::Rotate => Operation::Rotate(sign * magnitude),
            Self::Brightness => Operation::Brightness(factor),
            Self::Color => Operation::Color(factor),
            Self::Contrast => Operation::Contrast(factor),
            Self::Sharpness => Operation::Sharpness(factor),
            Self::Posterize => Operation::Posterize(8 - (magnitude / 7.5).round() as u32),
            Self::Solarize => Operation::Solarize(255.0 - 8.5 * magnitude),
            Self::AutoContrast => Operation::AutoContrast,
            Self::Equalize => Operation::Equalize,
        }
    }

    /// Returns the operation in the range of FixMatch, for a number from 0 to below 1.
    fn drawn(self, number: f64, [height, width]: [usize; 2]) -> Operation {
        let between = |low: f64, high: f64| low + (high - low) * number;
        let shear = between(-0.3, 0.3);
        let pixels = |size: usize| -(shear * size as f64 + 0.5).floor() as isize;
        let factor = between(0.05, 0.95);
        match self {
            Self::Identity => Operation::Identity,
            Self::ShearX => Operation::ShearX(shear),
            Self::ShearY => Operation::ShearY(shear),
            Self::TranslateX => Operation::TranslateX(pixels(width)),
            Self::TranslateY => Operation::TranslateY(pixels(height)),
            Self::Rotate => Operation::Rotate(between(-30.0, 30.0)),
            Self::Brightness => Operation::Brightness(factor),
            Self::Color => Operation::Color(factor),
            Self::Contrast => Operation::Contrast(factor),
            Self::Sharpness => Operation::Sharpness(factor),
            Self::Posterize => Operation::Posterize(between(4.0, 8.0) as u32),
            Self::Solarize => Operation::Solarize(between(0.0, 256.0)),
            Self::AutoContrast => Operation::AutoContrast,
            Self::Equalize => Operation::Equalize,
        }
    }
}

impl StrongAugmentation {
    /// Checks that images of this shape, `[channels, height, width]`, can be augmented.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Config`] with the first number out of its range, or
    /// [`DataError::Invalid`] if the images have neither 1 nor 3 channels.
    pub fn check(&self, [channels, height, width]: [usize; 3]) -> Result<(), DataError> {
        if channels != 1 && channels != 3 {
            return Err(DataError::Invalid(format!(
                "a strong augmentation needs images of 1 or 3 channels, but these have {channels}"
            )));
        }
        match *self {
            Self::RandAugment {
                operations,
                magnitude,
                cutout,
            } => {
                check::count_in("operations", operations, OPERATIONS)?;
                check::count_in("magnitude", magnitude, 0..=MAX_MAGNITUDE)?;
                if let Some(side) = cutout {
                    check::count_in("cutout", side, 1..=height.max(width))?;
                }
            }
            Self::FixMatch { operations } => {
                check::count_in("operations", operations, OPERATIONS)?;
            }
        }
        Ok(())
    }

    /// Draws the operations for an image of this height and width, in their order.
    pub(super) fn draw(&self, rng: &mut KeyedRng, size: [usize; 2]) -> Vec<Operation> {
        match *self {
            Self::RandAugment {
                operations,
                magnitude,
                cutout,
            } => {
                let mut draw = || {
                    let kind = Kind::draw(rng);
                    // Drawn in any case, so that no choice depends on the ones before.
                    let sign = if rng.coin() { -1.0 } else { 1.0 };
                    kind.at_magnitude(magnitude, sign, size)
                };
                let mut drawn: Vec<_> = (0..operations).map(|_| draw()).collect();
                drawn.extend(cutout.map(|side| square(rng, side, size)));
                drawn
            }
            Self::FixMatch { operations } => {
                let mut draw = || Kind::draw(rng).drawn(unit(rng), size);
                let mut drawn: Vec<_> = (0..operations).map(|_| draw()).collect();
                drawn.push(random_square(rng, size));
                drawn
            }
        }
    }
}

/// Draws a number from 0 to below 1.
fn unit(rng: &mut KeyedRng) -> f64 {
    const PARTS: u64 = 1 << f64::MANTISSA_DIGITS;
    rng.below(PARTS) as f64 / PARTS as f64
}

/// Draws a square of this side around a random pixel, clipped to the image.
fn square(rng: &mut KeyedRng, side: usize, size: [usize; 2]) -> Operation {
    let [rows, columns] = size.map(|size| {
        let center = rng.below(size as u64) as usize;
        let end = center.saturating_add(side - side / 2);
        [center.saturating_sub(side / 2), end.min(size)]
    });
    Operation::Cutout { rows, columns }
}

/// Draws a square of up to half the width around a random position. A square that would start
/// outside the image starts at its edge.
fn random_square(rng: &mut KeyedRng, [height, width]: [usize; 2]) -> Operation {
    let side = 0.5 * unit(rng) * width as f64;
    let [columns, rows] = [width, height].map(|size| {
        let size = size as f64;
        let start = (unit(rng) * size - side / 2.0).max(0.0).floor();
        // The last pixel is covered even if the square touches only a part of it.
        let end = (start + side).floor() + 1.0;
        [start as usize, end.min(size) as usize]
    });
    Operation::Cutout { rows, columns }
}

#[cfg(test)]
mod tests;
