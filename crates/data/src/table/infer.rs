//! Kinds of the columns of a table, and its classes.

use super::config::CsvConfig;
use super::encoding::{ColumnEncoding, TableEncoding};
use super::file::{TableFile, number};
use super::names::{quote, quoted, sort};
use crate::DataError;
use std::collections::BTreeSet;

/// Largest number of categories of a column that is not declared as categorical, and of classes
/// that are not given.
const MOST_NAMES: usize = 100;

/// Largest number of categories of a declared column, each of which is a feature.
const MOST_DECLARED: usize = 10_000;

/// Columns, classes and size of a table.
#[derive(Debug)]
pub(super) struct Schema {
    /// Conversion of the columns, before the means and deviations are measured.
    pub encoding: TableEncoding,
    pub classes: Vec<String>,
    /// Number of rows.
    pub rows: usize,
}

/// Reads a table to find the kind of each column, its categories and the classes.
///
/// # Errors
///
/// Returns an error about the configuration, or about the line and the column of the first fault.
pub(super) fn infer(config: &CsvConfig) -> Result<Schema, DataError> {
    let mut file = TableFile::open(&config.csv, config)?;
    let label = file.column(&config.label, "label")?;
    for (key, columns) in config.lists() {
        for name in columns {
            file.column(name, key)?;
        }
    }
    let header = file.header().to_vec();
    let inputs = (0..header.len()).filter(|&place| place != label);
    let inputs = inputs.filter(|&place| !config.ignore.contains(&header[place]));
    let mut columns: Vec<_> = inputs
        .map(|place| Column::new(place, &header, config))
        .collect();
    if columns.is_empty() {
        let expected = "a column beside the label";
        let found = format!("the columns {}, all others ignored", quoted(&header));
        return Err(file.error(None, expected, found));
    }
    let mut classes = BTreeSet::new();
    let mut rows = 0;
    while file.next()? {
        rows += 1;
        let class = file.field(label)?;
        if class.is_empty() {
            return Err(file.error(Some(label), "a class", "an empty field"));
        }
        let is_listed = || {
            config
                .classes
                .iter()
                .flatten()
                .any(|listed| listed == class)
        };
        if config.is_missing(class) && !is_listed() {
            let expected = "a class: remove the row, or list all classes in `classes`";
            let found = format!("{}, which marks a missing value", quote(class));
            return Err(file.error(Some(label), expected, found));
        }
        // A class that is not in a given list is refused with the row later.
        if classes.len() <= MOST_NAMES && !classes.contains(class) {
            classes.insert(class.to_string());
        }
        for column in &mut columns {
            column.see(&file, config)?;
        }
    }
    if rows == 0 {
        return Err(file.error(
            None,
            "rows below the names of the columns",
            "the end of the file",
        ));
    }
    let encodings = columns
        .into_iter()
        .map(|column| column.encoding(&file, config, &header));
    let encoding = TableEncoding {
        columns: encodings.collect::<Result<_, _>>()?,
    };
    Ok(Schema {
        encoding,
        classes: chosen_classes(&file, label, config, classes)?,
        rows,
    })
}

fn chosen_classes(
    file: &TableFile,
    label: usize,
    config: &CsvConfig,
    found: BTreeSet<String>,
) -> Result<Vec<String>, DataError> {
    if let Some(classes) = &config.classes {
        return Ok(classes.clone());
    }
    let mut classes: Vec<_> = found.into_iter().collect();
    match classes.len() {
        1 => Err(file.error_of_column(
            label,
            format!(
                "should hold two classes or more, but all rows are of {}",
                quoted(&classes)
            ),
        )),
        count if count > MOST_NAMES => Err(file.error_of_column(
            label,
            format!(
                "should hold at most {MOST_NAMES} classes, but holds more, such as {}: name \
                 another column as `label`, or list the classes in `classes`",
                quoted(&classes)
            ),
        )),
        _ => {
            sort(&mut classes);
            Ok(classes)
        }
    }
}

/// A column while its type is inferred.
struct Column {
    place: usize,
    declared: Option<Declared>,
    /// Offset of the row, and value, of the first field that is not a number. The line is counted
    /// only for an error, since that reads the file again.
    text: Option<(u64, String)>,
    /// Different values, up to one more than the largest number allowed.
    values: BTreeSet<String>,
    has_values: bool,
    has_missing: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Declared {
    Numeric,
    Categorical,
}

impl Column {
    fn new(place: usize, header: &[String], config: &CsvConfig) -> Self {
        let name = &header[place];
        let declared = match () {
            () if config.numeric.contains(name) => Some(Declared::Numeric),
            () if config.categorical.contains(name) => Some(Declared::Categorical),
            () => None,
        };
        Self {
            place,
            declared,
            text: None,
            values: BTreeSet::new(),
            has_values: false,
            has_missing: false,
        }
    }

    fn most_categories(&self) -> usize {
        match self.declared {
            Some(Declared::Categorical) => MOST_DECLARED,
            _ => MOST_NAMES,
        }
    }

    /// Takes the field of a row into account.
    fn see(&mut self, file: &TableFile, config: &CsvConfig) -> Result<(), DataError> {
        let field = file.field(self.place)?;
        if config.is_missing(field) {
            self.has_missing = true;
            return Ok(());
        }
        self.has_values = true;
        let may_be_numeric = self.declared != Some(Declared::Categorical) && self.text.is_none();
        if may_be_numeric && let Err(expected) = number(field) {
            let infinite = field.parse::<f64>().is_ok();
            if infinite || self.declared == Some(Declared::Numeric) {
                return Err(file.error(Some(self.place), expected, quote(field)));
            }
            self.text = Some((file.offset(), field.to_string()));
        }
        let numeric = self.declared == Some(Declared::Numeric);
        if !numeric && self.values.len() <= self.most_categories() && !self.values.contains(field) {
            self.values.insert(field.to_string());
        }
        Ok(())
    }

    fn encoding(
        self,
        file: &TableFile,
        config: &CsvConfig,
        header: &[String],
    ) -> Result<ColumnEncoding, DataError> {
        let name = header[self.place].clone();
        if !self.has_values {
            let what = "should hold values, but all are missing: list it in `ignore`";
            return Err(file.error_of_column(self.place, what));
        }
        let categorical = self.declared == Some(Declared::Categorical) || self.text.is_some();
        if !categorical {
            return Ok(ColumnEncoding::Numeric {
                name,
                mean: 0.0,
                std: 1.0,
                missing_indicator: config.missing_indicators && self.has_missing,
            });
        }
        let most = self.most_categories();
        if self.values.len() > most {
            let why = match &self.text {
                Some((offset, value)) => format!(
                    ", because line {} holds {}, which is not a number: correct it, list it in \
                     `missing`, or list the column in `categorical` or `ignore`",
                    file.line_of(*offset),
                    quote(value)
                ),
                None => ": list it in `ignore`".into(),
            };
            let what = format!("has more than {most} categories{why}");
            return Err(file.error_of_column(self.place, what));
        }
        let mut categories: Vec<_> = self.values.into_iter().collect();
        sort(&mut categories);
        if self.has_missing {
            categories.insert(0, String::new());
        }
        Ok(ColumnEncoding::Categorical { name, categories })
    }
}
