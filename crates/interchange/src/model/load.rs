use super::classify::Model;
use super::description::{DESCRIPTION_FILE, ModelDescription, ModelFormat, TensorKeys};
use super::error::ModelError;
use super::network::BuiltIn;
use super::quantize::in_single_precision;
use super::safetensors;
use burn::tensor::Device;
use burn_distill_architecture::{CheckpointTensor, NetworkError};
use burn_distill_core::{AnyNetwork, Network, TapSelection, WeightsFile, file_sha256};
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Loads an exported model whose network is one of the architecture crate: of images, vectors or
/// text.
///
/// The file of its network has to be in burn's format or SafeTensors. The network takes an
/// [`AnyInput`](burn_distill_core::AnyInput), of the kind and shape in
/// [`input`](ModelDescription::input), so that one type serves all of them.
///
/// ```no_run
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_interchange::load;
///
/// let device = Device::default();
/// let model = load("exported", &device)?;
///
/// // Samples in files: images, rows of a table, arrays or the bytes of files.
/// let samples = model.open("penguins.csv")?;
/// for probabilities in model.probabilities(samples.input(0..samples.len()))? {
///     let best = &model.ranked(&probabilities)[0];
///     println!("{}: {:.1} %", best.class, 100.0 * best.probability);
/// }
///
/// // Or any input that the program has itself, here two vectors of 14 features.
/// let probabilities = model.probabilities(Tensor::<2>::zeros([2, 14], &device).into())?;
/// # Ok::<(), burn_distill_interchange::ModelError>(())
/// ```
///
/// # Errors
///
/// Returns an error that names the file if the folder holds no model, if a file of it is damaged,
/// if its network is unknown, or if the weights are those of another network.
pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Model, ModelError> {
    let folder = folder.as_ref();
    let description = ModelDescription::read(folder)?;
    let (network, table) = build(&description, folder, device)?;
    let network = filled(network, &description, folder, table.as_deref())?;
    Ok(Model::new(network, description, device))
}

/// Loads the weights of an exported model into a given network, and returns the network with the
/// description of the model.
///
/// # Errors
///
/// Returns an error that names the file if the folder holds no model, if a file of it is damaged,
/// if the weights are those of another network, or if the network returns another number of logits
/// than the model has classes.
pub fn load_into<N: Network>(
    network: N,
    folder: impl AsRef<Path>,
) -> Result<(N, ModelDescription), ModelError> {
    let folder = folder.as_ref();
    let description = ModelDescription::read(folder)?;
    let network = filled(network, &description, folder, None)?;
    check_output(&network, &description)
        .map_err(|message| ModelError::invalid(folder.join(DESCRIPTION_FILE), message))?;
    Ok((network, description))
}

type Table = Vec<CheckpointTensor>;

/// Builds the network of a description, and returns the table of its keys in the original network
/// if the file has these keys.
fn build(
    description: &ModelDescription,
    folder: &Path,
    device: &Device,
) -> Result<(AnyNetwork, Option<Table>), ModelError> {
    let invalid =
        |message: &dyn Display| ModelError::invalid(folder.join(DESCRIPTION_FILE), message);
    let of_network = |error: NetworkError| invalid(&error);
    let built_in = BuiltIn::of(description).map_err(|message| invalid(&message))?;
    description.check_size(folder, built_in.parameters().map_err(of_network)?)?;
    let network = built_in.init(device).map_err(of_network)?;
    let table = match description.weights.keys {
        TensorKeys::Original => Some(built_in.checkpoint().map_err(of_network)?),
        TensorKeys::Paths => None,
    };
    Ok((network, table))
}

/// Loads the weights in the file of a model into its network.
fn filled<N: Network>(
    network: N,
    description: &ModelDescription,
    folder: &Path,
    table: Option<&[CheckpointTensor]>,
) -> Result<N, ModelError> {
    let file = folder.join(&description.weights.file);
    let invalid = |message: &dyn Display| ModelError::invalid(&file, message);
    let weights = read(description, &file, table)?;
    let weights = match description.weights.quantization {
        None => weights,
        Some(_) => {
            let device = network.devices().first().cloned().unwrap_or_default();
            in_single_precision(&weights, &device)
        }
    };
    let expected = WeightsFile::new(network.valid().into_record());
    let expected = expected.map_err(|error| invalid(&error))?;
    if let Some(difference) = difference(&weights, &expected) {
        return Err(invalid(&format_args!(
            "does not hold the weights of a {} for {} and {} classes, which {DESCRIPTION_FILE} \
             describes: {difference}; export the model again",
            description.architecture.name,
            description.input,
            description.classes.len()
        )));
    }
    if let Some(tensor) = weights.first_not_finite() {
        return Err(invalid(&format_args!(
            "`{tensor}` has values that are infinite or not a number: export another model"
        )));
    }
    let record = weights.into_record().map_err(|error| invalid(&error))?;
    network
        .try_load_record(record)
        .map(|network| network.valid())
        .map_err(|error| invalid(&error))
}

/// Reads the weights in the file of a model.
fn read(
    description: &ModelDescription,
    file: &Path,
    table: Option<&[CheckpointTensor]>,
) -> Result<WeightsFile, ModelError> {
    let found = match file_sha256(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ModelError::invalid(
                file,
                format_args!(
                    "the file of the network, which {DESCRIPTION_FILE} names, is missing: export the \
                     model again"
                ),
            ));
        }
        found => found.map_err(ModelError::io(file))?,
    };
    let expected = &description.weights.sha256;
    if found != *expected {
        return Err(ModelError::invalid(
            file,
            format_args!(
                "the file is damaged or belongs to another model, since its SHA-256 is {found}, but \
                 {DESCRIPTION_FILE} has {expected}: export the model again"
            ),
        ));
    }
    match description.weights.format {
        ModelFormat::Burnpack => {
            // The error names the file itself.
            WeightsFile::read(file).map_err(|error| {
                let message = error.to_string();
                let path = format!("{}: ", file.display());
                ModelError::invalid(file, message.strip_prefix(&path).unwrap_or(&message))
            })
        }
        ModelFormat::SafeTensors => {
            if description.weights.keys == TensorKeys::Original && table.is_none() {
                return Err(ModelError::invalid(
                    file,
                    "has the keys of the original network, which only a network of this library can \
                     load: export the model with `--keys paths`",
                ));
            }
            let bytes = fs::read(file).map_err(ModelError::io(file))?;
            safetensors::weights_of(&bytes, table)
                .map_err(|message| ModelError::invalid(file, message))
        }
        ModelFormat::Onnx => Err(ModelError::invalid(
            file,
            "an ONNX file, which is for other programs: export the model with `--format burnpack` or \
             `--format safetensors` to load it here",
        )),
    }
}

/// Returns the first difference between the tensors of a file and those of a network.
fn difference(found: &WeightsFile, expected: &WeightsFile) -> Option<String> {
    let (found, expected) = (found.shapes(), expected.shapes());
    let differing = expected.iter().find_map(|(path, shape)| {
        Some(match found.get(path) {
            None => format!("`{path}` is missing"),
            Some(other) if other != shape => {
                format!("`{path}` is of shape {other:?}, not {shape:?}")
            }
            Some(_) => return None,
        })
    });
    let mut unknown = found.keys().filter(|path| !expected.contains_key(*path));
    differing.or_else(|| Some(format!("`{}` is not one of its tensors", unknown.next()?)))
}

fn check_output<N: Network>(network: &N, description: &ModelDescription) -> Result<(), String> {
    let device = network.devices().first().cloned().unwrap_or_default();
    let example = network.example(1, &device);
    let response = network
        .forward_knowledge(example, &TapSelection::None)
        .response;
    let Some(logits) = response.classes() else {
        return Err("the network returns no class logits, so that it cannot classify".into());
    };
    let (logits, classes) = (logits.dims()[1], description.classes.len());
    match logits == classes {
        true => Ok(()),
        false => Err(format!(
            "`classes` names {classes} classes, but the network returns {logits} logits"
        )),
    }
}
