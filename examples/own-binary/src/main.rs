//! The command of burn-distill with a custom network, loss and data set.

use burn::{nn::*, prelude::*, tensor::activation::relu};
use burn_distill::core::{Check, numeric::l2_normalize};
use burn_distill::prelude::*;
use burn_distill_cli::{main_with, recipe::*};

/// Options of the network in a recipe: `model = { name = "perceptron", width = 64 }`.
#[derive(Config, Debug)]
struct PerceptronConfig {
    #[config(default = 8)]
    width: usize,
}

impl Check for PerceptronConfig {}

#[derive(Module, Debug)]
struct Perceptron {
    hidden: Linear,
    output: Linear,
}

impl Network for Perceptron {
    type Input = Tensor<2>;

    fn forward_tapped(&self, rows: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let hidden = relu(self.hidden.forward(rows));
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        self.output.forward(hidden).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, self.hidden.weight.dims()[0]], device)
    }
}

/// The logits of student and teacher should have the same direction.
#[derive(Module, Debug)]
struct Direction;

impl NamedLoss for Direction {
    fn name(&self) -> &'static str {
        "direction"
    }
}

impl LogitLoss for Direction {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [a, b] = [student, teacher.without_autodiff()].map(|rows| l2_normalize(rows, 1));
        a.mul(b).sum_dim(1).neg().add_scalar(1.0).squeeze_dim(1)
    }
}

/// Points on two rings, one inside the other.
fn rings() -> anyhow::Result<ArrayDataset> {
    let point = |place: usize| {
        let (ring, (sin, cos)) = (place % 2, (2.4 * place as f32).sin_cos());
        [cos, sin].map(|side| side * (1.0 + ring as f32 + 0.4 * (12.9 * place as f32).sin()))
    };
    let points = (0..600).flat_map(point).collect();
    let labels = (0..600).map(|place| place % 2).collect();
    ArrayDataset::vectors("rings", 2, points, labels, ["inner", "outer"])
}

fn main() -> std::process::ExitCode {
    main_with(
        Registry::standard()
            .with_loss(LossEntry::logits("direction", NoOptions {}, |_| Direction))
            .with_dataset("rings", |_| rings())
            .with_network("perceptron", |options, task, device| {
                let PerceptronConfig { width } = configured(&PerceptronConfig::new(), options)?;
                let parameters = (task.vector()? + task.classes) as f64 * width as f64;
                check_parameters("width", width, parameters)?;
                Ok(Perceptron {
                    hidden: LinearConfig::new(task.vector()?, width).init(device),
                    output: LinearConfig::new(width, task.classes).init(device),
                })
            }),
    )
}
