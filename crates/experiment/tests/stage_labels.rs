//! Labels of the student in the stages of its training.

mod common;

use burn_distill::core::{BuiltLoss, BuiltObjective, DynObjective, LossEntry};
use burn_distill::response::{ResponseObjective, SoftTargetLossConfig};
use burn_distill_recipe::Registry;
use std::sync::{Arc, Mutex};

/// Ids of samples, with their classes where the student knows them.
type Known = Vec<(usize, Option<usize>)>;

#[test]
fn the_losses_of_all_stages_know_the_same_few_labels() {
    let seen: Arc<Mutex<Vec<Known>>> = Arc::default();
    let recorded = seen.clone();
    let entry = LossEntry::named("recorded", 1.0, move |builder| {
        let samples = builder.context().samples.clone();
        recorded.lock().unwrap().push(samples);
        let loss = SoftTargetLossConfig::new().init();
        Ok(BuiltLoss {
            name: "recorded".into(),
            objective: BuiltObjective::One(DynObjective::new(ResponseObjective::new(loss, 1.0))),
            clipped_at: None,
            preparation: None,
            student: None,
        })
    });
    let registry = Registry::standard().with_loss(entry);
    let folder = tempfile::tempdir().unwrap();
    let stages = "stage = [
        { name = 'a', epochs = 1, loss = [{ kind = 'recorded' }] },
        { name = 'b', epochs = 1, loss = [{ kind = 'recorded' }] },
    ]";
    let text = format!(
        "name = 'test'\nseeds = [3]\n\
         data = {{ name = 'digits', samples = 100, labels_per_class = 2 }}\n\
         teacher = {{ model = 'mlp-8', training = {{ epochs = 1 }} }}\n\
         student = {{ model = 'mlp-4', training = {{ epochs = 2 }} }}\n{stages}"
    );

    common::run(folder.path(), &text, &registry).unwrap();

    let seen = seen.lock().unwrap();
    let of_digits = |known: &&Known| known.len() == 100;
    let stages: Vec<_> = seen.iter().filter(of_digits).rev().take(2).collect();
    let labeled = stages[0].iter().filter(|(_, class)| class.is_some());
    assert_eq!(labeled.count(), 20);
    assert_eq!(stages[0], stages[1]);
}
