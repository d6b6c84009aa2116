use super::Operation::*;
use super::*;
use crate::StrongAugmentation;
use burn_distill_core::KeyedRng;
use proptest::prelude::*;

// Expected values: scripts/strong.py, which calls the Python Imaging Library.

/// Returns an image whose channels differ and whose levels are not all used nor equally frequent.
fn image([channels, height, width]: [usize; 3]) -> Vec<u8> {
    let mut image = Vec::new();
    for c in 0..channels {
        for y in 0..height {
            image.extend(
                (0..width).map(|x| ((31 * x + 17 * y + 7 * x * y + 50 * c) % 200 + 20) as u8),
            );
        }
    }
    image
}

fn after(operation: Operation, shape: [usize; 3]) -> Vec<u8> {
    let mut image = image(shape);
    operation.apply(&mut image, shape, &vec![0; shape[0]]);
    image
}

/// Returns the sum of the levels, each times its position counted from 1.
fn checksum(image: &[u8]) -> u64 {
    let levels = image.iter().zip(1..);
    levels.map(|(&level, place)| u64::from(level) * place).sum()
}

#[test]
fn color_images_agree_with_the_reference() {
    let after = |operation| after(operation, [3, 3, 4]);

    assert_eq!(
        after(AutoContrast),
        [
            0, 46, 93, 140, 25, 82, 140, 197, 51, 119, 187, 254, 48, 97, 146, 195, 75, 135, 195,
            255, 102, 173, 243, 0, 114, 161, 208, 255, 140, 197, 255, 10, 165, 233, 0, 67
        ]
    );
    assert_eq!(
        after(Equalize),
        [
            20, 51, 82, 113, 37, 75, 113, 151, 54, 99, 144, 189, 70, 101, 132, 163, 87, 125, 163,
            201, 104, 149, 194, 39, 120, 151, 182, 213, 137, 175, 213, 51, 154, 199, 44, 89
        ]
    );
    assert_eq!(
        after(Rotate(30.0)),
        [
            0, 82, 82, 151, 20, 75, 113, 189, 37, 99, 99, 0, 0, 132, 132, 201, 70, 125, 163, 39,
            87, 149, 149, 0, 0, 182, 182, 51, 120, 175, 213, 89, 137, 199, 199, 0
        ]
    );
    assert_eq!(
        after(Solarize(128.0)),
        [
            20, 51, 82, 113, 37, 75, 113, 104, 54, 99, 111, 66, 70, 101, 123, 92, 87, 125, 92, 54,
            104, 106, 61, 39, 120, 104, 73, 42, 118, 80, 42, 51, 101, 56, 44, 89
        ]
    );
    assert_eq!(
        after(Posterize(2)),
        [
            0, 0, 64, 64, 0, 64, 64, 128, 0, 64, 128, 128, 64, 64, 128, 128, 64, 64, 128, 192, 64,
            128, 192, 0, 64, 128, 128, 192, 128, 128, 192, 0, 128, 192, 0, 64
        ]
    );
    assert_eq!(
        after(Color(1.9)),
        [
            0, 14, 45, 76, 0, 38, 76, 134, 17, 62, 127, 255, 78, 109, 140, 171, 95, 133, 171, 229,
            112, 157, 222, 0, 173, 204, 235, 255, 190, 228, 255, 0, 207, 252, 0, 88
        ]
    );
    assert_eq!(
        after(Contrast(0.1)),
        [
            110, 113, 116, 119, 111, 115, 119, 123, 113, 117, 122, 126, 115, 118, 121, 124, 116,
            120, 124, 128, 118, 122, 127, 111, 120, 123, 126, 129, 121, 125, 129, 113, 123, 127,
            112, 116
        ]
    );
    assert_eq!(
        after(Brightness(1.9)),
        [
            38, 96, 155, 214, 70, 142, 214, 255, 102, 188, 255, 255, 133, 191, 250, 255, 165, 237,
            255, 255, 197, 255, 255, 74, 228, 255, 255, 255, 255, 255, 255, 96, 255, 255, 83, 169
        ]
    );
    assert_eq!(
        after(Sharpness(0.1)),
        [
            20, 51, 82, 113, 37, 75, 113, 151, 54, 99, 144, 189, 70, 101, 132, 163, 87, 125, 149,
            201, 104, 149, 194, 39, 120, 151, 182, 213, 137, 161, 171, 51, 154, 199, 44, 89
        ]
    );
    assert_eq!(
        after(ShearX(0.3)),
        [
            20, 51, 82, 113, 37, 75, 113, 151, 99, 144, 189, 0, 70, 101, 132, 163, 87, 125, 163,
            201, 149, 194, 39, 0, 120, 151, 182, 213, 137, 175, 213, 51, 199, 44, 89, 0
        ]
    );
    assert_eq!(
        after(ShearY(-0.3)),
        [
            20, 51, 0, 0, 37, 75, 82, 113, 54, 99, 113, 151, 70, 101, 0, 0, 87, 125, 132, 163, 104,
            149, 163, 201, 120, 151, 0, 0, 137, 175, 182, 213, 154, 199, 213, 51
        ]
    );
    assert_eq!(
        after(TranslateX(1)),
        [
            0, 20, 51, 82, 0, 37, 75, 113, 0, 54, 99, 144, 0, 70, 101, 132, 0, 87, 125, 163, 0,
            104, 149, 194, 0, 120, 151, 182, 0, 137, 175, 213, 0, 154, 199, 44
        ]
    );
    assert_eq!(
        after(TranslateY(-2)),
        [
            54, 99, 144, 189, 0, 0, 0, 0, 0, 0, 0, 0, 104, 149, 194, 39, 0, 0, 0, 0, 0, 0, 0, 0,
            154, 199, 44, 89, 0, 0, 0, 0, 0, 0, 0, 0
        ]
    );
}

#[test]
fn gray_images_agree_with_the_reference() {
    let after = |operation| after(operation, [1, 5, 3]);

    assert_eq!(
        after(AutoContrast),
        [
            0, 42, 84, 23, 75, 127, 46, 108, 170, 69, 141, 212, 93, 174, 254
        ]
    );
    assert_eq!(
        after(Equalize),
        [
            20, 51, 82, 37, 75, 113, 54, 99, 144, 71, 123, 175, 88, 147, 206
        ]
    );
    assert_eq!(
        after(Rotate(30.0)),
        [
            51, 82, 0, 75, 113, 144, 54, 99, 175, 54, 123, 123, 0, 88, 147
        ]
    );
    assert_eq!(
        after(Solarize(128.0)),
        [
            20, 51, 82, 37, 75, 113, 54, 99, 111, 71, 123, 80, 88, 108, 49
        ]
    );
    assert_eq!(
        after(Posterize(2)),
        [0, 0, 64, 0, 64, 64, 0, 64, 128, 64, 64, 128, 64, 128, 192]
    );
    assert_eq!(
        after(Color(1.9)),
        [
            20, 51, 82, 37, 75, 113, 54, 99, 144, 71, 123, 175, 88, 147, 206
        ]
    );
    assert_eq!(
        after(Contrast(0.1)),
        [
            91, 94, 97, 92, 96, 100, 94, 99, 103, 96, 101, 106, 97, 103, 109
        ]
    );
    assert_eq!(
        after(Brightness(1.9)),
        [
            38, 96, 155, 70, 142, 214, 102, 188, 255, 134, 233, 255, 167, 255, 255
        ]
    );
    assert_eq!(
        after(Sharpness(0.1)),
        [
            20, 51, 82, 37, 75, 113, 54, 99, 144, 71, 123, 175, 88, 147, 206
        ]
    );
    assert_eq!(
        after(ShearX(0.3)),
        [
            20, 51, 82, 37, 75, 113, 99, 144, 0, 123, 175, 0, 147, 206, 0
        ]
    );
    assert_eq!(
        after(ShearY(-0.3)),
        [
            20, 51, 0, 37, 75, 82, 54, 99, 113, 71, 123, 144, 88, 147, 175
        ]
    );
    assert_eq!(
        after(TranslateX(1)),
        [0, 20, 51, 0, 37, 75, 0, 54, 99, 0, 71, 123, 0, 88, 147]
    );
    assert_eq!(
        after(TranslateY(-2)),
        [54, 99, 144, 71, 123, 175, 88, 147, 206, 0, 0, 0, 0, 0, 0]
    );
}

/// Returns operations of every magnitude of RandAugment on 32 pixels, or the single operation
/// without strength.
fn strengths() -> Vec<(&'static str, Vec<Operation>)> {
    let steps = || (0..=30).map(f64::from);
    let both = |operation: fn(f64) -> Operation| -> Vec<_> {
        let signs = |m: f64| [m, -m];
        steps().flat_map(signs).map(operation).collect()
    };
    vec![
        ("AutoContrast", vec![AutoContrast]),
        ("Equalize", vec![Equalize]),
        ("Rotate", both(Rotate)),
        (
            "Solarize",
            steps().map(|m| Solarize(255.0 - 8.5 * m)).collect(),
        ),
        (
            "Posterize",
            steps()
                .map(|m| Posterize(8 - (m / 7.5).round() as u32))
                .collect(),
        ),
        ("Color", both(|m| Color(1.0 + 0.03 * m))),
        ("Contrast", both(|m| Contrast(1.0 + 0.03 * m))),
        ("Brightness", both(|m| Brightness(1.0 + 0.03 * m))),
        ("Sharpness", both(|m| Sharpness(1.0 + 0.03 * m))),
        ("ShearX", both(|m| ShearX(0.01 * m))),
        ("ShearY", both(|m| ShearY(0.01 * m))),
        (
            "TranslateX",
            both(|m| TranslateX((150.0 / 331.0 * 32.0 * m / 30.0) as isize)),
        ),
        (
            "TranslateY",
            both(|m| TranslateY((150.0 / 331.0 * 32.0 * m / 30.0) as isize)),
        ),
    ]
}

#[test]
fn every_magnitude_agrees_with_the_reference() {
    let expected = [
        ("AutoContrast", [599_865_072, 10_053_378]),
        ("Equalize", [747_906_441, 13_233_534]),
        ("Rotate", [31_901_651_695, 524_676_018]),
        ("Solarize", [14_896_320_888, 243_497_241]),
        ("Posterize", [17_164_569_168, 285_549_312]),
        ("Color", [35_329_961_338, 583_332_704]),
        ("Contrast", [35_117_099_982, 582_934_835]),
        ("Brightness", [33_376_087_140, 553_654_984]),
        ("Sharpness", [35_082_397_291, 582_276_497]),
        ("ShearX", [32_253_592_864, 505_138_196]),
        ("ShearY", [32_505_800_612, 552_951_197]),
        ("TranslateX", [27_724_251_920, 350_802_464]),
        ("TranslateY", [27_705_311_200, 410_916_064]),
    ];

    for ((name, operations), (expected_name, expected)) in strengths().into_iter().zip(expected) {
        assert_eq!(name, expected_name);
        let sums = [[3, 32, 32], [1, 23, 17]].map(|shape| -> u64 {
            let checksum = |&operation: &Operation| checksum(&after(operation, shape));
            operations.iter().map(checksum).sum()
        });
        assert_eq!(sums, expected, "{name}");
    }
}

#[test]
fn a_cutout_covers_its_rows_and_columns_with_the_mean() {
    let mut image = [1; 24];
    let cutout = Cutout {
        rows: [1, 3],
        columns: [0, 2],
    };
    cutout.apply(&mut image, [3, 4, 2], &[7, 8, 9]);
    assert_eq!(image[..8], [1, 1, 7, 7, 7, 7, 1, 1]);
    assert_eq!(image[8..16], [1, 1, 8, 8, 8, 8, 1, 1]);
    assert_eq!(image[16..], [1, 1, 9, 9, 9, 9, 1, 1]);

    let mut image = [1; 6];
    let beyond = Cutout {
        rows: [1, 9],
        columns: [2, 9],
    };
    beyond.apply(&mut image, [1, 2, 3], &[5]);
    assert_eq!(image, [1, 1, 1, 1, 1, 5]);
}

#[test]
fn an_image_of_one_level_is_not_stretched() {
    for operation in [AutoContrast, Equalize] {
        let mut image = [9; 3000];
        operation.apply(&mut image, [3, 40, 25], &[0; 3]);
        assert_eq!(image, [9; 3000]);
    }
}

#[test]
fn identity_strengths_change_nothing() {
    let unchanged = [
        Identity,
        Rotate(0.0),
        Solarize(256.0),
        Posterize(8),
        Color(1.0),
        Contrast(1.0),
        Brightness(1.0),
        Sharpness(1.0),
        ShearX(0.0),
        ShearY(0.0),
        TranslateX(0),
        TranslateY(0),
        Cutout {
            rows: [2, 2],
            columns: [0, 5],
        },
    ];
    for operation in unchanged {
        assert_eq!(
            after(operation, [3, 7, 5]),
            image([3, 7, 5]),
            "{operation:?}"
        );
    }
}

#[test]
fn operations_work_on_a_single_pixel() {
    let after = |operation| after(operation, [1, 1, 1]);

    assert_eq!(after(Sharpness(0.0)), [20]);
    assert_eq!(after(Rotate(30.0)), [20]);
    assert_eq!(after(Contrast(0.0)), [20]);
    assert_eq!(after(Equalize), [20]);
    assert_eq!(after(TranslateX(1)), [0]);
}

#[test]
#[should_panic(expected = "The image should have 1 or 3 channels, but has 2.")]
fn images_need_one_or_three_channels() {
    Identity.apply(&mut [0; 2], [2, 1, 1], &[0; 2]);
}

#[test]
#[should_panic(expected = "The image should have 1 · 2 · 3 bytes, but has 5.")]
fn the_image_must_have_its_shape() {
    Identity.apply(&mut [0; 5], [1, 2, 3], &[0]);
}

#[test]
#[should_panic(expected = "The mean pixel should have 3 channels, but has 1.")]
fn the_mean_pixel_needs_every_channel() {
    Identity.apply(&mut [0; 3], [3, 1, 1], &[0]);
}

proptest! {
    #[test]
    fn images_of_every_size_can_be_augmented(
        color: bool,
        height in 1_usize..20,
        width in 1_usize..20,
        pixels in proptest::collection::vec(any::<u8>(), 3 * 19 * 19),
        magnitude in 0_usize..=30,
        cutout in 1_usize..50,
        seed: u64,
    ) {
        let shape = [if color { 3 } else { 1 }, height, width];
        let cutout = Some(cutout.min(height.max(width)));
        let policies = [
            StrongAugmentation::RandAugment { operations: 14, magnitude, cutout },
            StrongAugmentation::FixMatch { operations: 14 },
        ];
        for strong in policies {
            prop_assert!(strong.check(shape).is_ok());
            let mut rng = KeyedRng::new([seed, 0, 0, 0]);
            let mut image = pixels[..shape.iter().product::<usize>()].to_vec();
            for operation in strong.draw(&mut rng, [height, width]) {
                operation.apply(&mut image, shape, &vec![128; shape[0]]);
            }
        }
    }
}
