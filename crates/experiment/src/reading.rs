//! Conversion of files to inputs, for the description of a model.

use super::provenance::Provenance;
use anyhow::Result;
use burn_distill::data::{ArrayReader, CsvConfig, TableReader};
use burn_distill::interchange::ModelDescription;
use burn_distill_recipe::{ArraysConfig, OwnData, SourceRecipe};
use serde::de::DeserializeOwned;

/// Writes to the description of a model how files become inputs as those of its training were: the
/// encoding of a table and the window of bytes as its weights record them, and the form of the files
/// as in the recipe.
///
/// # Errors
///
/// Returns an error if the source cannot be written as a table.
pub(super) fn describe_files(
    description: &mut ModelDescription,
    origin: &Provenance,
    source: &SourceRecipe,
) -> Result<()> {
    description.preprocessing = origin.preprocessing;
    description.window = origin.window;
    // A data set of a program may be a table too, of a form that is not known.
    let csv = options::<CsvConfig>(source)?;
    description.table = origin.encoding.clone().map(|encoding| {
        let reader = TableReader::new(encoding);
        match &csv {
            Some(csv) => reader.with_format_of(csv),
            None => reader,
        }
    });
    description.arrays = options::<ArraysConfig>(source)?.map(|arrays| ArrayReader {
        x_key: arrays.x_key,
        layout: arrays.layout,
        padding: arrays.padding,
    });
    Ok(())
}

/// Returns the options of own data, if it is of this kind.
fn options<D: OwnData + DeserializeOwned>(source: &SourceRecipe) -> Result<Option<D>> {
    if source.key() != D::KEY {
        return Ok(None);
    }
    let table = toml::Table::try_from(source)?;
    Ok(Some(table.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::super::provenance::tests::origin;
    use super::*;
    use burn::tensor::Device;
    use burn_distill::architecture::MlpConfig;
    use burn_distill::data::{ByteWindow, ColumnEncoding, ImageLayout, TableEncoding};
    use burn_distill_recipe::{DataRecipe, InputShape};

    fn described(keys: &str, change: fn(&mut Provenance)) -> ModelDescription {
        let recipe: toml::Table = keys.parse().unwrap();
        let recipe: DataRecipe = recipe.try_into().unwrap();
        let network = MlpConfig::new(vec![2], [1, 1, 1], 2).init_vector(&Device::flex());
        let (input, classes) = (InputShape::Vector([1]), vec!["a".into(), "b".into()]);
        let mut description = ModelDescription::new(&network, "mlp-2", input, classes, None);
        let mut origin = origin();
        change(&mut origin);
        describe_files(&mut description, &origin, &recipe.source).unwrap();
        description
    }

    #[test]
    fn the_form_of_a_table_is_that_of_the_recipe() {
        let with_encoding = |origin: &mut Provenance| {
            origin.encoding = Some(TableEncoding {
                columns: vec![ColumnEncoding::Numeric {
                    name: "age".into(),
                    mean: 40.0,
                    std: 10.0,
                    missing_indicator: false,
                }],
            });
        };
        let keys =
            "csv = 'a.csv'\nlabel = 'kind'\nignore = ['id']\nmissing = ['?']\ndelimiter = ';'";
        let table = described(keys, with_encoding).table.unwrap();
        assert_eq!(table.label.as_deref(), Some("kind"));
        assert_eq!(
            (table.ignore, table.missing),
            (vec!["id".into()], vec!["?".into()])
        );
        assert_eq!(table.delimiter, ';');
        assert_eq!(table.encoding.features(), 1);

        let of_program = described("name = 'mine'", with_encoding);
        assert_eq!(of_program.table.unwrap().label, None);
        assert_eq!(of_program.arrays, None);
    }

    #[test]
    fn arrays_and_bytes_are_described() {
        let keys = "arrays = 'a.npz'\nx_key = 'images'\nlayout = 'nhwc'";
        let arrays = described(keys, |_| {}).arrays.unwrap();
        assert_eq!(arrays.x_key.as_deref(), Some("images"));
        assert_eq!(arrays.layout, Some(ImageLayout::Nhwc));

        let bytes = described("bytes = 'files'", |origin| {
            origin.window = Some(ByteWindow::MAGIKA);
        });
        assert_eq!(bytes.window, Some(ByteWindow::MAGIKA));
        assert_eq!((bytes.table, bytes.arrays), (None, None));
    }
}
