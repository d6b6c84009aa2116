use crate::network::for_digits;
use crate::{Loss, LossContext, example_context, loss_context};

fn context(student: &str, teacher: &str) -> LossContext {
    loss_context(for_digits(student), for_digits(teacher), 4, vec![(0, None)])
}

fn loss(text: &str, context: &LossContext) -> String {
    let loss = Loss::new(&text.parse().unwrap(), context).unwrap();
    loss.objective.to_string()
}

fn error(text: &str) -> String {
    let context = example_context();
    let loss = Loss::new(&text.parse().unwrap(), &context);
    format!("{:#}", loss.err().unwrap())
}

#[test]
fn adapters_are_those_of_the_table_or_else_of_the_authors() {
    let context = example_context();
    for (text, layer, norm) in [
        ("kind = 'hint'", "kernel_size: [1, 1]", true),
        (
            "kind = 'hint'\nadapter = 'conv3x3'\nnorm = false",
            "kernel_size: [3, 3]",
            false,
        ),
        (
            "kind = 'hint'\nstudent = 'pool'\nteacher = 'pool'",
            "Linear",
            false,
        ),
        (
            "kind = 'hint'\nstudent = 'layer1'\nteacher = 'layer2'",
            "stride: [2, 2]",
            true,
        ),
        (
            "kind = 'hint'\nstudent = 'layer2'\nteacher = 'layer1'",
            "kernel_size: [4, 4]",
            true,
        ),
        ("kind = 'pearson'", "kernel_size: [1, 1]", true),
        (
            "kind = 'pearson'\nstudent = 'layer2'\nteacher = 'layer1'",
            "Identity",
            false,
        ),
        ("kind = 'ab'", "params: 32", true),
    ] {
        let objective = loss(text, &context);
        assert!(objective.contains(layer), "{text}: {objective}");
        assert_eq!(objective.contains("BatchNorm"), norm, "{text}: {objective}");
    }
    let active = loss("kind = 'hint'\nactivation = true", &context);
    assert!(active.contains("activation: true"), "{active}");
}

#[test]
fn margins_come_from_the_normalization_where_there_is_one() {
    let given = loss("kind = 'ofd'", &example_context());
    assert!(given.contains("margins: 16 given"), "{given}");

    let perceptrons = context("mlp-8", "mlp-16");
    let estimated = loss("kind = 'ofd'", &perceptrons);
    assert!(estimated.contains("margins: estimated"), "{estimated}");
}

#[test]
fn later_layers_count_more() {
    let boundaries = loss("kind = 'ab'", &example_context());

    let (first, second) = boundaries.split_once("layer2.pre").unwrap();
    assert!(first.contains("weight: 0.5"), "{boundaries}");
    assert!(second.contains("weight: 1.0"), "{boundaries}");
}

#[test]
fn errors_name_the_taps_and_the_known_ones() {
    let misfit = error("kind = 'hint'\nadapter = 'none'");
    assert!(
        misfit.contains("`adapter` from `layer2` to `layer2`: without an adapter, both taps"),
        "{misfit}"
    );
    let misspelled = error("kind = 'hint'\nadapter = 'conv'");
    assert!(
        misspelled.contains("`adapter` should be one of none, linear, conv1x1"),
        "{misspelled}"
    );
    let kinds = error("kind = 'hint'\nstudent = 'pool'");
    assert!(
        kinds.contains("a vector [8] and the teacher's a map [16, 4, 4]"),
        "{kinds}"
    );
    let margin = error("kind = 'ab'\nmargin = 0.0");
    assert!(
        margin.contains("`margin` should be finite and above 0, but is 0"),
        "{margin}"
    );
}
