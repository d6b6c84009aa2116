//! Weights of a teacher that were trained on data of the same name.

mod common;

use burn_distill_experiment::{Data, check_given_weights};
use burn_distill_recipe::{ArrayDataset, Registry, parse};
use std::fs;

const TRAINING: &str = "training = { epochs = 1, batch_size = 16 }";

/// A registry with points on a line, the first of which is at `first`.
fn registry(first: f32) -> Registry {
    Registry::standard()
        .with_dataset("points", move |_| {
            let place = |place: u16| match place {
                0 => first,
                place => f32::from(place) / 50.0,
            };
            let places = (0..100).map(place).collect();
            let labels = (0..100).map(|place| usize::from(place >= 50)).collect();
            ArrayDataset::vectors("points", 1, places, labels, ["near", "far"])
        })
        .with_network("line", |_, task, device| {
            let output = burn::nn::LinearConfig::new(task.vector()?, task.classes);
            Ok(line::Line {
                output: output.init(device),
            })
        })
}

mod line {
    use burn::module::Module;
    use burn::nn::Linear;
    use burn::tensor::{Device, Tensor};
    use burn_distill::core::{Network, Response, TapRecorder};

    #[derive(Module, Debug)]
    pub struct Line {
        pub output: Linear,
    }

    impl Network for Line {
        type Input = Tensor<2>;

        fn forward_tapped(&self, input: Tensor<2>, _: &mut TapRecorder) -> Response {
            self.output.forward(input).into()
        }

        fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
            Tensor::zeros([samples, self.output.weight.dims()[0]], device)
        }
    }
}

#[test]
fn data_of_the_same_name_with_other_contents_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |weights: &str| {
        format!(
            "name = 'points'\ndata = {{ name = 'points' }}\n\
             teacher = {{ model = 'line', {weights} {TRAINING} }}\n\
             student = {{ model = 'line', {TRAINING} }}\nloss = [{{ kind = 'kd' }}]"
        )
    };
    common::run(folder.path(), &recipe(""), &registry(0.0)).unwrap();
    let weights = folder.path().join("run/seed-0/teacher/model.bpk");

    let warnings = |first: f32| {
        let file = folder.path().join("again.toml");
        let text = recipe(&format!("weights = '{}',", weights.display()));
        fs::write(&file, text).unwrap();
        let recipe = parse(&file, &[], &registry(first)).unwrap();
        let data = Data::load(&recipe.data, &recipe.registry).unwrap();
        check_given_weights(&recipe, &data).unwrap()
    };

    assert!(warnings(0.0).is_empty());
    let [warning] = &warnings(-1.0)[..] else {
        panic!("one warning");
    };
    let expected =
        "these weights were trained on data of the same name, points, with other contents";
    assert!(warning.starts_with("teacher.weights: "), "{warning}");
    assert!(warning.contains(expected), "{warning}");
}
