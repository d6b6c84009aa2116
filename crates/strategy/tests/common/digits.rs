//! Small networks for a few digits, and curricula of their trainings.

use super::StopAfter;
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn::train::Interrupter;
use burn_distill_core::{
    Batch, CrossEntropyObjective, Frozen, Network, Objective, Response, Tap, TapObjective, TapPair,
    TapRecorder, initialize,
};
use burn_distill_data::{BatchLoader, digits};
use burn_distill_feature::{AttentionTransferLoss, AttentionTransferLossConfig};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    ByEpoch, Curriculum, LearningRateConfig, LrSchedule, OfflineDistiller, OptimizerConfig, Quiet,
    Stage,
};
use std::path::Path;
use std::sync::Mutex;

/// Two convolutions with running statistics, and a classifier.
#[derive(Module, Debug)]
pub struct Net {
    pub first: Conv2d,
    pub first_norm: BatchNorm,
    pub second: Conv2d,
    pub second_norm: BatchNorm,
    pub classifier: Linear,
}

impl Net {
    /// Creates a network with weights that depend only on `seed`.
    pub fn new(width: usize, seed: u64) -> Self {
        static GENERATOR: Mutex<()> = Mutex::new(());
        let _alone = GENERATOR.lock().unwrap();
        let device = Device::default().autodiff();
        device.seed(seed);
        let convolution = |channels: [usize; 2]| {
            let config = Conv2dConfig::new(channels, [3, 3]);
            config.with_padding(PaddingConfig2d::Same).init(&device)
        };
        initialize(Self {
            first: convolution([1, width]),
            first_norm: BatchNormConfig::new(width).init(&device),
            second: convolution([width, width]),
            second_norm: BatchNormConfig::new(width).init(&device),
            classifier: LinearConfig::new(width, 10).init(&device),
        })
    }
}

impl Network for Net {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let first = relu(self.first_norm.forward(self.first.forward(input)));
        taps.offer("layer1", || Tap::Map(first.clone()));
        let second = relu(self.second_norm.forward(self.second.forward(first)));
        let pooled = second.mean_dim(2).mean_dim(3).flatten(1, 3);
        Response::Classes(self.classifier.forward(pooled))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 1, 8, 8], device)
    }
}

pub fn new_student() -> Net {
    Net::new(3, 1)
}

pub fn teacher() -> Net {
    Net::new(5, 2)
}

pub type Hints = TapObjective<AttentionTransferLoss>;
pub type Soft = (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>);

pub fn hints() -> Hints {
    let loss = AttentionTransferLossConfig::new().init();
    TapObjective::new([TapPair::new("layer1", "layer1", loss)], 1000.0)
}

pub fn soft_targets() -> Soft {
    let soft = SoftTargetLossConfig::new().init();
    (
        CrossEntropyObjective::new(0.1),
        ResponseObjective::new(soft, 0.9),
    )
}

pub fn distiller<S, O>(
    student: S,
    teacher: &Net,
    objective: O,
) -> OfflineDistiller<S, Frozen<Net>, O>
where
    S: Network<Input = Tensor<4>>,
    O: Objective,
{
    OfflineDistiller::new(student, Frozen::new(teacher.clone()), objective)
}

/// Returns 48 digits in 3 steps per epoch, in an order that changes with the epoch.
pub fn loaders() -> (BatchLoader, BatchLoader) {
    let loader = |count| BatchLoader::new(digits().take(count), 16);
    let train = loader(48).shuffle(0);
    (train, loader(32))
}

/// Returns an optimizer with momentum and weight decay, whose state must start anew in a stage.
pub fn optimizer() -> OptimizerConfig {
    OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.01,
        clip_norm: None,
    }
}

pub fn rate() -> LearningRateConfig {
    LearningRateConfig {
        base_lr: 0.05,
        warm_up: 0,
        shape: LrSchedule::Cosine {},
    }
}

pub fn stage(name: &str, epochs: usize) -> Stage {
    Stage::new(name, epochs)
        .with_optimizer(optimizer())
        .with_learning_rate(rate())
}

pub fn quiet(folder: &Path) -> Curriculum {
    let curriculum = Curriculum::open(folder, &Device::default()).unwrap();
    curriculum.with_renderer(Some(ByEpoch::renderer(Quiet)))
}

/// Opens a curriculum that is stopped when a number of epochs of all stages have ended, the last of
/// which is then not saved.
pub fn stopping(folder: &Path, epochs: usize) -> Curriculum {
    let interrupter = Interrupter::new();
    let display = StopAfter {
        epochs,
        interrupter: interrupter.clone(),
    };
    Curriculum::open(folder, &Device::default())
        .unwrap()
        .with_interrupter(interrupter)
        .with_renderer(Some(ByEpoch::renderer(display)))
}

/// Returns a batch of digits, on autodiff.
pub fn batch() -> Batch<Tensor<4>> {
    let loader = BatchLoader::new(digits().take(16), 16).device(&Device::default().autodiff());
    loader.iter().next().unwrap().unwrap()
}
