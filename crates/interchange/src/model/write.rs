use super::description::{
    DESCRIPTION_FILE, ModelDescription, ModelFormat, Quantization, TensorKeys,
};
use super::error::ModelError;
use super::network::BuiltIn;
use super::quantize::in_8_bits;
use super::safetensors;
use burn::module::Module;
use burn_distill_core::{AnyNetwork, WeightsFile, hexadecimal};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// File of the model card in the folder of a model.
pub const CARD_FILE: &str = "README.md";

/// Export of a network as a folder that [`load`](crate::load) and other programs read.
///
/// | File | Contents |
/// | --- | --- |
/// | `model.bpk`, `model.safetensors` or `model.onnx` | the network |
/// | `model.json` | a [`ModelDescription`] |
/// | `README.md` | the model card, a text about the model |
#[derive(Clone, Debug)]
pub struct ModelExport {
    description: ModelDescription,
    keys: TensorKeys,
    normalizes: bool,
    replaces: bool,
}

impl ModelExport {
    /// Creates an export in burn's format, given the description of the network.
    pub fn new(description: ModelDescription) -> Self {
        Self {
            description,
            keys: TensorKeys::Paths,
            normalizes: false,
            replaces: false,
        }
    }

    /// Sets the format.
    pub fn with_format(mut self, format: ModelFormat) -> Self {
        self.description.weights.format = format;
        self
    }

    /// Sets the names of the tensors in a file in the format SafeTensors.
    pub fn with_keys(mut self, keys: TensorKeys) -> Self {
        self.keys = keys;
        self
    }

    /// Sets whether an ONNX file normalizes images itself, from pixels of 0 to 255.
    pub fn with_normalization(mut self, normalizes: bool) -> Self {
        self.normalizes = normalizes;
        self
    }

    /// Sets the precision of matrices and kernels in a file in burn's format. Default: single
    /// precision.
    pub fn with_quantization(mut self, quantization: Option<Quantization>) -> Self {
        self.description.weights.quantization = quantization;
        self
    }

    /// Sets whether an exported model that is already in the folder is replaced. A folder with
    /// other files is never replaced.
    pub fn with_replace(mut self, replaces: bool) -> Self {
        self.replaces = replaces;
        self
    }

    /// Writes the folder, and returns the description that it holds.
    ///
    /// `card` returns the model card. The files are written to a temporary folder, which is renamed
    /// when it is complete.
    ///
    /// # Errors
    ///
    /// Returns an error with the path if the folder exists and is not to be replaced, if it cannot
    /// be written, or if the network cannot be written in this format.
    pub fn write(
        self,
        network: &AnyNetwork,
        folder: impl AsRef<Path>,
        card: impl FnOnce(&ModelDescription) -> String,
    ) -> Result<ModelDescription, ModelError> {
        let folder = folder.as_ref();
        self.check(folder)?;
        let bytes = self.bytes_of(network).map_err(ModelError::Network)?;
        let Self {
            mut description,
            replaces,
            keys,
            ..
        } = self;
        let weights = &mut description.weights;
        weights.file = weights.format.file().into();
        weights.bytes = bytes.len() as u64;
        weights.sha256 = hexadecimal(Sha256::digest(&bytes));
        weights.keys = keys;
        #[cfg(feature = "export")]
        if weights.format == ModelFormat::Onnx {
            weights.onnx = Some(crate::onnx_file::description(
                &description.input,
                self.normalizes,
            ));
        }

        let json = serde_json::to_string_pretty(&description)
            .map_err(|error| ModelError::invalid(folder, error))?;
        let card = card(&description);
        let files = [
            (description.weights.file.as_str(), bytes.as_slice()),
            (DESCRIPTION_FILE, json.as_bytes()),
            (CARD_FILE, card.as_bytes()),
        ];
        publish(folder, &files, replaces)?;
        Ok(description)
    }

    /// Returns the size of the file of a network in bytes, without writing it.
    ///
    /// # Errors
    ///
    /// Returns an error if the network cannot be written in this format.
    pub fn size(&self, network: &AnyNetwork) -> Result<usize, ModelError> {
        let bytes = self.bytes_of(network);
        Ok(bytes.map_err(ModelError::Network)?.len())
    }

    /// Checks that the folder can be written, without changing anything.
    ///
    /// # Errors
    ///
    /// Returns an error if it exists and is not to be replaced.
    pub fn check(&self, folder: impl AsRef<Path>) -> Result<(), ModelError> {
        let folder = folder.as_ref();
        if self.keys == TensorKeys::Original
            && self.description.weights.format != ModelFormat::SafeTensors
        {
            return Err(ModelError::invalid(
                folder,
                "only a file in the format safetensors can have the keys of the original network: export \
                 with `--format safetensors`, or with `--keys paths`",
            ));
        }
        if self.normalizes && self.description.weights.format != ModelFormat::Onnx {
            return Err(ModelError::invalid(
                folder,
                "only an ONNX file can normalize images itself: in the other formats, \
                 `model.json` has the normalization",
            ));
        }
        if self.description.weights.quantization.is_some()
            && self.description.weights.format != ModelFormat::Burnpack
        {
            return Err(ModelError::invalid(
                folder,
                "only burn's format holds quantized weights: export with `--format burnpack`",
            ));
        }
        if self.normalizes && self.description.normalization.is_none() {
            return Err(ModelError::invalid(
                folder,
                "the model has no normalization that its ONNX file could contain: export it without \
                 `--normalize`",
            ));
        }
        match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ModelError::io(folder)(error)),
            Ok(_) if !self.replaces => Err(ModelError::invalid(
                folder,
                "exists already: name another folder, or replace an exported model with `--force`",
            )),
            Ok(_) => check_replaceable(folder),
        }
    }

    /// Returns the contents of the file of the network.
    fn bytes_of(&self, network: &AnyNetwork) -> Result<Vec<u8>, String> {
        let network = network.valid();
        if self.description.weights.format == ModelFormat::Onnx {
            return self.onnx_of(&network);
        }
        let weights = WeightsFile::new(network.clone().into_record());
        let weights = weights.map_err(|error| error.to_string())?;
        if let Some(tensor) = weights.first_not_finite() {
            return Err(format!(
                "`{tensor}` has values that are infinite or not a number: export another network"
            ));
        }
        match self.description.weights.format {
            ModelFormat::SafeTensors => {
                let table = match self.keys {
                    TensorKeys::Paths => None,
                    TensorKeys::Original => Some(self.original_keys()?),
                };
                safetensors::bytes_of(&weights, table.as_deref())
            }
            _ => {
                let weights = match self.description.weights.quantization {
                    None => weights,
                    Some(Quantization::Q8) => WeightsFile::new(in_8_bits(&network).into_record())
                        .map_err(|error| error.to_string())?,
                };
                // The description has the checksum and the origin.
                weights
                    .into_plain_bytes()
                    .map_err(|error| error.to_string())
            }
        }
    }

    fn original_keys(&self) -> Result<Vec<burn_distill_architecture::CheckpointTensor>, String> {
        let name = &self.description.architecture.name;
        let built_in = BuiltIn::of(&self.description).map_err(|_| {
            format!("`{name}` has no original network whose keys its tensors could have")
        })?;
        built_in.checkpoint().map_err(|error| error.to_string())
    }

    #[cfg(feature = "export")]
    fn onnx_of(&self, network: &AnyNetwork) -> Result<Vec<u8>, String> {
        let normalization = self.description.normalization.as_ref();
        let normalization = normalization.filter(|_| self.normalizes);
        crate::onnx_file::bytes_of(network, &self.description, normalization)
    }

    #[cfg(not(feature = "export"))]
    fn onnx_of(&self, _network: &AnyNetwork) -> Result<Vec<u8>, String> {
        Err(
            "this program was built without the export to ONNX: build it with `cargo build --release \
             --features export`"
                .into(),
        )
    }
}

/// Checks that a folder holds an exported model and nothing else.
fn check_replaceable(folder: &Path) -> Result<(), ModelError> {
    let refuse = |found: &str| {
        Err(ModelError::invalid(
            folder,
            format_args!(
                "is not replaced, since it {found}: only a folder of an exported model is"
            ),
        ))
    };
    if !folder.join(DESCRIPTION_FILE).is_file() {
        return refuse("has no `model.json`");
    }
    for entry in fs::read_dir(folder).map_err(ModelError::io(folder))? {
        let entry = entry.map_err(ModelError::io(folder))?;
        let name = entry.file_name();
        let formats = [
            ModelFormat::Burnpack,
            ModelFormat::SafeTensors,
            ModelFormat::Onnx,
        ];
        let own = [DESCRIPTION_FILE, CARD_FILE];
        let own = own.into_iter().chain(formats.map(ModelFormat::file));
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !own.into_iter().any(|own| name == *own) {
            return refuse(&format!("also holds `{}`", name.display()));
        }
    }
    Ok(())
}

/// Writes files to a temporary folder and renames it when it is complete.
fn publish(folder: &Path, files: &[(&str, &[u8])], replaces: bool) -> Result<(), ModelError> {
    let partial = beside(folder, "partial");
    let written = write_all(&partial, files).and_then(|()| {
        let old = beside(folder, "replaced");
        let has_old = replaces && folder.exists();
        if has_old {
            fs::rename(folder, &old).map_err(ModelError::io(folder))?;
        }
        if let Err(error) = fs::rename(&partial, folder) {
            if has_old {
                // As it was before.
                let _ = fs::rename(&old, folder);
            }
            return Err(ModelError::io(folder)(error));
        }
        if has_old {
            let _ = fs::remove_dir_all(&old);
        }
        Ok(())
    });
    if written.is_err() {
        // The error that led here is the one to report.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

fn write_all(folder: &Path, files: &[(&str, &[u8])]) -> Result<(), ModelError> {
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    for (name, contents) in files {
        let path = folder.join(name);
        fs::write(&path, contents).map_err(ModelError::io(&path))?;
    }
    Ok(())
}

/// Returns the path of a temporary folder beside another one, for this process alone.
fn beside(folder: &Path, prefix: &str) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!("{prefix}-{name}-{}", std::process::id()))
}
