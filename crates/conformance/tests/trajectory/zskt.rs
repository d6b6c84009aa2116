//! Zero-shot knowledge transfer (ZSKT), against the code of the authors.

use crate::networks::{Conv, conv3x3, norm};
use crate::recording::{Recording, TOLERANCE, device};
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use burn::train::TrainStep;
use burn_distill::architecture::Generator;
use burn_distill::core::numeric::{Interpolation, resize_to};
use burn_distill::core::{
    Batch, ChangingWeight, Clock, PlainBatchNorm, TapObjective, TapPair, Targets, WeightSchedule,
    batch_norm,
};
use burn_distill::feature::{AttentionTransferLoss, AttentionTransferLossConfig};
use burn_distill::response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill::strategy::{
    DataFreeDistiller, DataFreeDistillerConfig, DisagreementObjective, DisagreementObjectiveConfig,
    GeneratorOrder, Latents, LearningRateConfig, LrSchedule, OptimizerConfig, StepMetrics,
};

const PSEUDO_BATCHES: usize = 3;
/// Inner steps of a pseudo batch: one of the generator and three of the student.
const INNER: usize = 4;

/// Generator of the recording.
#[derive(Module, Debug)]
struct Small {
    l1: Linear,
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: PlainBatchNorm,
}

impl Small {
    fn new() -> Self {
        Self {
            l1: LinearConfig::new(8, 64).init(&device()),
            bn1: norm(4),
            conv1: conv3x3([4, 3], 1, true),
            bn2: PlainBatchNorm::new(3, &device()),
        }
    }
}

impl Generator for Small {
    fn latents(&self) -> usize {
        8
    }

    fn generate(&self, latents: Tensor<2>) -> Tensor<4> {
        let [samples, _] = latents.dims();
        let map = self.l1.forward(latents).reshape([samples, 4, 4, 4]);
        let map = resize_to(batch_norm(&self.bn1, map), [8, 8], Interpolation::Nearest);
        self.bn2.forward(self.conv1.forward(map))
    }
}

type Objective = (
    ResponseObjective<SoftTargetLoss>,
    TapObjective<AttentionTransferLoss>,
);
type Distiller = DataFreeDistiller<Conv, Conv, Small, DisagreementObjective, Objective>;

fn distiller(recording: &Recording, student_steps: usize) -> Distiller {
    // The divergence of the authors is the mean over classes, too.
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    let soft = ResponseObjective::new(soft, 1.0 / 5.0);
    let pair = |tap| TapPair::new(tap, tap, AttentionTransferLossConfig::new().init());
    let attention = TapObjective::new(["layer1", "layer2"].map(pair), 250.0);
    let latents = recording.tensor::<3>("z");
    let latents = latents.iter_dim(0).map(|of_batch| of_batch.squeeze_dim(0));

    DataFreeDistillerConfig::new()
        .with_order(GeneratorOrder::Turns {
            generator_steps: 1,
            student_steps,
        })
        .with_learning_rate(WeightSchedule::Changing(ChangingWeight::Cosine {
            from: 1e-2,
            to: 0.0,
            epochs: 1,
        }))
        .init(
            (
                recording.load(Conv::student(), "init_student"),
                recording.load(Conv::teacher(), "init_teacher"),
            ),
            (
                recording.load(Small::new(), "init_generator"),
                DisagreementObjectiveConfig::new().init(),
            ),
            (soft, attention),
        )
        .with_latents(Latents::Given(latents.collect()))
}

/// Takes the steps of a pseudo batch, and compares the losses with those of its first inner steps.
fn pseudo_batch(
    recording: &Recording,
    model: Distiller,
    optimizer: &mut ModuleOptimizer,
    number: usize,
) -> Distiller {
    let schedule = LearningRateConfig {
        base_lr: 2e-2,
        shape: LrSchedule::Cosine {},
        ..LearningRateConfig::default()
    };
    let rate = schedule.init(1, PSEUDO_BATCHES).rate(number);
    let batch = Batch {
        views: Vec::new(),
        targets: Targets::Unlabeled,
        ids: Vec::new(),
        clock: Clock {
            epoch: 1,
            batch: number,
            batches: PSEUDO_BATCHES,
        },
    };
    let output = TrainStep::step(&model, batch);

    let [generator, student] = [0, 1].map(|inner| number * INNER + inner);
    let recorded = |tensor, step| recording.row(tensor, step)[0];
    assert!((rate - recorded("step_optimizer_lr", student)).abs() < 1e-15);
    let loss = output.item.loss.clone().into_scalar::<f64>();
    let expected = recorded("step_backward", student);
    let what = format!("loss of the student in pseudo batch {number}");
    recording.assert_values(&[loss], &[expected], &what, TOLERANCE);
    let values = StepMetrics::read(&[output.item.metrics]).unwrap();
    let mut terms = values[0].terms.iter();
    let disagreement = terms.find(|(name, _)| name == "generator disagreement");
    let expected = -recorded("step_backward", generator);
    let what = format!("disagreement in pseudo batch {number}");
    // Metrics are in single precision.
    recording.assert_values(&[disagreement.unwrap().1], &[expected], &what, 1e-5);

    model.optimize(optimizer, rate.into(), output.grads)
}

fn adam() -> ModuleOptimizer {
    OptimizerConfig::Adam {
        weight_decay: 0.0,
        clip_norm: None,
    }
    .init()
}

fn assert_state(recording: &Recording, model: &Distiller, prefix: &str) {
    assert!(recording.has_state(prefix), "{prefix}");
    let noisy = [
        "conv1.bias",
        "conv2.bias",
        "bn1.running_mean",
        "bn2.running_mean",
    ];
    let student = format!("{prefix}_student");
    recording.assert_same_but(&model.student, &student, str::to_string, &noisy);
    let generator = format!("{prefix}_generator");
    recording.assert_same_but(&model.generator, &generator, str::to_string, &noisy);
    recording.assert_same(model.teacher.inner(), &format!("{prefix}_teacher"));
}

#[test]
fn a_student_trains_without_data_as_in_the_code_of_the_authors() {
    let recording = Recording::read("zskt");
    let mut model = distiller(&recording, INNER - 1);
    let mut optimizer = adam();
    for (number, prefix) in ["step4", "step8", "final"].into_iter().enumerate() {
        model = pseudo_batch(&recording, model, &mut optimizer, number);
        assert_state(&recording, &model, prefix);
    }
}

#[test]
fn the_state_within_a_pseudo_batch_is_that_of_the_authors() {
    let recording = Recording::read("zskt");
    // One step of the generator and one of the student.
    let model = pseudo_batch(&recording, distiller(&recording, 1), &mut adam(), 0);
    assert_state(&recording, &model, "step2");
}
