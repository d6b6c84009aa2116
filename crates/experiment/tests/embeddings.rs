//! Measurements of embeddings by their nearest neighbors and by a linear probe.

mod common;

use burn_distill_experiment::{Data, check};
use burn_distill_recipe::{Notices, Registry, parse};
use std::fs;

const TRAINING: &str = "{ epochs = 6, batch_size = 32, optimizer = { kind = 'adam-w' }, \
                        learning_rate = { base = 0.01 } }";

/// Returns a recipe whose student learns the embedding of the teacher and is told no label.
fn label_free(loss: &str, evaluation: &str) -> String {
    format!(
        "name = 'label-free'\ndata = {{ name = 'digits' }}\n\
         teacher = {{ model = 'mlp-64', training = {TRAINING} }}\n\
         student = {{ model = 'mlp-24', training = {TRAINING} }}\n\
         loss = [{loss}]\n{evaluation}"
    )
}

#[test]
fn the_embedding_of_a_student_that_is_told_no_label_tells_classes_apart() {
    let folder = tempfile::tempdir().unwrap();
    let loss = "{ kind = 'hint', student = 'hidden.1', teacher = 'hidden.1', weight = 1.0 }";
    let text = label_free(loss, "evaluation = { knn = 20, probe = true }");
    let result = common::run(folder.path(), &text, &Registry::standard()).unwrap();

    let teacher = result.teacher.unwrap();
    for network in [
        &teacher,
        result.baseline.as_ref().unwrap(),
        &result.distilled,
    ] {
        for accuracy in [&network.knn_accuracy, &network.probe_accuracy] {
            let accuracy = accuracy.as_ref().unwrap();
            assert_eq!(accuracy.per_seed.len(), 1);
            assert!(accuracy.mean > 0.85, "{accuracy:?}");
        }
    }
    // Its classifier is not trained.
    assert!(result.distilled.accuracy.unwrap().mean < 0.4);
    let json = fs::read_to_string(folder.path().join("run/result.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["distilled"]["knn_accuracy"]["mean"].as_f64().unwrap() > 0.85);
    assert_eq!(json["recipe"]["evaluation"]["knn"], 20);
}

#[test]
fn only_what_the_recipe_asks_for_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let short = |evaluation: &str| {
        let text = label_free("{ kind = 'kd' }", evaluation);
        let text = text.replace("epochs = 6", "epochs = 1");
        let _ = fs::remove_dir_all(folder.path().join("run"));
        common::run(folder.path(), &text, &Registry::standard()).unwrap()
    };
    let nearest = short("evaluation = { knn = 3 }").distilled;
    assert!(nearest.knn_accuracy.is_some() && nearest.probe_accuracy.is_none());

    let nothing = short("").distilled;
    assert!(nothing.knn_accuracy.is_none() && nothing.probe_accuracy.is_none());
    let json = fs::read_to_string(folder.path().join("run/result.json")).unwrap();
    assert!(!json.contains("knn_accuracy") && !json.contains("evaluation"));
}

#[test]
fn a_tap_that_a_network_lacks_is_refused_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recipe.toml");
    let text = label_free("{ kind = 'kd' }", "evaluation = { knn = 3, tap = 'pol' }");
    fs::write(&file, text).unwrap();
    let registry = Registry::standard();
    let recipe = parse(&file, &[], &registry).unwrap();
    let data = Data::load(&recipe.data, &recipe.registry).unwrap();

    let Err(error) = check(&recipe, &data, &Notices::default()) else {
        panic!("the tap is accepted");
    };
    let error = format!("{error:#}");
    assert!(
        error.contains("`evaluation.tap`, of the teacher"),
        "{error}"
    );
    assert!(error.contains("no tap named `pol`"), "{error}");
}
