use super::*;

/// Files of images by the ending of their names, links included.
const KIND: FileKind = FileKind {
    one: "image",
    many: "images",
    is_sample: |path, _| {
        let extension = path.extension().unwrap_or_default();
        let known = ["png", "jpg", "webp", "gif", "bmp", "tiff"];
        known.iter().any(|it| extension.eq_ignore_ascii_case(it))
    },
};

/// Creates a folder with empty files of these names.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

/// Returns the paths of the images with their classes, relative to the folder.
fn listed(files: &[&str]) -> Vec<(String, usize)> {
    let folder = folder(files);
    let listing = Listing::of(folder.path(), KIND).unwrap();
    let relative = |path: &PathBuf| {
        path.strip_prefix(folder.path())
            .unwrap()
            .display()
            .to_string()
    };
    listing
        .files
        .iter()
        .map(|(path, class)| (relative(path), *class))
        .collect()
}

fn refused(files: &[&str]) -> String {
    let folder = folder(files);
    let listing =
        PartFolders::of(folder.path(), KIND).and_then(|parts| Listing::of(&parts.train, KIND));
    let error = listing.unwrap_err().to_string();
    error.replace(&folder.path().display().to_string(), "photos")
}

#[test]
fn classes_and_images_are_in_the_order_of_their_names() {
    let files = [
        "dogs/b.png",
        "cats/z.JPG",
        "dogs/a.webp",
        "cats/sub/deep/y.gif",
        "Birds/x.bmp",
    ];
    let images = listed(&files);

    let expected = [
        ("Birds/x.bmp", 0),
        ("cats/sub/deep/y.gif", 1),
        ("cats/z.JPG", 1),
        ("dogs/a.webp", 2),
        ("dogs/b.png", 2),
    ];
    assert_eq!(
        images,
        expected.map(|(path, class)| (path.to_string(), class))
    );
    let folder = folder(&files);
    assert_eq!(
        Listing::of(folder.path(), KIND).unwrap().classes,
        ["Birds", "cats", "dogs"]
    );
}

#[test]
fn hidden_files_are_left_out_and_others_are_counted() {
    let files = [
        "a/x.png",
        "a/.y.png",
        ".git/z.png",
        "__MACOSX/a/._x.png",
        "a/notes.txt",
        "labels.csv",
        "a/raw.tiff",
    ];
    let folder = folder(&files);
    let listing = Listing::of(folder.path(), KIND).unwrap();

    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let images: Vec<_> = listing.files.iter().map(|(path, _)| name(path)).collect();
    // The TIFF image will be refused by its contents, not left out unseen.
    assert_eq!(images, ["raw.tiff", "x.png"]);
    let others: Vec<_> = listing.others.iter().map(name).collect();
    assert_eq!(others, ["notes.txt", "labels.csv"]);
    assert_eq!(listing.classes, ["a"]);
}

#[test]
fn folders_without_the_images_of_classes_are_refused_with_what_to_do() {
    assert!(refused(&[]).starts_with("photos: there are no images: put those of each class into"));
    assert!(refused(&["x.png"]).starts_with("photos: the images are in no folders of classes"));
    assert!(
        refused(&["a/x.png", "y.png"])
            .starts_with("photos/y.png: this image is beside the folders of the classes")
    );
    assert!(
        refused(&["a/x.png", "b/notes.txt"])
            .starts_with("photos/b: this class has no images: add some, or remove the folder")
    );
    assert!(
        refused(&["test/a/x.png", "val/a/x.png"])
            .starts_with("photos: it holds parts of a data set, but no folder `train`")
    );
    assert!(
        refused(&["train/a/x.png", "val/a/x.png", "valid/a/x.png"]).starts_with(
            "photos: it holds two folders of validation images, photos/val and photos/valid"
        )
    );
    let error = PartFolders::of(Path::new("no/where"), KIND)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no/where: there is no such folder."),
        "{error}"
    );
    let folder = folder(&["x.png"]);
    let error = PartFolders::of(&folder.path().join("x.png"), KIND)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it should be a folder of images, but is a file"),
        "{error}"
    );
}

#[test]
fn parts_are_the_folders_train_val_and_test_unless_these_are_classes() {
    let parts = |files: &[&str]| {
        let folder = folder(files);
        let PartFolders {
            train,
            validation,
            test,
        } = PartFolders::of(folder.path(), KIND).unwrap();
        let name = |path: PathBuf| match path == folder.path() {
            true => "all".to_string(),
            false => path.file_name().unwrap().to_string_lossy().into_owned(),
        };
        (name(train), validation.map(name), test.map(name))
    };
    let some = |name: &str| Some(name.to_string());

    assert_eq!(parts(&["train/a/x.png"]), ("train".into(), None, None));
    assert_eq!(
        parts(&[
            "train/a/x.png",
            "validation/a/x.png",
            "test/a/x.png",
            "README.md"
        ]),
        ("train".into(), some("validation"), some("test"))
    );
    // A class of vehicles.
    assert_eq!(
        parts(&["train/x.png", "bus/x.png"]),
        ("all".into(), None, None)
    );
    assert_eq!(parts(&["a/x.png"]), ("all".into(), None, None));
}

#[test]
fn classes_of_another_part_have_the_same_numbers() {
    let classes = ["a", "b", "c"].map(String::from);
    let test = folder(&["c/x.png", "a/y.png"]);
    let of_test = Listing::of(test.path(), KIND).unwrap();
    let of_test = of_test.with_classes(test.path(), KIND, &classes).unwrap();

    assert_eq!(
        of_test
            .files
            .iter()
            .map(|(_, class)| *class)
            .collect::<Vec<_>>(),
        [0, 2]
    );
    assert_eq!(of_test.classes, classes);
    let other = folder(&["d/x.png"]);
    let error = Listing::of(other.path(), KIND)
        .unwrap()
        .with_classes(other.path(), KIND, &classes);
    assert!(error.unwrap_err().to_string().ends_with(
        "it holds the class `d`, which the training images do not have: they have a, b, c"
    ));
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_a_circle() {
    use std::os::unix::fs::symlink;

    let elsewhere = folder(&["y.png"]);
    let folder = folder(&["a/x.png"]);
    let at = |name: &str| folder.path().join(name);
    symlink(elsewhere.path(), at("b")).unwrap();
    symlink(at("a/x.png"), at("a/link.png")).unwrap();
    symlink("nowhere", at("a/lost.png")).unwrap();
    symlink("nowhere", at("a/lost")).unwrap();
    let listing = Listing::of(folder.path(), KIND).unwrap();
    assert_eq!(listing.classes, ["a", "b"]);
    // The lost image is an error of the scan, which can skip it.
    assert_eq!(listing.files.len(), 4);
    assert_eq!(listing.others, [at("a/lost")]);

    fs::create_dir(at("a/sub")).unwrap();
    symlink(folder.path(), at("a/sub/back")).unwrap();
    let error = Listing::of(folder.path(), KIND).unwrap_err().to_string();
    assert!(
        error.contains("a/sub/back: this link leads back to"),
        "{error}"
    );
}
