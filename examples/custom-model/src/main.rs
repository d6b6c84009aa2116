//! Distill a custom network on a custom data set with few labels.
use burn::data::{dataloader::batcher::Batcher, dataset::InMemDataset};
use burn::{nn::*, optim::AdamWConfig, prelude::*, tensor::activation::relu};
use burn_distill::{data::digits, prelude::*};

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Network for Net {
    type Input = Tensor<2>;

    fn forward_tapped(&self, pixels: Tensor<2>, _: &mut TapRecorder) -> Response {
        let hidden = relu(self.hidden.forward(pixels));
        self.output.forward(hidden).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 64], device)
    }
}

type Digit = (Vec<f32>, Option<usize>); // Pixels, and the label if there is one.
struct Digits;
impl Batcher<Digit, Batch<Tensor<2>>> for Digits {
    fn batch(&self, digits: Vec<Digit>, device: &Device) -> Batch<Tensor<2>> {
        let (pixels, labels): (Vec<_>, Vec<_>) = digits.into_iter().unzip();
        let pixels = TensorData::new(pixels.concat(), [labels.len(), 64]);
        let pixels = Tensor::from_data(pixels, device);
        Batch::new(pixels, Targets::labels(&labels, device))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = digits().split(0.3, 0)?;
    let pixels = |id| train.pixels(id).iter().map(|&p| f32::from(p) / 8.0 - 1.0);
    let load = |ids: &[usize], labeled: &[usize]| {
        let label = |id| labeled.contains(&id).then(|| train.label(id));
        let digits = ids.iter().map(|&id| (pixels(id).collect(), label(id)));
        DatasetLoader::new(InMemDataset::new(digits.collect()), Digits, 64).shuffle(0)
    };
    let few = load(train.ids(), train.sample_per_class(5, 0)?.ids());
    let (all, test) = (load(train.ids(), train.ids()), load(test.ids(), test.ids()));
    let device = Device::default();
    let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(&device);
    let net = |hidden, output| Net { hidden, output };
    let net = |width| net(linear(64, width), linear(width, 10));
    let adam = AdamWConfig::new();
    let teacher = OfflineDistiller::without_teacher(net(256), CrossEntropyObjective::new(1.0));
    let training = Training::new("runs/custom-model/teacher", &device, 30);
    let teacher = training.launch(teacher, adam.init(), 3e-3, (all, test.clone()))?;
    let student = OfflineDistiller::soft_targets(net(16), teacher.model.student, 4.0, 0.9);
    let training = Training::new("runs/custom-model/student", &device, 30);
    let student = training.launch(student, adam.init(), 3e-3, (few, test.clone()))?;
    let predictions = Predictions::of(&student.model.student, &test)?;
    println!("{:.1} % accuracy", 100.0 * predictions.accuracy());
    Ok(())
}
