use super::*;
use proptest::prelude::*;

/// Returns the image of 9 by 14 pixels that Pillow has resized for these tests.
fn pattern() -> DecodedImage {
    let channel = |level: fn(usize, usize) -> usize| {
        (0..9).flat_map(move |y| (0..14).map(move |x| (level(x, y) % 256) as u8))
    };
    let red = channel(|x, y| x * 19 + y * 3);
    let green = channel(|_, y| y * 31);
    let blue = channel(|x, y| x * y * 7);
    DecodedImage {
        shape: [3, 9, 14],
        pixels: red.chain(green).chain(blue).collect(),
    }
}

fn prepared(resize: Option<ImageResize>, crop: Option<[usize; 2]>) -> DecodedImage {
    let preprocessing = Preprocessing {
        resize,
        crop,
        channels: None,
    };
    let resized = preprocessing.resized(pattern()).unwrap();
    preprocessing.cropped(resized).unwrap()
}

fn assert_close(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len());
    // Pillow rounds between the two directions.
    let close = |(found, expected): (&u8, &u8)| found.abs_diff(*expected) <= 1;
    assert!(found.iter().zip(expected).all(close), "{found:?}");
}

#[test]
fn images_are_resized_and_cropped_as_by_torchvision() {
    // `center_crop(resize(image, 6), [5, 4])` of torchvision 0.29.2 on Pillow 13.0.0.
    let image = prepared(Some(ImageResize::Shorter(6)), Some([5, 4]));
    assert_eq!(image.shape, [3, 5, 4]);
    let expected = [
        64, 95, 125, 154, 68, 99, 129, 158, 73, 104, 134, 163, 77, 108, 138, 167, 82, 113, 143,
        172, 12, 12, 12, 12, 55, 55, 55, 55, 100, 100, 100, 100, 148, 148, 148, 148, 193, 193, 193,
        193, 9, 13, 17, 21, 42, 62, 81, 100, 75, 112, 147, 181, 112, 166, 200, 126, 145, 200, 128,
        100,
    ];
    assert_close(&image.pixels, &expected);

    // `resize(image, [4, 20])`, the first row of each channel.
    let image = prepared(Some(ImageResize::Exact([4, 20])), None);
    assert_eq!(image.shape, [3, 4, 20]);
    let rows = [0, 80, 160].map(|start| &image.pixels[start..start + 20]);
    let red = [
        2, 12, 26, 39, 52, 66, 79, 92, 106, 119, 132, 145, 159, 172, 185, 199, 212, 225, 239, 249,
    ];
    let blue = [
        0, 3, 8, 12, 15, 19, 23, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 69, 72, 75,
    ];
    assert_close(rows[0], &red);
    assert_close(rows[1], &[26; 20]);
    assert_close(rows[2], &blue);
}

#[test]
fn the_middle_is_that_of_torchvision() {
    // `center_crop(image, [4, 5])`: half a pixel is rounded to an even number.
    let image = prepared(None, Some([4, 5]));

    let expected = [
        82, 101, 120, 139, 158, 85, 104, 123, 142, 161, 88, 107, 126, 145, 164, 91, 110, 129, 148,
        167,
    ];
    assert_eq!(image.pixels[..20], expected);
    assert_eq!([middle(7, 4), middle(9, 4), middle(9, 9)], [2, 2, 0]);
}

#[test]
fn the_shorter_side_is_resized_in_either_direction() {
    let size = |shape: [usize; 3], resize: usize| {
        let image = DecodedImage {
            shape,
            pixels: vec![7; shape.iter().product()],
        };
        let preprocessing = Preprocessing {
            resize: Some(ImageResize::Shorter(resize)),
            ..Preprocessing::default()
        };
        preprocessing.resized(image).map(|image| {
            assert!(image.pixels.iter().all(|&pixel| pixel == 7));
            image.shape
        })
    };

    assert_eq!(size([3, 9, 14], 6), Ok([3, 6, 9]));
    assert_eq!(size([1, 14, 9], 6), Ok([1, 9, 6]));
    assert_eq!(size([1, 4, 4], 8), Ok([1, 8, 8]));
    let error = size([1, 1, 60_000], 224).unwrap_err();
    assert!(
        error.contains("resized, the image of 1 × 60000 pixels"),
        "{error}"
    );
    assert!(
        error.contains("set `resize` to a height and a width"),
        "{error}"
    );
}

/// A file of some kilobytes can hold a column of millions of pixels, which would be made wide before
/// it is made low.
#[test]
fn columns_that_would_be_made_wide_first_are_refused() {
    let resized = |height: usize, size| {
        let preprocessing = Preprocessing {
            resize: Some(ImageResize::Exact(size)),
            ..Preprocessing::default()
        };
        let image = preprocessing.resized(DecodedImage {
            shape: [1, height, 1],
            pixels: vec![7; height],
        });
        image.map(|image| image.shape)
    };

    assert_eq!(resized(60_000, [8, 8]), Ok([1, 8, 8]));
    assert_eq!(
        resized(1 << 24, [224, 224]).unwrap_err(),
        "to resize the image of 16777216 × 1 pixels (height × width) to 224 × 224 takes too much \
         memory: cut it into parts, or make it smaller"
    );
    assert!(resized(60_000, [8, 4096]).is_err());
}

#[test]
fn gray_is_that_of_pillow_and_channels_are_repeated() {
    // `image.convert("L")`.
    let gray = pattern().into_gray();
    let expected = [
        0, 6, 11, 17, 23, 28, 34, 40, 45, 51, 57, 62, 68, 74, 19, 26, 32, 39, 45, 51,
    ];
    assert_eq!(gray.pixels[..20], expected);

    let colored = gray.clone().with_channels(3);
    assert_eq!(colored.shape, [3, 9, 14]);
    assert_eq!(colored.pixels[126..252], gray.pixels);
    assert_eq!(colored.with_channels(1), gray);
}

#[test]
fn a_crop_beyond_the_image_is_refused() {
    let preprocessing = Preprocessing {
        crop: Some([9, 15]),
        ..Preprocessing::default()
    };

    let error = preprocessing.cropped(pattern()).unwrap_err();
    assert_eq!(
        error,
        "the image of 9 × 14 pixels (height × width) is smaller than the `crop` of 9 × 15: set \
         `resize` as well"
    );
}

#[test]
fn sizes_out_of_range_are_refused_with_their_key() {
    let refusal = |resize, crop| {
        let preprocessing = Preprocessing {
            resize,
            crop,
            channels: None,
        };
        preprocessing.check().map_err(|error| error.to_string())
    };

    assert!(refusal(Some(ImageResize::Shorter(64)), Some([64, 64])).is_ok());
    assert_eq!(
        refusal(Some(ImageResize::Shorter(64)), Some([64, 65])).unwrap_err(),
        "`crop.1` should be from 1 to 64, but is 65"
    );
    assert_eq!(
        refusal(Some(ImageResize::Exact([32, 64])), Some([33, 64])).unwrap_err(),
        "`crop.0` should be from 1 to 32, but is 33"
    );
    assert_eq!(
        refusal(Some(ImageResize::Shorter(0)), None).unwrap_err(),
        "`resize` should be from 1 to 16384, but is 0"
    );
    assert_eq!(
        refusal(Some(ImageResize::Exact([1, 20_000])), None).unwrap_err(),
        "`resize.1` should be from 1 to 16384, but is 20000"
    );
}

proptest! {
    #[test]
    fn every_image_gets_the_size_of_the_crop(
        [height, width] in [1usize..40, 1usize..40],
        side in 1usize..20,
        channels in prop::sample::select(vec![1usize, 3]),
    ) {
        let preprocessing = Preprocessing {
            resize: Some(ImageResize::Shorter(side)),
            crop: Some([side, side]),
            channels: None,
        };
        let image = DecodedImage {
            shape: [channels, height, width],
            pixels: vec![200; channels * height * width],
        };

        let resized = preprocessing.resized(image).unwrap();
        let cropped = preprocessing.cropped(resized).unwrap();
        prop_assert_eq!(cropped.shape, [channels, side, side]);
        prop_assert_eq!(cropped.pixels, vec![200; channels * side * side]);
    }
}
