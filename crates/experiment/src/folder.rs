use super::data::Data;
use super::lock::{Holder, Lock, LockError};
use anyhow::{Context, Result, bail, ensure};
use burn_distill::strategy::write_atomically;
use burn_distill_recipe::{Recipe, differences};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Default folder of all runs.
const RUNS: &str = "runs";

/// File of the recipe with its defaults and changes, in the folder of a run.
const RECIPE: &str = "recipe.toml";

/// File with the checksum of the data, in the folder of a run.
const DATA: &str = "data.json";

/// File of the lock, which the process that works in the folder of a run holds.
const LOCK: &str = "lock";

/// Record of the data that a run was started with.
#[derive(Serialize, Deserialize)]
struct DataRecord {
    /// Checksum of all samples and labels.
    sha256: String,
    classes: Vec<String>,
}

/// Folder of one run, with all its files. It is locked against other processes.
pub struct RunFolder {
    path: PathBuf,
    /// Folders that were created for it, the outermost first.
    made: Vec<PathBuf>,
    /// Whether the run was started by this process.
    is_new: bool,
    lock: Lock,
}

impl RunFolder {
    /// Opens the folder of a run: a new one, or that of a started run with `resume`.
    ///
    /// A run never overwrites another one, is never resumed with another recipe, and never belongs
    /// to two processes at once. A folder that is refused is not changed.
    pub fn open(recipe: &Recipe, out: Option<&Path>, resume: bool) -> Result<Self> {
        Self::check(recipe, out, resume)?;
        let (path, made) = match (out, resume) {
            (out, true) => (begun(recipe, out)?, Vec::new()),
            (Some(out), false) => {
                let made = make(out).with_context(|| cannot_write(out))?;
                (out.to_path_buf(), made)
            }
            (None, false) => make_numbered(Path::new(RUNS), &recipe.name)?,
        };
        let lock = match Lock::take(&path.join(LOCK)) {
            Ok(lock) => lock,
            Err(LockError::Held(holder)) => bail!(in_use(&path, holder)),
            Err(LockError::Io(error)) => {
                remove_empty(&made);
                return Err(error).with_context(|| cannot_write(&path));
            }
        };
        // Once more: another process may have started a run here, and even ended, in between.
        check_recipe(&path, recipe, resume)?;
        let folder = Self {
            path,
            made,
            is_new: !resume,
            lock,
        };
        if !resume
            && let Err(error) = write_atomically(folder.join(RECIPE), text_of(recipe)?.as_bytes())
        {
            let message = cannot_write(&folder.path);
            folder.discard_if_unused();
            return Err(error).context(message);
        }
        Ok(folder)
    }

    /// Checks whether a run can be started or resumed, without a change to any file.
    pub fn check(recipe: &Recipe, out: Option<&Path>, resume: bool) -> Result<()> {
        let path = match (out, resume) {
            (out, true) => begun(recipe, out)?,
            (Some(out), false) => out.to_path_buf(),
            // The folder will be a new one.
            (None, false) => return Ok(()),
        };
        if let Err(LockError::Held(holder)) = Lock::look(&path.join(LOCK)) {
            bail!(in_use(&path, holder));
        }
        check_recipe(&path, recipe, resume)
    }

    /// Removes the folders that the start of a run has created, if the run has left no file but its
    /// recipe and its lock. Returns whether there is a run to resume.
    pub fn discard_if_unused(self) -> bool {
        if !self.is_new || !holds_nothing_else(&self.path).unwrap_or(false) {
            return true;
        }
        let Self {
            path, made, lock, ..
        } = self;
        // A folder that stays is harmless, and the error that led here is the one to report.
        let _ = fs::remove_file(path.join(RECIPE));
        let _ = fs::remove_file(path.join(DATA));
        let _ = remove_empty_folders_in(&path);
        drop(lock);
        let _ = fs::remove_file(path.join(LOCK));
        remove_empty(&made);
        false
    }

    /// Checks that the data of a run is the one that it was started with, which a new run records.
    ///
    /// # Errors
    ///
    /// Returns an error with both checksums if the data is another one, or if the record cannot be
    /// read or written.
    pub fn check_data(&self, data: &Data) -> Result<()> {
        let file = self.join(DATA);
        let found = DataRecord {
            sha256: data.checksum().into(),
            classes: data.classes().to_vec(),
        };
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = serde_json::to_string_pretty(&found)?;
                return write_atomically(&file, text.as_bytes())
                    .with_context(|| cannot_write(&file));
            }
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        let begun: DataRecord =
            serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        let advice = "restore the data, or start anew with another --out";
        ensure!(
            begun.classes == found.classes,
            "{}: this run was started with the classes {}, but those of {} are {} now: {advice}",
            file.display(),
            begun.classes.join(", "),
            data.name(),
            found.classes.join(", ")
        );
        ensure!(
            begun.sha256 == found.sha256,
            "{}: this run was started with other data: the SHA-256 of {} is {}, but was {}: {advice}",
            file.display(),
            data.name(),
            found.sha256,
            begun.sha256
        );
        Ok(())
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file or folder in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

/// Returns the folder of the run to resume.
fn begun(recipe: &Recipe, out: Option<&Path>) -> Result<PathBuf> {
    match out {
        Some(out) => Ok(out.to_path_buf()),
        None => latest(Path::new(RUNS), &recipe.name)
            .with_context(|| format!("no run of `{}` to resume in {RUNS}", recipe.name)),
    }
}

fn text_of(recipe: &Recipe) -> Result<String> {
    toml::to_string(recipe).context("the recipe cannot be written as TOML")
}

fn in_use(folder: &Path, holder: Option<Holder>) -> String {
    format!(
        "{} is in use by {}: wait for its end or stop it, and continue with --resume, or name \
         another --out",
        folder.display(),
        holder.map_or("another process".into(), |holder| holder.to_string())
    )
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write to {}", path.display())
}

/// Checks that a folder holds a run of that recipe to resume, or that it holds no run.
fn check_recipe(folder: &Path, recipe: &Recipe, resume: bool) -> Result<()> {
    let file = folder.join(RECIPE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // A file has the name of the folder, so that the folder cannot be created either.
        Err(error) if error.kind() == ErrorKind::NotADirectory => None,
        Err(error) => return Err(error).with_context(|| format!("{}", file.display())),
    };
    match (resume, text) {
        (true, None) => bail!(
            "{}: no run to resume; start one without --resume",
            folder.display()
        ),
        (true, Some(begun)) => check_same(&file, &begun, recipe),
        (false, Some(_)) => bail!(
            "{} already holds a run: resume it with --resume, or name another --out",
            folder.display()
        ),
        (false, None) if folder.is_dir() => {
            let only_own = holds_nothing_else(folder);
            ensure!(
                only_own.with_context(|| folder.display().to_string())?,
                "{} holds files that are not of a run: name another --out, so that they are not \
                 overwritten",
                folder.display()
            );
            Ok(())
        }
        (false, None) => Ok(()),
    }
}

/// Checks that a run was started with that recipe.
fn check_same(file: &Path, begun: &str, recipe: &Recipe) -> Result<()> {
    // Compared as recipes, since another version may write the same recipe in another way.
    let begun_recipe = toml::from_str(begun);
    let begun_recipe = begun_recipe.and_then(|table| Recipe::from_table(table, &recipe.registry));
    if begun_recipe.is_ok_and(|begun| begun == *recipe) {
        return Ok(());
    }
    let differences = differences(begun, &text_of(recipe)?);
    bail!(
        "{}: this run was started with another recipe:{differences}\n\
         resume it with the recipe, --seed and --set that it was started with, or start anew with \
         another --out",
        file.display()
    )
}

/// Creates a folder with its parents, and returns the created ones, the outermost first.
fn make(path: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = path.ancestors().filter(|path| !path.as_os_str().is_empty());
    let mut missing: Vec<_> = missing
        .take_while(|path| !path.exists())
        .map(Path::to_path_buf)
        .collect();
    missing.reverse();
    fs::create_dir_all(path).inspect_err(|_| remove_empty(&missing))?;
    Ok(missing)
}

/// Creates the first numbered folder that does not exist, also if other processes do so at once.
fn make_numbered(runs: &Path, name: &str) -> Result<(PathBuf, Vec<PathBuf>)> {
    let mut made = make(runs).with_context(|| cannot_write(runs))?;
    let mut numbers = numbered(runs, name);
    let mut path = numbers.next().expect("there is no end of numbers");
    loop {
        match fs::create_dir(&path) {
            Ok(()) => {
                made.push(path.clone());
                return Ok((path, made));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                path = numbers.next().expect("there is no end of numbers");
            }
            // The start of another run has failed, and has removed the folders that it had created.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                made = make(runs).with_context(|| cannot_write(runs))?;
            }
            Err(error) => {
                remove_empty(&made);
                return Err(error).with_context(|| cannot_write(&path));
            }
        }
    }
}

/// Removes folders, the innermost first, as far as they are empty.
fn remove_empty(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Returns whether there is no file in the folder of a run but its recipe and its lock.
fn holds_nothing_else(run: &Path) -> io::Result<bool> {
    let mut folders = vec![run.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let own = folder == run
                && [RECIPE, DATA, LOCK]
                    .iter()
                    .any(|own| entry.file_name() == *own);
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false if own => {}
                false => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// Removes a folder that holds folders only, with these.
fn remove_empty_folders_in(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty_folders_in(&entry.path())?;
            fs::remove_dir(entry.path())?;
        }
    }
    Ok(())
}

/// `<name>`, `<name>-2`, `<name>-3` …
fn numbered(runs: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let first = runs.join(name);
    let rest = (2..).map({
        let (runs, name) = (runs.to_path_buf(), name.to_string());
        move |number: usize| runs.join(format!("{name}-{number}"))
    });
    [first].into_iter().chain(rest)
}

fn latest(runs: &Path, name: &str) -> Option<PathBuf> {
    numbered(runs, name).take_while(|path| path.exists()).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_recipe::{ArrayDataset, Registry};

    fn recipe(name: &str) -> Recipe {
        let text = format!(
            "name = '{name}'\ndata = {{ name = 'digits' }}\n\
             teacher = {{ model = 'mlp-4', training = {{ epochs = 1 }} }}\n\
             student = {{ model = 'mlp-4', training = {{ epochs = 1 }} }}\n\
             loss = [{{ kind = 'kd' }}]"
        );
        Recipe::from_table(text.parse().unwrap(), &Registry::standard()).unwrap()
    }

    fn open(recipe: &Recipe, out: &Path, resume: bool) -> Result<RunFolder> {
        RunFolder::open(recipe, Some(out), resume)
    }

    fn error(recipe: &Recipe, out: &Path, resume: bool) -> String {
        let opened = format!("{:#}", open(recipe, out, resume).err().unwrap());
        let checked = RunFolder::check(recipe, Some(out), resume);
        assert_eq!(format!("{:#}", checked.unwrap_err()), opened);
        opened
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let out = tempfile::tempdir().unwrap();
        open(&recipe("a"), out.path(), false).unwrap();

        let again = error(&recipe("a"), out.path(), false);
        assert!(
            again.contains("already holds a run: resume it with --resume"),
            "{again}"
        );
    }

    #[test]
    fn files_of_others_are_never_overwritten() {
        let out = tempfile::tempdir().unwrap();
        fs::write(out.path().join("result.json"), "mine").unwrap();
        let error = error(&recipe("a"), out.path(), false);
        assert!(
            error.contains("holds files that are not of a run"),
            "{error}"
        );
        assert_eq!(count(out.path()), 1);
    }

    #[test]
    fn a_run_is_continued_only_with_its_data() {
        let data = |labels: [usize; 4], classes: [&'static str; 2]| {
            let registry = Registry::standard().with_dataset("points", move |_| {
                let values = vec![1.0, 2.0, 3.0, 4.0];
                ArrayDataset::vectors("points", 1, values, labels.to_vec(), classes)
            });
            let recipe = "name = 'points'\ntest = 0.25\nvalidation = 0.34".parse::<toml::Table>();
            Data::load(&recipe.unwrap().try_into().unwrap(), &registry).unwrap()
        };
        let out = tempfile::tempdir().unwrap();
        let run = open(&recipe("a"), out.path(), false).unwrap();
        run.check_data(&data([0, 1, 0, 1], ["a", "b"])).unwrap();
        run.check_data(&data([0, 1, 0, 1], ["a", "b"])).unwrap();

        let error = run.check_data(&data([1, 0, 1, 0], ["a", "b"])).unwrap_err();
        assert!(
            error.to_string().contains("was started with other data"),
            "{error}"
        );
        let error = run.check_data(&data([0, 1, 0, 1], ["b", "c"])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the classes a, b, but those of points are b, c"),
            "{error}"
        );
        run.discard_if_unused();
        assert!(!out.path().join(DATA).exists());
    }

    #[test]
    fn a_run_is_resumed_only_with_its_recipe() {
        let out = tempfile::tempdir().unwrap();
        assert!(error(&recipe("a"), out.path(), true).contains("no run to resume"));

        open(&recipe("a"), out.path(), false).unwrap();
        open(&recipe("a"), out.path(), true).unwrap();
        let mut longer = recipe("a");
        longer.student.training.epochs = 3;
        longer.seeds = vec![7];
        let error = error(&longer, out.path(), true);
        for part in [
            "started with another recipe",
            "`seeds` is [7], but the run was started with [0]",
            "`student.training.epochs` is 3, but the run was started with 1",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_folder_is_that_of_one_process() {
        let out = tempfile::tempdir().unwrap();
        let first = open(&recipe("a"), out.path(), false).unwrap();
        let before = fs::read(out.path().join(RECIPE)).unwrap();

        for resume in [false, true] {
            let error = format!(
                "{:#}",
                open(&recipe("a"), out.path(), resume).err().unwrap()
            );
            assert!(error.contains("is in use by process"), "{error}");
        }
        assert_eq!(fs::read(out.path().join(RECIPE)).unwrap(), before);

        drop(first);
        open(&recipe("a"), out.path(), true).unwrap();
    }

    #[test]
    fn a_run_without_files_removes_its_folders() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("some/where");
        let folder = open(&recipe("a"), &out, false).unwrap();
        fs::create_dir_all(folder.join("seed-0/teacher")).unwrap();
        folder.discard_if_unused();
        assert_eq!(count(root.path()), 0);

        // Files that existed before stay.
        fs::create_dir(root.path().join("mine")).unwrap();
        let out = root.path().join("mine/new");
        open(&recipe("a"), &out, false).unwrap().discard_if_unused();
        assert!(!out.exists() && root.path().join("mine").exists());

        // And so does what can be gone on with.
        let folder = open(&recipe("a"), &out, false).unwrap();
        fs::write(folder.join("history.csv"), "").unwrap();
        folder.discard_if_unused();
        assert!(out.join(RECIPE).exists());
        fs::remove_file(out.join("history.csv")).unwrap();
        open(&recipe("a"), &out, true).unwrap().discard_if_unused();
        assert!(
            out.join(RECIPE).exists(),
            "it was started by another process"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        for out in [file.clone(), file.join("in")] {
            let error = open(&recipe("a"), &out, false).err().unwrap();
            assert!(
                format!("{error:#}").contains("cannot write to"),
                "{error:#}"
            );
        }
        assert_eq!(count(root.path()), 1);
    }

    #[test]
    fn runs_of_one_name_are_numbered() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        assert_eq!(latest(&runs, "a"), None);
        for expected in ["a", "a-2", "a-3"] {
            let (next, made) = make_numbered(&runs, "a").unwrap();
            assert_eq!(next, runs.join(expected));
            assert_eq!(made.last(), Some(&next));
            assert_eq!(latest(&runs, "a"), Some(next));
        }
    }

    #[test]
    fn folders_that_are_made_at_once_are_different() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        let made: std::collections::HashSet<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| make_numbered(&runs, "a").unwrap().0))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert_eq!(made.len(), 8);
    }
}
