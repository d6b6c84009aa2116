use burn::nn::Linear;
use burn::tensor::Tensor;

/// Computes class activation maps (CAM): the classifier at every pixel of the last map.
///
/// ```text
/// class_maps[k] = Σ over channels c of weight[c, k] · map[c] + bias[k]
/// ```
///
/// They show the regions of an image that support each class. In a network with global average
/// pooling, the mean of a class map is the logit of its class, so the network can offer the maps as
/// a tap, `class-maps`, without a change of its layers.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`, the input of the global average pooling
/// - output: `[batch_size, num_classes, height, width]`
///
/// # Panics
///
/// Panics if the classifier takes another number of channels.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Distribution, Tensor, Tolerance};
/// use burn_distill_architecture::class_maps;
///
/// let device = Device::default();
/// let classifier = LinearConfig::new(3, 10).init(&device);
/// let map = Tensor::<4>::random([2, 3, 4, 5], Distribution::Default, &device);
///
/// let seen = class_maps(map.clone(), &classifier).mean_dims(&[2, 3]).flatten::<2>(1, 3);
///
/// let logits = classifier.forward(map.mean_dims(&[2, 3]).flatten::<2>(1, 3));
/// seen.into_data().assert_approx_eq::<f32>(&logits.into_data(), Tolerance::default());
/// ```
///
/// # Reference
///
/// B. Zhou, A. Khosla, A. Lapedriza, A. Oliva and A. Torralba, [Learning Deep Features for
/// Discriminative Localization](https://arxiv.org/abs/1512.04150), CVPR 2016.
#[doc(alias = "CAM")]
pub fn class_maps(map: Tensor<4>, classifier: &Linear) -> Tensor<4> {
    let [batch_size, _, height, width] = map.dims();
    let [_, num_classes] = classifier.weight.dims();
    let weight = classifier.weight.val().transpose().unsqueeze::<3>();
    let pixels = weight.matmul(map.flatten(2, 3));
    let pixels = match &classifier.bias {
        Some(bias) => pixels.add(bias.val().reshape([1, num_classes, 1])),
        None => pixels,
    };
    pixels.reshape([batch_size, num_classes, height, width])
}

#[cfg(test)]
mod tests {
    use crate::NetworkConfig;
    use burn::tensor::{Device, Distribution, Tensor, Tolerance};
    use burn_distill_core::{Network, TapSelection};

    #[test]
    fn the_means_of_class_maps_are_the_logits() {
        let device = Device::default();
        for name in ["convnet-4-8", "resnet8", "wrn-10-1"] {
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init([1, 12, 8], 5, &device).unwrap();
            let input = Tensor::random([3, 1, 12, 8], Distribution::Default, &device);

            let selection = TapSelection::named(["class-maps"]);
            let knowledge = network.forward_knowledge(input, &selection);

            let maps = knowledge.taps.expect("class-maps").into_map();
            assert!(
                maps.dims()[2] > 1 && maps.dims()[2] > maps.dims()[3],
                "{name}"
            );
            let means = maps.mean_dims(&[2, 3]).flatten::<2>(1, 3).into_data();
            let logits = knowledge.response.classes().unwrap().to_data();
            means.assert_approx_eq::<f32>(&logits, Tolerance::rel_abs(1e-4, 1e-5));
        }
    }

    #[test]
    fn the_classifier_gets_gradients_from_class_maps() {
        let device = Device::default().autodiff();
        let config = NetworkConfig::by_name("convnet-4-8").unwrap();
        let network = config.init([1, 8, 8], 5, &device).unwrap();
        let input = Tensor::random([3, 1, 8, 8], Distribution::Default, &device);

        let selection = TapSelection::named(["class-maps"]);
        let maps = network.forward_knowledge(input, &selection).taps;
        let grads = maps
            .expect("class-maps")
            .into_map()
            .square()
            .mean()
            .backward();

        let classifier = network.classifier().unwrap();
        assert!(classifier.weight.grad(&grads).is_some());
        assert!(classifier.bias.unwrap().grad(&grads).is_some());
    }
}
