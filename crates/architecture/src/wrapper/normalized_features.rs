use burn::config::Config;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{at_least_f32, l2_norm};
use burn_distill_core::{
    Check, ConfigError, LossError, Network, Response, Tap, TapRecorder, check, delegate_module,
    delegate_network, display_module, known_taps,
};

/// Configuration to create [`NormalizedFeatures`] using the [init
/// function](NormalizedFeaturesConfig::init).
#[derive(Config, Debug)]
pub struct NormalizedFeaturesConfig {
    /// Largest norm of the features. Default: `2`, as in the authors' code.
    #[config(default = 2.0)]
    pub limit: f64,
}

impl NormalizedFeaturesConfig {
    /// Name of the tap with the logits of the clipped features.
    pub const TAP: &'static str = "logits.normalized";

    /// Creates the wrapper from a network and the tap that is the input of its classifier.
    ///
    /// # Panics
    ///
    /// Panics if the limit is not positive, if the network has no classifier, or if it does not
    /// offer the tap with the number of features of the classifier.
    pub fn init<N: Network>(&self, network: N, tap: &str) -> NormalizedFeatures<N> {
        let built = self.try_init(network, tap);
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates the wrapper like [`init`](Self::init), but returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// Returns an error where `init` panics.
    pub fn try_init<N: Network>(
        &self,
        network: N,
        tap: &str,
    ) -> Result<NormalizedFeatures<N>, LossError> {
        self.check()?;
        let limit = self.limit;
        let Some(classifier) = network.classifier() else {
            return Err(LossError::new(
                "The network has no classifier for the normalized features: implement \
                 `Network::classifier`.",
            ));
        };
        let [inputs, _] = classifier.weight.dims();
        let features = known_taps(&network).get(tap)?.vector_size()?;
        if inputs != features {
            return Err(LossError::new(format_args!(
                "The classifier takes {inputs} features, but the tap `{tap}` has {features}: name the tap \
                 that is the input of the classifier."
            )));
        }
        Ok(NormalizedFeatures {
            network,
            tap: tap.to_string(),
            limit,
        })
    }
}

impl Check for NormalizedFeaturesConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("limit", self.limit)
    }
}

/// A network that also outputs the logits of features with a limited norm.
///
/// ```text
/// clipped = features · min(‖features‖₂, limit) / ‖features‖₂
/// normalized = classifier(clipped)
/// ```
///
/// The classifier is that of the network, so gradients of both outputs flow to it. Features of zero
/// stay zero. It offers the taps of the inner network, and one more:
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `logits.normalized` | vector | the logits of the clipped features |
///
/// The response, the parameters with their paths, and the records are those of the inner network.
/// The additional logits are computed only if their tap is selected.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{NetworkConfig, NormalizedFeaturesConfig};
/// use burn_distill_core::known_taps;
///
/// let network = NetworkConfig::by_name("convnet-8-16")?.init([1, 8, 8], 10, &Device::default())?;
///
/// let student = NormalizedFeaturesConfig::new().init(network, "pool");
///
/// let logits = known_taps(&student).expect("logits.normalized");
/// assert_eq!(logits.shape().as_slice(), [2, 10]);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// K. Xu, L. Rui, Y. Li and L. Gu, Feature Normalized Knowledge Distillation for Image
/// Classification, ECCV 2020. The norm is clipped as in the authors' FNKD.
#[derive(Clone, Debug)]
pub struct NormalizedFeatures<N> {
    network: N,
    tap: String,
    limit: f64,
}

impl<N> NormalizedFeatures<N> {
    /// Returns the inner network.
    pub fn inner(&self) -> &N {
        &self.network
    }

    /// Returns the inner network by value.
    pub fn into_inner(self) -> N {
        self.network
    }
}

impl<N: Network> Network for NormalizedFeatures<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        let forward = |taps: &mut TapRecorder| self.network.forward_tapped(input, taps);
        let (response, features) = taps.capture(&self.tap, forward);
        taps.offer(NormalizedFeaturesConfig::TAP, || {
            let classifier = self.network.classifier().expect("checked at creation");
            let clipped = clip_norm(features.into_vectors(), self.limit);
            Tap::Vector(classifier.forward(clipped))
        });
        response
    }

    delegate_network!(network: example, classifier, normalization, deployed);
}

/// Scales rows that are longer than the limit to the limit. Shape: `[batch_size, features]`.
fn clip_norm(features: Tensor<2>, limit: f64) -> Tensor<2> {
    // min(n, c) / n = c / max(n, c), which never divides by zero.
    let norm = l2_norm(at_least_f32(features.clone()), 1).clamp_min(limit);
    let scale = norm.recip().mul_scalar(limit).cast(features.dtype());
    features.mul(scale)
}

// Not derived, because paths would begin with the name of the field, and records of the inner
// network would not fit.
delegate_module!([N: Network] NormalizedFeatures<N>: network, kept: [tap, limit]);
display_module!([N: Network] NormalizedFeatures<N>: limit, network);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::module::Module;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};
    use burn_distill_core::{DynNetwork, TapSelection, parameter_count, tensors};

    fn network(name: &str) -> DynNetwork<Tensor<4>> {
        let config = NetworkConfig::by_name(name).unwrap();
        config.init([1, 8, 8], 3, &Device::default()).unwrap()
    }

    #[test]
    fn long_rows_are_clipped_and_short_ones_stay() {
        let rows = Tensor::from_data([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], &Device::default());

        let expected = TensorData::from([[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]);
        clip_norm(rows, 2.0)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn it_is_the_inner_network_with_one_more_tap() {
        let network = network("convnet-4-8");
        let wrapped = NormalizedFeaturesConfig::new().init(network.clone(), "pool");
        let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &Device::default());

        let knowledge = wrapped.forward_knowledge(input.clone(), &TapSelection::All);
        let expected = network.forward_knowledge(input, &TapSelection::All);

        let logits = |response: Response| response.classes().unwrap().to_data();
        logits(knowledge.response).assert_eq(&logits(expected.response), true);
        assert_eq!(knowledge.taps.len(), expected.taps.len() + 1);
        assert_eq!(tensors(&wrapped), tensors(&network));
        assert_eq!(parameter_count(&wrapped), parameter_count(&network));
    }

    #[test]
    fn records_are_those_of_the_network() {
        let original = network("convnet-4-8");
        let wrapped = NormalizedFeaturesConfig::new().init(original.clone(), "pool");

        let bare = network("convnet-4-8").load_record(wrapped.into_record());

        assert_eq!(tensors(&bare), tensors(&original));
    }

    #[test]
    fn with_a_large_limit_the_logits_are_the_response() {
        let config = NormalizedFeaturesConfig::new().with_limit(1e6);
        let wrapped = config.init(network("mlp-4"), "hidden.1");
        let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &Device::default());

        let selection = TapSelection::named([NormalizedFeaturesConfig::TAP]);
        let knowledge = wrapped.forward_knowledge(input, &selection);

        let normalized = knowledge.taps.expect("logits.normalized").into_vectors();
        let response = knowledge.response.classes().unwrap();
        normalized
            .into_data()
            .assert_approx_eq::<f32>(&response.to_data(), Tolerance::default());
    }

    #[test]
    #[should_panic(expected = "`limit` should be finite and above 0, but is 0")]
    fn a_limit_of_zero_is_refused() {
        let config = NormalizedFeaturesConfig::new().with_limit(0.0);
        config.init(network("mlp-4"), "hidden.1");
    }

    #[test]
    #[should_panic(expected = "takes 8 features, but the tap `layer2` has 128")]
    fn a_tap_that_does_not_fit_the_classifier_is_refused() {
        NormalizedFeaturesConfig::new().init(network("convnet-4-8"), "layer2");
    }
}
