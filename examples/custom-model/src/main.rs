//! Distil a network of your own, on a data set of your own: five labels a class, and a teacher.

#![recursion_limit = "256"]

use burn::data::{dataloader::batcher::Batcher, dataset::InMemDataset};
use burn::{nn::*, optim::AdamWConfig, prelude::*, tensor::activation::relu};
use burn_distill::{data::digits, prelude::*};
use std::error::Error;

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Network for Net {
    type Input = Tensor<2>;

    fn forward_tapped(&self, pixels: Tensor<2>, _taps: &mut TapRecorder) -> Response {
        self.output.forward(relu(self.hidden.forward(pixels))).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 64], device)
    }
}

type Digit = (Vec<f32>, Option<usize>); // The pixels, and the label if it is known.
type Loader = DatasetLoader<Digit, Batch<Tensor<2>>, Tensor<2>>;

struct DigitBatcher;

impl Batcher<Digit, Batch<Tensor<2>>> for DigitBatcher {
    fn batch(&self, digits: Vec<Digit>, device: &Device) -> Batch<Tensor<2>> {
        let (pixels, labels): (Vec<_>, Vec<_>) = digits.into_iter().unzip();
        let pixels = TensorData::new(pixels.concat(), [labels.len(), 64]);
        Batch::new(Tensor::from_data(pixels, device), Targets::labels(&labels, device))
    }
}

fn fit<M: Distiller<Tensor<2>>>(model: M, name: &str, data: [&Loader; 2]) -> Result<M, TrainError> {
    let data = (data[0].clone(), data[1].clone());
    Training::new(format!("runs/custom-model/{name}"), &Device::default(), 30)
        .launch(model, AdamWConfig::new().init(), 3e-3, data)
        .map(|trained| trained.model)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = digits().split(0.3, 0)?;
    let few = train.few_per_class(5, 0)?;
    let load = |ids: &[usize], labeled: &[usize]| {
        let pixels = |id| train.pixels(id).iter().map(|&pixel| f32::from(pixel) / 8.0 - 1.0);
        let label = |id| labeled.contains(&id).then(|| train.label(id));
        let items = ids.iter().map(|&id| (pixels(id).collect(), label(id)));
        DatasetLoader::new(InMemDataset::new(items.collect()), DigitBatcher, 64).shuffle(0)
    };
    let net = |width, device| Net {
        hidden: LinearConfig::new(64, width).init(device),
        output: LinearConfig::new(width, 10).init(device),
    };
    let (all, few) = (load(train.ids(), train.ids()), load(train.ids(), few.ids()));
    let test = load(test.ids(), test.ids());

    let (teacher, baseline) = (OfflineDistiller::alone(net(256), Hard::new(1.0)), ...)
}
