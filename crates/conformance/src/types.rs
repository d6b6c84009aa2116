use std::fs;
use std::path::{Path, PathBuf};

/// Asserts that this suite tests every public type of a crate: that it can cross threads, and that
/// a configuration survives JSON.
///
/// `part` is the name of the folder of the crate and of the folder of its tests.
///
/// # Panics
///
/// Panics if a type is not tested, or if fewer than `at_least` types are found: in that case the
/// search was in the wrong place.
pub fn assert_all_types_are_tested(part: &str, at_least: usize) {
    let rows = without_space(&texts(&rows_of(part)).concat());
    let sources = root().join(format!("../{part}/src"));
    let mut found = 0;
    for text in texts(&sources) {
        for line in text.lines() {
            let kinds = ["pub struct ", "pub enum "];
            let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else {
                continue;
            };
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap();
            let name = &rest[..end];
            let shared = [">()", "<"].map(|end| format!("assert_shareable::<{name}{end}"));
            assert!(
                shared.iter().any(|text| rows.contains(text)),
                "{name} is not tested: add `assert_shareable::<{name}>()` to the types of the suite"
            );
            if name.ends_with("Config") {
                assert!(
                    rows.contains(&format!("assert_round_trip(&{name}::new(")),
                    "{name} is not tested: add `assert_round_trip` of it to the types of the suite"
                );
            }
            found += 1;
        }
    }
    assert!(found >= at_least, "only {found} types are found");
}

/// Asserts that a part of this suite tests every loss of a catalog: in a file of its name, or in a
/// test whose name begins with it.
///
/// # Panics
///
/// Panics if a loss is not tested, or if the catalog is empty.
pub fn assert_all_losses_are_tested<'a>(part: &str, names: impl IntoIterator<Item = &'a str>) {
    let folder = rows_of(part);
    let rows = texts(&folder).concat();
    let mut count = 0;
    for name in names {
        let name = name.replace('-', "_");
        let file = folder.join(format!("{name}.rs"));
        assert!(
            file.exists() || rows.contains(&format!("#[test]\nfn {name}")),
            "{name} is not tested: add a file or a test of its name to the suite"
        );
        count += 1;
    }
    assert!(count > 0, "the catalog is empty");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows_of(part: &str) -> PathBuf {
    root().join("tests").join(part)
}

/// Returns the sources in a folder and in its subfolders.
fn texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => texts(&path),
            false => vec![fs::read_to_string(&path).unwrap()],
        })
        .collect()
}

/// Returns the text without white space, so that line breaks do not matter.
fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}
