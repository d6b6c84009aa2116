//! Views of images: augmented, and normalized by the constants of their data set.

use crate::{Normalization, ViewedSample, Views};
use burn::tensor::TensorData;

/// Normalized values of the pixels of a data set.
///
/// Strong operations work on levels up to 255. If the maximum of a data set is lower, its levels
/// are stretched for strong views.
pub(crate) struct Palette {
    published: Vec<[f32; 256]>,
    stretched: Vec<[f32; 256]>,
    /// Level up to 255 of each published level.
    stretch: [u8; 256],
    mean: Vec<u8>,
}

impl Palette {
    pub(crate) fn of(normalization: &Normalization, max_value: u8) -> Self {
        let ratio = f32::from(u8::MAX) / f32::from(max_value);
        let mean = normalization.mean.iter();
        Self {
            published: normalization.levels(max_value),
            stretched: normalization.levels(u8::MAX),
            stretch: std::array::from_fn(|level| (level as f32 * ratio).round() as u8),
            mean: mean.map(|mean| (255.0 * mean).round() as u8).collect(),
        }
    }

    /// Returns the normalized value of every published level, per channel.
    fn published(&self) -> &[[f32; 256]] {
        &self.published
    }

    /// Returns the normalized value of every stretched level, per channel.
    fn stretched(&self) -> &[[f32; 256]] {
        &self.stretched
    }

    /// Stretches published levels.
    fn stretch(&self, image: &mut [u8]) {
        for level in image {
            *level = self.stretch[usize::from(*level)];
        }
    }

    /// Returns the stretched level of each channel whose normalized value is closest to zero.
    fn mean(&self) -> &[u8] {
        &self.mean
    }
}

/// Returns a view of several images, `[images, channels, height, width]`.
///
/// `published` returns the pixels of an image with the given shape, `[channels, height, width]`, by
/// its id.
pub(crate) fn render<'a>(
    published_shape: [usize; 3],
    published: impl Fn(usize) -> &'a [u8],
    palette: &Palette,
    shown: &[ViewedSample],
    views: &Views,
) -> TensorData {
    let [channels, height, width] = published_shape;
    let view = shown.first().map_or(0, |shown| shown.key.view);
    let size = [height, width];
    let [height, width] = views.multi_crop.map_or(size, |crop| crop.size(view, size));
    let shape = [channels, height, width];
    let mut transformed = vec![0; channels * height * width];
    let mut pixels = Vec::with_capacity(shown.len() * transformed.len());
    for &ViewedSample { id, key } in shown {
        let transform = views.augmentation.transform(key);
        let published = published(id);
        let operations = views.augmentation.operations(key, shape);
        let levels = if let Some(crop) = &views.multi_crop {
            // Stretched first, because the mean pixel of few levels would be too coarse.
            let mut stretched = published.to_vec();
            palette.stretch(&mut stretched);
            let cropped = crop.apply(key, &stretched, published_shape);
            transform.apply(&cropped, shape, &mut transformed);
            for operation in operations {
                operation.apply(&mut transformed, shape, palette.mean());
            }
            palette.stretched()
        } else if operations.is_empty() {
            transform.apply(published, shape, &mut transformed);
            palette.published()
        } else {
            transform.apply(published, shape, &mut transformed);
            palette.stretch(&mut transformed);
            for operation in operations {
                operation.apply(&mut transformed, shape, palette.mean());
            }
            palette.stretched()
        };
        for (plane, levels) in transformed.chunks_exact(height * width).zip(levels) {
            pixels.extend(plane.iter().map(|&pixel| levels[usize::from(pixel)]));
        }
    }
    TensorData::new(pixels, [shown.len(), channels, height, width])
}
