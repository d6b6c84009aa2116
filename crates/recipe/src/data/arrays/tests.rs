use super::*;
use crate::dataset::Measured;
use crate::input::{AnyInput, InputShape};
use crate::{DataRecipe, Registry};
use burn::data::dataloader::DataLoader;
use burn_distill::data::{BatchLoader, Samples};
use std::fmt::Debug;
use std::fs;
use std::io::Write;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Returns an `.npy` file of these bytes.
fn npy(element: &str, shape: impl Debug, content: &[u8]) -> Vec<u8> {
    let shape = format!("{shape:?}").replace('[', "(").replace(']', ",)");
    let header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': {shape}}}\n");
    let length = (header.len() as u16).to_le_bytes();
    [
        b"\x93NUMPY\x01\x00",
        &length[..],
        header.as_bytes(),
        content,
    ]
    .concat()
}

fn floats(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let content: Vec<_> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    npy("<f4", shape, &content)
}

fn integers(shape: &[usize], values: &[i16]) -> Vec<u8> {
    let content: Vec<_> = values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect();
    npy(">i2", shape, &content)
}

/// Returns an archive of these arrays.
fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ZipWriter::new(std::io::Cursor::new(&mut bytes));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in arrays {
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// Files of arrays, and the recipe of data with them.
struct Arrays(TempDir);

impl Arrays {
    fn of(files: &[(&str, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self(folder)
    }

    /// Loads the data with these keys, in which files are named without their folder.
    fn load(&self, keys: &str) -> Result<TrainTestData<AnyDataset>, String> {
        let mut table: toml::Table = keys.parse().unwrap();
        for path in ArraysConfig::PATHS {
            if let Some(toml::Value::String(file)) = table.get_mut(*path) {
                *file = self.0.path().join(&file).display().to_string();
            }
        }
        let recipe: DataRecipe = table.try_into().unwrap();
        recipe.source.check().map_err(|error| error.to_string())?;
        let loaded = recipe.load(&Registry::standard());
        let folder = format!("{}/", self.0.path().display());
        loaded.map_err(|error| format!("{error:#}").replace(&folder, ""))
    }

    fn refusal(&self, keys: &str) -> String {
        self.load(keys).expect_err("the arrays are refused")
    }
}

/// Returns the first batch, of all samples.
fn batch(data: &AnyDataset) -> AnyInput {
    let loader = BatchLoader::new(data.clone(), 100);
    let batch = loader.iter().next().unwrap().unwrap();
    batch.view().clone()
}

fn values(input: &AnyInput) -> Vec<f32> {
    match input {
        AnyInput::Images(images) => images.to_data().iter().collect(),
        AnyInput::Vectors(vectors) => vectors.to_data().iter().collect(),
        AnyInput::Sequences(sequences) => sequences.to_data().iter().collect(),
        AnyInput::Tokens(tokens) => tokens.ids.to_data().iter().collect(),
    }
}

#[test]
fn numbers_are_vectors_or_sequences() {
    let numbers = [1.0, 2.0, 3.0, 4.0, -5.0, 6.5, 7.0, 8.0];
    let arrays = Arrays::of(&[
        ("x.npy", floats(&[4, 2], &numbers)),
        ("s.npy", floats(&[4, 1, 2], &numbers)),
        ("y.npy", integers(&[4], &[7, -1, 7, -1])),
    ]);
    let data = arrays
        .load("arrays = 'x.npy'\nlabels = 'y.npy'")
        .unwrap()
        .train;
    assert_eq!(data.shape(), InputShape::Vector([2]));
    assert_eq!(data.classes(), ["-1", "7"]);
    assert_eq!(data.labels(), [1, 0, 1, 0]);
    assert_eq!(values(&batch(&data)), numbers);
    assert_eq!(data.measured().unwrap(), None);

    let data = arrays
        .load("arrays = 's.npy'\nlabels = 'y.npy'")
        .unwrap()
        .train;
    assert_eq!(data.shape(), InputShape::Sequence([1, 2]));
    assert_eq!(values(&batch(&data.subset([2]))), [-5.0, 6.5]);
}

#[test]
fn integers_with_a_vocabulary_are_tokens() {
    let arrays = Arrays::of(&[
        ("x.npy", integers(&[2, 3], &[4, 0, -1, 2, 9, 1])),
        ("y.npy", integers(&[2, 1], &[0, 1])),
    ]);
    let keys = "arrays = 'x.npy'\nlabels = 'y.npy'\n";
    let data = arrays
        .load(&format!("{keys}vocabulary = 10\npadding = -1"))
        .unwrap()
        .train;
    let shape = InputShape::Tokens {
        length: 3,
        vocabulary: 10,
    };
    assert_eq!(data.shape(), shape);
    let AnyInput::Tokens(tokens) = batch(&data) else {
        panic!("they are tokens");
    };
    tokens
        .ids
        .into_data()
        .assert_eq(&[[4_i64, 0, 0], [2, 9, 1]].into(), false);
    let mask = [[true, true, false], [true; 3]];
    tokens.mask.into_data().assert_eq(&mask.into(), false);

    assert_eq!(
        arrays.refusal(&format!("{keys}vocabulary = 10")),
        "data.arrays: x.npy: sample 0, counted from 0, holds the token -1, but tokens are from 0 \
         to 9, below `vocabulary`: give a larger one, or the token of `padding`"
    );
    assert!(
        arrays
            .refusal(&format!("{keys}vocabulary = 9\npadding = -1"))
            .contains("sample 1, counted from 0, holds the token 9, but tokens are from 0 to 8")
    );
    // Without a vocabulary, they are numbers.
    let data = arrays.load(keys).unwrap().train;
    assert_eq!(values(&batch(&data))[2], -1.0);

    let empty = Arrays::of(&[
        ("x.npy", integers(&[2, 2], &[4, 0, 5, 5])),
        ("y.npy", integers(&[2], &[0, 1])),
    ]);
    let error = empty.refusal(&format!("{keys}vocabulary = 6\npadding = 5"));
    assert!(
        error.contains("sample 1, counted from 0, holds padding only"),
        "{error}"
    );
}

#[test]
fn bytes_of_four_axes_are_images_of_any_layout() {
    // Two images of two channels of 1 by 3 pixels.
    let planes: Vec<u8> = vec![0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112];
    let interleaved = vec![0, 10, 1, 11, 2, 12, 100, 110, 101, 111, 102, 112];
    let arrays = Arrays::of(&[
        ("nchw.npy", npy("|u1", [2, 2, 1, 3], &planes)),
        ("nhwc.npy", npy("|u1", [2, 1, 3, 2], &interleaved)),
        ("nhw.npy", npy("|u1", [2, 2, 3], &planes)),
        ("f.npy", floats(&[2, 1, 1, 1], &[0.0, 1.0])),
        ("y.npy", integers(&[2], &[0, 1])),
    ]);
    let load = |file: &str, keys: &str| {
        arrays.load(&format!("arrays = '{file}'\nlabels = 'y.npy'\n{keys}"))
    };
    // Three at the end are channels for most.
    assert_eq!(
        load("nchw.npy", "").unwrap_err(),
        "data.arrays: nchw.npy: images are [samples, channels, height, width], but the array \
         [2, 2, 1, 3] has 2 channels then: set `layout = \"nhwc\"` if its last axis holds the \
         channels, and `layout = \"nchw\"` if not"
    );
    let nchw = load("nchw.npy", "layout = 'nchw'").unwrap().train;
    assert_eq!(nchw.shape(), InputShape::Image([2, 1, 3]));
    let expected: Vec<_> = planes
        .iter()
        .map(|&pixel| f32::from(pixel) / 255.0)
        .collect();
    let pixels = values(&batch(&nchw));
    assert!(
        pixels
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
    let nhwc = load("nhwc.npy", "layout = 'nhwc'").unwrap().train;
    assert_eq!(nhwc.shape(), InputShape::Image([2, 1, 3]));
    assert_eq!(values(&batch(&nhwc)), pixels);
    let nhw = load("nhw.npy", "layout = 'nhw'").unwrap().train;
    assert_eq!(nhw.shape(), InputShape::Image([1, 2, 3]));
    assert_eq!(values(&batch(&nhw)), pixels);

    // Images are normalized by a part.
    let Some(Measured::Channels(measured)) = nchw.subset([0]).measured().unwrap() else {
        panic!("pixels are measured");
    };
    assert!((measured.mean[1] - 11.0 / 255.0).abs() < 1e-6);
    let normalized = nchw.normalized_by(&Measured::Channels(measured.clone()));
    assert_eq!(normalized.normalization(), Some(&measured));

    assert_eq!(
        load("f.npy", "").unwrap_err(),
        "data.arrays: f.npy: images should be bytes from 0 to 255, of the type `uint8`: convert \
         numbers from 0 to 1 by `(255 * x).round().astype('uint8')`"
    );
    assert_eq!(
        load("nchw.npy", "layout = 'nhw'").unwrap_err(),
        "data.arrays: nchw.npy: images of the layout `nhw` have 3 axes, but the array is of the \
         shape [2, 2, 1, 3]"
    );
}

#[test]
fn archives_have_names_for_samples_and_labels() {
    let (x, y) = (
        floats(&[3, 1], &[1.0, 2.0, 3.0]),
        integers(&[3], &[0, 1, 0]),
    );
    let test = (floats(&[1, 1], &[4.0]), integers(&[1], &[1]));
    let arrays = Arrays::of(&[
        ("xy.npz", npz(&[("y", y.clone()), ("x", x.clone())])),
        (
            "two.npz",
            npz(&[("arr_0", x.clone()), ("arr_1", y.clone())]),
        ),
        ("x.npz", npz(&[("a", x.clone())])),
        (
            "four.npz",
            npz(&[
                ("x_train", x.clone()),
                ("y_train", y.clone()),
                ("x_test", test.0),
                ("y_test", test.1),
            ]),
        ),
        ("y.npy", y),
        ("x.npy", x),
    ]);
    for keys in [
        "arrays = 'xy.npz'",
        "arrays = 'two.npz'",
        "arrays = 'two.npz'\ny_key = 'arr_1'",
        "arrays = 'x.npz'\nlabels = 'y.npy'",
        "arrays = 'x.npy'\nlabels = 'xy.npz'",
        "arrays = 'four.npz'\nx_key = 'x_train'\ny_key = 'y_train'",
    ] {
        let data = arrays.load(keys).unwrap();
        assert_eq!(values(&batch(&data.train)), [1.0, 2.0, 3.0], "{keys}");
        assert_eq!(data.train.labels(), [0, 1, 0], "{keys}");
        assert!(data.test.is_none());
    }
    let keys = "arrays = 'four.npz'\nx_key = 'x_train'\ny_key = 'y_train'\n\
                test_x_key = 'x_test'\ntest_y_key = 'y_test'";
    let test = arrays.load(keys).unwrap().test.unwrap();
    assert_eq!((values(&batch(&test)), test.labels()), (vec![4.0], vec![1]));
    let keys = "arrays = 'xy.npz'\ntest_arrays = 'two.npz'";
    assert_eq!(arrays.load(keys).unwrap().test.unwrap().len(), 3);

    assert_eq!(
        arrays.refusal("arrays = 'four.npz'"),
        "data.arrays: four.npz: there is no array `y`, and the file holds `x_train`, `y_train`, \
         `x_test`, `y_test`: set `y_key`, or give the labels in a separate file by `labels`"
    );
    assert_eq!(
        arrays.refusal("arrays = 'xy.npz'\nx_key = 'z'"),
        "data.arrays: xy.npz: there is no array `z`; the file holds `y`, `x`"
    );
    assert_eq!(
        arrays.refusal("arrays = 'x.npy'\nx_key = 'x'\nlabels = 'y.npy'"),
        "data.arrays: x.npy: `x_key` is `x`, but only .npz files hold arrays with names: leave it \
         out"
    );
    assert!(
        arrays
            .refusal("arrays = 'x.npy'")
            .contains("x.npy: the labels are missing: give them in a separate file")
    );
}

#[test]
fn labels_are_one_integer_for_each_sample() {
    let x = floats(&[3, 1], &[1.0, 2.0, 3.0]);
    let refusal = |labels: Vec<u8>, keys: &str| {
        let arrays = Arrays::of(&[("x.npy", x.clone()), ("y.npy", labels)]);
        arrays.refusal(&format!("arrays = 'x.npy'\nlabels = 'y.npy'\n{keys}"))
    };
    assert!(refusal(integers(&[2], &[0, 1]), "").starts_with(
        "data.arrays: x.npy holds 3 samples, but y.npy holds 2 labels: there should be one"
    ));
    assert!(
        refusal(integers(&[3, 2], &[0; 6]), "")
            .contains("for one-hot labels by `y.argmax(axis=1)`")
    );
    assert!(refusal(floats(&[3], &[0.0; 3]), "").contains("should be integers, but are floats"));
    assert_eq!(
        refusal(integers(&[3], &[5; 3]), ""),
        "data.arrays: y.npy: there should be two classes or more, but all labels are 5"
    );
    let classes = "classes = ['cat', 'dog']";
    assert_eq!(
        refusal(integers(&[3], &[0, 1, 2]), classes),
        "data.arrays: y.npy: the label of sample 2, counted from 0, is 2, but the classes are [0, 1]"
    );
    let arrays = Arrays::of(&[("x.npy", x.clone()), ("y.npy", integers(&[3], &[1, 1, 0]))]);
    let keys = format!("arrays = 'x.npy'\nlabels = 'y.npy'\n{classes}");
    let data = arrays.load(&keys).unwrap().train;
    assert_eq!(
        (data.classes()[1].as_str(), data.labels()),
        ("dog", vec![1, 1, 0])
    );
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let arrays = Arrays::of(&[
        ("x.npy", floats(&[2, 2], &[1.0, 2.0, 3.0, f32::NAN])),
        ("y.npy", integers(&[2], &[0, 1])),
    ]);
    let error = arrays.refusal("arrays = 'x.npy'\nlabels = 'y.npy'");
    assert!(
        error.starts_with("data.arrays: x.npy: the data set holds the value NaN in sample 1"),
        "{error}"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let arrays = Arrays::of(&[]);
    for (keys, expected) in [
        (
            "padding = 0",
            "`padding` should be given together with `vocabulary`",
        ),
        ("vocabulary = 1", "`vocabulary` should be from 2 to"),
        (
            "vocabulary = 9\nlayout = 'nhwc'",
            "`layout` should be left out with `vocabulary`",
        ),
        (
            "test_labels = 'y.npy'",
            "`test_labels` should be given together with `test_arrays`",
        ),
        (
            "labels = 'y.npy'\ntest_x_key = 'x'",
            "`test_labels` should be given, because `labels` are those of the training set",
        ),
        ("classes = ['a']", "`classes` should be at least 2"),
        (
            "classes = ['a', 'b', 'a']",
            "`classes` should be different names, but is [\"a\", \"b\", \"a\"]",
        ),
        ("labels = ''", "`labels` should be the path of a file"),
    ] {
        let keys = format!("arrays = 'x.npz'\n{keys}");
        let recipe: DataRecipe = keys.parse::<toml::Table>().unwrap().try_into().unwrap();
        let error = recipe.source.check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(
        arrays
            .refusal("arrays = 'x.npz'")
            .starts_with("data.arrays: x.npz: ")
    );
}

#[test]
fn arrays_are_written_as_they_are_read() {
    let keys = "arrays = 'x.npz'\nx_key = 'images'\nlayout = 'nhwc'\nclasses = ['a', 'b']";
    let recipe: DataRecipe = keys.parse::<toml::Table>().unwrap().try_into().unwrap();
    let written = toml::to_string(&recipe).unwrap();
    let read: DataRecipe = written.parse::<toml::Table>().unwrap().try_into().unwrap();
    assert_eq!(read, recipe);
}
