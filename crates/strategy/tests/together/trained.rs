//! Whole trainings on digits: stopped and resumed, they equal an uninterrupted one.

use burn::data::dataloader::DataLoader;
use burn::module::{Module, ModuleMapper, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Int, Tensor};
use burn::train::InferenceStep;
use burn_distill_architecture::{
    BranchedNetwork, ConvNet, ConvNetConfig, ExitChoice, MultiExitConfig, MultiExitNetwork,
};
use burn_distill_core::{
    Batch, CrossEntropyObjective, Network, PerTeacher, Response, TapObjective, TapPair, initialize,
    tensors,
};
use burn_distill_data::{BatchLoader, digits};
use burn_distill_feature::{ExitFeatureLoss, ExitFeatureLossConfig};
use burn_distill_response::{
    ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig, SoftTargetLoss,
    SoftTargetLossConfig,
};
use burn_distill_strategy::{
    AdversarialDistillerConfig, ByEpoch, Codistiller, Distiller, DropoutDistiller,
    DropoutDistillerConfig, EnsembleKl, EnsembleObjective, EnsembleTarget,
    GroupLeaderDistillerConfig, LearningRateConfig, MetricKind, MultiExitDistiller,
    MutualDistiller, NativeEnsembleDistiller, OptimizerConfig, PeerOrder, Quiet, StageArtifacts,
    Training,
};
use std::path::Path;

fn network() -> ConvNet {
    let device = Device::default().autodiff();
    initialize(ConvNetConfig::new(vec![3, 4], [1, 8, 8], 10).init(&device))
}

fn networks(count: usize) -> Vec<ConvNet> {
    (0..count).map(|_| network()).collect()
}

fn soft_target() -> (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>) {
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    (
        CrossEntropyObjective::new(1.0),
        ResponseObjective::new(soft, 1.0),
    )
}

fn towards() -> (CrossEntropyObjective, EnsembleKl) {
    (CrossEntropyObjective::new(1.0), EnsembleKl::new(3.0, 1.0))
}

/// Returns 56 digits in 4 steps per epoch, of which the last has half the samples, in an order that
/// changes with the epoch.
fn loaders() -> (BatchLoader, BatchLoader) {
    let loader = |count| BatchLoader::new(digits().take(count), 16);
    let train = loader(56).shuffle(0);
    (train, loader(32))
}

fn train<M: Distiller<Tensor<4>>>(
    folder: &Path,
    epochs: usize,
    resume: bool,
    metrics: &[&str],
    model: M,
) -> M {
    let shown = metrics
        .iter()
        .map(|name| MetricKind::Term(name.to_string()));
    let optimizer = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.01,
        clip_norm: None,
    };
    let rate = LearningRateConfig {
        base_lr: 0.05,
        ..LearningRateConfig::default()
    };
    Training::new(folder, &Device::default(), epochs)
        .with_resume(resume)
        .with_metrics(shown.chain([MetricKind::Loss, MetricKind::Accuracy]))
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(model, &optimizer, &rate, loaders())
        .unwrap()
        .model
}

/// Trains, and compares with an interrupted training with other initial values.
fn check<M>(metrics: &[&str], parts: &[&str], build: impl Fn() -> M) -> M
where
    M: Distiller<Tensor<4>> + StageArtifacts,
{
    let [whole, halves] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let start = build();
    let before = tensors(&start);
    // Copies with separate running statistics, and not new networks: all tests share the generator.
    let expected = train(whole.path(), 3, false, metrics, start.valid());

    train(halves.path(), 1, false, metrics, start.valid());
    let resumed = train(halves.path(), 3, true, metrics, build());

    assert_eq!(tensors(&resumed), tensors(&expected));
    for ((name, after), (_, before)) in tensors(&expected).iter().zip(&before) {
        assert_ne!(after, before, "{name}");
    }
    let left = expected.artifacts();
    assert!(left.iter().map(|(name, _)| name).eq(parts));
    // An objective without weights has no artifact.
    let full = |(name, record): &(String, ModuleRecord)| name == "objective" || !record.is_empty();
    assert!(left.iter().all(full));
    let history = |folder: &Path| std::fs::read_to_string(folder.join("history.csv")).unwrap();
    assert_eq!(history(halves.path()), history(whole.path()));
    expected
}

#[test]
fn mutual_learning_in_sequential_order_trains() {
    check(
        &["peer 2 soft-target", "ensemble accuracy"],
        &["peer-1", "peer-2"],
        || {
            let objective = || PerTeacher::new([soft_target()]);
            MutualDistiller::new(networks(2), vec![objective(), objective()])
                .with_order(PeerOrder::Sequential)
        },
    );
}

#[test]
fn collaborative_learning_with_general_weights_trains() {
    check(
        &["peer 1 soft-target", "ensemble accuracy"],
        &["peer-1", "peer-2"],
        || {
            let device = Device::default();
            let objective =
                || EnsembleObjective::new(EnsembleTarget::General, 2, soft_target(), &device);
            MutualDistiller::new(networks(2), vec![objective(), objective()])
        },
    );
}

#[test]
fn adversarial_feature_distillation_trains() {
    check(
        &["peer 1 generator", "peer 2 discriminator"],
        &["peer-1", "peer-2"],
        || {
            let objective = || PerTeacher::new([soft_target()]);
            let objectives = vec![objective(), objective()];
            AdversarialDistillerConfig::new().init(networks(2), objectives, ["layer2", "layer2"])
        },
    );
}

#[test]
fn distillation_with_a_group_leader_trains() {
    check(
        &["leader ensemble", "ensemble accuracy"],
        &["peer-1", "peer-2", "student"],
        || {
            let objectives = vec![towards(), towards()];
            GroupLeaderDistillerConfig::new()
                .init((networks(2), objectives), (network(), towards()))
        },
    );
}

#[test]
fn a_native_ensemble_trains() {
    let trained = check(
        &["branch 2 ensemble", "ensemble accuracy"],
        &["student", "gate"],
        || {
            let network = BranchedNetwork::new(networks(3));
            NativeEnsembleDistiller::new(network, (0..3).map(|_| towards()))
        },
    );

    // The deployed network is a plain network with the predictions of the first branch.
    let input = Tensor::<1, Int>::arange(0..128, &Device::default())
        .float()
        .sin();
    let input = input.reshape([2, 1, 8, 8]);
    let logits = |response: Response| response.rows().logits.into_data();
    let branched = &trained.network;
    let expected = logits(branched.forward(input.clone()));
    let record = branched.clone().into_record().allow_unused(true);
    let plain = network().load_record(record).valid();
    assert_eq!(logits(plain.forward(input)), expected);
}

#[test]
fn codistillation_trains() {
    // In the first epoch there is no teacher.
    check(
        &["peer 1 soft-target", "ensemble accuracy"],
        &["peer-1", "peer-2"],
        || {
            let device = Device::default();
            let soft = || {
                let soft = soft_target().1;
                EnsembleObjective::new(EnsembleTarget::Others, 2, soft, &device)
            };
            let alone = vec![
                CrossEntropyObjective::new(1.0),
                CrossEntropyObjective::new(1.0),
            ];
            Codistiller::new(networks(2), alone, vec![soft(), soft()]).with_schedule(4, 2)
        },
    );
}

/// Returns the mean loss of the training digits, in validation mode.
fn loss<M: Distiller<Tensor<4>>>(model: &M) -> f64 {
    let model = model.valid();
    // Batches of equal size, so that the mean over batches is the mean over samples.
    let batches = BatchLoader::new(digits().take(56), 14);
    let losses = batches.iter().map(|batch: Result<Batch<Tensor<4>>, _>| {
        let output = InferenceStep::step(&model, batch.unwrap());
        output.loss.into_scalar::<f64>()
    });
    losses.sum::<f64>() / 4.0
}

/// A mapper to weights that depend only on their position: the tests of a process share the
/// generator, and a training takes longer from unlucky weights.
struct Fixed(f64);

impl ModuleMapper for Fixed {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 0.7;
        let offset = self.0;
        param.map(|tensor| {
            let shape = tensor.shape();
            let places = Tensor::<1, Int>::arange(0..shape.num_elements() as i64, &tensor.device());
            let values = places.float().mul_scalar(1.3).add_scalar(offset).sin();
            // Around 1, which suits the scales of a normalization.
            let center = if D == 1 { 1.0 } else { 0.0 };
            let values = values.mul_scalar(0.5).add_scalar(center).reshape(shape);
            values.require_grad()
        })
    }
}

/// Asserts that thirty epochs reduce the loss by a given share.
fn assert_descends<M: Distiller<Tensor<4>>>(start: M) {
    let start = start.map(&mut Fixed(0.0));
    let folder = tempfile::tempdir().unwrap();
    let before = loss(&start);
    let after = loss(&train(folder.path(), 30, false, &[], start));
    assert!(after < 0.9 * before, "{after} is not less than {before}");
}

type ExitObjective = (
    CrossEntropyObjective,
    ResponseObjective<SoftCrossEntropyLoss>,
    TapObjective<ExitFeatureLoss>,
);

/// Returns the variant of the paper, except for the weight of the features, which suits a network
/// this small.
fn exits() -> MultiExitDistiller<MultiExitNetwork<ConvNet>, ExitObjective> {
    let device = Device::default().autodiff();
    let network = ConvNetConfig::new(vec![3, 4, 4], [1, 8, 8], 10);
    let network = MultiExitConfig::new().init(initialize(network.init(&device)));
    let objective = || {
        let soft = SoftCrossEntropyLossConfig::new().with_temperature(3.0);
        let feature = ExitFeatureLossConfig::new().init();
        (
            CrossEntropyObjective::new(0.9),
            ResponseObjective::new(soft.init(), 0.1),
            TapObjective::new([TapPair::new("feature", "feature", feature)], 1e-3),
        )
    };
    MultiExitDistiller::new(network, [objective(), objective()]).with_cross_entropy(0.9)
}

#[test]
fn a_multi_exit_network_trains() {
    let trained = check(
        &[
            "peer 1 soft-cross-entropy",
            "peer 2 accuracy",
            "ensemble accuracy",
        ],
        &["student", "objective"],
        exits,
    );
    assert_descends(exits());

    // A deployed exit has the predictions of the exit, and the plain network those of the deepest
    // exit.
    let input = Tensor::<1, Int>::arange(0..128, &Device::default())
        .float()
        .sin();
    let input = input.reshape([2, 1, 8, 8]);
    let logits = |response: Response| response.rows().logits.into_data();
    let network = trained.network;
    let exits = network.forward_exits(input.clone());
    let first = network.clone().deploy(ExitChoice::One(1));
    assert_eq!(logits(first.forward(input.clone())), exits[0].to_data());
    let alone = network.into_network();
    assert_eq!(logits(alone.forward(input)), exits[2].to_data());
}

#[test]
fn self_distillation_by_dropout_trains() {
    let build = || -> DropoutDistiller<ConvNet, CrossEntropyObjective> {
        DropoutDistillerConfig::new().init(network(), CrossEntropyObjective::new(1.0))
    };
    check(&["dropout"], &["student", "objective"], build);
    assert_descends(build());
}
