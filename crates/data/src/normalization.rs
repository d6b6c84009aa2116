use serde::{Deserialize, Serialize};

/// Constants that pixels are normalized by, one per channel, for pixels from 0 to 1.
///
/// ```text
/// normalized = (pixel / max_value − mean) / std
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, above 0.
    pub std: Vec<f32>,
}

impl Normalization {
    /// Returns the normalized value of every pixel value, per channel, for pixels with this
    /// maximum.
    pub(crate) fn levels(&self, max_value: u8) -> Vec<[f32; 256]> {
        let max_value = f32::from(max_value);
        let channels = self.mean.iter().zip(&self.std);
        channels
            .map(|(mean, std)| std::array::from_fn(|pixel| (pixel as f32 / max_value - mean) / std))
            .collect()
    }
}
