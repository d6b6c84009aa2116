//! Weights of a teacher that were trained on data of the same name, in the check of a run.

mod common;

use burn_distill_experiment::{Checked, Data, check};
use burn_distill_recipe::{ArrayDataset, Notices, Registry, parse};
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
fn the_data_of_given_weights_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |split_seed: u64, weights: &str| {
        format!(
            "name = 'points'\ndata = {{ name = 'points', split_seed = {split_seed} }}\n\
             teacher = {{ model = 'line', {weights} {TRAINING} }}\n\
             student = {{ model = 'line', {TRAINING} }}\nloss = [{{ kind = 'kd' }}]"
        )
    };
    common::run(folder.path(), &recipe(0, ""), &registry(0.0)).unwrap();
    let weights = folder.path().join("run/seed-0/teacher/model.bpk");

    let checked = |first: f32, split_seed: u64| -> anyhow::Result<Checked> {
        let file = folder.path().join("again.toml");
        let text = recipe(split_seed, &format!("weights = '{}',", weights.display()));
        fs::write(&file, text)?;
        let recipe = parse(&file, &[], &registry(first))?;
        let data = Data::load(&recipe.data, &recipe.registry)?;
        check(&recipe, &data, &Notices::default())
    };

    assert!(checked(0.0, 0).unwrap().warnings().is_empty());
    let error = format!("{:#}", checked(0.0, 1).err().unwrap());
    assert!(error.starts_with("teacher.weights: "), "{error}");
    assert!(error.contains("of the test samples of this run"), "{error}");
    let other = checked(-1.0, 0).unwrap();
    let [warning] = other.warnings() else {
        panic!("one warning");
    };
    let expected =
        "these weights were trained on data of the same name, points, with other contents";
    assert!(warning.starts_with("teacher.weights: "), "{warning}");
    assert!(warning.contains(expected), "{warning}");
}
