use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Table in a CSV file, whose rows are samples.
///
/// | Field | Default | Purpose |
/// | --- | --- | --- |
/// | `csv` | | file with the rows; its first line names the columns |
/// | `test_csv` | none | file with the rows of the test set, with the same columns in any order |
/// | `label` | | name of the column with the classes |
/// | `classes` | the labels of `csv`, sorted | names of the classes, in the order of the logits |
/// | `categorical` | | columns of categories, also if all their values are numbers |
/// | `numeric` | | columns of numbers, so that any other value is an error |
/// | `ignore` | | columns that are not read, such as the number of a row |
/// | `missing` | | marks of a missing value, beside an empty field, `NA` and `nan` |
/// | `missing_indicators` | false | whether each column of numbers with missing values gets a second feature: 1 where the value is missing |
/// | `unknown_categories` | `refuse` | treatment of categories of `test_csv` that `csv` does not have |
/// | `delimiter` | `,` | character between the fields |
/// | `quote` | `"` | character around fields with a delimiter or a line break |
///
/// Columns that are in no list are numeric if all their values are numbers, and categorical
/// otherwise, with at most 100 categories. Spaces around fields are ignored.
///
/// ```text
/// numeric:      (value − mean) / std       mean and population std of the training part
///               0                          where the value is missing: the mean
/// categorical:  one-hot                    a missing value is a separate category
/// ```
///
/// The deviation of a constant column counts as 1. Names of classes and categories are sorted by
/// value if all are integers, else as texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// File with the rows.
    pub csv: PathBuf,
    /// File with the rows of the test set. Default: none, so that a part of the rows is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_csv: Option<PathBuf>,
    /// Name of the column with the classes.
    pub label: String,
    /// Names of the classes, in the order of the logits. Default: the sorted labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Columns of categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categorical: Vec<String>,
    /// Columns of numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numeric: Vec<String>,
    /// Columns that are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Marks of a missing value, beside an empty field, `NA` and `nan`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Whether each column of numbers with missing values gets a feature that marks them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing_indicators: bool,
    /// Treatment of categories that only the test set has.
    #[serde(default)]
    pub unknown_categories: UnknownCategories,
    /// Character between the fields, in ASCII.
    #[serde(default = "delimiter")]
    pub delimiter: char,
    /// Character around fields with a delimiter or a line break, in ASCII.
    #[serde(default = "quote")]
    pub quote: char,
}

/// Treatment of a category that the table of the encoding does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownCategories {
    /// The table is refused.
    #[default]
    Refuse,
    /// All features of the column are 0.
    Zeros,
}

fn delimiter() -> char {
    ','
}

fn quote() -> char {
    '"'
}

impl CsvConfig {
    /// Creates the description of a table from its file and the name of the column with the
    /// classes.
    pub fn new(csv: impl Into<PathBuf>, label: impl Into<String>) -> Self {
        Self {
            csv: csv.into(),
            test_csv: None,
            label: label.into(),
            classes: None,
            categorical: Vec::new(),
            numeric: Vec::new(),
            ignore: Vec::new(),
            missing: Vec::new(),
            missing_indicators: false,
            unknown_categories: UnknownCategories::default(),
            delimiter: delimiter(),
            quote: quote(),
        }
    }

    /// Returns the name of the data in reports: that of the file.
    pub fn name(&self) -> String {
        file_name(&self.csv)
    }

    /// Returns whether a field holds no value.
    pub(super) fn is_missing(&self, field: &str) -> bool {
        field.is_empty()
            || field == "NA"
            || field.eq_ignore_ascii_case("nan")
            || self.missing.iter().any(|mark| mark == field)
    }

    /// Returns the lists of columns, each with its key.
    pub(super) fn lists(&self) -> [(&'static str, &[String]); 3] {
        [
            ("categorical", &self.categorical),
            ("numeric", &self.numeric),
            ("ignore", &self.ignore),
        ]
    }
}

/// Returns the name of a file without its folder.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

impl Check for CsvConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let given = |path: &Path| !path.as_os_str().is_empty();
        let expected = "the path of a file";
        check::ensure(given(&self.csv), "csv", expected, "empty")?;
        let test = self.test_csv.as_deref();
        check::ensure(test.is_none_or(given), "test_csv", expected, "empty")?;
        for (key, character) in [("delimiter", self.delimiter), ("quote", self.quote)] {
            let fits = character.is_ascii() && !['\n', '\r', '\0'].contains(&character);
            let found = format!("`{}`", character.escape_debug());
            check::ensure(fits, key, "an ASCII character that ends no line", found)?;
        }
        let same = self.delimiter == self.quote;
        let found = format!("`{}` too", self.delimiter);
        check::ensure(!same, "quote", "another character than `delimiter`", found)?;
        if let Some(classes) = &self.classes {
            check::at_least("classes", classes.len(), 2)?;
            let repeated = repeated(classes);
            check::ensure(
                repeated.is_none(),
                "classes",
                "different names",
                list(classes),
            )?;
        }
        // A column is of one kind, and the label is not an input.
        let mut taken = vec![("label", &self.label)];
        for (key, columns) in self.lists() {
            for column in columns {
                if let Some((other, _)) = taken.iter().find(|(_, name)| *name == column) {
                    let expected = format!("a list without `{column}`, which `{other}` names");
                    return Err(ConfigError::new(key, expected, list(columns)));
                }
                taken.push((key, column));
            }
        }
        Ok(())
    }
}

fn repeated(names: &[String]) -> Option<&String> {
    let mut rest = names.iter().enumerate();
    rest.find_map(|(place, name)| names[..place].contains(name).then_some(name))
}

fn list(names: &[String]) -> String {
    format!("{names:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: fn(&mut CsvConfig)) -> String {
        let mut config = CsvConfig::new("a.csv", "kind");
        assert_eq!(config.check(), Ok(()));
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn contradictions_are_refused_before_the_file_is_read() {
        assert_eq!(
            refusal(|config| config.delimiter = '\n'),
            "`delimiter` should be an ASCII character that ends no line, but is `\\n`"
        );
        assert_eq!(
            refusal(|config| config.test_csv = Some(PathBuf::new())),
            "`test_csv` should be the path of a file, but is empty"
        );
        assert_eq!(
            refusal(|config| config.quote = '“'),
            "`quote` should be an ASCII character that ends no line, but is `“`"
        );
        assert_eq!(
            refusal(|config| config.quote = ','),
            "`quote` should be another character than `delimiter`, but is `,` too"
        );
        assert_eq!(
            refusal(|config| config.numeric = vec!["kind".into()]),
            "`numeric` should be a list without `kind`, which `label` names, but is [\"kind\"]"
        );
        assert_eq!(
            refusal(|config| {
                config.numeric = vec!["age".into()];
                config.ignore = vec!["id".into(), "age".into()];
            }),
            "`ignore` should be a list without `age`, which `numeric` names, but is [\"id\", \
             \"age\"]"
        );
        assert_eq!(
            refusal(|config| config.classes = Some(vec!["a".into(), "a".into()])),
            "`classes` should be different names, but is [\"a\", \"a\"]"
        );
        assert!(refusal(|config| config.classes = Some(vec![])).starts_with("`classes` should be"));
    }

    #[test]
    fn marks_of_missing_values_are_exact() {
        let mut config = CsvConfig::new("a.csv", "kind");
        config.missing = vec!["?".into()];
        for mark in ["", "NA", "nan", "NaN", "?"] {
            assert!(config.is_missing(mark), "{mark}");
        }
        for value in ["na", "0", "??", "Nancy", "N/A"] {
            assert!(!config.is_missing(value), "{value}");
        }
    }
}
