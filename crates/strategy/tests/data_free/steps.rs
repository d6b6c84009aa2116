use crate::common::{RATE, descent, softmax, terms};
use crate::tiny::{Adam, Painter, Pixels, assert_close, clipped_slope, divergence, images, logits};
use burn::module::{Module, Param};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_architecture::{ConvNet, ConvNetConfig, ImageGenerator, ImageGeneratorConfig};
use burn_distill_core::{
    Batch, ChangingWeight, Check, Clock, Network, Response, Tap, TapRecorder, Targets,
    WeightSchedule, initialize, tensors,
};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    DataFreeDistiller, DataFreeDistillerConfig, DisagreementObjective, DisagreementObjectiveConfig,
    GeneratorObjective, GeneratorOrder, Latents, OptimizerConfig, StepMetrics,
    TeacherLikeObjectiveConfig,
};

const TEACHER: [f64; 4] = [1.1, -0.7, 0.4, 0.9];
const STUDENT: [f64; 4] = [0.2, 0.3, -0.6, 0.5];
const PAINTER: [f64; 2] = [0.8, -1.3];
const LATENTS: [[f64; 3]; 2] = [[1.0, -0.4, 0.7], [-1.2, 0.5, 0.1]];

fn soft() -> ResponseObjective<SoftTargetLoss> {
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    ResponseObjective::new(soft, 1.0)
}

type Tiny<C> = DataFreeDistiller<Pixels, Pixels, Painter, C, ResponseObjective<SoftTargetLoss>>;

fn tiny<C: GeneratorObjective>(config: DataFreeDistillerConfig, objective: C) -> Tiny<C> {
    let device = Device::default().autodiff();
    let given = LATENTS.map(|row| Tensor::<1>::from_data(row, &device).reshape([3, 1]));
    config
        .init(
            (Pixels::new(STUDENT, &device), Pixels::new(TEACHER, &device)),
            (Painter::new(PAINTER, &device), objective),
            soft(),
        )
        .with_latents(Latents::Given(given.into()))
}

fn disagreement() -> DisagreementObjective {
    DisagreementObjectiveConfig::new().init()
}

fn turns(generator_steps: usize, student_steps: usize) -> DataFreeDistillerConfig {
    DataFreeDistillerConfig::new()
        .with_order(GeneratorOrder::Turns {
            generator_steps,
            student_steps,
        })
        .with_learning_rate(WeightSchedule::Constant(0.05))
}

/// Returns a pseudo batch at a position of two in an epoch.
fn pseudo(step: usize) -> Batch<Tensor<4>> {
    Batch {
        views: Vec::new(),
        targets: Targets::Unlabeled,
        ids: Vec::new(),
        clock: Clock {
            epoch: 1 + step / 2,
            batch: step % 2,
            batches: 2,
        },
    }
}

fn step<M>(model: M, batch: Batch<Tensor<4>>, optimizer: &mut ModuleOptimizer) -> M
where
    M: Module + TrainStep<Input = Batch<Tensor<4>>>,
{
    let output = TrainStep::step(&model, batch);
    model.optimize(optimizer, RATE.into(), output.grads)
}

#[test]
fn turns_agree_with_steps_computed_by_hand() {
    for (generator_steps, student_steps, clip) in [(1, 1, None), (2, 3, None), (1, 2, Some(0.05))] {
        let config = turns(generator_steps, student_steps).with_clip_norm(clip);
        // Half of the rate in the second pseudo batch of two.
        let falling = ChangingWeight::Cosine {
            from: 0.05,
            to: 0.0,
            epochs: 1,
        };
        let config = config.with_learning_rate(WeightSchedule::Changing(falling));
        let mut model = tiny(config, disagreement());
        let mut optimizer = descent();
        let (mut student, mut painter, mut adam) = (STUDENT, PAINTER, Adam::default());
        let max_norm = clip.unwrap_or(f64::MAX);

        for (number, latents) in LATENTS.iter().enumerate() {
            let what = format!("{generator_steps}, {student_steps}, {clip:?}, batch {number}");
            let output = TrainStep::step(&model, pseudo(number));
            let shown = terms(&output.item.metrics);
            let found_loss = output.item.loss.clone().into_scalar::<f64>();

            let of_generator =
                |painter: [f64; 2]| -divergence(TEACHER, student, &images(painter, latents)) / 2.0;
            assert_close(
                &[shown["generator disagreement"]],
                &[-of_generator(painter)],
                &what,
            );
            let rate = [0.05, 0.025][number];
            for _ in 0..generator_steps {
                let gradient = clipped_slope(of_generator, painter, max_norm);
                painter = adam.step(rate, painter, gradient);
            }
            let made = images(painter, latents);
            assert_close(&[found_loss], &[divergence(TEACHER, student, &made)], &what);
            for _ in 0..student_steps {
                let loss = |student: [f64; 4]| divergence(TEACHER, student, &made);
                let gradient = clipped_slope(loss, student, max_norm);
                student = std::array::from_fn(|i| student[i] - RATE * gradient[i]);
            }

            model = model.optimize(&mut optimizer, RATE.into(), output.grads);
            assert_close(&model.generator.parameters(), &painter, &what);
            assert_close(&model.student.parameters(), &student, &what);
        }
        assert_eq!(
            model.teacher.inner().parameters(),
            Pixels::new(TEACHER, &Device::default()).parameters()
        );
    }
}

/// Computes the objective of DAFL for the images of a generator.
fn teacher_like(latents: &[f64]) -> impl Fn([f64; 2]) -> f64 + '_ {
    |painter| {
        let made = images(painter, latents);
        let count = made.len() as f64;
        let predicted = made.iter().map(|&image| softmax(logits(TEACHER, image)));
        let predicted: Vec<_> = predicted.collect();
        let certain = predicted.iter().map(|p| -p[0].max(p[1]).ln()).sum::<f64>() / count;
        let mean = [0, 1].map(|class| predicted.iter().map(|p| p[class]).sum::<f64>() / count);
        let entropy: f64 = mean.iter().map(|p| p * p.log10()).sum();
        let features = made.iter().flatten().map(|pixel| pixel * pixel);
        let activation = -features.sum::<f64>() / (2.0 * count);
        0.5 * certain + 20.0 * entropy + 0.1 * activation
    }
}

#[test]
fn together_both_sides_step_by_the_same_images() {
    let config = turns(9, 9)
        .with_order(GeneratorOrder::Together {})
        .with_clip_norm(None);
    let mut model = tiny(config, TeacherLikeObjectiveConfig::new().init());
    let mut optimizer = descent();
    let (mut student, mut painter, mut adam) = (STUDENT, PAINTER, Adam::default());

    for step in 0..4 {
        let latents = &LATENTS[step % 2];
        let output = TrainStep::step(&model, pseudo(step));
        let found_loss = output.item.loss.clone().into_scalar::<f64>();
        let shown = terms(&output.item.metrics);

        let made = images(painter, latents);
        let loss = |student: [f64; 4]| divergence(TEACHER, student, &made);
        let what = format!("step {step}");
        assert_close(&[found_loss], &[loss(student)], &what);
        let shown = 0.5 * shown["generator one-hot"]
            + 20.0 * shown["generator information-entropy"]
            + 0.1 * shown["generator activation"];
        assert_close(&[shown], &[teacher_like(latents)(painter)], &what);
        let gradient = clipped_slope(loss, student, f64::MAX);
        student = std::array::from_fn(|i| student[i] - RATE * gradient[i]);
        let gradient = clipped_slope(teacher_like(latents), painter, f64::MAX);
        painter = adam.step(0.05, painter, gradient);

        model = model.optimize(&mut optimizer, RATE.into(), output.grads);
        assert_close(&model.generator.parameters(), &painter, &what);
        assert_close(&model.student.parameters(), &student, &what);
    }
}

#[test]
fn a_step_uses_nothing_of_a_batch_but_its_clock() {
    let device = Device::default().autodiff();
    let after = |batch: Batch<Tensor<4>>| {
        let model = tiny(turns(1, 2), disagreement());
        tensors(&step(model, batch, &mut descent()))
    };
    let real = |value: f64| {
        let classes = Tensor::from_data([0, 1, 1, 0], &device);
        let images = Tensor::full([4, 1, 1, 2], value, &device);
        let clock = pseudo(1).clock;
        Batch::new(images, classes)
            .with_clock(clock)
            .with_ids([0, 1, 2, 3])
    };

    let expected = after(pseudo(1));

    assert_eq!(after(real(0.5)), expected);
    assert_eq!(after(real(f64::NAN)), expected);
    assert_ne!(after(pseudo(0)), expected);
}

#[test]
fn drawn_latents_depend_on_the_seed_and_the_clock() {
    let after = |seed: u64, clock: usize| {
        let config = turns(1, 1).with_batch_size(4).with_seed(seed);
        let model = tiny(config, disagreement()).with_latents(Latents::Drawn { seed });
        tensors(&step(model, pseudo(clock), &mut descent()))
    };

    let first = after(3, 0);

    Device::default().seed(77);
    assert_eq!(after(3, 0), first);
    assert_ne!(after(4, 0), first);
    assert_ne!(after(3, 1), first);
}

fn convnet(widths: [usize; 2], device: &Device) -> ConvNet {
    initialize(ConvNetConfig::new(widths.into(), [1, 8, 8], 10).init(device))
}

fn generator(device: &Device) -> ImageGenerator {
    let config = ImageGeneratorConfig::new([1, 8, 8]);
    config.with_latents(4).with_width(4).init(device)
}

type Small<C> =
    DataFreeDistiller<ConvNet, ConvNet, ImageGenerator, C, ResponseObjective<SoftTargetLoss>>;

fn small<C: GeneratorObjective>(config: DataFreeDistillerConfig, objective: C) -> Small<C> {
    let device = Device::default().autodiff();
    config.with_batch_size(6).init(
        (convnet([3, 4], &device), convnet([5, 6], &device)),
        (generator(&device), objective),
        soft(),
    )
}

#[test]
fn the_teacher_stays_bit_identical() {
    fn check<C: GeneratorObjective>(order: GeneratorOrder, objective: C) {
        let mut model = small(turns(1, 1).with_order(order), objective);
        let before = tensors(model.teacher.inner());
        let others = (tensors(&model.student), tensors(&model.generator));
        let mut optimizer = OptimizerConfig::default().init();
        for number in 0..2 {
            model = step(model, pseudo(number), &mut optimizer);
        }
        assert_eq!(tensors(model.teacher.inner()), before);
        let model = model.valid();
        for (after, before) in [
            (tensors(&model.student), others.0),
            (tensors(&model.generator), others.1),
        ] {
            for ((name, after), (_, before)) in after.iter().zip(&before) {
                assert_ne!(after, before, "{name}");
            }
        }
    }
    let turns = GeneratorOrder::Turns {
        generator_steps: 2,
        student_steps: 2,
    };
    check(turns, disagreement());
    check(
        GeneratorOrder::Together {},
        TeacherLikeObjectiveConfig::new().init(),
    );
}

/// Returns the number of updates of a running mean that has a momentum of 1/10, by its share of the
/// initial zero. All batches have the mean `mean`.
fn updates(running_mean: f64, mean: f64) -> f64 {
    (1.0 - running_mean / mean).ln() / 0.9_f64.ln()
}

/// Takes a step without a change of a parameter, and returns the number of updates of the running
/// means of the pixels and of the first maps of the student.
fn moved<C: GeneratorObjective>(order: GeneratorOrder, objective: C) -> [usize; 2] {
    let device = Device::default().autodiff();
    let zeros = |like: &Param<Tensor<4>>| Param::from_tensor(like.val().zeros_like());
    let bias = |size| Some(Param::from_tensor(Tensor::<1>::full([size], 2.0, &device)));
    // The mean of the pixels before their normalization is the bias of the last convolution. It
    // makes images of zero, whose first maps in the student have its bias as their mean.
    let mut painter = generator(&device);
    painter.conv3.weight = zeros(&painter.conv3.weight);
    painter.conv3.bias = bias(1);
    let mut student = convnet([3, 4], &device);
    student.layer[0].conv.weight = zeros(&student.layer[0].conv.weight);
    student.layer[0].conv.bias = bias(3);
    let model = turns(1, 1)
        .with_order(order)
        .with_batch_size(4)
        .with_learning_rate(WeightSchedule::Constant(1e-12))
        .init(
            (student, convnet([5, 6], &device)),
            (painter, objective),
            soft(),
        );

    let output = TrainStep::step(&model, pseudo(0));
    let model = model.optimize(&mut descent(), 1e-12.into(), output.grads);

    let model = model.valid();
    let pixels = &model.generator.bn3.running_mean;
    let maps = &model.student.layer[0].bn.running_mean;
    [pixels, maps].map(|mean| {
        let mean: f64 = mean.value_sync().max().into_scalar();
        updates(mean, 2.0).round() as usize
    })
}

#[test]
fn running_statistics_move_in_every_pass() {
    let turns = |generator_steps, student_steps| GeneratorOrder::Turns {
        generator_steps,
        student_steps,
    };
    let teacher_like = || TeacherLikeObjectiveConfig::new().init();

    // One pass of the generator per step of either side; the student in its own steps, and in those
    // of a generator that compares it with the teacher.
    assert_eq!(moved(turns(1, 1), disagreement()), [2, 2]);
    assert_eq!(moved(turns(2, 3), disagreement()), [5, 5]);
    assert_eq!(moved(turns(2, 3), teacher_like()), [5, 3]);
    let together = GeneratorOrder::Together {};
    assert_eq!(moved(together, teacher_like()), [1, 1]);
    assert_eq!(moved(together, disagreement()), [1, 2]);
}

/// A network that panics outside of training.
#[derive(Module, Debug)]
struct InTraining {
    network: ConvNet,
}

impl Network for InTraining {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        assert!(input.device().is_autodiff(), "not in training");
        taps.offer("seen", || Tap::Map(input.clone()));
        self.network.forward_tapped(input, taps)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        self.network.example(samples, device)
    }
}

#[test]
fn the_student_is_in_training_mode_in_all_its_passes() {
    let device = Device::default().autodiff();
    let mut model = turns(2, 2).with_batch_size(4).init(
        (
            InTraining {
                network: convnet([3, 4], &device),
            },
            convnet([5, 6], &device),
        ),
        (generator(&device), disagreement()),
        soft(),
    );
    for number in 0..2 {
        model = step(model, pseudo(number), &mut descent());
    }
}

#[test]
fn the_optimizer_of_the_training_does_not_change_the_generator() {
    let after = |config: OptimizerConfig, rate: f64| {
        let model = tiny(turns(1, 1), disagreement());
        let output = TrainStep::step(&model, pseudo(0));
        let model = model.optimize(&mut config.init(), rate.into(), output.grads);
        (tensors(&model.generator), tensors(&model.student))
    };
    let decaying = OptimizerConfig::AdamW {
        weight_decay: 0.3,
        decay_vectors: true,
        clip_norm: None,
    };

    let (generator, student) = after(decaying, 0.9);
    let (same, other) = after(OptimizerConfig::default(), 0.1);

    assert_eq!(generator, same);
    assert_ne!(student, other);
}

#[test]
fn a_checkpoint_holds_the_generator_and_its_moments() {
    let device = Device::default().autodiff();
    let mut optimizer = descent();
    let model = tiny(turns(1, 2), disagreement());
    let model = step(model, pseudo(0), &mut optimizer).valid().train();

    let fresh = turns(1, 2).init(
        (
            Pixels::new([0.1, 0.2, 0.3, 0.4], &device),
            Pixels::new(TEACHER, &device),
        ),
        (Painter::new([0.4, 0.5], &device), disagreement()),
        soft(),
    );
    let given = LATENTS.map(|row| Tensor::<1>::from_data(row, &device).reshape([3, 1]));
    let fresh = fresh.with_latents(Latents::Given(given.into()));
    assert_ne!(tensors(&fresh), tensors(&model));
    let restored = fresh.load_record(model.clone().into_record());

    assert_eq!(tensors(&restored), tensors(&model));
    let [a, b] = [model, restored].map(|model| tensors(&step(model, pseudo(1), &mut descent())));
    assert_eq!(a, b);
}

#[test]
fn a_validation_evaluates_samples_and_changes_nothing() {
    let mut model = small(turns(1, 1), disagreement());
    model = step(model, pseudo(0), &mut descent());
    let before = tensors(&model.valid());
    let device = Device::default();
    let digits = Tensor::<1>::from_data(
        (0..192)
            .map(|i| (0.37 * i as f64).sin())
            .collect::<Vec<_>>()
            .as_slice(),
        &device,
    );
    let images = digits.reshape([3, 1, 8, 8]);
    let classes = Tensor::from_data([1, 2, 3], &device);
    let batch = Batch::new(images.clone(), classes).with_clock(pseudo(0).clock);

    let valid = model.valid();
    let output = InferenceStep::step(&valid, batch);

    let values = StepMetrics::read(&[output.metrics]).unwrap();
    assert_eq!(
        (values[0].rows, values[0].labeled, values[0].compared),
        (3, 3, 3)
    );
    let logits = |network: &ConvNet| {
        network
            .valid()
            .forward(images.clone())
            .classes()
            .unwrap()
            .clone()
    };
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    let expected = burn_distill_response::DistributionLoss::forward(
        &soft,
        logits(&model.student),
        logits(model.teacher.inner()),
        burn::nn::loss::Reduction::Mean,
    );
    let expected: f64 = expected.into_scalar();
    assert_close(&[values[0].loss], &[expected], "loss");
    assert_eq!(tensors(&model.valid()), before);
}

#[test]
fn pixels_without_variance_have_finite_gradients() {
    let device = Device::default().autodiff();
    let mut painter = generator(&device);
    let weight = painter.conv3.weight.val().zeros_like();
    painter.conv3.weight = Param::from_tensor(weight);
    let mut model = turns(1, 1).with_batch_size(2).init(
        (convnet([3, 4], &device), convnet([5, 6], &device)),
        (painter, disagreement()),
        soft(),
    );
    for number in 0..2 {
        model = step(model, pseudo(number), &mut descent());
    }
    for (name, data) in tensors(&model.valid()) {
        assert!(data.iter::<f32>().all(f32::is_finite), "{name}");
    }
}

#[test]
#[should_panic(expected = "train without gradient accumulation")]
fn gradients_cannot_be_accumulated() {
    let model = tiny(turns(1, 1), disagreement());
    TrainStep::step(&model, pseudo(0));
    TrainStep::step(&model, pseudo(1));
}

#[test]
fn settings_out_of_range_are_refused_with_their_range() {
    let error = |config: DataFreeDistillerConfig| config.check().unwrap_err().to_string();
    let config = DataFreeDistillerConfig::new;

    assert_eq!(
        error(config().with_batch_size(1)),
        "`batch_size` should be from 2 to 65536, but is 1"
    );
    assert_eq!(
        error(turns(0, 1)),
        "`generator_steps` should be from 1 to 65536, but is 0"
    );
    assert_eq!(
        error(turns(1, 0)),
        "`student_steps` should be from 1 to 65536, but is 0"
    );
    let negative = config().with_learning_rate(WeightSchedule::Constant(-1.0));
    assert!(error(negative).starts_with("`learning_rate"));
    assert!(error(config().with_clip_norm(Some(0.0))).starts_with("`clip_norm` should be"));
    config().check().unwrap();
}
