//! Names of networks and data sets in a recipe.

use super::Recipe;
use super::fault::Fault;
use crate::data::{DataRecipe, SourceRecipe};
use crate::registry::Registry;
use toml::de::{DeTable, DeValue};

/// Writes each name of a network and of the data set as the registry has it, where the recipe has
/// an alias or another spelling.
///
/// # Errors
///
/// Returns an error at the key of a name that the registry does not know.
pub fn resolve(recipe: &mut Recipe) -> Result<(), Fault> {
    let registry = recipe.registry.clone();
    recipe.data = resolve_data(recipe.data.clone(), &registry)?;
    for (key, model) in recipe.models_mut() {
        let network = registry.network(model);
        model.name = network.map_err(|error| at(&key, error))?.name();
    }
    Ok(())
}

/// Returns data with the name of the data set as the registry has it.
///
/// # Errors
///
/// Returns an error at the key of the name if the registry does not know it.
pub fn resolve_data(mut data: DataRecipe, registry: &Registry) -> Result<DataRecipe, Fault> {
    if let SourceRecipe::Named { name } = &mut data.source {
        let known = registry.dataset_name(name);
        *name = known.map_err(|error| at("data.name", error))?.into();
    }
    Ok(data)
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
    use crate::registry::Registry;

    const TRAINING: &str = "training = { epochs = 1 }";

    fn resolved(tables: &str) -> Result<Recipe, Fault> {
        let text = format!("name = 'test'\n{tables}").replace("TRAINING", TRAINING);
        let recipe = Recipe::from_table(text.parse().unwrap(), &Registry::standard());
        let mut recipe = recipe.unwrap();
        resolve(&mut recipe).map(|()| recipe)
    }

    #[test]
    fn names_are_written_as_the_registry_has_them() {
        let recipe = resolved(
            "data = { name = 'fashion' }\n\
             teacher = { model = 'WRN_16_2', TRAINING, others = [{ model = 'ResNet20' }] }\n\
             student = { model = 'MLP_4', TRAINING }\n\
             strategy = { kind = 'mutual', peers = ['MLP_8', { name = 'MLP-4' }] }",
        );
        let mut recipe = recipe.unwrap();

        assert_eq!(recipe.data.source.name(), "fashion-mnist");
        let models = recipe.models_mut().into_iter();
        let models: Vec<_> = models
            .map(|(key, model)| format!("{key} {model}"))
            .collect();
        assert_eq!(
            models,
            [
                "teacher.model wrn-16-2",
                "teacher.others.0.model resnet20",
                "student.model mlp-4",
                "strategy.peers.0 mlp-8",
                "strategy.peers.1 mlp-4",
            ]
        );
    }

    #[test]
    fn a_name_that_is_unknown_is_refused_at_its_key() {
        let data = "data = { name = 'digits' }";
        let student = "student = { model = 'mlp-4', TRAINING }";
        for (text, key) in [
            (
                format!("data = {{ name = 'minst' }}\n{student}"),
                "data.name",
            ),
            (
                format!("{data}\nstudent = {{ model = 'resnt20', TRAINING }}"),
                "student.model",
            ),
            (
                format!(
                    "{data}\n{student}\nteacher = {{ model = 'mlp-4', TRAINING, others = \
                     [{{ model = 'x' }}] }}"
                ),
                "teacher.others.0.model",
            ),
            (
                format!("{data}\n{student}\nstrategy = {{ kind = 'dml', peers = ['mlp-8', 'x'] }}"),
                "strategy.peers.1",
            ),
        ] {
            let fault = resolved(&text).unwrap_err();
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
