use super::*;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;
use std::io::Cursor;

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Returns an image of 2 by 3 pixels, without details that JPEG would lose.
fn color() -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| Rgb([10 * x as u8, 100 * y as u8, 200]))
}

/// Returns the contents of a JPEG file with this orientation.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn every_format_is_decoded_to_planes() {
    let red = [0, 10, 20, 0, 10, 20];
    let green = [0, 0, 0, 100, 100, 100];
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        let image = decode(&encoded(color(), format)).unwrap();
        assert_eq!(image.shape, [3, 2, 3]);
        assert_eq!(image.pixels, [red, green, [200; 6]].concat(), "{format:?}");
    }
    let gif = encoded(DynamicImage::from(color()).into_rgba8(), ImageFormat::Gif);
    assert_eq!(
        decode(&gif).unwrap().pixels,
        [red, green, [200; 6]].concat()
    );
    let flat = RgbImage::from_pixel(16, 8, Rgb([50, 100, 150]));
    let jpeg = decode(&encoded(flat, ImageFormat::Jpeg)).unwrap();
    assert_eq!(jpeg.shape, [3, 8, 16]);
    for (plane, level) in jpeg.pixels.chunks(128).zip([50_u8, 100, 150]) {
        assert!(
            plane.iter().all(|pixel| pixel.abs_diff(level) <= 2),
            "{plane:?}"
        );
    }
}

#[test]
fn gray_stays_gray_and_transparency_is_left_out() {
    let gray = GrayImage::from_fn(3, 1, |x, _| Luma([x as u8]));
    let image = decode(&encoded(gray, ImageFormat::Png)).unwrap();
    assert_eq!((image.shape, image.pixels), ([1, 1, 3], vec![0, 1, 2]));

    let transparent = image::ImageBuffer::from_pixel(1, 1, LumaA([9_u8, 0]));
    let image = decode(&encoded(transparent, ImageFormat::Png)).unwrap();
    assert_eq!((image.shape, image.pixels), ([1, 1, 1], vec![9]));

    let transparent = RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 0]));
    let image = decode(&encoded(transparent, ImageFormat::Png)).unwrap();
    assert_eq!((image.shape, image.pixels), ([3, 1, 1], vec![1, 2, 3]));

    let deep = image::ImageBuffer::from_pixel(1, 1, Luma([0x80FF_u16]));
    let image = decode(&encoded(DynamicImage::ImageLuma16(deep), ImageFormat::Png)).unwrap();
    assert_eq!((image.shape, image.pixels), ([1, 1, 1], vec![0x80]));
}

#[test]
fn an_animation_is_its_first_frame() {
    use image::Frame;
    use image::codecs::gif::GifEncoder;

    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for level in [10, 200] {
        let frame = RgbaImage::from_pixel(2, 2, Rgba([level, 0, 0, 255]));
        encoder.encode_frame(Frame::new(frame)).unwrap();
    }
    drop(encoder);

    assert_eq!(decode(&bytes).unwrap().pixels[..4], [10; 4]);
}

#[test]
fn images_are_turned_as_their_orientation_says() {
    // White above black, of 8 by 16 pixels.
    let image = GrayImage::from_fn(16, 8, |_, y| Luma([if y < 4 { 255 } else { 0 }]));
    let jpeg = encoded(image, ImageFormat::Jpeg);

    assert_eq!(decode(&oriented(&jpeg, 1)).unwrap(), decode(&jpeg).unwrap());
    // 3 turns by half, 6 by a quarter to the right.
    let half = decode(&oriented(&jpeg, 3)).unwrap();
    assert_eq!(half.shape, [1, 8, 16]);
    assert!(half.pixels[0] < 50 && half.pixels[7 * 16] > 200);
    let quarter = decode(&oriented(&jpeg, 6)).unwrap();
    assert_eq!(quarter.shape, [1, 16, 8]);
    assert!(quarter.pixels[0] < 50 && quarter.pixels[7] > 200);
}

/// Returns a WebP file with metadata that should have this length.
fn with_exif(webp: &[u8], exif: &[u8], length: u32) -> Vec<u8> {
    let (width, height) = (3_u32, 2_u32);
    let mut extended = vec![8, 0, 0, 0];
    extended.extend(&(width - 1).to_le_bytes()[..3]);
    extended.extend(&(height - 1).to_le_bytes()[..3]);
    let metadata = [&b"EXIF"[..], &length.to_le_bytes(), exif].concat();
    let header = &b"VP8X\x0a\0\0\0"[..];
    let chunks = [header, &extended, &webp[12..], &metadata].concat();
    let size = (chunks.len() as u32 + 4).to_le_bytes();
    [&b"RIFF"[..], &size, b"WEBP", &chunks].concat()
}

#[test]
fn metadata_of_webp_lie_in_the_file() {
    let image = encoded(color(), ImageFormat::WebP);
    let quarter = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = quarter.len() as u32;

    let turned = decode(&with_exif(&image, quarter, length)).unwrap();
    assert_eq!(turned.shape, [3, 3, 2]);
    // Four gigabytes, of which nothing is read.
    let plain = decode(&with_exif(&image, quarter, u32::MAX)).unwrap();
    assert_eq!(plain, decode(&image).unwrap());
}

/// A lossy image of 11 × 9 pixels with transparency, which the `image` crate cannot encode.
const ALPHA: &[u8] = include_bytes!("../fixtures/alpha.webp");

/// Returns an animation of one frame of this size, with the image above.
fn animated(width: u32, height: u32) -> Vec<u8> {
    let size = |width: u32, height: u32| {
        let sides = [width, height].map(|side| (side - 1).to_le_bytes());
        sides.map(|side| [side[0], side[1], side[2]]).concat()
    };
    let chunk = |name: &[u8], contents: &[u8]| {
        [name, &(contents.len() as u32).to_le_bytes(), contents].concat()
    };
    // After the header of the file and the chunk `VP8X`: the chunks `ALPH` and `VP8 `.
    let image = &ALPHA[30..];
    let frame = [&[0; 6][..], &size(width, height), &[0; 4], image].concat();
    let chunks = [
        chunk(b"VP8X", &[&[0x12, 0, 0, 0][..], &size(11, 9)].concat()),
        chunk(b"ANIM", &[0; 6]),
        chunk(b"ANMF", &frame),
    ];
    let chunks = chunks.concat();
    let length = (chunks.len() as u32 + 4).to_le_bytes();
    [&b"RIFF"[..], &length, b"WEBP", &chunks].concat()
}

#[test]
fn a_frame_that_is_smaller_than_its_image_is_refused() {
    let decoded = |width, height| decode(&animated(width, height));

    let image = decoded(11, 9).unwrap();
    assert_eq!(image.shape, [3, 9, 11]);
    let expected = "the first frame of the animation has another size than it promises";
    assert_eq!(decoded(2, 2).unwrap_err(), expected);
    assert_eq!(decoded(11, 8).unwrap_err(), expected);
}

#[test]
fn files_that_are_no_whole_image_are_refused_with_the_reason() {
    let reason = |bytes: &[u8]| decode(bytes).unwrap_err();

    assert_eq!(reason(&[]), "the file is empty");
    assert_eq!(
        reason(b"not an image at all"),
        "the contents are not those of a PNG, JPEG, BMP, GIF or WebP image"
    );
    assert_eq!(
        reason(b"II*\0and so on"),
        "Tiff images are not supported: convert it to PNG, JPEG, BMP, GIF or WebP"
    );
    let noise = RgbImage::from_fn(64, 64, |x, y| {
        Rgb([(x * y) as u8, (x * 7) as u8, (y * 13) as u8])
    });
    let gif = DynamicImage::from(noise.clone()).into_rgba8();
    for (format, image) in [
        (ImageFormat::Png, DynamicImage::from(noise.clone())),
        (ImageFormat::Jpeg, noise.clone().into()),
        (ImageFormat::Bmp, noise.clone().into()),
        (ImageFormat::Gif, gif.into()),
        (ImageFormat::WebP, noise.into()),
    ] {
        let whole = encoded(image, format);
        assert!(decode(&whole).is_ok());
        for part in [0.02, 0.3, 0.6, 0.9] {
            let cut = &whole[..(whole.len() as f64 * part) as usize];
            let reason = decode(cut).expect_err(&format!("{format:?} {part}"));
            assert!(!reason.contains('\n') && !reason.is_empty(), "{reason}");
        }
    }
}

#[test]
fn data_after_the_end_of_an_image_are_ignored() {
    let jpeg = encoded(color(), ImageFormat::Jpeg);
    let image = decode(&jpeg).unwrap();
    // A film of a motion photo may hold any bytes, such as those that start a scan.
    for tail in [
        &b"\0\0\0\x18ftypmp42"[..],
        &[0xFF, 0xDA, 0xFF, 0xD9, 0xFF, 0xDA],
    ] {
        assert_eq!(decode(&[&jpeg, tail].concat()).unwrap(), image);
    }
}

/// Returns a PNG file whose header claims this size.
fn png_of_size(side: u32) -> Vec<u8> {
    let mut bytes = encoded(GrayImage::new(1, 1), ImageFormat::Png);
    for at in [16, 20] {
        bytes[at..at + 4].copy_from_slice(&side.to_be_bytes());
    }
    let checksum = crc(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&checksum);
    bytes
}

/// Returns the checksum of a chunk of a PNG file.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn images_of_huge_sizes_are_refused_before_they_are_decoded() {
    let reason = decode(&png_of_size(60_000)).unwrap_err();
    assert_eq!(
        reason,
        "the image has 60000 × 60000 pixels, but at most 178956970 pixels are decoded: make it \
         smaller"
    );
    // The largest size of each format, in a few bytes.
    let mut gif = encoded(RgbaImage::new(1, 1), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    assert!(decode(&gif).unwrap_err().contains("65535 × 65535 pixels"));
    let mut bmp = encoded(RgbImage::new(1, 1), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    assert!(decode(&bmp).unwrap_err().contains("60000 × 60000 pixels"));
    assert!(decode(&png_of_size(0)).is_err());
    // Within the limit, but without contents.
    assert!(decode(&png_of_size(13_000)).is_err());
}

/// A GIF image is a canvas of any size, on which a frame of one pixel may lie.
#[test]
fn an_image_of_many_pixels_in_a_few_bytes_is_refused() {
    let mut gif = encoded(RgbaImage::new(1, 1), ImageFormat::Gif);
    let mut with_side = |side: u16| {
        gif[6..8].copy_from_slice(&side.to_le_bytes());
        gif[8..10].copy_from_slice(&side.to_le_bytes());
        decode(&gif)
    };
    let reason = with_side(13_000).unwrap_err();
    assert!(
        reason.starts_with("the image has 13000 × 13000 pixels in "),
        "{reason}"
    );
    assert!(with_side(4097).is_err());
    assert_eq!(with_side(300).unwrap().shape, [3, 300, 300]);

    // A frame may be larger than the canvas.
    let mut gif = encoded(RgbaImage::new(1, 1), ImageFormat::Gif);
    let frame = [0x2C, 0, 0, 0, 0, 1, 0, 1, 0];
    let place = gif.windows(9).position(|part| part == frame).unwrap();
    gif[place + 5..place + 9].copy_from_slice(&[0, 0x30, 0, 0x30]);
    let reason = decode(&gif).unwrap_err();
    assert!(reason.contains("Memory limit exceeded"), "{reason}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bits_do_not_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        which in 0usize..5,
    ) {
        let formats = [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Bmp,
            ImageFormat::Gif,
            ImageFormat::WebP,
        ];
        let image = match formats[which] {
            ImageFormat::Gif => DynamicImage::from(color()).into_rgba8().into(),
            _ => DynamicImage::from(color()),
        };
        let mut bytes = encoded(image, formats[which]);
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        let _ = decode(&bytes);
    }
}
