use crate::{DataError, Samples, ViewedSample, Views};
use burn::tensor::Device;
use std::ops::Range;
use std::sync::Arc;

/// Samples whose classes are in another order, such as the order in which a network learns them.
///
/// Everything but the labels is that of the inner samples.
///
/// # Example
///
/// ```
/// use burn_distill_data::{ReorderedClasses, Samples, digits};
///
/// // The odd digits first.
/// let digits = ReorderedClasses::new(digits(), &[1, 3, 5, 7, 9, 0, 2, 4, 6, 8]);
///
/// let odd = digits.of_classes(0..5);
/// assert!(odd.ids().iter().all(|&id| odd.inner().label(id) % 2 == 1));
/// assert!(odd.labels().iter().all(|&label| label < 5));
/// ```
#[derive(Clone, Debug)]
pub struct ReorderedClasses<S> {
    samples: S,
    /// New place of each class.
    places: Arc<[usize]>,
}

impl<S: Samples> ReorderedClasses<S> {
    /// Creates the samples from the classes in their new order.
    ///
    /// # Panics
    ///
    /// Panics if a class is missing or occurs twice.
    pub fn new(samples: S, order: &[usize]) -> Self {
        let mut places = vec![usize::MAX; samples.num_classes()];
        for (place, &class) in order.iter().enumerate() {
            let first = places.get(class).is_some_and(|&place| place == usize::MAX);
            assert!(
                first,
                "An order of {} classes should have each of them once, but has {class} twice, or there \
                 is no such class.",
                places.len()
            );
            places[class] = place;
        }
        assert_eq!(
            order.len(),
            places.len(),
            "An order should have each class once, but some are missing."
        );
        Self {
            samples,
            places: places.into(),
        }
    }

    /// Returns the inner samples, with their own labels.
    pub fn inner(&self) -> &S {
        &self.samples
    }

    /// Returns the labeled samples of a range of the classes in their new order.
    pub fn of_classes(&self, classes: Range<usize>) -> Self {
        let ids = self.ids().iter().copied();
        let ids: Vec<_> = ids
            .filter(|&id| self.is_labeled(id) && classes.contains(&self.label(id)))
            .collect();
        self.subset(ids)
    }
}

impl<S: Samples> Samples for ReorderedClasses<S> {
    type Input = S::Input;
    type Prepared = S::Prepared;

    fn ids(&self) -> &[usize] {
        self.samples.ids()
    }

    fn published_len(&self) -> usize {
        self.samples.published_len()
    }

    fn num_classes(&self) -> usize {
        self.samples.num_classes()
    }

    fn label(&self, id: usize) -> usize {
        self.places[self.samples.label(id)]
    }

    fn is_labeled(&self, id: usize) -> bool {
        self.samples.is_labeled(id)
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        Self {
            samples: self.samples.subset(ids),
            places: self.places.clone(),
        }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        self.samples.check_views(views)
    }

    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        views: &Views,
    ) -> Result<Vec<Self::Prepared>, DataError> {
        self.samples.prepare(shown, views)
    }

    fn upload(&self, prepared: Self::Prepared, device: &Device) -> Self::Input {
        self.samples.upload(prepared, device)
    }

    fn layout(&self) -> String {
        self.samples.layout()
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        self.samples.feed_sample(id, sink);
    }

    /// The labels are those of the samples, before they are reordered.
    fn feed(&self, sink: &mut dyn FnMut(&[u8])) {
        self.samples.feed(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchLoader, digits};
    use burn::data::dataloader::DataLoader;

    const ORDER: [usize; 10] = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn batches_have_the_labels_in_the_new_order() {
        let plain = digits().take(6);
        let reordered = ReorderedClasses::new(plain.clone(), &ORDER);
        let batch = BatchLoader::new(reordered, 6)
            .iter()
            .next()
            .unwrap()
            .unwrap();

        let expected: Vec<_> = plain
            .labels()
            .into_iter()
            .map(|label| (label + 1) % 10)
            .collect();
        let (classes, _) = batch.targets.class_labels().unwrap();
        let found: Vec<_> = classes
            .into_data()
            .iter::<i64>()
            .map(|class| class as usize)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_subset_keeps_the_order() {
        let reordered = ReorderedClasses::new(digits(), &ORDER);

        let nines = reordered.of_classes(0..1);

        assert!(!nines.is_empty());
        assert!(nines.ids().iter().all(|&id| nines.inner().label(id) == 9));
        assert_eq!(nines.take(2).labels(), [0, 0]);
    }

    #[test]
    #[should_panic(expected = "should have each of them once, but has 1 twice")]
    fn a_class_that_occurs_twice_is_refused() {
        ReorderedClasses::new(digits(), &[0, 1, 1]);
    }

    #[test]
    #[should_panic(expected = "but some are missing")]
    fn a_missing_class_is_refused() {
        ReorderedClasses::new(digits(), &[0, 1]);
    }
}
