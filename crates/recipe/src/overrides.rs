use crate::renamed::rename_path;
use anyhow::{Context, Result, anyhow, bail, ensure};
use toml::{Table, Value};

/// Changes a table by an assignment `key.of.a.field=value`. Key and value are written as in TOML,
/// an element of a list is named by its number from 0, and text needs no quotes.
pub fn apply(table: &mut Table, assignment: &str) -> Result<()> {
    let (path, value) = assignment
        .split_once('=')
        .with_context(|| format!("--set {assignment}: expected KEY=VALUE"))?;
    let keys = keys(path.trim());
    keys.and_then(|mut keys| {
        rename_path(&mut keys, table);
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        in_table(table, "", &keys, parse(value.trim())?)
    })
    .with_context(|| format!("--set {assignment}"))
}

/// Returns the parts of a dotted key.
fn keys(path: &str) -> Result<Vec<String>> {
    ensure!(!path.is_empty(), "the key is empty");
    let wrong = || {
        anyhow!(
            "`{path}` is not a key: expected names separated by dots, such as student.training.epochs"
        )
    };
    let document: Table = format!("{path} = 0").parse().map_err(|_| wrong())?;
    let mut keys = Vec::new();
    let mut inner = &Value::Table(document);
    // Each table has one entry, unless the text holds more than a key.
    while let Value::Table(table) = inner {
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            return Err(wrong());
        };
        keys.push(key.clone());
        inner = value;
    }
    Ok(keys)
}

/// Returns a value as in TOML, or else text. Recipes have no dates: text that looks like a date is
/// text.
fn parse(value: &str) -> Result<Value> {
    ensure!(
        !value.is_empty(),
        "the value is empty: for an empty text write two quotes, ''"
    );
    let text = || Value::String(value.into());
    match format!("value = {value}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => Ok(match table.remove("value") {
            Some(Value::Datetime(_)) | None => text(),
            Some(value) => value,
        }),
        Err(error) if value.starts_with(['[', '{', '"', '\'']) => {
            let words = error.message();
            ensure!(
                !words.contains("too large"),
                "a whole number is at most {}",
                i64::MAX
            );
            bail!("the value is not TOML: {words}")
        }
        _ => Ok(text()),
    }
}

/// Sets the value behind keys in a table, whose own keys are `path`.
fn in_table(table: &mut Table, path: &str, keys: &[&str], value: Value) -> Result<()> {
    let [key, rest @ ..] = keys else {
        bail!("the key is empty");
    };
    let path = match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    };
    match (table.get_mut(*key), rest) {
        (_, []) => {
            table.insert((*key).into(), value);
            Ok(())
        }
        (Some(entry), rest) => in_value(entry, &path, rest, value),
        (None, [next, ..]) => {
            ensure!(
                next.parse::<usize>().is_err(),
                "there is no list `{path}` in the recipe: give the whole list, as {path}=[…]"
            );
            let mut inner = Table::new();
            in_table(&mut inner, &path, rest, value)?;
            table.insert((*key).into(), Value::Table(inner));
            Ok(())
        }
    }
}

/// Sets the value behind keys in a value, or the value itself if there are none.
fn in_value(entry: &mut Value, path: &str, keys: &[&str], value: Value) -> Result<()> {
    match (entry, keys) {
        (entry, []) => {
            *entry = value;
            Ok(())
        }
        (Value::Table(table), keys) => in_table(table, path, keys, value),
        (Value::Array(list), [index, rest @ ..]) => {
            let count = list.len();
            let Ok(place) = index.parse::<usize>() else {
                bail!(
                    "`{path}` is a list of {count}: name an element by its number from 0, such as \
                     {path}.0, not by `{index}`"
                );
            };
            match list.get_mut(place) {
                Some(element) => in_value(element, &format!("{path}.{place}"), rest, value),
                None if place == count => bail!(
                    "`{path}` is a list of {count}, and nothing can be added to it: give the whole \
                     list, as {path}=[…]"
                ),
                None => bail!(
                    "there is no `{path}.{place}`: `{path}` is a list of {count}, whose elements \
                     are numbered from 0"
                ),
            }
        }
        (other, _) => {
            let kind = other.type_str();
            let article = if kind.starts_with('i') { "an" } else { "a" };
            bail!("`{path}` is {article} {kind}, not a table")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "name = 'a'\nseeds = [1, 2]\n[data]\nname = 'digits'\n\
        [[loss]]\nkind = 'hard'\nweight = 3\n[[loss]]\nkind = 'kd'\n\
        [teacher]\nothers = [{ model = 'mlp-4' }]\n\
        [[stage]]\nname = 'one'\n[[stage]]\nname = 'two'\nloss = [{ kind = 'dkd' }]";

    fn applied(assignment: &str) -> Result<Table> {
        let mut table = RECIPE.parse::<Table>().unwrap();
        apply(&mut table, assignment).map(|()| table)
    }

    #[test]
    fn values_are_written_as_in_toml() {
        let set = |assignment: &str| applied(assignment).unwrap();

        assert_eq!(set("seeds=[1, 2, 3]")["seeds"].as_array().unwrap().len(), 3);
        assert_eq!(set("data.test=0.5")["data"]["test"], Value::Float(0.5));
        assert_eq!(set("data.name=mnist")["data"]["name"], "mnist".into());
        assert_eq!(set("loss.0.weight=2")["loss"][0]["weight"], 2.into());
        assert_eq!(set("a.b.c=true")["a"]["b"]["c"], true.into());
        for text in ["x", "'x'", "\"x\"", "  x  ", " \"x\" "] {
            assert_eq!(set(&format!("about={text}"))["about"], "x".into(), "{text}");
        }
        for text in [
            "a = b",
            "two words",
            "2026-11-30",
            "a#b",
            "runs/a.bpk",
            "it's",
        ] {
            assert_eq!(set(&format!("about={text}"))["about"], text.into());
        }
        assert_eq!(set("about=''")["about"], "".into());
    }

    #[test]
    fn keys_are_written_as_in_toml() {
        for key in ["data.name", " data . name ", "data.'name'", "\"data\".name"] {
            let table = applied(&format!("{key} = mnist")).unwrap();
            assert_eq!(table["data"]["name"], "mnist".into(), "{key}");
        }
    }

    #[test]
    fn an_element_of_a_list_is_replaced_as_a_whole_or_in_part() {
        let set = |assignment: &str| applied(assignment).unwrap();

        let table = set("loss.0={kind=\"soft-target\", temperature=2.0}");
        assert_eq!(table["loss"][0]["temperature"], 2.0.into());
        assert!(table["loss"][0].get("weight").is_none());
        assert_eq!(table["loss"].as_array().unwrap().len(), 2);
        let others = set("teacher.others.0={model=\"mlp-8\"}");
        assert_eq!(others["teacher"]["others"][0]["model"], "mlp-8".into());
        let stage = set("stage.1.loss.0={kind='at'}");
        assert_eq!(stage["stage"][1]["loss"][0]["kind"], "at".into());
        assert_eq!(set("seeds.1=7")["seeds"][1], 7.into());
    }

    #[test]
    fn errors_about_assignments_name_the_key() {
        for (assignment, message) in [
            ("seeds", "expected KEY=VALUE"),
            ("name.first=1", "`name` is a string, not a table"),
            ("seeds.0.a=1", "`seeds.0` is an integer, not a table"),
            ("=1", "the key is empty"),
            (" = 1", "the key is empty"),
            ("a..b=1", "`a..b` is not a key"),
            (".a=1", "`.a` is not a key"),
            ("a.=1", "`a.` is not a key"),
            ("a b=1", "`a b` is not a key"),
            ("a\nb=1", "is not a key"),
            ("name=", "the value is empty"),
            ("seeds=[1, 2", "the value is not TOML"),
            ("about='a", "the value is not TOML"),
            ("loss.0={kind='kd'", "the value is not TOML"),
            (
                "loss.3.weight=1",
                "there is no `loss.3`: `loss` is a list of 2, whose elements are numbered from 0",
            ),
            (
                "loss.2={kind='kd'}",
                "nothing can be added to it: give the whole list",
            ),
            (
                "stage.1.loss.1.weight=1",
                "`stage.1.loss` is a list of 1, and nothing can be",
            ),
            (
                "loss.-1.weight=1",
                "`loss` is a list of 2: name an element by its number",
            ),
            (
                "loss.kind=kd",
                "name an element by its number from 0, such as loss.0, not by `kind`",
            ),
            (
                "strategy.peers.0=mlp-8",
                "there is no list `strategy.peers` in the recipe",
            ),
        ] {
            let error = format!("{:#}", applied(assignment).unwrap_err());
            assert!(error.contains(message), "{assignment}: {error}");
            assert!(error.starts_with("--set "), "{error}");
        }
    }
}
