//! Keys of recipes that had another name in an earlier version.

use toml::{Table, Value};

/// A key with another name in earlier versions. Options of networks and strategies that belong to a
/// program keep their names, so that a key is renamed in its own table only.
struct Renamed {
    /// Last names of the path of the table.
    table: &'static [&'static str],
    /// Kinds of the strategy that has the key; empty for a key of another table.
    strategies: &'static [&'static str],
    old: &'static str,
    new: &'static str,
}

const RENAMED: [Renamed; 3] = [
    Renamed {
        table: &["training", "learning_rate"],
        strategies: &[],
        old: "peak",
        new: "base",
    },
    Renamed {
        table: &["strategy"],
        strategies: &["group-leader", "okddip"],
        old: "as_code",
        new: "reference_gradients",
    },
    Renamed {
        table: &["strategy"],
        strategies: &["mean-teacher", "ema"],
        old: "labelled_per_batch",
        new: "labeled_per_batch",
    },
];

impl Renamed {
    /// Returns whether the key is one of the table with this path, in a recipe with this kind of
    /// strategy.
    fn is_in(&self, path: &[&str], kind: &str) -> bool {
        match self.strategies {
            [] => path.ends_with(self.table),
            kinds => {
                path == self.table && kinds.iter().any(|known| known.eq_ignore_ascii_case(kind))
            }
        }
    }
}

/// Returns the kind of the strategy of a recipe.
fn kind_of(recipe: &Table) -> String {
    let strategy = recipe.get("strategy").and_then(Value::as_table);
    let kind = strategy.and_then(|strategy| strategy.get("kind")?.as_str());
    kind.unwrap_or_default().to_string()
}

/// Renames the old keys of a recipe.
///
/// An old name beside the new one stays, and is refused as an unknown key.
pub fn rename_keys(recipe: &mut Table) {
    let kind = kind_of(recipe);
    rename_in_table(recipe, &[], &kind);
}

fn rename_in_table(table: &mut Table, path: &[&str], kind: &str) {
    for renamed in RENAMED.iter().filter(|renamed| renamed.is_in(path, kind)) {
        if !table.contains_key(renamed.new)
            && let Some(value) = table.remove(renamed.old)
        {
            table.insert(renamed.new.into(), value);
        }
    }
    for (key, value) in table {
        let path = [path, &[key.as_str()]].concat();
        match value {
            Value::Table(table) => rename_in_table(table, &path, kind),
            Value::Array(list) => {
                for table in list.iter_mut().filter_map(Value::as_table_mut) {
                    rename_in_table(table, &path, kind);
                }
            }
            _ => {}
        }
    }
}

/// Renames the old key at the end of a dotted key of a recipe.
pub fn rename_path(keys: &mut [String], recipe: &Table) {
    let Some((key, path)) = keys.split_last_mut() else {
        return;
    };
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    let kind = kind_of(recipe);
    let renamed = RENAMED
        .iter()
        .find(|renamed| renamed.old == key.as_str() && renamed.is_in(&path, &kind));
    if let Some(renamed) = renamed {
        *key = renamed.new.into();
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
        let with = |rate: &str| {
            let text = r#"
                name = "both-names"
                seeds = [0]
                loss = [{ kind = "ce" }, { kind = "kd" }]
                data = { name = "digits" }
                teacher = { model = "mlp-8", training = { epochs = 1 } }
                student = { model = "mlp-8", training = { epochs = 1, learning_rate = { RATE } } }
            "#;
            recipe(&text.replace("RATE", rate), &[])
        };

        with("base = 0.5").unwrap();
        with("peak = 0.5").unwrap();
        assert!(with("peak = 0.5, base = 0.5").is_err());
    }

    #[test]
    fn keys_of_other_tables_keep_their_names() {
        let mut table: toml::Table = r#"
            [student]
            model = { name = "net", learning_rate = { peak = 0.5 }, strategy = { as_code = true } }
            [strategy]
            kind = "own"
            as_code = true
        "#
        .parse()
        .unwrap();
        let before = table.clone();

        super::rename_keys(&mut table);

        assert_eq!(table, before);
        let mut keys = ["strategy", "as_code"].map(String::from);
        super::rename_path(&mut keys, &table);
        assert_eq!(keys[1], "as_code");
    }

    #[test]
    fn an_error_beside_an_old_key_has_its_own_line() {
        let text = r#"name = "old-key"
            seeds = [0]
            data = { name = "digits" }
            teacher = { model = "mlp-8", training = { epochs = 1 } }
            student = { model = "mlq-8", training = { epochs = 1,
                learning_rate = { peak = 1 } } }
        "#;

        let error = format!("{:#}", recipe(text, &[]).unwrap_err());

        assert!(error.contains("line 5: "), "{error}");
    }
}
