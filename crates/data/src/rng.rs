use burn_distill_core::KeyedRng;

/// Purpose of random numbers: the same seed gives unrelated numbers for each purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Order of the samples in an epoch.
    Order = 1,
    /// Choice of the samples that are held out.
    Split = 2,
    /// Crop and flip of a view.
    View = 3,
    /// Operations of a strong view.
    Strong = 4,
    /// Choice of the partner of the same class for a sample.
    Partner = 5,
    /// Random crop of a view, resized.
    Crop = 6,
}

/// Returns the generator for a purpose.
pub(crate) fn rng(purpose: Purpose, [a, b, c]: [u64; 3], view: u32) -> KeyedRng {
    KeyedRng::new([a, b, c, halves(purpose as u64, view.into())])
}

/// Returns the word of a key for an epoch and the number of earlier occurrences of the same id in
/// the data set, each below 2³². It is the epoch itself for the first occurrence.
pub(crate) fn repeated_word(epoch: usize, repetition: usize) -> u64 {
    halves(repetition as u64, epoch as u64)
}

/// Returns a word of a key from its upper and its lower half, each below 2³².
fn halves(upper: u64, lower: u64) -> u64 {
    upper << 32 | lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_always_gives_the_same_numbers() {
        let order = rng(Purpose::Order, [1, 2, 3], 4).permutation(8);

        // From an independent ChaCha8 in Python.
        assert_eq!(order, [0, 3, 4, 5, 1, 7, 6, 2]);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let base = rng(Purpose::Order, [1, 2, 3], 4).permutation(100);
        let others = [
            rng(Purpose::Split, [1, 2, 3], 4),
            rng(Purpose::Order, [0, 2, 3], 4),
            rng(Purpose::Order, [1, 0, 3], 4),
            rng(Purpose::Order, [1, 2, 0], 4),
            rng(Purpose::Order, [1, 2, 3], 0),
        ];

        for mut other in others {
            assert_ne!(other.permutation(100), base);
        }
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut rng = super::rng(Purpose::View, [0; 3], 0);
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            counts[rng.below(5) as usize] += 1;
        }

        // 2000 expected of each, with a standard deviation of 40.
        assert!(
            counts.iter().all(|count| (1800..2200).contains(count)),
            "{counts:?}"
        );

        // The bound is three quarters of all numbers: without rejection, half would be multiples of
        // 3.
        let mut counts = [0; 3];
        for _ in 0..6000 {
            counts[(rng.below(3 << 62) % 3) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (1800..2200).contains(count)),
            "{counts:?}"
        );
    }
}
