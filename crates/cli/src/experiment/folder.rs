use crate::recipe::Recipe;
use anyhow::{Context, Result, bail};
use burn_distill::strategy::write_atomically;
use std::fs;
use std::path::{Path, PathBuf};

/// Where runs go when the command line does not say.
const RUNS: &str = "runs";

/// The folder of one run, which holds everything that it leaves.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder for a run: a new one, or on resume the one that was begun.
    ///
    /// A run never writes over another one, and never goes on with another recipe.
    pub fn open(recipe: &Recipe, out: Option<&Path>, resume: bool) -> Result<Self> {
        let path = match (out, resume) {
            (Some(out), _) => out.to_path_buf(),
            (None, false) => next_free(Path::new(RUNS), &recipe.name),
            (None, true) => latest(Path::new(RUNS), &recipe.name)
                .with_context(|| format!("no run of `{}` to go on with in {RUNS}", recipe.name))?,
        };
        let folder = Self { path };
        let recipe_file = folder.join("recipe.toml");
        let text = toml::to_string(recipe).context("the recipe cannot be written as TOML")?;
        match (resume, fs::read_to_string(&recipe_file).ok()) {
            (true, None) => bail!(
                "{}: no run to go on with; start one without --resume",
                folder.path.display()
            ),
            (true, Some(begun)) if begun != text => bail!(
                "{}: this run was begun with another recipe; go on with that one, \
                 or start anew with another --out",
                recipe_file.display()
            ),
            (true, Some(_)) => {}
            (false, Some(_)) => bail!(
                "{} already holds a run: go on with it with --resume, or name another --out",
                folder.path.display()
            ),
            (false, None) => {
                fs::create_dir_all(&folder.path)
                    .and_then(|()| write_atomically(&recipe_file, text.as_bytes()))
                    .with_context(|| format!("cannot write to {}", folder.path.display()))?;
            }
        }
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
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

fn next_free(runs: &Path, name: &str) -> PathBuf {
    numbered(runs, name)
        .find(|path| !path.exists())
        .expect("there are more numbers than folders")
}

fn latest(runs: &Path, name: &str) -> Option<PathBuf> {
    numbered(runs, name).take_while(|path| path.exists()).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(name: &str) -> Recipe {
        let text = format!(
            "name = '{name}'\ndata = {{ name = 'digits' }}\n\
             teacher = {{ model = 'mlp-4', training = {{ epochs = 1 }} }}\n\
             student = {{ model = 'mlp-4', training = {{ epochs = 1 }} }}\n\
             loss = [{{ kind = 'kd' }}]"
        );
        toml::from_str(&text).unwrap()
    }

    fn error(recipe: &Recipe, out: &Path, resume: bool) -> String {
        format!(
            "{:#}",
            RunFolder::open(recipe, Some(out), resume).err().unwrap()
        )
    }

    #[test]
    fn a_run_is_never_written_over() {
        let out = tempfile::tempdir().unwrap();
        RunFolder::open(&recipe("a"), Some(out.path()), false).unwrap();

        let again = error(&recipe("a"), out.path(), false);
        assert!(
            again.contains("already holds a run: go on with it with --resume"),
            "{again}"
        );
    }

    #[test]
    fn a_run_goes_on_with_its_own_recipe_only() {
        let out = tempfile::tempdir().unwrap();
        assert!(error(&recipe("a"), out.path(), true).contains("no run to go on with"));

        RunFolder::open(&recipe("a"), Some(out.path()), false).unwrap();
        RunFolder::open(&recipe("a"), Some(out.path()), true).unwrap();
        assert!(error(&recipe("b"), out.path(), true).contains("begun with another recipe"));
    }

    #[test]
    fn runs_of_one_name_are_numbered() {
        let runs = tempfile::tempdir().unwrap();
        assert_eq!(latest(runs.path(), "a"), None);
        for expected in ["a", "a-2", "a-3"] {
            let next = next_free(runs.path(), "a");
            assert_eq!(next, runs.path().join(expected));
            fs::create_dir(&next).unwrap();
            assert_eq!(latest(runs.path(), "a"), Some(next));
        }
    }
}
