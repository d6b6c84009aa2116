use super::*;
use crate::{BatchLoader, DataError, Samples, ViewKey, ViewedSample, Views};
use burn::data::dataloader::DataLoader;
use burn_distill_core::Check;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Six animals with every kind of column.
const PETS: &str = "\
id,weight,color,legs,kind
1,4.5,black,4,cat
2,,white,4,cat
3,0.1,,2,bird
4, 30 ,\"black, white\",4,dog
5,25.4,black,4,dog
6,NA,green,2,bird
";

fn config(folder: &TempDir, text: impl AsRef<[u8]>) -> CsvConfig {
    let path = folder.path().join("pets.csv");
    fs::write(&path, text).unwrap();
    CsvConfig {
        ignore: vec!["id".into()],
        ..CsvConfig::new(path, "kind")
    }
}

/// Loads a table with settings that differ from the defaults.
fn load_with(text: &str, change: impl FnOnce(&mut CsvConfig)) -> Result<TableDataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, text);
    change(&mut config);
    Ok(config.load()?.train)
}

fn pets() -> TableDataset {
    load_with(PETS, |_| {}).unwrap()
}

/// Returns the message of an error, from the name of the file.
fn refusal(text: &str, change: impl FnOnce(&mut CsvConfig)) -> String {
    let message = load_with(text, change).unwrap_err().to_string();
    message[message.find("pets.csv").expect("the file is named")..].to_string()
}

/// Returns the encoded rows.
fn rows(table: &TableDataset) -> Vec<Vec<f32>> {
    let key = ViewKey {
        seed: 0,
        id: 0,
        epoch: 1,
        view: 0,
        repetition: 0,
    };
    let shown = table.ids().iter().map(|&id| ViewedSample { id, key });
    let views = table
        .prepare(&[shown.collect()], &Views::default())
        .unwrap();
    let values: Vec<f32> = views[0].iter().collect();
    values
        .chunks(table.features())
        .map(<[f32]>::to_vec)
        .collect()
}

#[test]
fn columns_are_inferred_and_encoded() {
    let pets = pets();

    assert_eq!(pets.classes(), ["bird", "cat", "dog"]);
    assert_eq!(pets.labels(), [1, 1, 0, 2, 2, 0]);
    let [weight, color, legs] = &pets.encoding().columns[..] else {
        panic!("three columns are inputs");
    };
    // Of 4.5, 0.1, 30 and 25.4, and of 4, 4, 2, 4, 4, 2.
    let ColumnEncoding::Numeric { mean, std, .. } = weight else {
        panic!("the weight is a number");
    };
    assert!((mean - 15.0).abs() < 1e-12);
    let squares: f64 = [10.5_f64, 14.9, 15.0, 10.4].iter().map(|x| x * x).sum();
    assert!((std - (squares / 4.0).sqrt()).abs() < 1e-12);
    let categories = ["", "black", "black, white", "green", "white"];
    assert_eq!(
        color,
        &ColumnEncoding::Categorical {
            name: "color".into(),
            categories: categories.map(String::from).to_vec(),
        }
    );
    assert_eq!(legs.features(), 1);

    let rows = rows(&pets);
    assert_eq!(rows[2][1..6], [1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(rows[3][1..6], [0.0, 0.0, 1.0, 0.0, 0.0]);
    // A missing weight is the mean.
    assert_eq!([rows[1][0], rows[5][0]], [0.0, 0.0]);
    assert!((f64::from(rows[3][0]) - 15.0 / std).abs() < 1e-6);
    let expected = (4.0 - 10.0 / 3.0) / (8.0_f64 / 9.0).sqrt();
    assert!((f64::from(rows[0][6]) - expected).abs() < 1e-6);
}

#[test]
fn missing_numbers_get_a_feature_of_their_own_on_request() {
    let pets = load_with(PETS, |config| config.missing_indicators = true).unwrap();

    assert_eq!(pets.features(), 1 + 1 + 5 + 1);
    let marked: Vec<_> = rows(&pets).iter().map(|row| row[1]).collect();
    assert_eq!(marked, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn other_marks_of_missing_values_can_be_given() {
    let text = PETS.replace("NA", "?");
    let error = refusal(&text, |config| config.numeric = vec!["weight".into()]);
    assert_eq!(
        error,
        "pets.csv: line 7, column `weight`: expected a number, found `?`"
    );

    let read = load_with(&text, |config| config.missing = vec!["?".into()]).unwrap();
    assert_eq!(rows(&read), rows(&pets()));
}

#[test]
fn the_encoding_is_measured_on_the_training_part_only() {
    let pets = pets();
    let train = pets.subset([0, 1, 2]);
    let encoding = train.measured().unwrap();
    let ColumnEncoding::Numeric { mean, std, .. } = &encoding.columns[0] else {
        panic!("the weight is a number");
    };
    // Of 4.5 and 0.1.
    assert!((mean - 2.3).abs() < 1e-12 && (std - 2.2).abs() < 1e-12);
    // 2, 4, 4 and all categories, also those of other rows.
    assert_eq!(encoding.features(), pets.features());

    let dog = pets.with_encoding(encoding).subset([3]);
    assert!((rows(&dog)[0][0] - (30.0 - 2.3) / 2.2).abs() < 1e-5);
    assert_eq!(rows(&dog)[0][3], 1.0);

    let error = pets.subset([1, 5]).measured().unwrap_err().to_string();
    assert_eq!(
        error,
        "pets.csv: column `weight` has no values in the 2 training rows, so that its mean is \
         unknown: list it in `ignore`"
    );
}

#[test]
#[should_panic(expected = "The encoding should be of the columns of pets.csv.")]
fn an_encoding_of_other_categories_is_refused() {
    let other = load_with(&PETS.replace("green", "gray"), |_| {}).unwrap();
    pets().with_encoding(other.encoding().clone());
}

#[test]
fn constant_columns_become_0() {
    let text = "a,b,kind\n0.1,7,x\n0.1,7,y\n0.1,7,x\n";
    let table = load_with(text, |config| config.ignore.clear()).unwrap();
    assert!(rows(&table).concat().iter().all(|value| value.abs() < 1e-6));
}

#[test]
fn large_numbers_keep_their_differences() {
    // Seconds, which single precision cannot tell apart.
    let text = "time,kind\n1700000000,x\n1700000001,y\n1700000002,x\n";
    let table = load_with(text, |config| config.ignore.clear()).unwrap();
    let step = 1.5_f32.sqrt();
    for (row, expected) in rows(&table).concat().iter().zip([-step, 0.0, step]) {
        assert!((row - expected).abs() < 1e-6, "{row}");
    }
}

#[test]
fn a_test_set_has_the_columns_in_any_order_and_the_encoding_of_the_training_set() {
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test.csv");
    fs::write(&test, "kind,legs,weight,color,note\ndog,4,15,green,x\n").unwrap();
    let mut config = config(&folder, PETS);
    config.test_csv = Some(test.clone());

    let loaded = config.load().unwrap();
    let test_set = loaded.test.unwrap();
    assert_eq!(test_set.labels(), [2]);
    assert_eq!(test_set.encoding(), loaded.train.encoding());
    assert_eq!(rows(&test_set)[0][..6], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    let mut refusal = |text: &str, unknown: UnknownCategories| {
        fs::write(&test, text).unwrap();
        config.unknown_categories = unknown;
        let loaded = config.load().map(|loaded| rows(&loaded.test.unwrap()));
        loaded.map_err(|error| {
            error
                .to_string()
                .split_off(folder.path().display().to_string().len())
        })
    };
    let red = "kind,legs,weight,color\ndog,4,15,black\ndog,4,15,red\n";
    assert_eq!(
        refusal(red, UnknownCategories::Refuse).unwrap_err(),
        "/test.csv: line 3, column `color`: expected one of the categories ``, `black`, `black, \
         white`, `green`, `white`, or `unknown_categories = \"zeros\"`, found `red`"
    );
    let rows = refusal(red, UnknownCategories::Zeros).unwrap();
    assert_eq!(rows[1][1..6], [0.0; 5]);
    assert_eq!(
        refusal(
            "kind,legs,weight,color\ncow,4,15,black\n",
            UnknownCategories::Refuse
        )
        .unwrap_err(),
        "/test.csv: line 2, column `kind`: expected one of the classes `bird`, `cat`, `dog`, found \
         `cow`"
    );
    assert_eq!(
        refusal("kind,legs,color\ncow,4,black\n", UnknownCategories::Refuse).unwrap_err(),
        "/test.csv: line 1: expected the column `weight` (a column of `csv`), found the columns \
         `kind`, `legs`, `color`"
    );
}

#[test]
fn classes_are_sorted_by_value_or_given() {
    let text = "x,kind\n1,10\n2,9\n3,10\n";
    let of = |classes: Option<&[&str]>| {
        load_with(text, |config| {
            config.ignore.clear();
            config.classes = classes.map(|names| names.iter().copied().map(String::from).collect());
        })
    };
    assert_eq!(of(None).unwrap().classes(), ["9", "10"]);
    let given = of(Some(&["10", "11", "9"])).unwrap();
    assert_eq!((given.num_classes(), given.labels()), (3, vec![0, 2, 0]));
    let error = of(Some(&["9", "11"])).unwrap_err().to_string();
    assert!(
        error.ends_with("line 2, column `kind`: expected one of the classes `9`, `11`, found `10`"),
        "{error}"
    );
}

#[test]
fn other_delimiters_and_quotes_are_read() {
    let text = PETS
        .replace("\"black, white\"", "'black; white'")
        .replace(',', ";");
    let pets = load_with(&text, |config| {
        (config.delimiter, config.quote) = (';', '\'')
    })
    .unwrap();
    assert_eq!(pets.features(), 7);
    let tabs = PETS.replace("\"black, white\"", "gray").replace(',', "\t");
    let pets = load_with(&tabs, |config| config.delimiter = '\t').unwrap();
    assert_eq!(pets.features(), 7);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read() {
    let text = format!("\u{feff}{}", PETS.replace('\n', "\r\n"));
    assert_eq!(rows(&load_with(&text, |_| {}).unwrap()), rows(&pets()));
}

#[test]
fn numbers_declared_as_categories_are_encoded_as_such() {
    let pets = load_with(PETS, |config| config.categorical = vec!["legs".into()]).unwrap();
    assert_eq!(
        pets.encoding().columns[2],
        ColumnEncoding::Categorical {
            name: "legs".into(),
            categories: vec!["2".into(), "4".into()],
        }
    );
}

#[test]
fn faults_are_named_with_line_and_column() {
    let plain = |text: &str| refusal(text, |config| config.ignore.clear());

    assert_eq!(
        refusal(PETS, |config| config.label = "kin".into()),
        "pets.csv: line 1: expected the column `kin` (label), found the columns `id`, `weight`, \
         `color`, `legs`, `kind`, did you mean `kind`?"
    );
    assert!(
        refusal(PETS, |config| config.numeric = vec!["size".into()])
            .starts_with("pets.csv: line 1: expected the column `size` (numeric)")
    );
    assert_eq!(
        plain("a,kind\n1,x\n2\n"),
        "pets.csv: line 3: expected 2 fields, as in the first line, found 1"
    );
    assert_eq!(
        plain("a,kind\n1,x\n\n\n2,y,z\n"),
        "pets.csv: line 5: expected 2 fields, as in the first line, found 3"
    );
    assert_eq!(
        plain("a,kind\n\"1\n\",x\n2,y,z\n"),
        "pets.csv: line 4: expected 2 fields, as in the first line, found 3"
    );
    assert_eq!(
        plain("a,kind\n1,x\n2,\n"),
        "pets.csv: line 3, column `kind`: expected a class, found an empty field"
    );
    assert_eq!(
        plain("a,kind\n1,x\n2,NA\n"),
        "pets.csv: line 3, column `kind`: expected a class: remove the row, or list all classes in \
         `classes`, found `NA`, which marks a missing value"
    );
    assert_eq!(
        plain("a,kind\n1,x\n2,\"y\n3,x\n4,y\n"),
        "pets.csv: line 3: expected a second quotation mark, which ends the field, found the end of \
         the file"
    );
    assert_eq!(
        plain("a,kind\n1,x\n1e40,y\n"),
        "pets.csv: line 3, column `a`: expected a finite number, below 3.4e38, found `1e40`"
    );
    assert_eq!(
        plain("a,kind\n1,x\n-inf,y\n"),
        "pets.csv: line 3, column `a`: expected a finite number, below 3.4e38, found `-inf`"
    );
    assert_eq!(
        plain("a,b,kind\n,1,x\nNA,2,y\n"),
        "pets.csv: column `a` should hold values, but all are missing: list it in `ignore`"
    );
    assert_eq!(
        plain("a,kind\n1,x\n2,x\n"),
        "pets.csv: column `kind` should hold two classes or more, but all rows are of `x`"
    );
    assert_eq!(
        plain("a,kind\n"),
        "pets.csv: line 1: expected rows below the names of the columns, found the end of the file"
    );
    assert_eq!(
        plain(""),
        "pets.csv: line 1: expected a line with the names of the columns, found an empty file"
    );
    assert_eq!(
        plain("1,2.5\n3,4\n"),
        "pets.csv: line 1: expected a line with the names of the columns, found numbers only: `1`, \
         `2.5`"
    );
    assert_eq!(
        plain("a,a,kind\n1,2,x\n"),
        "pets.csv: line 1: expected different names of the columns, found `a` twice"
    );
    assert_eq!(
        plain(",a,kind\n1,2,x\n"),
        "pets.csv: line 1: expected a name for each column, or \"\" in `ignore`, found no name of \
         column 1"
    );
    assert!(
        plain("kind\nx\ny\n")
            .contains("expected a column beside the label, found the columns `kind`")
    );
    let unnamed = load_with(",a,kind\n0,2,x\n1,3,y\n", |config| {
        config.ignore = vec![String::new()]
    });
    assert_eq!(unnamed.unwrap().features(), 1);
}

#[test]
fn bytes_that_are_not_utf_8_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |text: &[u8]| {
        let mut config = config(&folder, text);
        config.ignore.clear();
        config.load().unwrap_err().to_string()
    };
    let error = refusal(b"a,kind\n1,x\n2,caf\xe9\n");
    assert!(
        error.ends_with(
            "pets.csv: line 3, column `kind`: expected text in UTF-8, found the byte 0xe9"
        ),
        "{error}"
    );
    // UTF-16, as a spreadsheet may write it.
    let error = refusal(b"\xff\xfea\x00,\x00");
    assert!(
        error.ends_with("line 1, column 1: expected text in UTF-8, found the byte 0xff"),
        "{error}"
    );
}

#[test]
fn a_text_among_many_numbers_is_named() {
    let rows = (0..200).map(|row| format!("{row},{}\n", ["x", "y"][row % 2]));
    let text = format!("a,kind\n{}12 kg,x\n", rows.collect::<String>());
    assert_eq!(
        refusal(&text, |config| config.ignore.clear()),
        "pets.csv: column `a` has more than 100 categories, because line 202 holds `12 kg`, which \
         is not a number: correct it, list it in `missing`, or list the column in `categorical` or \
         `ignore`"
    );
    let declared = load_with(&text, |config| {
        config.ignore.clear();
        config.categorical = vec!["a".into()];
    });
    assert_eq!(declared.unwrap().features(), 201);

    let text = format!(
        "b,a\n{}",
        (0..200)
            .map(|row| format!("{row},n{row}\n"))
            .collect::<String>()
    );
    let error = refusal(&text, |config| {
        config.ignore.clear();
        config.label = "a".into();
    });
    assert!(
        error.starts_with("pets.csv: column `a` should hold at most 100 classes, but holds more"),
        "{error}"
    );
}

/// Tables that were appended to one another hold the header once more, far from the beginning.
#[test]
fn thousands_of_columns_that_turn_into_categories_late_are_read() {
    let row = |field: &str| format!("{},a\n", vec![field; 3000].join(","));
    let names: Vec<_> = (0..3000).map(|number| format!("c{number}")).collect();
    let header = format!("{},kind\n", names.join(","));
    let text = [
        header.as_str(),
        row("1").repeat(100).as_str(),
        row("x").replace(",a\n", ",b\n").as_str(),
    ]
    .concat();

    let table = load_with(&text, |config| config.ignore.clear()).unwrap();

    assert_eq!(table.features(), 6000);
}

#[test]
fn the_checksum_depends_on_the_values_and_not_on_the_encoding() {
    let sum = |table: &TableDataset| {
        let mut bytes = Vec::new();
        table.feed(&mut |part| bytes.extend_from_slice(part));
        bytes
    };
    let pets = pets();
    let encoding = pets.subset([0, 2]).measured().unwrap();
    assert_eq!(sum(&pets.with_encoding(encoding)), sum(&pets));
    let other = load_with(&PETS.replace("25.4", "25.5"), |_| {}).unwrap();
    assert_ne!(sum(&other), sum(&pets));
    let other = load_with(&PETS.replace("green", "grass"), |_| {}).unwrap();
    assert_ne!(sum(&other), sum(&pets));
}

#[test]
fn a_table_is_batched_and_not_augmented() {
    let pets = pets();
    let views = Views {
        augmentation: crate::Augmentation {
            flip: true,
            ..Default::default()
        },
        ..Views::default()
    };
    let error = pets.check_views(&views).unwrap_err().to_string();
    assert!(
        error.contains("the samples of pets.csv are rows of a table"),
        "{error}"
    );

    let loader = BatchLoader::new(pets, 4);
    let batch = loader.iter().next().unwrap().unwrap();
    assert_eq!(batch.view().dims(), [4, 7]);
    assert_eq!(batch.ids[..], [0, 1, 2, 3]);
}

#[test]
fn invalid_settings_are_refused_before_the_file_is_read() {
    let config = CsvConfig {
        numeric: vec!["kind".into()],
        ..CsvConfig::new("nowhere.csv", "kind")
    };
    assert_eq!(
        config.load().unwrap_err().to_string(),
        config.check().unwrap_err().to_string()
    );
    let error = CsvConfig::new("nowhere.csv", "kind").load().unwrap_err();
    assert!(error.to_string().starts_with("nowhere.csv: "));
}

fn read(path: &Path, text: &[u8]) -> Result<TableDataset, DataError> {
    fs::write(path, text).unwrap();
    let config = CsvConfig {
        unknown_categories: UnknownCategories::Zeros,
        test_csv: Some(path.into()),
        ..CsvConfig::new(path, "kind")
    };
    Ok(config.load()?.train)
}

proptest! {
    #[test]
    fn tables_are_read_as_they_are_written(
        numbers in prop::collection::vec(prop::option::of(-1e6..1e6_f64), 2..20),
        names in prop::collection::vec("[a-c ,\"\n]{0,3}", 20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut writer = csv::Writer::from_path(&path).unwrap();
        writer.write_record(["n", "name", "kind"]).unwrap();
        for (place, (number, name)) in numbers.iter().zip(&names).enumerate() {
            let number = number.map(|number| number.to_string()).unwrap_or_default();
            let kind = ["x", "y"][place % 2];
            writer.write_record([number.as_str(), &format!("n{name}"), kind]).unwrap();
        }
        drop(writer);
        let table = CsvConfig::new(&path, "kind").load();
        if numbers.iter().all(Option::is_none) {
            prop_assert!(table.is_err());
            return Ok(());
        }
        let table = table.unwrap().train;
        let (mean, std) = encoding::moments(numbers.iter().map(|n| n.unwrap_or(f64::NAN))).unwrap();
        let ColumnEncoding::Categorical { categories, .. } = &table.encoding().columns[1] else {
            panic!("names are categories");
        };
        for ((row, number), name) in rows(&table).iter().zip(&numbers).zip(&names) {
            let expected = number.map_or(0.0, |number| ((number - mean) / std) as f32);
            prop_assert!((row[0] - expected).abs() < 1e-4);
            let place = row[1..].iter().position(|&value| value == 1.0).unwrap();
            let name = format!("n{name}");
            prop_assert_eq!(&categories[place], name.trim_matches([' ', '\n']));
            prop_assert_eq!(row[1..].iter().sum::<f32>(), 1.0);
        }
    }

    #[test]
    fn damaged_tables_are_read_or_refused(
        length in 0..PETS.len() + 1,
        flips in prop::collection::vec(0..PETS.len() * 8, 0..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut text = PETS.as_bytes()[..length].to_vec();
        for bit in flips {
            if let Some(byte) = text.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        if let Ok(table) = read(&folder.path().join("a.csv"), &text) {
            let rows = rows(&table);
            prop_assert!(rows.concat().iter().all(|value| value.is_finite()));
            // Rows are not longer than the file, nor are there more of them.
            prop_assert!(rows.len() <= text.len() && table.features() <= text.len());
        }
    }

    #[test]
    fn foreign_files_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let _ = read(&folder.path().join("a.csv"), &text);
        let text = [&b"kind,a\n"[..], &text[..]].concat();
        let _ = read(&folder.path().join("a.csv"), &text);
    }
}
