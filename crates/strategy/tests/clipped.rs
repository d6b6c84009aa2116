//! Offline distillation in which the gradient of some terms is clipped.

mod common;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill_core::{
    Buffer, ChangingWeight, Context, CrossEntropyObjective, EveryView, Frozen, Network, Objective,
    Requirements, Terms, tensors,
};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::OfflineDistiller;
use common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, logits, samples, softmax, step, terms,
};

const STUDENT: [f64; 2] = [0.3, -0.2];
const TEACHER: [f64; 2] = [-1.0, 0.5];

type Soft = (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>);

/// Returns the cross-entropy with the labels, and soft targets at temperature 1 with a weight.
fn soft(weight: f64) -> Soft {
    let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();
    (
        CrossEntropyObjective::new(1.0),
        ResponseObjective::new(loss, weight),
    )
}

fn distiller<N: Network, O: Objective>(
    [student, teacher]: [N; 2],
    objective: O,
) -> OfflineDistiller<N, Frozen<N>, O> {
    OfflineDistiller::new(student, Frozen::new(teacher), objective)
}

fn pairs(device: &Device) -> [TwoLogits; 2] {
    [STUDENT, TEACHER].map(|weights| TwoLogits::new(weights, device))
}

fn counted(device: &Device) -> [Counted; 2] {
    [0.0, 1.0].map(|seed| Counted::new(seed, device))
}

fn sigmoid(center: usize) -> ChangingWeight {
    ChangingWeight::Sigmoid { to: 1.0, center }
}

fn length(gradient: [f64; 2]) -> f64 {
    gradient[0].hypot(gradient[1])
}

/// Returns the gradients of the student's weights for one sample with input 1 and class 0: from the
/// labels and from the teacher.
fn gradients() -> [[f64; 2]; 2] {
    let (p, q) = (softmax(STUDENT), softmax(TEACHER));
    [[p[0] - 1.0, p[1]], [p[0] - q[0], p[1] - q[1]]]
}

/// Returns the weights after a step in which the gradient from the teacher has a given norm.
fn stepped(part: f64) -> [f64; 2] {
    let [labels, teacher] = gradients();
    let scale = part / length(teacher);
    [0, 1].map(|class| STUDENT[class] - RATE * (labels[class] + scale * teacher[class]))
}

#[test]
fn a_gradient_above_the_bound_is_clipped_to_its_share_of_the_others() {
    let device = Device::default().autodiff();
    let [labels, _] = gradients();
    for (epoch, share) in [(1, 0.5), (2, 0.7310586), (40, 1.0)] {
        let model = distiller(pairs(&device), soft(100.0));
        let model = model.with_clipped(["soft-target"], sigmoid(0));

        let after = step(model, &batch(&[1.0], &[0], at(epoch, 0), &device));

        assert_close(after.student.weights(), stepped(share * length(labels)));
    }
}

#[test]
fn the_share_follows_a_sigmoid() {
    let device = Device::default().autodiff();
    let [labels, _] = gradients();
    let model = distiller(pairs(&device), soft(100.0)).with_clipped(["soft-target"], sigmoid(2));

    let after = step(model, &batch(&[1.0], &[0], at(3, 0), &device));

    assert_close(after.student.weights(), stepped(0.5 * length(labels)));
}

#[test]
fn a_gradient_below_the_bound_does_not_change() {
    let device = Device::default().autodiff();
    let [labels, teacher] = gradients();
    let weight = 0.4 * length(labels) / length(teacher);
    let model = distiller(pairs(&device), soft(weight)).with_clipped(["soft-target"], 0.5);

    let after = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

    assert_close(after.student.weights(), stepped(0.4 * length(labels)));
}

/// Returns the elements of the gradient of each parameter, in the order of the module.
fn numbers<M: Module>(gradients: &GradientsParams, module: &M) -> Vec<Option<Vec<f64>>> {
    struct Numbers<'a>(&'a GradientsParams, Vec<Option<Vec<f64>>>);

    impl ModuleVisitor for Numbers<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id);
            self.1
                .push(gradient.map(|gradient| gradient.into_data().iter().collect()));
        }
    }

    let mut numbers = Numbers(gradients, Vec::new());
    module.visit(&mut numbers);
    numbers.1
}

fn norm(numbers: impl IntoIterator<Item = f64>) -> f64 {
    numbers.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Asserts that two modules are equal up to rounding.
fn assert_same<M: Module>(one: &M, other: &M) {
    for ((name, one), (_, other)) in tensors(one).iter().zip(&tensors(other)) {
        let (one, other) = (one.iter::<f64>(), other.iter::<f64>());
        for (one, other) in one.zip(other) {
            assert!((one - other).abs() < 1e-6, "{name}: {one} is not {other}");
        }
    }
}

#[test]
fn a_bound_that_is_not_reached_changes_nothing() {
    let device = Device::default().autodiff();
    let batch = samples(at(1, 0), &device);
    let plain = distiller(counted(&device), soft(2.0));
    let clipped = distiller(counted(&device), soft(2.0)).with_clipped(["soft-target"], 1e6);

    let [plain, clipped] = [plain, clipped].map(|model| step(model, &batch));

    assert_same(&plain, &clipped);
}

#[test]
fn the_gradient_of_each_tensor_is_clipped_to_its_bound() {
    let device = Device::default().autodiff();
    let batch = samples(at(1, 0), &device);
    let gradients = |clipped: bool, weight| {
        let model = distiller(counted(&device), soft(weight));
        let model = match clipped {
            true => model.with_clipped(["soft-target"], 0.25),
            false => model,
        };
        let output = TrainStep::step(&model, batch.clone());
        let numbers = numbers(&output.grads, &model.student);
        numbers.into_iter().flatten().collect::<Vec<_>>()
    };
    let (labels, together) = (gradients(false, 0.0), gradients(false, 3.0));
    let clipped = gradients(true, 3.0);

    assert_eq!(
        labels.len(),
        3,
        "the weight, and the scale and shift after it"
    );
    for ((labels, together), clipped) in labels.iter().zip(&together).zip(&clipped) {
        let part = |sum: &[f64]| -> Vec<_> {
            sum.iter().zip(labels).map(|(sum, own)| sum - own).collect()
        };
        let (whole, part) = (part(together), part(clipped));
        let bound = 0.25 * norm(labels.iter().copied());

        let expected = norm(whole.iter().copied()).min(bound);
        assert!((norm(part.iter().copied()) - expected).abs() < 1e-5);
        // Shorter, with the same direction.
        let along: f64 = whole.iter().zip(&part).map(|(a, b)| a * b).sum();
        let lengths = norm(whole) * norm(part);
        assert!((along / lengths - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_batch_updates_running_statistics_once_and_costs_another_pass_of_the_student() {
    let device = Device::default().autodiff();
    let batch = samples(at(1, 0), &device);
    let plain = step(distiller(counted(&device), soft(2.0)), &batch);
    let clipped = distiller(counted(&device), soft(2.0)).with_clipped(["soft-target"], 0.5);

    let clipped = step(clipped, &batch);

    assert_eq!(clipped.student.asked(), (2, 0));
    assert_eq!(clipped.teacher.inner().asked(), (0, 1));
    assert_eq!(clipped.student.statistics(), plain.student.statistics());
    let fresh = counted(&device)[0].statistics();
    assert_ne!(clipped.student.statistics(), fresh);
}

#[test]
fn metrics_are_the_same_without_clipping() {
    let device = Device::default().autodiff();
    let batch = samples(at(1, 0), &device);
    let plain = distiller(counted(&device), soft(2.0));
    let clipped = distiller(counted(&device), soft(2.0)).with_clipped(["soft-target"], 0.5);

    let [plain, clipped] =
        [plain, clipped].map(|model| TrainStep::step(&model, batch.clone()).item);

    assert_eq!(terms(&plain.metrics), terms(&clipped.metrics));
    assert_eq!(
        plain.loss.into_scalar::<f32>(),
        clipped.loss.into_scalar::<f32>()
    );
}

#[test]
fn a_gradient_of_zero_stays_zero() {
    let device = Device::default().autodiff();
    let model = distiller(pairs(&device), soft(2.0)).with_clipped(["soft-target"], 0.5);

    // With an input of zero all gradients are zero.
    let after = step(model, &batch(&[0.0], &[0], at(1, 0), &device));

    assert_close(after.student.weights(), STUDENT);
}

/// Squared difference to the teacher of the scaled logits of the student, with a scale that grows
/// by batch.
#[derive(Module, Debug)]
struct Adapted {
    much: Param<Tensor<1>>,
    seen: Buffer<Tensor<1>>,
}

impl Adapted {
    fn new(device: &Device) -> Self {
        Self {
            much: Param::from_tensor(Tensor::from_data([0.5], device)),
            seen: Buffer::new(Tensor::ones([1], device)),
        }
    }
}

impl Objective for Adapted {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let [student, teacher] = [context.student, context.teacher].map(logits);
        let student = student.mul(self.much.val().unsqueeze());
        let apart = student.sub(teacher).square().sum();
        let term = apart.mul(self.seen.get());
        self.seen.set(self.seen.get().add_scalar(1.0));
        Terms::one("adapted", term, 3.0)
    }
}

#[test]
fn parameters_of_clipped_terms_only_learn_as_without_clipping() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5], &[0, 1], at(1, 0), &device);
    let model = || {
        let objective = (CrossEntropyObjective::new(1.0), Adapted::new(&device));
        distiller(pairs(&device), objective)
    };

    let plain = step(model(), &batch);
    let clipped = step(model().with_clipped(["adapted"], 0.1), &batch);

    let much = |objective: &Adapted| objective.much.val().into_scalar::<f32>();
    assert_eq!(much(&plain.objective.1), much(&clipped.objective.1));
    assert_ne!(much(&plain.objective.1), 0.5);
    assert_ne!(plain.student.weights(), clipped.student.weights());
}

#[test]
fn an_objective_stores_a_batch_once_and_clips_with_its_earlier_memory() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5], &[0, 1], at(1, 0), &device);
    let model = || {
        let objective = (CrossEntropyObjective::new(1.0), Adapted::new(&device));
        distiller(pairs(&device), objective)
    };

    let plain = step(model(), &batch);
    let clipped = step(model().with_clipped(["adapted"], 1e6), &batch);

    assert_eq!(clipped.objective.1.seen.get().into_scalar::<f32>(), 2.0);
    assert_close(clipped.student.weights(), plain.student.weights());
}

#[test]
fn both_gradients_include_every_view() {
    let device = Device::default().autodiff();
    let mut batch = samples(at(1, 0), &device);
    batch.views.push(batch.view().clone().mul_scalar(-0.5));
    let model = || distiller(counted(&device), EveryView::new(soft(2.0), 2));

    let plain = step(model(), &batch);
    let clipped = step(model().with_clipped(["soft-target"], 1e6), &batch);

    assert_eq!(clipped.student.asked(), (4, 0));
    assert_eq!(clipped.student.statistics(), plain.student.statistics());
    assert_same(&plain, &clipped);
}

#[test]
fn terms_that_are_clipped_separately_are_bound_by_the_unclipped_terms_only() {
    let device = Device::default().autodiff();
    let loss = || SoftTargetLossConfig::new().with_temperature(1.0).init();
    let another = ResponseObjective::new(loss(), 100.0).with_name("another");
    let model = distiller(pairs(&device), (soft(100.0), another))
        .with_clipped(["soft-target"], 0.5)
        .with_clipped(["another"], 0.25);
    let [labels, _] = gradients();

    let after = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

    assert_close(after.student.weights(), stepped(0.75 * length(labels)));
}

#[test]
fn terms_that_are_clipped_together_share_a_bound() {
    let device = Device::default().autodiff();
    let loss = || SoftTargetLossConfig::new().with_temperature(1.0).init();
    let another = ResponseObjective::new(loss(), 100.0).with_name("another");
    let model = distiller(pairs(&device), (soft(100.0), another))
        .with_clipped(["soft-target", "another"], 0.5);
    let [labels, _] = gradients();

    let after = step(model, &batch(&[1.0], &[0], at(1, 0), &device));

    assert_close(after.student.weights(), stepped(0.5 * length(labels)));
}

#[test]
fn frozen_parameters_of_the_student_stay_frozen() {
    let device = Device::default().autodiff();
    let frozen = || {
        let [mut student, teacher] = counted(&device);
        student.norm = student.norm.valid().freeze().train();
        [student, teacher]
    };
    let batch = samples(at(1, 0), &device);
    let model = distiller(frozen(), soft(2.0)).with_clipped(["soft-target"], 1e6);
    let before = tensors(&model.student.norm);

    let plain = step(distiller(frozen(), soft(2.0)), &batch);
    let clipped = step(model, &batch);

    assert_eq!(tensors(&clipped.student.norm), before);
    assert_same(&plain, &clipped);
}

#[test]
#[should_panic(
    expected = "The loss has no term `soft` to clip: its terms are cross-entropy, soft-target"
)]
fn unknown_terms_are_refused() {
    let device = Device::default().autodiff();
    let model = distiller(pairs(&device), soft(1.0)).with_clipped(["soft"], 0.5);

    step(model, &batch(&[1.0], &[0], at(1, 0), &device));
}

#[test]
#[should_panic(expected = "A loss needs at least one term that is not clipped")]
fn clipping_all_terms_is_refused() {
    let device = Device::default().autodiff();
    let model =
        distiller(pairs(&device), soft(1.0)).with_clipped(["soft-target", "cross-entropy"], 0.5);

    step(model, &batch(&[1.0], &[0], at(1, 0), &device));
}
