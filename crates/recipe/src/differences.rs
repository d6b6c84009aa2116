use toml::{Table, Value};

/// Longer values are shortened.
const LONGEST: usize = 80;

/// Returns a line with the key for each value in which a recipe differs from the recipe with which
/// its run was started.
pub fn differences(begun: &str, now: &str) -> String {
    let tables = begun.parse::<Table>().ok().zip(now.parse::<Table>().ok());
    let Some((begun, now)) = tables else {
        return " the file is not one that this program has written".into();
    };
    let mut lines = Vec::new();
    in_tables("", &begun, &now, &mut lines);
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

fn in_tables(path: &str, begun: &Table, now: &Table, lines: &mut Vec<String>) {
    let added = now.keys().filter(|key| !begun.contains_key(*key));
    for key in begun.keys().chain(added) {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        in_values(&path, begun.get(key), now.get(key), lines);
    }
}

fn in_values(path: &str, begun: Option<&Value>, now: Option<&Value>, lines: &mut Vec<String>) {
    match (begun, now) {
        (Some(Value::Table(begun)), Some(Value::Table(now))) => in_tables(path, begun, now, lines),
        (Some(Value::Array(begun)), Some(Value::Array(now)))
            if begun.len() == now.len() && begun.iter().any(Value::is_table) =>
        {
            for (index, (begun, now)) in begun.iter().zip(now).enumerate() {
                in_values(&format!("{path}.{index}"), Some(begun), Some(now), lines);
            }
        }
        (begun, now) if begun == now => {}
        (begun, now) => lines.push(format!(
            "`{path}` is {}, but the run was started with {}",
            shown(now),
            shown(begun)
        )),
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "not given".into();
    };
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_that_differs_is_named_with_both() {
        let begun = "seeds = [0]\n[data]\nname = 'digits'\nsamples = 5\n[[loss]]\nkind = 'kd'";
        let now = "seeds = [0]\n[data]\nname = 'digits'\ntest = 0.5\n[[loss]]\nkind = 'dkd'";

        assert_eq!(
            differences(begun, now),
            "\n  `data.samples` is not given, but the run was started with 5\
             \n  `data.test` is 0.5, but the run was started with not given\
             \n  `loss.0.kind` is \"dkd\", but the run was started with \"kd\""
        );
        assert_eq!(differences(begun, begun), "");
    }

    #[test]
    fn long_values_are_shortened() {
        let now = format!("about = '{}'", "ä".repeat(1000));

        let line = differences("about = ''", &now);
        assert!(line.chars().count() < 200, "{line}");
    }

    #[test]
    fn a_file_that_is_no_recipe_is_refused() {
        assert!(differences("name = ", "name = 'a'").contains("is not one that this program"));
    }
}
