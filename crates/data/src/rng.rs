use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What random numbers are drawn for: the same seed gives unrelated numbers for each purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The order of the samples in an epoch.
    Order = 1,
    /// Which samples are held out.
    Split = 2,
    /// The crop and flip of a view.
    View = 3,
}

/// Random numbers that depend on their key alone, on every platform and in every version.
///
/// The key is the ChaCha8 key itself, so no two keys share a stream. Ranges and shuffles are drawn
/// here rather than by `rand`, which may change its sampling from one version to the next.
pub(crate) struct KeyedRng(ChaCha8Rng);

impl KeyedRng {
    pub(crate) fn new(purpose: Purpose, [a, b, c]: [u64; 3], view: u32) -> Self {
        let last = ((purpose as u64) << 32) | u64::from(view);
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([a, b, c, last]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number of `0..bound`, each equally likely.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product is a number below the bound; the few low halves that
        // would favour some of them are drawn again (Lemire, arXiv 1805.10941).
        let biased = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            if product as u64 >= biased {
                return (product >> 64) as u64;
            }
        }
    }

    /// True or false, each equally likely.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// The numbers `0..len` in random order.
    pub(crate) fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_the_same_numbers_for_ever() {
        let order = KeyedRng::new(Purpose::Order, [1, 2, 3], 4).permutation(8);

        // From a ChaCha8 written apart in Python.
        assert_eq!(order, [0, 3, 4, 5, 1, 7, 6, 2]);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let base = KeyedRng::new(Purpose::Order, [1, 2, 3], 4).permutation(100);
        let others = [
            KeyedRng::new(Purpose::Split, [1, 2, 3], 4),
            KeyedRng::new(Purpose::Order, [0, 2, 3], 4),
            KeyedRng::new(Purpose::Order, [1, 0, 3], 4),
            KeyedRng::new(Purpose::Order, [1, 2, 0], 4),
            KeyedRng::new(Purpose::Order, [1, 2, 3], 0),
        ];

        for mut other in others {
            assert_ne!(other.permutation(100), base);
        }
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut rng = KeyedRng::new(Purpose::View, [0; 3], 0);
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            counts[rng.below(5) as usize] += 1;
        }

        // 2000 expected of each, with a standard deviation of 40.
        assert!(
            counts.iter().all(|count| (1800..2200).contains(count)),
            "{counts:?}"
        );

        // Three quarters of all numbers: without drawing again, half would be multiples of 3.
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
