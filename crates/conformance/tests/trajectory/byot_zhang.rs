//! Be your own teacher (BYOT): exits that are trained by the deepest one, against the later code of
//! the authors.

use crate::networks::norm;
use crate::recording::{Recording, device};
use crate::replay::{Replay, sgd};
use burn::module::Module;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor};
use burn_distill::ByotConfig;
use burn_distill::core::{Network, Response, Tap, TapRecorder, batch_norm};

#[derive(Module, Debug)]
struct Exits {
    fc: Vec<Linear>,
    bn: Vec<BatchNorm>,
    ad: Vec<Linear>,
    head: Vec<Linear>,
}

impl Exits {
    fn new() -> Self {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(&device());
        Self {
            fc: [12, 16, 16, 16].map(|inputs| linear(inputs, 16)).into(),
            bn: (0..4).map(|_| norm(16)).collect(),
            ad: (0..3).map(|_| linear(16, 16)).collect(),
            head: (0..4).map(|_| linear(16, 5)).collect(),
        }
    }
}

impl Network for Exits {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let mut hidden = input;
        let mut response = None;
        for index in 0..4 {
            let stage = self.fc[index].forward(hidden);
            hidden = relu(batch_norm(&self.bn[index], stage));
            let feature = match self.ad.get(index) {
                Some(adapter) => relu(adapter.forward(hidden.clone())),
                None => hidden.clone(),
            };
            let logits = self.head[index].forward(feature.clone());
            let exit = format!("exit{}", index + 1);
            taps.offer(format!("{exit}.feature"), || Tap::Vector(feature));
            taps.offer(exit, || Tap::Vector(logits.clone()));
            response = Some(logits);
        }
        Response::Classes(response.expect("there are exits"))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 12], (device, DType::F64))
    }
}

/// `fc.0.weight` is `fc1.weight`.
fn names(name: &str) -> String {
    let [layer, index, tensor] = name.split('.').collect::<Vec<_>>().try_into().unwrap();
    let number = index.parse::<usize>().unwrap() + 1;
    format!("{layer}{number}.{tensor}")
}

fn linear(name: &str) -> String {
    name.replace("layer.Linear.", "")
}

/// The adapters are stored from deep to shallow. The adapter of the exit next to the deepest is
/// never used.
const ADAPTERS: [&str; 2] = ["network.adaptation_layers.2", "network.adaptation_layers.1"];

#[test]
fn exits_train_as_in_the_later_code_of_the_authors() {
    let recording = Recording::read("byot_zhang");
    let network = recording.load_as(Exits::new(), "init_network", names);
    let mut model = ByotConfig::later().init(network);
    for (objective, name) in model.objectives.iter_mut().zip(ADAPTERS) {
        let pair = &mut objective.2[0].term.pairs[0];
        let prefix = format!("init_{name}");
        pair.adapter = recording.load_as(pair.adapter.clone(), &prefix, linear);
    }

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[],
    };
    replay.run(
        model,
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            recording.assert_same_as(&model.network, &snapshot.name("network"), names);
            for (objective, name) in model.objectives.iter().zip(ADAPTERS) {
                let adapter = &objective.2[0].term.pairs[0].adapter;
                recording.assert_same_as(adapter, &snapshot.name(name), linear);
            }
            assert!(model.objectives[2].2.is_empty());
        },
    );
}
