//! Contents of image files as pixels.

use super::decoded::DecodedImage;
#[cfg(feature = "images")]
use super::{jpeg, png, webp};

/// Largest number of pixels of an image, as in Pillow.
#[cfg(feature = "images")]
const MOST_PIXELS: u64 = 178_956_970;

/// Pixels that an image may have whatever the size of its file, as 4096 × 4096.
#[cfg(feature = "images")]
const ALWAYS_PIXELS: u64 = 1 << 24;

/// Most pixels of a larger image per byte of its file. Photos have some ten; a GIF file of 40 bytes
/// can promise all that are decoded at most.
#[cfg(feature = "images")]
const MOST_PIXELS_PER_BYTE: u64 = 1000;

/// Returns whether these first bytes of a file are those of an image.
///
/// BMP files do not count: they begin with two letters, as a text may do.
#[cfg(feature = "images")]
pub(super) fn is_image(first: &[u8]) -> bool {
    let format = image::guess_format(first);
    format.is_ok_and(|format| is_decoded(format) && format != image::ImageFormat::Bmp)
}

/// Returns whether these first bytes of a file are those of an image.
#[cfg(not(feature = "images"))]
pub(super) fn is_image(_first: &[u8]) -> bool {
    false
}

/// Returns an image, without transparency and rotated by its orientation, or the reason why it
/// cannot be decoded.
#[cfg(not(feature = "images"))]
pub(super) fn decode(_bytes: &[u8]) -> Result<DecodedImage, String> {
    Err(
        "this program was built without the feature `images`, which decodes images: build it with \
         that feature"
            .into(),
    )
}

/// Returns an image, without transparency and rotated by its orientation, or the reason why it
/// cannot be decoded.
#[cfg(feature = "images")]
pub(super) fn decode(bytes: &[u8]) -> Result<DecodedImage, String> {
    use image::metadata::Orientation;
    use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
    use std::io::Cursor;

    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let format = image::guess_format(bytes).ok();
    let Some(format) = format.filter(|format| is_decoded(*format)) else {
        return Err(match format {
            Some(format) => format!(
                "{format:?} images are not supported: convert it to PNG, JPEG, BMP, GIF or WebP"
            ),
            None => "the contents are not those of a PNG, JPEG, BMP, GIF or WebP image".into(),
        });
    };
    let in_words = |error: image::ImageError| reason(&error.to_string());
    let of_file = bytes.len() as u64 * MOST_PIXELS_PER_BYTE;
    let most_pixels = MOST_PIXELS.min(of_file.max(ALWAYS_PIXELS));
    let without_profile = match format {
        image::ImageFormat::Png => png::without_profile(bytes),
        _ => bytes.into(),
    };
    let mut reader = ImageReader::with_format(Cursor::new(&without_profile), format);
    // The size of the image itself is checked below; a frame of a GIF file may be larger than that.
    let mut limits = Limits::default();
    limits.max_alloc = Some(most_pixels * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(in_words)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err("the image has no pixels".into());
    }
    if pixels > MOST_PIXELS {
        return Err(format!(
            "the image has {width} × {height} pixels, but at most {MOST_PIXELS} pixels are decoded: \
             make it smaller"
        ));
    }
    if pixels > most_pixels {
        return Err(format!(
            "the image has {width} × {height} pixels in {} bytes, but more than {ALWAYS_PIXELS} pixels \
             are decoded only if there are at most {MOST_PIXELS_PER_BYTE} per byte: make it smaller",
            bytes.len()
        ));
    }
    if format == image::ImageFormat::WebP && !webp::fills_its_frame(bytes) {
        return Err("the first frame of the animation has another size than it promises".into());
    }
    let orientation = match format == image::ImageFormat::WebP && !webp::has_exif(bytes) {
        true => Orientation::NoTransforms,
        false => decoder.orientation().unwrap_or(Orientation::NoTransforms),
    };
    let mut image = DynamicImage::from_decoder(decoder).map_err(in_words)?;
    if format == image::ImageFormat::Jpeg && jpeg::is_cut_off(bytes) {
        return Err("the end of the file is missing".into());
    }
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let is_gray = !image.color().has_color();
    let interleaved = match is_gray {
        true => image.into_luma8().into_raw(),
        false => image.into_rgb8().into_raw(),
    };
    let (channels, pixels) = match is_gray {
        true => (1, interleaved),
        false => (3, planes(&interleaved)),
    };
    Ok(DecodedImage {
        shape: [channels, height, width],
        pixels,
    })
}

#[cfg(feature = "images")]
fn is_decoded(format: image::ImageFormat) -> bool {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    matches!(format, Bmp | Gif | Jpeg | Png | WebP)
}

/// Returns the planes of red, green and blue.
#[cfg(feature = "images")]
fn planes(interleaved: &[u8]) -> Vec<u8> {
    let plane = |channel| interleaved.iter().skip(channel).step_by(3).copied();
    (0..3).flat_map(plane).collect()
}

/// Returns the message of the decoder, on one line.
#[cfg(feature = "images")]
fn reason(message: &str) -> String {
    let words: Vec<_> = message.split_whitespace().collect();
    words.join(" ")
}

#[cfg(all(test, feature = "images"))]
mod tests;
