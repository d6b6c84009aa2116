use super::assert_readable;
use crate::read::tests::recipe;
use toml::{Table, Value};

/// A recipe with every key.
const FULL: &str = r#"
    name = "full"
    about = "It has every key."
    seeds = [0, 1]

    [data]
    name = "digits"
    test = 0.25
    validation = 0.1
    split_seed = 3
    samples = 500
    labels_per_class = 10
    without_class = 3
    workers = 1
    augmentation = { crop = 1, flip = true, strong = { kind = "rand-augment", operations = 2, magnitude = 9 } }

    [teacher]
    model = "convnet-8-16"
    weights = "teacher.bpk"
    training = { epochs = 6, batch_size = 32, drop_last = true, patience = 3 }
    others = [{ model = "mlp-16", weights = "other.bpk", training = { epochs = 2 } }]

    [student]
    model = "convnet-4-8"

    [student.training]
    epochs = 8
    batch_size = 32
    drop_last = false
    patience = 5
    optimizer = { kind = "sgd", momentum = 0.9, nesterov = true, weight_decay = 1e-4, clip_norm = 1.0 }
    learning_rate = { base = 0.1, warm_up = 1, shape = { kind = "multi-step", milestones = [2, 4], factor = 0.1 } }

    [[loss]]
    kind = "cross-entropy"
    weight = { kind = "linear", from = 1.0, to = 0.5, epochs = 4 }

    [[loss]]
    kind = "dkd"
    name = "decoupled"
    alpha = 1.0
    beta = 8.0
    temperature = 4.0
    standardize = false
    weight = 0.5
"#;

/// With a route or stages instead of several teachers.
const ROUTE: &str = "route = { anchors = 2, by = 'hardness', ratio = 1.5 }\n";

/// Values of each type.
const VALUES: [&str; 12] = [
    "'much'",
    "''",
    "3",
    "-3",
    "0.5",
    "true",
    "[]",
    "[1]",
    "['a', { b = 1 }]",
    "{}",
    "{ a = 1 }",
    "2020-01-01",
];

/// The paths of all values of a table, also of those that hold others.
fn paths(value: &Value, place: &str, found: &mut Vec<String>) {
    let inner = |key: &str| match place {
        "" => key.to_string(),
        place => format!("{place}.{key}"),
    };
    if !place.is_empty() {
        found.push(place.to_string());
    }
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                paths(value, &inner(key), found);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                paths(value, &inner(&index.to_string()), found);
            }
        }
        _ => {}
    }
}

fn set(root: &mut Value, path: &str, value: Option<Value>) {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = root;
    for key in parents.split('.').filter(|key| !key.is_empty()) {
        place = match place {
            Value::Table(table) => table.get_mut(key).unwrap(),
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            _ => unreachable!(),
        };
    }
    match (place, value) {
        (Value::Table(table), Some(value)) => {
            table.insert(last.into(), value);
        }
        (Value::Table(table), None) => {
            table.remove(last);
        }
        (Value::Array(list), Some(value)) => list[last.parse::<usize>().unwrap()] = value,
        (Value::Array(list), None) => {
            list.remove(last.parse().unwrap());
        }
        _ => unreachable!(),
    }
}

fn error(root: &Value) -> Option<String> {
    let text = toml::to_string(root).unwrap();
    let error = format!("{:#}", recipe(&text, &[]).err()?);
    // Without the name of the file.
    let (_, error) = error.split_once("recipe.toml: ").unwrap_or(("", &error));
    Some(error.to_string())
}

fn recipes() -> Vec<Value> {
    let full: Table = FULL.parse().unwrap();
    let mut one_teacher = full.clone();
    let teacher = one_teacher["teacher"].as_table_mut().unwrap();
    teacher.remove("others");
    teacher.remove("weights");
    teacher["training"]
        .as_table_mut()
        .unwrap()
        .remove("patience");
    let mut route = ROUTE.parse::<Table>().unwrap();
    route.extend(one_teacher.clone());
    let mut stages = one_teacher;
    let losses = stages.remove("loss").unwrap();
    let stage = Table::from_iter([
        ("name".to_string(), "first".into()),
        ("epochs".to_string(), 2.into()),
        ("trains".to_string(), "all".into()),
        ("loss".to_string(), losses),
    ]);
    stages.insert("stage".into(), Value::Array(vec![stage.into()]));
    [full, route, stages].map(Value::Table).into()
}

#[test]
fn a_kind_that_there_is_not_is_named_with_the_nearest_wherever_it_stands() {
    let optimizer = "optimizer = { kind = 'adamw' }";
    let shape = "learning_rate = { base = 0.1, shape = { kind = 'cosin' } }";
    for (training, key, nearest) in [
        (optimizer, "student.training.optimizer.kind", "adam-w"),
        (shape, "student.training.learning_rate.shape.kind", "cosine"),
    ] {
        let text = format!(
            "name = 'a'\ndata = {{ name = 'digits' }}\nteacher = {{ model = 'mlp-8', training = {{ \
             epochs = 1 }} }}\nstudent = {{ model = 'mlp-8', training = {{ epochs = 1, {training} }} }}\n\
             loss = [{{ kind = 'kd' }}]"
        );
        let alone = format!("{:#}", recipe(&text, &[]).unwrap_err());
        let hint = format!("(did you mean `{nearest}`?)");
        assert!(alone.contains(key) && alone.contains(&hint), "{alone}");
        // If both networks have the value, neither one is named.
        let both = text.replace(
            "training = { epochs = 1 }",
            &format!("training = {{ epochs = 1, {training} }}"),
        );
        let both = format!("{:#}", recipe(&both, &[]).unwrap_err());
        assert!(both.contains(&hint), "{both}");
    }
}

#[test]
fn the_recipes_of_these_tests_are_valid() {
    for root in recipes() {
        assert_eq!(error(&root), None);
    }
}

#[test]
fn a_value_of_a_wrong_type_is_refused_by_the_path_of_its_key() {
    for root in recipes() {
        let mut all = Vec::new();
        paths(&root, "", &mut all);
        assert!(all.len() > 40, "{all:?}");
        for path in all {
            for value in VALUES {
                let value = format!("x = {value}").parse::<Table>().unwrap()["x"].clone();
                let of = format!("{path} = {value}");
                let mut changed = root.clone();
                set(&mut changed, &path, Some(value));
                let Some(error) = error(&changed) else {
                    continue;
                };
                assert_readable(&error, &of);
                // Or what depends on it: a name, the number of losses, the kind of a table.
                let parent = path
                    .rsplit_once('.')
                    .map_or(path.as_str(), |(parent, _)| parent);
                let named = [path.as_str(), parent].iter().any(|path| {
                    error.contains(&format!("`{path}")) || error.contains(&format!("{path}: "))
                });
                let whole = [
                    "`loss.",
                    "`teacher.",
                    "[[loss]]",
                    "[[stage]]",
                    "`seeds`",
                    "[route]",
                ];
                let whole = whole.iter().any(|part| error.contains(part));
                assert!(named || whole, "{of}: {error}");
            }
        }
    }
}

#[test]
fn a_key_that_is_missing_or_misspelled_is_named_with_its_path() {
    for root in recipes() {
        let mut all = Vec::new();
        paths(&root, "", &mut all);
        for path in all {
            let mut without = root.clone();
            set(&mut without, &path, None);
            if let Some(error) = error(&without) {
                assert_readable(&error, &path);
            }
            let last = path.rsplit('.').next().unwrap();
            if last.parse::<usize>().is_ok() {
                continue;
            }
            let misspelled = format!("{path}x");
            let mut with = without;
            set(&mut with, &misspelled, Some(1.into()));
            let error = error(&with).expect(&misspelled);
            assert_readable(&error, &misspelled);
            let missing = error.contains(" is missing");
            let named = error.contains(&format!("unknown key `{misspelled}`"));
            assert!(named || missing, "{misspelled}: {error}");
        }
    }
}

#[test]
fn errors_say_what_was_found_and_what_was_expected() {
    let root = &recipes()[0];
    for (path, value, message) in [
        (
            "seeds",
            "[-1]",
            "`seeds.0` should be a whole number from 0, but is -1",
        ),
        (
            "seeds",
            "[0.5]",
            "`seeds.0` should be a whole number from 0, but is 0.5",
        ),
        ("seeds", "3", "`seeds` should be a list, but is 3"),
        (
            "seeds",
            "'[18446744073709551615]'",
            "`seeds` should be a whole number of at most 9223372036854775807, but is 18446744073709551615",
        ),
        (
            "data",
            "'digits'",
            "`data` should be a table, but is the text \"digits\"",
        ),
        (
            "data.test",
            "'much'",
            "`data.test` should be a number, but is the text \"much\"",
        ),
        (
            "data.augmentation.flip",
            "1",
            "`data.augmentation.flip` should be true or false, but is 1",
        ),
        (
            "student.training.optimizer.momentum",
            "'0.9'",
            "`student.training.optimizer.momentum` should be a number, but is the text \"0.9\"",
        ),
        (
            "student.training.optimizer.kind",
            "'sdg'",
            "`student.training.optimizer.kind` should be one of sgd, adam, adam-w (did you mean `sgd`?)",
        ),
        (
            "student.training.learning_rate.shape.milestones",
            "[1, -2]",
            "`student.training.learning_rate.shape.milestones.1` should be a whole number from 0",
        ),
        (
            "loss.0.weight.from",
            "'x'",
            "`loss.0.weight.from` should be a number, but is the text \"x\"",
        ),
        (
            "loss.0.weight.epochs",
            "-1",
            "`loss.0.weight.epochs` should be a whole number from 0, but is -1",
        ),
        (
            "loss.0.weight",
            "'null'",
            "`loss.0.weight` should be a number or a table",
        ),
        (
            "teacher.others.0.training.epochs",
            "0.5",
            "`teacher.others.0.training.epochs` should be",
        ),
    ] {
        let mut changed = root.clone();
        let value = format!("x = {value}").parse::<Table>().unwrap()["x"].clone();
        set(&mut changed, path, Some(value));
        let error = error(&changed).expect(path);
        assert!(error.contains(message), "{path}: {error}");
    }
}

#[test]
fn errors_are_short_whatever_stands_in_the_recipe() {
    let long = "x".repeat(100_000);
    let root = &recipes()[0];
    for path in [
        "name",
        "student.model",
        "loss.1.kind",
        "loss.1.name",
        "data.name",
    ] {
        let mut changed = root.clone();
        set(
            &mut changed,
            path,
            Some(format!("{long}\u{1b}[31m\n").into()),
        );
        let error = error(&changed).expect(path);
        assert!(error.chars().count() < 4200, "{path}: {}", error.len());
        assert!(!error.contains('\u{1b}'), "{path}");
    }
    let mut changed = root.clone();
    set(&mut changed, &format!("student.{long}"), Some(1.into()));
    let error = error(&changed).unwrap();
    assert!(error.chars().count() < 1000, "{error}");

    let deep = format!("name = {}1{}", "[".repeat(5000), "]".repeat(5000));
    let error = format!("{:#}", recipe(&deep, &[]).unwrap_err());
    assert!(
        error.contains("line 1") && error.chars().count() < 1000,
        "{error}"
    );
    let large = format!("about = '{}'", "x".repeat(1 << 20));
    let error = format!("{:#}", recipe(&large, &[]).unwrap_err());
    assert!(error.contains("a recipe has at most 1048576"), "{error}");
}
