use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Random numbers that depend on their key alone, on every platform and in every version.
///
/// The key is the ChaCha8 key itself, so no two keys share a stream. Ranges and shuffles are drawn
/// here rather than by `rand`, which may change its sampling from one version to the next.
pub struct KeyedRng(ChaCha8Rng);

impl KeyedRng {
    /// The generator of that key.
    pub fn new(key: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number of `0..bound`, each equally likely.
    ///
    /// # Panics
    ///
    /// Panics if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product is a number below the bound; the few low halves that
        // would favor some of them are drawn again (Lemire, arXiv 1805.10941).
        let biased = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            if product as u64 >= biased {
                return (product >> 64) as u64;
            }
        }
    }

    /// True or false, each equally likely.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // As many bits as the mantissa of a number below one has.
        let part = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        part < probability
    }

    /// The numbers `0..len` in random order.
    pub fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }

    /// As many different numbers of `0..bound`, each choice equally likely, in no particular order.
    ///
    /// # Panics
    ///
    /// Panics if `count` is more than `bound`.
    pub fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        assert!(count <= bound, "{count} of {bound} numbers cannot differ.");
        // Floyd's sampling: a number that is taken already makes room for the newest one.
        let mut taken = vec![false; bound];
        ((bound - count)..bound)
            .map(|newest| {
                let drawn = self.below(newest as u64 + 1) as usize;
                let number = if taken[drawn] { newest } else { drawn };
                taken[number] = true;
                number
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn chances_are_taken_as_often_as_they_say() {
        let mut rng = KeyedRng::new([1, 2, 3, 4]);
        let mut taken = |probability| (0..4000).filter(|_| rng.chance(probability)).count();

        assert_eq!([taken(0.0), taken(1.0)], [0, 4000]);
        // 1200, give or take five standard deviations.
        let often = taken(0.3);
        assert!((1055..1345).contains(&often), "{often}");
    }

    #[test]
    fn distinct_numbers_differ_and_all_occur() {
        let mut rng = KeyedRng::new([1, 2, 3, 4]);
        let mut counts = [0; 5];
        for _ in 0..3000 {
            let numbers: BTreeSet<_> = rng.distinct(2, 5).into_iter().collect();
            assert_eq!(numbers.len(), 2);
            numbers.into_iter().for_each(|number| counts[number] += 1);
        }

        // 1200 each, give or take five standard deviations.
        assert!(
            counts.iter().all(|count| (1065..1335).contains(count)),
            "{counts:?}"
        );
        let mut all = rng.distinct(5, 5);
        all.sort();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    }
}
