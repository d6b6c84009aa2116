use super::error::ModelError;
use burn_distill_core::{Check, InputShape, Network, known_taps, parameter_count};
use burn_distill_data::{
    ArrayReader, ByteWindow, ColumnEncoding, Normalization, Preprocessing, TableReader,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// File of the description in the folder of a model.
pub const DESCRIPTION_FILE: &str = "model.json";

/// Version of the description that this crate writes, and the latest that it reads.
const FORMAT_VERSION: u32 = 1;

/// Description of an exported model, the contents of `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// Version of this format.
    pub format_version: u32,
    /// Network.
    pub architecture: ArchitectureDescription,
    /// Shape of the input of a sample.
    #[serde(with = "input")]
    pub input: InputShape,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Mean and standard deviation of each channel, by which images are normalized; none for other
    /// inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Steps from an image file to pixels, before the normalization; none for inputs that were not
    /// read from image files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// Conversion of the rows of CSV files to inputs; none for inputs that were not read from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableReader>,
    /// Conversion of arrays in the files of NumPy to inputs; none for inputs that were not read from
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrays: Option<ArrayReader>,
    /// Bytes of a file that are tokens; none for inputs that are not the bytes of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ByteWindow>,
    /// Intermediate results that the network exposes.
    pub taps: Vec<TapDescription>,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// File of the network.
    pub weights: WeightsDescription,
    /// Training data, as recorded by the run; none for a network of unknown origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Network of a model, by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArchitectureDescription {
    /// Name, as in a recipe.
    pub name: String,
    /// Options of a network that a program adds.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

/// Intermediate result of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapDescription {
    /// Name.
    pub name: String,
    /// Kind: `vector`, `sequence`, `map` or `attention`.
    pub kind: String,
    /// Shape for one sample.
    pub shape: Vec<usize>,
}

/// File of the network of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsDescription {
    /// Name of the file in the folder.
    pub file: String,
    /// Format of the file.
    pub format: ModelFormat,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Names of the tensors.
    #[serde(default)]
    pub keys: TensorKeys,
    /// Precision of matrices and kernels, if they are quantized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// Inputs and output of an ONNX file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<OnnxDescription>,
}

/// Inputs and output of an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnnxDescription {
    /// Version of the operators.
    pub opset: i64,
    /// Names of the inputs, whose first axis is the batch, of any size.
    pub inputs: Vec<String>,
    /// Name of the output, the logits.
    pub output: String,
    /// Whether the file normalizes images: its input is then pixels from 0 to 255, otherwise
    /// normalized images.
    pub normalizes: bool,
}

/// Format of the file of an exported network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ModelFormat {
    /// burn's format, `model.bpk`.
    Burnpack,
    /// SafeTensors, `model.safetensors`.
    SafeTensors,
    /// ONNX, `model.onnx`.
    Onnx,
}

impl ModelFormat {
    /// Returns the name of the file in the folder of a model.
    pub fn file(self) -> &'static str {
        match self {
            Self::Burnpack => "model.bpk",
            Self::SafeTensors => "model.safetensors",
            Self::Onnx => "model.onnx",
        }
    }
}

/// Names of the tensors in the file of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TensorKeys {
    /// Paths in the module tree, in burn's layout.
    #[default]
    Paths,
    /// Keys and layout of the original network in PyTorch: the weights of linear layers are
    /// transposed.
    Original,
}

/// Precision of quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Quantization {
    /// 8 bits, symmetric, with one scale for each matrix or kernel. A loaded network computes in
    /// single precision.
    Q8,
}

impl Display for ModelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Burnpack => "burnpack",
            Self::SafeTensors => "safetensors",
            Self::Onnx => "onnx",
        })
    }
}

/// Number of parameters that take so little memory that the checksum of the file is looked at first.
const SMALL: u64 = 1 << 24;

impl ModelDescription {
    /// Creates the description of a network, without its file.
    pub fn new<N: Network>(
        network: &N,
        architecture: impl Into<ArchitectureDescription>,
        input: InputShape,
        classes: Vec<String>,
        normalization: Option<Normalization>,
    ) -> Self {
        let taps = known_taps(network);
        let taps = taps.iter().map(|(name, tap)| TapDescription {
            name: name.to_string(),
            kind: tap.kind().to_string(),
            shape: tap.shape().as_slice()[1..].to_vec(),
        });
        Self {
            format_version: FORMAT_VERSION,
            architecture: architecture.into(),
            input,
            classes,
            normalization,
            preprocessing: None,
            table: None,
            arrays: None,
            window: None,
            taps: taps.collect(),
            parameters: parameter_count(network),
            weights: WeightsDescription {
                file: String::new(),
                format: ModelFormat::Burnpack,
                bytes: 0,
                sha256: String::new(),
                keys: TensorKeys::Paths,
                quantization: None,
                onnx: None,
            },
            data: None,
        }
    }

    /// Reads the description of the model in a folder.
    ///
    /// # Errors
    ///
    /// Returns an error with the path if there is no description, if it is damaged, if a later
    /// version has written it, or if its values contradict each other.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let folder = folder.as_ref();
        let path = folder.join(DESCRIPTION_FILE);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                let path = folder.to_path_buf();
                ModelError::NotFound { path }
            }
            ErrorKind::InvalidData => damaged(&path, "it is not text"),
            _ => ModelError::io(&path)(source),
        })?;
        let json: Value = serde_json::from_str(&text).map_err(|error| damaged(&path, error))?;
        let version = json.get("format_version").and_then(Value::as_u64);
        if let Some(version) = version
            && version > FORMAT_VERSION.into()
        {
            return Err(ModelError::invalid(
                &path,
                format_args!(
                    "its `format_version` is {version}, but this program reads versions up to \
                     {FORMAT_VERSION}: use a later version of this program"
                ),
            ));
        }
        let description: Self =
            serde_json::from_value(json).map_err(|error| damaged(&path, error))?;
        description.check(&path)?;
        Ok(description)
    }

    /// Checks that the file of the weights can hold this number of parameters, before memory is taken
    /// for a large network. A missing file is not an error here.
    ///
    /// # Errors
    ///
    /// Returns an error with both numbers if there are more than 16.8 million parameters, and more than
    /// bytes in the file.
    pub fn check_size(&self, folder: &Path, parameters: usize) -> Result<(), ModelError> {
        let file = fs::metadata(folder.join(&self.weights.file));
        match file.map(|metadata| metadata.len()) {
            // Quantized weights have a byte each.
            Ok(bytes) if parameters as u64 > bytes.max(SMALL) => Err(ModelError::invalid(
                folder.join(DESCRIPTION_FILE),
                format_args!(
                    "`architecture` is a {} with {parameters} parameters, but {} has {bytes} bytes: \
                     export the model again",
                    self.architecture.name, self.weights.file
                ),
            )),
            _ => Ok(()),
        }
    }

    fn check(&self, path: &Path) -> Result<(), ModelError> {
        let file = Path::new(&self.weights.file);
        let invalid = |message: String| Err(ModelError::invalid(path, message));
        if file.file_name() != Some(file.as_os_str()) {
            return invalid(format!(
                "`weights.file` should be the name of a file in the folder, but is `{}`",
                self.weights.file
            ));
        }
        if self.classes.is_empty() {
            return invalid("`classes` should name at least one class, but is empty".into());
        }
        if self.input.sample_shape().contains(&0) {
            return invalid(format!(
                "`input` should have no size of 0, but is {}",
                self.input
            ));
        }
        if let Some(table) = &self.table
            && self.input != InputShape::Vector([table.encoding.features()])
        {
            return invalid(format!(
                "`table` should have columns for the input, {}, but has columns of {} features",
                self.input,
                table.encoding.features()
            ));
        }
        let positive = |std: f64| std > 0.0 && std.is_finite();
        let columns = self.table.iter().flat_map(|table| &table.encoding.columns);
        for column in columns {
            if let ColumnEncoding::Numeric { name, std, .. } = column
                && !positive(*std)
            {
                return invalid(format!(
                    "`table` should have a standard deviation above 0 for the column `{name}`, but \
                     has {std}"
                ));
            }
        }
        if let Some(window) = self.window {
            if let Err(error) = window.check() {
                return invalid(format!("`window`: {error}"));
            }
            let input = InputShape::Tokens {
                length: window.tokens(),
                vocabulary: ByteWindow::VOCABULARY,
            };
            if self.input != input {
                return invalid(format!(
                    "`window` is for {input}, but `input` is {}",
                    self.input
                ));
            }
        }
        let Some(Normalization { mean, std }) = &self.normalization else {
            return Ok(());
        };
        let InputShape::Image([channels, ..]) = self.input else {
            return invalid(format!(
                "`normalization` is for images, but `input` is {}",
                self.input
            ));
        };
        let positive = std.iter().all(|&std| positive(std.into()));
        if [mean.len(), std.len()] != [channels; 2] || !positive {
            return invalid(format!(
                "`normalization` should have a mean and a standard deviation above 0 for each of the \
                 {channels} channels, but has {mean:?} and {std:?}"
            ));
        }
        Ok(())
    }
}

impl From<&str> for ArchitectureDescription {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_string(),
            options: Map::new(),
        }
    }
}

fn damaged(path: &Path, reason: impl Display) -> ModelError {
    ModelError::invalid(
        path,
        format_args!("not the description of a model ({reason}): export the model again"),
    )
}

/// The shape of an input with its kind, which the sizes alone do not determine.
mod input {
    use burn_distill_core::InputShape;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Input {
        Images { shape: [usize; 3] },
        Sequences { shape: [usize; 2] },
        Vectors { shape: [usize; 1] },
        Tokens { length: usize, vocabulary: usize },
    }

    pub fn serialize<S: Serializer>(shape: &InputShape, serializer: S) -> Result<S::Ok, S::Error> {
        let input = match *shape {
            InputShape::Image(shape) => Input::Images { shape },
            InputShape::Sequence(shape) => Input::Sequences { shape },
            InputShape::Vector(shape) => Input::Vectors { shape },
            InputShape::Tokens { length, vocabulary } => Input::Tokens { length, vocabulary },
        };
        input.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InputShape, D::Error> {
        Ok(match Input::deserialize(deserializer)? {
            Input::Images { shape } => InputShape::Image(shape),
            Input::Sequences { shape } => InputShape::Sequence(shape),
            Input::Vectors { shape } => InputShape::Vector(shape),
            Input::Tokens { length, vocabulary } => InputShape::Tokens { length, vocabulary },
        })
    }
}
