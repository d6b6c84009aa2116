use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::{
    ChannelAdapter, ChannelAdapterConfig, MapDiscriminator, MapDiscriminatorConfig,
};
use burn_distill_core::initialize;
use burn_distill_core::numeric::match_size;

/// The discriminator in the adversarial game of a peer. It learns to distinguish the feature maps
/// of another peer, the real ones, from those of this peer, the fake ones.
///
/// ```text
/// fake = adapter(own map),    real = map of the other peer as a constant
/// discriminator = mean (1 − D(real))² + mean D(fake as a constant)²
/// generator     = mean (1 − D(fake))²                                  with D as a constant
/// ```
///
/// where `D` is a [`MapDiscriminator`]. The gradients of both losses can be computed from their
/// sum: the first loss depends only on the parameters of the discriminator, the second on those of
/// the peer and the adapter. Where the maps differ in channels, the adapter is a 1×1 convolution,
/// which trains with the generator loss. Where they differ in size, the larger one is pooled.
///
/// In training, real and fake maps are normalized separately, each by the statistics of its batch.
/// The running statistics of the discriminator are updated with one batch of each per step.
#[derive(Module, Debug)]
pub struct FeatureCritic {
    /// Tap of the peer whose map is compared.
    pub tap: String,
    /// Adapter from the channels of the peer to those of the other peer.
    pub adapter: ChannelAdapter,
    /// Discriminator between real and fake maps.
    pub discriminator: MapDiscriminator,
}

/// The losses of both sides of an adversarial game. Each has the shape `[1]`.
#[derive(Clone, Debug)]
pub struct AdversarialLosses {
    /// Loss of the peer, whose maps should be classified as real.
    pub generator: Tensor<1>,
    /// Loss of the discriminator, which should classify them as fake.
    pub discriminator: Tensor<1>,
}

impl FeatureCritic {
    /// Creates a critic from the tap of a peer, and the numbers of channels of its maps and of
    /// those of the other peer. Its weights are initialized immediately.
    pub fn new(tap: impl Into<String>, channels: [usize; 2], device: &Device) -> Self {
        let [own, other] = channels;
        initialize(Self {
            tap: tap.into(),
            adapter: ChannelAdapterConfig::new(own, other).init(device),
            discriminator: MapDiscriminatorConfig::new(other).init(device),
        })
    }

    /// Computes the losses of both sides.
    ///
    /// # Shapes
    ///
    /// - own: `[batch_size, channels[0], height, width]`
    /// - other: `[batch_size, channels[1], other_height, other_width]`
    pub fn forward(&self, own: Tensor<4>, other: Tensor<4>) -> AdversarialLosses {
        let (fake, real) = match_size(self.adapter.forward(own), other.without_autodiff());
        let constant = fake.clone().without_autodiff();
        let real = far_from(1.0, self.discriminator.forward(real));
        let seen = far_from(0.0, self.discriminator.forward(constant));
        AdversarialLosses {
            generator: far_from(1.0, self.constant(fake.is_autodiff()).forward(fake)),
            discriminator: real.add(seen),
        }
    }

    /// Returns a copy of the discriminator without gradients and with separate running statistics.
    fn constant(&self, training: bool) -> MapDiscriminator {
        let copy = self.discriminator.valid();
        match training {
            // On autodiff, so that maps are normalized as in the discriminator.
            true => copy.train().no_grad(),
            false => copy,
        }
    }
}

/// Computes the mean squared difference of the outputs of a discriminator from a target. Shape:
/// `[1]`.
fn far_from(target: f64, outputs: Tensor<1>) -> Tensor<1> {
    outputs.sub_scalar(target).square().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::optim::{AdamConfig, GradientsParams};
    use burn::tensor::Distribution;
    use burn_distill_core::tensors;

    /// Returns maps of two channels whose left and right halves differ in their mean by twice the
    /// contrast.
    fn maps(samples: usize, contrast: f64, device: &Device) -> Tensor<4> {
        let half = |mean: f64| {
            let of = Distribution::Normal(mean, 0.5);
            Tensor::random([samples, 2, 4, 2], of, &device.clone().without_autodiff())
        };
        Tensor::cat(vec![half(contrast), half(-contrast)], 3)
    }

    fn value(loss: &Tensor<1>) -> f32 {
        loss.clone().into_scalar()
    }

    fn largest(gradient: Option<Tensor<4>>) -> f32 {
        gradient.unwrap().abs().max().into_scalar()
    }

    #[test]
    fn an_undecided_discriminator_loses_a_quarter_for_each_side() {
        let device = Device::default();
        let mut critic = FeatureCritic::new("layer3", [2, 2], &device);
        let nothing = critic.discriminator.conv2.weight.val().zeros_like();
        critic.discriminator.conv2.weight = Param::from_tensor(nothing);
        critic.discriminator.conv2.bias = None;

        let losses = critic.forward(maps(3, 1.0, &device), maps(3, -1.0, &device));

        assert_eq!(losses.generator.dims(), [1]);
        assert_eq!(value(&losses.generator), 0.25);
        assert_eq!(value(&losses.discriminator), 0.5);
    }

    #[test]
    fn the_targets_are_one_for_real_and_zero_for_fake() {
        let device = Device::default();
        let mut critic = FeatureCritic::new("layer3", [2, 2], &device);
        // An output that depends only on the last bias.
        let nothing = critic.discriminator.conv2.weight.val().zeros_like();
        critic.discriminator.conv2.weight = Param::from_tensor(nothing);
        let odds = 9.0_f32.ln();
        critic.discriminator.conv2.bias = Some(Param::from_data([odds], &device));

        let losses = critic.forward(maps(3, 1.0, &device), maps(3, -1.0, &device));

        assert!((value(&losses.generator) - 0.01).abs() < 1e-6);
        assert!((value(&losses.discriminator) - (0.01 + 0.81)).abs() < 1e-6);
    }

    #[test]
    fn each_loss_has_gradients_for_one_side() {
        let device = Device::default().autodiff();
        let critic = FeatureCritic::new("layer3", [2, 3], &device);
        let on = |map: Tensor<4>| Tensor::from_inner(map).require_grad();
        let own = || on(maps(4, 1.0, &device));
        let other = || {
            on(Tensor::ones(
                [4, 3, 4, 4],
                &device.clone().without_autodiff(),
            ))
        };
        let adapter = &critic.adapter.conv.as_ref().unwrap().weight;
        let weight = &critic.discriminator.conv1.weight;

        let (from, to) = (own(), other());
        let grads = critic
            .forward(from.clone(), to.clone())
            .generator
            .backward();
        assert!(largest(from.grad(&grads)) > 0.0);
        assert!(largest(adapter.grad(&grads)) > 0.0);
        assert!(to.grad(&grads).is_none() && weight.grad(&grads).is_none());

        let (from, to) = (own(), other());
        let grads = critic
            .forward(from.clone(), to.clone())
            .discriminator
            .backward();
        assert!(largest(weight.grad(&grads)) > 0.0);
        assert!(from.grad(&grads).is_none() && to.grad(&grads).is_none());
        assert!(adapter.grad(&grads).is_none());
    }

    #[test]
    fn the_generator_loss_uses_the_outputs_of_the_discriminator() {
        let device = Device::default().autodiff();
        let critic = FeatureCritic::new("layer3", [2, 2], &device);
        let own = Tensor::from_inner(maps(4, 3.0, &device));
        let outputs = critic.discriminator.forward(own.clone().without_autodiff());

        let losses = critic.forward(own.clone(), own);

        let [real, fake] = [1.0, 0.0].map(|target| value(&far_from(target, outputs.clone())));
        assert!((value(&losses.generator) - real).abs() < 1e-6);
        assert!((value(&losses.discriminator) - (real + fake)).abs() < 1e-6);
    }

    #[test]
    fn running_statistics_are_updated_with_one_batch_of_each_side() {
        let device = Device::default().autodiff();
        let critic = FeatureCritic::new("layer3", [2, 2], &device);
        let twin = critic.clone().valid().train();
        let own = Tensor::from_inner(maps(4, 3.0, &device));
        let other = maps(4, -2.0, &device);

        critic.forward(own.clone(), other.clone());

        let discriminator = &twin.discriminator;
        discriminator.forward(other);
        discriminator.forward(own.without_autodiff());
        assert_eq!(tensors(&critic.valid()), tensors(&twin.valid()));
    }

    #[test]
    fn larger_maps_are_pooled_to_the_smaller_size() {
        let device = Device::default();
        let critic = FeatureCritic::new("layer3", [2, 2], &device);
        let [large, small] = [8, 4].map(|size| Tensor::<4>::ones([3, 2, size, size], &device));

        let equal = critic.forward(small.clone(), small.clone());
        for (own, other) in [(&large, &small), (&small, &large)] {
            let losses = critic.forward(own.clone(), other.clone());
            assert_eq!(value(&losses.generator), value(&equal.generator));
            assert_eq!(value(&losses.discriminator), value(&equal.discriminator));
        }
    }

    /// Returns irregular numbers that are the same in every run.
    fn waves<const D: usize>(shape: [usize; D], seed: f64, device: &Device) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|i| (seed + 1.7 * i as f64).sin()).collect();
        Tensor::<1>::from_data(values.as_slice(), device).reshape(shape)
    }

    #[test]
    fn a_discriminator_learns_to_distinguish_maps_and_a_generator_to_fool_it() {
        let device = Device::default().autodiff();
        let mut critic = FeatureCritic::new("layer3", [2, 2], &device);
        let discriminator = &mut critic.discriminator;
        discriminator.conv1.weight = Param::from_tensor(waves([1, 2, 3, 3], 0.3, &device));
        discriminator.conv2.weight = Param::from_tensor(waves([1, 1, 3, 3], 0.9, &device));
        discriminator.conv2.bias = Some(Param::from_data([0.1], &device));
        let plain = device.clone().without_autodiff();
        let [own, other] = [0.0, 1.0].map(|seed| {
            // A slope from left to right, in opposite directions for the two.
            let slope = Tensor::<1>::from_floats([1.5, 0.5, -0.5, -1.5], &plain);
            let slope = slope.mul_scalar(1.0 - 2.0 * seed).reshape([1, 1, 1, 4]);
            waves([8, 2, 4, 4], seed, &plain).add(slope)
        });

        let before = critic.forward(own.clone(), other.clone());
        let mut optimizer = AdamConfig::new().init();
        for _ in 0..40 {
            let loss = critic.forward(own.clone(), other.clone()).discriminator;
            let grads = GradientsParams::from_grads(loss.backward(), &critic);
            critic = optimizer.step(0.02, critic, grads);
        }
        let learned = critic.forward(own.clone(), other.clone());
        assert!(value(&learned.discriminator) < value(&before.discriminator) / 4.0);
        assert!(value(&learned.generator) > value(&before.generator));

        // The maps themselves are trained, against a constant critic.
        let mut own = Param::from_tensor(Tensor::from_inner(own));
        let mut optimizer = AdamConfig::new().init();
        for _ in 0..100 {
            let loss = critic.forward(own.val(), other.clone()).generator;
            let grads = GradientsParams::from_grads(loss.backward(), &own);
            own = optimizer.step(0.1, own, grads);
        }
        let deceived = critic.forward(own.val(), other);
        assert!(value(&deceived.generator) < value(&learned.generator) / 4.0);
        assert!(value(&deceived.discriminator) > value(&learned.discriminator));
    }

    #[test]
    fn huge_maps_have_finite_losses_and_gradients() {
        let device = Device::default().autodiff();
        for samples in [1, 4] {
            for scale in [0.0, 1e-6, 1e6] {
                let critic = FeatureCritic::new("layer3", [2, 2], &device);
                let own = maps(samples, 1.0, &device).mul_scalar(scale);
                let own = Tensor::from_inner(own).require_grad();
                let other = maps(samples, -1.0, &device).mul_scalar(scale);

                let losses = critic.forward(own.clone(), other);
                let loss = losses.generator.add(losses.discriminator);
                assert!(value(&loss).is_finite());
                let grads = loss.backward();

                assert!(largest(own.grad(&grads)).is_finite());
                let weight = critic.discriminator.conv1.weight.grad(&grads);
                assert!(largest(weight).is_finite());
            }
        }
    }
}
