use super::*;
use crate::{Augmentation, BatchLoader, Samples, TrainTestData, Views};
use burn::data::dataloader::DataLoader;
use burn_distill_core::{Check, Tokens};
use std::fs;
use tempfile::TempDir;

/// Creates a folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    folder
}

fn config(folder: &TempDir) -> ByteFolderConfig {
    ByteFolderConfig {
        first: 3,
        last: 2,
        ..ByteFolderConfig::new(folder.path())
    }
}

fn refusal<T, E: ToString>(result: Result<T, E>, folder: &TempDir) -> String {
    let error = result.err().expect("it is refused");
    let error = error.to_string();
    error.replace(&folder.path().display().to_string(), "files")
}

#[test]
fn a_file_that_changes_between_two_epochs_is_an_error() {
    let folder = folder(&[("a/file", b"first"), ("b/file", b"second")]);
    let config = config(&folder);
    let files = config.load().unwrap().train;
    let loader = BatchLoader::new(files.clone(), 8);
    let read = || loader.iter().collect::<Result<Vec<_>, _>>();
    read().unwrap();
    // The middle of a file is not read.
    fs::write(folder.path().join("b/file"), b"sec-nd").unwrap();
    read().unwrap();

    fs::write(folder.path().join("b/file"), b"seconds").unwrap();
    let expected = "files/b/file: the file has changed since it was read first: start again";
    assert_eq!(refusal(read(), &folder), expected);
    config.load().unwrap().train.feed(&mut |_| {});
}

#[test]
fn files_are_batched_as_tokens_with_a_mask() {
    let folder = folder(&[
        ("rust/a.rs", b"fn main"),
        ("c/b.c", b"i"),
        ("c/sub/deep", &[0, 255]),
        ("c/.hidden", b"secret"),
        ("c/empty", b""),
    ]);
    let files = config(&folder).load().unwrap().train;

    assert_eq!(files.classes(), ["c", "rust"]);
    assert_eq!(files.labels(), [0, 0, 1]);
    assert!(files.path(1).ends_with("c/sub/deep"));
    let batch = BatchLoader::new(files, 8).iter().next().unwrap().unwrap();
    let Tokens { ids, mask } = batch.view().clone();
    let expected = [
        [105_i64, 256, 256, 256, 105],
        [0, 255, 256, 0, 255],
        [102, 110, 32, 105, 110],
    ];
    ids.into_data().assert_eq(&expected.into(), false);
    let expected = [
        [true, false, false, false, true],
        [true, true, false, true, true],
        [true; 5],
    ];
    mask.into_data().assert_eq(&expected.into(), false);
}

#[test]
fn whitespace_alone_is_one_token_of_padding() {
    let folder = folder(&[("a/x", b" \n "), ("b/y", b"yes")]);
    let config = ByteFolderConfig {
        strip: true,
        ..config(&folder)
    };
    let files = config.load().unwrap().train;
    let batch = BatchLoader::new(files, 8).iter().next().unwrap().unwrap();
    let Tokens { ids, mask } = batch.view().clone();
    let expected = [[256_i64; 5], [121, 101, 115, 101, 115]];
    ids.into_data().assert_eq(&expected.into(), false);
    let expected = [[true, false, false, false, false], [true; 5]];
    mask.into_data().assert_eq(&expected.into(), false);
}

#[test]
fn a_class_of_small_files_alone_is_refused() {
    let folder = folder(&[("a/x", b"1"), ("b/x", b"")]);
    assert_eq!(
        refusal(config(&folder).load(), &folder),
        "files: no file of the class b has 1 bytes or more: add some, or remove its folder"
    );
}

#[test]
fn an_empty_file_has_no_tokens() {
    let folder = folder(&[("x", b"")]);
    let tokens = ByteWindow::MAGIKA.read(&folder.path().join("x"));
    assert_eq!(refusal(tokens, &folder), "files/x: the file is empty");
}

#[test]
fn parts_have_folders_of_their_own() {
    let parts = folder(&[
        ("train/a/x", b"1"),
        ("train/b/x", b"2"),
        ("val/b/x", b"3"),
        ("test/b/x", b"4"),
    ]);
    let TrainTestData {
        train,
        validation,
        test,
    } = config(&parts).load().unwrap();
    assert_eq!(train.labels(), [0, 1]);
    // With the numbers of the classes of the training part.
    assert_eq!(validation.unwrap().labels(), [1]);
    assert_eq!(test.unwrap().labels(), [1]);

    let elsewhere = folder(&[("a/x", b"5")]);
    let both = ByteFolderConfig {
        test_bytes: Some(elsewhere.path().into()),
        ..config(&parts)
    };
    let error = refusal(both.load(), &parts);
    assert!(
        error.starts_with("files/test: there are test files here and in "),
        "{error}"
    );
    let plain = folder(&[("a/x", b"1"), ("b/x", b"2")]);
    let with_test = ByteFolderConfig {
        bytes: plain.path().into(),
        ..both
    };
    assert_eq!(with_test.load().unwrap().test.unwrap().labels(), [0]);
}

#[test]
fn test_files_among_the_training_files_are_refused() {
    let files = folder(&[("a/x", b"1"), ("b/x", b"2"), ("held-out/a/y", b"3")]);
    let config = |test: &str| ByteFolderConfig {
        test_bytes: Some(files.path().join(test)),
        ..config(&files)
    };
    assert_eq!(
        refusal(config("held-out").load(), &files),
        "files/held-out: the test files are in files, the folder of the training files, of which \
         they would be a class: move them out"
    );
    let itself = refusal(config("a/..").load(), &files);
    assert!(
        itself.contains("of which they would be a class"),
        "{itself}"
    );
}

#[test]
fn small_files_are_left_out() {
    let folder = folder(&[
        ("a/x", b"1234567"),
        ("a/y", b"12345678"),
        ("b/z", b"12345678"),
    ]);
    let least = |min_bytes| ByteFolderConfig {
        min_bytes,
        ..config(&folder)
    };
    assert_eq!(least(8).load().unwrap().train.labels(), [0, 1]);
    assert_eq!(
        refusal(least(9).load(), &folder),
        "files: no file has 9 bytes or more"
    );
}

#[test]
fn a_file_that_is_gone_is_named_when_a_batch_is_prepared() {
    let folder = folder(&[("a/x", b"1"), ("b/y", b"2")]);
    let files = config(&folder).load().unwrap().train;
    fs::remove_file(folder.path().join("b/y")).unwrap();

    let error = BatchLoader::new(files, 8)
        .iter()
        .next()
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("b/y: "), "{error}");
}

#[test]
fn the_checksum_depends_on_what_is_read() {
    let sum = |contents: &[u8]| {
        let folder = folder(&[("a/x", contents), ("b/y", b"2")]);
        config(&folder).load().unwrap().checksum()
    };
    assert_eq!(sum(b"123456"), sum(b"123956"));
    assert_ne!(sum(b"123456"), sum(b"123457"));
}

#[test]
fn bad_settings_and_folders_are_refused() {
    let folder = folder(&[("a/x", b"1"), ("loose", b"2")]);
    let error = refusal(config(&folder).load(), &folder);
    assert!(
        error.starts_with("files/loose: this file is beside the folders of the classes"),
        "{error}"
    );
    let refusal = |change: fn(&mut ByteFolderConfig)| {
        let mut config = config(&folder);
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    assert_eq!(
        refusal(|config| config.min_bytes = 0),
        "`min_bytes` should be at least 1, but is 0"
    );
    assert_eq!(
        refusal(|config| config.bytes = Default::default()),
        "`bytes` should be the path of a folder, but is empty"
    );
    assert!(refusal(|config| (config.first, config.last) = (0, 0)).starts_with("`first` should"));
}

#[test]
fn bytes_are_not_augmented() {
    let folder = folder(&[("a/x", b"1"), ("b/y", b"2")]);
    let files = config(&folder).load().unwrap().train;
    let views = Views {
        augmentation: Augmentation {
            flip: true,
            ..Augmentation::default()
        },
        ..Views::default()
    };
    let error = files.check_views(&views).unwrap_err().to_string();
    assert!(error.contains("are the bytes of files"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_to_files_are_read_and_lost_ones_left_out() {
    use std::os::unix::fs::symlink;

    let folder = folder(&[("a/x", b"1"), ("b/y", b"2")]);
    symlink(folder.path().join("a/x"), folder.path().join("b/link")).unwrap();
    symlink("nowhere", folder.path().join("b/lost")).unwrap();
    let files = config(&folder).load().unwrap().train;
    assert_eq!(files.labels(), [0, 1, 1]);
}

#[test]
fn files_without_labels_may_lie_anywhere_and_test_files_may_have_labels() {
    let folder = folder(&[
        ("train/a.rs", b"fn main"),
        ("train/sub/b.c", b"int"),
        ("test/c/b.c", b"int"),
        ("test/rust/a.rs", b"fn"),
    ]);
    let unlabeled = ByteFolderConfig {
        labels: false,
        classes: Some(crate::ClassList::Names(vec!["rust".into(), "c".into()])),
        ..config(&folder)
    };
    let files = unlabeled.load().unwrap();

    assert_eq!((files.train.len(), files.train.num_classes()), (2, 2));
    assert!(!files.train.is_labeled(0) && !files.train.is_labeled(1));
    let test = files.test.unwrap();
    assert_eq!((test.labels(), test.is_labeled(1)), (vec![1, 0], true));

    let labeled = ByteFolderConfig {
        labels: true,
        ..unlabeled
    };
    assert!(refusal(labeled.load(), &folder).starts_with("`classes` should be left out"));
}
