use crate::read::gunzip;
use crate::{DataError, DatasetName, ImageDataset};
use std::path::Path;

const SIZE: usize = 64;
const MAXIMUM: u8 = 16;

/// Returns the 1,797 handwritten digits of the UCI repository's *Optical Recognition of Handwritten
/// Digits*, 8 by 8 pixels of 17 gray levels, embedded in this crate.
///
/// They have no published split: make one with [`ImageDataset::split`].
///
/// By E. Alpaydin and C. Kaynak, CC BY 4.0, <https://doi.org/10.24432/C50P49>.
pub fn digits() -> ImageDataset {
    let path = Path::new("digits.csv.gz");
    gunzip(path, include_bytes!("../data/digits.csv.gz"))
        .and_then(|text| parse(path, &text))
        .and_then(|(pixels, labels)| DatasetName::Digits.info().dataset(pixels, MAXIMUM, labels))
        .expect("The embedded digits are whole, as the tests show.")
}

/// Parses lines of 64 pixels and a label.
fn parse(path: &Path, text: &[u8]) -> Result<(Vec<u8>, Vec<usize>), DataError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let corrupt =
            |expected: &str, found: String| Err(DataError::corrupt(path, offset, expected, found));
        let values: Option<Vec<u8>> = std::str::from_utf8(line).ok().and_then(|line| {
            line.trim_end()
                .split(',')
                .map(|value| value.parse().ok())
                .collect()
        });
        let Some(values) = values else {
            return corrupt("numbers with commas between them", format!("{line:?}"));
        };
        let [image @ .., label] = values.as_slice() else {
            return corrupt("64 pixels and a label", "nothing".into());
        };
        if image.len() != SIZE {
            return corrupt("64 pixels and a label", format!("{} values", values.len()));
        }
        if let Some(pixel) = image.iter().find(|&&pixel| pixel > MAXIMUM) {
            return corrupt("pixels from 0 to 16", pixel.to_string());
        }
        if *label > 9 {
            return corrupt("a label from 0 to 9", label.to_string());
        }
        pixels.extend_from_slice(image);
        labels.push(usize::from(*label));
        offset += line.len();
    }
    Ok((pixels, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::assert_normalization_is_measured;
    use proptest::prelude::*;

    #[test]
    fn the_embedded_digits_are_the_published_ones() {
        let digits = digits();

        assert_eq!(digits.len(), 1797);
        assert_eq!(digits.shape(), [1, 8, 8]);
        // Expected values: scikit-learn's `load_digits`, which ships the same file.
        assert_eq!(
            digits.class_counts(),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
        assert_eq!(digits.pixels(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        assert_eq!(digits.label(1796), 8);
    }

    #[test]
    fn the_constants_of_normalization_are_measured() {
        assert_normalization_is_measured(&digits(), 16.0);
    }

    #[test]
    fn bad_lines_are_refused_with_their_offset() {
        let error = |text: &str| {
            parse(Path::new("d.csv"), text.as_bytes())
                .unwrap_err()
                .to_string()
        };
        let good = format!("{}7\n", "16,".repeat(64));

        assert_eq!(parse(Path::new("d.csv"), good.as_bytes()).unwrap().1, [7]);
        assert_eq!(
            error(&format!("{good}1,2")),
            "d.csv: at byte 194: expected 64 pixels and a label, found 2 values"
        );
        assert!(error("x\n").contains("at byte 0: expected numbers with commas between them"));
        assert!(error(&good.replacen("16", "17", 1)).contains("pixels from 0 to 16, found 17"));
        assert!(error(&good.replace("7\n", "10\n")).contains("a label from 0 to 9, found 10"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, numbers in "[0-9,\n]{0,300}") {
            let _ = parse(Path::new("d.csv"), &bytes);
            let _ = parse(Path::new("d.csv"), numbers.as_bytes());
        }
    }
}
