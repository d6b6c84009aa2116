//! Distill a network for tables with 64 columns of numbers, with a custom objective.

use burn::data::{dataloader::batcher::Batcher, dataset::InMemDataset};
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn_distill::core::numeric::l2_normalize;
use burn_distill::data::{ImageDataset, digits};
use burn_distill::prelude::*;
use std::error::Error;

/// A network for rows of numbers, which exposes its hidden features as a tap.
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
    type Input = Tensor<2>;

    fn forward_tapped(&self, rows: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let hidden = relu(self.hidden.forward(rows));
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        self.output.forward(hidden).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 64], device)
    }
}

/// A custom objective: the logits of student and teacher should have the same direction.
#[derive(Module, Debug)]
struct Direction {
    weight: f64,
}

impl Objective for Direction {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let unit = |knowledge: &Knowledge| l2_normalize(knowledge.response.rows().logits, 1);
        let cosine = unit(context.student).mul(unit(context.teacher)).sum_dim(1);
        let distance = cosine.mean().neg().add_scalar(1.0);
        Terms::one("direction", distance, self.weight)
    }
}

/// A row of the table, and its label if there is one.
type Row = ([f32; 64], Option<usize>);

struct Rows;

impl Batcher<Row, Batch<Tensor<2>>> for Rows {
    fn batch(&self, rows: Vec<Row>, device: &Device) -> Batch<Tensor<2>> {
        let (columns, labels): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let columns = TensorData::new(columns.concat(), [labels.len(), 64]);
        Batch::new(
            Tensor::from_data(columns, device),
            Targets::labels(&labels, device),
        )
    }
}

type Loader = DatasetLoader<Row, Batch<Tensor<2>>, Tensor<2>>;

/// Loads the digits as rows of numbers, some of which have a label.
fn load(part: &ImageDataset, labeled: &ImageDataset) -> Loader {
    let row = |&id: &usize| {
        let pixels = part.pixels(id);
        let columns = std::array::from_fn(|column| f32::from(pixels[column]) / 8.0 - 1.0);
        let known = labeled.ids().contains(&id);
        (columns, known.then(|| part.label(id)))
    };
    let rows = part.ids().iter().map(row).collect();
    DatasetLoader::new(InMemDataset::new(rows), Rows, 64).shuffle(0)
}

fn fit<M: Distiller<Tensor<2>>>(
    name: &str,
    model: M,
    data: (Loader, Loader),
) -> Result<M, Box<dyn Error>> {
    let training = Training::new(format!("runs/tabular/{name}"), &Device::default(), 30);
    let trained = training.launch(model, AdamWConfig::new().init(), 3e-3, data)?;
    Ok(trained.model)
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::default();
    device.seed(0);
    let (train, test) = digits().split(0.3, 0)?;
    let few = load(&train, &train.sample_per_class(5, 0)?);
    let (all, test) = (load(&train, &train), load(&test, &test));

    let teacher =
        OfflineDistiller::without_teacher(Net::new(256, &device), CrossEntropyObjective::new(1.0));
    let teacher = fit("teacher", teacher, (all, test.clone()))?.student;

    // The baseline starts with the initial weights of the student, and is trained on the same
    // batches.
    let student = Net::new(16, &device);
    let student = || student.clone().valid();
    let baseline = OfflineDistiller::without_teacher(student(), CrossEntropyObjective::new(1.0));
    let baseline = fit("baseline", baseline, (few.clone(), test.clone()))?.student;

    let objective = (CrossEntropyObjective::new(0.1), Direction { weight: 10.0 });
    let distilled = OfflineDistiller::new(student(), Frozen::new(teacher), objective);
    let distilled = fit("distilled", distilled, (few, test.clone()))?.student;

    for (name, student) in [("student (baseline)", baseline), ("distilled", distilled)] {
        let accuracy = Predictions::of(&student, &test)?.accuracy();
        println!("{name:<18} {:.1} %", 100.0 * accuracy);
    }
    Ok(())
}
