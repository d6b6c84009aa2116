//! Chunks of PNG files that are not decoded.

use std::borrow::Cow;

/// Length of the signature at the beginning of a file.
const SIGNATURE: usize = 8;

/// Returns a PNG file without its color profiles, which do not change the pixels, but are compressed:
/// a small one may promise gigabytes.
pub fn without_profile(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut bytes = Cow::Borrowed(bytes);
    while let Some([start, end]) = profile(&bytes) {
        bytes.to_mut().drain(start..end);
    }
    bytes
}

/// Returns the beginning and the end of the first color profile.
fn profile(bytes: &[u8]) -> Option<[usize; 2]> {
    let mut start = SIGNATURE;
    loop {
        let [a, b, c, d, kind @ ..] = bytes.get(start..start.checked_add(8)?)? else {
            return None;
        };
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        // Length, kind, data and checksum.
        let end = length.checked_add(12)?.checked_add(start)?;
        match kind {
            b"iCCP" => return Some([start, end.min(bytes.len())]),
            b"IDAT" => return None,
            _ => start = end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], kind, data, &[0; 4]].concat()
    }

    #[test]
    fn profiles_are_left_out_and_all_else_stays() {
        let signature = vec![0; SIGNATURE];
        let header = chunk(b"IHDR", &[1, 2, 3]);
        let profile = chunk(b"iCCP", &[4; 20]);
        let pixels = chunk(b"IDAT", &[5, 6]);
        let plain = [signature.clone(), header.clone(), pixels.clone()].concat();
        assert!(matches!(without_profile(&plain), Cow::Borrowed(_)));
        let with = [signature, header, profile.clone(), profile, pixels].concat();
        assert_eq!(*without_profile(&with), plain);
        // A file that ends within a profile.
        assert_eq!(*without_profile(&with[..40]), with[..23]);
        for end in 0..with.len() {
            without_profile(&with[..end]);
        }
    }
}
