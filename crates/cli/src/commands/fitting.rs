//! Networks that the weights in a file fit.

use burn::tensor::Device;
use burn_distill::interchange::{Checkpoint, KeyMap, Mapping, pytorch_layout};
use burn_distill_recipe::{Architecture, InputShape, ModelRecipe, Registry, Task};
use serde::Serialize;

/// Shapes of images for which networks are tried, besides that of the command line: that of
/// ImageNet, and those of the usual small images. They matter for networks whose parameters depend
/// on the position.
const IMAGES: [[usize; 3]; 4] = [[3, 224, 224], [3, 32, 32], [1, 28, 28], [1, 32, 32]];

/// Shape of tokens for which networks are tried: that of the English BERT models.
const TOKENS: InputShape = InputShape::Tokens {
    length: 512,
    vocabulary: 30_522,
};

/// A network that the weights in a file fit.
#[derive(Serialize)]
pub struct Fit {
    /// Name of the network.
    pub model: String,
    /// Number of classes of its last layer.
    pub classes: usize,
    /// Part of the file with the network; empty if it is the whole file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
}

/// Returns the networks of a registry, and those of further names, whose keys and shapes are
/// exactly those of a file, with the number of classes of its last layer.
pub fn fitting(
    checkpoint: &Checkpoint,
    named: &[String],
    input: &InputShape,
    registry: &Registry,
) -> Vec<Fit> {
    let entries = registry
        .networks()
        .entries()
        .map(|entry| entry.name.to_string());
    let names: Vec<_> = named.iter().cloned().chain(entries).collect();
    let mut fits: Vec<Fit> = Vec::new();
    for name in &names {
        // The name of a family, such as `mlp-<width>`, is not that of a network.
        let model = ModelRecipe::from(name.as_str());
        let Ok(architecture) = registry.network(&model) else {
            continue;
        };
        let inputs = [input.clone()]
            .into_iter()
            .chain(IMAGES.map(InputShape::Image))
            .chain([TOKENS]);
        let fit = inputs
            .into_iter()
            .find_map(|input| fit(checkpoint, &*architecture, input));
        if let Some(fit) = fit
            && fits.iter().all(|other| other.model != fit.model)
        {
            fits.push(fit);
        }
    }
    fits
}

fn fit(checkpoint: &Checkpoint, architecture: &dyn Architecture, input: InputShape) -> Option<Fit> {
    let mapping = |classes| {
        let task = Task {
            input: input.clone(),
            classes,
        };
        let layout = match architecture.checkpoint(&task).ok()? {
            Some(layout) => layout,
            None => pytorch_layout(&architecture.init(&task, &Device::flex()).ok()?),
        };
        Some(Mapping::new(checkpoint, &[layout], &KeyMap::default()))
    };
    // Any number of classes will do: the file determines it.
    let classes = 10;
    let first = mapping(classes)?;
    let (mapping, classes) = match first.other_classes(classes) {
        Some(found) => (mapping(found)?, found),
        None => (first, classes),
    };
    mapping.is_complete().then(|| Fit {
        model: architecture.name(),
        classes,
        part: mapping.part,
    })
}
