//! Files with the tensors of the originals, filled by a formula: the networks should read them, and
//! compute the same as the originals in PyTorch. `docs/reference/real_models` made the values.

use burn::tensor::Device;
use foreign_weights::models::{Array, run};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Original {
    model: String,
    /// Names and shapes of the tensors.
    tensors: BTreeMap<String, Vec<usize>>,
    /// Shape of the input.
    input: Vec<usize>,
    outputs: Vec<Array>,
}

impl Original {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("originals.json")).unwrap()
    }

    fn named(model: &str) -> Self {
        let mut all = Self::all().into_iter();
        all.find(|original| original.model == model).unwrap()
    }

    fn input(&self) -> Array {
        Array {
            values: uniform("input", self.input.iter().product()),
            shape: self.input.clone(),
        }
    }

    /// Writes a file with the tensors.
    fn write(&self, path: &Path) {
        let bytes = self.tensors.iter().map(|(name, shape)| {
            let values = filled(name, shape).into_iter().flat_map(f32::to_le_bytes);
            (name, shape, values.collect::<Vec<_>>())
        });
        let bytes: Vec<_> = bytes.collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            (name, view.unwrap())
        });
        serialize_to_file(views, None, path).unwrap();
    }
}

/// The numbers from -1 to 1 that the formula gives to a name.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |seed, byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let number = |place: u64| {
        let z = seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        2.0 * ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32 - 1.0
    };
    (1..=count as u64).map(number).collect()
}

/// The values of a tensor: see `fill` in the script.
fn filled(name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in: usize = shape[1..].iter().product();
    let is_bias = ["running_mean", "bias", "bias_ih", "bias_hh"]
        .iter()
        .any(|end| name.ends_with(end));
    let value = |v: f32| match shape.len() {
        1 if name.ends_with("running_var") => 1.0 + v / 2.0,
        1 if is_bias => v / 10.0,
        1 if name.contains("BN") => 1.0 + v / 4.0,
        1 => v / 2.0,
        _ => v * (6.0 / fan_in as f32).sqrt(),
    };
    let values = uniform(name, shape.iter().product());
    values.into_iter().map(value).collect()
}

#[test]
fn the_outputs_are_those_of_the_originals() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Original::all();
    assert_eq!(originals.len(), 5);
    for original in originals {
        let file = folder.path().join(&original.model);
        original.write(&file);
        let (outputs, checkpoint) = run(
            &original.model,
            &file,
            &original.input(),
            &Device::default(),
        )
        .unwrap();

        assert_eq!(checkpoint.tensors().len(), original.tensors.len());
        assert_eq!(outputs.len(), original.outputs.len());
        for (ours, theirs) in outputs.iter().zip(&original.outputs) {
            let difference = ours.difference(theirs);
            assert!(difference < 1e-4, "{}: {difference}", original.model);
        }
    }
}

#[test]
fn the_tensors_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pnet.safetensors");
    let mut original = Original::named("pnet");
    original.tensors.remove("prelu2.weight");
    original.tensors.insert("prelu9.weight".into(), vec![3]);
    original.tensors.insert("conv3.bias".into(), vec![31]);
    original.write(&file);

    let result = run("pnet", &file, &original.input(), &Device::default());
    let error = result.err().unwrap().to_string();

    assert!(error.contains("pnet.safetensors: 11 of 13"), "{error}");
    for named in [
        "missing: `prelu2.alpha` [16]",
        "unexpected: `prelu9.weight` [3]",
        "`conv3.bias` [31] instead of [32]",
    ] {
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn differences_are_relative_to_the_root_mean_square() {
    let array = |values: [f32; 4]| Array {
        shape: vec![2, 2],
        values: values.into(),
    };
    let original = array([3.0, 3.0, -3.0, -3.0]);

    assert_eq!(original.difference(&original), 0.0);
    assert_eq!(array([3.0, 0.0, -3.0, -4.5]).difference(&original), 1.0);
    assert!(
        array([3.0, 3.0, -3.0, f32::NAN])
            .difference(&original)
            .is_nan()
    );
}
