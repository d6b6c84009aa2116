//! Keys of recipes that had another name in an earlier version.

use toml::{Table, Value};

/// Table, old name and new name of each renamed key.
const RENAMED: [(&str, &str, &str); 3] = [
    ("learning_rate", "peak", "base"),
    ("strategy", "as_code", "reference_gradients"),
    ("strategy", "labelled_per_batch", "labeled_per_batch"),
];

/// Renames the old keys of a table, and of the tables within it.
///
/// An old name beside the new one stays, and is refused as an unknown key.
pub fn rename_keys(table: &mut Table) {
    for (key, value) in table {
        rename_in_value(key, value);
    }
}

fn rename_in_value(key: &str, value: &mut Value) {
    match value {
        Value::Table(table) => {
            for (_, old, new) in RENAMED.iter().filter(|(parent, ..)| *parent == key) {
                if !table.contains_key(*new)
                    && let Some(value) = table.remove(*old)
                {
                    table.insert((*new).into(), value);
                }
            }
            rename_keys(table);
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|element| rename_in_value(key, element)),
        _ => {}
    }
}

/// Renames the old parts of a dotted key.
pub fn rename_path(keys: &mut [String]) {
    for at in 1..keys.len() {
        let (parent, key) = (&keys[at - 1], &keys[at]);
        let renamed = RENAMED
            .iter()
            .find(|(table, old, _)| table == parent && old == key);
        if let Some((_, _, new)) = renamed {
            keys[at] = (*new).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::read::tests::recipe;

    #[test]
    fn old_names_of_keys_keep_their_meaning() {
        const RECIPE: &str = r#"
            name = "test"
            data = { name = "digits", labels_per_class = 3 }
            [student]
            model = "convnet-4"
            training = { epochs = 3, batch_size = 16, learning_rate = { BASE = 0.25 } }
            [strategy]
            kind = "KIND"
            OPTION
        "#;
        let with = |base: &str, kind: &str, option: &str, changes: &[&str]| {
            let text = RECIPE.replace("BASE", base);
            let text = text.replace("KIND", kind).replace("OPTION", option);
            let recipe = recipe(&text, changes).unwrap();
            toml::to_string(&recipe).unwrap()
        };

        for (kind, old, new) in [
            (
                "group-leader",
                "as_code = true",
                "reference_gradients = true",
            ),
            (
                "mean-teacher",
                "labelled_per_batch = 2",
                "labeled_per_batch = 2",
            ),
        ] {
            assert_eq!(with("peak", kind, old, &[]), with("base", kind, new, &[]));
            let changes = [
                "student.training.learning_rate.peak=0.5",
                &format!("strategy.{}", old.replace(" = ", "=")),
            ];
            let expected = ["student.training.learning_rate.base=0.5"];
            assert_eq!(
                with("base", kind, "", &changes),
                with("peak", kind, new, &expected)
            );
        }
        let changed = ["student.training.learning_rate={ peak = 0.125 }"];
        assert!(with("base", "ps-kd", "", &changed).contains("base = 0.125"));
    }

    #[test]
    fn an_old_name_beside_that_of_today_is_refused() {
        let text = r#"
            seeds = [0]
            data = { name = "digits" }
            teacher = { model = "mlp-8", training = { epochs = 1 } }
            student = { model = "mlp-8", training = { epochs = 1, learning_rate = { peak = 1, base = 1 } } }
        "#;

        assert!(recipe(text, &[]).is_err());
    }
}
