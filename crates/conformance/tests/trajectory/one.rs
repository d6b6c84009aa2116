//! On-the-fly native ensemble (ONE): branches that are trained by their weighted mean, against the
//! code of the authors.

use crate::networks::{conv3x3, norm, pixels};
use crate::recording::{Recording, device};
use crate::replay::{Replay, sgd};
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor};
use burn_distill::core::{CrossEntropyObjective, Network, Response, Tap, TapRecorder, batch_norm};
use burn_distill::strategy::{EnsembleKl, NativeEnsembleDistiller};

#[derive(Module, Debug)]
struct Block {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Block {
    fn new(channels: [usize; 2]) -> Self {
        Self {
            conv: conv3x3(channels, 2, false),
            norm: norm(channels[1]),
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        relu(batch_norm(&self.norm, self.conv.forward(map)))
    }
}

#[derive(Module, Debug)]
struct Branched {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer2: Block,
    layer3: Vec<Block>,
    classifiers: Vec<Linear>,
}

impl Branched {
    fn new() -> Self {
        Self {
            conv1: conv3x3([3, 8], 1, false),
            bn1: norm(8),
            layer2: Block::new([8, 12]),
            layer3: (0..3).map(|_| Block::new([12, 16])).collect(),
            classifiers: (0..3)
                .map(|_| LinearConfig::new(16, 5).init(&device()))
                .collect(),
        }
    }
}

impl Network for Branched {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = relu(batch_norm(&self.bn1, self.conv1.forward(input)));
        let trunk = self.layer2.forward(map);
        taps.offer("trunk", || Tap::Map(trunk.clone()));
        let branches = self.layer3.iter().zip(&self.classifiers);
        let logits = branches.map(|(block, fc)| fc.forward(pixels(block.forward(trunk.clone()))));
        let logits: Vec<_> = logits.collect();
        for (number, logits) in (1..).zip(&logits) {
            taps.offer(format!("branch{number}"), || Tap::Vector(logits.clone()));
        }
        Response::Classes(logits[0].clone())
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 3, 8, 8], (device, DType::F64))
    }
}

fn names(name: &str) -> String {
    let mut name = name.replace(".conv.", ".0.").replace(".norm.", ".1.");
    for index in 0..3 {
        let number = index + 1;
        name = name.replace(&format!("layer3.{index}."), &format!("layer3_{number}."));
        let classifier = format!("classfier3_{number}.");
        name = name.replace(&format!("classifiers.{index}."), &classifier);
    }
    name
}

fn gate(name: &str) -> String {
    name.replace("fc.", "control_v1.").replace("bn.", "bn_v1.")
}

#[test]
fn branches_and_their_gate_train_as_in_the_code_of_the_authors() {
    let recording = Recording::read("one");
    let network = recording.load_as(Branched::new(), "init_network", names);
    let objective = || (CrossEntropyObjective::new(1.0), EnsembleKl::new(3.0, 1.0));
    let mut model = NativeEnsembleDistiller::new(network, [objective(), objective(), objective()]);
    model.gate = recording.load_as(model.gate, "init_network", gate);

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 1e-4),
        terms: &[],
    };
    replay.run_with(
        model,
        |step| recording.batch(step, &["data"]),
        |mut model, step| {
            let weight = recording.row("step_consistency_weight", step)[0];
            for (_, towards) in &mut model.objectives {
                towards.weight = weight.into();
            }
            model
        },
        |model, snapshot| {
            let prefix = snapshot.name("network");
            recording.assert_same_as(&model.network, &prefix, names);
            recording.assert_same_as(&model.gate, &prefix, gate);
        },
    );
}
