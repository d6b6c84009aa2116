use crate::catch::catch;
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::{Device, Tensor};
use burn_distill::core::nearest;

/// Names of the devices of all builds.
const NAMES: [&str; 7] = ["flex", "ndarray", "wgpu", "vulkan", "metal", "cuda", "rocm"];

/// Returns the device of that name, if it is built in and present.
pub fn select(name: &str) -> Result<Device> {
    let name = name.to_lowercase();
    if let Some(device) = built_in(&name) {
        try_out(&device).with_context(|| {
            format!("the device `{name}` cannot be used here; `--device flex` is the CPU")
        })?;
        return Ok(device);
    }
    if !NAMES.contains(&name.as_str()) {
        let hint = nearest(&name, NAMES).map(|n| format!(", did you mean `{n}`?"));
        let (hint, known) = (hint.unwrap_or_default(), NAMES.join(", "));
        bail!("no device named `{name}`{hint}; the known ones are {known}");
    }
    let available: Vec<_> = NAMES.into_iter().filter(|n| is_built_in(n)).collect();
    bail!(
        "the device `{name}` is not built in; this program has {}. \
         Build it with `cargo build --release --features {name}`",
        available.join(", ")
    )
}

/// Runs a small computation, since a driver without a device panics at its first use.
fn try_out(device: &Device) -> Result<()> {
    let read = catch(|| {
        Tensor::<1>::ones([1], device)
            .add_scalar(1.0)
            .try_into_data()
    })?;
    read.map(drop).map_err(|error| anyhow!("{error:?}"))
}

fn is_built_in(name: &str) -> bool {
    match name {
        "flex" => cfg!(feature = "flex"),
        "ndarray" => cfg!(feature = "ndarray"),
        "wgpu" => cfg!(feature = "wgpu"),
        "vulkan" => cfg!(feature = "vulkan"),
        "metal" => cfg!(feature = "metal"),
        "cuda" => cfg!(feature = "cuda"),
        "rocm" => cfg!(feature = "rocm"),
        _ => false,
    }
}

fn built_in(name: &str) -> Option<Device> {
    match name {
        #[cfg(feature = "flex")]
        "flex" => Some(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "slow, but asked for: see the table of devices")]
        "ndarray" => Some(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::metal(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::cuda(0)),
        #[cfg(feature = "rocm")]
        "rocm" => Some(Device::rocm(0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "flex")]
    #[test]
    fn a_device_that_is_there_can_be_used() {
        select("FLEX").unwrap();
    }

    #[test]
    fn an_unknown_device_lists_the_known_ones() {
        let error = select("vulcan").unwrap_err().to_string();

        assert!(
            error.starts_with("no device named `vulcan`, did you mean `vulkan`?"),
            "{error}"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_is_not_built_in_is_refused_with_a_remedy() {
        let error = select("cuda").unwrap_err().to_string();

        assert!(
            error.contains("is not built in; this program has"),
            "{error}"
        );
        assert!(error.contains("--features cuda"), "{error}");
    }
}
