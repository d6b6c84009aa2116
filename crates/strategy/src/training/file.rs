use super::non_finite_weights;
use burn::module::Module;
use burn::store::ModuleRecord;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Waits until the contents of a file are on the disk.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}

/// Waits until the names of the files in a folder are on the disk.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Does nothing: on other systems it is impossible to wait for a folder.
#[cfg(not(unix))]
pub(super) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes the partial files that a killed program left in a folder, which it recognizes by their
/// names: those of records, manifests and tables, and the temporary files that burn writes for a
/// record. Other files stay. A folder that does not exist has none.
pub(crate) fn remove_partials(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_left = entry.file_name().to_str().is_some_and(is_partial);
        if is_left && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Returns whether this is the name of a [partial](burn_distill_core::partial_path) file `partial-<name>`, or of the temporary file
/// `partial-<name>.<process>-<number>.tmp` that burn renames to it.
fn is_partial(name: &str) -> bool {
    let Some(name) = name.strip_prefix("partial-") else {
        return false;
    };
    let of_burn = name.strip_suffix(".tmp").and_then(|name| {
        let (name, numbers) = name.rsplit_once('.')?;
        let (process, number) = numbers.split_once('-')?;
        let is_number = |text: &str| text.parse::<u64>().is_ok();
        (is_number(process) && is_number(number)).then_some(name)
    });
    let name = Path::new(of_burn.unwrap_or(name));
    let extension = name.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("bpk" | "csv" | "json"))
}

/// Returns a copy of a module with the weights and running statistics of a file, in validation
/// mode.
///
/// The module itself does not change, even where it shares running statistics with others: burn
/// loads these in place, so they are loaded into the copy.
///
/// # Errors
///
/// Returns the reason if the file cannot be read, belongs to another module or holds values that
/// are NaN or infinite.
pub(crate) fn load_module<M: Module>(path: &Path, module: &M) -> Result<M, String> {
    let loaded = ModuleRecord::load(path)
        .and_then(|record| module.valid().try_load_record(record))
        .map_err(|error| error.to_string())?;
    match non_finite_weights(&loaded) {
        Some(tensor) => Err(format!(
            "its tensor `{tensor}` holds NaN or infinite values"
        )),
        None => Ok(loaded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_files_are_recognized_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let left = [
            "partial-model-3.bpk",
            "partial-model-3.bpk.4711-8.tmp",
            "partial-history.csv",
            "partial-checkpoint.json",
        ];
        let others = [
            "model-3.bpk",
            "model-3.bpk.4711-8.tmp",
            "partial-notes.txt",
            "partial-model-3.bpk.tmp",
            "partial-model-3.bpk.old-8.tmp",
            "partial",
        ];
        for name in left.iter().chain(&others) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("partial-folder.json")).unwrap();

        remove_partials(folder.path()).unwrap();
        remove_partials(&folder.path().join("missing")).unwrap();

        for name in left {
            assert!(!folder.path().join(name).exists(), "{name}");
        }
        for name in others.iter().chain(&["partial-folder.json"]) {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }
}
