use burn_distill_core::KeyedRng;
use std::collections::HashMap;

/// The samples that a training set holds, as far as a contrast between them has to know them.
#[derive(Clone, Debug, Default)]
pub struct SampleIndex {
    /// The ids of the samples, those of a class beside each other.
    ids: Vec<usize>,
    /// The place of each id in that order, and the first and last place of its class.
    places: HashMap<usize, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    own: usize,
    first: usize,
    after: usize,
}

impl SampleIndex {
    /// The samples with these ids and classes. A sample whose class is not known is alone in its
    /// class.
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

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The place of a sample in the order of the classes, if it is one of these.
    pub fn place(&self, id: usize) -> Option<usize> {
        self.places.get(&id).map(|place| place.own)
    }

    /// Whether two samples, given by their places, are of one class.
    pub(crate) fn alike(&self, a: usize, b: usize) -> bool {
        self.places
            .get(&self.ids[a])
            .is_some_and(|place| (place.first..place.after).contains(&b))
    }

    /// The places of as many samples of other classes than that at `place`: different ones, unless
    /// there are too few. Of a single class there are none.
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

    /// The place of some sample of the class of that at `place`, perhaps itself.
    pub(crate) fn similar(&self, place: usize, rng: &mut KeyedRng) -> usize {
        let Place { first, after, .. } = self.places[&self.ids[place]];
        first + rng.below((after - first) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn population() -> SampleIndex {
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
        let population = population();
        let mut rng = KeyedRng::new([0; 4]);
        for id in 10..17 {
            let place = population.place(id).unwrap();
            let alike: BTreeSet<_> = (0..7).filter(|&b| population.alike(place, b)).collect();
            assert!(alike.contains(&place));

            let others = population.others(place, 7 - alike.len(), &mut rng);
            let all: BTreeSet<_> = others.into_iter().chain(alike.iter().copied()).collect();
            assert_eq!(all, (0..7).collect(), "{id}");
            assert!(alike.contains(&population.similar(place, &mut rng)));
        }
        let alike = |a: usize, b: usize| {
            population.alike(population.place(a).unwrap(), population.place(b).unwrap())
        };
        assert!(alike(10, 16) && alike(11, 15) && !alike(12, 14) && !alike(10, 11));
    }

    #[test]
    fn too_few_others_are_drawn_again() {
        let population = population();
        let place = population.place(10).unwrap();

        assert_eq!(
            population
                .others(place, 50, &mut KeyedRng::new([0; 4]))
                .len(),
            50
        );
        let single = SampleIndex::new([(0, Some(1)), (1, Some(1))]);
        assert!(single.others(0, 5, &mut KeyedRng::new([0; 4])).is_empty());
        assert_eq!(population.place(3), None);
    }
}
