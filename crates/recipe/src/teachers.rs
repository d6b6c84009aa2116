use super::{ModelRecipe, OnnxRecipe, OtherTeacherRecipe, TeacherRecipe, TrainingRecipe};
use crate::fault::{Fault, Place};
use anyhow::Result;
use burn_distill::core::{check, nearest};
use std::collections::BTreeSet;
use std::path::Path;

/// Network of a teacher.
#[derive(Clone, Copy, Debug)]
pub enum TeacherSource<'a> {
    /// A network of the registry that is trained.
    Trained(&'a ModelRecipe, &'a TrainingRecipe),
    /// A network of the registry, with weights from a file.
    Weights(&'a ModelRecipe, &'a Path),
    /// An ONNX file.
    Onnx(&'a OnnxRecipe),
}

impl TeacherRecipe {
    /// Returns a recipe for each teacher, as if it were the only one, in their order.
    pub fn all(&self) -> Vec<Self> {
        let first = Self {
            others: Vec::new(),
            ..self.clone()
        };
        let others = self.others.iter().map(|other| self.other(other));
        [first].into_iter().chain(others).collect()
    }

    /// Returns the recipe of another teacher, with the training of this one unless it is an ONNX
    /// file.
    fn other(&self, other: &OtherTeacherRecipe) -> Self {
        let shared = other.onnx.is_none();
        let training = other.training.as_ref();
        let training = training.or(self.training.as_ref().filter(|_| shared));
        Self {
            model: other.model.clone(),
            onnx: other.onnx.clone(),
            weights: other.weights.clone(),
            keys: other.keys.clone(),
            classes: other.classes.clone(),
            only_classes: other.only_classes.clone(),
            training_mode: other.training_mode.unwrap_or(self.training_mode && shared),
            training: training.cloned(),
            others: Vec::new(),
        }
    }

    /// Returns the network of the teacher.
    ///
    /// # Errors
    ///
    /// Returns an error with the key if the teacher has no network or two networks, or a key that
    /// does not apply to its network.
    pub fn source(&self) -> Result<TeacherSource<'_>, Fault> {
        let onnx = match (&self.model, &self.onnx) {
            (Some(_), Some(_)) => {
                let text = "both `model` and `onnx` are given: leave out one of them";
                return Err(Fault::other("onnx", text));
            }
            (None, None) => return Err(Fault::missing("model", None)),
            (Some(model), None) => {
                return match (&self.weights, &self.training) {
                    (Some(file), _) => Ok(TeacherSource::Weights(model, file)),
                    (None, Some(training)) => Ok(TeacherSource::Trained(model, training)),
                    (None, None) => Err(Fault::missing("training", None)),
                };
            }
            (None, Some(onnx)) => onnx,
        };
        let foreign = [
            ("weights", self.weights.is_some()),
            ("keys", !self.keys.is_empty()),
            ("training", self.training.is_some()),
            ("training_mode", self.training_mode),
        ];
        if self.classes.is_some() {
            let text = "the classes of an ONNX file are a key of its table: `onnx.classes`";
            return Err(Fault::other("classes", text));
        }
        match foreign.into_iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(Fault::other(
                key,
                "the weights of a teacher in an ONNX file are fixed, so this key does not apply: leave it out",
            )),
            None => Ok(TeacherSource::Onnx(onnx)),
        }
    }

    /// Returns the classes of the data that the teacher knows, in their order; `None` if it knows
    /// all of them. `classes` are the names of those of the data.
    ///
    /// # Errors
    ///
    /// Returns an error with the key if a name is repeated or not one of the data, or if a file of
    /// names cannot be read.
    pub fn known_classes(&self, classes: &[String]) -> Result<Option<Vec<usize>>> {
        const KEY: &str = "only_classes";
        let Some(names) = &self.only_classes else {
            return Ok(None);
        };
        let names = names.names().at(KEY)?;
        check::ensure(!names.is_empty(), KEY, "a list of names", "empty")?;
        let mut known = BTreeSet::new();
        for name in names.iter() {
            let Some(class) = classes.iter().position(|class| class == name) else {
                let hint = nearest(name, classes.iter().map(String::as_str));
                let hint = hint.map(|hint| format!(", did you mean `{hint}`?"));
                let text = format!(
                    "the data has no class `{name}`{}: name classes of the data",
                    hint.unwrap_or_default()
                );
                return Err(Fault::other(KEY, text).into());
            };
            if !known.insert(class) {
                let text = format!("`{name}` is named twice: leave one out");
                return Err(Fault::other(KEY, text).into());
            }
        }
        Ok(Some(known.into_iter().collect()))
    }

    /// Returns the name of the network, for a table.
    pub fn name(&self) -> String {
        match (&self.model, &self.onnx) {
            (Some(model), _) => model.to_string(),
            (None, Some(onnx)) => onnx.to_string(),
            (None, None) => String::new(),
        }
    }

    /// Returns the place in the recipe of the teacher at an index, counted from 0.
    pub fn place(index: usize) -> String {
        match index {
            0 => "teacher".into(),
            index => format!("teacher.others.{}", index - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teacher(text: &str) -> TeacherRecipe {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_teacher_has_one_network() {
        let error = |text: &str| teacher(text).source().unwrap_err().to_string();
        let training = "training = { epochs = 1 }";

        assert_eq!(error(""), "`model` is missing");
        assert_eq!(error("model = 'mlp-4'"), "`training` is missing");
        let given = teacher("model = 'mlp-4'\nweights = 'a.bpk'");
        assert!(matches!(given.source(), Ok(TeacherSource::Weights(..))));
        let both = format!("model = 'mlp-4'\nonnx = 'a.onnx'\n{training}");
        assert!(error(&both).starts_with("`onnx`: both `model` and `onnx` are given"));
        for (key, text) in [
            ("weights", "weights = 'a.bpk'"),
            ("training", training),
            ("training_mode", "training_mode = true"),
            ("keys", "keys = { a = 'b' }"),
        ] {
            let error = error(&format!("onnx = 'a.onnx'\n{text}"));
            assert!(
                error.starts_with(&format!(
                    "`{key}`: the weights of a teacher in an ONNX file"
                )),
                "{error}"
            );
        }
        let onnx = teacher("onnx = 'folder/a.onnx'");
        assert!(matches!(onnx.source(), Ok(TeacherSource::Onnx(_))));
        assert_eq!(onnx.name(), "a.onnx");
    }

    #[test]
    fn known_classes_are_classes_of_the_data() {
        let data = ["cat", "dog", "owl"].map(String::from);
        let known = |text: &str| {
            let known = teacher(text).known_classes(&data);
            known.map_err(|error| format!("{error:#}"))
        };

        assert_eq!(known("model = 'mlp-4'"), Ok(None));
        assert_eq!(known("only_classes = ['owl', 'cat']"), Ok(Some(vec![0, 2])));
        for (text, message) in [
            (
                "only_classes = []",
                "`only_classes` should be a list of names, but is empty",
            ),
            (
                "only_classes = ['dogs']",
                "`only_classes`: the data has no class `dogs`, did you mean `dog`?: name classes of \
                 the data",
            ),
            (
                "only_classes = ['cat', 'cat']",
                "`only_classes`: `cat` is named twice",
            ),
        ] {
            assert!(known(text).unwrap_err().contains(message), "{text}");
        }
        let others =
            teacher("model = 'mlp-4'\nothers = [{ onnx = 'a.onnx', only_classes = ['dog'] }]");
        assert_eq!(others.all()[1].known_classes(&data).unwrap(), Some(vec![1]));
    }

    #[test]
    fn a_further_teacher_has_the_training_of_the_first_unless_it_is_a_file() {
        let teachers = teacher(
            "model = 'mlp-4'\ntraining = { epochs = 3 }\ntraining_mode = true\n\
             others = [{ onnx = 'a.onnx' }, { model = 'mlp-8' }]",
        );
        let [_, onnx, network] = &teachers.all()[..] else {
            panic!("there are three teachers");
        };

        assert!(matches!(onnx.source(), Ok(TeacherSource::Onnx(_))));
        let Ok(TeacherSource::Trained(model, training)) = network.source() else {
            panic!("the last teacher is a network");
        };
        assert_eq!((model.name.as_str(), training.epochs), ("mlp-8", 3));
        assert!(network.training_mode);

        let file_first = teacher("onnx = 'a.onnx'\nothers = [{ model = 'mlp-8' }]");
        let error = file_first.all()[1].source().unwrap_err();
        assert_eq!(error.to_string(), "`training` is missing");
    }
}
