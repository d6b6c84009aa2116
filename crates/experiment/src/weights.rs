//! Files of the weights of networks.

use super::provenance::Provenance;
use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn_distill::strategy::WeightsFile;
use burn_distill_recipe::AnyNetwork;
use std::collections::BTreeMap;
use std::path::Path;

/// Saves the weights of a module with their origin.
pub fn save<M: Module>(module: &M, provenance: &Provenance, path: &Path) -> Result<()> {
    let file = WeightsFile::new(module.valid().into_record());
    let file = file.with_context(|| format!("{}", path.display()))?;
    let metadata = provenance.metadata().into_iter();
    let file = metadata.fold(file, |file, (key, text)| file.with_metadata(key, text));
    Ok(file.write(path)?)
}

/// Loads the weights in a file into a network.
///
/// # Errors
///
/// Returns an error that names the file if it cannot be read, if its weights do not fit the
/// network, or if they are not finite.
pub fn load(network: AnyNetwork, model: &str, path: &Path) -> Result<AnyNetwork> {
    let file = WeightsFile::read(path)?;
    fill(network, model, file).with_context(|| format!("{}", path.display()))
}

/// Loads weights into a network.
///
/// # Errors
///
/// Returns an error if the weights do not fit the network, or are not finite.
pub fn fill(network: AnyNetwork, model: &str, file: WeightsFile) -> Result<AnyNetwork> {
    let expected = WeightsFile::new(network.valid().into_record())?;
    check_shapes(&file.shapes(), &expected.shapes(), model)?;
    let types: BTreeMap<_, _> = expected.dtypes().collect();
    let other = file.dtypes().find(|(name, dtype)| {
        let expected = types.get(name);
        expected.is_some_and(|expected| expected.is_float() != dtype.is_float())
    });
    if let Some((tensor, dtype)) = other {
        bail!(
            "`{tensor}` holds {dtype:?}, but the weights of a {model} are {:?} there: convert them, \
             or use weights that are not quantized",
            types[tensor]
        );
    }
    if let Some(tensor) = file.first_not_finite() {
        bail!(
            "`{tensor}` has values that are infinite or not a number, as after a training that \
             diverged: use other weights, or train again with a lower learning rate"
        );
    }
    let loaded = file
        .into_record()
        .and_then(|record| network.try_load_record(record));
    loaded.with_context(|| format!("does not hold the weights of a {model}"))
}

type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

fn check_shapes(found: &Shapes<'_>, expected: &Shapes<'_>, model: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    if let Some(wrapper) = wrapper(found, expected) {
        bail!(
            "holds a network under `{wrapper}`, as the checkpoint of a training does, or a student \
             that its loss has extended: use the `model.bpk` of a finished training of a plain \
             {model} (`--resume` finishes one)"
        );
    }
    let missing = expected.keys().filter(|name| !found.contains_key(*name));
    let unknown = found.keys().filter(|name| !expected.contains_key(*name));
    let other_shape = expected.iter().filter_map(|(name, shape)| {
        let other = found.get(name).filter(|other| other != &shape)?;
        Some(format!("`{name}` of shape {other:?}, not {shape:?}"))
    });
    let quoted = |name: &&str| format!("`{name}`");
    let faults = [
        ("has ", first_few(other_shape)),
        ("lacks ", first_few(missing.map(quoted))),
        ("also has ", first_few(unknown.map(quoted))),
    ];
    let faults = faults
        .into_iter()
        .filter_map(|(verb, names)| Some(format!("{verb}{}", names?)));
    let faults: Vec<_> = faults.collect();
    bail!(
        "does not hold the weights of a {model}: it {}",
        faults.join("; it ")
    );
}

/// Returns the path of such a network, or of a student, in a larger module, if there is one.
fn wrapper<'a>(found: &Shapes<'a>, expected: &Shapes<'_>) -> Option<&'a str> {
    const STUDENT: &str = "student";
    let first = expected.keys().next()?;
    let mut prefixes = found
        .keys()
        .filter_map(|name| name.strip_suffix(first)?.strip_suffix('.'));
    let holds_all = |prefix: &&str| {
        let mut names = expected.keys();
        names.all(|name| found.contains_key(format!("{prefix}.{name}").as_str()))
    };
    let has_student = |shapes: &Shapes<'_>| {
        let mut names = shapes.keys();
        names.any(|name| name.split('.').next() == Some(STUDENT))
    };
    let student = (has_student(found) && !has_student(expected)).then_some(STUDENT);
    prefixes.find(holds_all).or(student)
}

/// Returns the first of several descriptions and the number of the others; none if there are no
/// descriptions.
fn first_few(descriptions: impl Iterator<Item = String>) -> Option<String> {
    const SHOWN: usize = 2;
    let all: Vec<_> = descriptions.collect();
    let shown = all[..all.len().min(SHOWN)].join(", ");
    match all.len() {
        0 => None,
        count if count <= SHOWN => Some(shown),
        count => Some(format!("{shown} and {} more", count - SHOWN)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::provenance::tests::origin;
    use super::*;
    use burn::module::{ModuleMapper, Param};
    use burn::tensor::{Device, Tensor};
    use burn_distill::core::{CrossEntropyObjective, tensors};
    use burn_distill::strategy::OfflineDistiller;
    use burn_distill_recipe::{InputShape, Registry, Task};
    use std::fs;
    use std::path::PathBuf;

    fn network(name: &str, seed: u64) -> AnyNetwork {
        let input = InputShape::Image([1, 8, 8]);
        let task = Task { input, classes: 10 };
        let registry = Registry::standard();
        registry
            .build(&name.into(), &task, seed, &Device::flex())
            .unwrap()
    }

    /// A file of the weights of a module.
    fn file_of(module: &impl Module) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        save(module, &origin(), &path).unwrap();
        (folder, path)
    }

    fn refusal(name: &str, path: &Path) -> String {
        let refused = load(network(name, 2), name, path).err();
        format!("{:#}", refused.expect("the weights are refused"))
    }

    #[test]
    fn integers_are_no_weights() {
        let original = network("mlp-4", 1);
        let weights = WeightsFile::new(original.clone().into_record()).unwrap();
        let integers = weights.tensors().map(|(path, data)| {
            let data = match path == "output.bias" {
                true => data.convert::<i64>(),
                false => data,
            };
            (path.to_string(), data)
        });
        let file = WeightsFile::from_tensors(integers.collect::<Vec<_>>());
        let error = fill(original, "mlp-4", file).err().unwrap().to_string();
        assert_eq!(
            error,
            "`output.bias` holds I64, but the weights of a mlp-4 are F32 there: convert them, or use \
             weights that are not quantized"
        );
    }

    #[test]
    fn weights_go_to_a_file_and_back() {
        let original = network("convnet-4", 1);
        let (folder, path) = file_of(&original);

        let other = network("convnet-4", 2);
        assert_ne!(tensors(&other), tensors(&original));
        let loaded = load(other, "convnet-4", &path).unwrap();

        assert_eq!(tensors(&loaded), tensors(&original));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let file = WeightsFile::read(&path).unwrap();
        assert_eq!(Provenance::of(&file), Some(origin()));
    }

    #[test]
    fn weights_of_another_network_are_refused_in_a_line() {
        let (_folder, path) = file_of(&network("convnet-4", 1));
        let wider = refusal("convnet-8", &path);
        let longer = refusal("convnet-4-4-4", &path);
        let other = refusal("vit-16-4-4", &path);

        for (message, model) in [
            (&wider, "convnet-8"),
            (&longer, "convnet-4-4-4"),
            (&other, "vit-16-4-4"),
        ] {
            let expected = format!("does not hold the weights of a {model}: it ");
            assert!(message.contains(&expected), "{message}");
            let line = message.strip_prefix(&path.display().to_string()).unwrap();
            assert!(line.len() < 320, "{line}");
        }
        assert!(wider.contains("of shape [4], not [8]"), "{wider}");
        assert!(longer.contains("it lacks `"), "{longer}");
        assert!(other.contains(" more; it also has `"), "{other}");
    }

    #[test]
    fn a_checkpoint_is_refused_with_the_place_of_its_network() {
        let distiller = OfflineDistiller::without_teacher(
            network("convnet-4", 1),
            CrossEntropyObjective::new(1.0),
        );
        let (_folder, path) = file_of(&distiller);

        for model in ["convnet-4", "convnet-8", "mlp-4"] {
            let message = refusal(model, &path);
            assert!(
                message.contains("holds a network under `student`"),
                "{message}"
            );
            assert!(
                message.contains("`model.bpk` of a finished training"),
                "{message}"
            );
        }
        let several = vec![network("convnet-4", 1), network("convnet-4", 2)];
        let (_folder, path) = file_of(&several);
        let message = refusal("convnet-4", &path);
        assert!(message.contains("holds a network under `0`"), "{message}");
    }

    #[test]
    fn weights_that_are_not_finite_are_refused_with_their_tensor() {
        let broken = network("mlp-4", 1).map(&mut Poison);
        let (_folder, path) = file_of(&broken);

        let message = refusal("mlp-4", &path);
        assert!(
            message.starts_with(&path.display().to_string()),
            "{message}"
        );
        assert!(
            message.contains("has values that are infinite"),
            "{message}"
        );
        assert!(message.contains(".weight`"), "{message}");
    }

    /// Makes every weight of rank 2 not a number.
    struct Poison;

    impl ModuleMapper for Poison {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let added = if D == 2 { f32::NAN } else { 0.0 };
            parameter.map(|tensor| tensor.add_scalar(added))
        }
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let message = refusal("mlp-4", &folder.path().join("model.bpk"));

        assert!(message.ends_with("model.bpk: file not found"), "{message}");
    }
}
