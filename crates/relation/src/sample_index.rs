use burn_distill_core::KeyedRng;
use std::collections::HashMap;

/// Samples of a training set and their classes, indexed for drawing positives and negatives.
#[derive(Clone, Debug, Default)]
pub struct SampleIndex {
    /// Ids of the samples, grouped by class.
    ids: Vec<usize>,
    /// Position of each id in `ids`, and the range of its class.
    places: HashMap<usize, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    own: usize,
    first: usize,
    after: usize,
}

impl SampleIndex {
    /// Creates the index of samples with these ids and classes. A sample of unknown class is in a
    /// class by itself.
    pub fn new(samples: impl IntoIterator<Item = (usize, Option<usize>)>) -> Self {
        let mut samples: Vec<_> = samples.into_iter().collect();
        samples.sort_by_key(|&(id, class)| (class, id));
        samples.dedup_by_key(|&mut (id, _)| id);

        let ids: Vec<_> = samples.iter().map(|&(id, _)| id).collect();
        let mut places = HashMap::with_capacity(ids.len());
        let alike =
            |a: &(usize, Option<usize>), b: &(usize, Option<usize>)| a.1.is_some() && a.1 == b.1;
        let mut first = 0;
        for group in samples.chunk_by(alike) {
            let after = first + group.len();
            for (own, (id, _)) in (first..).zip(group) {
                places.insert(*id, Place { own, first, after });
            }
            first = after;
        }
        Self { ids, places }
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the position of a sample in the order of the classes, if it is in the index.
    pub fn place(&self, id: usize) -> Option<usize> {
        self.places.get(&id).map(|place| place.own)
    }

    /// Returns whether two samples, given by their positions, are of the same class.
    pub(crate) fn alike(&self, a: usize, b: usize) -> bool {
        self.places
            .get(&self.ids[a])
            .is_some_and(|place| (place.first..place.after).contains(&b))
    }

    /// Draws the positions of `count` samples of other classes than that of `place`, without
    /// repetition unless there are too few. Returns none if there is only one class.
    pub(crate) fn others(&self, place: usize, count: usize, rng: &mut KeyedRng) -> Vec<usize> {
        let Place { first, after, .. } = self.places[&self.ids[place]];
        let alike = after - first;
        let others = self.len() - alike;
        let drawn = if others == 0 {
            Vec::new()
        } else if count <= others {
            rng.distinct(count, others)
        } else {
            (0..count)
                .map(|_| rng.below(others as u64) as usize)
                .collect()
        };
        drawn
            .into_iter()
            .map(|other| if other < first { other } else { other + alike })
            .collect()
    }

    /// Draws the position of a sample of the same class as that of `place`, possibly itself.
    pub(crate) fn similar(&self, place: usize, rng: &mut KeyedRng) -> usize {
        let Place { first, after, .. } = self.places[&self.ids[place]];
        first + rng.below((after - first) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn index() -> SampleIndex {
        let class = [Some(1), Some(0), None, Some(1), None, Some(0), Some(1)];
        SampleIndex::new(
            class
                .into_iter()
                .enumerate()
                .map(|(id, class)| (10 + id, class)),
        )
    }

    #[test]
    fn others_are_of_other_classes_and_differ() {
        let index = index();
        let mut rng = KeyedRng::new([0; 4]);
        for id in 10..17 {
            let place = index.place(id).unwrap();
            let alike: BTreeSet<_> = (0..7).filter(|&b| index.alike(place, b)).collect();
            assert!(alike.contains(&place));

            let others = index.others(place, 7 - alike.len(), &mut rng);
            let all: BTreeSet<_> = others.into_iter().chain(alike.iter().copied()).collect();
            assert_eq!(all, (0..7).collect(), "{id}");
            assert!(alike.contains(&index.similar(place, &mut rng)));
        }
        let alike =
            |a: usize, b: usize| index.alike(index.place(a).unwrap(), index.place(b).unwrap());
        assert!(alike(10, 16) && alike(11, 15) && !alike(12, 14) && !alike(10, 11));
    }

    #[test]
    fn too_few_others_are_drawn_repeatedly() {
        let index = index();
        let place = index.place(10).unwrap();

        assert_eq!(
            index.others(place, 50, &mut KeyedRng::new([0; 4])).len(),
            50
        );
        let single = SampleIndex::new([(0, Some(1)), (1, Some(1))]);
        assert!(single.others(0, 5, &mut KeyedRng::new([0; 4])).is_empty());
        assert_eq!(index.place(3), None);
    }
}
