//! Names of networks and data sets in a recipe.

use super::fault::{Fault, joined};
use crate::model::ModelRecipe;
use crate::registry::Registry;
use anyhow::Result;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// Writes each name of a network and of the data set as the registry has it, where the recipe names it
/// by an alias or another spelling.
///
/// # Errors
///
/// Returns an error at the key of a name that the registry does not know.
pub fn resolve(recipe: &mut Table, registry: &Registry) -> Result<(), Fault> {
    if let Some(Value::Table(data)) = recipe.get_mut("data")
        && let Some(Value::String(name)) = data.get_mut("name")
    {
        let known = registry.dataset_name(name);
        *name = known.map_err(|error| at("data.name", error))?.into();
    }
    for network in ["teacher", "student"] {
        if let Some(Value::Table(table)) = recipe.get_mut(network) {
            resolve_model(table, network, registry)?;
            if let Some(Value::Array(others)) = table.get_mut("others") {
                for (index, other) in others.iter_mut().enumerate() {
                    if let Value::Table(other) = other {
                        let place = format!("{network}.others.{index}");
                        resolve_model(other, &place, registry)?;
                    }
                }
            }
        }
    }
    if let Some(Value::Table(strategy)) = recipe.get_mut("strategy")
        && let Some(Value::Array(peers)) = strategy.get_mut("peers")
    {
        for (index, peer) in peers.iter_mut().enumerate() {
            resolve_value(peer, &format!("strategy.peers.{index}"), registry)?;
        }
    }
    Ok(())
}

fn resolve_model(table: &mut Table, place: &str, registry: &Registry) -> Result<(), Fault> {
    match table.get_mut("model") {
        Some(model) => resolve_value(model, &joined(place, "model"), registry),
        None => Ok(()),
    }
}

fn resolve_value(value: &mut Value, key: &str, registry: &Registry) -> Result<(), Fault> {
    // What is no network by its type is refused as such.
    let Ok(model) = value.clone().try_into::<ModelRecipe>() else {
        return Ok(());
    };
    let network = registry.network(&model);
    let name = network.map_err(|error| at(key, error))?.name();
    match value {
        Value::Table(table) => {
            table.insert("name".into(), name.into());
        }
        value => *value = name.into(),
    }
    Ok(())
}

fn at(key: &str, error: anyhow::Error) -> Fault {
    Fault::other(key, format_args!("{error:#}"))
}

/// Returns the line of the value at a path in a text, counted from 1, if there is such a value.
pub fn line(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut start = root.span().start;
    let mut value = DeValue::Table(root.into_inner());
    for part in path.split('.') {
        let next = match value {
            DeValue::Table(table) => {
                let mut entries = table.into_iter();
                entries.find(|(key, _)| key.get_ref() == part)?.1
            }
            DeValue::Array(list) => list.into_iter().nth(part.parse().ok()?)?,
            _ => return None,
        };
        start = next.span().start;
        value = next.into_inner();
    }
    Some(text.get(..start)?.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_registry_has_them() {
        let text = "data = { name = 'fashion' }\n\
                    teacher = { model = 'WRN_16_2', others = [{ model = 'ResNet20' }] }\n\
                    strategy = { peers = ['MLP_8', { name = 'MLP-4' }] }";
        let mut recipe = text.parse().unwrap();
        resolve(&mut recipe, &Registry::standard()).unwrap();

        assert_eq!(recipe["data"]["name"].as_str(), Some("fashion-mnist"));
        assert_eq!(recipe["teacher"]["model"].as_str(), Some("wrn-16-2"));
        let other = &recipe["teacher"]["others"][0];
        assert_eq!(other["model"].as_str(), Some("resnet20"));
        assert_eq!(recipe["strategy"]["peers"][0].as_str(), Some("mlp-8"));
        let peer = &recipe["strategy"]["peers"][1];
        assert_eq!(peer["name"].as_str(), Some("mlp-4"));
    }

    #[test]
    fn a_name_that_is_unknown_is_refused_at_its_key() {
        for (text, key) in [
            ("data = { name = 'minst' }", "data.name"),
            ("student = { model = 'resnt20' }", "student.model"),
            (
                "teacher = { others = [{ model = 'x' }] }",
                "teacher.others.0.model",
            ),
            ("strategy = { peers = ['mlp-8', 'x'] }", "strategy.peers.1"),
        ] {
            let mut recipe = text.parse().unwrap();
            let fault = resolve(&mut recipe, &Registry::standard()).unwrap_err();
            assert_eq!(fault.key, key);
        }
    }

    #[test]
    fn the_line_of_a_value_is_found() {
        let text = "a = 1\n[b]\nc = [\n  1,\n  { d = 2 },\n]";

        assert_eq!(line(text, "a"), Some(1));
        assert_eq!(line(text, "b.c.0"), Some(4));
        assert_eq!(line(text, "b.c.1.d"), Some(5));
        assert_eq!(line(text, "b.c.2"), None);
        assert_eq!(line(text, "e"), None);
    }
}
