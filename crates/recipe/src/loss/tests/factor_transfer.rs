use crate::{Loss, example_context};
use anyhow::Result;
use burn::module::Module;

fn loss(text: &str) -> Result<Loss> {
    let table = format!("kind = 'factor-transfer'\n{text}").parse().unwrap();
    Loss::new(&table, &example_context())
}

#[test]
fn a_paraphraser_is_trained_first() {
    let preparation = |text: &str| loss(text).unwrap().preparation.unwrap();

    assert_eq!(preparation("").epochs, 5);
    assert_eq!(preparation("paraphraser_epochs = 7").epochs, 7);
    let absolute = preparation("reconstruction = 'MeanAbsolute'").objective;
    assert_ne!(absolute.to_string(), preparation("").objective.to_string());
}

#[test]
fn weights_of_another_paraphraser_are_refused() {
    let half = loss("").unwrap().preparation.unwrap();
    let whole = loss("rate = 1.0").unwrap().preparation.unwrap();

    assert!((half.finish)(half.objective.into_record()).is_ok());
    let other = loss("").unwrap().preparation.unwrap();
    assert!((other.finish)(whole.objective.into_record()).is_err());
}

#[test]
fn losses_that_do_not_fit_are_refused() {
    for (text, message) in [
        (
            "paraphraser_epochs = 0",
            "should be a whole number from 1 to 1000000, but is 0",
        ),
        ("paraphraser_epochs = 'few'", "`paraphraser_epochs`"),
        ("reconstruction = 'Sum'", "`reconstruction`"),
        ("rate = 0", "`rate` should be from 0.001 to 16, but is 0"),
        (
            "student = ['layer1', 'layer2']\nteacher = ['layer1', 'layer2']",
            "factor transfer needs one pair of taps, found 2",
        ),
    ] {
        let error = format!("{:#}", loss(text).err().unwrap());
        assert!(error.contains(message), "{text}: {error}");
    }
}
