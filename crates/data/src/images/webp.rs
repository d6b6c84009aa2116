//! Checks of WebP files, whose chunks the decoder trusts.

/// Length of the header of a file.
const FILE: usize = 12;

/// Returns whether a WebP file has EXIF metadata that lie in the file.
///
/// The decoder reserves the memory that such a chunk promises, up to 4 GiB, before it reads any of
/// it.
pub(super) fn has_exif(bytes: &[u8]) -> bool {
    let exif = chunks_of(bytes).find(|chunk| chunk.name == b"EXIF");
    exif.is_some_and(|exif| exif.length <= exif.contents.len())
}

/// Returns whether the first frame of an animation has the size that its header says, as far as it
/// is known.
///
/// The decoder panics if an image with transparency is larger than its frame.
pub(super) fn fills_its_frame(bytes: &[u8]) -> bool {
    let frame = chunks_of(bytes).find(|chunk| chunk.name == b"ANMF");
    let Some((header, parts)) = frame.and_then(|frame| frame.contents.split_first_chunk::<16>())
    else {
        return true;
    };
    let mut parts = Chunks(parts);
    match (parts.next(), parts.next()) {
        (Some(alpha), Some(image)) if alpha.name == b"ALPH" && image.contents.len() >= 10 => {
            let of_frame = [6, 9].map(|place| number(&header[place..place + 3]) + 1);
            let of_image = [6, 8].map(|place| number(&image.contents[place..place + 2]) & 0x3FFF);
            of_frame == of_image
        }
        _ => true,
    }
}

/// A chunk of a file.
struct Chunk<'a> {
    name: &'a [u8],
    /// Number of bytes that its header promises.
    length: usize,
    /// All bytes from the first one of the chunk on.
    contents: &'a [u8],
}

/// Chunks, one after the other.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (header, contents) = self.0.split_first_chunk::<8>()?;
        let (name, length) = header.split_at(4);
        let length = number(length);
        // Chunks begin at even places.
        let end = length.saturating_add(length % 2);
        self.0 = contents.get(end..).unwrap_or_default();
        Some(Chunk {
            name,
            length,
            contents,
        })
    }
}

fn chunks_of(file: &[u8]) -> Chunks<'_> {
    Chunks(file.get(FILE..).unwrap_or_default())
}

/// Reads a number of at most 4 bytes, the lowest one first.
fn number(bytes: &[u8]) -> usize {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, &byte| number << 8 | usize::from(byte))
}
