use crate::input::{AnyInput, InputShape};
use crate::{DataRecipe, Registry};
use burn::data::dataloader::DataLoader;
use burn_distill::data::{BatchLoader, Samples};
use std::fs;

fn data(keys: &str) -> DataRecipe {
    keys.parse::<toml::Table>().unwrap().try_into().unwrap()
}

#[test]
fn the_bytes_of_files_are_tokens() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("c/a.c", "int a;"),
        ("rust/b.rs", "fn b() {}"),
        ("rust/c.rs", ""),
    ] {
        let path = folder.path().join("code").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = folder.path().join("code");
    let recipe = data(&format!(
        "bytes = '{}'\nfirst = 8\nlast = 4\nstrip = true",
        path.display()
    ));
    let spec = recipe.spec(&Registry::standard()).unwrap();
    let shape = InputShape::Tokens {
        length: 12,
        vocabulary: 257,
    };
    assert_eq!(spec.task.input, shape);
    assert_eq!(
        (recipe.source.name(), recipe.source.key()),
        ("code", "bytes")
    );

    let files = recipe.load(&Registry::standard()).unwrap().train;
    assert_eq!(files.classes(), ["c", "rust"]);
    assert_eq!(files.labels(), [0, 1]);
    assert!(files.measured().unwrap().is_none() && files.window().unwrap().strip);
    let batch = BatchLoader::new(files, 2).iter().next().unwrap().unwrap();
    let AnyInput::Tokens(tokens) = batch.view() else {
        panic!("bytes are tokens");
    };
    let ids: Vec<i64> = tokens.ids.to_data().iter().collect();
    let row = b"int a;".map(i64::from);
    assert_eq!(ids[..12], [&row[..], &[256, 256], &row[2..]].concat());
}

#[test]
fn files_are_written_as_they_are_read() {
    let recipe = data("bytes = 'code'\nmin_bytes = 8\nvalidation = 0.2");
    let written = toml::to_string(&recipe).unwrap();
    assert_eq!(data(&written), recipe);
    assert!(written.contains("first = 512\nlast = 512\n"), "{written}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let error = data("bytes = 'code'\nfirst = 0\nlast = 0").source.check();
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("`first` should be at least 1")
    );
}
