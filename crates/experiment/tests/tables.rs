//! Runs on a table, on arrays and on the bytes of files.

mod common;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn_distill::core::{Network, Response, TapRecorder};
use burn_distill::data::digits;
use burn_distill::strategy::WeightsFile;
use burn_distill_experiment::{Data, ExperimentResult, check_given_weights};
use burn_distill_recipe::{Registry, Tokens, parse};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Writes digits as a table with a column for each pixel, some of which are missing.
fn write_csv(path: &Path, ids: std::ops::Range<usize>) {
    let digits = digits();
    let names: Vec<_> = (0..64).map(|pixel| format!("p{pixel}")).collect();
    let mut text = format!("id,{},digit\n", names.join(","));
    for id in ids {
        let pixels = digits.pixels(id).iter().enumerate();
        let pixels = pixels.map(|(place, pixel)| match (id + place) % 97 {
            0 => String::new(),
            _ => pixel.to_string(),
        });
        let pixels = pixels.collect::<Vec<_>>().join(",");
        text += &format!("{id},{pixels},{}\n", digits.label(id));
    }
    fs::write(path, text).unwrap();
}

/// Returns an `.npy` file of these bytes.
fn npy(element: &str, shape: &str, content: &[u8]) -> Vec<u8> {
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

/// Writes digits as images in bytes, as vectors of doubles, and as labels.
fn write_npz(path: &Path, count: usize) {
    let digits = digits();
    let pixels: Vec<u8> = (0..count)
        .flat_map(|id| digits.pixels(id).to_vec())
        .collect();
    let vectors: Vec<_> = pixels
        .iter()
        .flat_map(|&pixel| (f64::from(pixel) / 8.0 - 1.0).to_le_bytes())
        .collect();
    let labels: Vec<_> = (0..count).map(|id| digits.label(id) as u8).collect();
    let mut writer = ZipWriter::new(fs::File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in [
        (
            "images.npy",
            npy("|u1", &format!("({count}, 1, 8, 8)"), &pixels),
        ),
        ("x.npy", npy("<f8", &format!("({count}, 64)"), &vectors)),
        ("y.npy", npy("|u1", &format!("({count},)"), &labels)),
    ] {
        writer.start_file(name, options).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap();
}

const TRAINING: &str = "training = { epochs = 12, batch_size = 32, optimizer = { kind = 'adam-w' }, \
                        learning_rate = { base = 0.01 } }";

fn recipe(data: &str) -> String {
    format!(
        "name = 'own'\ndata = {{ {data} }}\n\
         teacher = {{ model = 'mlp-64', {TRAINING} }}\n\
         student = {{ model = 'mlp-16', {TRAINING} }}\nloss = [{{ kind = 'kd' }}]"
    )
}

fn run(folder: &Path, data: &str) -> ExperimentResult {
    common::run(folder, &recipe(data), &Registry::standard()).unwrap()
}

/// Asserts that all networks recognize most digits.
fn assert_learned(result: &ExperimentResult) {
    let networks = [
        result.teacher.as_ref().unwrap(),
        result.baseline.as_ref().unwrap(),
        &result.distilled,
    ];
    for network in networks {
        let accuracy = network.accuracy.as_ref().unwrap().mean;
        assert!(accuracy > 0.8, "{accuracy}");
    }
}

fn load(folder: &Path, data: &str) -> anyhow::Result<Data> {
    let file = folder.join("recipe.toml");
    fs::write(&file, recipe(data)).unwrap();
    let recipe = parse(&file, &[], &Registry::standard())?;
    Data::load(&recipe.data, &recipe.registry)
}

/// Returns the origin that the weights of a network record.
fn origin(folder: &Path, network: &str) -> Value {
    let weights = folder.join(format!("run/seed-0/{network}/model.bpk"));
    let weights = WeightsFile::read(&weights).unwrap();
    serde_json::from_str(weights.metadata("provenance").unwrap()).unwrap()
}

#[test]
fn a_student_learns_from_a_table_and_stores_its_encoding() {
    let folder = tempfile::tempdir().unwrap();
    write_csv(&folder.path().join("digits.csv"), 0..900);
    let keys = "csv = 'digits.csv', label = 'digit', ignore = ['id'], missing_indicators = true";
    let result = run(folder.path(), keys);
    assert_learned(&result);
    // A feature for each pixel, and one for its missing values.
    assert_eq!(result.distilled.parameters, 129 * 16 + 17 * 10);
    let written = fs::read_to_string(folder.path().join("run/result.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["classes"][9]["name"], "9");

    let origin = origin(folder.path(), "teacher");
    let columns = origin["encoding"]["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 64);
    // The first pixel is white in all digits.
    assert_eq!([&columns[0]["mean"], &columns[0]["std"]], [0.0, 1.0]);
    assert_eq!(columns[0]["missing_indicator"], true);
    let data = load(folder.path(), keys).unwrap();
    assert_eq!(data.sizes().iter().sum::<usize>(), 900);

    // Weights of another split are for rows that are encoded otherwise.
    let at = |file: &str| folder.path().join(file).display().to_string();
    let keys = keys.replace("digits.csv", &at("digits.csv"));
    let weights = format!("weights = '{}',", at("run/seed-0/teacher/model.bpk"));
    let text = recipe(&format!("{keys}, split_seed = 1"));
    let text = text.replace("model = 'mlp-64',", &format!("model = 'mlp-64', {weights}"));
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("recipe.toml");
    fs::write(&file, text).unwrap();
    let recipe = parse(&file, &[], &Registry::standard()).unwrap();
    let data = Data::load(&recipe.data, &recipe.registry).unwrap();
    let refused = check_given_weights(&recipe, &data).unwrap_err();
    let error = format!("{refused:#}");
    assert!(
        error.contains("rows of digits.csv that are encoded otherwise than those of digits.csv")
            && error.contains("column `p"),
        "{error}"
    );
}

#[test]
fn rows_of_their_own_are_the_test_set_and_few_are_labeled() {
    let folder = tempfile::tempdir().unwrap();
    write_csv(&folder.path().join("digits.csv"), 0..300);
    write_csv(&folder.path().join("test.csv"), 300..350);
    let keys = "csv = 'digits.csv', test_csv = 'test.csv', label = 'digit', ignore = ['id'], \
                validation = 0.2, labels_per_class = 3";
    let data = load(folder.path(), keys).unwrap();
    assert_eq!(data.sizes(), [240, 60, 50]);
    assert_eq!(data.labels(0).unwrap(), 30);

    // The constants are those of the training part.
    let [all, part] = ["", ", samples = 100"].map(|more| {
        let data = load(folder.path(), &format!("{keys}{more}")).unwrap();
        data.provenance("mlp-8", "teacher", 0).encoding.unwrap()
    });
    assert!(part.difference(&all).is_some());

    fs::write(folder.path().join("test.csv"), "digit,id\n1,2\n").unwrap();
    let error = format!("{:#}", load(folder.path(), keys).err().unwrap());
    assert!(
        error.contains("data.csv: ") && error.contains("test.csv: line 1"),
        "{error}"
    );
}

#[test]
fn a_column_without_values_in_the_training_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        (0..40).map(|row| format!("{row},{},{}\n", if row == 7 { "1" } else { "" }, row % 2));
    let text = format!("a,b,kind\n{}", rows.collect::<String>());
    fs::write(folder.path().join("rare.csv"), text).unwrap();
    let keys = "csv = 'rare.csv', label = 'kind'";
    let error = (0..20).find_map(|seed| {
        let data = load(folder.path(), &format!("{keys}, split_seed = {seed}"));
        data.err().map(|error| format!("{error:#}"))
    });
    let error = error.expect("in some split, the only value is in another part");
    assert!(
        error.starts_with("data.csv: rare.csv: column `b` has no values in the "),
        "{error}"
    );
}

#[test]
fn classes_of_very_different_sizes_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let imbalance = |few: usize| {
        let class = |row: usize| if row < 100 { "many" } else { "few" };
        let rows = (0..100 + few).map(|row| format!("{row},{}\n", class(row)));
        let text = format!("x,kind\n{}", rows.collect::<String>());
        fs::write(folder.path().join("a.csv"), text).unwrap();
        let data = load(folder.path(), "csv = 'a.csv', label = 'kind'").unwrap();
        data.class_counts().imbalance()
    };
    assert_eq!(imbalance(30), None);
    let warning = imbalance(5).unwrap();
    assert!(
        warning.contains("(few)") && warning.contains("(many)"),
        "{warning}"
    );
}

#[test]
fn a_student_learns_from_arrays() {
    let folder = tempfile::tempdir().unwrap();
    write_npz(&folder.path().join("digits.npz"), 900);
    let result = run(folder.path(), "arrays = 'digits.npz'");
    assert_learned(&result);
    assert_eq!(result.distilled.parameters, 65 * 16 + 17 * 10);
    assert_eq!(
        origin(folder.path(), "teacher")["input"],
        serde_json::json!([64])
    );

    fs::remove_dir_all(folder.path().join("run")).unwrap();
    let keys = "arrays = 'digits.npz', x_key = 'images'";
    assert_learned(&run(folder.path(), keys));
    let origin = origin(folder.path(), "teacher");
    assert_eq!(origin["input"], serde_json::json!([1, 8, 8]));
    // The digits have levels from 0 to 16, whose mean is about 0.3.
    let mean = origin["normalization"]["mean"][0].as_f64().unwrap();
    assert!((mean - 0.3053 * 16.0 / 255.0).abs() < 0.001, "{mean}");
}

/// The mean of the embeddings of bytes.
#[derive(Module, Debug)]
struct BagOfBytes {
    embedding: Embedding,
    output: Linear,
    #[module(skip)]
    length: usize,
}

impl Network for BagOfBytes {
    type Input = Tokens;

    fn forward_tapped(&self, input: Tokens, _: &mut TapRecorder) -> Response {
        let mask = input.mask.float().unsqueeze_dim::<3>(2);
        let bytes = self.embedding.forward(input.ids).mul(mask.clone());
        let mean: Tensor<2> = bytes.sum_dim(1).div(mask.sum_dim(1)).squeeze_dim(1);
        self.output.forward(mean).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tokens {
        Tokens {
            ids: Tensor::zeros([samples, self.length], device),
            mask: Tensor::ones([samples, self.length], device),
        }
    }
}

#[test]
fn a_student_learns_from_the_bytes_of_files() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..60_usize {
        let text = "words and spaces ".repeat(1 + number % 5);
        let binary: Vec<_> = (0..20 + number)
            .map(|place| (place * 37 % 256) as u8)
            .collect();
        for (class, content) in [("text", text.as_bytes()), ("binary", &binary)] {
            let class = folder.path().join("files").join(class);
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join(number.to_string()), content).unwrap();
        }
    }
    let registry = Registry::standard().with_network("bag-of-bytes", |_, task, device| {
        let [length, vocabulary] = task.tokens()?;
        Ok(BagOfBytes {
            embedding: EmbeddingConfig::new(vocabulary, 4).init(device),
            output: LinearConfig::new(4, task.classes).init(device),
            length,
        })
    });
    let training = TRAINING.replace("base = 0.01", "base = 0.1");
    let text = format!(
        "name = 'files'\n\
         data = {{ bytes = 'files', first = 16, last = 8, strip = true, workers = 2 }}\n\
         teacher = {{ model = 'bag-of-bytes', {training} }}\n\
         student = {{ model = 'bag-of-bytes', {training} }}\nloss = [{{ kind = 'kd' }}]"
    );
    let result = common::run(folder.path(), &text, &registry).unwrap();
    assert!(
        result.distilled.accuracy.as_ref().unwrap().mean > 0.9,
        "{}",
        result.distilled.accuracy.as_ref().unwrap().mean
    );
    let window = &origin(folder.path(), "distilled")["window"];
    assert_eq!(
        window,
        &serde_json::json!({ "first": 16, "last": 8, "strip": true })
    );
}
