use super::*;
use crate::dataset::tests::six;
use crate::{ImageData, Operation, StrongAugmentation, ViewKey, digits};
use burn::data::dataloader::split::split_dataloader;
use burn::tensor::Tensor;
use burn_distill_core::{Clock, Targets};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SHIFT: Augmentation = Augmentation {
    crop: Some(2),
    flip: true,
    strong: None,
};
const STRONG: Augmentation = Augmentation {
    strong: Some(StrongAugmentation::RandAugment {
        operations: 2,
        magnitude: 9,
        cutout: Some(2),
    }),
    ..SHIFT
};

fn loader() -> BatchLoader {
    BatchLoader::new(digits().take(103), 10).device(&Device::flex())
}

fn batches(loader: &dyn DataLoader<Batch<Tensor<4>>>) -> Vec<Batch<Tensor<4>>> {
    loader.iter().map(Result::unwrap).collect()
}

fn ids(loader: &dyn DataLoader<Batch<Tensor<4>>>) -> Vec<usize> {
    batches(loader)
        .into_iter()
        .flat_map(|batch| batch.ids)
        .collect()
}

fn pixels(view: &Tensor<4>) -> Vec<f32> {
    view.clone().into_data().try_to_vec().unwrap()
}

fn targets(batch: &Batch<Tensor<4>>) -> (Vec<i64>, Option<Vec<bool>>) {
    let Targets::Classes { classes, labeled } = &batch.targets else {
        panic!("The loader gives classes.");
    };
    let classes = classes.clone().into_data().iter::<i64>().collect();
    (
        classes,
        labeled
            .clone()
            .map(|labeled| labeled.into_data().iter::<bool>().collect()),
    )
}

#[test]
fn samples_are_loaded_in_the_order_of_the_data_set() {
    let loader = BatchLoader::new(six(), 4).device(&Device::flex());
    let batches = batches(&loader);

    assert_eq!(batches[0].view().dims(), [4, 1, 2, 3]);
    assert_eq!(batches[0].ids, [0, 1, 2, 3]);
    assert_eq!(batches[1].ids, [4, 5]);
    assert_eq!(targets(&batches[0]), (vec![0, 0, 0, 1], None));
    assert_eq!(targets(&batches[1]), (vec![1, 2], None));
    // Pixel 24 starts image 4: (24/255 − 0.5) / 0.25.
    assert!((pixels(batches[1].view())[0] - -1.623_529_4).abs() < 1e-6);
    assert_eq!(
        batches[1].clock,
        Clock {
            epoch: 1,
            batch: 1,
            batches: 2
        }
    );
}

#[test]
fn a_seed_always_gives_the_same_order() {
    let loader = BatchLoader::new(digits(), 8).shuffle(42);

    let first = |epoch| loader.epoch(epoch).next().unwrap().unwrap().ids;
    // From an independent ChaCha8 in Python.
    assert_eq!(first(1), [203, 47, 711, 1789, 86, 475, 99, 1758]);
    assert_eq!(first(2), [285, 98, 500, 490, 774, 1646, 799, 1441]);
}

#[test]
fn every_epoch_has_every_sample_once_in_a_new_order() {
    let loader = loader().shuffle(0);
    let (first, second) = (ids(&loader), ids(&loader));

    assert_ne!(first, second);
    for mut ids in [first, second] {
        ids.sort_unstable();
        assert_eq!(ids, (0..103).collect::<Vec<_>>());
    }
}

#[test]
fn workers_change_nothing() {
    let alone = loader()
        .shuffle(1)
        .augment(STRONG, 2)
        .views(2)
        .pairs(3)
        .labeled(&[3, 14, 15]);
    for workers in [1, 2, 3, 20] {
        let together = alone.clone().workers(workers);
        for epoch in 1..3 {
            let mut pairs = 0;
            for (a, b) in alone.epoch(epoch).zip(together.epoch(epoch)) {
                let (a, b) = (a.unwrap(), b.unwrap());
                assert_eq!(
                    (&a.ids, a.clock, targets(&a)),
                    (&b.ids, b.clock, targets(&b))
                );
                for (a, b) in a.views.iter().zip(&b.views) {
                    assert_eq!(pixels(a), pixels(b));
                }
                pairs += 1;
            }
            assert_eq!(pairs, 11);
            assert_eq!(together.epoch(epoch).count(), 11);
        }
    }
}

#[test]
fn a_view_does_not_depend_on_the_batch_it_is_in() {
    let view = |batch_size: usize, seed: u64, id: usize| {
        let loader = BatchLoader::new(digits().take(30), batch_size).shuffle(seed);
        let batches = batches(&loader.augment(SHIFT, 5));
        let batch = batches
            .into_iter()
            .find(|batch| batch.ids.contains(&id))
            .unwrap();
        let place = batch.ids.iter().position(|&other| other == id).unwrap();
        pixels(&batch.view().clone().narrow(0, place, 1))
    };

    assert_eq!(view(7, 0, 11), view(10, 99, 11));
}

#[test]
fn views_differ_from_each_other_and_between_epochs() {
    let loader = loader().augment(SHIFT, 0).views(2);
    let (first, second) = (
        batches(&loader).swap_remove(0),
        batches(&loader).swap_remove(0),
    );

    assert_eq!(first.views.len(), 2);
    assert_ne!(pixels(&first.views[0]), pixels(&first.views[1]));
    assert_ne!(pixels(&first.views[0]), pixels(&second.views[0]));
}

/// Returns the ids of the samples that a view of a batch shows, found by their pixels.
fn shown(dataset: &ImageDataset, view: &Tensor<4>) -> Vec<usize> {
    let whole = BatchLoader::new(dataset.clone(), dataset.len()).device(&Device::flex());
    let batch = batches(&whole).swap_remove(0);
    let known = pixels(batch.view());
    let size = dataset.shape().iter().product();
    let find = |image: &[f32]| {
        let place = known.chunks(size).position(|known| known == image);
        batch.ids[place.expect("an image of the data set")]
    };
    pixels(view).chunks(size).map(find).collect()
}

#[test]
fn the_second_view_of_pairs_shows_any_sample_of_the_class() {
    let dataset = digits().take(60);
    let loader = BatchLoader::new(dataset.clone(), 16).shuffle(3).pairs(7);
    let alone = BatchLoader::new(dataset.clone(), 16).shuffle(3);
    let mut seen = BTreeSet::new();
    for epoch in 1..=60 {
        for (pairs, alone) in loader.epoch(epoch).zip(alone.epoch(epoch)) {
            let (pairs, alone) = (pairs.unwrap(), alone.unwrap());
            assert_eq!(pairs.views.len(), 2);
            // Partners do not change the anchors.
            assert_eq!((&pairs.ids, targets(&pairs)), (&alone.ids, targets(&alone)));
            assert_eq!(pixels(pairs.view()), pixels(alone.view()));
            let partners = shown(&dataset, &pairs.views[1]);
            seen.extend(pairs.ids.into_iter().zip(partners));
        }
    }

    let same_class = |&(a, b): &(usize, usize)| dataset.label(a) == dataset.label(b);
    assert!(seen.iter().all(same_class));
    // About six samples per class, seen 60 times: every pair occurs, including a sample with
    // itself.
    let counts = dataset.class_counts();
    let all: usize = counts.iter().map(|count| count * count).sum();
    assert!(seen.len() > all * 99 / 100, "{} of {all}", seen.len());
    assert!(seen.iter().filter(|(a, b)| a == b).count() > 50);
}

#[test]
fn partners_depend_only_on_seed_epoch_and_sample() {
    let dataset = digits().take(103);
    let partners = |loader: &BatchLoader, epoch| -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for batch in loader.epoch(epoch).map(Result::unwrap) {
            let partners = shown(&dataset, &batch.views[1]);
            pairs.extend(batch.ids.into_iter().zip(partners));
        }
        pairs.sort_unstable();
        pairs
    };
    let expected = partners(&loader().pairs(1), 2);

    let other_batches = BatchLoader::new(dataset.clone(), 7).shuffle(9).pairs(1);
    for same in [
        other_batches.clone(),
        other_batches.clone().workers(3),
        other_batches.views(3),
    ] {
        assert_eq!(partners(&same, 2), expected);
    }
    assert_ne!(partners(&loader().pairs(1), 3), expected);
    assert_ne!(partners(&loader().pairs(2), 2), expected);

    // A run that is resumed in epoch 2.
    let resumed = batches(&loader().pairs(1).starting_at(2));
    let resumed = resumed.iter().flat_map(|batch| {
        let partners = shown(&dataset, &batch.views[1]);
        batch.ids.clone().into_iter().zip(partners)
    });
    assert_eq!(
        resumed.collect::<BTreeSet<_>>(),
        BTreeSet::from_iter(expected)
    );
}

#[test]
fn partners_are_augmented_independently() {
    let shift = Augmentation {
        crop: Some(1),
        flip: false,
        strong: None,
    };
    let alike = |labels: Vec<usize>| ImageData {
        name: "alike".into(),
        shape: [1, 4, 4],
        pixels: (0..labels.len()).flat_map(|_| 1..=16).collect(),
        max_value: 255,
        classes: labels.iter().map(usize::to_string).collect(),
        labels,
        normalization: crate::Normalization {
            mean: vec![0.0],
            std: vec![1.0],
        },
    };
    // Every sample is the only one of its class, and all images are equal.
    let dataset = ImageDataset::new(alike((0..40).collect())).unwrap();
    let loader = BatchLoader::new(dataset, 40).augment(shift, 0).pairs(0);
    let batch = batches(&loader).swap_remove(0);
    let [anchors, partners] = [0, 1].map(|view| pixels(&batch.views[view]));

    let rows = |pixels: &[f32]| {
        let rows: Vec<Vec<u32>> = pixels
            .chunks(16)
            .map(|row| row.iter().map(|pixel| pixel.to_bits()).collect())
            .collect();
        rows
    };
    let (anchors, partners) = (rows(&anchors), rows(&partners));
    assert_ne!(anchors, partners);
}

#[test]
fn two_samples_get_different_views_of_a_shared_partner() {
    let dataset = digits().take(60);
    let plain = BatchLoader::new(dataset.clone(), 60).pairs(0);
    let partners = shown(&dataset, &batches(&plain).swap_remove(0).views[1]);
    let batch = batches(&plain.clone().starting_at(1).augment(SHIFT, 0)).swap_remove(0);
    let size = dataset.shape().iter().product();
    let views = pixels(&batch.views[1]);

    let mut seen: BTreeMap<usize, BTreeSet<Vec<u32>>> = BTreeMap::new();
    for (partner, view) in partners.iter().zip(views.chunks(size)) {
        let view = view.iter().map(|pixel| pixel.to_bits()).collect();
        seen.entry(*partner).or_default().insert(view);
    }
    let shared = 60 - seen.len();
    let ways: usize = seen.values().map(|ways| ways.len() - 1).sum();
    // There are 50 different views of each sample.
    assert!(shared > 15 && ways > shared * 8 / 10, "{ways} of {shared}");
}

#[test]
fn only_known_labels_make_pairs() {
    // Samples 3 and 4 are of class 1 and sample 5 is the only one of class 2.
    let dataset = six();
    let loader = BatchLoader::new(dataset.clone(), 6)
        .labeled(&[0, 1, 3, 5])
        .pairs(0)
        .device(&Device::flex());
    let mut seen = BTreeSet::new();
    for epoch in 1..=40 {
        let batch = loader.epoch(epoch).next().unwrap().unwrap();
        let partners = shown(&dataset, &batch.views[1]);
        seen.extend(batch.ids.into_iter().zip(partners));
    }

    // Sample 2 is of class 0 and sample 4 of class 1, which are unknown to the loader.
    let expected = [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn partners_of_a_slice_are_from_the_slice() {
    let part = loader().shuffle(4).pairs(1).slice(0, 34);
    let within = BTreeSet::from_iter(ids(&*part));
    for batch in batches(&*part) {
        let partners = shown(&digits().take(103), &batch.views[1]);
        assert!(partners.iter().all(|id| within.contains(id)));
    }
}

/// Returns three samples of each digit, each of them 20 times.
fn repeated() -> (ImageDataset, BatchLoader) {
    let few = digits().sample_per_class(3, 0).unwrap();
    let ids: Vec<_> = few.ids().iter().copied().cycle().take(600).collect();
    let loader = BatchLoader::new(few.subset(ids), 64).shuffle(1);
    (few, loader.device(&Device::flex()))
}

/// Returns the different images of every id in one view of these batches.
fn images(
    batches: impl IntoIterator<Item = Batch<Tensor<4>>>,
    view: usize,
) -> BTreeMap<usize, BTreeSet<Vec<u32>>> {
    let mut images: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for batch in batches {
        let pixels = pixels(&batch.views[view]);
        for (id, image) in batch.ids.iter().zip(pixels.chunks(64)) {
            let image = image.iter().map(|pixel| pixel.to_bits()).collect();
            images.entry(*id).or_default().insert(image);
        }
    }
    images
}

#[test]
fn occurrences_of_a_repeated_sample_have_different_views() {
    let (_, loader) = repeated();
    let loader = loader.augment(STRONG, 5).views(2);
    let batches: Vec<_> = loader.epoch(1).map(Result::unwrap).collect();

    // Of 20 draws among the 50 pairs of a shift and a flip, 16.6 differ on average.
    let weak = images(batches.clone(), 0);
    assert_eq!(weak.len(), 30);
    let counts: Vec<_> = weak.values().map(BTreeSet::len).collect();
    assert!(counts.iter().all(|&count| count >= 12), "{counts:?}");
    let strong = images(batches, 1);
    let counts: Vec<_> = strong.values().map(BTreeSet::len).collect();
    assert!(counts.iter().all(|&count| count >= 18), "{counts:?}");
}

#[test]
fn the_first_occurrence_is_augmented_like_a_single_one() {
    let (few, loader) = repeated();
    let once = BatchLoader::new(few, 64).augment(STRONG, 5).views(2);
    let repeated = loader.augment(STRONG, 5).views(2);
    for view in 0..2 {
        let once = images(once.epoch(3).map(Result::unwrap), view);
        let repeated = images(repeated.epoch(3).map(Result::unwrap), view);
        for (id, image) in once {
            assert_eq!(image.len(), 1);
            assert!(image.is_subset(&repeated[&id]), "sample {id}");
        }
    }
}

#[test]
fn repeated_samples_are_the_same_after_a_resume_and_with_workers() {
    let (_, loader) = repeated();
    let loader = loader.augment(STRONG, 5).views(2).pairs(6);
    let whole: Vec<_> = loader.epoch(2).map(Result::unwrap).collect();
    for same in [loader.clone().workers(3), loader.starting_at(2)] {
        for (expected, batch) in whole.iter().zip(same.epoch(2)) {
            let batch = batch.unwrap();
            assert_eq!(batch.ids, expected.ids);
            for (view, expected) in batch.views.iter().zip(&expected.views) {
                assert_eq!(pixels(view), pixels(expected));
            }
        }
    }
}

#[test]
fn occurrences_of_a_repeated_sample_have_different_partners() {
    let (few, loader) = repeated();
    let mut partners: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for batch in loader.pairs(6).epoch(1).map(Result::unwrap) {
        let seen = shown(&few, &batch.views[1]);
        for (id, partner) in batch.ids.into_iter().zip(seen) {
            partners.entry(id).or_default().insert(partner);
        }
    }

    // Each of the three samples of a class, including the sample itself.
    assert!(partners.values().all(|partners| partners.len() == 3));
}

#[test]
fn two_slices_with_the_same_sample_do_not_augment_it_alike() {
    let (_, loader) = repeated();
    let loader = loader.augment(STRONG, 5).views(2);
    for loader in [loader.clone(), loader.shuffle(2)] {
        let [first, second] = [(0, 300), (300, 600)]
            .map(|(start, end)| images(batches(&*loader.slice(start, end)), 1));
        for (id, seen) in first {
            let shared = second
                .get(&id)
                .map_or(0, |other| seen.intersection(other).count());
            assert!(shared <= 1, "sample {id}: {shared} equal images");
        }
    }
}

#[test]
fn the_first_view_is_weak_and_the_others_are_strong() {
    let views = |augmentation| {
        batches(&loader().augment(augmentation, 0).views(3))
            .swap_remove(0)
            .views
    };
    let (weak, strong) = (views(SHIFT), views(STRONG));

    assert_eq!(pixels(&weak[0]), pixels(&strong[0]));
    assert_ne!(pixels(&weak[1]), pixels(&strong[1]));
    assert_ne!(pixels(&strong[1]), pixels(&strong[2]));
}

#[test]
fn strong_views_use_levels_up_to_255_for_every_maximum() {
    let loader = BatchLoader::new(digits(), 1).augment(STRONG, 7).views(2);
    let batch = batches(&loader.clone().device(&Device::flex())).swap_remove(5);

    let data = loader.dataset();
    let key = ViewKey {
        seed: 7,
        id: 5,
        epoch: 1,
        view: 1,
        repetition: 0,
    };
    let mut image = vec![0; 64];
    STRONG
        .transform(key)
        .apply(data.pixels(5), [1, 8, 8], &mut image);
    image
        .iter_mut()
        .for_each(|pixel| *pixel = (f32::from(*pixel) * 255.0 / 16.0).round() as u8);
    let mean = (255.0 * data.normalization().mean[0]).round() as u8;
    let operations = STRONG.operations(key, [1, 8, 8]);
    assert!(matches!(operations[..], [_, _, Operation::Cutout { .. }]));
    operations
        .iter()
        .for_each(|operation| operation.apply(&mut image, [1, 8, 8], &[mean]));

    let levels = &data.normalization().levels(255)[0];
    let expected: Vec<_> = image
        .iter()
        .map(|&pixel| levels[usize::from(pixel)])
        .collect();
    assert_eq!(pixels(&batch.views[1]), expected);
    // The covered part is close to zero.
    assert!(levels[usize::from(mean)].abs() < 0.01);
}

#[test]
fn padding_is_black_before_normalization() {
    let data = ImageData {
        name: "white".into(),
        shape: [1, 4, 4],
        pixels: vec![255; 16 * 50],
        max_value: 255,
        labels: vec![0; 50],
        classes: vec!["white".into()],
        normalization: crate::Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        },
    };
    let loader = BatchLoader::new(ImageDataset::new(data).unwrap(), 50)
        .augment(SHIFT, 0)
        .device(&Device::flex());

    let values = pixels(batches(&loader)[0].view());
    let values: BTreeSet<_> = values.into_iter().map(|value| value as i32).collect();
    assert_eq!(values, [-1, 1].into());
}

#[test]
fn unlabeled_samples_are_masked_and_have_class_0() {
    let loader = BatchLoader::new(six(), 3)
        .labeled(&[0, 1, 2, 4])
        .device(&Device::flex());
    let batches = batches(&loader);

    assert_eq!(targets(&batches[0]), (vec![0, 0, 0], None));
    assert_eq!(
        targets(&batches[1]),
        (vec![0, 1, 0], Some(vec![false, true, false]))
    );
}

#[test]
fn the_ids_of_a_subset_are_those_of_the_whole() {
    let loader = BatchLoader::new(six().without_class(1), 10)
        .labeled(&[5])
        .device(&Device::flex());
    let batch = batches(&loader).swap_remove(0);

    assert_eq!(batch.ids, [0, 1, 2, 5]);
    assert_eq!(targets(&batch).0, [0, 0, 0, 2]);
}

#[test]
fn a_last_batch_that_is_not_full_is_dropped_on_request() {
    let loader = loader().drop_last(true);
    let batches = batches(&loader);

    assert_eq!((loader.num_items(), loader.num_batches()), (100, 10));
    assert!(
        batches
            .iter()
            .all(|batch| batch.len() == 10 && batch.clock.batches == 10)
    );
    assert_eq!(batches.len(), 10);
}

#[test]
fn an_epoch_without_a_batch_is_an_error() {
    let loader = BatchLoader::new(six(), 7).drop_last(true).workers(2);
    let mut iterator = loader.iter();

    assert_eq!(
        iterator.next().unwrap().unwrap_err().to_string(),
        "no batch: 6 samples do not fill one of 7, and incomplete batches are dropped: reduce the \
         batch size, or keep incomplete batches"
    );
    assert!(iterator.next().is_none());
    assert!(BatchLoader::new(six().take(0), 7).iter().next().is_none());
}

#[test]
fn progress_ends_with_the_last_batch() {
    for loader in [loader(), loader().drop_last(true), loader().workers(2)] {
        let mut iterator = loader.iter();
        assert_eq!(iterator.progress().items_processed, 0);
        let mut processed = 0;
        while let Some(batch) = iterator.next() {
            processed += batch.unwrap().len();
            let progress = iterator.progress();
            assert_eq!(progress.items_processed, processed);
            assert_eq!(progress.items_total, loader.num_items());
            assert_eq!(progress.is_completed(), processed == loader.num_items());
        }
        assert_eq!(processed, loader.num_items());
    }
}

#[test]
fn a_loader_on_a_device_counts_its_own_epochs() {
    let loader = loader().starting_at(3);
    let epoch = |loader: &dyn DataLoader<_>| batches(loader)[0].clock.epoch;

    assert_eq!(epoch(&loader), 3);
    let moved = loader.to_device(&Device::flex().autodiff());
    assert_eq!([epoch(&*moved), epoch(&*moved)], [4, 5]);
    assert_eq!(epoch(&loader), 4);
    assert!(batches(&*moved)[0].view().is_autodiff());
}

#[test]
fn slices_for_several_devices_are_disjoint_in_every_epoch() {
    let whole: Vec<_> = (0..103).collect();
    for loader in [loader(), loader().shuffle(4)] {
        let shuffled = loader.plan.shuffle.is_some();
        let devices = [Device::flex(), Device::flex(), Device::flex()];
        let later = BTreeSet::from_iter(ids(&*loader.clone().starting_at(9).slice(0, 34)));
        let parts = split_dataloader(Arc::new(loader), &devices);
        let sets: Vec<_> = parts
            .iter()
            .map(|part| BTreeSet::from_iter(ids(&**part)))
            .collect();

        assert_eq!(
            parts.iter().map(|part| part.num_items()).sum::<usize>(),
            103
        );
        assert_eq!(
            sets.iter()
                .flatten()
                .copied()
                .collect::<BTreeSet<_>>()
                .len(),
            103
        );
        assert_eq!(
            sets[0].iter().copied().eq(whole[..34].iter().copied()),
            !shuffled
        );
        assert_eq!(sets[0], later, "whenever it is cut");
        for (part, set) in parts.iter().zip(sets) {
            assert_eq!(BTreeSet::from_iter(ids(&**part)), set, "another epoch");
        }
    }
}

#[test]
fn a_dropped_iterator_stops_its_workers() {
    let loader = loader().workers(3);
    let epoch = Arc::new(Epoch::new(loader.plan.clone(), 1));
    let mut workers = workers::Workers::start(&epoch).unwrap();
    workers.take(0);
    assert_eq!(Arc::strong_count(&epoch), 4);

    let start = Instant::now();
    drop(workers);
    assert_eq!(Arc::strong_count(&epoch), 1);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
#[should_panic(expected = "index out of bounds: the len is 0")]
fn a_panic_of_a_worker_reaches_the_caller() {
    let mut loader = loader().workers(2);
    loader.plan_mut().labeled = Some(vec![]);

    loader.iter().for_each(drop);
}

#[test]
#[should_panic(expected = "The batch size should be at least 1, but is 0.")]
fn an_empty_batch_is_refused() {
    BatchLoader::new(six(), 0);
}

#[test]
#[should_panic(
    expected = "The labeled ids should be below the number of samples, 6, but one is 6."
)]
fn unknown_labeled_ids_are_refused() {
    let _ = BatchLoader::new(six(), 1).labeled(&[6]);
}

#[test]
#[should_panic(expected = "`crop` should be from 0 to 2, but is 3")]
fn a_crop_beyond_the_image_is_refused_at_once() {
    let crop = Augmentation {
        crop: Some(3),
        ..Augmentation::default()
    };
    let _ = BatchLoader::new(six(), 1).augment(crop, 0);
}

#[test]
fn multi_crop_makes_large_and_small_views() {
    let crop = MultiCrop {
        locals: 3,
        ..MultiCrop::new([1, 8, 8])
    };
    let flip = Augmentation {
        flip: true,
        ..Augmentation::default()
    };
    let loaders = [
        loader().augment(flip, 0).multi_crop(crop),
        loader().multi_crop(crop).augment(flip, 0).workers(2),
    ];
    assert_eq!(loaders[0].num_views(), 5);

    let batches = loaders.map(|loader| loader.iter().next().unwrap().unwrap());
    for (view, size) in [8, 8, 3, 3, 3].into_iter().enumerate() {
        let [a, b] = [&batches[0].views[view], &batches[1].views[view]];
        assert_eq!(a.dims()[1..], [1, size, size]);
        // Neither the workers nor the order of the settings changes a batch.
        assert_eq!(pixels(a), pixels(b));
    }
    let of = |view: usize| pixels(&batches[0].views[view]);
    assert_ne!(of(0), of(1));
    assert_ne!(of(2), of(3));
}

#[test]
#[should_panic(expected = "by multi-crop: leave out `crop`")]
fn images_are_not_cropped_twice() {
    loader()
        .augment(SHIFT, 0)
        .multi_crop(MultiCrop::new([1, 8, 8]));
}
