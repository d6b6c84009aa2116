use crate::dataset::Measured;
use crate::input::InputShape;
use crate::{DataRecipe, Registry};
use burn_distill::data::Samples;
use std::fs;
use std::path::Path;

fn data(keys: &str) -> DataRecipe {
    keys.parse::<toml::Table>().unwrap().try_into().unwrap()
}

/// Writes a table and returns the keys of its data.
fn table(folder: &Path) -> String {
    let path = folder.join("pets.csv");
    let text = "weight,color,kind\n4,black,cat\n,white,cat\n10,black,dog\n30,brown,dog\n";
    fs::write(&path, text).unwrap();
    format!("csv = '{}'\nlabel = 'kind'\n", path.display())
}

#[test]
fn a_table_gives_vectors_that_are_normalized_by_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = data(&table(folder.path()));
    let spec = recipe.spec(&Registry::standard()).unwrap();
    assert_eq!(spec.task.input, InputShape::Vector([4]));
    assert_eq!((spec.task.classes, spec.samples), (2, 4));
    assert_eq!(
        (recipe.source.name(), recipe.source.key()),
        ("pets.csv", "csv")
    );

    let all = recipe.load(&Registry::standard()).unwrap().train;
    let part = all.subset([0, 2]);
    let Some(Measured::Columns(encoding)) = part.measured().unwrap() else {
        panic!("columns are measured");
    };
    assert_ne!(all.encoding(), Some(&encoding));
    let all = all.normalized_by(&Measured::Columns(encoding.clone()));
    assert_eq!(all.encoding(), Some(&encoding));
    let error = all.subset([1]).measured().unwrap_err().to_string();
    assert!(
        error.starts_with("pets.csv: column `weight` has no values"),
        "{error}"
    );
}

#[test]
fn a_table_is_written_as_it_is_read() {
    let keys = "csv = 'a.csv'\ntest_csv = 'b.csv'\nlabel = 'kind'\nnumeric = ['x']\n\
                missing = ['?']\ndelimiter = ';'\nunknown_categories = 'zeros'\ntest = 0.5";
    let recipe = data(keys);
    let written = toml::to_string(&recipe).unwrap();
    assert_eq!(data(&written), recipe);
    assert!(
        written.contains("unknown_categories = \"zeros\""),
        "{written}"
    );
}

#[test]
fn errors_name_the_key_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let keys = table(folder.path()).replace("'kind'", "'species'");
    let error = data(&keys).load(&Registry::standard()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with("data.csv: "), "{error}");
    assert!(
        error.contains("line 1: expected the column `species` (label)"),
        "{error}"
    );

    let invalid = data("csv = 'a.csv'\nlabel = 'kind'\nignore = ['kind']")
        .source
        .check();
    assert!(
        invalid
            .unwrap_err()
            .to_string()
            .starts_with("`ignore` should be a list without")
    );
}
