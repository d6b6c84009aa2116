//! Offline distillation as burn's training loop runs it.

mod common;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::store::ModuleRecord;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use burn::train::{InferenceStep, Interrupter, LearnerModel, TrainStep};
use burn_distill_core::{
    Batch, ChangingWeight, Clock, Context, CrossEntropyObjective, EveryView, Frozen, Knowledge,
    Network, Objective, PerTeacher, RandomTeacher, Requirements, Response, Tap, TapRecorder,
    TapSelection, Targets, Teacher, Terms, tensors,
};
use burn_distill_strategy::{
    ByEpoch, Distillation, DistillationOutput, Distiller, DynDistiller, LearningRateConfig,
    MetricKind, OfflineDistiller, OptimizerConfig, Predictions, Quiet, TeacherIdentity, TrainError,
    Trained, Training,
};
use common::StopAfter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    norm: BatchNorm,
    output: Linear,
}

impl Net {
    /// Weights that depend only on `seed`, since the tests of a process share the generator of the
    /// device.
    fn new(width: usize, seed: u64, device: &Device) -> Self {
        struct Fill(f64);

        impl ModuleMapper for Fill {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                self.0 += 0.7;
                let offset = self.0;
                param.map(|tensor| {
                    let count = tensor.shape().num_elements() as i64;
                    let values = Tensor::arange(0..count, &tensor.device()).float();
                    let values = values
                        .mul_scalar(1.3)
                        .add_scalar(offset)
                        .sin()
                        .mul_scalar(0.5);
                    // Around 1, which suits scales and variances too.
                    let values = values.reshape(tensor.shape());
                    let center = if D == 1 { 1.0 } else { 0.0 };
                    values.add_scalar(center).require_grad()
                })
            }
        }

        let net = Self {
            hidden: LinearConfig::new(4, width).init(device),
            norm: BatchNormConfig::new(width).init(device),
            output: LinearConfig::new(width, 3).init(device),
        };
        net.map(&mut Fill(seed as f64))
    }
}

impl Network for Net {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let hidden = relu(self.norm.forward(self.hidden.forward(input)));
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        Response::Classes(self.output.forward(hidden))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 4], device)
    }
}

/// Squared difference of the responses, and of the means of the hidden taps.
#[derive(Module, Debug)]
struct Imitate {}

impl Objective for Imitate {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(["hidden"]),
            teacher: TapSelection::named(["hidden"]),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let mean = |knowledge: &Knowledge| match knowledge.taps.get("hidden").unwrap() {
            Tap::Vector(hidden) => hidden.clone().mean(),
            other => panic!("{}", other.kind()),
        };
        let logits = |knowledge: &Knowledge| knowledge.response.classes().unwrap().clone();
        let response = logits(context.student)
            .sub(logits(context.teacher))
            .square()
            .mean();
        let hidden = mean(context.student).sub(mean(context.teacher)).square();
        Terms::one("response", response, 0.5).and(Terms::one("hidden", hidden, 2.0))
    }
}

/// 24 samples in batches of 8, always in the same order.
struct Toy {
    device: Device,
    epoch: AtomicUsize,
}

impl Toy {
    fn loader(epoch: usize) -> Arc<dyn DataLoader<Batch<Tensor<2>>>> {
        Arc::new(Self {
            device: Device::default(),
            epoch: AtomicUsize::new(epoch),
        })
    }

    fn batch(&self, epoch: usize, batch: usize) -> Batch<Tensor<2>> {
        let ids: Vec<usize> = (batch * 8..(batch + 1) * 8).collect();
        let values: Vec<f32> = ids
            .iter()
            .flat_map(|id| (0..4).map(move |i| ((id * 4 + i) as f32 * 0.7).sin()))
            .collect();
        let classes: Vec<i32> = ids.iter().map(|id| (id % 3) as i32).collect();
        let input = Tensor::<1>::from_data(values.as_slice(), &self.device);
        Batch {
            views: vec![input.reshape([8, 4])],
            targets: Targets::classes(Tensor::from_data(classes.as_slice(), &self.device)),
            ids,
            clock: Clock {
                epoch,
                batch,
                batches: 3,
            },
        }
    }
}

struct ToyIterator<'a> {
    toy: &'a Toy,
    epoch: usize,
    batch: usize,
}

impl Iterator for ToyIterator<'_> {
    type Item = Result<Batch<Tensor<2>>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.batch < 3).then(|| {
            self.batch += 1;
            Ok(self.toy.batch(self.epoch, self.batch - 1))
        })
    }
}

impl DataLoaderIterator<Batch<Tensor<2>>> for ToyIterator<'_> {
    fn progress(&self) -> Progress {
        Progress::new(self.batch * 8, 24, None)
    }
}

impl DataLoader<Batch<Tensor<2>>> for Toy {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<Tensor<2>>> + 'a> {
        Box::new(ToyIterator {
            toy: self,
            epoch: self.epoch.fetch_add(1, Ordering::SeqCst),
            batch: 0,
        })
    }

    fn num_items(&self) -> usize {
        24
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch<Tensor<2>>>> {
        Arc::new(Self {
            device: device.clone(),
            epoch: AtomicUsize::new(self.epoch.load(Ordering::SeqCst)),
        })
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<Batch<Tensor<2>>>> {
        unimplemented!("the tests train on one device")
    }
}

type Toys = OfflineDistiller<Net, Frozen<Net>, (CrossEntropyObjective, Imitate)>;

fn distiller(teacher: &Net) -> Toys {
    let device = Device::default().autodiff();
    let student = Net::new(5, 1, &device);
    let teacher = Frozen::new(teacher.clone());
    OfflineDistiller::new(
        student,
        teacher,
        (CrossEntropyObjective::new(1.0), Imitate {}),
    )
}

fn teacher() -> Net {
    Net::new(7, 2, &Device::default().autodiff())
}

fn metrics() -> [MetricKind; 6] {
    [
        MetricKind::Loss,
        MetricKind::Term("cross-entropy".into()),
        MetricKind::Term("response".into()),
        MetricKind::Accuracy,
        MetricKind::TeacherAccuracy,
        MetricKind::Agreement,
    ]
}

fn train<M>(training: Training<M>, model: M) -> Result<Trained<M>, TrainError>
where
    M: Distiller<Tensor<2>>,
{
    train_measured(training, model, &metrics())
}

fn train_measured<M>(
    training: Training<M>,
    model: M,
    metrics: &[MetricKind],
) -> Result<Trained<M>, TrainError>
where
    M: Distiller<Tensor<2>>,
{
    let training = training
        .with_metrics(metrics.iter().cloned())
        .with_renderer(Some(ByEpoch::renderer(Quiet)));
    let optimizer = OptimizerConfig::default();
    let rate = LearningRateConfig::default();
    training.launch(model, &optimizer, &rate, (Toy::loader(1), Toy::loader(1)))
}

fn training<M: LearnerModel>(folder: &Path, epochs: usize) -> Training<M> {
    Training::new(folder, &Device::default(), epochs)
}

#[test]
fn the_teacher_is_bit_identical_after_training() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher();
    let before = tensors(&teacher);
    let distiller = distiller(&teacher);
    let student_before = tensors(&distiller.student);
    let frozen_before = tensors(distiller.teacher.inner());

    let trained = train(training(folder.path(), 3), distiller).unwrap();

    assert_eq!(tensors(&teacher), before);
    assert_eq!(tensors(trained.model.teacher.inner()), frozen_before);
    assert_eq!(frozen_before, before, "weights and running statistics");
    for (after, before) in tensors(&trained.model.student).iter().zip(&student_before) {
        assert_ne!(after, before, "the student trains, statistics too");
    }
}

#[test]
fn an_objective_may_see_several_views() {
    let toy = Toy {
        device: Device::default(),
        epoch: AtomicUsize::new(1),
    };
    let mut batch = toy.batch(1, 0);
    batch.views.push(batch.view().clone().mul_scalar(-0.5));
    let of_views = |views| {
        let OfflineDistiller {
            student, teacher, ..
        } = distiller(&teacher());
        OfflineDistiller::new(student, teacher, EveryView::new(Imitate {}, views))
    };
    let loss = |views, batch: &Batch<Tensor<2>>| {
        let output = of_views(views).valid().forward(batch);
        output.loss.into_scalar::<f32>()
    };

    let parts = [loss(1, &batch.of_view(0)), loss(1, &batch.of_view(1))];
    assert_ne!(parts[0], parts[1]);
    assert!((loss(2, &batch) - parts[0] - parts[1]).abs() < 1e-6);

    // Both train the student: the gradient is not that of the first view.
    let gradient = |views| {
        let model = of_views(views);
        let grads = model.forward(&batch).loss.backward();
        let bias = model.student.output.bias.unwrap();
        bias.val().grad(&grads).unwrap().into_data()
    };
    assert_ne!(gradient(2), gradient(1));
}

#[test]
fn checkpoints_hold_the_student_and_not_the_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let trained = train(training(folder.path(), 1), distiller(&teacher())).unwrap();

    let record = ModuleRecord::load(folder.path().join("checkpoint/model-1.bpk")).unwrap();

    assert_eq!(record.len(), tensors(&trained.model.student).len());
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    assert_resumes(distiller);
}

#[test]
fn a_weight_schedule_follows_the_epoch_in_a_resumed_validation_too() {
    assert_resumes(|teacher| {
        let ramp = ChangingWeight::Linear {
            from: 0.0,
            to: 1.0,
            epochs: 4,
        };
        let objective = (CrossEntropyObjective::new(ramp), Imitate {});
        let plain = distiller(teacher);
        OfflineDistiller::new(plain.student, plain.teacher, objective)
    });
}

#[test]
fn the_share_of_clipped_terms_follows_the_clock_of_a_resumed_training() {
    let clipped = |teacher: &Net| {
        let share = ChangingWeight::Sigmoid { to: 0.2, center: 2 };
        distiller(teacher).with_clipped(["response", "hidden"], share)
    };

    let clipped = assert_resumes(clipped);
    assert_ne!(clipped, assert_resumes(distiller));
}

#[test]
fn a_resumed_training_learns_from_the_same_random_teachers() {
    let distiller = || {
        let device = Device::default().autodiff();
        let teachers = [2, 3].map(|seed| Frozen::new(Net::new(7, seed, &device)));
        let objective = (
            CrossEntropyObjective::new(1.0),
            RandomTeacher::new([Imitate {}, Imitate {}], 5),
        );
        OfflineDistiller::new(Net::new(5, 1, &device), teachers.to_vec(), objective)
    };
    let train = |folder: &Path, epochs, resume| {
        let training = training(folder, epochs).with_resume(resume);
        let metrics = [MetricKind::Loss, MetricKind::Term("response".into())];
        let trained = train_measured(training, distiller(), &metrics).unwrap();
        tensors(&trained.model.student)
    };
    let [whole, halves] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let expected = train(whole.path(), 4, false);

    train(halves.path(), 2, false);
    assert_eq!(train(halves.path(), 4, true), expected);

    // Both teachers teach, in other batches of each epoch.
    let chosen = |epoch: usize| -> Vec<_> {
        let clocks = (0..3).map(|batch| Clock {
            epoch,
            batch,
            batches: 3,
        });
        let objective = distiller().objective.1;
        clocks.map(|clock| objective.teacher_at(&clock)).collect()
    };
    let all: Vec<_> = (1..=4).map(chosen).collect();
    assert!(all.iter().any(|epoch| *epoch != all[0]), "{all:?}");
    assert!([0, 1].iter().all(|index| all.concat().contains(index)));
}

/// Trains a distiller once without and once with an interruption, and returns the student.
fn assert_resumes(distiller: impl Fn(&Net) -> Toys) -> Vec<(String, TensorData)> {
    let [whole, halves] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let teacher = teacher();
    let expected = train(training(whole.path(), 4), distiller(&teacher)).unwrap();

    train(training(halves.path(), 2), distiller(&teacher)).unwrap();
    let resumed = training(halves.path(), 4).with_resume(true);
    // Another student, whose weights are replaced by the checkpoint.
    let mut model = distiller(&teacher);
    model.student = Net::new(5, 99, &Device::default().autodiff());
    let resumed = train(resumed, model).unwrap();

    let expected = tensors(&expected.model.student);
    assert_eq!(tensors(&resumed.model.student), expected);
    let history = |folder: &Path| std::fs::read_to_string(folder.join("history.csv")).unwrap();
    assert_eq!(history(halves.path()), history(whole.path()));
    expected
}

#[test]
fn a_stopped_training_leaves_its_last_finished_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let interrupter = Interrupter::new();
    let display = StopAfter {
        epochs: 3,
        interrupter: interrupter.clone(),
    };

    let trained = training(folder.path(), 50)
        .with_interrupter(interrupter)
        .with_renderer(Some(ByEpoch::renderer(display)))
        .launch(
            distiller(&teacher()),
            &OptimizerConfig::default(),
            &LearningRateConfig::default(),
            (Toy::loader(1), Toy::loader(1)),
        )
        .unwrap();

    assert!(trained.stopped);
    let manifest = std::fs::read_to_string(folder.path().join("checkpoint/checkpoint.json"));
    assert!(manifest.unwrap().contains("\"epoch\": 2"));
}

#[test]
fn another_teacher_is_refused_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let identity = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        Some(TeacherIdentity::of_file(path).unwrap())
    };
    let first = training(folder.path(), 1).with_teacher(identity("first.bpk"));
    train(first, distiller(&teacher())).unwrap();

    let second = training(folder.path(), 2)
        .with_teacher(identity("second.bpk"))
        .with_resume(true);
    let error = train(second, distiller(&teacher())).err().unwrap();

    assert!(error.to_string().contains("first.bpk"), "{error}");
}

#[test]
fn a_checkpoint_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    train(training(folder.path(), 1), distiller(&teacher())).unwrap();

    let mut model = distiller(&teacher());
    model.student = Net::new(6, 1, &Device::default().autodiff());
    let resumed = training(folder.path(), 2).with_resume(true);
    let error = train(resumed, model).err().unwrap();

    assert!(
        error.to_string().contains("model-1.bpk: does not fit"),
        "{error}"
    );
}

#[test]
fn the_loss_is_the_weighted_sum_of_its_terms() {
    let distiller = distiller(&teacher());
    let toy = Toy {
        device: Device::default().autodiff(),
        epoch: AtomicUsize::new(1),
    };

    let output = distiller.forward(&toy.batch(1, 0));
    let values = burn_distill_strategy::StepMetrics::read(&[output.metrics]).unwrap();

    let values = &values[0];
    let value = |name: &str| values.terms.iter().find(|term| term.0 == name).unwrap().1;
    let sum = value("cross-entropy") + 0.5 * value("response") + 2.0 * value("hidden");
    assert!((values.loss - sum).abs() < 1e-5);
    assert_eq!((values.rows, values.labeled), (8, 8));
}

#[test]
fn a_student_that_equals_its_teacher_agrees_with_it() {
    let teacher = teacher();
    let student = teacher.valid();

    let a = Predictions::of(&student, &Toy::loader(1)).unwrap();
    let b = Predictions::of(Frozen::new(teacher).inner(), &Toy::loader(1)).unwrap();

    assert_eq!(a.agreement(&b), 1.0);
    assert_eq!(a.ids, (0..24).collect::<Vec<_>>());
}

#[test]
fn a_student_trains_without_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let student = Net::new(16, 1, &Device::default().autodiff());

    let alone = OfflineDistiller::without_teacher(student, CrossEntropyObjective::new(1.0));
    let trained = train(training(folder.path(), 150), alone).unwrap();

    let accuracy = Predictions::of(&trained.model.student, &Toy::loader(1))
        .unwrap()
        .accuracy();
    assert!(accuracy > 0.9, "{accuracy}");
}

#[test]
fn patience_ends_a_training_that_no_longer_improves() {
    let folder = tempfile::tempdir().unwrap();
    let student = Net::new(5, 1, &Device::default().autodiff());
    let alone = OfflineDistiller::without_teacher(student, CrossEntropyObjective::new(1.0));

    train(training(folder.path(), 500).with_patience(Some(5)), alone).unwrap();

    let history = std::fs::read_to_string(folder.path().join("history.csv")).unwrap();
    let last = history.lines().last().unwrap().split(',').next().unwrap();
    assert!(last.parse::<usize>().unwrap() < 500, "{last}");
}

/// An objective that counts the calls of its requirements.
#[derive(Module, Debug)]
struct Counted {
    imitate: Imitate,
    #[module(skip)]
    asked: Arc<AtomicUsize>,
}

impl Objective for Counted {
    fn requirements(&self) -> Requirements {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.imitate.requirements()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        self.imitate.forward(context)
    }
}

#[test]
fn requirements_are_resolved_once_for_all_steps_of_a_distiller_and_of_a_copy() {
    let device = Device::default().autodiff();
    let asked: Arc<AtomicUsize> = Arc::default();
    let objective = Counted {
        imitate: Imitate {},
        asked: asked.clone(),
    };
    let nets = [(6, 1), (8, 2)].map(|(width, seed)| Net::new(width, seed, &device));
    let [student, teacher] = nets;
    let distiller = OfflineDistiller::new(student, Frozen::new(teacher), objective);
    let toy = Toy {
        device,
        epoch: AtomicUsize::new(0),
    };

    TrainStep::step(&distiller, toy.batch(1, 0));
    // The objective of a copy may be replaced by one with other requirements.
    let copy = distiller.valid();
    for batch in 1..3 {
        TrainStep::step(&distiller, toy.batch(1, batch));
        InferenceStep::step(&copy, toy.batch(1, batch));
    }

    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// An objective of one tap, which is offered by the networks or not.
#[derive(Module, Debug)]
struct OneTap {
    tap: Option<String>,
}

impl Objective for OneTap {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(self.tap.iter()),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let taps = self.tap.iter().map(|tap| context.student.taps.expect(tap));
        let features = taps.map(Tap::into_vectors).next();
        let features = features.unwrap_or_else(|| context.student.response.rows().logits);
        Terms::one("squares", features.square().mean(), 1.0)
    }
}

/// Returns a distiller that has taken a step without a tap, and now has an objective that requires
/// one.
fn with_replaced_objective() -> (OfflineDistiller<Net, Frozen<Net>, OneTap>, Batch<Tensor<2>>) {
    let toy = Toy {
        device: Device::default().autodiff(),
        epoch: AtomicUsize::new(0),
    };
    let OfflineDistiller {
        student, teacher, ..
    } = distiller(&teacher());
    let mut distiller = OfflineDistiller::new(student, teacher, OneTap { tap: None });
    TrainStep::step(&distiller, toy.batch(1, 0));
    distiller.objective.tap = Some("hidden".into());
    (distiller, toy.batch(1, 1))
}

#[test]
#[should_panic(
    expected = "if the objective of a distiller was replaced after its first step, \
                           create a new distiller"
)]
fn an_objective_that_is_replaced_after_the_first_step_is_refused() {
    let (distiller, batch) = with_replaced_objective();

    TrainStep::step(&distiller, batch);
}

#[test]
fn an_objective_may_be_replaced_in_a_clone() {
    let (distiller, batch) = with_replaced_objective();

    let loss = TrainStep::step(&distiller.clone(), batch).item.loss;

    assert!(loss.into_scalar::<f32>() > 0.0);
}

#[test]
fn a_teacher_of_several_computes_in_training_mode_only_if_so_configured() {
    let device = Device::default().autodiff();
    let [first, second, student] = [0.3, 1.1, 2.0].map(|seed| common::Counted::new(seed, &device));
    let statistics = second.statistics();
    let teachers = vec![
        Frozen::new(first.clone()),
        Frozen::new(second.clone()).with_training_mode(true),
    ];
    let objective = || common::labels_and_soft_targets();
    let distiller = OfflineDistiller::new(
        student,
        teachers,
        PerTeacher::new([objective(), objective()]),
    );

    let batch = |device: &Device| common::samples(common::at(1, 0), device);
    let distiller = common::step(distiller, &batch(&device));
    assert_eq!((first.asked(), second.asked()), ((0, 1), (1, 0)));
    assert_eq!(second.statistics(), statistics);

    InferenceStep::step(&distiller.valid(), batch(&Device::default()));
    assert_eq!((first.asked(), second.asked()), ((0, 1), (0, 1)));
}

#[test]
#[should_panic(expected = "is selected for the network at index 2, but there are 2 networks")]
fn taps_of_a_teacher_that_does_not_exist_are_refused() {
    let teachers: Vec<_> = [1, 2]
        .map(|seed| {
            let device = Device::default().autodiff();
            Frozen::new(Net::new(4, seed, &device))
        })
        .into();
    let toy = Toy {
        device: Device::default(),
        epoch: AtomicUsize::new(0),
    };

    teachers.teach(
        &toy.batch(1, 0),
        &TapSelection::named(["hidden"]).of_network(2),
    );
}

#[test]
fn a_dynamic_distiller_trains_as_the_one_inside() {
    let device = Device::default().autodiff();
    let nets = [(6, 1), (8, 2)].map(|(width, seed)| Net::new(width, seed, &device));
    let [student, teacher] = nets;
    let mut plain = OfflineDistiller::new(student, Frozen::new(teacher), Imitate {});
    // Not a clone, which would share running statistics.
    let mut dynamic = DynDistiller::new(plain.valid().train());
    assert_eq!(dynamic.to_string(), plain.to_string());
    let toy = Toy {
        device,
        epoch: AtomicUsize::new(0),
    };
    let optimizer = || OptimizerConfig::Adam {
        weight_decay: 0.01,
        clip_norm: None,
    };
    let (mut of_plain, mut of_dynamic) = (optimizer().init(), optimizer().init());

    for batch in 0..3 {
        let output = TrainStep::step(&plain, toy.batch(1, batch));
        plain = plain.optimize(&mut of_plain, 0.1.into(), output.grads);
        let output = TrainStep::step(&dynamic, toy.batch(1, batch));
        dynamic = dynamic.optimize(&mut of_dynamic, 0.1.into(), output.grads);
    }

    assert_eq!(tensors(&dynamic), tensors(&plain));
    let loss = |output: DistillationOutput| output.loss.into_scalar::<f32>();
    let of_plain = InferenceStep::step(&plain.valid(), toy.batch(1, 0));
    let of_dynamic = InferenceStep::step(&dynamic.valid(), toy.batch(1, 0));
    assert_eq!(loss(of_dynamic), loss(of_plain));
    type Plain = OfflineDistiller<Net, Frozen<Net>, Imitate>;
    let inside: Plain = dynamic.into_inner().unwrap();
    assert_eq!(tensors(&inside), tensors(&plain));
}
