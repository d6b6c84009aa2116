//! The archive as the reader of the tensors sees it.

use super::super::error::Fault;
use super::archive::Member;
use std::fs::File;
use std::io::BufReader;
use zip::{CompressionMethod, ZipArchive};

/// Checks that the reader of the tensors finds the files that were checked, at the same places.
///
/// An archive can describe two directories: its last record and that of ZIP64 may differ, and a
/// record that a reader does not accept makes it look for an earlier one. Such an archive could
/// show harmless files here, and others to the reader, which unpack to any size.
pub(super) fn check(file: &File, members: &[Member]) -> Result<(), Fault> {
    let refused = |reason: &str| {
        Fault::refused(format!(
            "{reason}: load it in PyTorch and save it again under another name"
        ))
    };
    let differ = |name: &str| {
        refused(&format!(
            "two readers find different files in its archive, such as `{name}`"
        ))
    };
    // Also files of PyTorch whose first name has 30 bytes, as in `resnet18_cifar100_ep9/data.pkl`:
    // the reader looks for the directory 76 bytes too late, where the second entry is.
    let fault = |error: String| refused(&format!("the reader of its archive stops: {error}"));
    let archive = ZipArchive::new(BufReader::new(file.try_clone()?));
    let mut archive = archive.map_err(|error| fault(error.to_string()))?;
    if archive.len() != members.len() {
        let last = members.last().map_or("", |member| member.name.as_str());
        return Err(differ(last));
    }
    for (index, member) in members.iter().enumerate() {
        let found = archive.by_index_raw(index);
        let found = found.map_err(|error| fault(error.to_string()))?;
        // The encoding of other letters is guessed.
        let same_name = match member.name.is_ascii() {
            true => found.name().is_ok_and(|name| name == member.name),
            false => true,
        };
        let same = same_name
            && found.header_start() == member.header
            && found.compression() == CompressionMethod::Stored
            && [found.size(), found.compressed_size()] == [member.size; 2];
        if !same {
            return Err(differ(&member.name));
        }
    }
    Ok(())
}
