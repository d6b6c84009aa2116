//! Files that are images.

use super::decode::is_image;
use crate::listing::FileKind;
use crate::read::open_file;
use std::io::Read;
use std::path::Path;

/// The files of images.
pub(super) const IMAGES: FileKind = FileKind {
    one: "image",
    many: "images",
    is_sample,
};

/// Endings of the names of files that should be images, even if their contents are not.
const EXTENSIONS: [&str; 9] = [
    "bmp", "dib", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "webp",
];

/// Endings of the names of images in formats that are not decoded. Such a file is refused or
/// skipped as a broken image, instead of being left out like other files.
const OTHER_EXTENSIONS: [&str; 9] = [
    "avif", "heic", "heif", "jp2", "jxl", "ppm", "tga", "tif", "tiff",
];

/// Returns whether the file is an image, by its name or by its contents.
fn is_sample(path: &Path, can_be_read: bool) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_ascii_lowercase());
    let extension = extension.as_ref().and_then(|extension| extension.to_str());
    let of_image =
        extension.is_some_and(|it| EXTENSIONS.contains(&it) || OTHER_EXTENSIONS.contains(&it));
    of_image || (can_be_read && is_image(&first_bytes(path)))
}

/// Returns the beginning of a file, or nothing if it cannot be read.
fn first_bytes(path: &Path) -> Vec<u8> {
    let mut first = Vec::new();
    let file = open_file(path);
    // What was read before an error does no harm: it is too short for an image.
    let _ = file.map(|file| file.take(32).read_to_end(&mut first));
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    #[cfg(feature = "images")]
    fn images_are_known_by_their_names_or_their_contents() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan");
        fs::write(&scan, b"\x89PNG\r\n\x1a\n").unwrap();
        let notes = folder.path().join("notes.txt");
        fs::write(&notes, b"hello").unwrap();

        assert!(is_sample(&scan, true));
        assert!(!is_sample(&notes, true));
        // Such images are refused by their contents, not left out unseen.
        assert!(is_sample(Path::new("a/raw.TIFF"), false));
        assert!(is_sample(Path::new("a/lost.png"), false));
        assert!(!is_sample(Path::new("a/lost"), false));
    }
}
