//! Estimates of memory, so that a size that is too large is refused before it is allocated.

use burn_distill::core::ConfigError;
use std::fs;
use std::sync::OnceLock;

/// Bytes of a number in a tensor.
pub const NUMBER: f64 = 4.0;
/// Numbers per parameter in a training: its value, its gradient and two of the optimizer.
const PER_PARAMETER: f64 = 4.0;

/// Returns the number of bytes that parameters need while they are trained.
pub fn trained(parameters: f64) -> f64 {
    PER_PARAMETER * NUMBER * parameters
}

/// Checks that the memory of this machine suffices to train a number of parameters, before they are
/// allocated, and that the number is not zero. The error names the key of the recipe and its value.
///
/// ```
/// use burn_distill_recipe::check_parameters;
///
/// let width: usize = 1 << 40;
/// let error = check_parameters("width", width, 64.0 * width as f64).unwrap_err();
///
/// assert!(error.to_string().starts_with("`width` should be smaller: it needs about 1.1 PB"));
/// ```
///
/// # Errors
///
/// Returns an error if there are no parameters, or, with the estimate, if there is less memory.
pub fn check_parameters(
    key: &str,
    value: impl ToString,
    parameters: f64,
) -> Result<(), ConfigError> {
    match parameters > 0.0 {
        true => fits(key, value, trained(parameters)),
        false => {
            let expected = "larger: the network would have no parameters";
            Err(ConfigError::new(key, expected, value.to_string()))
        }
    }
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

/// Returns the memory of this machine in bytes, or the part of it that this process may use. Only
/// Linux reports it without a library; on other systems, 64 GB are assumed.
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
}
