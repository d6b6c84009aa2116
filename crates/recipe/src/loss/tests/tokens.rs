use crate::{Loss, example_context, example_context_of_tokens};
use anyhow::Result;

fn loss(text: &str) -> Result<String> {
    let loss = Loss::new(&text.parse().unwrap(), &example_context_of_tokens())?;
    Ok(loss.objective.to_string().replace(['\n', ' '], ""))
}

fn error(text: &str) -> String {
    format!("{:#}", loss(text).unwrap_err())
}

#[test]
fn layers_are_found_by_their_names() {
    for (kind, student, teacher) in [
        ("hidden-cosine", &["hidden.2"][..], &["hidden.4"][..]),
        (
            "hidden-states",
            &["hidden.0", "hidden.1", "hidden.2"],
            &["hidden.0", "hidden.2", "hidden.4"],
        ),
        (
            "attention-scores",
            &["attention.1", "attention.2"],
            &["attention.2", "attention.4"],
        ),
        (
            "attention-relation",
            &["attention.2", "value.2"],
            &["attention.4", "value.4"],
        ),
        (
            "self-attention-relations",
            &["query.2", "key.2", "value.2"],
            &["query.4", "key.4", "value.4"],
        ),
        ("patient", &["hidden.1"], &["hidden.2"]),
        (
            "token-flow",
            &["hidden.0", "hidden.2"],
            &["hidden.0", "hidden.4"],
        ),
        ("token-similarity", &["hidden.2"], &["hidden.4"]),
    ] {
        let text = loss(&format!("kind = '{kind}'")).unwrap();
        let named = format!("student:{student:?}teacher:{teacher:?}").replace(' ', "");
        assert!(text.contains(&named), "{kind}: {text}");
    }
}

#[test]
fn projections_are_shared_unless_asked_otherwise() {
    let count = |text: &str| loss(text).unwrap().matches("Linear").count();

    assert_eq!(count("kind = 'hidden-states'"), 1);
    assert_eq!(count("kind = 'hidden-states'\nseparate = true"), 3);
    assert_eq!(count("kind = 'hidden-states'\nseparate = 'embedding'"), 2);
    assert_eq!(count("kind = 'hidden-cosine'"), 0);
    assert_eq!(count("kind = 'hidden-cosine'\nseparate = false"), 1);
    assert_eq!(count("kind = 'token-flow'"), 0);
    assert_eq!(count("kind = 'token-flow'\nseparate = true"), 2);
}

#[test]
fn the_weight_of_the_authors_is_that_of_either_reduction() {
    let sum = loss("kind = 'patient'").unwrap();
    let mean = loss("kind = 'patient'\nreduction = 'MeanAll'").unwrap();

    // 500 / (1 · 48)
    assert!(sum.contains("weight:Constant(10.41"), "{sum}");
    assert!(mean.contains("weight:Constant(500.0)"), "{mean}");
}

#[test]
fn losses_that_do_not_fit_are_refused_before_training() {
    for (text, message) in [
        (
            "kind = 'minilmv2'\nrelation_heads = 5",
            "`relation_heads` should be a divisor of both numbers of features",
        ),
        (
            "kind = 'minilm'\nstudent = ['value.2', 'attention.2']\n\
             teacher = ['attention.4', 'value.4']",
            "is not attention",
        ),
        (
            "kind = 'tinybert-attention'\nstudent = 'attention.1'",
            "name the same number of both",
        ),
        (
            "kind = 'distilbert'\nstudent = 'attention.2'\nteacher = 'attention.4'",
            "should be a sequence of tokens",
        ),
        (
            "kind = 'tinybert-hidden'\nseparate = 1",
            "`separate` should be true, false or",
        ),
        (
            "kind = 'distilbert'\nseparate = 'embedding'",
            "number of layers, which is 1, but is 2",
        ),
        (
            "kind = 'token-similarity'\nstudent = ['hidden.0', 'hidden.1', 'hidden.2']\n\
             teacher = ['hidden.0', 'hidden.1', 'hidden.2']",
            "Each network needs 1 or 2 layers of tokens, found 3",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(message), "{text}: {error}");
    }
    let maps = Loss::new(&"kind = 'patient'".parse().unwrap(), &example_context());
    let error = format!("{:#}", maps.err().unwrap());
    assert!(
        error.contains("the network has no taps `hidden.1`"),
        "{error}"
    );
}
