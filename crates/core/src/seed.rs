/// Seed of a training, from which the seeds of all its parts are derived.
///
/// Each derivation adds a different number, modulo 2⁶⁴, so that the derived seeds of neighboring
/// seeds differ:
///
/// | Derivation | Added number |
/// | --- | --- |
/// | [`teacher`](Self::teacher) at `index` | `index · 2⁴⁸` |
/// | [`teacher_weights`](Self::teacher_weights) | `2³²` |
/// | [`losses`](Self::losses) | `2 · 2³²` |
/// | [`stage_losses`](Self::stage_losses) of `stage` | `stage · 2³³` |
/// | [`stage_order`](Self::stage_order) of `stage` | `stage · 2³²` |
/// | [`network`](Self::network) in `place` | `place · 2⁵⁶` |
///
/// The derived numbers are the same in every version: published results depend on them.
///
/// # Example
///
/// ```
/// use burn_distill_core::Seed;
///
/// let seed = Seed::new(3);
/// assert_eq!(seed.value(), 3);
/// assert_ne!(seed.network(1), seed.network(2));
/// assert_eq!(seed.network(0), seed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seed(u64);

impl Seed {
    /// Creates a seed from its number.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the number of the seed.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Returns the seed of the teacher at `index` of several, which decides the order of its
    /// samples. The seed of the first teacher is the seed itself.
    pub const fn teacher(self, index: usize) -> Self {
        self.plus(index as u64, 48)
    }

    /// Returns the seed of the initial weights of a teacher. It differs from that of the student,
    /// so that a teacher with the same architecture is another network.
    pub const fn teacher_weights(self) -> Self {
        self.plus(1, 32)
    }

    /// Returns the seed of the initial weights in the losses, which differs from those of the
    /// networks.
    pub const fn losses(self) -> Self {
        self.plus(2, 32)
    }

    /// Returns the seed from which the seeds of the losses of a stage are derived. Stages are
    /// counted from 0.
    pub const fn stage_losses(self, stage: usize) -> Self {
        self.plus(stage as u64, 33)
    }

    /// Returns the seed of the order and the augmentation of the samples in a stage. Stages are
    /// counted from 0.
    pub const fn stage_order(self, stage: usize) -> Self {
        self.plus(stage as u64, 32)
    }

    /// Returns the seed of the initial weights of a further network, such as a peer or a
    /// generation, counted from 1. Place 0 is that of the student.
    pub const fn network(self, place: usize) -> Self {
        self.plus(place as u64, 56)
    }

    /// Adds another seed, so that the seed of one part of a run changes with the seed of the run.
    pub const fn add(self, other: u64) -> Self {
        Self(self.0.wrapping_add(other))
    }

    const fn plus(self, number: u64, bits: u32) -> Self {
        self.add(number << bits)
    }
}

impl From<u64> for Seed {
    fn from(seed: u64) -> Self {
        Self::new(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn derived_seeds_stay_the_numbers_that_published_results_depend_on() {
        let seed = Seed::new(7);
        for (derived, expected) in [
            (seed.teacher(0), 7),
            (seed.teacher(2), 0x0002_0000_0000_0007),
            (seed.teacher_weights(), 0x0000_0001_0000_0007),
            (seed.teacher(1).teacher_weights(), 0x0001_0001_0000_0007),
            (seed.losses(), 0x0000_0002_0000_0007),
            (seed.stage_losses(0), 7),
            (seed.stage_losses(3), 0x0000_0006_0000_0007),
            (seed.stage_losses(3).losses(), 0x0000_0008_0000_0007),
            (seed.stage_order(0), 7),
            (seed.stage_order(3), 0x0000_0003_0000_0007),
            (seed.network(0), 7),
            (seed.network(5), 0x0500_0000_0000_0007),
            (seed.add(4), 11),
        ] {
            assert_eq!(derived.value(), expected);
        }
    }

    #[test]
    fn the_last_seeds_wrap_around() {
        let last = Seed::new(u64::MAX);

        assert_eq!(last.losses().value(), 0x0000_0001_ffff_ffff);
        assert_eq!(last.network(255).value(), 0xfeff_ffff_ffff_ffff);
        // All bits are used: network 256 would have the seed of the student.
        assert_eq!(last.network(256), last);
    }

    #[test]
    fn the_networks_of_neighboring_seeds_differ() {
        let of = |seed| (0..4).map(move |place| Seed::new(seed).network(place));
        let all: BTreeSet<_> = (0..3).flat_map(of).collect();

        assert_eq!(all.len(), 3 * 4);
    }
}
