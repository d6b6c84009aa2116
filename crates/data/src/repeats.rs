use crate::Samples;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Samples that occur more than once in the parts of a data set, by their contents.
///
/// A sample for testing that is also a sample for training makes an accuracy too high; equal samples
/// of two classes contradict each other.
///
/// ```
/// use burn_distill_data::{Repeats, Samples, digits};
///
/// let (train, test) = digits().split(0.2, 0)?;
///
/// assert_eq!(Repeats::of(&train, &test), Repeats::default());
/// assert_eq!(Repeats::of(&train, &train.take(10)).in_training, 10);
/// # Ok::<(), burn_distill_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Number of samples for testing with the contents of a sample for training.
    pub in_training: usize,
    /// Number of labeled samples for training with the contents of an earlier one of another class.
    pub of_other_classes: usize,
}

impl Repeats {
    /// Compares the samples for training with those for testing. Files are read again where the
    /// contents are not in memory.
    pub fn of<S: Samples>(train: &S, test: &S) -> Self {
        let mut repeats = Self::default();
        // The class of the first labeled sample of these contents.
        let mut known: HashMap<[u8; 32], Option<usize>> = HashMap::new();
        for &id in train.ids() {
            let class = known.entry(hash(train, id)).or_default();
            if train.is_labeled(id) {
                let first = *class.get_or_insert(train.label(id));
                repeats.of_other_classes += usize::from(first != train.label(id));
            }
        }
        let test = test.ids().iter().map(|&id| hash(test, id));
        repeats.in_training = test.filter(|hash| known.contains_key(hash)).count();
        repeats
    }
}

fn hash(samples: &impl Samples, id: usize) -> [u8; 32] {
    let mut hasher = Sha256::new();
    samples.feed_sample(id, &mut |bytes| hasher.update(bytes));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageData, ImageDataset, Normalization};

    /// Images of one pixel.
    fn images(pixels: &[u8], labels: &[usize]) -> ImageDataset {
        let data = ImageData {
            name: "pixels".into(),
            shape: [1, 1, 1],
            pixels: pixels.to_vec(),
            max_value: 255,
            labels: labels.to_vec(),
            classes: ["a", "b"].map(String::from).to_vec(),
            normalization: Normalization {
                mean: vec![0.0],
                std: vec![1.0],
            },
        };
        ImageDataset::new(data).unwrap()
    }

    #[test]
    fn repeated_samples_are_counted_by_their_contents() {
        let train = images(&[1, 2, 2, 3, 3, 3], &[0, 1, 1, 0, 1, 1]);
        let test = images(&[3, 4, 2, 2], &[0, 0, 0, 1]);
        let expected = Repeats {
            in_training: 3,
            of_other_classes: 2,
        };
        assert_eq!(Repeats::of(&train, &test), expected);
        let none = test.subset([]);
        assert_eq!(Repeats::of(&none, &none), Repeats::default());
    }
}
