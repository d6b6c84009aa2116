use super::*;
use crate::{
    Augmentation, BatchLoader, ClassList, ImageResize, MultiCrop, Normalization, Repeats, Samples,
    digits,
};
use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use image::{GrayImage, Rgb, RgbImage};
use std::fs;
use std::sync::Arc;

/// Writes the first digits as PNG files, in folders of their classes, and returns the folder.
fn photos(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_digits(folder.path(), 0..count);
    folder
}

fn write_digits(folder: &Path, ids: std::ops::Range<usize>) {
    let digits = digits();
    for id in ids {
        let class = folder.join(format!("digit-{}", digits.label(id)));
        fs::create_dir_all(&class).unwrap();
        // Levels of 16 in 255.
        let pixels = digits.pixels(id).iter().map(|level| level * 15).collect();
        let image = GrayImage::from_raw(8, 8, pixels).unwrap();
        image.save(class.join(format!("{id:05}.png"))).unwrap();
    }
}

fn loaded(config: &ImageFolderConfig) -> ImageFolder {
    config.load().unwrap().train
}

fn error(config: &ImageFolderConfig) -> String {
    config.load().unwrap_err().to_string()
}

/// Returns all batches of an epoch as plain values.
fn batches<S>(loader: &BatchLoader<S>) -> Vec<(Vec<usize>, Vec<Vec<f32>>)>
where
    S: Samples<Input = burn::tensor::Tensor<4>>,
{
    let loader = loader.clone().device(&Device::flex());
    let batches = loader.iter().map(|batch| {
        let batch = batch.unwrap();
        let views = batch
            .views
            .iter()
            .map(|view| view.to_data().iter().collect());
        (batch.ids.clone(), views.collect())
    });
    batches.collect()
}

#[test]
fn a_folder_holds_the_samples_of_its_classes() {
    let folder = photos(100);
    let images = loaded(&ImageFolderConfig::new(folder.path()));

    assert_eq!((images.len(), images.shape()), (100, [1, 8, 8]));
    let names: Vec<_> = (0..10).map(|digit| format!("digit-{digit}")).collect();
    assert_eq!(images.classes(), names);
    // Sorted by class, then by the name of the file.
    let digits = digits();
    let mut expected: Vec<_> = (0..100).map(|id| (digits.label(id), id)).collect();
    expected.sort_unstable();
    let labels: Vec<_> = expected.iter().map(|(label, _)| *label).collect();
    assert_eq!(Samples::labels(&images), labels);
    let batch = batches(&BatchLoader::new(images, 100)).remove(0);
    let first: Vec<_> = digits
        .pixels(expected[0].1)
        .iter()
        .map(|&level| f32::from(level) * 15.0 / 255.0)
        .collect();
    assert_eq!(batch.1[0][..64], first);
}

#[test]
fn batches_do_not_depend_on_memory_and_workers() {
    let folder = photos(60);
    let config = ImageFolderConfig {
        resize: Some(ImageResize::Shorter(12)),
        ..ImageFolderConfig::new(folder.path())
    };
    let none = ImageFolderConfig {
        memory_mib: 0,
        ..config.clone()
    };
    let augmentation = Augmentation {
        crop: Some(2),
        flip: true,
        ..Augmentation::default()
    };
    let of = |config: &ImageFolderConfig, workers| {
        let loader = BatchLoader::new(loaded(config), 16).shuffle(3);
        batches(&loader.augment(augmentation, 1).views(2).workers(workers))
    };

    let kept = of(&config, 0);
    assert_eq!(kept.len(), 4);
    assert_eq!(of(&none, 0), kept);
    assert_eq!(of(&none, 3), kept);
    let crops = |config: &ImageFolderConfig| {
        let crop = MultiCrop::new([1, 12, 12]);
        batches(&BatchLoader::new(loaded(config), 60).multi_crop(crop))
    };
    assert_eq!(crops(&none), crops(&config));
}

#[test]
fn a_folder_is_augmented_as_images_in_memory() {
    let folder = photos(40);
    let images = loaded(&ImageFolderConfig::new(folder.path()));
    let digits = digits();
    let in_memory = crate::ImageDataset::new(crate::ImageData {
        name: "digits".into(),
        shape: [1, 8, 8],
        pixels: {
            let mut ids: Vec<_> = (0..40).collect();
            ids.sort_by_key(|&id| (digits.label(id), id));
            ids.iter()
                .flat_map(|&id| digits.pixels(id).to_vec())
                .map(|level| level * 15)
                .collect()
        },
        max_value: 255,
        labels: Samples::labels(&images),
        classes: images.classes().to_vec(),
        normalization: images.measured_normalization(),
    });
    let images = images
        .clone()
        .with_normalization(images.measured_normalization());
    let strong = Augmentation {
        crop: Some(1),
        flip: true,
        strong: Some(crate::StrongAugmentation::RandAugment {
            operations: 2,
            magnitude: 10,
            cutout: None,
        }),
    };

    let expected = BatchLoader::new(in_memory.unwrap(), 8)
        .shuffle(5)
        .augment(strong, 2)
        .views(2);
    let found = BatchLoader::new(images, 8)
        .shuffle(5)
        .augment(strong, 2)
        .views(2);
    assert_eq!(batches(&found), batches(&expected));
}

#[test]
fn the_normalization_is_measured_on_the_samples_that_are_left() {
    let folder = tempfile::tempdir().unwrap();
    for (class, image) in [
        (
            "a",
            RgbImage::from_fn(2, 1, |x, _| Rgb([0, 51, 255 * x as u8])),
        ),
        ("b", RgbImage::from_pixel(2, 1, Rgb([255, 51, 255]))),
    ] {
        fs::create_dir(folder.path().join(class)).unwrap();
        image.save(folder.path().join(class).join("x.png")).unwrap();
    }
    let images = loaded(&ImageFolderConfig::new(folder.path()));

    let Normalization { mean, std } = images.measured_normalization();
    assert_eq!(mean, [0.5, 0.2, 0.75]);
    // The second channel has one level only.
    assert_eq!(std[..2], [0.5, 1.0]);
    assert!((std[2] - 0.1875_f32.sqrt()).abs() < 1e-6);
    assert_eq!(
        images.take(1).measured_normalization().mean,
        [0.0, 0.2, 0.5]
    );

    let normalized = images
        .clone()
        .with_normalization(images.measured_normalization());
    let batch = batches(&BatchLoader::new(normalized, 2)).remove(0);
    let mean = batch.1[0].iter().sum::<f32>() / 12.0;
    assert!(mean.abs() < 1e-6, "{mean}");
}

#[test]
fn gray_and_color_make_color() {
    let folder = photos(10);
    let color = RgbImage::from_pixel(8, 8, Rgb([1, 2, 3]));
    color.save(folder.path().join("digit-0/zzz.png")).unwrap();
    let config = ImageFolderConfig::new(folder.path());

    let images = loaded(&config);
    assert_eq!(images.shape(), [3, 8, 8]);
    let none = ImageFolderConfig {
        memory_mib: 0,
        ..config.clone()
    };
    assert_eq!(
        batches(&BatchLoader::new(images.clone(), 11)),
        batches(&BatchLoader::new(loaded(&none), 11))
    );
    assert_eq!(
        images.measured_normalization(),
        loaded(&none).measured_normalization()
    );
    let gray = ImageFolderConfig {
        channels: Some(1),
        ..config
    };
    assert_eq!(loaded(&gray).shape(), [1, 8, 8]);
}

#[test]
fn images_of_different_sizes_need_a_resize() {
    let folder = photos(3);
    GrayImage::new(8, 9)
        .save(folder.path().join("digit-0/zzz.png"))
        .unwrap();
    let config = ImageFolderConfig::new(folder.path());

    let error = error(&config);
    assert!(error.starts_with("the images differ in size: "), "{error}");
    assert!(
        error.contains("zzz.png has 9 × 8: set `resize` to a height and a width"),
        "{error}"
    );
    let config = ImageFolderConfig {
        crop: Some([8, 8]),
        ..config
    };
    assert_eq!(loaded(&config).shape(), [1, 8, 8]);
}

#[test]
fn broken_images_are_named_and_refused_or_skipped() {
    let folder = photos(20);
    let empty = folder.path().join("digit-0/a.png");
    fs::write(&empty, "").unwrap();
    fs::write(folder.path().join("digit-1/b.jpg"), "text").unwrap();
    let config = ImageFolderConfig::new(folder.path());

    let error = error(&config);
    assert!(
        error.starts_with("2 of 22 images cannot be used: "),
        "{error}"
    );
    assert!(
        error.contains(&format!("{}: the file is empty; ", empty.display())),
        "{error}"
    );
    assert!(
        error.contains("b.jpg: the contents are not those of a PNG, JPEG"),
        "{error}"
    );
    assert!(
        error.ends_with("or set `broken = \"skip\"` to leave them out"),
        "{error}"
    );
    let whole = loaded(&ImageFolderConfig::new(photos(20).path()));
    let skipped = loaded(&ImageFolderConfig {
        broken: BrokenImages::Skip,
        ..config
    });
    assert_eq!(
        batches(&BatchLoader::new(skipped, 20)),
        batches(&BatchLoader::new(whole, 20))
    );
}

#[test]
fn a_folder_of_broken_images_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/x.png"), "").unwrap();
    let config = ImageFolderConfig {
        broken: BrokenImages::Skip,
        ..ImageFolderConfig::new(folder.path())
    };

    assert!(error(&config).ends_with(": all images are broken"));
}

#[test]
fn a_class_of_broken_images_alone_is_refused() {
    let folder = photos(20);
    for entry in fs::read_dir(folder.path().join("digit-3")).unwrap() {
        fs::write(entry.unwrap().path(), "").unwrap();
    }
    let config = ImageFolderConfig {
        broken: BrokenImages::Skip,
        ..ImageFolderConfig::new(folder.path())
    };

    let error = error(&config);
    assert!(
        error.ends_with(
            ": all images of the class digit-3 are broken: add others, or remove its folder"
        ),
        "{error}"
    );
}

#[test]
fn a_file_that_has_changed_or_is_gone_is_an_error_of_the_batch() {
    let folder = photos(10);
    let config = ImageFolderConfig {
        memory_mib: 0,
        ..ImageFolderConfig::new(folder.path())
    };
    let images = loaded(&config);
    let file = folder.path().join("digit-3/00003.png");
    let first_error = |images: ImageFolder, workers| {
        let loader = BatchLoader::new(images, 4)
            .workers(workers)
            .device(&Device::flex());
        loader
            .iter()
            .find_map(Result::err)
            .map(|error| format!("{error:?}{error}"))
    };
    assert_eq!(first_error(images.clone(), 0), None);

    GrayImage::new(8, 8).save(&file).unwrap();
    let error = first_error(images.clone(), 0).unwrap();
    assert!(
        error.contains("00003.png: the file has changed since it was read first"),
        "{error}"
    );
    fs::remove_file(&file).unwrap();
    let error = first_error(images, 2).unwrap();
    assert!(error.contains("00003.png: No such file"), "{error}");
}

#[test]
fn test_and_validation_images_have_folders_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    for (part, ids) in [("train", 0..30), ("val", 30..34), ("test", 40..45)] {
        write_digits(&folder.path().join(part), ids);
    }
    let config = ImageFolderConfig::new(folder.path());
    let data = config.load().unwrap();
    let (validation, test) = (data.validation.clone().unwrap(), data.test.clone().unwrap());
    assert_eq!((data.train.len(), validation.len(), test.len()), (30, 4, 5));
    assert_eq!(test.classes(), data.train.classes());
    let digits = digits();
    let mut expected: Vec<_> = (40..45).map(|id| digits.label(id)).collect();
    expected.sort_unstable();
    assert_eq!(Samples::labels(&test), expected);

    let elsewhere = ImageFolderConfig {
        test_folder: Some(folder.path().join("test")),
        ..ImageFolderConfig::new(folder.path().join("train"))
    };
    let data = elsewhere.load().unwrap();
    assert_eq!(
        (data.validation.is_none(), data.test.unwrap().len()),
        (true, 5)
    );
    let twice = ImageFolderConfig {
        test_folder: elsewhere.test_folder,
        ..config
    };
    assert!(error(&twice).contains("the folder of `test_folder`: keep one"));
}

#[test]
fn test_images_among_the_training_images_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("photos"), 0..20);
    let config = ImageFolderConfig {
        test_folder: Some(folder.path().join("photos/test")),
        ..ImageFolderConfig::new(folder.path().join("photos"))
    };
    write_digits(&folder.path().join("photos/test"), 0..5);
    assert!(error(&config).contains("of which they would be a class: move them out"));

    write_digits(&folder.path().join("test"), 18..25);
    fs::remove_dir_all(folder.path().join("photos/test")).unwrap();
    let config = ImageFolderConfig {
        test_folder: Some(folder.path().join("test")),
        ..config
    };
    let data = config.load().unwrap();
    let repeats = Repeats::of(&data.train, &data.test.unwrap());
    assert_eq!(repeats.in_training, 2);
}

#[test]
fn the_checksum_is_that_of_the_files_and_their_use() {
    let folder = photos(20);
    let config = ImageFolderConfig::new(folder.path());
    let checksum = |config: &ImageFolderConfig| config.load().unwrap().checksum();
    let first = checksum(&config);

    let none = ImageFolderConfig {
        memory_mib: 0,
        ..config.clone()
    };
    assert_eq!(checksum(&none), first);
    let resized = ImageFolderConfig {
        resize: Some(ImageResize::Exact([8, 8])),
        ..config.clone()
    };
    assert_ne!(checksum(&resized), first);
    let moved = folder.path().join("digit-0/00000.png");
    fs::rename(moved, folder.path().join("digit-1/00000.png")).unwrap();
    assert_ne!(checksum(&config), first);
}

#[test]
fn constants_of_other_channels_are_refused() {
    let folder = photos(5);
    let config = ImageFolderConfig {
        normalization: Some(Normalization {
            mean: vec![0.5; 3],
            std: vec![0.5; 3],
        }),
        ..ImageFolderConfig::new(folder.path())
    };

    assert!(error(&config).starts_with("the images have 1 channels, but `normalization` is for 3"));
    let color = ImageFolderConfig {
        channels: Some(3),
        ..config
    };
    assert_eq!(loaded(&color).normalization().unwrap().mean, [0.5; 3]);
}

#[test]
fn subsets_share_the_images() {
    let images = loaded(&ImageFolderConfig::new(photos(30).path()));
    let (rest, held_out) = Samples::split(&images, 0.2, 0).unwrap();

    assert_eq!((rest.len(), held_out.len()), (24, 6));
    assert_eq!(rest.published_len(), 30);
    let few = Samples::take(&images, 2).subset(Arc::<[usize]>::from([29]));
    assert_eq!(few.ids(), [29]);
    assert_eq!(format!("{few:?}").matches("samples: 1").count(), 1);
}

/// Returns the configuration of images without labels.
fn unlabeled(folder: &Path) -> ImageFolderConfig {
    ImageFolderConfig {
        labels: false,
        classes: Some(ClassList::Names(
            (0..10).map(|digit| format!("digit-{digit}")).collect(),
        )),
        ..ImageFolderConfig::new(folder)
    }
}

#[test]
fn images_without_labels_may_lie_anywhere_in_their_folder() {
    let folder = photos(30);
    let digit = fs::read_dir(folder.path().join("digit-3")).unwrap().next();
    fs::copy(digit.unwrap().unwrap().path(), folder.path().join("0.png")).unwrap();
    let images = loaded(&unlabeled(folder.path()));

    assert_eq!((images.len(), images.num_classes()), (31, 10));
    assert!(Samples::labels(&images).iter().all(|&label| label == 0));
    assert!((0..31).all(|id| !images.is_labeled(id)));
    assert_eq!(Samples::labeled(&images).len(), 0);
    let batch = BatchLoader::new(images.clone(), 8).iter().next();
    let (_, known) = batch.unwrap().unwrap().targets.class_labels().unwrap();
    assert!(known.unwrap().to_data().iter::<bool>().all(|known| !known));
    let (rest, held_out) = Samples::split(&images, 0.2, 0).unwrap();
    assert_eq!((rest.len(), held_out.len()), (25, 6));

    assert!(error(&ImageFolderConfig::new(folder.path())).contains("beside the folders"));
    let nameless = ImageFolderConfig {
        classes: None,
        ..unlabeled(folder.path())
    };
    assert!(error(&nameless).starts_with("the images have no labels, so that nothing names"));
}

#[test]
fn test_images_may_have_labels_beside_unlabeled_training_images() {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("train"), 0..30);
    write_digits(&folder.path().join("val"), 30..40);
    write_digits(&folder.path().join("test"), 40..60);
    let parts = unlabeled(folder.path()).load().unwrap();
    let test = parts.test.unwrap();
    assert!(!parts.validation.unwrap().is_labeled(0) && test.is_labeled(0));
    let mut expected: Vec<_> = (40..60).map(|id| digits().label(id)).collect();
    expected.sort_unstable();
    assert_eq!(Samples::labels(&test), expected);

    let fewer = ImageFolderConfig {
        classes: Some(ClassList::Names(vec!["digit-0".into(), "one".into()])),
        ..unlabeled(folder.path())
    };
    let refused = error(&fewer);
    assert!(
        refused.contains("`digit-1`, which is no class of the teacher, whose classes are digit-0"),
        "{refused}"
    );

    let flat = folder.path().join("flat");
    fs::create_dir(&flat).unwrap();
    let image = fs::read_dir(folder.path().join("test/digit-0")).unwrap();
    let image = image.into_iter().next().unwrap().unwrap().path();
    fs::rename(image, flat.join("0.png")).unwrap();
    let elsewhere = ImageFolderConfig {
        test_folder: Some(flat),
        ..unlabeled(&folder.path().join("train"))
    };
    assert!(!elsewhere.load().unwrap().test.unwrap().is_labeled(0));
    let inside = ImageFolderConfig {
        test_folder: Some(folder.path().join("train/digit-1")),
        ..unlabeled(&folder.path().join("train"))
    };
    assert!(error(&inside).contains("to which they would belong: move them out"));
}
