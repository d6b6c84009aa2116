//! Every strategy computes in double precision for a student of double precision.
//!
//! burn takes the default precision from the device, once per process, so these tests are a
//! separate program.

mod common;

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_core::{
    Batch, ChangingWeight, Clock, CrossEntropyObjective, Frozen, Network, PerTeacher, Response,
    Tap, TapObjective, TapPair, TapRecorder, initialize,
};
use burn_distill_feature::HintLossConfig;
use burn_distill_response::{ResponseObjective, SoftCrossEntropyLossConfig};
use burn_distill_strategy::{
    AdversarialDistillerConfig, Codistiller, DinoDistiller, DinoObjectiveConfig,
    DistillationOutput, DropoutDistillerConfig, EnsembleKl, EnsembleObjective, EnsembleTarget,
    GroupLeaderDistillerConfig, LastBatchDistiller, MeanTeacher, MultiExitDistiller,
    MutualDistiller, NativeEnsembleDistiller, OfflineDistiller, PastPredictions, SameClass,
    SelfDistiller,
};
use common::{at, batch, descent, labels_and_soft_targets};
use std::sync::LazyLock;

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let mut device = Device::flex();
    device
        .configure(FloatDType::F64)
        .expect("nothing was created before");
    device.autodiff()
});

/// A network with everything that strategies need: features, maps, branches, exits and a
/// classifier.
#[derive(Module, Debug)]
struct Toy {
    trunk: Param<Tensor<2>>,
    fc: Linear,
}

impl Toy {
    fn new(seed: usize) -> Self {
        let values: Vec<f64> = (0..4)
            .map(|n| (seed as f64 + 0.9 * n as f64).sin())
            .collect();
        let trunk = Tensor::<1>::from_data(values.as_slice(), &*DEVICE).reshape([1, 4]);
        initialize(Self {
            trunk: Param::from_tensor(trunk),
            fc: LinearConfig::new(4, 2).init(&DEVICE),
        })
    }
}

impl Network for Toy {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let features = input.matmul(self.trunk.val());
        let [samples, _] = features.dims();
        taps.offer("map", || {
            Tap::Map(features.clone().reshape([samples, 1, 2, 2]))
        });
        for name in ["trunk", "pool"] {
            taps.offer(name, || Tap::Vector(features.clone()));
        }
        let logits = self.fc.forward(features.clone());
        for number in 1..=3 {
            let of = || Tap::Vector(logits.clone().mul_scalar(1.0 / number as f64));
            taps.offer(format!("branch{number}"), of);
            taps.offer(format!("exit{number}"), of);
            taps.offer(format!("exit{number}.feature"), || {
                Tap::Vector(features.clone().mul_scalar(number as f64))
            });
        }
        Response::Classes(logits)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.fc.clone())
    }
}

/// A visitor that asserts that all tensors of a module have double precision.
struct IsDouble(&'static str);

impl ModuleVisitor for IsDouble {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert_eq!(param.val().dtype(), DType::F64, "{}", self.0);
    }
}

fn samples(clock: Clock) -> Batch<Tensor<2>> {
    let first = batch(&[1.0, -0.5, 0.8], &[0, 1, 2], clock, &DEVICE);
    let second = first.view().clone().mul_scalar(1.1);
    Batch {
        views: vec![first.view().clone(), second],
        ..first
    }
}

/// Takes steps in three epochs, and validates.
fn check<M>(what: &'static str, mut model: M)
where
    M: TrainStep<Input = Batch<Tensor<2>>, Output = DistillationOutput>
        + InferenceStep<Input = Batch<Tensor<2>>, Output = DistillationOutput>
        + Module,
{
    let mut optimizer = descent();
    for (epoch, index) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)] {
        let output = TrainStep::step(&model, samples(at(epoch, index)));
        let loss = output.item.loss;
        assert_eq!(loss.dtype(), DType::F64, "{what}");
        assert!(loss.into_scalar::<f64>().is_finite(), "{what}");
        model = model.optimize(&mut optimizer, 0.1.into(), output.grads);
        model.visit(&mut IsDouble(what));
    }
    let loss = InferenceStep::step(&model.valid(), samples(at(3, 1))).loss;
    assert_eq!(loss.dtype(), DType::F64, "{what}");
}

fn two<T>(of: impl Fn(usize) -> T) -> Vec<T> {
    (1..3).map(of).collect()
}

#[test]
fn offline_distillation_and_baseline() {
    let teacher = Frozen::new(Toy::new(5));
    check(
        "offline",
        OfflineDistiller::new(Toy::new(1), teacher, labels_and_soft_targets()),
    );
}

#[test]
fn self_distillation() {
    let past = PastPredictions::new(4, 2, &DEVICE);
    let soft = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
    let soft = ResponseObjective::new(soft.init(), 0.5);
    check(
        "past predictions",
        SelfDistiller::new(Toy::new(1), past, (CrossEntropyObjective::new(0.5), soft)),
    );
    let student = Toy::new(1);
    let average = MeanTeacher::new(&student, 0.9);
    check(
        "mean teacher",
        SelfDistiller::new(student, average, labels_and_soft_targets()),
    );
    check(
        "same class",
        SelfDistiller::new(Toy::new(1), SameClass::default(), labels_and_soft_targets()),
    );
    let objective = || ResponseObjective::new(labels_and_soft_targets().1.term.loss, 1.0);
    check(
        "last batch",
        LastBatchDistiller::new(Toy::new(1), 3, objective()),
    );
    let dropout = DropoutDistillerConfig::new().init(Toy::new(1), CrossEntropyObjective::new(1.0));
    check("dropout", dropout);
    let student = Toy::new(1);
    let decay = ChangingWeight::Cosine {
        from: 0.6,
        to: 1.0,
        epochs: 3,
    };
    let teacher = MeanTeacher::new(&student, decay).with_warm_up(false);
    let objective = DinoObjectiveConfig::new().init(2, 1.0, &DEVICE);
    check("dino", DinoDistiller::new(student, teacher, objective));
    let objective = || {
        let feature = TapPair::new("feature", "feature", HintLossConfig::new().init());
        (labels_and_soft_targets(), TapObjective::new([feature], 0.3))
    };
    check(
        "exits",
        MultiExitDistiller::new(Toy::new(1), two(|_| objective())),
    );
}

#[test]
fn mutual_learning() {
    let each = |_| PerTeacher::new([labels_and_soft_targets()]);
    check("mutual", MutualDistiller::new(two(Toy::new), two(each)));
    for target in [
        EnsembleTarget::Mean,
        EnsembleTarget::Naive,
        EnsembleTarget::Linear,
        EnsembleTarget::MinLogit,
        EnsembleTarget::General,
        EnsembleTarget::Others,
    ] {
        let objective = |_| EnsembleObjective::new(target, 2, labels_and_soft_targets(), &DEVICE);
        check(
            "collaborative",
            MutualDistiller::new(two(Toy::new), two(objective)),
        );
    }
    let together = |_| {
        let soft = labels_and_soft_targets().1;
        EnsembleObjective::new(EnsembleTarget::Others, 2, soft, &DEVICE)
    };
    let alone = two(|_| CrossEntropyObjective::new(1.0));
    let stale = Codistiller::new(two(Toy::new), alone, two(together)).with_schedule(1, 2);
    check("codistillation", stale);

    let objective = || (CrossEntropyObjective::new(1.0), EnsembleKl::new(3.0, 0.7));
    let branches = (0..3).map(|_| objective());
    check(
        "native ensemble",
        NativeEnsembleDistiller::new(Toy::new(1), branches),
    );
    for reference_gradients in [false, true] {
        let config = GroupLeaderDistillerConfig::new()
            .with_tap("pool".into())
            .with_reference_gradients(reference_gradients);
        let peers = (two(Toy::new), two(|_| objective()));
        check(
            "group leader",
            config.init(peers, (Toy::new(7), objective())),
        );
    }
}

#[test]
fn adversarial_feature_distillation() {
    let objectives = two(|_| CrossEntropyObjective::new(1.0));
    let config = AdversarialDistillerConfig::new();
    let model = config.init(two(Toy::new), objectives, vec!["map"; 2]);
    let model = initialize(model);
    let output = TrainStep::step(&model, samples(at(1, 0)));
    let loss = output.item.loss;
    assert_eq!(loss.dtype(), DType::F64);
    assert!(loss.into_scalar::<f64>().is_finite());
}
