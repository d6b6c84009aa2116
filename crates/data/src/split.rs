use crate::DataError;
use crate::rng::{Purpose, rng};

/// Number or share of samples to hold out.
///
/// ```
/// use burn_distill_data::Holdout;
///
/// assert_eq!(Holdout::from(0.2), Holdout::Fraction(0.2));
/// assert_eq!(Holdout::from(360), Holdout::Count(360));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holdout {
    /// Share of all samples, from 0 to 1, rounded to the nearest count.
    Fraction(f64),
    /// Number of samples.
    Count(usize),
}

impl From<f64> for Holdout {
    fn from(fraction: f64) -> Self {
        Self::Fraction(fraction)
    }
}

impl From<usize> for Holdout {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl Holdout {
    fn count(self, samples: usize) -> Result<usize, DataError> {
        match self {
            Self::Fraction(fraction) if (0.0..=1.0).contains(&fraction) => {
                Ok((fraction * samples as f64).round() as usize)
            }
            Self::Fraction(fraction) => Err(DataError::Invalid(format!(
                "the fraction to hold out should be from 0 to 1, but is {fraction}"
            ))),
            Self::Count(count) if count <= samples => Ok(count),
            Self::Count(count) => Err(DataError::Invalid(format!(
                "cannot hold out {count} of {samples} samples"
            ))),
        }
    }
}

/// Splits the positions of `labels` in two, `(rest, held out)`, each in ascending order, with the
/// classes in equal proportions: the count of each class differs from its exact share by less than
/// one sample.
///
/// The result depends only on the labels and the seed, on every platform and in every version.
///
/// # Errors
///
/// Returns [`DataError::Invalid`] if there are fewer samples than should be held out.
///
/// # Example
///
/// ```
/// use burn_distill_data::stratified_split;
///
/// let labels = [0, 0, 0, 0, 1, 1];
/// let (rest, held_out) = stratified_split(&labels, 0.5, 7)?;
///
/// assert_eq!((rest.len(), held_out.len()), (3, 3));
/// assert_eq!(held_out.iter().filter(|&&index| labels[index] == 1).count(), 1);
/// # Ok::<(), burn_distill_data::DataError>(())
/// ```
pub fn stratified_split(
    labels: &[usize],
    holdout: impl Into<Holdout>,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let total = holdout.into().count(labels.len())?;
    let members = shuffled_members(labels, seed);
    let shares = shares(&members, labels.len(), total);

    let mut rest = Vec::with_capacity(labels.len() - total);
    let mut held_out = Vec::with_capacity(total);
    for (members, share) in members.iter().zip(shares) {
        held_out.extend_from_slice(&members[..share]);
        rest.extend_from_slice(&members[share..]);
    }
    rest.sort_unstable();
    held_out.sort_unstable();
    Ok((rest, held_out))
}

/// Returns the positions of `count` samples of each class that occurs in `labels`, in ascending
/// order: the few labels of a semi-supervised experiment.
///
/// For one seed, the samples for a smaller count are among those for a larger one, so that runs
/// with more labels only add to those with fewer.
///
/// # Errors
///
/// Returns [`DataError::Invalid`] if a class that occurs has fewer samples.
pub fn sample_per_class(
    labels: &[usize],
    count: usize,
    seed: u64,
) -> Result<Vec<usize>, DataError> {
    let mut few = Vec::new();
    for (class, members) in shuffled_members(labels, seed).iter().enumerate() {
        match members.get(..count) {
            Some(members) => few.extend_from_slice(members),
            // The class was left out on purpose.
            None if members.is_empty() => {}
            None => {
                return Err(DataError::Invalid(format!(
                    "class {class} has only {} samples, but {count} should be labeled: use fewer",
                    members.len()
                )));
            }
        }
    }
    few.sort_unstable();
    Ok(few)
}

/// Returns the positions of each class, in an order that depends on the seed and the class.
fn shuffled_members(labels: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let classes = labels.iter().max().map_or(0, |largest| largest + 1);
    let mut members = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        members[label].push(index);
    }
    for (class, members) in members.iter_mut().enumerate() {
        let key = [seed, class as u64, 0];
        let order = rng(Purpose::Split, key, 0).permutation(members.len());
        *members = order.into_iter().map(|place| members[place]).collect();
    }
    members
}

/// Returns the number of samples of each class to hold out: the integer part of each exact share,
/// and the remaining samples for the largest fractional parts.
fn shares(members: &[Vec<usize>], samples: usize, total: usize) -> Vec<usize> {
    let samples = samples.max(1);
    let mut shares: Vec<_> = members
        .iter()
        .map(|members| total * members.len() / samples)
        .collect();
    let missing = total - shares.iter().sum::<usize>();

    let mut by_remainder: Vec<_> = (0..members.len()).collect();
    by_remainder.sort_by_key(|&class| {
        let remainder = total * members[class].len() % samples;
        (std::cmp::Reverse(remainder), class)
    });
    for &class in &by_remainder[..missing] {
        shares[class] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(labels: &[usize], indices: &[usize]) -> [usize; 3] {
        let mut counts = [0; 3];
        for &index in indices {
            counts[labels[index]] += 1;
        }
        counts
    }

    #[test]
    fn a_seed_always_gives_the_same_split() {
        let labels: Vec<_> = (0..30).map(|index| index % 3).collect();

        let (rest, held_out) = stratified_split(&labels, 6, 42).unwrap();
        // From an independent ChaCha8 in Python.
        assert_eq!(held_out, [0, 2, 7, 12, 22, 26]);
        assert_eq!(rest[..6], [1, 3, 4, 5, 6, 8]);
        assert_eq!(sample_per_class(&labels, 1, 42).unwrap(), [0, 7, 26]);
        assert_ne!(stratified_split(&labels, 6, 43).unwrap().1, held_out);
    }

    #[test]
    fn the_largest_remainders_are_rounded_up() {
        // Exact shares of 5: 5/2, 3/2 and 1.
        let labels = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2];
        let (_, held_out) = stratified_split(&labels, 0.5, 0).unwrap();

        assert_eq!(counts(&labels, &held_out), [3, 1, 1]);
    }

    #[test]
    fn a_smaller_set_of_labels_is_part_of_a_larger_one() {
        let labels: Vec<_> = (0..300).map(|index| index % 3).collect();
        let few = sample_per_class(&labels, 5, 1).unwrap();
        let more = sample_per_class(&labels, 20, 1).unwrap();

        assert_eq!(counts(&labels, &few), [5; 3]);
        assert!(few.iter().all(|index| more.contains(index)));
    }

    #[test]
    fn classes_without_samples_need_no_labels() {
        assert_eq!(sample_per_class(&[0, 2, 2], 1, 0).unwrap().len(), 2);
        assert!(sample_per_class(&[], 1, 0).unwrap().is_empty());
    }

    #[test]
    fn impossible_sizes_are_named() {
        let error = |holdout: Holdout| stratified_split(&[0, 1], holdout, 0).unwrap_err();

        assert_eq!(
            error(3.into()).to_string(),
            "cannot hold out 3 of 2 samples"
        );
        assert_eq!(
            error(1.5.into()).to_string(),
            "the fraction to hold out should be from 0 to 1, but is 1.5"
        );
        assert!(error(f64::NAN.into()).to_string().ends_with("but is NaN"));
        assert_eq!(
            sample_per_class(&[0, 0, 1], 2, 0).unwrap_err().to_string(),
            "class 1 has only 1 samples, but 2 should be labeled: use fewer"
        );
    }

    proptest! {
        #[test]
        fn the_parts_make_the_whole_and_every_class_has_its_share(
            labels in prop::collection::vec(0usize..3, 0..200),
            fraction in 0.0..=1.0,
            seed: u64,
        ) {
            let (rest, held_out) = stratified_split(&labels, fraction, seed).unwrap();
            let mut all = [rest, held_out.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());

            let whole = counts(&labels, &(0..labels.len()).collect::<Vec<_>>());
            for (class, count) in counts(&labels, &held_out).into_iter().enumerate() {
                let exact = (held_out.len() * whole[class]) as f64 / labels.len().max(1) as f64;
                prop_assert!((count as f64 - exact).abs() < 1.0);
            }
        }
    }
}
