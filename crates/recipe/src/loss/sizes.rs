use super::catch::catch;
use anyhow::{Context, Result};
use burn_distill::core::Taps;

/// How many features a tap has as one vector per sample.
pub fn vector_size(taps: &Taps, name: &str) -> Result<usize> {
    let tap = taps.get(name)?.clone();
    let [_, size] =
        catch(|| tap.into_vectors().dims()).with_context(|| format!("the tap `{name}`"))?;
    Ok(size)
}

/// How many channels a tap has as a map.
pub fn channels(taps: &Taps, name: &str) -> Result<usize> {
    let tap = taps.get(name)?.clone();
    let [_, channels, ..] =
        catch(|| tap.into_map().dims()).with_context(|| format!("the tap `{name}`"))?;
    Ok(channels)
}
