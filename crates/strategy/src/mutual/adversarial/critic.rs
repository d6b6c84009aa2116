use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::{
    ChannelAdapter, ChannelAdapterConfig, MapDiscriminator, MapDiscriminatorConfig,
};
use burn_distill_core::initialize;
use burn_distill_core::numeric::match_size;

/// A peer's opponent: it tells the maps of another peer, which are real to it, from the peer's own,
/// which are fake.
///
/// ```text
/// fake = adapter(own),    real = the other's as a constant
/// discriminator = mean (1 − D(real))² + mean D(fake as a constant)²
/// generator     = mean (1 − D(fake))²                                  with D as a constant
/// ```
///
/// where `D` is a [`MapDiscriminator`]. The gradients of the sum of both are those of each: the first
/// reaches the discriminator alone, the second whatever made the own map, and the adapter. Where the
/// other's map has other channels, the adapter is a 1×1 convolution, which is on the side of the
/// generator; where maps differ in size, the larger one is pooled.
///
/// Both sides see a map normalized by the statistics of its own batch, in training: real and fake
/// ones are never mixed. What the discriminator remembers of the statistics is of one batch of each
/// per step.
#[derive(Module, Debug)]
pub struct FeatureCritic {
    /// The tap of the peer that is judged.
    pub tap: String,
    /// What leads from the own map to the channels of the other's.
    pub adapter: ChannelAdapter,
    /// What tells them apart.
    pub discriminator: MapDiscriminator,
}

/// What either side of a game loses. Each has the shape `[1]`.
#[derive(Clone, Debug)]
pub struct GameLosses {
    /// What the network loses whose maps are found out.
    pub generator: Tensor<1>,
    /// What the discriminator loses that is deceived.
    pub discriminator: Tensor<1>,
}

impl FeatureCritic {
    /// The critic of the maps of that tap, which have as many channels as the first number says,
    /// against maps with as many as the second. It is drawn at once.
    pub fn new(tap: impl Into<String>, channels: [usize; 2], device: &Device) -> Self {
        let [own, other] = channels;
        initialize(Self {
            tap: tap.into(),
            adapter: ChannelAdapterConfig::new(own, other).init(device),
            discriminator: MapDiscriminatorConfig::new(other).init(device),
        })
    }

    /// What both sides lose.
    ///
    /// # Shapes
    ///
    /// - own: `[batch_size, channels[0], height, width]`
    /// - other: `[batch_size, channels[1], other_height, other_width]`
    pub fn forward(&self, own: Tensor<4>, other: Tensor<4>) -> GameLosses {
        let (fake, real) = match_size(self.adapter.forward(own), other.without_autodiff());
        let constant = fake.clone().without_autodiff();
        let real = far_from(1.0, self.discriminator.forward(real));
        let seen = far_from(0.0, self.discriminator.forward(constant));
        GameLosses {
            generator: far_from(1.0, self.judge(fake.is_autodiff()).forward(fake)),
            discriminator: real.add(seen),
        }
    }

    /// The discriminator as a constant, with running statistics of its own.
    fn judge(&self, training: bool) -> MapDiscriminator {
        let copy = self.discriminator.valid();
        match training {
            // On autodiff, so that maps are normalized as the discriminator does it.
            true => copy.train().no_grad(),
            false => copy,
        }
    }
}

/// How far verdicts are from what they should be. Shape: `[1]`.
fn far_from(target: f64, verdicts: Tensor<1>) -> Tensor<1> {
    verdicts.sub_scalar(target).square().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::optim::{AdamConfig, GradientsParams};
    use burn::tensor::Distribution;
    use burn_distill_core::tensors;

    /// Maps of two channels whose left and right halves differ by that much on average.
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
    fn a_critic_that_cannot_tell_costs_a_quarter_for_each_verdict() {
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
    fn real_is_one_and_fake_is_zero() {
        let device = Device::default();
        let mut critic = FeatureCritic::new("layer3", [2, 2], &device);
        // As real as the last offset says, whatever it sees.
        let nothing = critic.discriminator.conv2.weight.val().zeros_like();
        critic.discriminator.conv2.weight = Param::from_tensor(nothing);
        let odds = 9.0_f32.ln();
        critic.discriminator.conv2.bias = Some(Param::from_data([odds], &device));

        let losses = critic.forward(maps(3, 1.0, &device), maps(3, -1.0, &device));

        assert!((value(&losses.generator) - 0.01).abs() < 1e-6);
        assert!((value(&losses.discriminator) - (0.01 + 0.81)).abs() < 1e-6);
    }

    #[test]
    fn each_loss_reaches_one_side() {
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
    fn the_generator_sees_the_verdicts_that_the_discriminator_gives() {
        let device = Device::default().autodiff();
        let critic = FeatureCritic::new("layer3", [2, 2], &device);
        let own = Tensor::from_inner(maps(4, 3.0, &device));
        let verdicts = critic.discriminator.forward(own.clone().without_autodiff());

        let losses = critic.forward(own.clone(), own);

        let [real, fake] = [1.0, 0.0].map(|target| value(&far_from(target, verdicts.clone())));
        assert!((value(&losses.generator) - real).abs() < 1e-6);
        assert!((value(&losses.discriminator) - (real + fake)).abs() < 1e-6);
    }

    #[test]
    fn statistics_are_of_one_batch_of_each_side() {
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
    fn maps_of_other_sizes_are_pooled_to_the_smaller() {
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

    /// Numbers of no pattern that are the same in every run.
    fn waves<const D: usize>(shape: [usize; D], seed: f64, device: &Device) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|i| (seed + 1.7 * i as f64).sin()).collect();
        Tensor::<1>::from_data(values.as_slice(), device).reshape(shape)
    }

    #[test]
    fn a_discriminator_learns_to_tell_maps_apart_and_a_generator_to_deceive_it() {
        let device = Device::default().autodiff();
        let mut critic = FeatureCritic::new("layer3", [2, 2], &device);
        let discriminator = &mut critic.discriminator;
        discriminator.conv1.weight = Param::from_tensor(waves([1, 2, 3, 3], 0.3, &device));
        discriminator.conv2.weight = Param::from_tensor(waves([1, 1, 3, 3], 0.9, &device));
        discriminator.conv2.bias = Some(Param::from_data([0.1], &device));
        let plain = device.clone().without_autodiff();
        let [own, other] = [0.0, 1.0].map(|seed| {
            // A slope from left to right, the other way for the other.
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

        // The maps themselves are what learns, against a critic that does not.
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
