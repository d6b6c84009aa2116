use crate::CropBox;

/// Returns a part of a plane, stored in rows of the given width, resized bilinearly to
/// `[height, width]`.
///
/// If it becomes smaller, each pixel is a weighted mean of all pixels that it covers, as in Pillow.
pub(crate) fn resize(
    plane: &[u8],
    stride: usize,
    part: CropBox,
    [height, width]: [usize; 2],
) -> Vec<u8> {
    let columns = bilinear_weights(part.width, width);
    let mut narrowed = Vec::with_capacity(part.height * width);
    for y in part.top..part.top + part.height {
        let row = &plane[y * stride + part.left..][..part.width];
        narrowed.extend(columns.iter().map(|window| window.mean(row)));
    }
    let mut resized = Vec::with_capacity(height * width);
    let mut means = vec![0.0; width];
    for window in bilinear_weights(part.height, height) {
        means.fill(0.0);
        let covered = narrowed[window.first * width..].chunks_exact(width);
        for (weight, row) in window.weights.iter().zip(covered) {
            for (mean, level) in means.iter_mut().zip(row) {
                *mean += weight * level;
            }
        }
        let level = |mean: &f64| (mean + 0.5).floor().clamp(0.0, 255.0) as u8;
        resized.extend(means.iter().map(level));
    }
    resized
}

/// Input pixels along one axis of which an output pixel is the weighted mean.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelWindow {
    /// Index of the first pixel; the others follow it.
    pub first: usize,
    /// Weight of each pixel. They sum to one.
    pub weights: Vec<f64>,
}

impl PixelWindow {
    /// Returns the weighted mean of the pixels of a row.
    fn mean(&self, row: &[u8]) -> f64 {
        let pixels = row[self.first..].iter().zip(&self.weights);
        pixels
            .map(|(&pixel, weight)| weight * f64::from(pixel))
            .sum()
    }
}

/// Returns for each of `to` output pixels the window of `from` input pixels that a bilinear resize
/// along one axis averages.
///
/// The weights are triangular around the center of the output pixel. A window covers two pixels, or
/// if the axis becomes shorter, all pixels within `from / to` of the center, as in Pillow.
///
/// ```
/// use burn_distill_data::bilinear_weights;
///
/// let windows = bilinear_weights(2, 4);
/// assert_eq!(windows[0].weights, [1.0]);
/// assert_eq!(windows[1].weights, [0.75, 0.25]);
/// ```
pub fn bilinear_weights(from: usize, to: usize) -> Vec<PixelWindow> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let window = |pixel: usize| {
        let center = (pixel as f64 + 0.5) * scale;
        let first = ((center - reach + 0.5).floor().max(0.0)) as usize;
        let after = ((center + reach + 0.5).floor() as usize).min(from);
        let triangle = |place: usize| {
            let distance = (place as f64 + 0.5 - center).abs() / reach;
            (1.0 - distance).max(0.0)
        };
        let weights: Vec<_> = (first..after).map(triangle).collect();
        let total: f64 = weights.iter().sum();
        PixelWindow {
            first,
            weights: weights.into_iter().map(|weight| weight / total).collect(),
        }
    };
    (0..to).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all([height, width]: [usize; 2]) -> CropBox {
        CropBox {
            top: 0,
            left: 0,
            height,
            width,
        }
    }

    #[test]
    fn resizing_to_the_same_size_changes_nothing() {
        let plane: Vec<u8> = (0..12).map(|level| level * 20).collect();

        assert_eq!(resize(&plane, 4, all([3, 4]), [3, 4]), plane);
        let part = CropBox {
            top: 1,
            left: 2,
            height: 2,
            width: 2,
        };
        assert_eq!(resize(&plane, 4, part, [2, 2]), [120, 140, 200, 220]);
    }

    #[test]
    fn pixels_agree_with_pillow() {
        // PIL.Image.resize with BILINEAR for a row: enlarged, and reduced with antialiasing.
        assert_eq!(resize(&[0, 100], 2, all([1, 2]), [1, 4]), [0, 25, 75, 100]);
        let row = [10, 20, 60, 80, 200, 240];
        assert_eq!(resize(&row, 6, all([1, 6]), [1, 3]), [21, 80, 200]);
        let row7 = [10, 20, 60, 80, 200, 240, 7];
        let expected = [13, 42, 98, 218, 85];
        assert_eq!(resize(&row7, 7, all([1, 7]), [1, 5]), expected);
        assert_eq!(resize(&row, 1, all([6, 1]), [3, 1]), [21, 80, 200]);
    }
}
