use crate::ImageDataset;

/// What the pixels of a data set stand for.
///
/// Strong operations are of levels up to 255. Where a data set has fewer, its strong views are
/// stretched to them.
pub(super) struct Palette {
    published: Vec<[f32; 256]>,
    stretched: Vec<[f32; 256]>,
    /// The level up to 255 of each published one.
    stretch: [u8; 256],
    mean: Vec<u8>,
}

impl Palette {
    pub(super) fn of(dataset: &ImageDataset) -> Self {
        let (normalization, maximum) = (dataset.normalization(), dataset.maximum());
        let ratio = f32::from(u8::MAX) / f32::from(maximum);
        let mean = normalization.mean.iter();
        Self {
            published: normalization.levels(maximum),
            stretched: normalization.levels(u8::MAX),
            stretch: std::array::from_fn(|level| (level as f32 * ratio).round() as u8),
            mean: mean.map(|mean| (255.0 * mean).round() as u8).collect(),
        }
    }

    /// The normalised value of every published level, per channel.
    pub(super) fn published(&self) -> &[[f32; 256]] {
        &self.published
    }

    /// The same of every stretched one.
    pub(super) fn stretched(&self) -> &[[f32; 256]] {
        &self.stretched
    }

    /// Stretch published levels.
    pub(super) fn stretch(&self, image: &mut [u8]) {
        for level in image {
            *level = self.stretch[usize::from(*level)];
        }
    }

    /// The stretched level of each channel that is next to zero once it is normalised.
    pub(super) fn mean(&self) -> &[u8] {
        &self.mean
    }
}
