use crate::DataError;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Opens a file, but neither a pipe nor a device, which may wait for ever or have no end.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("this is not a regular file")),
    }
}

/// Reads a [regular](open_file) file.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file, decompressed if its name ends in `.gz`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = read_file(path).map_err(|source| DataError::io(path, source))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        gunzip(path, &bytes)
    } else {
        Ok(bytes)
    }
}

/// Decompresses gzipped bytes.
pub(crate) fn gunzip(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut content = Vec::new();
    match MultiGzDecoder::new(bytes).read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(error) => Err(DataError::corrupt(
            path,
            content.len(),
            "the rest of a complete gzip file",
            error.to_string(),
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_and_plain_files_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, compressed) = (folder.path().join("a"), folder.path().join("a.gz"));
        fs::write(&plain, b"hello").unwrap();
        fs::write(&compressed, gzip(b"hello")).unwrap();

        assert_eq!(read(&plain).unwrap(), b"hello");
        assert_eq!(read(&compressed).unwrap(), b"hello");
    }

    #[test]
    fn a_truncated_gzip_file_is_named_with_its_offset() {
        let bytes = gzip(b"hello");

        let error = gunzip(Path::new("a.gz"), &bytes[..bytes.len() - 4])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("a.gz: at byte 5: expected the rest of a complete gzip file"),
            "{error}"
        );
    }

    #[test]
    fn neither_a_folder_nor_a_device_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/zero")] {
            let error = read_file(path).unwrap_err().to_string();
            assert_eq!(error, "this is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("nowhere/a")).unwrap_err().to_string();

        assert!(error.starts_with("nowhere/a: "), "{error}");
    }
}
