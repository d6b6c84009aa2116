use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, l2_normalize};
use burn_distill_core::{
    Buffer, Network, Response, TapRecorder, delegate_module, delegate_network, display_module,
};

/// A network that predicts the class whose mean features are nearest to those of the sample:
/// nearest mean of exemplars.
///
/// ```text
/// φ = features / ‖features‖₂
/// response of class k = −‖φ − meanₖ‖²
/// ```
///
/// The means are constants, so that the response has no gradient to them. It offers the taps of the
/// inner network, whose own response is not used.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::{NearestMeans, NetworkConfig, mean_features};
/// use burn_distill_core::{Network, TapSelection};
///
/// let device = Device::default();
/// let network = NetworkConfig::by_name("convnet-4-8")?.init([1, 8, 8], 2, &device)?;
/// let [zeros, ones] = [Tensor::zeros([3, 1, 8, 8], &device), Tensor::ones([3, 1, 8, 8], &device)];
/// let means = [&zeros, &ones].map(|of_class: &Tensor<4>| {
///     mean_features(network.forward_to(of_class.clone(), "pool").into_vectors())
/// });
///
/// let classifier = NearestMeans::new(network, "pool", Tensor::cat(means.to_vec(), 0));
///
/// let predicted = classifier.forward(ones).rows().logits.argmax(1);
/// assert_eq!(predicted.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 1, 1]);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// S.-A. Rebuffi, A. Kolesnikov, G. Sperl and C. H. Lampert, [iCaRL: Incremental Classifier and
/// Representation Learning](https://arxiv.org/abs/1611.07725), CVPR 2017, algorithm 1. Agrees with
/// `classify` of FACIL. The authors' code also averages the features of mirrored images.
#[doc(alias = "NME")]
#[derive(Clone, Debug)]
pub struct NearestMeans<N> {
    network: N,
    tap: String,
    means: Buffer<Tensor<2>>,
}

impl<N: Network> NearestMeans<N> {
    /// Creates the classifier from a network, the tap of its features and the mean features of each
    /// class.
    ///
    /// # Shapes
    ///
    /// - means: `[num_classes, features]`, each row of [unit length](mean_features)
    pub fn new(network: N, tap: impl Into<String>, means: Tensor<2>) -> Self {
        Self {
            network,
            tap: tap.into(),
            means: Buffer::new(at_least_f32(means)),
        }
    }

    /// Returns the mean features of each class. Shape: `[num_classes, features]`.
    pub fn means(&self) -> Tensor<2> {
        self.means.get()
    }

    /// Returns the inner network.
    pub fn inner(&self) -> &N {
        &self.network
    }

    /// Returns the inner network by value.
    pub fn into_inner(self) -> N {
        self.network
    }
}

/// Computes the mean of the features of unit length, with unit length itself: the mean features of
/// one class. Features of zero stay zero.
///
/// # Shapes
///
/// - features: `[samples, features]`
/// - output: `[1, features]`
///
/// # Reference
///
/// S.-A. Rebuffi, A. Kolesnikov, G. Sperl and C. H. Lampert,
/// [iCaRL](https://arxiv.org/abs/1611.07725), CVPR 2017: all features are of unit length, and so is
/// every mean of them.
pub fn mean_features(features: Tensor<2>) -> Tensor<2> {
    let features = l2_normalize(at_least_f32(features), 1);
    l2_normalize(features.mean_dim(0), 1)
}

/// # Panics
///
/// The forward pass panics if the network does not offer the tap, or if the number of its features
/// is not that of the means.
impl<N: Network> Network for NearestMeans<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        let forward = |taps: &mut TapRecorder| self.network.forward_tapped(input, taps);
        let (_, features) = taps.capture(&self.tap, forward);
        let features = l2_normalize(at_least_f32(features.into_vectors()), 1);
        let means = self.means.get().cast(features.dtype());
        let [_, size] = features.dims();
        assert_shape!(means, [_, size]);
        // ‖φ − m‖² = ‖φ‖² − 2 φ·m + ‖m‖²
        let product = features.clone().matmul(means.clone().transpose());
        let own = features.square().sum_dim(1);
        let others = means.square().sum_dim(1).transpose();
        let distances = product.mul_scalar(-2.0).add(own).add(others);
        Response::Classes(distances.neg())
    }

    delegate_network!(network: example, normalization, deployed);
}

delegate_module!([N: Network] NearestMeans<N>: network, parts: [means], kept: [tap]);
display_module!([N: Network] NearestMeans<N>: tap, network);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::module::Module;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};
    use burn_distill_core::{DynNetwork, parameter_count, tensors};

    fn network(device: &Device) -> DynNetwork<Tensor<4>> {
        let config = NetworkConfig::by_name("convnet-4-8").unwrap();
        config.init([1, 8, 8], 3, device).unwrap()
    }

    // numpy 2.4.6, in double precision: mean(x / ‖x‖), divided by its norm.
    #[test]
    fn the_mean_is_of_features_of_unit_length() {
        let device = Device::default();
        let features = Tensor::from_data([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], &device);

        let expected = TensorData::from([[0.316_228, 0.948_683]]);
        mean_features(features)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn the_response_is_the_negative_squared_distance() {
        let device = Device::default();
        let network = network(&device);
        let input = Tensor::random([4, 1, 8, 8], Distribution::Default, &device);
        let mut means = vec![0.0_f32; 16];
        (means[0], means[9]) = (1.0, 1.0);
        let means = Tensor::from_data(TensorData::new(means, [2, 8]), &device);
        let features = network.forward_to(input.clone(), "pool").into_vectors();
        let features: Vec<f32> = features.into_data().iter().collect();

        let classifier = NearestMeans::new(network, "pool", means);
        let response = classifier.forward(input).rows().logits.into_data();

        // Literally: the distance of the normalized features to each axis.
        let expected = features.chunks(8).flat_map(|row| {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            [0, 1].map(|axis| {
                let difference = |(at, x): (usize, &f32)| x / norm - f32::from(at == axis);
                -row.iter()
                    .enumerate()
                    .map(|it| difference(it).powi(2))
                    .sum::<f32>()
            })
        });
        let expected = TensorData::new(expected.collect::<Vec<_>>(), [4, 2]);
        response.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn the_means_are_saved_but_not_counted() {
        let device = Device::default();
        let network = network(&device);
        let parameters = parameter_count(&network);
        let trained = NearestMeans::new(network.clone(), "pool", Tensor::ones([2, 8], &device));

        let restored = NearestMeans::new(network, "pool", Tensor::zeros([2, 8], &device));
        let restored = restored.load_record(trained.clone().into_record());

        assert_eq!(tensors(&restored), tensors(&trained));
        assert_eq!(parameter_count(&trained), parameters);
        let means = restored.means().into_data();
        means.assert_eq(&[[1.0_f32; 8]; 2].into(), false);
    }
}
