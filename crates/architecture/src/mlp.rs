use crate::{NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create an [`Mlp`] using the [init function](MlpConfig::init).
#[derive(Config, Debug)]
pub struct MlpConfig {
    /// Number of features of each hidden layer, for at least one layer.
    pub hidden: Vec<usize>,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

impl MlpConfig {
    /// Creates an [`Mlp`].
    ///
    /// # Panics
    ///
    /// Panics if there is no hidden layer, or if a size is zero or above 65,536.
    pub fn init(&self, device: &Device) -> Mlp {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let linear =
            |[inputs, outputs]: [usize; 2]| LinearConfig::new(inputs, outputs).init(device);
        let (layers, output) = self.features();
        Mlp {
            hidden: layers.into_iter().map(linear).collect(),
            output: linear(output),
            input: self.input,
        }
    }

    /// Creates a [`VectorMlp`], for vectors with a feature for each value of an image of this shape.
    /// Its parameters have the names and the shapes of those of the [`Mlp`].
    ///
    /// # Panics
    ///
    /// Panics where [`init`](Self::init) does.
    pub fn init_vector(&self, device: &Device) -> VectorMlp {
        let Mlp { hidden, output, .. } = self.init(device);
        VectorMlp { hidden, output }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        self.check()?;
        let mut plan = Plan::default();
        let (layers, output) = self.features();
        for (index, features) in layers.into_iter().enumerate() {
            plan.linear(format!("hidden.{index}"), features);
        }
        plan.linear("output", output);
        Ok(plan)
    }

    /// Returns the numbers of input and output features of each hidden layer, and of the
    /// classifier.
    fn features(&self) -> (Vec<[usize; 2]>, [usize; 2]) {
        let mut inputs = self.input.iter().product();
        let layers = self
            .hidden
            .iter()
            .map(|&outputs| [std::mem::replace(&mut inputs, outputs), outputs])
            .collect();
        (layers, [inputs, self.classes])
    }

    fn check(&self) -> Result<(), NetworkError> {
        check_hidden(&self.hidden)?;
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }
}

const KIND: &str = "multilayer perceptron";

pub(crate) fn check_hidden(hidden: &[usize]) -> Result<(), NetworkError> {
    if hidden.is_empty() {
        let example = "mlp-64-32";
        return Err(NetworkError::NoWidths {
            kind: KIND,
            example,
        });
    }
    error::check_widths(hidden)
}

/// Multilayer perceptron: linear layers with ReLU between them, on the flattened image.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `hidden.1.pre`, `hidden.2.pre`, … | vector | each hidden layer before its activation |
/// | `hidden.1`, `hidden.2`, … | vector | each hidden layer after its activation |
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - taps: `[batch_size, hidden[i]]`
/// - response: `[batch_size, classes]`
///
/// # Panics
///
/// The forward pass panics if the images are not of the configured shape.
///
/// # Reference
///
/// D. Rumelhart, G. Hinton and R. Williams, [Learning Representations by Back-Propagating
/// Errors](https://doi.org/10.1038/323533a0), Nature 1986.
#[doc(alias = "perceptron")]
#[derive(Module, Debug)]
pub struct Mlp {
    /// Hidden layers.
    pub hidden: Vec<Linear>,
    /// Classifier.
    pub output: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

impl Network for Mlp {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let [channels, height, width] = self.input;
        assert_shape!(input, [_, channels, height, width]);

        forward(&self.hidden, &self.output, input.flatten(1, 3), taps)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.input;
        Tensor::zeros([samples, channels, height, width], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.output.clone())
    }
}

/// Multilayer perceptron for vectors, such as the rows of a table.
///
/// [`MlpConfig::init_vector`] creates it. Its taps are those of the [`Mlp`].
///
/// # Shapes
///
/// - input: `[batch_size, features]`
/// - taps: `[batch_size, hidden[i]]`
/// - response: `[batch_size, classes]`
///
/// # Panics
///
/// The forward pass panics if the vectors have another number of features.
#[derive(Module, Debug)]
pub struct VectorMlp {
    /// Hidden layers.
    pub hidden: Vec<Linear>,
    /// Classifier.
    pub output: Linear,
}

impl VectorMlp {
    fn features(&self) -> usize {
        let first = self.hidden.first().unwrap_or(&self.output);
        first.weight.dims()[0]
    }
}

impl Network for VectorMlp {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let features = self.features();
        assert_shape!(input, [_, features]);
        forward(&self.hidden, &self.output, input, taps)
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, self.features()], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.output.clone())
    }
}

fn forward(
    hidden: &[Linear],
    output: &Linear,
    mut features: Tensor<2>,
    taps: &mut TapRecorder,
) -> Response {
    for (layer, number) in hidden.iter().zip(1..) {
        let pre = layer.forward(features);
        taps.offer(format!("hidden.{number}.pre"), || Tap::Vector(pre.clone()));
        features = relu(pre);
        taps.offer(format!("hidden.{number}"), || Tap::Vector(features.clone()));
    }
    Response::Classes(output.forward(features))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_distill_core::{Knowledge, TapSelection, known_taps, parameter_count};

    #[test]
    fn taps_are_numbered_from_one() {
        let mlp = MlpConfig::new(vec![6, 4], [2, 3, 5], 10).init(&Device::default());

        let taps = known_taps(&mlp);
        let taps: Vec<_> = taps
            .iter()
            .map(|(name, tap)| (name, tap.shape().as_slice().to_vec()))
            .collect();
        assert_eq!(
            taps,
            [
                ("hidden.1.pre", vec![2, 6]),
                ("hidden.1", vec![2, 6]),
                ("hidden.2.pre", vec![2, 4]),
                ("hidden.2", vec![2, 4]),
            ]
        );
        assert_eq!(parameter_count(&mlp), 31 * 6 + 7 * 4 + 5 * 10);
    }

    #[test]
    fn a_tap_is_the_activation_of_its_pre() {
        let device = Device::default();
        let mlp = MlpConfig::new(vec![8], [1, 2, 2], 3).init(&device);

        let input = Tensor::arange(-2..2, &device).float().reshape([1, 1, 2, 2]);
        let knowledge = mlp.forward_knowledge(input, &TapSelection::All);

        let [pre, active] =
            ["hidden.1.pre", "hidden.1"].map(|name| match knowledge.taps.get(name).unwrap() {
                Tap::Vector(vector) => vector.clone(),
                other => panic!("{} is no vector", other.kind()),
            });
        assert!(pre.clone().lower_scalar(0.0).any().into_scalar::<bool>());
        relu(pre).into_data().assert_eq(&active.into_data(), true);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(input, [_, channels, height, width]): axis 2")]
    fn images_of_another_size_are_refused() {
        let device = Device::default();
        let mlp = MlpConfig::new(vec![6], [1, 3, 5], 10).init(&device);
        mlp.forward(Tensor::zeros([1, 1, 5, 3], &device));
    }

    #[test]
    fn a_perceptron_of_vectors_is_that_of_images_of_one_pixel() {
        let device = Device::default();
        let config = MlpConfig::new(vec![4, 3], [5, 1, 1], 2);
        let images = config.init(&device);
        let vectors = config.init_vector(&device);
        let vectors = vectors.load_record(images.clone().into_record());

        let input = Tensor::<2>::random([3, 5], Distribution::Default, &device);
        let pixels = input.clone().reshape([3, 5, 1, 1]);
        let [a, b] = [
            images.forward_knowledge(pixels, &TapSelection::All),
            vectors.forward_knowledge(input, &TapSelection::All),
        ];
        let logits = |knowledge: &Knowledge| knowledge.response.rows().logits.to_data();
        logits(&a).assert_eq(&logits(&b), true);
        let names = |knowledge: &Knowledge| -> Vec<String> {
            knowledge
                .taps
                .iter()
                .map(|(name, _)| name.to_string())
                .collect()
        };
        assert_eq!(names(&a), names(&b));
        assert_eq!(vectors.example(2, &device).dims(), [2, 5]);
        assert!(vectors.classifier().is_some());
    }

    #[test]
    #[should_panic(expected = "assert_shape!(input, [_, features]): axis 1")]
    fn vectors_of_other_features_are_refused() {
        let device = Device::default();
        let mlp = MlpConfig::new(vec![6], [4, 1, 1], 10).init_vector(&device);
        mlp.forward(Tensor::zeros([1, 5], &device));
    }

    #[test]
    #[should_panic(expected = "should have at least one width, as in `mlp-64-32`")]
    fn an_empty_list_of_hidden_layers_is_refused() {
        MlpConfig::new(vec![], [1, 3, 5], 10).init(&Device::default());
    }
}
