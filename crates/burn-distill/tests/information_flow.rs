//! Information flow modeling as its authors train it: an auxiliary network learns the last layer of
//! the teacher, and the student learns all layers of the auxiliary network.

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::{
    Batch, Clock, DynNetwork, Frozen, Knowledge, Network, TapSelection, Targets, Weighted,
    initialize, tensors,
};
use burn_distill::relation::{InformationFlowLossConfig, InformationFlowTerm};
use burn_distill::strategy::OfflineDistiller;

type Images = Tensor<4>;
type Net = DynNetwork<Images>;

fn network(name: &str, seed: u64) -> Net {
    let device = Device::default().autodiff();
    device.seed(seed);
    let config = NetworkConfig::by_name(name).unwrap();
    initialize(config.init([1, 8, 8], 4, &device).unwrap())
}

fn images() -> Images {
    let pixels = Tensor::arange(0..16 * 64, &Device::default().autodiff()).float();
    pixels.mul_scalar(0.7).sin().reshape([16, 1, 8, 8])
}

/// Trains a student only on the flow through these taps.
fn distil(student: Net, teacher: Net, [own, taught]: [&[&str]; 2], epochs: usize) -> Net {
    let (own, taught) = (own.iter().copied(), taught.iter().copied());
    let loss = InformationFlowLossConfig::new().init();
    let objective = Weighted::of(InformationFlowTerm::new(loss, own, taught), 1.0);
    let mut distiller = OfflineDistiller::new(student, Frozen::new(teacher.clone()), objective);
    let teacher = tensors(&teacher.valid());
    let mut optimizer = SgdConfig::new().init();
    for epoch in 1..=epochs {
        let batch = Batch {
            views: vec![images()],
            targets: Targets::Unlabeled,
            ids: (0..16).collect(),
            clock: Clock {
                epoch,
                batch: 0,
                batches: 1,
            },
        };
        let output = TrainStep::step(&distiller, batch);
        distiller = optimizer.step(0.5, distiller.clone(), output.grads);
    }
    assert_eq!(tensors(distiller.teacher.inner()), teacher);
    distiller.student
}

/// Returns the loss between the last layers of two networks, independent of the epoch.
fn apart(network: &Net, teacher: &Net, [own, taught]: [&str; 2]) -> f32 {
    let features = |network: &Net, tap: &str| {
        let network = network.valid();
        let requirements = TapSelection::named([tap]);
        let Knowledge { taps, .. } = network.forward_knowledge(images().inner(), &requirements);
        taps.expect(tap).into_vectors()
    };
    let loss = InformationFlowLossConfig::new().init();
    let loss = loss.forward_layer(features(network, own), features(teacher, taught));
    loss.into_scalar()
}

#[test]
fn a_student_learns_from_another_kind_of_teacher_through_an_auxiliary_network() {
    let teacher = network("mlp-16", 1);
    // An auxiliary network of the student's family, twice as wide.
    let (auxiliary, student) = (network("convnet-8-16", 2), network("convnet-4-8", 3));
    let last = ["pool", "hidden.1"];
    let before = apart(&auxiliary, &teacher, last);

    let pair: [&[&str]; 2] = [&last[..1], &last[1..]];
    let auxiliary = distil(auxiliary, teacher.clone(), pair, 200);
    let after = apart(&auxiliary, &teacher, last);
    assert!(after < 0.5 * before, "{before} → {after}");

    let layers: [&[&str]; 2] = [&["layer1", "layer2", "pool"]; 2];
    let before = [
        apart(&student, &auxiliary, ["layer1"; 2]),
        apart(&student, &auxiliary, ["pool"; 2]),
        apart(&student, &teacher, last),
    ];
    let student = distil(student, auxiliary.clone(), layers, 200);
    let after = [
        apart(&student, &auxiliary, ["layer1"; 2]),
        apart(&student, &auxiliary, ["pool"; 2]),
        apart(&student, &teacher, last),
    ];
    assert!(
        after
            .iter()
            .zip(&before)
            .all(|(after, before)| after < before),
        "{before:?} → {after:?}"
    );
}
