//! The student before its distillation: parts copied from the teacher, and parts that are frozen.

use super::experiment::Experiment;
use anyhow::{Context, Result, bail, ensure};
use burn::module::{Module, ParamGroup};
use burn::tensor::TensorData;
use burn_distill::core::{WeightsFile, tensors};
use burn_distill_recipe::{AnyNetwork, StudentRecipe};
use std::collections::BTreeMap;

impl Experiment<'_> {
    /// Initializes the student of a seed for its distillation from a teacher.
    pub(super) fn student(&self, seed: u64, teacher: &AnyNetwork) -> Result<AnyNetwork> {
        let recipe = &self.recipe.student;
        let student = prepared(self.build(&recipe.model, seed)?, teacher, recipe)?;
        Ok(recipe.quantized(student)?)
    }
}

/// Copies parts of the teacher into a student, and freezes parts of the student, as its recipe says.
///
/// # Errors
///
/// Returns an error that names the key and the part if a network lacks it, or if its shapes differ.
pub fn prepared(
    student: AnyNetwork,
    teacher: &AnyNetwork,
    recipe: &StudentRecipe,
) -> Result<AnyNetwork> {
    let student = copied(student, teacher, &recipe.from_teacher).context("student.from_teacher")?;
    frozen(student, &recipe.frozen).context("student.frozen")
}

fn copied(student: AnyNetwork, teacher: &AnyNetwork, parts: &[String]) -> Result<AnyNetwork> {
    if parts.is_empty() {
        return Ok(student);
    }
    let mut own = tensors(&student);
    check_parts(&own, parts)?;
    let given: BTreeMap<_, _> = tensors(teacher).into_iter().collect();
    for (path, data) in &mut own {
        if !parts.iter().any(|part| is_in(path, part)) {
            continue;
        }
        let Some(other) = given.get(path) else {
            bail!("the teacher has no tensor `{path}`: name parts that both networks have");
        };
        ensure!(
            other.shape() == data.shape(),
            "`{path}` is of shape {:?} in the teacher, but of {:?} in the student: name parts of the \
             same shapes",
            other.shape().as_slice(),
            data.shape().as_slice()
        );
        *data = other.clone();
    }
    let record = WeightsFile::from_tensors(own).into_record()?;
    Ok(student.try_load_record(record)?)
}

fn frozen(student: AnyNetwork, parts: &[String]) -> Result<AnyNetwork> {
    if parts.is_empty() {
        return Ok(student);
    }
    let all = tensors(&student);
    check_parts(&all, parts)?;
    let is_trained = |path: &str| !parts.iter().any(|part| is_in(path, part));
    ensure!(
        all.iter().any(|(path, _)| is_trained(path)),
        "no part of the student is left to be trained: leave one out"
    );
    // Paths consist of letters, digits, `_` and dots.
    let pattern = format!("^({})(\\.|$)", parts.join("|").replace('.', "\\."));
    let group = ParamGroup::from_regex(pattern).expect("Paths are regular expressions.");
    // It also stops the running statistics of normalization layers.
    Ok(student.freeze_group(group))
}

/// Checks that a network has all these parts.
fn check_parts(tensors: &[(String, TensorData)], parts: &[String]) -> Result<()> {
    for part in parts {
        ensure!(
            tensors.iter().any(|(path, _)| is_in(path, part)),
            "the student has no part `{part}`: its parts are {}",
            parts_of(tensors)
        );
    }
    Ok(())
}

/// Returns whether a tensor belongs to a part of a network.
fn is_in(path: &str, part: &str) -> bool {
    let rest = path.strip_prefix(part);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns the top-level parts of a network; each element of a list is a part.
fn parts_of(tensors: &[(String, TensorData)]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (path, _) in tensors {
        let mut names = path.split('.');
        let mut part = format!("`{}", names.next().unwrap_or_default());
        if let Some(index) = names.next().filter(|name| name.parse::<usize>().is_ok()) {
            part = format!("{part}.{index}");
        }
        part.push('`');
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::GradientsParams;
    use burn::tensor::Device;
    use burn_distill::core::Network;
    use burn_distill_recipe::{InputShape, Registry, Task};

    fn network(name: &str, seed: u64, device: &Device) -> AnyNetwork {
        let task = Task {
            input: InputShape::Image([1, 8, 8]),
            classes: 3,
        };
        Registry::standard()
            .build(&name.into(), &task, seed, device)
            .unwrap()
    }

    fn strings(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| part.to_string()).collect()
    }

    fn by_path(network: &AnyNetwork) -> BTreeMap<String, TensorData> {
        tensors(network).into_iter().collect()
    }

    /// Returns the tensors of a record, for which running statistics are complete.
    fn saved(network: &AnyNetwork) -> BTreeMap<String, TensorData> {
        let file = WeightsFile::new(network.valid().into_record()).unwrap();
        let tensors = file.tensors();
        tensors
            .map(|(path, data)| (path.to_string(), data))
            .collect()
    }

    #[test]
    fn parts_are_copied_from_the_teacher() {
        let device = Device::flex();
        let (student, teacher) = (
            network("convnet-4-4", 1, &device),
            network("convnet-4-8", 2, &device),
        );
        let (before, given) = (by_path(&student), by_path(&teacher));

        let copied = by_path(&copied(student, &teacher, &strings(&["layer.0"])).unwrap());

        for (path, data) in &copied {
            let expected = match path.starts_with("layer.0.") {
                true => &given[path],
                false => &before[path],
            };
            assert_eq!(data, expected, "{path}");
        }
        assert_ne!(before["layer.0.conv.weight"], given["layer.0.conv.weight"]);
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let device = Device::flex();
        let teacher = network("convnet-4-8", 2, &device);
        let error = |student: &str, part: &str| {
            let student = network(student, 1, &device);
            copied(student, &teacher, &strings(&[part]))
                .unwrap_err()
                .to_string()
        };

        assert_eq!(
            error("convnet-4-4", "layer1"),
            "the student has no part `layer1`: its parts are `layer.0`, `layer.1`, `fc`"
        );
        assert!(error("convnet-4-4", "layer.1").starts_with(
            "`layer.1.conv.weight` is of shape [8, 4, 3, 3] in the teacher, but of [4, 4, 3, 3]"
        ));
        assert!(error("resnet8", "conv1").starts_with("the teacher has no tensor `conv1.weight`"));
        // A part is a whole name.
        assert!(error("convnet-4-4", "lay").contains("no part `lay`"));
    }

    #[test]
    fn frozen_parts_have_no_gradient_and_keep_their_statistics() {
        let device = Device::flex().autodiff();
        let student = network("convnet-4-4", 1, &device);
        let before = saved(&student);
        let student = frozen(student, &strings(&["layer.0"])).unwrap().train();
        let input = student.example(2, &device);
        let input = match input {
            burn_distill_recipe::AnyInput::Images(images) => {
                burn_distill_recipe::AnyInput::Images(images.add_scalar(1.0))
            }
            other => other,
        };

        let logits = student.forward(input).classes().unwrap().clone();
        let loss = logits.powi_scalar(2).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &student);

        let after = saved(&student);
        let changed: Vec<_> = after
            .keys()
            .filter(|path| after[*path] != before[*path])
            .collect();
        assert_eq!(
            changed,
            ["layer.1.bn.running_mean", "layer.1.bn.running_var"]
        );
        // Convolution, scale, offset; weights, bias.
        assert_eq!(gradients.len(), 5);
    }

    #[test]
    fn some_part_is_trained() {
        let student = network("mlp-4", 1, &Device::flex());
        let all: Vec<_> = tensors(&student)
            .into_iter()
            .map(|(path, _)| path)
            .collect();

        let error = frozen(student, &all).unwrap_err().to_string();
        assert!(
            error.starts_with("no part of the student is left"),
            "{error}"
        );
    }
}
