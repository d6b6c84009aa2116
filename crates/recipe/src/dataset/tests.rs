use super::*;
use crate::input::Tokens;
use burn::data::dataloader::DataLoader;
use burn::tensor::Tensor;
use burn_distill::core::Input;
use burn_distill::data::{Augmentation, BatchLoader, DataSource, DatasetName, ViewKey, digits};

fn shown(ids: &[usize]) -> Vec<ViewedSample> {
    let key = ViewKey {
        seed: 0,
        id: 0,
        epoch: 1,
        view: 0,
        repetition: 0,
    };
    ids.iter().map(|&id| ViewedSample { id, key }).collect()
}

fn view(data: impl Into<AnyDataset>, ids: &[usize]) -> AnyInput {
    let data = data.into();
    let mut prepared = data.prepare(&[shown(ids)], &Views::default()).unwrap();
    data.upload(prepared.remove(0), &Device::flex())
}

fn vectors() -> ArrayDataset {
    let values = (0..6).map(|value| value as f32).collect();
    ArrayDataset::vectors("points", 2, values, vec![0, 1, 1], ["a", "b"]).unwrap()
}

fn tokens() -> ArrayDataset {
    let sequences = [vec![4, 5, 6], vec![7], vec![8, 9]];
    ArrayDataset::tokens("words", 10, &sequences, vec![0, 1, 1], ["a", "b"]).unwrap()
}

#[test]
fn arrays_are_batched_as_inputs_of_their_kind() {
    let points = Tensor::<2>::try_from(view(vectors(), &[2, 0])).unwrap();
    points
        .into_data()
        .assert_eq(&[[4.0_f32, 5.0], [0.0, 1.0]].into(), false);

    let values = (0..8).map(|value| value as f32).collect();
    let paths = ArrayDataset::sequences("paths", [2, 2], values, vec![0, 0], ["a"]).unwrap();
    let paths = Tensor::<3>::try_from(view(paths, &[1])).unwrap();
    paths
        .into_data()
        .assert_eq(&[[[4.0_f32, 5.0], [6.0, 7.0]]].into(), false);

    let Tokens { ids, mask } = view(tokens(), &[1, 2]).try_into().unwrap();
    ids.into_data()
        .assert_eq(&[[7_i64, 0, 0], [8, 9, 0]].into(), false);
    let expected = [[true, false, false], [true, true, false]];
    mask.into_data().assert_eq(&expected.into(), false);
}

#[test]
fn images_are_batched_as_by_a_loader_of_images() {
    let augmentation = Augmentation {
        crop: Some(1),
        flip: true,
        ..Augmentation::default()
    };
    let device = Device::flex();
    let images = BatchLoader::new(digits().take(30), 8).shuffle(1);
    let images = images.augment(augmentation, 2).device(&device);
    let any = BatchLoader::new(AnyDataset::from(digits().take(30)), 8).shuffle(1);
    let any = any.augment(augmentation, 2).device(&device);

    for (of_images, of_any) in images.iter().zip(any.iter()) {
        let (of_images, of_any) = (of_images.unwrap(), of_any.unwrap());
        assert_eq!(of_images.ids, of_any.ids);
        let view = Tensor::<4>::try_from(of_any.view().clone()).unwrap();
        view.into_data()
            .assert_eq(&of_images.view().to_data(), true);
    }
}

#[test]
fn pairs_and_few_labels_need_no_images() {
    let loader = BatchLoader::new(AnyDataset::from(vectors()), 3).labeled(&[0, 1, 2]);
    let loader = loader.pairs(0).device(&Device::flex());

    let batch = loader.iter().next().unwrap().unwrap();
    assert_eq!((batch.views.len(), batch.views[1].len()), (2, 3));
    let few = AnyDataset::from(vectors()).sample_per_class(1, 0).unwrap();
    assert_eq!(few.labels(), [0, 1]);
}

#[test]
fn the_checksum_is_that_of_the_contents() {
    let checksum = |data: ArrayDataset| TrainTestData::from(data).checksum();
    let masked = [vec![4, 5, 6], vec![7, 0], vec![8, 9]];
    let masked = ArrayDataset::tokens("words", 10, &masked, vec![0, 1, 1], ["a", "b"]);

    assert_eq!(checksum(tokens()), checksum(tokens()));
    assert_ne!(checksum(tokens()), checksum(masked.unwrap()));
    // The shape of images is the same as before other inputs were supported.
    let digits = DatasetName::Digits.load(&DataSource::default()).unwrap();
    let plain = digits.checksum();
    assert_eq!(any_published(digits).checksum(), plain);
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let vectors = |values: usize, label: usize| {
        let made = ArrayDataset::vectors("x", 2, vec![0.0; values], vec![label], ["a"]);
        made.unwrap_err().to_string()
    };
    assert_eq!(
        vectors(3, 0),
        "x: 1 labels and 3 numbers do not make vectors of 2 features"
    );
    assert_eq!(
        vectors(2, 1),
        "x: label 1 is not below the number of classes, 1"
    );
    let tokens = |sequences: &[Vec<usize>]| {
        let made = ArrayDataset::tokens("x", 5, sequences, vec![0], ["a"]);
        made.unwrap_err().to_string()
    };
    assert_eq!(
        tokens(&[vec![5]]),
        "x: token 5 is not below the size of the vocabulary, 5"
    );
    assert!(tokens(&[vec![]]).contains("do not make sequences of 0 tokens"));
}

#[test]
fn arrays_are_not_augmented() {
    let views = Views {
        augmentation: Augmentation {
            flip: true,
            ..Augmentation::default()
        },
        ..Views::default()
    };

    let error = AnyDataset::from(tokens()).check_views(&views).unwrap_err();
    assert!(error.to_string().starts_with("only images can be cropped"));
}
