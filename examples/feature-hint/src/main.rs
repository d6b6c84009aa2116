//! Distill features: a hint (FitNets) between a layer of the student and a layer of its teacher.
use burn::nn::{Linear, LinearConfig};
use burn::{optim::AdamConfig, prelude::*, tensor::activation::relu};
use burn_distill::{data::digits, prelude::*};

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Network for Net {
    type Input = Tensor<4>;

    fn forward_tapped(&self, images: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let hidden = relu(self.hidden.forward(images.flatten(1, 3)));
        taps.offer("hidden", || Tap::Vector(hidden.clone())); // The layer that is compared.
        self.output.forward(hidden).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 1, 8, 8], device)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = digits().split(0.3, 0)?;
    let train = BatchLoader::new(train, 64).shuffle(0);
    let data = (train, BatchLoader::new(test, 256));
    let device = Device::default().autodiff(); // Or the adapter would not train.
    let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(&device);
    let net = |hidden, output| Net { hidden, output };
    let net = |width| net(linear(64, width), linear(width, 10));
    let adam = AdamConfig::new();

    let teacher = OfflineDistiller::without_teacher(net(128), CrossEntropyObjective::new(1.0));
    let training = Training::new("runs/feature-hint/teacher", &device, 20);
    let trained = training.launch(teacher, adam.init(), 3e-3, data.clone())?;
    let (student, teacher) = (net(16), trained.model.student);

    // A linear layer brings the 16 features of the student to the 128 of the teacher.
    let [from, to] = [&student, &teacher].map(known_taps);
    let adapter = FeatureAdapterConfig::new(AdapterKind::Linear);
    let adapter = adapter.init(from.get("hidden")?, to.get("hidden")?, &device)?;
    let pair = TapPair::new("hidden", "hidden", HintLossConfig::new().init());
    let hint = TapObjective::new([pair.with_adapter(adapter)], 1.0);
    let objective = (CrossEntropyObjective::new(1.0), hint);

    let student = OfflineDistiller::new(student, Frozen::new(teacher), objective);
    let training = Training::new("runs/feature-hint/student", &device, 20);
    let training = training.with_metrics([MetricKind::Accuracy, MetricKind::Term("hint".into())]);
    let student = training.launch(student, adam.init(), 3e-3, data.clone())?;
    let predictions = Predictions::of(&student.model.student, &data.1)?;
    println!("{:.1} % accuracy", 100.0 * predictions.accuracy());
    Ok(())
}
