use crate::DataError;
use flate2::read::MultiGzDecoder;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use tar::Archive;

/// Unpacks the data files of a `.tar.gz` to `folder`, which gets its final name only when it is
/// complete, and removes the archive.
///
/// Folders in the archive are ignored: every file is written directly into `folder`.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<(), DataError> {
    let mut unfinished = folder.as_os_str().to_os_string();
    unfinished.push(".part");
    let unfinished = Path::new(&unfinished);
    remove(unfinished)?;
    fs::create_dir_all(unfinished).map_err(|source| DataError::io(unfinished, source))?;

    let at_archive = |source| DataError::io(archive, source);
    let file = File::open(archive).map_err(at_archive)?;
    let mut count = 0;
    for entry in Archive::new(MultiGzDecoder::new(file))
        .entries()
        .map_err(at_archive)?
    {
        let mut entry = entry.map_err(at_archive)?;
        let path = entry.path().map_err(at_archive)?.into_owned();
        let is_data = path
            .extension()
            .is_some_and(|extension| extension == OsStr::new("bin"));
        if let Some(name) = path.file_name()
            && is_data
            && entry.header().entry_type().is_file()
        {
            let target = unfinished.join(name);
            let io = |source| DataError::io(&target, source);
            std::io::copy(&mut entry, &mut File::create(&target).map_err(io)?).map_err(io)?;
            count += 1;
        }
    }
    if count == 0 {
        return Err(DataError::corrupt(
            archive,
            0,
            "an archive of .bin files",
            "none",
        ));
    }
    // An existing folder is incomplete, or the archive would not have been downloaded again.
    remove(folder)?;
    fs::rename(unfinished, folder).map_err(|source| DataError::io(folder, source))?;
    fs::remove_file(archive).map_err(at_archive)
}

fn remove(folder: &Path) -> Result<(), DataError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DataError::io(folder, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cifar::tests::record;
    use crate::read::tests::gzip;
    use tar::{Builder, Header};

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // Written directly, because `append_data` would refuse the paths that are tested.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        gzip(&builder.into_inner().unwrap())
    }

    /// Returns an archive of CIFAR-10 with one training image of class 1 and one test image of
    /// class 2.
    pub(in crate::source) fn cifar10() -> Vec<u8> {
        archive(&[
            ("cifar-10-batches-bin/data_batch_1.bin", &record(&[1], 0)),
            ("cifar-10-batches-bin/readme.html", b"<html>"),
            ("cifar-10-batches-bin/test_batch.bin", &record(&[2], 0)),
        ])
    }

    #[test]
    fn the_folder_holds_only_the_data_files() {
        let cache = tempfile::tempdir().unwrap();
        // As an interrupted run leaves it.
        fs::create_dir_all(cache.path().join("folder.part/rest")).unwrap();
        fs::create_dir_all(cache.path().join("folder")).unwrap();
        fs::write(cache.path().join("folder/data_batch_9.bin"), b"").unwrap();
        let path = cache.path().join("a.tar.gz");
        fs::write(&path, cifar10()).unwrap();

        unpack(&path, &cache.path().join("folder")).unwrap();

        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(cache.path()), ["folder"]);
        assert_eq!(
            names(&cache.path().join("folder")),
            ["data_batch_1.bin", "test_batch.bin"]
        );
    }

    #[test]
    fn no_file_is_written_outside_the_folder() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("a.tar.gz");
        fs::write(&path, archive(&[("../../escaped.bin", b"x")])).unwrap();

        unpack(&path, &cache.path().join("inner/folder")).unwrap();

        assert!(cache.path().join("inner/folder/escaped.bin").is_file());
        assert!(!cache.path().join("escaped.bin").exists());
    }

    #[test]
    fn a_truncated_archive_leaves_no_folder() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("a.tar.gz");
        let bytes = archive(&[("a.bin", &[7; 5000])]);
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();

        assert!(unpack(&path, &cache.path().join("folder")).is_err());
        assert!(!cache.path().join("folder").exists());
    }
}
