use super::config::{CsvConfig, UnknownCategories};
use super::encoding::TableEncoding;
use super::file::TableFile;
use super::names::{quote, quoted};
use super::rows::{Reading, Values, encode};
use crate::DataError;
use burn_distill_core::Check;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// Conversion of the rows of CSV files to the input of a trained network.
///
/// A file has the columns of the encoding, in any order, and may have that of the label and those in
/// `ignore`, which are not read.
///
/// ```
/// use burn_distill_data::{CsvConfig, TableReader};
///
/// let folder = tempfile::tempdir()?;
/// let (csv, new) = (folder.path().join("pets.csv"), folder.path().join("new.csv"));
/// std::fs::write(&csv, "weight,kind\n4,cat\n20,dog\n4,cat\n20,dog\n")?;
/// std::fs::write(&new, "weight\n12\n28\n")?;
///
/// let config = CsvConfig::new(&csv, "kind");
/// let encoding = config.load()?.train.measured()?;
/// let reader = TableReader::new(encoding).with_format_of(&config);
///
/// // The mean of the training rows is 12, and their deviation 8.
/// assert_eq!(reader.read(&new)?.features(0..2), [0.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableReader {
    /// Conversion of the columns to features.
    pub encoding: TableEncoding,
    /// Name of the column with the classes, which a file may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Columns that a file may have and that are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Marks of a missing value, beside an empty field, `NA` and `nan`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Treatment of categories that the encoding does not have.
    #[serde(default)]
    pub unknown_categories: UnknownCategories,
    /// Character between the fields, in ASCII.
    #[serde(default = "delimiter")]
    pub delimiter: char,
    /// Character around fields with a delimiter or a line break, in ASCII.
    #[serde(default = "quotation_mark")]
    pub quote: char,
}

fn delimiter() -> char {
    CsvConfig::new("", "").delimiter
}

fn quotation_mark() -> char {
    CsvConfig::new("", "").quote
}

impl TableReader {
    /// Creates a reader of files with commas between the fields, and without a label.
    pub fn new(encoding: TableEncoding) -> Self {
        Self {
            encoding,
            label: None,
            ignore: Vec::new(),
            missing: Vec::new(),
            unknown_categories: UnknownCategories::default(),
            delimiter: delimiter(),
            quote: quotation_mark(),
        }
    }

    /// Sets the format of the files to that of a table, including the name of its label.
    pub fn with_format_of(self, table: &CsvConfig) -> Self {
        Self {
            encoding: self.encoding,
            label: Some(table.label.clone()),
            ignore: table.ignore.clone(),
            missing: table.missing.clone(),
            unknown_categories: table.unknown_categories,
            delimiter: table.delimiter,
            quote: table.quote,
        }
    }

    /// Returns a table of the same format, without its columns.
    fn config(&self, path: &Path) -> CsvConfig {
        CsvConfig {
            ignore: self.ignore.clone(),
            missing: self.missing.clone(),
            unknown_categories: self.unknown_categories,
            delimiter: self.delimiter,
            quote: self.quote,
            ..CsvConfig::new(path, self.label.clone().unwrap_or_default())
        }
    }

    /// Reads the rows of a file.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Config`] if the format is invalid, [`DataError::Io`] if the file cannot be
    /// read, and [`DataError::Cell`] with the line and the column of the first fault: a column of the
    /// encoding is missing, there is a column of another name, or a value is not one of its column.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<TableRows, DataError> {
        let path = path.as_ref();
        let config = self.config(path);
        // A column may be ignored twice, since it is not read.
        let format = CsvConfig {
            ignore: Vec::new(),
            ..config.clone()
        };
        format.check()?;
        let mut file = TableFile::open(path, &config)?;
        self.check_names(&file)?;
        let columns = self.encoding.columns.iter().map(|column| {
            let place = file.column(column.name(), "an input of the network")?;
            Ok(Reading::new(place, column, 0))
        });
        let mut columns = columns.collect::<Result<Vec<_>, DataError>>()?;
        let mut rows = 0;
        while file.next()? {
            for column in &mut columns {
                column.read(&file, &config)?;
            }
            rows += 1;
        }
        if rows == 0 {
            let expected = "rows below the names of the columns";
            return Err(file.error(None, expected, "the end of the file"));
        }
        Ok(TableRows {
            columns: columns.into_iter().map(|column| column.values).collect(),
            encoding: self.encoding.clone(),
            rows,
        })
    }

    /// Checks that a file has no columns of other names: one that is spelled otherwise, or that the
    /// training did not have, would be left out without a word.
    fn check_names(&self, file: &TableFile) -> Result<(), DataError> {
        let inputs: Vec<_> = self
            .encoding
            .columns
            .iter()
            .map(|column| column.name())
            .collect();
        let is_known = |name: &String| {
            inputs.contains(&name.as_str())
                || self.label.as_ref() == Some(name)
                || self.ignore.contains(name)
        };
        let missing = inputs
            .iter()
            .any(|input| file.header().iter().all(|name| name != input));
        let Some(place) = file.header().iter().position(|name| !is_known(name)) else {
            return Ok(());
        };
        // A missing column is the worse fault, and its error lists the others.
        if missing {
            return Ok(());
        }
        let inputs: Vec<_> = inputs.iter().map(|name| name.to_string()).collect();
        let label = self.label.as_ref();
        let label = label.map(|label| format!(", and the label {} or not", quote(label)));
        let expected = format!(
            "only the columns {}{}: leave the column out, or ignore it",
            quoted(&inputs),
            label.unwrap_or_default()
        );
        Err(file.error(Some(place), expected, "a column of another name"))
    }
}

/// Rows of a table without labels, as a [`TableReader`] reads them.
///
/// A number takes eight bytes in memory, and a category four.
pub struct TableRows {
    encoding: TableEncoding,
    columns: Vec<Values>,
    rows: usize,
}

impl TableRows {
    /// Returns the number of rows, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one row")]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns the features of some rows, one row after the other.
    ///
    /// # Panics
    ///
    /// Panics if a row is not below [`len`](Self::len).
    pub fn features(&self, rows: Range<usize>) -> Vec<f32> {
        let mut features = Vec::with_capacity(rows.len() * self.encoding.features());
        for row in rows {
            encode(&self.encoding, &self.columns, row, &mut features);
        }
        features
    }
}

impl fmt::Debug for TableRows {
    // Without the values, of which there may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableRows")
            .field("features", &self.encoding.features())
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnEncoding, Samples};
    use std::fs;
    use tempfile::TempDir;

    const PETS: &str =
        "id,weight,color,kind\n1,4,black,cat\n2,,white,cat\n3,8,black,dog\n4,?,,dog\n";

    fn reader(folder: &TempDir) -> (CsvConfig, TableReader) {
        let csv = folder.path().join("pets.csv");
        fs::write(&csv, PETS).unwrap();
        let config = CsvConfig {
            ignore: vec!["id".into()],
            missing: vec!["?".into()],
            missing_indicators: true,
            ..CsvConfig::new(csv, "kind")
        };
        let encoding = config.load().unwrap().train.measured().unwrap();
        let reader = TableReader::new(encoding).with_format_of(&config);
        (config, reader)
    }

    fn refusal(text: &str, change: impl FnOnce(&mut TableReader)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut reader) = reader(&folder);
        change(&mut reader);
        let path = folder.path().join("new.csv");
        fs::write(&path, text).unwrap();
        let message = reader.read(&path).unwrap_err().to_string();
        message[message.find("new.csv").expect("the file is named")..].to_string()
    }

    #[test]
    fn rows_have_the_features_of_the_training_with_and_without_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        let (_, reader) = reader(&folder);
        // The mean of 4 and 8 is 6, and their deviation 2; then: missing, "", black, white.
        let expected: [f32; 20] = [
            -1.0, 0.0, 0.0, 1.0, 0.0, //
            0.0, 1.0, 0.0, 0.0, 1.0, //
            1.0, 0.0, 0.0, 1.0, 0.0, //
            0.0, 1.0, 1.0, 0.0, 0.0,
        ];
        let other = "kind,color,weight\nnone,black,4\n,white,NA\n,black,8\n,?,?\n";
        let unlabeled = "color;weight\nblack;4\nwhite;\nblack;8\n;nan\n";
        for (text, delimiter) in [(PETS, ','), (other, ','), (unlabeled, ';')] {
            let path = folder.path().join("new.csv");
            fs::write(&path, text).unwrap();
            let reader = TableReader {
                delimiter,
                ..reader.clone()
            };
            let rows = reader.read(&path).unwrap();
            assert_eq!(rows.len(), 4);
            assert_eq!(rows.features(0..4), expected, "{text}");
            assert_eq!(rows.features(2..3), expected[10..15]);
        }
    }

    #[test]
    fn features_are_those_of_the_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let (config, reader) = reader(&folder);
        let table = config.load().unwrap().train;
        let rows = reader.read(&config.csv).unwrap();
        assert_eq!(rows.len(), table.len());
        assert_eq!(rows.features(0..1).len(), table.features());
    }

    #[test]
    fn columns_that_are_missing_or_of_other_names_are_named() {
        assert_eq!(
            refusal("wieght,color\n4,black\n", |_| {}),
            "new.csv: line 1: expected the column `weight` (an input of the network), found the \
             columns `wieght`, `color`, did you mean `wieght`?"
        );
        assert_eq!(
            refusal("weight,color,age\n4,black,1\n", |_| {}),
            "new.csv: line 1, column `age`: expected only the columns `weight`, `color`, and the \
             label `kind` or not: leave the column out, or ignore it, found a column of another name"
        );
        assert!(
            refusal("weight,color,kind\n4,black,cat\n", |reader| reader.label =
                None)
            .contains("line 1, column `kind`: expected only the columns `weight`, `color`:")
        );
    }

    #[test]
    fn values_that_are_none_of_their_column_are_named() {
        assert_eq!(
            refusal("weight,color\n4,black\nheavy,white\n", |_| {}),
            "new.csv: line 3, column `weight`: expected a number, found `heavy`"
        );
        let color = refusal("weight,color\n4,green\n", |_| {});
        assert!(
            color.starts_with("new.csv: line 2, column `color`: expected one of the categories"),
            "{color}"
        );
        assert!(refusal("weight,color\n", |_| {}).contains("expected rows below the names"),);
        let folder = tempfile::tempdir().unwrap();
        let (_, mut reader) = reader(&folder);
        reader.unknown_categories = UnknownCategories::Zeros;
        let path = folder.path().join("new.csv");
        fs::write(&path, "weight,color\n4,green\n").unwrap();
        let features = reader.read(path).unwrap().features(0..1);
        assert_eq!(features, [-1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_reader_is_the_same_once_it_was_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let (_, reader) = reader(&folder);
        let text = serde_json::to_string(&reader).unwrap();
        assert_eq!(serde_json::from_str::<TableReader>(&text).unwrap(), reader);

        let encoding = TableEncoding {
            columns: vec![ColumnEncoding::Numeric {
                name: "age".into(),
                mean: 0.0,
                std: 1.0,
                missing_indicator: false,
            }],
        };
        let short = serde_json::json!({ "encoding": encoding });
        let read: TableReader = serde_json::from_value(short).unwrap();
        assert_eq!(read, TableReader::new(encoding));
    }

    #[test]
    fn a_format_that_is_invalid_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (config, mut reader) = reader(&folder);
        reader.quote = reader.delimiter;
        let error = reader.read(config.csv).unwrap_err().to_string();
        assert!(error.starts_with("`quote` should be another"), "{error}");
    }
}
