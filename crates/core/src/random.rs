use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::PI;

/// Random number generator whose output depends only on its key, on every platform and in every
/// version.
///
/// The key is the ChaCha8 key itself, so no two keys share a stream. Ranges and shuffles do not use
/// the crate `rand`, whose sampling may change between versions.
pub struct KeyedRng(ChaCha8Rng);

impl KeyedRng {
    /// Creates a generator from its key.
    pub fn new(key: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Draws a number of `0..bound`, each with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product is a number below the bound. The few low halves that
        // would favor some numbers are drawn again (Lemire, arXiv 1805.10941).
        let biased = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            if product as u64 >= biased {
                return (product >> 64) as u64;
            }
        }
    }

    /// Draws true or false, each with the same probability.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Draws a number from 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        // The 53 bits of the mantissa.
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws true with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Draws a number from the standard normal distribution.
    ///
    /// Two neighboring numbers of the stream are transformed (Box and Muller, Annals of
    /// Mathematical Statistics 1958), so that the last digit depends on the logarithm and the cosine
    /// of the platform.
    pub fn normal(&mut self) -> f64 {
        // Above zero, whose logarithm is infinite.
        let radius = 1.0 - self.unit();
        let angle = 2.0 * PI * self.unit();
        (-2.0 * radius.ln()).sqrt() * angle.cos()
    }

    /// Draws a permutation of the numbers `0..len`.
    pub fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }

    /// Draws `count` different numbers of `0..bound`, in no particular order. All choices have the
    /// same probability.
    ///
    /// # Panics
    ///
    /// Panics if `count` is more than `bound`.
    pub fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        assert!(
            count <= bound,
            "The number of different numbers below {bound} should be at most {bound}, but is {count}."
        );
        // Floyd's sampling: a number that is already taken is replaced by the newest one.
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
    fn the_frequency_of_true_is_its_probability() {
        let mut rng = KeyedRng::new([1, 2, 3, 4]);
        let mut taken = |probability| (0..4000).filter(|_| rng.chance(probability)).count();

        assert_eq!([taken(0.0), taken(1.0)], [0, 4000]);
        // 1200, give or take five standard deviations.
        let often = taken(0.3);
        assert!((1055..1345).contains(&often), "{often}");
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_standard_normal_distribution() {
        let mut rng = KeyedRng::new([1, 2, 3, 4]);
        let all: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let moment = |power| all.iter().map(|x| x.powi(power)).sum::<f64>() / all.len() as f64;

        // Five standard deviations of the mean of each: √(1/n), √(2/n), √(15/n), √(96/n).
        for (power, expected, error) in [
            (1, 0.0, 0.036),
            (2, 1.0, 0.05),
            (3, 0.0, 0.14),
            (4, 3.0, 0.35),
        ] {
            let found = moment(power);
            assert!((found - expected).abs() < error, "moment {power}: {found}");
        }
        let beyond = all.iter().filter(|x| x.abs() > 1.959964).count();
        assert!((850..1150).contains(&beyond), "{beyond}");
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
