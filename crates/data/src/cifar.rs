use crate::{DataError, read::read};
use std::path::{Path, PathBuf};

/// Number of values in three planes of 32 by 32 pixels.
const PIXELS: usize = 3 * 32 * 32;

/// Reads the images and labels of CIFAR's binary files, one file after the other. A record consists
/// of label bytes, of which the last is used, and the planes of an image.
///
/// `classes` is the number of classes of each label byte.
pub(crate) fn load(
    paths: &[PathBuf],
    classes: &[usize],
) -> Result<(Vec<u8>, Vec<usize>), DataError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        records(path, &read(path)?, classes, &mut pixels, &mut labels)?;
    }
    Ok((pixels, labels))
}

fn records(
    path: &Path,
    bytes: &[u8],
    classes: &[usize],
    pixels: &mut Vec<u8>,
    labels: &mut Vec<usize>,
) -> Result<(), DataError> {
    let size = classes.len() + PIXELS;
    let records = bytes.chunks_exact(size);
    let rest = records.remainder().len();
    if bytes.is_empty() || rest > 0 {
        return Err(DataError::corrupt(
            path,
            bytes.len() - rest,
            format!("whole records of {size} bytes"),
            format!("{rest} bytes"),
        ));
    }
    for (record, bytes) in records.enumerate() {
        let (found, image) = bytes.split_at(classes.len());
        for (place, (&label, &classes)) in found.iter().zip(classes).enumerate() {
            if usize::from(label) >= classes {
                return Err(DataError::corrupt(
                    path,
                    record * size + place,
                    format!("a label below {classes}"),
                    label.to_string(),
                ));
            }
        }
        labels.extend(found.last().copied().map(usize::from));
        pixels.extend_from_slice(image);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// Returns a record in which all pixels have the same value.
    pub(crate) fn record(labels: &[u8], pixel: u8) -> Vec<u8> {
        [labels, &[pixel; PIXELS]].concat()
    }

    fn parse(bytes: &[u8], classes: &[usize]) -> Result<(Vec<u8>, Vec<usize>), DataError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        records(Path::new("b"), bytes, classes, &mut pixels, &mut labels)?;
        Ok((pixels, labels))
    }

    #[test]
    fn batches_are_concatenated() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [1, 2].map(|number| folder.path().join(format!("data_batch_{number}.bin")));
        fs::write(&paths[0], [record(&[3], 0), record(&[4], 1)].concat()).unwrap();
        fs::write(&paths[1], record(&[5], 2)).unwrap();

        let (pixels, labels) = load(&paths, &[10]).unwrap();
        assert_eq!(labels, [3, 4, 5]);
        assert_eq!(pixels.len(), 3 * PIXELS);
        assert_eq!(pixels[2 * PIXELS], 2);
    }

    #[test]
    fn the_fine_label_is_used() {
        assert_eq!(parse(&record(&[19, 99], 0), &[20, 100]).unwrap().1, [99]);
    }

    #[test]
    fn an_incomplete_record_is_refused() {
        let bytes = [record(&[0], 0), vec![0; 7]].concat();

        assert_eq!(
            parse(&bytes, &[10]).unwrap_err().to_string(),
            "b: at byte 3073: expected whole records of 3073 bytes, found 7 bytes"
        );
        assert_eq!(
            parse(&[], &[10]).unwrap_err().to_string(),
            "b: at byte 0: expected whole records of 3073 bytes, found 0 bytes"
        );
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let bytes = [record(&[9], 0), record(&[10], 0)].concat();

        assert_eq!(
            parse(&bytes, &[10]).unwrap_err().to_string(),
            "b: at byte 3073: expected a label below 10, found 10"
        );
        assert_eq!(
            parse(&record(&[20, 0], 0), &[20, 100])
                .unwrap_err()
                .to_string(),
            "b: at byte 0: expected a label below 20, found 20"
        );
        assert_eq!(
            parse(&record(&[0, 100], 0), &[20, 100])
                .unwrap_err()
                .to_string(),
            "b: at byte 1: expected a label below 100, found 100"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(labels: [u8; 2], bytes: Vec<u8>) {
            let _ = parse(&bytes, &[10]);
            let _ = parse(&record(&labels, 0), &[20, 100]);
            let _ = parse(&[record(&labels, 0), bytes].concat(), &[20, 100]);
        }
    }
}
