use super::{assert_readable, first_loss, known_keys};
use crate::loss::{
    LossContext, catalog, example_context, example_context_of_heads, example_context_of_tokens,
};
use crate::read::tests::recipe;
use crate::strategy::entries as strategy_entries;

/// Values that no number of a recipe may have.
const NO_NUMBERS: [&str; 5] = ["nan", "inf", "-inf", "1e300", "-1e300"];
/// Sizes that no machine holds, and none at all.
const SIZES: [&str; 4] = ["0", "1", "1000000000", "9223372036854775807"];

/// The numbers of losses that may be below zero: a logarithm, and the input of a sigmoid.
const MAY_BE_NEGATIVE: [(&str, &str); 2] =
    [("reverse-kl", "floor"), ("learned-temperature", "theta")];

/// The keys of a loss that hold any text.
const ANY_TEXT: [&str; 1] = ["name"];

fn contexts() -> [LossContext; 3] {
    [
        example_context(),
        example_context_of_tokens(),
        example_context_of_heads(),
    ]
}

/// Returns the keys that each loss may have besides `kind`, and networks that it takes.
fn losses_with_keys(contexts: &[LossContext; 3]) -> Vec<(&'static str, Vec<String>, &LossContext)> {
    let with_keys = |name: &'static str| {
        let plain = format!("kind = '{name}'");
        let takes = |context: &&LossContext| first_loss(&plain, context).is_ok();
        let context = contexts.iter().find(takes).unwrap_or(&contexts[0]);
        let unknown = first_loss(&format!("{plain}\nno_such_key = 1"), context);
        let error = format!("{:#}", unknown.err().unwrap());
        let keys = known_keys(&error);
        assert!(keys.contains(&"weight".to_string()), "{name}: {error}");
        let keys = keys.into_iter().filter(|key| key != "kind");
        (name, keys.collect(), context)
    };
    catalog().map(|entry| with_keys(entry.name)).collect()
}

#[test]
fn no_loss_takes_a_number_that_is_none() {
    let contexts = contexts();
    for (kind, keys, context) in losses_with_keys(&contexts) {
        for key in &keys {
            for value in NO_NUMBERS.iter().chain(&["-1", "-0.5"]) {
                let of = format!("kind = '{kind}'\n{key} = {value}");
                let negative = MAY_BE_NEGATIVE.contains(&(kind, key.as_str()));
                match first_loss(&of, context) {
                    Ok(_) => assert!(negative && value.len() < 5, "{of} is accepted"),
                    Err(error) => {
                        let error = format!("{error:#}");
                        let named = error.contains(&format!("`loss.0.{key}"));
                        assert!(named, "{of}: {error}");
                        assert_readable(&error, &of);
                    }
                }
            }
        }
    }
}

#[test]
fn no_size_of_a_loss_is_allocated_before_it_is_checked() {
    let contexts = contexts();
    for (kind, keys, context) in losses_with_keys(&contexts) {
        for key in keys.iter().filter(|key| !ANY_TEXT.contains(&key.as_str())) {
            for value in SIZES {
                let of = format!("kind = '{kind}'\n{key} = {value}");
                if let Err(error) = first_loss(&of, context) {
                    let error = format!("{error:#}");
                    // The key, the one whose range it is an end of, or that nothing is left to
                    // compare.
                    let zero = error.contains("it is zero whatever the networks do");
                    assert!(zero || error.contains("`loss.0."), "{of}: {error}");
                    assert_readable(&error, &of);
                }
            }
        }
    }
}

#[test]
fn schedules_of_weights_are_checked_number_by_number() {
    let context = example_context();
    for (schedule, numbers) in [
        (
            "kind = 'linear', from = 0.1, to = 1.0, epochs = 2",
            &["from", "to"][..],
        ),
        (
            "kind = 'cosine', from = 0.1, to = 1.0, epochs = 2",
            &["from", "to"],
        ),
        ("kind = 'sigmoid-ramp-up', to = 1.0, epochs = 2", &["to"]),
        ("kind = 'sigmoid', to = 1.0, center = 2", &["to"]),
        ("kind = 'delayed', to = 1.0, epochs = 2", &["to"]),
        (
            "kind = 'step', value = 1.0, factor = 0.5, milestones = [1, 2]",
            &["value", "factor"],
        ),
    ] {
        for key in ["weight", "clip"] {
            first_loss(&format!("kind = 'kd'\n{key} = {{ {schedule} }}"), &context).unwrap();
            for number in numbers {
                for value in NO_NUMBERS.iter().chain(&["-1.0"]) {
                    let parts = schedule
                        .split(", ")
                        .map(|part| match part.split_once(" = ") {
                            Some((name, _)) if name == *number => format!("{name} = {value}"),
                            _ => part.to_string(),
                        });
                    let changed = parts.collect::<Vec<_>>().join(", ");
                    let of = format!("kind = 'kd'\n{key} = {{ {changed} }}");
                    let error = format!("{:#}", first_loss(&of, &context).err().expect(&of));
                    let path = format!("`loss.0.{key}.{number}` should be");
                    assert!(error.contains(&path), "{of}: {error}");
                    assert_readable(&error, &of);
                }
            }
        }
    }
    let back =
        "kind = 'kd'\nweight = { kind = 'step', value = 1.0, factor = 0.5, milestones = [2, 1] }";
    let error = format!("{:#}", first_loss(back, &context).err().unwrap());
    assert!(
        error.contains("`loss.0.weight.milestones` should be in ascending order"),
        "{error}"
    );
}

const RECIPE: &str = r#"
    name = "test"
    data = { name = "digits" }
    student = { model = "convnet-4-8", training = { epochs = 10 } }
"#;

fn strategies() -> impl Iterator<Item = &'static str> {
    let names = strategy_entries().into_iter();
    let names = names.map(|entry| entry.catalog.name);
    names.filter(|name| *name != "offline")
}

/// Reads a recipe with a value of its strategy.
fn of_strategy(kind: &str, key: &str, value: &str) -> Result<(), String> {
    let changes = [
        &format!("strategy.kind={kind}"),
        &format!("strategy.{key}={value}"),
    ];
    let mut changes = changes.map(String::as_str).to_vec();
    if ["fine-tuning", "joint", "lwf", "ewc", "icarl"].contains(&kind) {
        changes.push("tasks.count=2");
    }
    let mut entries = strategy_entries().into_iter();
    let entry = entries.find(|entry| entry.catalog.name == kind);
    let options = (entry.unwrap().read)(Default::default()).unwrap();
    if options.has_teacher() {
        changes.push("teacher={ model = 'convnet-8-16', training = { epochs = 1 } }");
    }
    if options.assistants().is_some() && key != "assistants" {
        changes.push("strategy.assistants=[{ model = 'mlp-8' }]");
    }
    if ["assistants", "distillation-oriented"].contains(&kind) {
        changes.push("loss=[{ kind = 'hard' }, { kind = 'kd' }]");
    }
    let read = recipe(RECIPE, &changes);
    read.map(drop).map_err(|error| format!("{error:#}"))
}

/// Returns the keys of a strategy, also those of its tables.
fn keys_of_strategy(kind: &str) -> Vec<String> {
    let keys_at = |place: &str| {
        let error = of_strategy(kind, &format!("{place}no_such_key"), "1").unwrap_err();
        known_keys(&error)
    };
    let mut keys = Vec::new();
    for key in keys_at("") {
        if ["game", "head", "objective", "exits", "fisher", "generator"].contains(&key.as_str()) {
            keys.extend(
                keys_at(&format!("{key}."))
                    .into_iter()
                    .map(|inner| format!("{key}.{inner}")),
            );
        }
        keys.push(key);
    }
    keys.retain(|key| key != "kind");
    keys
}

#[test]
fn no_strategy_takes_a_number_that_is_none() {
    for kind in strategies() {
        for key in keys_of_strategy(kind) {
            for value in NO_NUMBERS.iter().chain(&["-1", "-0.5"]) {
                let of = format!("{kind}: strategy.{key} = {value}");
                let error = of_strategy(kind, &key, value).expect_err(&of);
                assert!(error.contains(&format!("`strategy.{key}")), "{of}: {error}");
                assert_readable(&error, &of);
            }
        }
    }
}

#[test]
fn no_size_of_a_strategy_is_allocated_before_it_is_checked() {
    for kind in strategies() {
        for key in keys_of_strategy(kind) {
            for value in SIZES {
                let of = format!("{kind}: strategy.{key} = {value}");
                if let Err(error) = of_strategy(kind, &key, value) {
                    assert!(error.contains(&format!("`strategy.{key}")), "{of}: {error}");
                    assert_readable(&error, &of);
                }
            }
        }
    }
}

#[test]
fn the_labels_never_have_a_negative_weight() {
    for kind in ["ps-kd", "kdcl", "tf-kd", "tf-kd', variant = 'virtual"] {
        let strategy = format!("strategy={{ kind = '{kind}', weight = 2 }}");
        let error = format!("{:#}", recipe(RECIPE, &[&strategy]).unwrap_err());
        assert!(
            error.contains(
                "`strategy.weight` should be from 0 to 1 (the weight of the labels is 1 minus it)"
            ),
            "{kind}: {error}"
        );
    }
}

#[test]
fn no_training_and_no_data_take_a_number_that_is_none() {
    let rate = "student.training.learning_rate";
    for (before, key) in [
        ("", "data.test".to_string()),
        ("", "data.validation".to_string()),
        ("", "data.samples".to_string()),
        ("", "data.labels_per_class".to_string()),
        ("", "data.workers".to_string()),
        ("", "data.split_seed".to_string()),
        ("", "data.augmentation.crop".to_string()),
        ("", "student.training.epochs".to_string()),
        ("", "student.training.batch_size".to_string()),
        ("", "student.training.patience".to_string()),
        ("", format!("{rate}.base")),
        ("", format!("{rate}.warm_up")),
        (
            "student.training.learning_rate.shape={ kind = 'multi-step', milestones = [2], factor = 0.1 }",
            format!("{rate}.shape.factor"),
        ),
        (
            "student.training.optimizer.kind=sgd",
            "student.training.optimizer.momentum".into(),
        ),
        (
            "student.training.optimizer.kind=sgd",
            "student.training.optimizer.weight_decay".into(),
        ),
        (
            "student.training.optimizer.kind=adam",
            "student.training.optimizer.weight_decay".into(),
        ),
        (
            "student.training.optimizer.kind=adam-w",
            "student.training.optimizer.weight_decay".into(),
        ),
        (
            "student.training.optimizer.kind=adam-w",
            "student.training.optimizer.clip_norm".into(),
        ),
    ] {
        for value in NO_NUMBERS.iter().chain(&["-1"]) {
            let of = format!("{key}={value}");
            let changes = ["strategy.kind=mutual", before, of.as_str()];
            let changes: Vec<_> = changes.into_iter().filter(|it| !it.is_empty()).collect();
            let error = format!("{:#}", recipe(RECIPE, &changes).expect_err(&of));
            assert!(
                error.contains(&format!("`{key}` should be")),
                "{of}: {error}"
            );
            assert_readable(&error, &of);
        }
    }
    let rate = format!("{rate}.base=1e30");
    let error = format!(
        "{:#}",
        recipe(RECIPE, &["strategy.kind=mutual", &rate]).unwrap_err()
    );
    assert!(
        error.contains("above 0 and at most 1000, but is 1000000000"),
        "{error}"
    );
}
