use crate::wrapper::with_classifier;
use burn::config::Config;
use burn::module::{Module, Param, ParamGroup};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use burn_distill_core::{
    LossError, Network, NetworkMismatch, Response, TapRecorder, delegate_network, indices,
    initialize, known_taps,
};
use std::ops::Range;

/// Configuration to create a [`GrowingNetwork`] using the [init
/// function](GrowingNetworkConfig::init).
#[derive(Config, Debug)]
pub struct GrowingNetworkConfig {
    /// Tap whose features are the input of all heads. Default: `pool`.
    #[config(default = "\"pool\".to_string()")]
    pub tap: String,
}

impl GrowingNetworkConfig {
    /// Creates a growing network without heads from its body. The weights of the body are
    /// initialized immediately.
    ///
    /// # Panics
    ///
    /// Panics if the body does not offer the tap, or if the tap holds no features.
    pub fn init<N: Network>(&self, body: N) -> GrowingNetwork<N> {
        let built = self.try_init(body);
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates the network like [`init`](Self::init), but returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// Returns an error where `init` panics.
    pub fn try_init<N: Network>(&self, body: N) -> Result<GrowingNetwork<N>, LossError> {
        // Now, because freezing a lazy parameter would freeze its copies, too.
        let body = initialize(body);
        let features = known_taps(&body).get(&self.tap)?.vector_size()?;
        Ok(GrowingNetwork {
            body,
            tap: self.tap.clone(),
            features,
            heads: Vec::new(),
        })
    }
}

/// A network that learns tasks one after another: a body with a head, a linear layer, for the
/// classes of each task.
///
/// ```text
/// features = tap of the body
/// response = concatenation of head(features) over all heads
/// ```
///
/// The classes are in the order in which they were learned: those of the first task come first, and
/// a new [head](Self::with_head) changes no earlier column. The labels have to be in this order
/// too. A network that begins with trained classes continues with their classifier
/// [as its first head](Self::with_classifier). The original classifier stays in the body, but is
/// not used.
///
/// It offers the taps of the body.
///
/// # Example
///
/// Five classes, of which the first three are learned first:
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{GrowingNetworkConfig, NetworkConfig};
/// use burn_distill_core::Network;
///
/// let device = Device::default();
/// let body = NetworkConfig::by_name("convnet-4-8")?.init([1, 8, 8], 5, &device)?;
///
/// let first = GrowingNetworkConfig::new().init(body).with_head(3);
/// let second = first.with_head(2);
///
/// let logits = second.forward(second.example(1, &device)).rows().logits;
/// assert_eq!(logits.dims(), [1, 5]);
/// assert_eq!(second.classes_of(1), 3..5);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// Z. Li and D. Hoiem, [Learning without Forgetting](https://arxiv.org/abs/1606.09282), ECCV 2016.
/// Agrees with `LLL_Net` of FACIL.
#[derive(Module, Debug)]
pub struct GrowingNetwork<N> {
    /// Network whose features the heads share.
    pub body: N,
    /// Name of the tap of the body with these features.
    pub tap: String,
    /// Number of features.
    pub features: usize,
    /// One linear layer for each task, from the features to the logits of its classes.
    pub heads: Vec<Linear>,
}

impl<N: Network> GrowingNetwork<N> {
    /// Adds a head for a number of new classes. Its weights are drawn immediately.
    ///
    /// # Panics
    ///
    /// Panics if there are no new classes.
    pub fn with_head(self, classes: usize) -> Self {
        assert!(
            classes > 0,
            "A head is for at least one class, but the new task has none."
        );
        let device = self.body.devices().first().cloned().unwrap_or_default();
        let head = LinearConfig::new(self.features, classes).init(&device);
        self.with_layer(initialize(head))
    }

    /// Adds a given layer as the next head, such as one with trained weights.
    ///
    /// # Panics
    ///
    /// Panics if it does not take the features of the body.
    pub fn with_layer(mut self, head: Linear) -> Self {
        let [inputs, _] = head.weight.dims();
        assert_eq!(
            inputs, self.features,
            "A head should take the {} features of the tap `{}`, but takes {inputs}.",
            self.features, self.tap
        );
        self.heads.push(head);
        self
    }

    /// Adds a copy of the classifier of the body as the next head, for a body with trained classes.
    ///
    /// # Panics
    ///
    /// Panics if the body returns no classifier, or if that does not take the features of the tap.
    pub fn with_classifier(self) -> Self {
        let Some(classifier) = self.body.classifier() else {
            panic!(
                "The body has no classifier to continue with: implement `Network::classifier`, or add \
                 a new head."
            );
        };
        // With its own parameters: the layer stays in the body, too.
        let copy = Linear {
            weight: copied(&classifier.weight),
            bias: classifier.bias.as_ref().map(copied),
        };
        self.with_layer(copy)
    }

    /// Excludes all heads but the last from training. The body still learns through them.
    ///
    /// Without samples of their classes, the heads of earlier tasks would only adapt to the targets
    /// of the old network.
    pub fn with_frozen_old_heads(self) -> Self {
        let old = self.heads.len().saturating_sub(1);
        let numbers: Vec<_> = (0..old).map(|head| head.to_string()).collect();
        match numbers.is_empty() {
            true => self,
            false => self.freeze_paths(&format!(r"^heads\.({})\.", numbers.join("|"))),
        }
    }

    /// Lets normalization layers compute with their running statistics, which no longer change, as
    /// in validation. Their scales and offsets still learn. Dropout is switched off as well.
    ///
    /// The statistics of a new task would replace those of the earlier ones.
    pub fn with_fixed_statistics(self) -> Self {
        self.freeze_paths(r"(^|\.)training$")
    }

    /// Returns the body with all heads, side by side, as its classifier: a network of the original
    /// architecture. `order` has the class of each column, so that the classes are sorted again.
    ///
    /// # Errors
    ///
    /// Returns an error if the body has no classifier, or if that is of another number of features
    /// or classes than the heads.
    ///
    /// # Panics
    ///
    /// Panics if the order does not have each class once.
    pub fn into_body(self, order: &[usize]) -> Result<N, NetworkMismatch> {
        let heads = self.heads.iter();
        let (weights, biases): (Vec<_>, Vec<_>) = heads.map(weight_and_bias).unzip();
        let columns = columns(order);
        let columns = indices(&columns, &self.heads[0].weight.device());
        let weight = Tensor::cat(weights, 1).select(1, columns.clone());
        let bias = Tensor::cat(biases, 0).select(0, columns);
        with_classifier(self.body, weight, bias)
    }

    fn freeze_paths(self, pattern: &str) -> Self {
        let group = ParamGroup::from_regex(pattern).expect("The pattern is a regular expression.");
        self.freeze_group(group)
    }

    /// Returns the number of all classes.
    pub fn classes(&self) -> usize {
        self.heads.iter().map(size).sum()
    }

    /// Returns the classes of a task, counted from 0, as columns of the response.
    ///
    /// # Panics
    ///
    /// Panics if there is no such task.
    pub fn classes_of(&self, task: usize) -> Range<usize> {
        let start = self.heads[..task].iter().map(size).sum();
        start..start + size(&self.heads[task])
    }
}

/// Copies a parameter to a new one.
fn copied<const D: usize>(parameter: &Param<Tensor<D>>) -> Param<Tensor<D>> {
    let tensor = parameter.val();
    let copy = tensor.clone().without_autodiff();
    Param::from_tensor(match tensor.device().is_autodiff() {
        true => copy.autodiff(),
        false => copy,
    })
}

/// Returns the parameters of a layer as constants, with zeros for a bias that it does not have.
fn weight_and_bias(layer: &Linear) -> (Tensor<2>, Tensor<1>) {
    let weight = layer.weight.val().without_autodiff();
    let bias = match &layer.bias {
        Some(bias) => bias.val().without_autodiff(),
        None => Tensor::zeros([size(layer)], (&weight.device(), weight.dtype())),
    };
    (weight, bias)
}

/// Returns the column of each class, given the class of each column.
fn columns(order: &[usize]) -> Vec<usize> {
    let column = |class| order.iter().position(|&other| other == class);
    let classes = 0..order.len();
    let columns = classes.map(|class| {
        column(class).unwrap_or_else(|| {
            panic!(
                "An order of {} classes should have each of them once, but {class} is missing.",
                order.len()
            )
        })
    });
    columns.collect()
}

fn size(head: &Linear) -> usize {
    head.weight.dims()[1]
}

/// # Panics
///
/// The forward pass panics if there is no head.
impl<N: Network> Network for GrowingNetwork<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        assert!(
            !self.heads.is_empty(),
            "A growing network needs a head for its first task: add it by `with_head`."
        );
        let forward = |taps: &mut TapRecorder| self.body.forward_tapped(input, taps);
        let (_, features) = taps.capture(&self.tap, forward);
        let features = features.into_vectors();
        let heads = self.heads.iter();
        let logits: Vec<Tensor<2>> = heads.map(|head| head.forward(features.clone())).collect();
        Response::Classes(Tensor::cat(logits, 1))
    }

    delegate_network!(body: example, normalization, deployed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Distribution, Tolerance};
    use burn_distill_core::{DynNetwork, tensors};

    fn body(name: &str, device: &Device) -> DynNetwork<Tensor<4>> {
        let config = NetworkConfig::by_name(name).unwrap();
        config.init([1, 8, 8], 3, device).unwrap()
    }

    fn images(device: &Device) -> Tensor<4> {
        Tensor::random([4, 1, 8, 8], Distribution::Default, device)
    }

    fn logits(network: &impl Network<Input = Tensor<4>>, input: &Tensor<4>) -> Tensor<2> {
        network.forward(input.clone()).rows().logits
    }

    #[test]
    fn a_new_head_changes_no_earlier_column() {
        let device = Device::default();
        let input = images(&device);
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
        let first = network.with_head(3);
        let before = logits(&first, &input);

        let second = first.with_head(2);

        let all = logits(&second, &input);
        assert_eq!(all.dims(), [4, 5]);
        all.narrow(1, 0, 3)
            .into_data()
            .assert_eq(&before.into_data(), true);
        assert_eq!([second.classes_of(0), second.classes_of(1)], [0..3, 3..5]);
        assert_eq!(second.classes(), 5);
    }

    #[test]
    fn the_trained_classifier_is_continued() {
        let device = Device::default();
        let input = images(&device);
        let body = body("convnet-4-8", &device);
        let expected = logits(&body, &input);

        let network = GrowingNetworkConfig::new().init(body).with_classifier();

        logits(&network, &input)
            .into_data()
            .assert_eq(&expected.into_data(), true);
        // The copy has its own identity, so that the two are trained and saved apart.
        let classifier = network.body.classifier().unwrap();
        assert_ne!(network.heads[0].weight.id, classifier.weight.id);
    }

    #[test]
    fn the_body_learns_through_frozen_old_heads() {
        let device = Device::default().autodiff();
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
        let network = network.with_head(3).with_head(2);
        let trained = network.clone();
        let network = network.with_frozen_old_heads();

        let old = logits(&network, &images(&device)).narrow(1, 0, 3);
        let grads = old.square().sum().backward();

        assert!(network.heads[0].weight.grad(&grads).is_none());
        let gradients = GradientsParams::from_grads(grads, &network.body);
        // Two blocks of a convolution, a scale and an offset.
        assert_eq!(gradients.len(), 6);
        assert!(
            trained.heads[0].weight.is_require_grad(),
            "clones are not frozen"
        );
        assert!(network.heads[1].weight.is_require_grad());
    }

    #[test]
    fn fixed_statistics_are_those_of_validation() {
        let device = Device::default().autodiff();
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
        let network = network.with_head(2).with_fixed_statistics();
        let input = images(&device);
        let before = tensors(&network.valid());

        let trained = logits(&network, &input);
        let grads = trained.clone().sum().backward();

        let valid = logits(&network.valid(), &input.without_autodiff());
        trained.into_data().assert_eq(&valid.into_data(), true);
        assert_eq!(tensors(&network.valid()), before);
        // All parameters but the unused classifier: two blocks and the head.
        let gradients = GradientsParams::from_grads(grads, &network);
        assert_eq!(gradients.len(), 8);
    }

    #[test]
    fn a_record_holds_the_body_and_all_heads() {
        let device = Device::default();
        let new = || {
            let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
            network.with_head(1).with_head(2)
        };
        let original = new();

        let restored = new().load_record(original.clone().into_record());

        assert_eq!(tensors(&restored), tensors(&original));
        let paths: Vec<_> = tensors(&original)
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert!(paths.contains(&"heads.1.weight".to_string()), "{paths:?}");
    }

    #[test]
    fn all_heads_become_the_classifier_of_the_body() {
        let device = Device::default();
        let input = images(&device);
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
        // The classes 2 and 0 first, then 1.
        let network = network.with_head(2).with_head(1);
        let learned = logits(&network, &input);

        let body = network.into_body(&[2, 0, 1]).unwrap();

        let sorted = logits(&body, &input);
        for (column, class) in [(0, 2), (1, 0), (2, 1)] {
            let [found, expected] = [(&sorted, class), (&learned, column)]
                .map(|(all, at)| all.clone().narrow(1, at, 1).into_data());
            found.assert_approx_eq::<f32>(&expected, Tolerance::default());
        }
    }

    #[test]
    fn a_classifier_of_other_classes_is_not_replaced() {
        let device = Device::default();
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));

        let error = network.with_head(2).into_body(&[0, 1]).unwrap_err();

        assert!(error.to_string().contains("[8, 3]"), "{error}");
    }

    #[test]
    #[should_panic(expected = "A head should take the 8 features of the tap `pool`, but takes 4.")]
    fn a_head_for_other_features_is_refused() {
        let device = Device::default();
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
        network.with_layer(LinearConfig::new(4, 2).init(&device));
    }

    #[test]
    #[should_panic(expected = "needs a head for its first task")]
    fn a_network_without_heads_has_no_response() {
        let device = Device::default();
        let network = GrowingNetworkConfig::new().init(body("convnet-4-8", &device));
        logits(&network, &images(&device));
    }

    #[test]
    fn an_unknown_tap_is_refused() {
        let config = GrowingNetworkConfig::new().with_tap("polo".into());
        let error = config.try_init(body("convnet-4-8", &Device::default()));

        assert!(error.unwrap_err().to_string().contains("polo"));
    }
}
