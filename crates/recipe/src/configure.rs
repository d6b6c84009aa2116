use super::fault::Fault;
use super::typed::typed_by;
use burn_distill::core::Check;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Table;

/// Reads a configuration from the options in a recipe, and checks it. The options are the fields of
/// the configuration, with the values of `default` as their defaults.
///
/// ```
/// use burn_distill::response::SoftTargetLossConfig;
/// use burn_distill_recipe::configured;
///
/// let options = "temprature = 2".parse().unwrap();
/// let error = configured(&SoftTargetLossConfig::new(), &options).unwrap_err();
///
/// assert!(error.to_string().contains("did you mean `temperature`?"));
/// ```
///
/// # Errors
///
/// Returns an error if there is no such field, if a value is of another type, or if
/// [`Check`] refuses it.
pub fn configured<C>(default: &C, options: &Table) -> Result<C, Fault>
where
    C: Serialize + DeserializeOwned + Check,
{
    configure(default, options, &[])
}

/// Returns the configuration `default` with the values of a table of the recipe, checked.
///
/// The keys of the table are the fields of the configuration. `beside` are further keys, for the
/// error about an unknown key.
pub fn configure<C: Serialize + DeserializeOwned + Check>(
    default: &C,
    table: &Table,
    beside: &[&str],
) -> Result<C, Fault> {
    let config = typed_by(table, |table| overlaid(default, table, beside))?;
    config.check()?;
    Ok(config)
}

/// Returns the configuration `default` with the values of a table; errors have the messages of
/// serde.
pub fn overlaid<C: Serialize + DeserializeOwned>(
    default: &C,
    table: &Table,
    beside: &[&str],
) -> Result<C, String> {
    let in_words = |error: serde_json::Error| error.to_string();
    let Value::Object(mut fields) = serde_json::to_value(default).map_err(in_words)? else {
        return Err("a configuration is a table".into());
    };
    for (key, value) in table {
        let Some(field) = fields.get_mut(key) else {
            let known = fields.keys().map(String::as_str);
            let known = known.chain(beside.iter().copied());
            let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
            return Err(match known.as_slice() {
                [] => format!("unknown field `{key}`, there are no fields"),
                known => format!(
                    "unknown field `{key}`, expected one of {}",
                    known.join(", ")
                ),
            });
        };
        *field = serde_json::to_value(value).map_err(in_words)?;
    }
    serde_json::from_value(Value::Object(fields)).map_err(in_words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill::response::SoftTargetLossConfig;

    fn of_text(text: &str) -> Result<SoftTargetLossConfig, Fault> {
        configure(&SoftTargetLossConfig::new(), &text.parse().unwrap(), &[])
    }

    #[test]
    fn values_of_the_table_replace_the_defaults() {
        assert_eq!(of_text("").unwrap().temperature, 4.0);
        assert_eq!(of_text("temperature = 2").unwrap().temperature, 2.0);
    }

    #[test]
    fn a_misspelled_key_is_refused_with_the_nearest() {
        let error = of_text("temprature = 2").unwrap_err().to_string();

        assert_eq!(
            error,
            "unknown key `temprature`, did you mean `temperature`?; the known ones are temperature"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_or_range_is_refused() {
        let error = of_text("temperature = 'hot'").unwrap_err().to_string();

        assert_eq!(
            error,
            "`temperature` should be a number, but is the text \"hot\""
        );
        let error = of_text("temperature = -1").unwrap_err().to_string();
        assert!(error.ends_with("but is -1"), "{error}");
    }
}
