use anyhow::{Result, anyhow, bail};
use burn_distill::core::nearest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The configuration `default` with the values of a table of the recipe in it.
///
/// The fields of the configuration are what the table may name: there is no second list of them. What
/// else may stand beside them is for the error about a key that is none of these.
pub fn configure<C: Serialize + DeserializeOwned>(
    default: &C,
    table: &toml::Table,
    beside: &[&str],
) -> Result<C> {
    let Value::Object(mut fields) = serde_json::to_value(default)? else {
        bail!("a configuration is a table");
    };
    for (key, value) in table {
        let Some(field) = fields.get_mut(key) else {
            let fields = fields.keys().map(String::as_str);
            return Err(unknown(key, fields.chain(beside.iter().copied())));
        };
        *field = serde_json::to_value(value)?;
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| anyhow!("{error}"))
}

/// The error about a key that is not one of the known ones.
pub fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let known: Vec<_> = known.collect();
    let hint = nearest(key, known.iter().copied());
    let hint = hint
        .map(|name| format!(", did you mean `{name}`?"))
        .unwrap_or_default();
    match known.as_slice() {
        [] => anyhow!("unknown key `{key}`: there are none here"),
        known => anyhow!("unknown key `{key}`{hint}; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill::response::SoftTargetLossConfig;

    fn configured(text: &str) -> Result<SoftTargetLossConfig> {
        configure(&SoftTargetLossConfig::new(), &text.parse().unwrap(), &[])
    }

    #[test]
    fn values_of_the_table_replace_the_defaults() {
        assert_eq!(configured("").unwrap().temperature, 4.0);
        assert_eq!(configured("temperature = 2").unwrap().temperature, 2.0);
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_nearest() {
        let error = configured("temprature = 2").unwrap_err().to_string();

        assert_eq!(
            error,
            "unknown key `temprature`, did you mean `temperature`?; known are temperature"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        let error = configured("temperature = 'hot'").unwrap_err().to_string();

        assert!(error.contains("invalid type: string \"hot\""), "{error}");
    }
}
