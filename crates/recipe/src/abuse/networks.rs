use super::{assert_readable, first_loss};
use crate::loss::{LossContext, catalog, loss_context};
use crate::network::for_digits;

fn context(student: &str, teacher: &str) -> LossContext {
    let [student, teacher] = [student, teacher].map(for_digits);
    let samples = (0..64).map(|id| (id, Some(id % 10))).collect();
    loss_context(student, teacher, 4, samples)
}

#[test]
fn every_loss_between_any_two_networks_is_built_or_refused_in_words() {
    // Of other depths, widths, heads and kinds.
    let networks = [
        "mlp-8",
        "convnet-4-8",
        "resnet8",
        "vit-16-2-4",
        "vit-24-3-2",
    ];
    let mut built = 0;
    for student in networks {
        for teacher in networks {
            let context = context(student, teacher);
            for entry in catalog() {
                let of = format!("{} from {teacher} to {student}", entry.name);
                match first_loss(&format!("kind = '{}'", entry.name), &context) {
                    Ok(_) => built += 1,
                    Err(error) => assert_readable(&format!("{error:#}"), &of),
                }
            }
        }
    }
    assert!(built > 500, "{built}");
}

#[test]
fn losses_that_do_not_fit_are_refused_with_both_sides_and_a_remedy() {
    for (kind, student, teacher, parts) in [
        (
            "review",
            "vit-16-2-4",
            "vit-32-2-4",
            &["the student has 4", "the teacher 1"][..],
        ),
        (
            "patient",
            "vit-16-2-4",
            "vit-32-2-4",
            &["16 features", "the teacher 32", "hidden-states"],
        ),
        (
            "self-attention-relations",
            "vit-16-2-4",
            "vit-32-2-4",
            &[
                "`loss.0.relation_heads`",
                "16 of the student's",
                "32 of the teacher's",
            ],
        ),
        (
            "attention-relation",
            "vit-16-2-4",
            "vit-24-3-2",
            &["4 heads", "the teacher 2", "self-attention-relations"],
        ),
    ] {
        let context = context(student, teacher);
        let error = first_loss(&format!("kind = '{kind}'"), &context)
            .err()
            .unwrap();
        let error = format!("{error:#}");
        for part in parts {
            assert!(error.contains(part), "{kind}: {part}: {error}");
        }
    }
}

#[test]
fn a_loss_that_is_zero_whatever_the_networks_do_is_refused() {
    let perceptrons = context("mlp-8", "mlp-16");
    for kind in [
        "attention-transfer",
        "attention-feature",
        "neuron-selectivity",
    ] {
        let error = first_loss(&format!("kind = '{kind}'"), &perceptrons).err();
        let error = format!("{:#}", error.expect(kind));
        assert!(
            error.contains("it is zero whatever the networks do"),
            "{kind}: {error}"
        );
        assert!(
            error.contains("`hidden.1` (8) of the student"),
            "{kind}: {error}"
        );
    }
    let maps = context("convnet-4-8", "convnet-8-16");
    for kind in [
        "attention-transfer",
        "attention-feature",
        "neuron-selectivity",
    ] {
        first_loss(&format!("kind = '{kind}'"), &maps).unwrap();
    }
}
