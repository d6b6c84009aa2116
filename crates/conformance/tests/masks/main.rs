//! A row counts if student and teacher both count it. The values in all other rows, NaN and
//! infinities included, do not change the value or the gradient.

mod rows;
mod tables;

use rows::{Fill, MASKS};
use tables::{of_labels, of_rows, of_tokens};

/// Contents of rows that do not count, such as those of a truncated context, a diverged network or
/// padding.
const ANYTHING: [f32; 5] = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 1e4, -1e4];

#[test]
fn contents_of_rows_that_do_not_count_do_not_matter() {
    let cases = of_rows().into_iter().chain(of_tokens());
    for case in cases.chain(of_labels()) {
        for masks in MASKS {
            let expected = case.outcome(masks, Fill::Value(0.0));
            assert!(expected.value > 1e-4, "{}: nothing is compared", case.name);
            for anything in ANYTHING {
                let outcome = case.outcome(masks, Fill::Value(anything));
                let what = format!("{}, {masks:?}, {anything}", case.name);
                outcome.assert_close(&expected, &what);
            }
        }
    }
}

#[test]
fn masks_of_both_sides_equal_their_intersection() {
    for case in of_rows().into_iter().chain(of_tokens()) {
        for masks @ [student, teacher] in MASKS {
            let mut both = student;
            both.iter_mut()
                .zip(teacher)
                .for_each(|(both, teacher)| *both &= teacher);
            let expected = case.outcome([both, both], Fill::Nothing);
            let what = format!("{}, {masks:?}", case.name);
            case.outcome(masks, Fill::Nothing)
                .assert_close(&expected, &what);
        }
    }
}

#[test]
fn value_and_gradient_are_those_of_the_other_rows_alone() {
    for case in of_rows() {
        for masks in MASKS {
            let expected = case.outcome_of_counted_rows(masks);
            let what = format!("{}, {masks:?}", case.name);
            case.outcome(masks, Fill::Value(f32::NAN))
                .assert_close(&expected, &what);
        }
    }
}

#[test]
fn where_no_row_counts_the_loss_is_zero_with_a_gradient_of_zero() {
    let [first, second] = [
        [true, true, true, false, false, false],
        [false, false, false, true, true, true],
    ];
    let (all, none) = ([true; 6], [false; 6]);
    for case in of_rows().into_iter().chain(of_tokens()) {
        for masks in [[none, all], [all, none], [none, none], [first, second]] {
            let outcome = case.outcome(masks, Fill::Value(f32::NAN));
            let what = format!("{}, {masks:?}", case.name);
            assert_eq!(outcome.value, 0.0, "{what}");
            assert!(outcome.gradient.iter().all(|g| *g == 0.0), "{what}");
        }
    }
}

#[test]
fn labels_of_tokens_that_the_student_does_not_count_do_not_count() {
    let (some, none, all) = (MASKS[3][0], [false; 6], [true; 6]);
    for case in of_labels() {
        let rows = case.outcome_of_counted_rows([some, all]);
        let tokens = case.outcome([some, all], Fill::Value(f32::NAN));
        // Only the labels of the counted rows differ: the same number of rows counts, with finite
        // gradients.
        assert!(
            tokens.value.is_finite() && rows.value.is_finite(),
            "{}",
            case.name
        );
        assert!(
            tokens.gradient.iter().all(|g| g.is_finite()),
            "{}",
            case.name
        );

        let nothing = case.outcome([none, all], Fill::Value(f32::NAN));
        assert_eq!(nothing.value, 0.0, "{}", case.name);
        assert!(nothing.gradient.iter().all(|g| *g == 0.0), "{}", case.name);
    }
}
