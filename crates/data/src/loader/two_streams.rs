//! Batches from two streams: unlabeled samples once per epoch, labeled ones as often as needed.

use super::showing::Showing;
use crate::DataError;
use crate::rng::{Purpose, rng};

/// Positions of the labeled and of the unlabeled samples in a data set, and the composition of
/// batches.
pub(super) struct Streams {
    pub(super) labeled: Vec<usize>,
    pub(super) unlabeled: Vec<usize>,
    /// Numbers of labeled and of unlabeled samples in a batch.
    pub(super) batch: [usize; 2],
    /// Whether a last batch that is not full is skipped.
    pub(super) drop_last: bool,
}

impl Streams {
    /// Returns the number of samples that an epoch delivers, and the number of its batches.
    pub(super) fn samples_and_batches(&self) -> (usize, usize) {
        if self.labeled.is_empty() {
            return (0, 0);
        }
        let (unlabeled, [labeled, rest]) = (self.unlabeled.len(), self.batch);
        let batches = match self.drop_last {
            true => unlabeled / rest,
            false => unlabeled.div_ceil(rest),
        };
        (unlabeled.min(batches * rest) + batches * labeled, batches)
    }

    /// Returns the error of an epoch without a batch.
    pub(super) fn no_batch(&self) -> DataError {
        let [labeled, unlabeled] = [&self.labeled, &self.unlabeled].map(Vec::len);
        match labeled == 0 || unlabeled == 0 {
            true => DataError::OneStream { labeled, unlabeled },
            false => DataError::NoBatch {
                samples: unlabeled,
                batch_size: self.batch[1],
            },
        }
    }

    /// Returns the order of an epoch, batch by batch.
    ///
    /// `repetitions` holds the number of earlier occurrences of the same sample, for each position.
    pub(super) fn order(
        &self,
        repetitions: &[usize],
        shuffle: Option<u64>,
        epoch: usize,
    ) -> Vec<Showing> {
        let (samples, batches) = self.samples_and_batches();
        let [labeled, rest] = self.batch;
        // Pass 0 is that of the unlabeled samples, so that no two passes share an order.
        let pass = |places: &[usize], pass: usize| match shuffle {
            Some(seed) => {
                let key = [seed, epoch as u64, pass as u64];
                let order = rng(Purpose::Order, key, 0).permutation(places.len());
                order.into_iter().map(|at| places[at]).collect()
            }
            None => places.to_vec(),
        };
        // Another pass over a position is counted as a repetition after all those in the data set.
        let stride = 1 + repetitions.iter().max().copied().unwrap_or(0);
        let mut again = (0..).flat_map(|number| {
            let places: Vec<usize> = pass(&self.labeled, number + 1);
            let shown = move |place| Showing {
                place,
                repetition: repetitions[place] + number * stride,
            };
            places.into_iter().map(shown)
        });
        let mut order = Vec::with_capacity(samples);
        let once: Vec<usize> = pass(&self.unlabeled, 0);
        for unlabeled in once.chunks(rest).take(batches) {
            let once = |&place| Showing::once(repetitions, place);
            order.extend(unlabeled.iter().map(once));
            order.extend(again.by_ref().take(labeled));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use crate::{Augmentation, BatchLoader, ImageDataset, digits};
    use burn::data::dataloader::DataLoader;
    use burn::tensor::{Device, Tensor};
    use burn_distill_core::Batch;
    use std::collections::{BTreeMap, BTreeSet};

    /// Two labels for each of the ten digits.
    const LABELS: usize = 20;

    fn dataset() -> ImageDataset {
        digits().take(103)
    }

    fn few(dataset: &ImageDataset) -> Vec<usize> {
        dataset.sample_per_class(2, 0).unwrap().ids().to_vec()
    }

    /// Returns a loader of batches of 16, of which six samples are labeled.
    fn loader() -> BatchLoader {
        let dataset = dataset();
        let few = few(&dataset);
        let loader = BatchLoader::new(dataset, 16).labeled(&few).shuffle(3);
        loader.labeled_per_batch(6).device(&Device::flex())
    }

    fn batches(loader: &BatchLoader, epoch: usize) -> Vec<Batch<Tensor<4>>> {
        loader.epoch(epoch).map(Result::unwrap).collect()
    }

    fn ids(batches: &[Batch<Tensor<4>>]) -> Vec<Vec<usize>> {
        batches.iter().map(|batch| batch.ids.clone()).collect()
    }

    fn known(batch: &Batch<Tensor<4>>) -> Vec<bool> {
        let (_, known) = batch.targets.class_labels().unwrap();
        known.unwrap().into_data().iter().collect()
    }

    #[test]
    fn every_batch_has_its_labeled_samples_after_its_unlabeled_ones() {
        let batches = batches(&loader(), 1);

        // 83 unlabeled samples, ten in a batch.
        let sizes: Vec<_> = batches.iter().map(Batch::len).collect();
        assert_eq!(sizes, [16, 16, 16, 16, 16, 16, 16, 16, 9]);
        for batch in &batches {
            let expected = (0..batch.len()).map(|at| at >= batch.len() - 6);
            assert_eq!(known(batch), expected.collect::<Vec<_>>());
            assert_eq!(batch.clock.batches, 9);
        }
    }

    #[test]
    fn an_epoch_is_one_pass_over_the_unlabeled_and_whole_passes_over_the_labeled() {
        let few = BTreeSet::from_iter(few(&dataset()));
        for epoch in 1..4 {
            let ids = ids(&batches(&loader(), epoch)).concat();
            let (labeled, unlabeled): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| few.contains(id));

            let once = BTreeSet::from_iter(unlabeled.iter().copied());
            assert_eq!((unlabeled.len(), once.len()), (83, 83));
            // 54 samples: two passes of 20 and a part of the third, each in a different order.
            assert_eq!(labeled.len(), 54);
            let passes: Vec<_> = labeled.chunks(LABELS).collect();
            for pass in &passes {
                let once = BTreeSet::from_iter(pass.iter().copied());
                assert_eq!(once.len(), pass.len());
            }
            assert_ne!(passes[0], passes[1]);
        }
    }

    #[test]
    fn the_order_depends_only_on_the_seed_and_the_epoch() {
        let first = ids(&batches(&loader(), 2));

        for other in [
            loader().workers(1),
            loader().workers(3),
            loader().starting_at(2),
        ] {
            assert_eq!(ids(&batches(&other, 2)), first);
        }
        let resumed = loader().starting_at(2);
        let resumed: Vec<_> = resumed.iter().map(|batch| batch.unwrap().ids).collect();
        assert_eq!(resumed, first);
        assert_ne!(ids(&batches(&loader(), 1)), first);
        assert_ne!(ids(&batches(&loader().shuffle(4), 2)), first);
    }

    #[test]
    fn repetitions_of_a_labeled_sample_are_augmented_independently() {
        let shift = Augmentation {
            crop: Some(2),
            ..Augmentation::default()
        };
        let few = BTreeSet::from_iter(few(&dataset()));
        let loader = loader().augment(shift, 0).views(2);
        for view in [0, 1] {
            let mut images: BTreeMap<_, Vec<Vec<u32>>> = BTreeMap::new();
            for batch in batches(&loader, 1) {
                let pixels: Vec<f32> = batch.views[view].to_data().iter().collect();
                for (id, image) in batch.ids.iter().zip(pixels.chunks(64)) {
                    let image = image.iter().map(|pixel| pixel.to_bits()).collect();
                    images.entry(*id).or_default().push(image);
                }
            }
            images.retain(|id, _| few.contains(id));
            let shown: usize = images.values().map(Vec::len).sum();
            let different = images
                .values()
                .map(|images| BTreeSet::from_iter(images).len());
            let different: usize = different.sum();
            assert_eq!(shown, 54);
            // There are 25 different views of each sample, some of which coincide by chance.
            assert!(different > 48, "{different} of {shown}");
        }
    }

    #[test]
    fn without_shuffling_both_streams_keep_their_order() {
        let dataset = dataset();
        let few = few(&dataset);
        let loader = BatchLoader::new(dataset.clone(), 16).labeled(&few);
        let loader = loader.labeled_per_batch(6).device(&Device::flex());

        let ids = ids(&batches(&loader, 1));

        let is_few = |id: &usize| few.contains(id);
        let (labeled, unlabeled): (Vec<usize>, Vec<usize>) =
            dataset.ids().iter().copied().partition(is_few);
        assert_eq!(ids[0], [&unlabeled[..10], &labeled[..6]].concat());
        let second = [&unlabeled[10..20], &labeled[6..12]].concat();
        assert_eq!(ids[1], second);
        let fourth = [&unlabeled[30..40], &labeled[18..], &labeled[..4]].concat();
        assert_eq!(ids[3], fourth);
    }

    #[test]
    fn the_numbers_of_samples_and_batches_are_those_delivered() {
        for loader in [loader(), loader().drop_last(true)] {
            let batches = batches(&loader, 1);
            let samples: usize = batches.iter().map(Batch::len).sum();
            assert_eq!(loader.num_batches(), batches.len());
            assert_eq!(loader.num_items(), samples);

            let mut iterator = loader.epoch(1);
            while iterator.next().is_some() {}
            use burn::data::dataloader::DataLoaderIterator;
            assert!(iterator.progress().is_completed());
        }
        let dropped = loader().drop_last(true);
        assert_eq!((dropped.num_batches(), dropped.num_items()), (8, 128));
    }

    #[test]
    fn there_may_be_more_labeled_samples_in_a_batch_than_labels() {
        let dataset = dataset();
        let loader = BatchLoader::new(dataset, 16).labeled(&[1, 2]).shuffle(0);
        let loader = loader.labeled_per_batch(8).device(&Device::flex());

        let batch = batches(&loader, 1).swap_remove(0);

        let labeled = &batch.ids[8..];
        assert_eq!(labeled.iter().filter(|&&id| id == 1).count(), 4);
    }

    #[test]
    fn two_streams_need_samples_of_both_kinds() {
        let all: Vec<_> = (0..103).collect();
        for (labels, expected) in [
            (&all[..], "103 samples are labeled and 0 are not"),
            (&[], "0 samples are labeled and 103 are not"),
        ] {
            for workers in [0, 2] {
                let loader = BatchLoader::new(dataset(), 16).workers(workers);
                let loader = loader.labeled(labels).labeled_per_batch(6);
                let mut epoch = loader.device(&Device::flex()).epoch(1);

                let error = epoch.next().unwrap().unwrap_err().to_string();
                assert!(error.contains(expected), "{error}");
                assert!(epoch.next().is_none());
            }
        }
        let few = few(&dataset());
        let loader = BatchLoader::new(dataset(), 100).labeled(&few);
        let loader = loader.labeled_per_batch(6).drop_last(true);
        let error = loader.epoch(1).next().unwrap().unwrap_err().to_string();
        assert!(
            error.contains("83 samples do not fill one of 94"),
            "{error}"
        );
    }

    #[test]
    #[should_panic(expected = "should have from 1 to 15 labeled samples beside unlabeled ones")]
    fn a_batch_needs_room_for_unlabeled_samples() {
        let _ = BatchLoader::new(dataset(), 16).labeled_per_batch(16);
    }
}
