use super::config::{CsvConfig, file_name};
use super::encoding::{ColumnEncoding, TableEncoding, moments};
use super::infer::infer;
use super::names::quote;
use super::rows::{Rows, Values, encode};
use crate::{DataError, Samples, TrainTestData, ViewedSample, Views};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::Check;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Rows of a table as samples, whose columns are encoded when batches are prepared.
///
/// The encoding of a loaded table is measured on all of its rows. [`measured`](Self::measured)
/// measures another one, usually on the training part alone:
///
/// ```
/// use burn_distill_data::{CsvConfig, Samples};
///
/// let folder = tempfile::tempdir()?;
/// let csv = folder.path().join("pets.csv");
/// std::fs::write(&csv, "weight,kind\n4.1,cat\n30,dog\n5.5,cat\n22,dog\n")?;
///
/// let pets = CsvConfig::new(&csv, "kind").load()?.train;
/// let (train, test) = pets.split(0.5, 0)?;
/// let encoding = train.measured()?;
/// let (train, test) = (train.with_encoding(encoding.clone()), test.with_encoding(encoding));
///
/// assert_eq!((train.len(), test.len()), (2, 2));
/// assert_eq!(test.classes(), ["cat", "dog"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A number takes eight bytes in memory, and a category four.
#[derive(Clone)]
pub struct TableDataset {
    data: Arc<TableData>,
    encoding: Arc<TableEncoding>,
    ids: Arc<[usize]>,
}

struct TableData {
    name: String,
    classes: Vec<String>,
    rows: Rows,
}

impl CsvConfig {
    /// Loads the table, and that of the test set if there is one.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Config`] if the configuration is invalid, [`DataError::Io`] if a file
    /// cannot be read, [`DataError::Cell`] with the line and the column of the first fault, such as
    /// a row that is too short, and [`DataError::Invalid`] if a column holds no values, too many
    /// categories, or a single class.
    pub fn load(&self) -> Result<TrainTestData<TableDataset>, DataError> {
        self.check()?;
        let schema = infer(self)?;
        let load = |path: &Path, rows: usize| {
            let rows = Rows::read(path, self, &schema.encoding, &schema.classes, rows)?;
            Ok::<_, DataError>(TableDataset {
                ids: (0..rows.labels.len()).collect(),
                encoding: Arc::new(schema.encoding.clone()),
                data: Arc::new(TableData {
                    name: file_name(path),
                    classes: schema.classes.clone(),
                    rows,
                }),
            })
        };
        let train = load(&self.csv, schema.rows)?;
        let test = self.test_csv.as_deref().map(|path| load(path, 0));
        let test = test.transpose()?;
        let encoding = train.measured()?;
        Ok(TrainTestData {
            validation: None,
            test: test.map(|test| test.with_encoding(encoding.clone())),
            train: train.with_encoding(encoding),
        })
    }
}

impl TableDataset {
    /// Returns the name of the file.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Returns the number of features of an encoded row.
    pub fn features(&self) -> usize {
        self.encoding.features()
    }

    /// Returns the names of the classes, including those without rows.
    pub fn classes(&self) -> &[String] {
        &self.data.classes
    }

    /// Returns the conversion of the columns to features.
    pub fn encoding(&self) -> &TableEncoding {
        &self.encoding
    }

    /// Returns the encoding with means and deviations that are measured on the rows of this part.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if a column of numbers has no values in these rows.
    pub fn measured(&self) -> Result<TableEncoding, DataError> {
        let mut encoding = TableEncoding::clone(&self.encoding);
        for (column, values) in encoding.columns.iter_mut().zip(&self.data.rows.columns) {
            let (
                ColumnEncoding::Numeric {
                    name, mean, std, ..
                },
                Values::Numbers(numbers),
            ) = (column, values)
            else {
                continue;
            };
            let of_part = self.ids.iter().map(|&id| numbers[id]);
            (*mean, *std) = moments(of_part).ok_or_else(|| {
                DataError::Invalid(format!(
                    "{}: column {} has no values in the {} training rows, so that its mean is \
                     unknown: list it in `ignore`",
                    self.name(),
                    quote(name),
                    self.len()
                ))
            })?;
        }
        Ok(encoding)
    }

    /// Returns the same rows with another encoding.
    ///
    /// # Panics
    ///
    /// Panics if the encoding is not one of the columns of this table.
    pub fn with_encoding(&self, encoding: TableEncoding) -> Self {
        assert!(
            encoding.has_columns_of(&self.encoding),
            "The encoding should be of the columns of {}.",
            self.name()
        );
        Self {
            encoding: Arc::new(encoding),
            ..self.clone()
        }
    }
}

impl Samples for TableDataset {
    type Input = Tensor<2>;
    type Prepared = TensorData;

    fn ids(&self) -> &[usize] {
        &self.ids
    }

    fn published_len(&self) -> usize {
        self.data.rows.labels.len()
    }

    fn num_classes(&self) -> usize {
        self.data.classes.len()
    }

    fn label(&self, id: usize) -> usize {
        self.data.rows.labels[id]
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        let ids = ids.into();
        let rows = self.published_len();
        if let Some(id) = ids.iter().find(|&&id| id >= rows) {
            panic!("{} has {rows} rows, but none with id {id}.", self.name());
        }
        Self {
            ids,
            ..self.clone()
        }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        views.check_plain(self.name(), "rows of a table")
    }

    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        _: &Views,
    ) -> Result<Vec<TensorData>, DataError> {
        let features = self.features();
        let view = |shown: &Vec<ViewedSample>| {
            let mut values = Vec::with_capacity(shown.len() * features);
            for sample in shown {
                encode(
                    &self.encoding,
                    &self.data.rows.columns,
                    sample.id,
                    &mut values,
                );
            }
            TensorData::new(values, [shown.len(), features])
        };
        Ok(shown.iter().map(view).collect())
    }

    fn upload(&self, prepared: TensorData, device: &Device) -> Tensor<2> {
        Tensor::from_data(prepared, device)
    }

    /// Passes the contents of the file, which do not depend on the measured means and deviations.
    fn layout(&self) -> String {
        let columns = self.encoding.columns.iter();
        let columns: Vec<_> = columns.map(ColumnEncoding::without_moments).collect();
        format!("table of {columns:?}:")
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        for values in &self.data.rows.columns {
            match values {
                Values::Numbers(numbers) => sink(&numbers[id].to_le_bytes()),
                Values::Categories(codes) => sink(&codes[id].to_le_bytes()),
            }
        }
    }
}

impl fmt::Debug for TableDataset {
    // Without the values, of which there may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableDataset")
            .field("name", &self.name())
            .field("features", &self.features())
            .field("classes", &self.data.classes.len())
            .field("rows", &self.len())
            .finish_non_exhaustive()
    }
}
