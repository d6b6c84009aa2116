use super::array::NumpyArray;
use super::header::{Fault, Header, PREFIX, description};
use crate::DataError;
use crate::read::open_file;
use std::io::{self, BufReader, Read};
use std::path::Path;

impl NumpyArray {
    /// Reads an array from an `.npy` file, as `numpy.save` writes it.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Io`] if the file cannot be read, and [`DataError::Corrupt`] if it holds
    /// no array of numbers, or fewer or more bytes than its header declares, which is checked
    /// before memory is allocated for them.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let open = || -> io::Result<_> {
            let file = open_file(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        let (file, size) = open().map_err(|error| DataError::io(path, error))?;
        read(BufReader::new(file), size, path)
    }
}

/// Reads an array from the contents of an `.npy` file with this number of bytes; `path` is for
/// messages.
///
/// # Errors
///
/// Returns the errors of [`NumpyArray::open`].
pub(super) fn read(mut source: impl Read, size: u64, path: &Path) -> Result<NumpyArray, DataError> {
    let fault = |fault: Fault| DataError::corrupt(path, fault.offset, fault.expected, fault.found);
    let io = |error| DataError::io(path, error);

    let prefix = bytes(
        &mut source,
        PREFIX.min(usize::try_from(size).unwrap_or(PREFIX)),
    );
    let mut begin = prefix.map_err(io)?;
    let (start, length) = description(&begin).map_err(fault)?;
    let end = start + length;
    if let Some(rest) = end.checked_sub(begin.len()) {
        begin.extend(bytes(&mut source, rest).map_err(io)?);
    }
    if begin.len() < end {
        return Err(DataError::corrupt(
            path,
            begin.len(),
            format!("a header of {length} bytes"),
            "the end of the file",
        ));
    }
    let header = Header::parse(start, &begin[start..end]).map_err(fault)?;
    if header.shape.is_empty() {
        return Err(DataError::corrupt(
            path,
            start,
            "an array whose first axis is that of the samples",
            "a single number",
        ));
    }
    // Also because there may be any number of samples of no elements.
    if header.size == 0 {
        return Err(DataError::corrupt(
            path,
            start,
            "an array with elements",
            format!("one of the shape {:?}", header.shape),
        ));
    }
    let other_size = |found: u64| {
        DataError::corrupt(
            path,
            end,
            format!(
                "{} bytes, for an array of the shape {:?}",
                header.size, header.shape
            ),
            found.to_string(),
        )
    };
    // What is read already is of the header, or of an array that is too large.
    let promised = size.checked_sub(end as u64);
    match promised {
        Some(promised) if promised == header.size as u64 => {}
        found => return Err(other_size(found.unwrap_or_default())),
    }
    let mut content = begin.split_off(end);
    content.reserve_exact(header.size.saturating_sub(content.len()));
    let rest = header.size.saturating_sub(content.len());
    let read = source.by_ref().take(rest as u64).read_to_end(&mut content);
    read.map_err(io)?;
    // Also checks the checksum of an archive, which is known only at the end.
    let more = bytes(&mut source, 1).map_err(io)?.len();
    let found = content.len() + more;
    if found != header.size {
        return Err(other_size(found as u64));
    }
    Ok(NumpyArray::new(header, content))
}

/// Reads this number of bytes, or fewer at the end.
fn bytes(source: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    source.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
