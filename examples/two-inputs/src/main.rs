//! Distill networks with two inputs: tokens, and a mask of the tokens that count.

use burn::data::{dataloader::batcher::Batcher, dataset::InMemDataset};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn_distill::core::impl_input;
use burn_distill::data::{ImageDataset, digits};
use burn_distill::prelude::*;
use std::error::Error;

/// The input of the networks. All fields have the same number of samples.
#[derive(Clone, Debug)]
struct Text {
    /// Shape: `[batch_size, length]`.
    tokens: Tensor<2, Int>,
    /// True for the tokens that count. Shape: `[batch_size, length]`.
    mask: Tensor<2, Bool>,
}

impl_input!(Text { tokens, mask });

/// A digit as a text of any length, the positions of its dark pixels, and its class.
type Item = (Vec<i64>, i64);

struct Texts;

impl Batcher<Item, Batch<Text>> for Texts {
    fn batch(&self, items: Vec<Item>, device: &Device) -> Batch<Text> {
        let length = items.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
        let shape = [items.len(), length];
        let token = |text: &[i64], place: usize| text.get(place).copied();
        let places = items
            .iter()
            .flat_map(|(text, _)| (0..length).map(move |place| token(text, place)));
        let places: Vec<_> = places.collect();
        let tokens = places.iter().map(|token| token.unwrap_or(0)).collect();
        let mask = places.iter().map(Option::is_some).collect();
        let classes: Vec<_> = items.iter().map(|(_, class)| *class).collect();
        let text = Text {
            tokens: Tensor::from_data(TensorData::new::<i64, _>(tokens, shape), device),
            mask: Tensor::from_data(TensorData::new::<bool, _>(mask, shape), device),
        };
        Batch::new(text, Tensor::from_data(classes.as_slice(), device))
    }
}

/// A network of two layers on the mean embedding of the tokens that count.
#[derive(Module, Debug)]
struct Net {
    embedding: Embedding,
    hidden: Linear,
    output: Linear,
}

impl Net {
    fn new(features: usize, device: &Device) -> Self {
        Self {
            embedding: EmbeddingConfig::new(64, features).init(device),
            hidden: LinearConfig::new(features, features).init(device),
            output: LinearConfig::new(features, 10).init(device),
        }
    }
}

impl Network for Net {
    type Input = Text;

    fn forward_tapped(&self, text: Text, taps: &mut TapRecorder) -> Response {
        let counts = text.mask.float().unsqueeze_dim::<3>(2);
        let embedded = self.embedding.forward(text.tokens).mul(counts.clone());
        let mean = embedded.sum_dim(1).div(counts.sum_dim(1).clamp_min(1.0));
        let hidden = relu(self.hidden.forward(mean.squeeze_dim::<2>(1)));
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        self.output.forward(hidden).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Text {
        Text {
            tokens: Tensor::zeros([samples, 4], device),
            mask: Tensor::full([samples, 4], true, device),
        }
    }
}

fn load(part: &ImageDataset) -> DatasetLoader<Item, Batch<Text>, Text> {
    let item = |&id: &usize| {
        let pixels = (0..).zip(part.pixels(id));
        let dark = pixels.filter(|(_, pixel)| **pixel > 8);
        (
            dark.map(|(place, _)| place).collect(),
            part.label(id) as i64,
        )
    };
    let items = part.ids().iter().map(item).collect();
    DatasetLoader::new(InMemDataset::new(items), Texts, 64).shuffle(0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::default();
    device.seed(0);
    let (train, test) = digits().split(0.3, 0)?;
    let (train, test) = (load(&train), load(&test));
    let optimizer = || AdamWConfig::new().init();

    let teacher =
        OfflineDistiller::without_teacher(Net::new(64, &device), CrossEntropyObjective::new(1.0));
    let training = Training::new("runs/two-inputs/teacher", &device, 20);
    let teacher = training.launch(teacher, optimizer(), 1e-2, (train.clone(), test.clone()))?;

    let student = Net::new(6, &device);
    let teacher = teacher.model.student;
    let student = OfflineDistiller::soft_targets(student, teacher.clone(), 4.0, 0.9);
    let training = Training::new("runs/two-inputs/student", &device, 20);
    let student = training.launch(student, optimizer(), 1e-2, (train, test.clone()))?;

    for (name, network) in [("teacher", teacher), ("student", student.model.student)] {
        let accuracy = Predictions::of(&network, &test)?.accuracy();
        println!("{name} {:.1} %", 100.0 * accuracy);
    }
    Ok(())
}
