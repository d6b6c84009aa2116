//! DINO: views without labels, against the code of the authors.

use crate::networks::{conv3x3, pixels};
use crate::recording::Recording;
use crate::replay::Replay;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor};
use burn_distill::core::{ChangingWeight, MovingAverage, Network, Response, Tap, TapRecorder};
use burn_distill::strategy::{
    DinoDistiller, DinoHeadConfig, DinoNetwork, DinoObjectiveConfig, MeanTeacher, OptimizerConfig,
};

#[derive(Module, Debug)]
struct Backbone {
    conv1: Conv2d,
    conv2: Conv2d,
}

impl Network for Backbone {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let map = relu(self.conv1.forward(input));
        let pool = pixels(relu(self.conv2.forward(map)));
        taps.offer("pool", || Tap::Vector(pool.clone()));
        Response::Classes(pool)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 3, 8, 8], (device, DType::F32))
    }
}

fn network() -> DinoNetwork<Backbone> {
    let head = DinoHeadConfig::new()
        .with_d_output(10)
        .with_d_hidden(16)
        .with_d_bottleneck(8);
    let backbone = Backbone {
        conv1: conv3x3([3, 8], 1, true),
        conv2: conv3x3([8, 12], 2, true),
    };
    head.init_network(backbone, "pool")
}

fn names(name: &str) -> String {
    name.replace("head.first.", "head.mlp.0.")
        .replace("head.second.", "head.mlp.2.")
        .replace("head.bottleneck.", "head.mlp.4.")
        .replace("head.last.weight", "head.last_layer.weight_v")
}

#[test]
fn views_train_as_in_the_code_of_the_authors() {
    let recording = Recording::read("dino");
    let [student, average] =
        ["init_student", "init_teacher"].map(|prefix| recording.load_as(network(), prefix, names));
    let cosine = |from, to| ChangingWeight::Cosine {
        from,
        to,
        epochs: 3,
    };
    let mut teacher = MeanTeacher::new(&student, cosine(0.9, 1.0))
        .with_warm_up(false)
        .with_training_mode(true);
    teacher.average = MovingAverage::new(&average);
    let objective =
        DinoObjectiveConfig::new()
            .with_warm_up(2)
            .init(10, 1.0, &crate::recording::device());
    let objective = recording.widen(objective);
    let model =
        DinoDistiller::new(student, teacher, objective).with_weight_decay(cosine(0.04, 0.4));

    let replay = Replay {
        recording: &recording,
        optimizer: OptimizerConfig::AdamW {
            weight_decay: 0.0,
            decay_vectors: false,
            clip_norm: Some(0.3),
        },
        terms: &[("dino", "step_loss")],
    };
    let views = ["data_global1", "data_global2", "data_local1", "data_local2"];
    replay.run(
        model,
        |step| recording.batch(step, &views),
        |model, snapshot| {
            recording.assert_same_as(&model.student, &snapshot.name("student"), names);
            let average = model.teacher.average.inner();
            recording.assert_same_as(average, &snapshot.name("teacher"), names);
            let center = model.objective.center.get();
            recording.assert_tensor(center, &snapshot.name("state_center"));
        },
    );
}
