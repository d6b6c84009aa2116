use super::non_finite_weights;
use burn::module::Module;
use burn::store::ModuleRecord;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes a file under a temporary name and then renames it, so that a reader never sees a partial
/// file, even if the program is killed.
///
/// It does not wait for the disk, which would take longer than an epoch of a small training.
///
/// # Errors
///
/// Returns an error if the folder of the file cannot be written to. The old file is then unharmed.
pub fn write_atomically(path: impl AsRef<Path>, contents: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    fs::write(partial(path), contents)?;
    publish(path)
}

/// Returns the path under which the contents of `path` are written before they are renamed.
pub(crate) fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("partial-{name}"))
}

/// Renames a finished partial file to its final name.
pub(crate) fn publish(path: &Path) -> io::Result<()> {
    fs::rename(partial(path), path)
}

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

/// Returns whether this is the name of a [partial] file `partial-<name>`, or of the temporary file
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

/// Returns the SHA-256 of a file, in hexadecimal.
///
/// # Errors
///
/// Returns an error if the file cannot be read.
pub fn file_sha256(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(hexadecimal(digest.finalize()))
}

pub(crate) fn hexadecimal(digest: impl AsRef<[u8]>) -> String {
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
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
    fn a_file_that_cannot_be_replaced_does_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write_atomically(&path, b"old").unwrap();

        // A folder has the name of the partial file.
        fs::create_dir(partial(&path)).unwrap();
        write_atomically(&path, b"new").unwrap_err();

        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

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

    #[test]
    fn no_partial_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");

        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
