use super::error::OnnxError;
use super::guard;
use super::tensors;
use super::value::is_standard;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};
use tract_onnx::prelude::Framework;

/// ONNX file that was read and checked.
///
/// Reading checks that the nodes of the graph form no cycle and that the constants are complete.
/// Whether the operators are supported is checked when an [`OnnxNetwork`](crate::OnnxNetwork) is
/// created from the file.
#[derive(Clone, Debug)]
pub struct OnnxFile {
    path: PathBuf,
    model: ModelProto,
    files: Vec<PathBuf>,
}

impl OnnxFile {
    /// Reads a file, and checks the separate files that hold its weights, if there are any.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file and the node or tensor if the file cannot be read, is
    /// not an ONNX model, or is inconsistent.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        let io = |source| OnnxError::Io {
            path: path.into(),
            source,
        };
        let kind = fs::metadata(path).map_err(io)?;
        if !kind.is_file() {
            return Err(OnnxError::malformed(
                path,
                "an ONNX model is expected, but this is not a regular file",
            ));
        }
        let mut file = File::open(path).map_err(io)?;
        let decoded = tract_onnx::onnx().proto_model_for_read(&mut file);
        let model = decoded.map_err(|_| {
            let bytes = kind.len();
            OnnxError::malformed(
                path,
                format!(
                    "the file of {bytes} bytes is not an ONNX model: it is of another format, cut off or \
                     damaged"
                ),
            )
        })?;
        let mut read = Self {
            path: path.into(),
            model,
            files: vec![path.into()],
        };
        let reason = guard::check_graph(&read.model);
        reason.map_err(|reason| OnnxError::malformed(path, reason))?;
        let files = tensors::check_all(read.graph(), read.folder());
        let files = files.map_err(|reason| OnnxError::malformed(path, reason))?;
        read.files.extend(files);
        Ok(read)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the file and, if there are any, those of separate files with its
    /// weights.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Returns the version of the operators of the domain `ai.onnx`, or 0 if the file does not
    /// declare one.
    pub fn opset(&self) -> i64 {
        let mut opsets = self.model.opset_import.iter();
        let standard = opsets.find(|opset| is_standard(&opset.domain));
        standard.map_or(0, |opset| opset.version)
    }

    /// Returns the number of weights: the values of all floating-point constants.
    pub fn parameters(&self) -> u64 {
        let constants = tensors::all(self.graph());
        let floats = constants.filter(|(_, tensor)| tensors::is_float(tensor.data_type));
        floats.map(|(_, tensor)| tensors::elements(tensor)).sum()
    }

    pub(super) fn model(&self) -> &ModelProto {
        &self.model
    }

    pub(super) fn graph(&self) -> &GraphProto {
        let graph = self.model.graph.as_ref();
        graph.expect("A file without a graph is refused when it is read.")
    }

    /// Returns the folder of the file.
    pub(super) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Returns the inputs, without those that have a default value.
    pub(super) fn inputs(&self) -> Vec<&ValueInfoProto> {
        let graph = self.graph();
        let constants = graph.initializer.iter();
        let constants: HashSet<_> = constants.map(|tensor| tensor.name.as_str()).collect();
        let inputs = graph.input.iter();
        inputs
            .filter(|input| !constants.contains(input.name.as_str()))
            .collect()
    }
}
