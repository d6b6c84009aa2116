use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_architecture::NormalizedFeaturesConfig;
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{
    Clock, Context, CrossEntropyObjective, Knowledge, Network, Objective, Response, Tap,
    TapRecorder, Taps, Targets, Weighted,
};
use burn_distill_feature::*;

/// Network whose features are its input.
#[derive(Module, Debug)]
struct Features {
    classifier: Linear,
}

impl Features {
    /// `weight[class, feature] = 0.5 sin(0.5 n + 0.3)` and `bias[class] = 0.1 sin(0.7 n + 0.2)`.
    fn new(features: usize, classes: usize, options: &(Device, DType)) -> Self {
        let values = |count: usize, fill: burn_distill_core::testing::Fill| {
            (0..count).map(fill).collect::<Vec<f64>>()
        };
        let weight = values(classes * features, wave(0.5, 0.5, 0.3));
        let weight = TensorData::new(weight, [classes, features]);
        let bias = TensorData::new(values(classes, wave(0.1, 0.7, 0.2)), [classes]);
        let (device, dtype) = options;
        let weight = Tensor::<2>::from_data(weight, (device, *dtype)).transpose();
        let bias = Tensor::<1>::from_data(bias, (device, *dtype));
        Self {
            classifier: Linear {
                weight: Param::from_tensor(weight),
                bias: Some(Param::from_tensor(bias)),
            },
        }
    }
}

impl Network for Features {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        taps.offer("pool", || Tap::Vector(input.clone()));
        Response::Classes(self.classifier.forward(input))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        let weight = &self.classifier.weight;
        Tensor::zeros([samples, weight.dims()[0]], (device, weight.dtype()))
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.classifier.clone())
    }
}

/// Computes the weighted loss of a batch with labels 0, 2, 4, 1.
fn loss<O: Objective>(
    network: Features,
    objective: &O,
    student: Tensor<2>,
    teacher: Tensor<2>,
) -> Tensor<1> {
    let classes = teacher.dims()[1];
    let samples = student.dims()[0];
    let labels: Vec<i32> = [0, 2, 4, 1]
        .into_iter()
        .cycle()
        .take(samples)
        .map(|label: usize| (label % classes) as i32)
        .collect();
    let device = student.device().without_autodiff();
    let targets = Targets::classes(Tensor::from_data(labels.as_slice(), &device));

    let network = NormalizedFeaturesConfig::new().init(network, "pool");
    let student = network.forward_knowledge(student, &objective.requirements().student);
    let teacher = Knowledge {
        response: Response::Classes(teacher),
        taps: Taps::default(),
    };
    let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
    objective.forward(&context).total()
}

fn trial<O: Objective>(name: &str, objective: O) -> Trial<2> {
    Trial::new(
        name,
        [4, 6],
        move |student: Tensor<2>, teacher: Tensor<2>| {
            let options = (student.device(), student.dtype());
            let network = Features::new(student.dims()[1], teacher.dims()[1], &options);
            loss(network, &objective, student, teacher)
        },
    )
    .teacher_shape([4, 5])
    .skip(
        "perfect student",
        "the student has features and the teacher logits",
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn the_weights_of_the_authors_with_labels() {
    // From the formula: the code of the authors is for MXNet.
    trial(
        "feature normalization with labels",
        (
            CrossEntropyObjective::new(1.0),
            Weighted::of(FeatureNormalization {}, 9.0),
        ),
    )
    .golden(
        wave(2.0, 0.9, 0.1),
        wave(3.0, 1.1, 0.1 + QUARTER),
        17.8573649,
        1.44829811,
    )
    .invariant(
        "a constant added to the teacher's logits",
        |student, teacher| (student, teacher.add_scalar(2.0)),
    )
    .run();
}

#[test]
fn the_norm_of_long_features_does_not_matter() {
    // From the formula, by central differences in double precision.
    trial(
        "feature normalization",
        Weighted::of(FeatureNormalization {}, 1.0),
    )
    .golden(
        wave(2.0, 0.9, 0.1),
        wave(3.0, 1.1, 0.1 + QUARTER),
        1.86145931811,
        0.156566654893,
    )
    .invariant("the norm of long features", |student, teacher| {
        (student.mul_scalar(3.0), teacher)
    })
    .run();
}

#[test]
fn both_terms_train_the_classifier() {
    let device = Device::default().autodiff();
    let tensor = |shape: [usize; 2], fill: burn_distill_core::testing::Fill| {
        let values: Vec<f64> = (0..shape[0] * shape[1]).map(fill).collect();
        Tensor::<2>::from_data(TensorData::new(values, shape), &device)
    };
    let network = Features::new(6, 5, &(device.clone(), DType::F32));
    let objective = (
        CrossEntropyObjective::new(1.0),
        Weighted::of(FeatureNormalization {}, 9.0),
    );

    let loss = loss(
        network.clone(),
        &objective,
        tensor([4, 6], wave(2.0, 0.9, 0.1)),
        tensor([4, 5], wave(3.0, 1.1, 0.1 + QUARTER)),
    );
    let grads = loss.backward();

    // From the formula, by central differences in double precision.
    let norm = |gradient: TensorData| {
        let squares = gradient.iter::<f64>().map(|value| value * value);
        squares.sum::<f64>().sqrt()
    };
    let weight = norm(network.classifier.weight.grad(&grads).unwrap().into_data());
    let bias = network.classifier.bias.as_ref().unwrap();
    let bias = norm(bias.grad(&grads).unwrap().into_data());
    assert!((weight / 7.650630986 - 1.0).abs() < 1e-4, "{weight}");
    assert!((bias / 3.692904886 - 1.0).abs() < 1e-4, "{bias}");
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&NormalizedFeaturesConfig::new());
    assert_shareable::<FeatureNormalization>();
}
