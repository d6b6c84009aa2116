use super::*;
use crate::{Augmentation, ViewKey};
use std::collections::BTreeSet;
use std::mem::discriminant;

const KEY: ViewKey = ViewKey {
    seed: 3,
    id: 14,
    epoch: 15,
    view: 1,
    repetition: 0,
};
const SHAPE: [usize; 3] = [3, 32, 32];

fn rand_augment(magnitude: usize, cutout: Option<usize>) -> StrongAugmentation {
    StrongAugmentation::RandAugment {
        operations: 3,
        magnitude,
        cutout,
    }
}

const FIX_MATCH: StrongAugmentation = StrongAugmentation::FixMatch { operations: 3 };

fn drawn(strong: StrongAugmentation, key: ViewKey) -> Vec<Operation> {
    let augmentation = Augmentation {
        strong: Some(strong),
        ..Augmentation::default()
    };
    augmentation.operations(key, SHAPE)
}

/// Returns the operations of many views, without the cutouts.
fn many(strong: StrongAugmentation) -> Vec<Operation> {
    (0..2000)
        .flat_map(|id| drawn(strong, ViewKey { id, ..KEY }))
        .filter(|operation| !matches!(operation, Operation::Cutout { .. }))
        .collect()
}

// Expected values: the ChaCha8 of scripts/strong.py.

#[test]
fn a_key_always_gives_the_same_operations() {
    assert_eq!(
        drawn(rand_augment(9, Some(16)), KEY),
        [
            Operation::TranslateY(-4), // 150 / 331 · 32 · 9 / 30 is 4.35
            Operation::Posterize(7),
            Operation::Contrast(1.0 - 0.03 * 9.0),
            Operation::Cutout {
                rows: [0, 11],
                columns: [15, 31]
            },
        ]
    );
    let between = |low: f64, high: f64, number: f64| low + (high - low) * number;
    assert_eq!(
        drawn(FIX_MATCH, KEY),
        [
            // 0.3 − 0.6 · 0.834 of 32 pixels is −6.41.
            Operation::TranslateY(-6),
            Operation::Posterize(5),
            Operation::Contrast(between(0.05, 0.95, 0.6459879181500666)),
            Operation::Cutout {
                rows: [6, 8],
                columns: [22, 24]
            },
        ]
    );
}

#[test]
fn the_first_view_stays_weak() {
    for strong in [rand_augment(9, Some(16)), FIX_MATCH] {
        assert_eq!(drawn(strong, ViewKey { view: 0, ..KEY }), []);
    }
}

#[test]
fn crop_and_flip_do_not_depend_on_the_operations() {
    let weak = Augmentation {
        crop: Some(4),
        flip: true,
        strong: None,
    };
    let strong = Augmentation {
        strong: Some(FIX_MATCH),
        ..weak
    };

    assert_eq!(weak.transform(KEY), strong.transform(KEY));
    assert_eq!(weak.operations(KEY, SHAPE), []);
}

#[test]
fn every_part_of_the_key_changes_the_operations() {
    let views = |key: fn(usize) -> ViewKey| -> usize {
        let views = (1..21).map(|n| format!("{:?}", drawn(FIX_MATCH, key(n))));
        views.collect::<BTreeSet<_>>().len()
    };

    assert_eq!(
        views(|n| ViewKey {
            seed: n as u64,
            ..KEY
        }),
        20
    );
    assert_eq!(views(|n| ViewKey { id: n, ..KEY }), 20);
    assert_eq!(views(|n| ViewKey { epoch: n, ..KEY }), 20);
    assert_eq!(views(|n| ViewKey { view: n, ..KEY }), 20);
    assert_eq!(
        views(|n| ViewKey {
            repetition: n,
            ..KEY
        }),
        20
    );
}

#[test]
fn every_operation_is_equally_frequent() {
    for strong in [rand_augment(9, None), FIX_MATCH] {
        let operations = many(strong);
        let mut left = operations.as_slice().to_vec();
        let mut kinds = 0;
        while let Some(first) = left.first().map(discriminant) {
            let before = left.len();
            left.retain(|operation| discriminant(operation) != first);
            // 6000 / 14 = 429, with a standard deviation of 20.
            let count = before - left.len();
            assert!((330..530).contains(&count), "{strong:?}: {count}");
            kinds += 1;
        }
        assert_eq!((operations.len(), kinds), (6000, 14));
    }
}

/// Returns the smallest and the largest strength of the operations.
fn range(operations: &[Operation], strength: fn(&Operation) -> Option<f64>) -> [f64; 2] {
    let strengths = operations.iter().filter_map(strength);
    strengths.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], next| {
        [low.min(next), high.max(next)]
    })
}

macro_rules! range_of {
    ($operations:expr, $kind:ident) => {
        range(&$operations, |operation| match *operation {
            Operation::$kind(strength) => Some(strength as f64),
            _ => None,
        })
    };
}

#[test]
fn magnitudes_of_rand_augment_agree_with_torchvision() {
    for (magnitude, step) in [(0, 0.0), (9, 0.3), (30, 1.0)] {
        let operations = many(rand_augment(magnitude, None));
        let assert_range = |[low, high]: [f64; 2], expected: [f64; 2]| {
            let near = (low - expected[0]).abs() < 1e-12 && (high - expected[1]).abs() < 1e-12;
            assert!(near, "{low} to {high} is not {expected:?}");
        };
        let about = |middle: f64, width: f64| [middle - width * step, middle + width * step];

        assert_range(range_of!(operations, ShearX), about(0.0, 0.3));
        assert_range(range_of!(operations, ShearY), about(0.0, 0.3));
        assert_range(range_of!(operations, Rotate), about(0.0, 30.0));
        assert_range(range_of!(operations, Brightness), about(1.0, 0.9));
        assert_range(range_of!(operations, Color), about(1.0, 0.9));
        assert_range(range_of!(operations, Contrast), about(1.0, 0.9));
        assert_range(range_of!(operations, Sharpness), about(1.0, 0.9));
        let threshold = 255.0 * (1.0 - step);
        assert_range(range_of!(operations, Solarize), [threshold; 2]);
        // Of 32 pixels: 0, 4.35 and 14.50.
        let pixels = (32.0 * 150.0 / 331.0 * step).trunc();
        assert_range(range_of!(operations, TranslateX), [-pixels, pixels]);
        assert_range(range_of!(operations, TranslateY), [-pixels, pixels]);
        let bits = match magnitude {
            0 => 8.0,
            9 => 7.0,
            _ => 4.0,
        };
        assert_range(range_of!(operations, Posterize), [bits; 2]);
    }
}

#[test]
fn strengths_of_fix_match_fill_their_ranges() {
    let operations = many(FIX_MATCH);
    // With 429 numbers in a range, an empty twentieth at an end is improbable.
    let assert_range = |[low, high]: [f64; 2], expected: [f64; 2]| {
        let margin = (expected[1] - expected[0]) / 20.0;
        let filled = (expected[0]..expected[0] + margin).contains(&low)
            && (expected[1] - margin..=expected[1]).contains(&high);
        assert!(filled, "{low} to {high} is not {expected:?}");
    };

    assert_range(range_of!(operations, ShearX), [-0.3, 0.3]);
    assert_range(range_of!(operations, ShearY), [-0.3, 0.3]);
    assert_range(range_of!(operations, Rotate), [-30.0, 30.0]);
    assert_range(range_of!(operations, Brightness), [0.05, 0.95]);
    assert_range(range_of!(operations, Color), [0.05, 0.95]);
    assert_range(range_of!(operations, Contrast), [0.05, 0.95]);
    assert_range(range_of!(operations, Sharpness), [0.05, 0.95]);
    assert_range(range_of!(operations, Solarize), [0.0, 256.0]);
    // 0.3 of 32 pixels is 9.6.
    assert_range(range_of!(operations, TranslateX), [-10.0, 10.0]);
    assert_range(range_of!(operations, TranslateY), [-10.0, 10.0]);
    assert_eq!(range_of!(operations, Posterize), [4.0, 7.0]);
}

#[test]
fn height_and_width_have_their_own_ranges() {
    let mut rng = KeyedRng::new([0; 4]);
    let strong = rand_augment(30, Some(4));
    let operations: Vec<_> = (0..200)
        .flat_map(|_| strong.draw(&mut rng, [10, 100]))
        .collect();

    assert_eq!(range_of!(operations, TranslateX), [-45.0, 45.0]);
    assert_eq!(range_of!(operations, TranslateY), [-4.0, 4.0]);
    let cutouts = operations.iter().filter_map(|operation| match operation {
        Operation::Cutout { rows, columns } => Some((rows[1], columns[1])),
        _ => None,
    });
    let (rows, columns): (Vec<_>, Vec<_>) = cutouts.unzip();
    assert_eq!(rows.iter().max(), Some(&10));
    assert!(columns.iter().max() > Some(&80));
}

#[test]
fn squares_are_centered_on_any_pixel_and_clipped() {
    let mut rng = KeyedRng::new([1; 4]);
    let mut places = BTreeSet::new();
    for _ in 0..1000 {
        let Operation::Cutout { rows, columns } = square(&mut rng, 3, [4, 4]) else {
            panic!("A square is cut out.");
        };
        places.insert(rows);
        places.insert(columns);
    }
    // Around 0, 1, 2 and 3.
    assert_eq!(places, BTreeSet::from([[0, 2], [0, 3], [1, 4], [2, 4]]));
}

#[test]
fn random_squares_have_up_to_half_the_width() {
    let sides: BTreeSet<_> = (0..2000)
        .filter_map(|id| drawn(FIX_MATCH, ViewKey { id, ..KEY }).pop())
        .flat_map(|operation| match operation {
            Operation::Cutout { rows, columns } => [rows[1] - rows[0], columns[1] - columns[0]],
            other => panic!("{other:?} is not a square."),
        })
        .collect();

    // A side of 15.9 begins with a pixel and touches 16.
    assert_eq!(sides, (1..=16).collect());
}

#[test]
fn values_out_of_range_are_refused() {
    let error = |strong: StrongAugmentation, shape| strong.check(shape).unwrap_err().to_string();

    assert!(rand_augment(30, Some(1)).check([1, 1, 1]).is_ok());
    assert_eq!(
        error(rand_augment(31, None), SHAPE),
        "`magnitude` should be from 0 to 30, but is 31"
    );
    assert_eq!(
        error(rand_augment(9, Some(0)), SHAPE),
        "`cutout` should be from 1 to 32, but is 0"
    );
    assert_eq!(
        error(rand_augment(9, Some(usize::MAX)), [3, 16, 8]),
        format!("`cutout` should be from 1 to 16, but is {}", usize::MAX)
    );
    for operations in [0, 65, 1_000_000_000, usize::MAX] {
        let message = format!("`operations` should be from 1 to 64, but is {operations}");
        let fix_match = StrongAugmentation::FixMatch { operations };
        assert_eq!(error(fix_match, SHAPE), message);
        let rand_augment = StrongAugmentation::RandAugment {
            operations,
            magnitude: 9,
            cutout: None,
        };
        assert_eq!(error(rand_augment, SHAPE), message);
    }
    assert_eq!(
        error(FIX_MATCH, [4, 8, 8]),
        "a strong augmentation needs images of 1 or 3 channels, but these have 4"
    );
    let augmentation = Augmentation {
        strong: Some(rand_augment(31, None)),
        ..Augmentation::default()
    };
    assert_eq!(
        augmentation.check(SHAPE).unwrap_err().to_string(),
        "`strong.magnitude` should be from 0 to 30, but is 31"
    );
}

#[test]
fn tables_are_read_with_defaults_and_without_unknown_fields() {
    let read = serde_json::from_str::<StrongAugmentation>;

    let rand_augment = StrongAugmentation::RandAugment {
        operations: 2,
        magnitude: 9,
        cutout: None,
    };
    assert_eq!(read(r#"{"kind":"rand-augment"}"#).unwrap(), rand_augment);
    let fix_match = StrongAugmentation::FixMatch { operations: 1 };
    assert_eq!(
        read(r#"{"kind":"fix-match","operations":1}"#).unwrap(),
        fix_match
    );
    assert!(read(r#"{"kind":"fix-match","magnitude":9}"#).is_err());
    assert!(read("{}").is_err());

    let augmentation: Augmentation =
        serde_json::from_str(r#"{"crop":4,"strong":{"kind":"rand-augment","cutout":8}}"#).unwrap();
    let json = serde_json::to_string(&augmentation).unwrap();
    assert_eq!(
        json,
        r#"{"crop":4,"flip":false,"strong":{"kind":"rand-augment","operations":2,"magnitude":9,"cutout":8}}"#
    );
}
