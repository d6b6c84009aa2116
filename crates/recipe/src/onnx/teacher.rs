//! The network of a teacher in an ONNX file.

use super::load;
use super::recipe::{OnnxNetwork, OnnxRecipe, OnnxTask};
use crate::fault::Fault;
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::core::check;
use std::path::PathBuf;

impl OnnxRecipe {
    /// Checks the path and the options, without reading the file.
    ///
    /// # Errors
    ///
    /// Returns an error that names the key, or the command that builds this program with support of
    /// ONNX files.
    pub fn check(&self) -> Result<(), Fault> {
        let given = !self.file.as_os_str().is_empty();
        check::ensure(given, "file", "the path of a file", "empty")?;
        load::check(self)
    }

    /// Loads the network, and checks that it fits the data.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the node or the option, if the file cannot be read
    /// or run, or if it does not fit the data.
    pub fn load(&self, task: OnnxTask<'_>, device: &Device) -> Result<OnnxNetwork> {
        load::load(self, task, device)
    }

    /// Returns the path of the file and, if there are any, those of separate files with its
    /// weights.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        load::files(self)
    }
}
