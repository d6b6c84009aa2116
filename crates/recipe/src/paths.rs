use crate::data::path_keys;
use std::cell::RefCell;
use std::path::{self, Path, PathBuf};
use toml::{Table, Value};

/// Keys of teachers whose values are paths.
const PATHS: [&str; 5] = ["classes", "file", "onnx", "only_classes", "weights"];

/// Makes the paths in a recipe absolute. Relative paths are relative to the folder.
///
/// A run can then be resumed from another folder, and a recipe can have paths of its file and of
/// the command line, which are relative to different folders.
pub fn make_absolute(recipe: &mut Table, folder: &Path) {
    for_each(recipe, &|path| {
        // An empty path stays empty and is refused later: joined, it would be the folder.
        match path.is_empty() {
            true => String::new(),
            false => absolute(&folder.join(path)).to_string_lossy().into_owned(),
        }
    });
}

/// Returns the text of a recipe with the names of files and folders in place of their paths, for
/// readers who do not have them. A text that is not TOML is not changed.
pub fn without_folders(recipe: &str) -> String {
    let Ok(mut table) = recipe.parse::<Table>() else {
        return recipe.to_string();
    };
    let paths = RefCell::new(Vec::new());
    for_each(&mut table, &|path| {
        paths.borrow_mut().push(path.to_string());
        path.to_string()
    });
    let written = |text: &str| Value::from(text).to_string();
    let paths = paths.into_inner().into_iter();
    paths.fold(recipe.to_string(), |recipe, path| {
        match Path::new(&path).file_name() {
            Some(name) => recipe.replace(&written(&path), &written(&name.to_string_lossy())),
            None => recipe,
        }
    })
}

/// Replaces each path in a recipe.
fn for_each(recipe: &mut Table, change: &impl Fn(&str) -> String) {
    if let Some(teacher) = recipe.get_mut("teacher") {
        in_value(teacher, change);
    }
    if let Some(Value::Table(data)) = recipe.get_mut("data") {
        for key in path_keys(data) {
            if let Some(Value::String(path)) = data.get_mut(key) {
                *path = change(path);
            }
        }
    }
}

fn in_value(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| in_value(value, change)),
        Value::Table(table) => {
            // The names of taps are free.
            for (key, value) in table.iter_mut().filter(|(key, _)| *key != "taps") {
                match value {
                    Value::String(path) if PATHS.contains(&key.as_str()) => *path = change(path),
                    // Names of tensors.
                    _ if key == "keys" => {}
                    value => in_value(value, change),
                }
            }
        }
        _ => {}
    }
}

/// Returns the absolute path, without links and `..` in its folders. The file need not exist.
fn absolute(path: &Path) -> PathBuf {
    let parent = path.parent().map(Path::canonicalize);
    match (parent, path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(recipe: &str, folder: &Path) -> Vec<String> {
        let mut table = recipe.parse().unwrap();
        make_absolute(&mut table, folder);
        let teacher = &table["teacher"];
        let others = teacher.get("others").and_then(Value::as_array);
        let all = [teacher].into_iter().chain(others.into_iter().flatten());
        all.filter_map(|teacher| Some(teacher.get("weights")?.as_str()?.to_string()))
            .collect()
    }

    #[test]
    fn names_of_classes_and_tensors_are_no_paths() {
        let mut table: Table = "[teacher]\nclasses = 'names.txt'\nkeys = { weights = 'weight' }\n\
                                others = [{ classes = ['cat', 'dog'] }]"
            .parse()
            .unwrap();
        make_absolute(&mut table, Path::new("/nowhere"));

        let teacher = &table["teacher"];
        assert_eq!(teacher["classes"].as_str(), Some("/nowhere/names.txt"));
        assert_eq!(teacher["keys"]["weights"].as_str(), Some("weight"));
        assert_eq!(teacher["others"][0]["classes"][0].as_str(), Some("cat"));
    }

    #[test]
    fn paths_of_every_teacher_are_relative_to_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();

        let recipe = "[teacher]\nweights = 'sub/../a.bpk'\n\
                      others = [{ weights = 'sub/b.bpk' }, {}, { weights = '/c.bpk' }]";
        let expected = [root.join("a.bpk"), root.join("sub/b.bpk"), "/c.bpk".into()];
        assert_eq!(
            weights(recipe, &root.join("sub/..")),
            expected.map(|path| path.display().to_string())
        );
    }

    #[test]
    fn paths_are_absolute_without_their_folders_and_only_once() {
        let recipe = "teacher = { weights = 'not/here.bpk' }";
        let first = weights(recipe, Path::new("nor/here"));
        assert!(Path::new(&first[0]).is_absolute(), "{first:?}");

        let again = format!("teacher = {{ weights = '{}' }}", first[0]);
        assert_eq!(weights(&again, Path::new("elsewhere")), first);
    }

    #[test]
    fn a_recipe_for_others_has_no_folders() {
        let recipe = "name = \"a/b\"\n\n[data]\nfolder = \"/home/me/photos\"\n\n[teacher]\n\
                      weights = \"/x/a.bpk\"\n";
        let expected = "name = \"a/b\"\n\n[data]\nfolder = \"photos\"\n\n[teacher]\n\
                        weights = \"a.bpk\"\n";
        assert_eq!(without_folders(recipe), expected);
        assert_eq!(without_folders("= no TOML"), "= no TOML");
    }

    #[test]
    fn values_that_are_no_paths_are_left_to_the_check_of_types() {
        let mut table = "teacher = 3".parse().unwrap();
        make_absolute(&mut table, Path::new("/"));
        assert_eq!(table["teacher"], Value::Integer(3));
        assert!(weights("teacher = { weights = 3 }", Path::new("/")).is_empty());
    }
}
