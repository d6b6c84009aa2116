use super::{Augmentation, CropBox, ViewKey};
use crate::DataError;
use crate::resize::resize;
use crate::rng::{Purpose, rng};
use burn_distill_core::KeyedRng;

/// Multi-crop of self-supervised learning: resized random crops of each image, a few large ones at
/// the size of the image and several small ones at a smaller size.
///
/// | Field | Default | Purpose | Range |
/// | --- | --- | --- | --- |
/// | `globals` | 2 | number of large crops | at least 1 |
/// | `locals` | 8 | number of small crops | any |
/// | `local_size` | 3/7 of the image | height and width of a small crop | at least 1, below those of the image |
/// | `global_scale` | 0.4 to 1 | area of a large crop, as a share of the image | above 0, at most 1 |
/// | `local_scale` | 0.05 to 0.4 | area of a small crop, as a share of the image | above 0, at most 1 |
///
/// The area is uniform in its range, and the logarithm of the aspect ratio is uniform between 3/4
/// and 4/3. A crop that does not fit is drawn again, at most ten times; then the largest central
/// crop is taken. Crops are resized bilinearly with antialiasing: each pixel is a weighted mean of
/// all pixels that it covers.
///
/// # Reference
///
/// M. Caron et al., [Unsupervised Learning of Visual Features by Contrasting Cluster
/// Assignments](https://arxiv.org/abs/2006.09882), NeurIPS 2020. The scales are those of the
/// authors' dino, whose small crops have sides of 96 pixels and large crops of 224.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiCrop {
    /// Number of large crops.
    pub globals: usize,
    /// Number of small crops.
    pub locals: usize,
    /// Height and width of a small crop in pixels.
    pub local_size: [usize; 2],
    /// Smallest and largest area of a large crop, as a share of the image.
    pub global_scale: [f64; 2],
    /// Smallest and largest area of a small crop, as a share of the image.
    pub local_scale: [f64; 2],
}

impl MultiCrop {
    /// Creates a multi-crop of two large and eight small crops for images of this shape,
    /// `[channels, height, width]`.
    pub fn new([_, height, width]: [usize; 3]) -> Self {
        let local = |size: usize| ((size as f64 * 3.0 / 7.0).round() as usize).max(1);
        Self {
            globals: 2,
            locals: 8,
            local_size: [local(height), local(width)],
            global_scale: [0.4, 1.0],
            local_scale: [0.05, 0.4],
        }
    }

    /// Checks that images of this shape, `[channels, height, width]`, can be cropped.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if there is no large crop, if a small crop is empty or not
    /// smaller than the image, or if a scale is not an ascending range above 0 and at most 1.
    pub fn check(&self, [_, height, width]: [usize; 3]) -> Result<(), DataError> {
        let [local_height, local_width] = self.local_size;
        let fits = |local: usize, size: usize| (1..size).contains(&local);
        if self.globals == 0 {
            return Err(DataError::Invalid(
                "the number of global crops should be at least 1, but is 0".into(),
            ));
        }
        if self.locals > 0 && !(fits(local_height, height) && fits(local_width, width)) {
            return Err(DataError::Invalid(format!(
                "a local crop of {local_height} by {local_width} pixels is not smaller than the \
                 image of {height} by {width}: each side should be at least 1 and below that of \
                 the image"
            )));
        }
        for (name, [least, largest]) in [("global", self.global_scale), ("local", self.local_scale)]
        {
            // This also rejects NaN.
            if !(least > 0.0 && least <= largest && largest <= 1.0) {
                return Err(DataError::Invalid(format!(
                    "the {name} scale goes from {least} to {largest}: it should rise, above 0 and \
                     up to 1 at most"
                )));
            }
        }
        Ok(())
    }

    /// Returns the number of views.
    pub fn views(&self) -> usize {
        self.globals + self.locals
    }

    /// Returns the height and width of a view, counted from 0, for an image of this height and
    /// width.
    pub fn size(&self, view: usize, image: [usize; 2]) -> [usize; 2] {
        match view < self.globals {
            true => image,
            false => self.local_size,
        }
    }

    /// Draws the rectangle of an image of this height and width that a view shows.
    pub fn draw(&self, key: ViewKey, image: [usize; 2]) -> CropBox {
        let mut rng = rng(Purpose::Crop, key.words(), key.view as u32);
        let scale = match key.view < self.globals {
            true => self.global_scale,
            false => self.local_scale,
        };
        draw(&mut rng, scale, image)
    }

    /// Crops and resizes an image, stored as planes of rows, for a view.
    pub(crate) fn apply(
        &self,
        key: ViewKey,
        image: &[u8],
        [_, height, width]: [usize; 3],
    ) -> Vec<u8> {
        let part = self.draw(key, [height, width]);
        let size = self.size(key.view, [height, width]);
        let planes = image.chunks_exact(height * width);
        planes
            .flat_map(|plane| resize(plane, width, part, size))
            .collect()
    }
}

/// Draws a rectangle as `RandomResizedCrop` of torchvision does.
fn draw(rng: &mut KeyedRng, [least, largest]: [f64; 2], [height, width]: [usize; 2]) -> CropBox {
    const TRIES: usize = 10;
    let ratio = [3.0_f64 / 4.0, 4.0 / 3.0];
    let area = (height * width) as f64;
    for _ in 0..TRIES {
        let area = area * between(rng, least, largest);
        let ratio = between(rng, ratio[0].ln(), ratio[1].ln()).exp();
        let wide = (area * ratio).sqrt().round() as usize;
        let high = (area / ratio).sqrt().round() as usize;
        if (1..=width).contains(&wide) && (1..=height).contains(&high) {
            return CropBox {
                top: rng.below((height - high) as u64 + 1) as usize,
                left: rng.below((width - wide) as u64 + 1) as usize,
                height: high,
                width: wide,
            };
        }
    }
    let natural = width as f64 / height as f64;
    let (high, wide) = if natural < ratio[0] {
        (((width as f64 / ratio[0]).round() as usize).max(1), width)
    } else if natural > ratio[1] {
        (height, ((height as f64 * ratio[1]).round() as usize).max(1))
    } else {
        (height, width)
    };
    CropBox {
        top: (height - high) / 2,
        left: (width - wide) / 2,
        height: high,
        width: wide,
    }
}

/// Draws a number uniformly from a range, in steps of 2⁻⁵³ of its width.
fn between(rng: &mut KeyedRng, from: f64, to: f64) -> f64 {
    let part = rng.below(1 << 53) as f64 / (1_u64 << 53) as f64;
    from + (to - from) * part
}

impl Augmentation {
    /// Checks that the augmentation can be combined with multi-crop.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if the augmentation has a random crop.
    pub fn check_multi_crop(&self) -> Result<(), DataError> {
        match self.crop {
            Some(padding) => Err(DataError::Invalid(format!(
                "images are cropped twice, with a padding of {padding} and by multi-crop: leave \
                 out `crop`"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ViewKey = ViewKey {
        seed: 3,
        id: 14,
        epoch: 15,
        view: 0,
        repetition: 0,
    };

    #[test]
    fn occurrences_of_a_repeated_sample_have_different_crops() {
        let crop = MultiCrop::new([3, 32, 32]);
        let drawn = [0, 1, 2].map(|repetition| crop.draw(ViewKey { repetition, ..KEY }, [32, 32]));

        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(drawn[1], drawn[2]);
    }

    #[test]
    fn areas_of_crops_follow_the_scale() {
        let crop = MultiCrop::new([3, 32, 32]);
        assert_eq!((crop.local_size, crop.views()), ([14, 14], 10));
        for (view, [least, largest]) in [(0, [0.4, 1.0]), (1, [0.4, 1.0]), (2, [0.05, 0.4])] {
            let parts: Vec<f64> = (0..400)
                .map(|id| crop.draw(ViewKey { id, view, ..KEY }, [32, 32]))
                .inspect(|part| {
                    assert!(part.top + part.height <= 32 && part.left + part.width <= 32);
                    let ratio = part.width as f64 / part.height as f64;
                    assert!((0.6..1.7).contains(&ratio), "{part:?}");
                })
                .map(|part| (part.height * part.width) as f64 / 1024.0)
                .collect();
            // Sides are whole pixels and extreme ratios do not fit, so the mean is off by up to a
            // tenth of the range.
            let margin = 0.1 * (largest - least);
            let mean = parts.iter().sum::<f64>() / parts.len() as f64;
            assert!((mean - (least + largest) / 2.0).abs() < margin, "{mean}");
            let within = |part: &f64| (least - margin..=largest + margin).contains(part);
            assert!(parts.iter().all(within));
        }
    }

    #[test]
    fn a_view_depends_only_on_its_key() {
        let crop = MultiCrop::new([3, 32, 32]);
        let draw = |key| crop.draw(key, [32, 32]);

        assert_eq!(draw(KEY), draw(KEY));
        for other in [
            ViewKey { seed: 4, ..KEY },
            ViewKey { id: 15, ..KEY },
            ViewKey { epoch: 16, ..KEY },
            ViewKey { view: 1, ..KEY },
        ] {
            assert_ne!(draw(other), draw(KEY));
        }
    }

    #[test]
    fn the_largest_central_crop_is_taken_if_none_fits() {
        let crop = MultiCrop {
            global_scale: [1.0, 1.0],
            ..MultiCrop::new([1, 1, 9])
        };

        let part = crop.draw(KEY, [2, 9]);

        let expected = CropBox {
            top: 0,
            left: 3,
            height: 2,
            width: 3,
        };
        assert_eq!(part, expected);
    }

    #[test]
    fn large_and_small_views_have_their_sizes() {
        let crop = MultiCrop::new([2, 8, 8]);
        let image = vec![7; 2 * 64];

        for (view, pixels) in [(0, 64), (1, 64), (2, 9), (9, 9)] {
            let key = ViewKey { view, ..KEY };
            assert_eq!(crop.apply(key, &image, [2, 8, 8]), vec![7; 2 * pixels]);
        }
    }

    #[test]
    fn impossible_crops_are_refused() {
        let new = || MultiCrop::new([3, 32, 32]);
        for (crop, expected) in [
            (
                MultiCrop {
                    globals: 0,
                    ..new()
                },
                "the number of global crops should be at least 1, but is 0",
            ),
            (
                MultiCrop {
                    local_size: [32, 14],
                    ..new()
                },
                "a local crop of 32 by 14 pixels is not smaller than the image of 32 by 32",
            ),
            (
                MultiCrop {
                    local_size: [0, 14],
                    ..new()
                },
                "a local crop of 0 by 14 pixels is not smaller",
            ),
            (
                MultiCrop {
                    local_scale: [0.0, 0.4],
                    ..new()
                },
                "the local scale goes from 0 to 0.4",
            ),
            (
                MultiCrop {
                    global_scale: [0.4, f64::NAN],
                    ..new()
                },
                "the global scale goes from 0.4 to NaN",
            ),
            (
                MultiCrop {
                    global_scale: [0.9, 0.4],
                    ..new()
                },
                "the global scale goes from 0.9 to 0.4",
            ),
        ] {
            let error = crop.check([3, 32, 32]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(new().check([3, 32, 32]).is_ok());
        let crop = Augmentation {
            crop: Some(4),
            ..Augmentation::default()
        };
        assert!(crop.check_multi_crop().is_err());
    }
}
