//! Classifies an image with an exported student, without the code that trained it.

use anyhow::{Context, Result};
use burn::tensor::Device;
use burn_distill_interchange::load;
use std::env;
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let usage = "name the folder of an exported model and an image: deploy MODEL IMAGE";
    let (folder, image) = arguments.next().zip(arguments.next()).context(usage)?;

    let model = load(folder, &Device::flex())?;
    let pixels = model.read_image(image)?;
    for class in model.classify(&pixels)?.iter().take(3) {
        println!("{:>6.2} %  {}", 100.0 * class.probability, class.class);
    }
    Ok(())
}
