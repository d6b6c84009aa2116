mod affine;
mod crop_box;
mod enhance;
mod levels;
mod multi_crop;
mod operation;
mod strong;

pub use crop_box::*;
pub use multi_crop::*;
pub use operation::*;
pub use strong::*;

use crate::DataError;
use crate::rng::{Purpose, repeated_word, rng};
use burn_distill_core::check;
use serde::{Deserialize, Serialize};

/// Random augmentation of an image, before it is normalized.
///
/// | Field | Default | Purpose | Range |
/// | --- | --- | --- | --- |
/// | `crop` | none | pad by this number of zero pixels, then crop back to the size at random | at most the image's height and width |
/// | `flip` | false | mirror left to right with probability ½ | |
/// | `strong` | none | [strong augmentation](StrongAugmentation) of every view but the first | 1 or 3 channels |
///
/// The padding is black, because it is applied before the normalization.
///
/// ```
/// use burn_distill_data::{Augmentation, ViewKey};
///
/// let cifar = Augmentation { crop: Some(4), flip: true, ..Augmentation::default() };
/// let key = ViewKey { seed: 0, id: 42, epoch: 1, view: 0, repetition: 0 };
///
/// // The same key always gives the same view, in any order.
/// assert_eq!(cifar.transform(key), cifar.transform(key));
/// assert_ne!(cifar.transform(key), cifar.transform(ViewKey { epoch: 2, ..key }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Padding on each side, in pixels, of a random crop.
    pub crop: Option<usize>,
    /// Whether to mirror left to right with probability ½.
    pub flip: bool,
    /// Strong augmentation of every view but the first, which stays weak.
    pub strong: Option<StrongAugmentation>,
}

/// Key of the random choices of an augmentation; nothing else influences them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// Seed of the run.
    pub seed: u64,
    /// Id of the sample.
    pub id: usize,
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// View, counted from 0.
    pub view: usize,
    /// Number of earlier occurrences of the same id in the data set: 0 if every id occurs once.
    pub repetition: usize,
}

impl ViewKey {
    /// Returns the words of a key for random numbers, beside the purpose and the view.
    ///
    /// The repetition is in the upper half of the epoch's word, so that it changes nothing if every
    /// id occurs once.
    fn words(self) -> [u64; 3] {
        [
            self.seed,
            self.id as u64,
            repeated_word(self.epoch, self.repetition),
        ]
    }
}

/// Random choices of a crop and a flip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transform {
    /// Shift of the image down and to the right, in pixels; pixels that leave the image are lost.
    pub shift: [isize; 2],
    /// Whether the image is mirrored left to right after the shift.
    pub flip: bool,
}

impl Augmentation {
    /// Checks that images of this shape, `[channels, height, width]`, can be augmented.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Config`] if the padding of the crop is larger than the image, or the
    /// error of the [strong augmentation](StrongAugmentation::check), with keys relative to the
    /// table of this augmentation.
    pub fn check(&self, shape: [usize; 3]) -> Result<(), DataError> {
        let [_, height, width] = shape;
        if let Some(padding) = self.crop {
            // With a larger padding, a crop could miss the image.
            check::count_in("crop", padding, 0..=height.min(width))?;
        }
        let Some(strong) = self.strong else {
            return Ok(());
        };
        strong.check(shape).map_err(|error| match error {
            DataError::Config(error) => error.under("strong").into(),
            error => error,
        })
    }

    /// Returns the crop and the flip of a view.
    pub fn transform(&self, key: ViewKey) -> Transform {
        let mut rng = rng(Purpose::View, key.words(), key.view as u32);
        // Drawn in any case, so that the choices are independent of the settings.
        let flip = rng.coin();
        let padding = self.crop.unwrap_or(0) as isize;
        let mut shift = || padding - rng.below(2 * padding as u64 + 1) as isize;
        Transform {
            shift: [shift(), shift()],
            flip: flip && self.flip,
        }
    }

    /// Returns the strong operations for a view of an image with shape `[channels, height, width]`:
    /// none for the first view.
    ///
    /// They use other random numbers than crop and flip, and do not depend on them.
    pub fn operations(&self, key: ViewKey, [_, height, width]: [usize; 3]) -> Vec<Operation> {
        match self.strong {
            Some(strong) if key.view > 0 => {
                let mut rng = rng(Purpose::Strong, key.words(), key.view as u32);
                strong.draw(&mut rng, [height, width])
            }
            _ => Vec::new(),
        }
    }
}

impl Transform {
    /// Transforms an image, stored as planes of rows.
    ///
    /// # Panics
    ///
    /// Panics if `image` or `output` is not of this shape, `[channels, height, width]`.
    pub fn apply(&self, image: &[u8], [channels, height, width]: [usize; 3], output: &mut [u8]) {
        assert_eq!(
            image.len(),
            channels * height * width,
            "The image should have {channels} · {height} · {width} bytes, but has {}.",
            image.len()
        );
        assert_eq!(
            output.len(),
            image.len(),
            "The output should be as large as the image, {} bytes, but has {}.",
            image.len(),
            output.len()
        );

        let [down, right] = self.shift;
        // The columns that stay within the image, with their source and destination.
        let shift = right.unsigned_abs().min(width);
        let kept = width - shift;
        let (from, to) = if right < 0 { (shift, 0) } else { (0, shift) };

        output.fill(0);
        let planes = image.chunks_exact(height * width);
        for (image, output) in planes.zip(output.chunks_exact_mut(height * width)) {
            for (y, row) in output.chunks_exact_mut(width).enumerate() {
                let source = y
                    .checked_add_signed(-down)
                    .filter(|&source| source < height);
                if let Some(source) = source {
                    let start = source * width + from;
                    row[to..to + kept].copy_from_slice(&image[start..start + kept]);
                }
                if self.flip {
                    row.reverse();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const KEY: ViewKey = ViewKey {
        seed: 3,
        id: 14,
        epoch: 15,
        view: 0,
        repetition: 0,
    };
    const CIFAR: Augmentation = Augmentation {
        crop: Some(4),
        flip: true,
        strong: None,
    };

    fn transformed(shift: [isize; 2], flip: bool) -> Vec<u8> {
        let mut output = vec![99; 6];
        Transform { shift, flip }.apply(&[1, 2, 3, 4, 5, 6], [1, 2, 3], &mut output);
        output
    }

    #[test]
    fn pixels_are_shifted_and_zeros_fill_in() {
        assert_eq!(transformed([0, 0], false), [1, 2, 3, 4, 5, 6]);
        assert_eq!(transformed([1, 0], false), [0, 0, 0, 1, 2, 3]);
        assert_eq!(transformed([-1, 0], false), [4, 5, 6, 0, 0, 0]);
        assert_eq!(transformed([0, 1], false), [0, 1, 2, 0, 4, 5]);
        assert_eq!(transformed([0, -2], false), [3, 0, 0, 6, 0, 0]);
        assert_eq!(transformed([-1, 1], false), [0, 4, 5, 0, 0, 0]);
        assert_eq!(transformed([2, -7], false), [0; 6]);
    }

    #[test]
    fn the_flip_comes_after_the_shift() {
        assert_eq!(transformed([0, 0], true), [3, 2, 1, 6, 5, 4]);
        assert_eq!(transformed([0, 1], true), [2, 1, 0, 5, 4, 0]);
    }

    #[test]
    fn every_channel_is_shifted_alike() {
        let mut output = [0; 4];
        let transform = Transform {
            shift: [0, 1],
            flip: false,
        };
        transform.apply(&[1, 2, 3, 4], [2, 1, 2], &mut output);

        assert_eq!(output, [0, 1, 0, 3]);
    }

    #[test]
    fn a_key_always_gives_the_same_view() {
        // From an independent ChaCha8 in Python.
        let expected = Transform {
            shift: [-3, 3],
            flip: false,
        };

        assert_eq!(CIFAR.transform(KEY), expected);
    }

    #[test]
    fn every_part_of_the_key_changes_the_view() {
        let views = |key: fn(usize) -> ViewKey| -> BTreeSet<_> {
            (0..20)
                .map(|n| CIFAR.transform(key(n)))
                .map(|t| (t.shift, t.flip))
                .collect()
        };

        assert!(
            views(|n| ViewKey {
                seed: n as u64,
                ..KEY
            })
            .len()
                > 10
        );
        assert!(views(|n| ViewKey { id: n, ..KEY }).len() > 10);
        assert!(views(|n| ViewKey { epoch: n, ..KEY }).len() > 10);
        assert!(views(|n| ViewKey { view: n, ..KEY }).len() > 10);
        assert!(
            views(|n| ViewKey {
                repetition: n,
                ..KEY
            })
            .len()
                > 10
        );
    }

    #[test]
    fn every_shift_of_the_padding_occurs_and_half_are_flipped() {
        let views: Vec<_> = (0..2000)
            .map(|id| CIFAR.transform(ViewKey { id, ..KEY }))
            .collect();

        for axis in 0..2 {
            let shifts: BTreeSet<_> = views.iter().map(|view| view.shift[axis]).collect();
            assert_eq!(shifts, (-4..=4).collect());
        }
        let flipped = views.iter().filter(|view| view.flip).count();
        assert!((900..1100).contains(&flipped), "{flipped}");
    }

    #[test]
    fn no_augmentation_changes_nothing() {
        assert_eq!(Augmentation::default().transform(KEY), Transform::default());
    }

    #[test]
    fn crop_and_flip_do_not_depend_on_each_other() {
        let flip = Augmentation {
            crop: None,
            ..CIFAR
        };

        let crop = Augmentation {
            flip: false,
            ..CIFAR
        };

        for id in 0..50 {
            let key = ViewKey { id, ..KEY };
            assert_eq!(flip.transform(key).flip, CIFAR.transform(key).flip);
            assert_eq!(crop.transform(key).shift, CIFAR.transform(key).shift);
        }
    }

    #[test]
    fn a_crop_beyond_the_image_is_refused() {
        assert!(CIFAR.check([3, 4, 4]).is_ok());
        assert_eq!(
            CIFAR.check([1, 8, 3]).unwrap_err().to_string(),
            "`crop` should be from 0 to 3, but is 4"
        );
    }

    #[test]
    fn tables_are_read_with_defaults_and_without_unknown_fields() {
        let read = serde_json::from_str::<Augmentation>;

        assert_eq!(read("{}").unwrap(), Augmentation::default());
        assert_eq!(read(r#"{"crop":4,"flip":true}"#).unwrap(), CIFAR);
        assert!(read(r#"{"rotate":4}"#).is_err());
    }

    proptest! {
        #[test]
        fn a_transform_is_a_crop_of_the_padded_image(
            [down, right] in [-5isize..=5, -5isize..=5],
            flip: bool,
        ) {
            let (height, width) = (3, 4);
            let image: Vec<u8> = (1..=12).collect();
            let mut output = vec![0; 12];
            Transform { shift: [down, right], flip }.apply(&image, [1, 3, 4], &mut output);

            for y in 0..height {
                for x in 0..width {
                    let column = if flip { width - 1 - x } else { x };
                    let (row, column) = (y - down, column - right);
                    let inside = (0..height).contains(&row) && (0..width).contains(&column);
                    let expected = if inside { image[(row * width + column) as usize] } else { 0 };
                    prop_assert_eq!(output[(y * width + x) as usize], expected);
                }
            }
        }
    }
}
