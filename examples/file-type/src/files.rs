//! The files of folders, as tokens.

use burn_distill::data::ByteWindow;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Smallest number of bytes for which magika runs its model.
const FEWEST_BYTES: usize = 8;

/// Limits of a collection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest number of files.
    pub files: usize,
    /// Largest number of files whose names have the same ending, so that no type dominates.
    pub per_ending: usize,
}

/// Purpose of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The student is trained on it.
    Train,
    /// The training is validated on it.
    Valid,
    /// The student is tested on it.
    Unseen,
}

impl Display for Purpose {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "training",
            Self::Valid => "validation",
            Self::Unseen => "the test on unseen files",
        })
    }
}

/// File as an input of the networks.
#[derive(Clone, Debug)]
pub struct File {
    /// First and last bytes.
    pub tokens: Arc<[u16]>,
    /// Purpose.
    pub purpose: Purpose,
}

/// Reads the first and last bytes of files in folders, and in the folders below them.
///
/// Links are not followed, and files that cannot be read are skipped. The files are in a random but
/// fixed order, by the hashes of their paths. Of several files with the same tokens, one is kept.
/// The hash of the tokens decides the purpose: one in ten files is for validation, and one in ten
/// is unseen.
pub fn collect(folders: &[PathBuf], limits: Limits) -> Vec<File> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| list(folder, &mut paths));
    paths.sort_by_cached_key(|path| hash(path.as_os_str().as_encoded_bytes()));

    let mut files = Vec::new();
    let mut seen = HashSet::new();
    let mut endings: HashMap<OsString, usize> = HashMap::new();
    for path in paths {
        if files.len() == limits.files {
            break;
        }
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let count = endings.entry(ending).or_default();
        if *count == limits.per_ending {
            continue;
        }
        let Ok(tokens) = ByteWindow::MAGIKA.read(&path) else {
            continue;
        };
        let bytes: Vec<_> = tokens
            .iter()
            .flat_map(|token| token.to_le_bytes())
            .collect();
        let hash = hash(&bytes);
        if tokens[FEWEST_BYTES - 1] == ByteWindow::PADDING || !seen.insert(hash) {
            continue;
        }
        *count += 1;
        files.push(File {
            tokens: tokens.into(),
            purpose: match hash[0] % 10 {
                0 => Purpose::Unseen,
                1 => Purpose::Valid,
                _ => Purpose::Train,
            },
        });
    }
    files
}

/// Adds the files of a folder, and of the folders below it.
fn list(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        // Of the entry itself, not of the target of a link.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), paths),
            Ok(kind) if kind.is_file() => paths.push(entry.path()),
            _ => {}
        }
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limits = Limits {
        files: usize::MAX,
        per_ending: usize::MAX,
    };

    /// Writes files whose contents differ, in two folders one below the other.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        for file in 0..100 {
            let below = if file % 2 == 0 { "" } else { "below/" };
            let name = format!("{below}{file}.{}", if file < 60 { "TXT" } else { "c" });
            fs::write(folder.path().join(name), format!("contents {file}")).unwrap();
        }
        folder
    }

    fn count(files: &[File], purpose: Purpose) -> usize {
        files.iter().filter(|file| file.purpose == purpose).count()
    }

    #[test]
    fn equal_and_short_files_are_left_out() {
        let folder = folder();
        let before = collect(&[folder.path().into()], ALL);
        assert_eq!(before.len(), 100);

        for (name, contents) in [
            ("copy.txt", "contents 7"),
            ("short", "1234567"),
            ("empty", ""),
        ] {
            fs::write(folder.path().join(name), contents).unwrap();
        }
        // Whitespace at the beginning does not count.
        fs::write(folder.path().join("spaces"), "        \n\n1234567").unwrap();
        let after = collect(&[folder.path().into(), folder.path().into()], ALL);
        assert_eq!(after.len(), 100);
    }

    #[test]
    fn the_purpose_depends_on_the_contents_only() {
        let folder = folder();
        let files = collect(&[folder.path().into()], ALL);
        let unseen = count(&files, Purpose::Unseen);
        let valid = count(&files, Purpose::Valid);
        assert!((3..=20).contains(&unseen), "{unseen}");
        assert!((3..=20).contains(&valid), "{valid}");

        let part = collect(&[folder.path().join("below")], ALL);
        assert_eq!(part.len(), 50);
        for file in part {
            let same = files.iter().find(|other| other.tokens == file.tokens);
            assert_eq!(same.unwrap().purpose, file.purpose);
        }
    }

    #[test]
    fn the_limits_are_kept() {
        let folder = folder();
        let count = |files, per_ending| {
            let limits = Limits { files, per_ending };
            collect(&[folder.path().into()], limits).len()
        };
        assert_eq!(count(17, usize::MAX), 17);
        // Sixty and forty files have the same ending.
        assert_eq!(count(usize::MAX, 50), 90);
        assert_eq!(count(0, 50), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_missing_folders_are_skipped() {
        let folder = folder();
        let link = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(folder.path(), link("circle")).unwrap();
        std::os::unix::fs::symlink(link("nowhere"), link("broken")).unwrap();
        std::os::unix::net::UnixListener::bind(link("socket")).unwrap();

        let files = collect(&[folder.path().into(), link("missing")], ALL);
        assert_eq!(files.len(), 100);
    }
}
