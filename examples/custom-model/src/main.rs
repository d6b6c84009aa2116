//! Distil a network of your own with an objective of your own.

#![recursion_limit = "256"]

use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn_distill::core::numeric::l2_normalize;
use burn_distill::data::{BatchLoader, ImageDataset, digits};
use burn_distill::prelude::*;
use std::error::Error;
use std::sync::Arc;

/// Your network: any module, which offers what it is willing to show.
#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Net {
    fn new(width: usize, device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(64, width).init(device),
            output: LinearConfig::new(width, 10).init(device),
        }
    }
}

impl Network for Net {
    type Input = Tensor<4>;

    fn forward_tapped(&self, images: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let hidden = relu(self.hidden.forward(images.flatten::<2>(1, 3)));
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        Response::Classes(self.output.forward(hidden))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 1, 8, 8], device)
    }
}

/// Your objective: the logits of student and teacher should point the same way.
#[derive(Module, Debug)]
struct Direction {
    weight: f64,
}

impl Objective for Direction {
    fn wanted(&self) -> Wanted {
        Wanted::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let unit = |knowledge: &Knowledge| l2_normalize(knowledge.response.rows().logits, 1);
        let cosine = unit(context.student).mul(unit(context.teacher)).sum_dim(1);
        Terms::one(
            "direction",
            cosine.mean().neg().add_scalar(1.0),
            self.weight,
        )
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::default();
    device.seed(0);
    let (train, test) = digits().split(0.3, 0)?;
    let few = train.few_per_class(5, 0)?; // The labels that the student knows.

    let teacher = OfflineDistiller::alone(Net::new(256, &device), Hard::new(1.0));
    let teacher = fit("teacher", teacher, &train, &train, &test, 30)?.student;

    let alone = OfflineDistiller::alone(Net::new(16, &device), Hard::new(1.0));
    let alone = fit("alone", alone, &few, &few, &test, 600)?.student; // As many steps as below.

    let objective = (Hard::new(0.1), Direction { weight: 10.0 });
    let taught = OfflineDistiller::new(Net::new(16, &device), Frozen::new(teacher), objective);
    let taught = fit("taught", taught, &train, &few, &test, 30)?.student;

    let test = BatchLoader::new(test, 256).device(&device);
    for (name, student) in [("student alone", alone), ("taught", taught)] {
        let accuracy = Predictions::of(&student, &test)?.accuracy();
        println!("{name:<14} {:.1} %", 100.0 * accuracy);
    }
    Ok(())
}

/// Train a distiller on samples of which some are labelled.
fn fit<M: Distiller<Tensor<4>>>(
    name: &str,
    model: M,
    samples: &ImageDataset,
    labelled: &ImageDataset,
    test: &ImageDataset,
    epochs: usize,
) -> Result<M, Box<dyn Error>> {
    let train = BatchLoader::new(samples.clone(), 64)
        .shuffle(0)
        .labelled(labelled.ids());
    let valid = BatchLoader::new(test.clone(), 256);
    let loaders = Loaders {
        steps_per_epoch: train.num_batches(),
        train: Box::new(|epoch| Arc::new(train.starting_at(epoch))),
        valid: Box::new(|epoch| Arc::new(valid.starting_at(epoch))),
    };
    let optimizer = OptimizerConfig::AdamW {
        weight_decay: 0.01,
        decay_vectors: true,
        clip_norm: None,
    };
    let rate = LearningRateConfig {
        peak: 0.003,
        ..Default::default()
    };
    let training = Training::new(
        format!("runs/custom-model/{name}"),
        &Device::default(),
        epochs,
    );
    Ok(training.launch(model, &optimizer, &rate, loaders)?.model)
}
