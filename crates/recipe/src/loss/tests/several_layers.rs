use crate::{Loss, example_context};
use anyhow::Result;

fn loss(text: &str) -> Result<Loss> {
    Loss::new(&text.parse().unwrap(), &example_context())
}

#[test]
fn review_compares_what_is_not_yet_activated_and_warms_up() {
    let review = loss("kind = 'review'").unwrap().objective.to_string();

    assert!(review.contains("layer1.pre"), "{review}");
    assert!(review.contains("pool"), "{review}");
    assert!(review.contains("epochs: 20"), "{review}");
}

#[test]
fn layers_that_do_not_go_together_are_refused() {
    let error = loss("kind = 'review'\nstudent = 'layer1'").err().unwrap();

    let error = format!("{error:#}");
    assert!(
        error.contains("the student has 1 (layer1) and the teacher 3"),
        "{error}"
    );
}

#[test]
fn whole_batches_need_enough_samples() {
    let mut context = example_context();
    context.samples = (0..3).map(|id| (id, None)).collect();
    let table = "kind = 'semckd'".parse().unwrap();

    let error = format!("{:#}", Loss::new(&table, &context).err().unwrap());
    assert!(error.contains("3 samples for a batch of 4"), "{error}");
}
