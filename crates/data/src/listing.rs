//! Files of a folder, with their classes.

use crate::DataError;
use crate::class_list::ClassList;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Kind of the files that are samples.
#[derive(Clone, Copy)]
pub struct FileKind {
    /// A file of the kind, as in `image`.
    pub one: &'static str,
    /// Several files of the kind, as in `images`.
    pub many: &'static str,
    /// Returns whether a file is of the kind, given its path and whether it can be read.
    pub is_sample: fn(&Path, bool) -> bool,
}

/// Names of the folders of the parts of a data set.
const TRAIN: &str = "train";
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: &str = "test";

/// Folders of the parts of a data set.
#[derive(Debug, PartialEq)]
pub struct PartFolders {
    pub train: PathBuf,
    pub validation: Option<PathBuf>,
    pub test: Option<PathBuf>,
}

/// Samples of a folder.
#[derive(Debug, PartialEq)]
pub struct Listing {
    /// Path and class of each sample, in the order of the paths.
    pub files: Vec<(PathBuf, usize)>,
    /// Names of the classes, in alphabetical order.
    pub classes: Vec<String>,
    /// Files of other kinds.
    pub others: Vec<PathBuf>,
    /// Whether the classes of the samples are known. Otherwise all are 0.
    pub labeled: bool,
}

/// Returns the first class that none of the labels is of.
pub fn empty_class(classes: &[String], labels: impl Iterator<Item = usize>) -> Option<&str> {
    let found: HashSet<_> = labels.collect();
    let mut classes = classes.iter().enumerate();
    let class = classes.find(|(label, _)| !found.contains(label));
    class.map(|(_, name)| name.as_str())
}

impl PartFolders {
    /// Returns the folders of the parts: those in the folder if it holds `train`, and otherwise the
    /// folder itself.
    pub fn of(folder: &Path, kind: FileKind) -> Result<Self, DataError> {
        let FileKind { many, .. } = kind;
        if !folder.is_dir() {
            let what = match folder.exists() {
                true => format!("it should be a folder of {many}, but is a file"),
                false => {
                    "there is no such folder. A path in a recipe is relative to its folder, a \
                          path of --set to the current one"
                        .into()
                }
            };
            return Err(invalid(folder, what));
        }
        let entries = entries(folder)?;
        let folders: Vec<_> = entries.iter().filter(|entry| entry.is_folder).collect();
        let named = |name: &str| folders.iter().find(|entry| entry.name == Some(name.into()));
        let is_part = |name: &str| name == TRAIN || name == TEST || VALIDATION.contains(&name);
        let parts = folders
            .iter()
            .filter(|entry| entry.name.as_deref().is_some_and(is_part))
            .count();
        // Beside other folders, `train` is a class, such as one of vehicles.
        if folders.is_empty() || parts < folders.len() {
            return Ok(Self {
                train: folder.to_path_buf(),
                validation: None,
                test: None,
            });
        }
        let Some(train) = named(TRAIN) else {
            return Err(invalid(
                folder,
                format_args!(
                    "it holds parts of a data set, but no folder `train` with the training {many}"
                ),
            ));
        };
        let mut validation = VALIDATION.iter().filter_map(|name| named(name));
        let first = validation.next();
        if let (Some(first), Some(second)) = (first, validation.next()) {
            return Err(invalid(
                folder,
                format_args!(
                    "it holds two folders of validation {many}, {} and {}: keep one",
                    first.path.display(),
                    second.path.display()
                ),
            ));
        }
        Ok(Self {
            train: train.path.clone(),
            validation: first.map(|entry| entry.path.clone()),
            test: named(TEST).map(|entry| entry.path.clone()),
        })
    }

    /// Sets the folder of the test samples to the one that a configuration names by `key`, if it
    /// names one. `labels` says whether the subfolders of the training samples are classes.
    ///
    /// # Errors
    ///
    /// Returns an error if there is already such a folder, or if the test samples are in the folder
    /// of the training samples.
    pub fn with_test(
        mut self,
        key: &str,
        given: Option<&Path>,
        kind: FileKind,
        labels: bool,
    ) -> Result<Self, DataError> {
        let FileKind { many, .. } = kind;
        if let (Some(test), Some(given)) = (&self.test, given) {
            return Err(invalid(
                test,
                format_args!(
                    "there are test {many} here and in {}, the folder of `{key}`: keep one",
                    given.display()
                ),
            ));
        }
        self.test = self.test.or(given.map(Path::to_path_buf));
        if let Some(test) = &self.test
            && is_within(test, &self.train)
        {
            return Err(invalid(
                test,
                format_args!(
                    "the test {many} are in {}, the folder of the training {many}, {}: move them out",
                    self.train.display(),
                    match labels {
                        true => "of which they would be a class",
                        false => "to which they would belong",
                    }
                ),
            ));
        }
        Ok(self)
    }
}

impl Listing {
    /// Lists the samples in the subfolders of a folder, whose names are the classes.
    pub fn of(folder: &Path, kind: FileKind) -> Result<Self, DataError> {
        let FileKind { one, many, .. } = kind;
        let mut listing = Self::empty(Vec::new(), true);
        let mut above = vec![canonical(folder)?];
        let mut loose = Vec::new();
        for entry in entries(folder)? {
            if !entry.is_folder {
                match entry.is_sample(kind) {
                    true => loose.push(entry.path),
                    false => listing.others.push(entry.path),
                }
                continue;
            }
            let Some(name) = entry.name else {
                return Err(invalid(
                    &entry.path,
                    "the name of a class should be text in UTF-8: choose another name",
                ));
            };
            let before = listing.files.len();
            listing.walk(&entry.path, kind, &mut above)?;
            if listing.files.len() == before {
                return Err(invalid(
                    &entry.path,
                    format_args!("this class has no {many}: add some, or remove the folder"),
                ));
            }
            listing.classes.push(name);
        }
        match loose.first() {
            Some(_) if listing.classes.is_empty() => Err(invalid(
                folder,
                format_args!(
                    "the {many} are in no folders of classes: put those of each class into a \
                     folder with its name, such as cats/ and dogs/, or set `labels = false` if they \
                     have no labels, to learn from a given teacher alone"
                ),
            )),
            Some(first) => Err(invalid(
                first,
                format_args!(
                    "this {one} is beside the folders of the classes: put it into one of these, or \
                     remove it"
                ),
            )),
            None if listing.files.is_empty() => Err(invalid(
                folder,
                format_args!(
                    "there are no {many}: put those of each class into a folder with its name, \
                     such as cats/ and dogs/"
                ),
            )),
            None => Ok(listing),
        }
    }

    /// Lists the samples in a folder and in its subfolders, whose names are ignored, as unlabeled
    /// samples of these classes.
    pub fn unlabeled(folder: &Path, kind: FileKind, classes: &[String]) -> Result<Self, DataError> {
        let mut listing = Self::empty(classes.to_vec(), false);
        listing.walk(folder, kind, &mut Vec::new())?;
        for (_, class) in &mut listing.files {
            *class = 0;
        }
        match listing.files.is_empty() {
            true => Err(invalid(folder, format_args!("there are no {}", kind.many))),
            false => Ok(listing),
        }
    }

    /// Lists the samples of a test set beside unlabeled training samples of these classes: labeled
    /// ones if they are in subfolders of classes, and otherwise unlabeled ones.
    pub fn tested(folder: &Path, kind: FileKind, classes: &[String]) -> Result<Self, DataError> {
        if !folder.is_dir() {
            return Err(invalid(folder, "there is no such folder"));
        }
        match entries(folder)?.iter().any(|entry| entry.is_folder) {
            true => {
                let listing = Self::of(folder, kind)?;
                let whose = "which is no class of the teacher, whose classes are";
                listing.numbered(folder, whose, classes)
            }
            false => Self::unlabeled(folder, kind, classes),
        }
    }

    fn empty(classes: Vec<String>, labeled: bool) -> Self {
        Self {
            files: Vec::new(),
            classes,
            others: Vec::new(),
            labeled,
        }
    }

    /// Replaces the class of each sample by its number in another listing, whose classes are all
    /// kept.
    pub fn with_classes(
        self,
        of: &Path,
        kind: FileKind,
        classes: &[String],
    ) -> Result<Self, DataError> {
        let whose = format!("which the training {} do not have: they have", kind.many);
        self.numbered(of, &whose, classes)
    }

    fn numbered(mut self, of: &Path, whose: &str, classes: &[String]) -> Result<Self, DataError> {
        let number = |class: &usize| {
            let name = &self.classes[*class];
            classes.iter().position(|other| other == name)
        };
        let numbers: Vec<_> = (0..self.classes.len())
            .map(|class| number(&class))
            .collect();
        if let Some(new) = numbers.iter().position(Option::is_none) {
            return Err(invalid(
                of,
                format_args!(
                    "it holds the class `{}`, {whose} {}",
                    self.classes[new],
                    classes.join(", ")
                ),
            ));
        }
        for (_, class) in &mut self.files {
            *class = numbers[*class].unwrap_or_default();
        }
        self.classes = classes.to_vec();
        Ok(self)
    }

    /// Lists the samples in a folder of the next class and in its subfolders.
    fn walk(
        &mut self,
        folder: &Path,
        kind: FileKind,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), DataError> {
        let own = canonical(folder)?;
        if above.contains(&own) {
            return Err(invalid(
                folder,
                format_args!(
                    "this link leads back to {}, in which it lies: remove it",
                    own.display()
                ),
            ));
        }
        above.push(own);
        for entry in entries(folder)? {
            if entry.is_folder {
                self.walk(&entry.path, kind, above)?;
            } else if entry.is_sample(kind) {
                self.files.push((entry.path, self.classes.len()));
            } else {
                self.others.push(entry.path);
            }
        }
        above.pop();
        Ok(())
    }
}

/// Layout of the parts of a data set: labeled by subfolders of classes, or unlabeled.
#[derive(Clone, Copy)]
pub struct Layout<'a> {
    pub kind: FileKind,
    /// Whether the training samples are labeled.
    pub labels: bool,
    /// Classes of unlabeled samples.
    pub classes: Option<&'a ClassList>,
}

impl Layout<'_> {
    /// Lists the training samples.
    pub fn train(&self, folder: &Path) -> Result<Listing, DataError> {
        if self.labels {
            return Listing::of(folder, self.kind);
        }
        let Some(classes) = self.classes else {
            return Err(DataError::Invalid(format!(
                "the {} have no labels, so that nothing names their classes: give the names or the \
                 number of the classes of the teacher as `classes`",
                self.kind.many
            )));
        };
        Listing::unlabeled(folder, self.kind, &classes.names())
    }

    /// Lists the validation samples, given the classes of the training samples.
    pub fn validation(&self, folder: &Path, classes: &[String]) -> Result<Listing, DataError> {
        match self.labels {
            true => Listing::of(folder, self.kind)?.with_classes(folder, self.kind, classes),
            false => Listing::unlabeled(folder, self.kind, classes),
        }
    }

    /// Lists the test samples, given the classes of the training samples.
    pub fn test(&self, folder: &Path, classes: &[String]) -> Result<Listing, DataError> {
        match self.labels {
            true => Listing::of(folder, self.kind)?.with_classes(folder, self.kind, classes),
            false => Listing::tested(folder, self.kind, classes),
        }
    }
}

/// Entry of a folder that is not hidden.
struct Entry {
    path: PathBuf,
    /// Name, if it is UTF-8.
    name: Option<String>,
    is_folder: bool,
    /// Whether it is a file that can be read.
    is_file: bool,
}

impl Entry {
    fn is_sample(&self, kind: FileKind) -> bool {
        (kind.is_sample)(&self.path, self.is_file)
    }
}

/// Returns the entries of a folder in the order of their names, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let in_folder = |source| DataError::io(folder, source);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        // The second is what macOS adds to archives.
        if name.is_none_or(|name| name.starts_with('.') || name == "__MACOSX") {
            continue;
        }
        // Of the file that a link leads to; of a link that leads nowhere, none.
        let metadata = fs::metadata(&path).ok();
        entries.push(Entry {
            name: path
                .file_name()
                .and_then(|name| name.to_str())
                .map(String::from),
            is_folder: metadata.as_ref().is_some_and(fs::Metadata::is_dir),
            is_file: metadata.as_ref().is_some_and(fs::Metadata::is_file),
            path,
        });
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

/// Returns whether a folder is the same as another one, or inside it.
fn is_within(folder: &Path, other: &Path) -> bool {
    let folders = folder.canonicalize().ok().zip(other.canonicalize().ok());
    folders.is_some_and(|(folder, other)| folder.starts_with(other))
}

fn canonical(folder: &Path) -> Result<PathBuf, DataError> {
    folder
        .canonicalize()
        .map_err(|source| DataError::io(folder, source))
}

pub fn invalid(path: &Path, what: impl std::fmt::Display) -> DataError {
    DataError::Invalid(format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests;
