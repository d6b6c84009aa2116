//! Rows of a table whose columns are known.

use super::config::{CsvConfig, UnknownCategories};
use super::encoding::{ColumnEncoding, TableEncoding};
use super::file::{TableFile, number};
use super::names::{quote, quoted};
use crate::DataError;
use std::collections::HashMap;
use std::path::Path;

/// Code of a category that the encoding of the column does not have.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Values of a column, by row.
#[derive(Debug)]
pub(super) enum Values {
    /// Numbers; NaN where the value is missing.
    Numbers(Vec<f64>),
    /// Positions in the list of categories, or [`UNKNOWN`].
    Categories(Vec<u32>),
}

/// Rows of a table.
#[derive(Debug)]
pub(super) struct Rows {
    /// Values of each column of the encoding.
    pub columns: Vec<Values>,
    /// Position of the class of each row.
    pub labels: Vec<usize>,
}

impl Rows {
    /// Reads the rows of a table that has the columns of an encoding, in any order.
    ///
    /// # Errors
    ///
    /// Returns an error about the line and the column of the first fault.
    pub fn read(
        path: &Path,
        config: &CsvConfig,
        encoding: &TableEncoding,
        classes: &[String],
        expected: usize,
    ) -> Result<Self, DataError> {
        let mut file = TableFile::open(path, config)?;
        let label = file.column(&config.label, "label")?;
        let classes = positions(classes);
        let columns = encoding.columns.iter().map(|column| {
            let place = file.column(column.name(), "a column of `csv`")?;
            Ok(Reading::new(place, column, expected))
        });
        let mut columns = columns.collect::<Result<Vec<_>, DataError>>()?;
        let mut labels = Vec::with_capacity(expected);
        while file.next()? {
            let class = file.field(label)?;
            let position = classes.get(class).copied().ok_or_else(|| {
                let mut known: Vec<_> = classes.iter().collect();
                known.sort_by_key(|&(_, position)| position);
                let known: Vec<_> = known
                    .into_iter()
                    .map(|(name, _)| name.to_string())
                    .collect();
                let expected = format!("one of the classes {}", quoted(&known));
                file.error(Some(label), expected, quote(class))
            })?;
            labels.push(position as usize);
            for column in &mut columns {
                column.read(&file, config)?;
            }
        }
        if labels.is_empty() {
            let expected = "rows below the names of the columns";
            return Err(file.error(None, expected, "the end of the file"));
        }
        Ok(Self {
            columns: columns.into_iter().map(|column| column.values).collect(),
            labels,
        })
    }
}

fn positions(names: &[String]) -> HashMap<&str, u32> {
    names.iter().map(String::as_str).zip(0..).collect()
}

/// Appends the features of a row, given the values of the columns of its encoding.
///
/// # Panics
///
/// Panics if the columns are not those of the encoding, or if there is no such row.
pub(super) fn encode(
    encoding: &TableEncoding,
    columns: &[Values],
    row: usize,
    features: &mut Vec<f32>,
) {
    for (column, values) in encoding.columns.iter().zip(columns) {
        match (column, values) {
            (
                ColumnEncoding::Numeric {
                    mean,
                    std,
                    missing_indicator,
                    ..
                },
                Values::Numbers(numbers),
            ) => {
                let number = numbers[row];
                let is_missing = number.is_nan();
                features.push(match is_missing {
                    true => 0.0,
                    false => ((number - mean) / std) as f32,
                });
                if *missing_indicator {
                    features.push(f32::from(u8::from(is_missing)));
                }
            }
            (ColumnEncoding::Categorical { categories, .. }, Values::Categories(codes)) => {
                let code = codes[row];
                let one_hot = (0..categories.len() as u32).map(|place| place == code);
                features.extend(one_hot.map(|is_one| f32::from(u8::from(is_one))));
            }
            _ => unreachable!("the encoding is of these columns"),
        }
    }
}

/// A column that is read.
pub(super) struct Reading<'a> {
    place: usize,
    categories: HashMap<&'a str, u32>,
    pub values: Values,
}

impl<'a> Reading<'a> {
    /// Creates a column without values, at a position in the file, for about this number of rows.
    pub fn new(place: usize, column: &'a ColumnEncoding, rows: usize) -> Self {
        let (categories, values) = match column {
            ColumnEncoding::Numeric { .. } => {
                (HashMap::new(), Values::Numbers(Vec::with_capacity(rows)))
            }
            ColumnEncoding::Categorical { categories, .. } => (
                positions(categories),
                Values::Categories(Vec::with_capacity(rows)),
            ),
        };
        Self {
            place,
            categories,
            values,
        }
    }

    /// Appends the value in the current row of the file.
    ///
    /// # Errors
    ///
    /// Returns an error about the line and the column if the value is not one of the column.
    pub fn read(&mut self, file: &TableFile, config: &CsvConfig) -> Result<(), DataError> {
        let field = file.field(self.place)?;
        let is_missing = config.is_missing(field);
        match &mut self.values {
            Values::Numbers(numbers) if is_missing => numbers.push(f64::NAN),
            Values::Numbers(numbers) => {
                let number = number(field);
                let number =
                    number.map_err(|what| file.error(Some(self.place), what, quote(field)));
                numbers.push(number?);
            }
            Values::Categories(codes) => {
                let category = if is_missing { "" } else { field };
                let code = match self.categories.get(category) {
                    Some(&code) => code,
                    None if config.unknown_categories == UnknownCategories::Zeros => UNKNOWN,
                    None => {
                        let mut known: Vec<_> = self
                            .categories
                            .keys()
                            .map(|name| name.to_string())
                            .collect();
                        known.sort();
                        let expected = format!(
                            "one of the categories {}, or `unknown_categories = \"zeros\"`",
                            quoted(&known)
                        );
                        let found = if is_missing {
                            "no value".into()
                        } else {
                            quote(field)
                        };
                        return Err(file.error(Some(self.place), expected, found));
                    }
                };
                codes.push(code);
            }
        }
        Ok(())
    }
}
