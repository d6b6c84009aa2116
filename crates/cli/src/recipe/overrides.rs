use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// Change a table by `key.of.a.field=value`, where the value is written as in TOML; text needs no
/// quotes.
pub fn apply(table: &mut Table, assignment: &str) -> Result<()> {
    let (path, value) = assignment
        .split_once('=')
        .with_context(|| format!("--set {assignment}: expected KEY=VALUE"))?;
    let keys: Vec<_> = path.trim().split('.').collect();
    set(table, &keys, parse(value.trim())).with_context(|| format!("--set {assignment}"))
}

fn parse(value: &str) -> Value {
    let parsed = format!("value = {value}").parse::<Table>().ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.into()))
}

fn set(table: &mut Table, keys: &[&str], value: Value) -> Result<()> {
    match keys {
        [] | [""] => bail!("the key is empty"),
        [key] => {
            table.insert((*key).into(), value);
            Ok(())
        }
        [key, rest @ ..] => {
            let entry = table
                .entry(*key)
                .or_insert_with(|| Value::Table(Table::new()));
            match entry {
                Value::Table(inner) => set(inner, rest, value),
                // `loss.0.weight`: an element of a list of tables.
                Value::Array(list) => {
                    let count = list.len();
                    let index = rest[0].parse::<usize>();
                    match index.ok().and_then(|index| list.get_mut(index)) {
                        Some(Value::Table(inner)) => set(inner, &rest[1..], value),
                        _ => bail!(
                            "`{key}` is a list of {count}: name one by its number from 0, \
                             such as {key}.0"
                        ),
                    }
                }
                other => bail!("`{key}` is a {}, not a table", other.type_str()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(assignment: &str) -> Result<Table> {
        let mut table = "name = 'a'\n[data]\nname = 'digits'\n[[loss]]\nkind = 'hard'"
            .parse::<Table>()
            .unwrap();
        apply(&mut table, assignment).map(|()| table)
    }

    #[test]
    fn values_are_written_as_in_toml() {
        assert_eq!(
            applied("seeds=[1, 2]").unwrap()["seeds"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            applied("data.test=0.5").unwrap()["data"]["test"],
            Value::Float(0.5)
        );
        assert_eq!(
            applied("data.name=mnist").unwrap()["data"]["name"],
            Value::from("mnist")
        );
        assert_eq!(
            applied("loss.0.weight=2").unwrap()["loss"][0]["weight"],
            Value::Integer(2)
        );
        assert_eq!(
            applied("a.b.c=true").unwrap()["a"]["b"]["c"],
            Value::Boolean(true)
        );
    }

    #[test]
    fn what_cannot_be_set_is_explained() {
        let error = |assignment| format!("{:#}", applied(assignment).unwrap_err());

        assert!(error("seeds").contains("expected KEY=VALUE"));
        assert!(error("name.first=1").contains("`name` is a string, not a table"));
        assert!(error("loss.3.weight=1").contains("`loss` is a list of 1"));
        assert!(error("=1").contains("the key is empty"));
    }
}
