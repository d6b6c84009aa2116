//! Segments of JPEG files.

/// Start of a scan, whose compressed samples follow its header.
const SCAN: u8 = 0xDA;

/// End of the image.
const END: u8 = 0xD9;

/// Returns whether a JPEG file has no end of its image: the decoder fills the missing part with gray.
///
/// The segments are followed from the first to the end of the image. Data after it do not count: some
/// cameras append a film or a second image.
///
/// Reference: ITU-T Recommendation T.81, Annex B.
pub(super) fn is_cut_off(bytes: &[u8]) -> bool {
    end_of_image(bytes).is_none()
}

/// Returns the position after the marker that ends the image.
fn end_of_image(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (marker, after) = next_marker(bytes, at, |marker| !matches!(marker, 0x00 | 0xFF))?;
        at = match marker {
            END => return Some(after),
            // The start of the image, restarts and a temporary marker have no length.
            0xD8 | 0x01 | 0xD0..=0xD7 => after,
            SCAN => {
                // Samples of FF are followed by 00 and restarts are part of the scan, so that only
                // markers that may follow a scan end it.
                let start = after + length(bytes, after)?;
                let ends = |marker| matches!(marker, 0xC4 | 0xD9..=0xDD | 0xE0..=0xEF | 0xFE);
                next_marker(bytes, start, ends)?.1 - 2
            }
            _ => after + length(bytes, after)?,
        };
    }
}

/// Returns the next of the accepted markers and the position after it.
fn next_marker(bytes: &[u8], from: usize, accepted: fn(u8) -> bool) -> Option<(u8, usize)> {
    let pairs = bytes.get(from..)?.windows(2);
    let mut markers = pairs.enumerate().filter(|(_, pair)| pair[0] == 0xFF);
    let (at, pair) = markers.find(|(_, pair)| accepted(pair[1]))?;
    Some((pair[1], from + at + 2))
}

/// Returns the length of a segment, which includes that of the length itself.
fn length(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([length[0], length[1]])).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};
    use std::io::Cursor;

    /// Returns the contents of a JPEG file.
    fn jpeg() -> Vec<u8> {
        let noise = RgbImage::from_fn(40, 40, |x, y| {
            image::Rgb([(x * y) as u8, (x * 7) as u8, (y * 13) as u8])
        });
        let mut bytes = Cursor::new(Vec::new());
        noise.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_file_without_its_last_bytes_is_cut_off() {
        let whole = jpeg();
        assert_eq!(end_of_image(&whole), Some(whole.len()));
        for length in 0..whole.len() {
            assert!(is_cut_off(&whole[..length]), "{length}");
        }
    }

    #[test]
    fn data_after_the_image_do_not_count() {
        let whole = jpeg();
        // The start of a scan without an end, a film of zeros, a cut image.
        for tail in [
            &[0xFF, 0xDA, 0, 8, 1, 2][..],
            &[0; 100],
            &whole[..whole.len() / 2],
        ] {
            let longer = [&whole, tail].concat();
            assert_eq!(end_of_image(&longer), Some(whole.len()));
        }
    }

    #[test]
    fn an_end_in_a_segment_or_in_the_samples_does_not_count() {
        let whole = jpeg();
        // A thumbnail in a segment of an application is a whole image itself.
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xD9];
        let segment = [&[0xFF, 0xE1, 0, 6][..], &thumbnail].concat();
        let with_thumbnail = [&whole[..2], &segment, &whole[2..]].concat();
        assert_eq!(end_of_image(&with_thumbnail), Some(with_thumbnail.len()));
        assert!(is_cut_off(&with_thumbnail[..with_thumbnail.len() - 2]));

        // A restart, a sample of FF and bytes to fill in a scan; then a second scan.
        let scan = |samples: &[u8]| [&[0xFF, SCAN, 0, 3, 9], samples].concat();
        let first = scan(&[1, 0xFF, 0xD0, 2, 0xFF, 0, 0xD9, 0xFF, 0xFF]);
        let second = scan(&[3, 0xFF, 0, 4]);
        let two_scans = [&[0xFF, 0xD8][..], &first, &second].concat();
        assert!(is_cut_off(&two_scans));
        let whole = [&two_scans[..], &[0xFF, END]].concat();
        assert_eq!(end_of_image(&whole), Some(whole.len()));
    }
}
