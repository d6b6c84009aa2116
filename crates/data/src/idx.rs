use crate::{DataError, read::read};
use std::path::Path;

/// First bytes of an IDX file of unsigned bytes, to which the number of axes is added.
const MAGIC: u32 = 0x0000_0800;

/// Reads the images and labels of two IDX files, the format of MNIST and similar data sets: a magic
/// number and the size of each axis as big-endian 32-bit numbers, then one byte per value.
pub(crate) fn load(
    images: &Path,
    labels: &Path,
    [height, width]: [usize; 2],
    num_classes: usize,
) -> Result<(Vec<u8>, Vec<usize>), DataError> {
    let pixels = self::images(images, &read(images)?, [height, width])?;
    let classes = self::labels(labels, &read(labels)?, num_classes)?;
    let count = pixels.len() / (height * width);
    if classes.len() != count {
        return Err(DataError::corrupt(
            labels,
            4,
            format!("{count} labels, one for each image of {}", images.display()),
            classes.len().to_string(),
        ));
    }
    Ok((pixels, classes))
}

fn images(path: &Path, bytes: &[u8], size: [usize; 2]) -> Result<Vec<u8>, DataError> {
    let ([_, height, width], values) = values(path, bytes)?;
    for (axis, (found, expected)) in [height, width].into_iter().zip(size).enumerate() {
        if found != expected {
            return Err(DataError::corrupt(
                path,
                8 + 4 * axis,
                format!("images of {} by {} pixels", size[0], size[1]),
                format!("{height} by {width}"),
            ));
        }
    }
    Ok(values.to_vec())
}

fn labels(path: &Path, bytes: &[u8], num_classes: usize) -> Result<Vec<usize>, DataError> {
    let ([_], values) = values(path, bytes)?;
    let labels: Vec<_> = values.iter().copied().map(usize::from).collect();
    match labels.iter().position(|&label| label >= num_classes) {
        Some(place) => Err(DataError::corrupt(
            path,
            bytes.len() - values.len() + place,
            format!("a label below {num_classes}"),
            labels[place].to_string(),
        )),
        None => Ok(labels),
    }
}

/// Returns the size of each of `D` axes, and the values.
fn values<'a, const D: usize>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<([usize; D], &'a [u8]), DataError> {
    let expected = MAGIC + D as u32;
    let magic = word(path, bytes, 0)?;
    if magic != expected {
        return Err(DataError::corrupt(
            path,
            0,
            format!("the magic number {expected:#010x} of {D} axes of bytes"),
            format!("{magic:#010x}"),
        ));
    }
    let mut sizes = [0; D];
    for (axis, size) in sizes.iter_mut().enumerate() {
        *size = word(path, bytes, 4 + 4 * axis)? as usize;
    }
    let start = 4 + 4 * D;
    // Computed in 128 bits, because a corrupt header can claim more than fits into memory.
    let total = start as u128 + sizes.iter().map(|&size| size as u128).product::<u128>();
    if bytes.len() as u128 != total {
        return Err(DataError::corrupt(
            path,
            (bytes.len() as u128).min(total) as usize,
            format!("{total} bytes, according to the sizes {sizes:?}"),
            format!("{} bytes", bytes.len()),
        ));
    }
    Ok((sizes, &bytes[start..]))
}

fn word(path: &Path, bytes: &[u8], offset: usize) -> Result<u32, DataError> {
    match bytes.get(offset..).and_then(|rest| rest.first_chunk()) {
        Some(&word) => Ok(u32::from_be_bytes(word)),
        None => Err(DataError::corrupt(
            path,
            offset,
            "4 bytes of the header",
            format!("the end of the file after {} bytes", bytes.len()),
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    pub(crate) fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = (MAGIC + sizes.len() as u32).to_be_bytes().to_vec();
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn images_error(bytes: &[u8]) -> String {
        images(Path::new("i"), bytes, [2, 2])
            .unwrap_err()
            .to_string()
    }

    fn labels_error(bytes: &[u8]) -> String {
        labels(Path::new("l"), bytes, 10).unwrap_err().to_string()
    }

    #[test]
    fn complete_files_are_read() {
        let pixels: Vec<u8> = (0..8).collect();

        assert_eq!(
            images(Path::new("i"), &idx(&[2, 2, 2], &pixels), [2, 2]).unwrap(),
            pixels
        );
        assert_eq!(
            labels(Path::new("l"), &idx(&[2], &[9, 0]), 10).unwrap(),
            [9, 0]
        );
    }

    #[test]
    fn a_wrong_magic_number_is_refused() {
        assert_eq!(
            images_error(&idx(&[2], &[1, 2])),
            "i: at byte 0: expected the magic number 0x00000803 of 3 axes of bytes, found \
             0x00000801"
        );
    }

    #[test]
    fn a_truncated_header_is_refused() {
        assert_eq!(
            images_error(&idx(&[2, 2, 2], &[])[..10]),
            "i: at byte 8: expected 4 bytes of the header, found the end of the file after 10 bytes"
        );
        assert!(labels_error(&[]).starts_with("l: at byte 0: "));
    }

    #[test]
    fn too_few_or_too_many_values_are_refused() {
        assert_eq!(
            images_error(&idx(&[2, 2, 2], &[0; 7])),
            "i: at byte 23: expected 24 bytes, according to the sizes [2, 2, 2], found 23 bytes"
        );
        assert_eq!(
            labels_error(&idx(&[1], &[0; 2])),
            "l: at byte 9: expected 9 bytes, according to the sizes [1], found 10 bytes"
        );
    }

    #[test]
    fn sizes_beyond_memory_are_refused() {
        let error = images_error(&idx(&[u32::MAX; 3], &[]));

        assert!(error.starts_with("i: at byte 16: expected 79228162458924105385300197391 bytes"));
    }

    #[test]
    fn images_of_another_size_are_refused() {
        assert_eq!(
            images_error(&idx(&[1, 2, 3], &[0; 6])),
            "i: at byte 12: expected images of 2 by 2 pixels, found 2 by 3"
        );
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        assert_eq!(
            labels_error(&idx(&[3], &[0, 10, 0])),
            "l: at byte 9: expected a label below 10, found 10"
        );
    }

    #[test]
    fn the_numbers_of_images_and_labels_must_match() {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = (folder.path().join("i"), folder.path().join("l"));
        fs::write(&images, idx(&[2, 1, 1], &[0; 2])).unwrap();
        fs::write(&labels, idx(&[3], &[0; 3])).unwrap();

        let error = load(&images, &labels, [1, 1], 10).unwrap_err().to_string();
        assert!(
            error.contains("l: at byte 4: expected 2 labels, one for each image of"),
            "{error}"
        );
        assert!(error.ends_with("found 3"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(sizes: [u32; 3], small: [u8; 3], bytes: Vec<u8>) {
            let path = Path::new("i");
            let small = small.map(|size| u32::from(size % 4));
            for sizes in [sizes, small] {
                let _ = images(path, &idx(&sizes, &bytes), [2, 2]);
                let _ = labels(path, &idx(&sizes[..1], &bytes), 10);
            }
            let _ = images(path, &bytes, [2, 2]);
            let _ = labels(path, &bytes, 10);
        }
    }
}
