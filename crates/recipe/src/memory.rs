//! Estimates of memory, so that a number too many is refused before it is allocated.

use super::fault::{Fault, Place};
use super::{Recipe, TeacherRecipe};
use crate::model::ModelRecipe;
use crate::registry::{Architecture, Task};
use anyhow::{Context, Result};
use burn_distill::architecture::Plan;
use burn_distill::core::ConfigError;
use std::fs;
use std::sync::OnceLock;

/// The bytes of a number in a tensor.
pub const NUMBER: f64 = 4.0;
/// The numbers per parameter of a training: its value, its gradient and two of the optimizer.
const PER_PARAMETER: f64 = 4.0;

/// Returns the bytes that the parameters of a layer take while they are trained.
pub fn trained(parameters: f64) -> f64 {
    PER_PARAMETER * NUMBER * parameters
}

/// Checks that an estimate fits into the memory of this machine.
pub fn fits(key: &str, value: impl ToString, bytes: f64) -> Result<(), ConfigError> {
    let limit = limit();
    match bytes <= limit {
        true => Ok(()),
        false => Err(ConfigError::new(
            key,
            format!(
                "smaller: it needs about {}, and this machine has {}",
                size(bytes),
                size(limit)
            ),
            value.to_string(),
        )),
    }
}

/// Checks that a network can be built and run on some samples.
///
/// # Errors
///
/// Returns the estimate if it cannot.
pub fn check_network(network: &dyn Architecture, task: &Task, samples: usize) -> Result<()> {
    let Some(plan) = network.plan(task)? else {
        return Ok(());
    };
    let bytes = NUMBER * (plan.parameters() as f64 + samples as f64 * activations(&plan));
    let name = network.name();
    fits("", &name, bytes).map_err(|error| {
        let text = format!("{name} for {} should be {}", task.input, error.expected);
        Fault::other("", text).into()
    })
}

/// Checks the networks of a recipe, and the batches that pass through them.
pub fn check(recipe: &Recipe) -> Result<()> {
    let task = recipe.spec()?.task;
    let planned = |model: &ModelRecipe, place: &str| -> Result<Option<Plan>> {
        let planned = recipe.registry.network(model);
        let planned = planned.and_then(|network| network.plan(&task));
        planned.with_context(|| place.to_string())
    };
    for (index, teacher) in recipe.teachers().iter().enumerate() {
        let place = TeacherRecipe::place(index);
        if let Some(plan) = planned(&teacher.model, &format!("{place}.model"))? {
            check_trained(&plan, &teacher.model, 1, teacher.training.batch_size).at(&place)?;
        }
    }
    let student = &recipe.student;
    let Some(plan) = planned(&student.model, "student.model")? else {
        return Ok(());
    };
    let copies = recipe.strategy.options().networks();
    check_trained(&plan, &student.model, copies, student.training.batch_size).at("student")?;
    for (index, stage) in recipe.stages.iter().enumerate() {
        if let Some(training) = &stage.training {
            let place = format!("stage.{index}");
            check_trained(&plan, &student.model, 1, training.batch_size).at(&place)?;
        }
    }
    Ok(())
}

/// Checks a network that is trained several times at once on batches of that size.
fn check_trained(
    plan: &Plan,
    model: &ModelRecipe,
    copies: usize,
    batch_size: usize,
) -> Result<(), ConfigError> {
    let copies = copies as f64;
    fits("model", model, copies * trained(plan.parameters() as f64))?;
    let batch = copies * NUMBER * activations(plan) * batch_size as f64;
    fits("training.batch_size", batch_size, batch)
}

/// Returns the numbers that the layers return for one sample.
fn activations(plan: &Plan) -> f64 {
    let sizes = plan.layers.iter().map(|layer| {
        let sizes = layer.output.iter();
        sizes.map(|&size| size as f64).product::<f64>()
    });
    sizes.sum()
}

/// Returns the memory of this machine in bytes, or of the part of it that this process may use. Systems other
/// than Linux do not tell it without a library: theirs is taken to be large.
fn limit() -> f64 {
    const UNKNOWN: f64 = 64e9;
    static LIMIT: OnceLock<f64> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let machine = fs::read_to_string("/proc/meminfo").ok();
        let machine = machine.and_then(|text| total_of(&text));
        let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
        let group = group.and_then(|text| text.trim().parse().ok());
        match (machine, group) {
            (Some(machine), Some(group)) => machine.min(group),
            (Some(limit), None) | (None, Some(limit)) => limit,
            (None, None) => UNKNOWN,
        }
    })
}

/// Returns the total memory in bytes by the file of Linux: `MemTotal:  16314144 kB`.
fn total_of(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024.0 * kibibytes)
}

/// Returns a number of bytes in words.
fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["MB", "GB", "TB", "PB", "EB"];
    let mut size = bytes / 1e6;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let unit = UNITS[unit];
    match size < 1e6 {
        true => format!("{size:.1} {unit}"),
        false => format!("{size:.0e} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputShape;
    use burn_distill::architecture::NetworkConfig;

    #[test]
    fn the_total_memory_is_read_in_bytes() {
        assert_eq!(
            total_of("A: 1 kB\nMemTotal:  2048 kB\nB: 2 kB"),
            Some(2097152.0)
        );
        assert_eq!(total_of("MemFree: 2048 kB"), None);
        assert!(limit() > 1e8);
    }

    #[test]
    fn sizes_are_in_units_of_a_thousand() {
        assert_eq!(size(2.5e6), "2.5 MB");
        assert_eq!(size(3.2e10), "32.0 GB");
        assert_eq!(size(7e13), "70.0 TB");
        assert_eq!(size(1e30), "1e12 EB");
    }

    #[test]
    fn a_network_that_is_too_large_is_refused_with_its_estimate() {
        let error = |name: &str, input: [usize; 3]| {
            let model = NetworkConfig::by_name(name).unwrap();
            let input = InputShape::Image(input);
            let task = Task { input, classes: 10 };
            check_network(&model, &task, 2).unwrap_err().to_string()
        };

        let wide = error(
            "mlp-65536-65536-65536-65536-65536-65536-65536",
            [3, 4096, 4096],
        );
        assert!(
            wide.contains("it needs about") && wide.contains("TB"),
            "{wide}"
        );
        let image = error("resnet20", [3, 60_000, 60_000]);
        assert!(image.contains("for images of 3x60000x60000"), "{image}");
        let model = NetworkConfig::by_name("resnet20").unwrap();
        let input = InputShape::Image([3, 32, 32]);
        check_network(&model, &Task { input, classes: 10 }, 2).unwrap();
    }
}
