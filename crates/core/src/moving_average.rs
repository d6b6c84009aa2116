use crate::parameters::is_buffer;
use crate::{Frozen, Input, Network, Response, TapRecorder};
use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor, Param, ParamId,
};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Device, Tensor};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;

/// A moving average of a network that is being trained.
///
/// ```text
/// average ← decay · average + (1 − decay) · network       after each step
/// ```
///
/// Running statistics are copied, not averaged: they are averages already. An average computes in
/// validation mode, off autodiff. It is saved with the tree that it is in, and never trained: its
/// parameters have ids of their own, so that no gradient is meant for them.
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017.
#[doc(alias = "EMA")]
#[derive(Clone, Debug)]
pub struct MovingAverage<N>(N);

impl<N: Module> MovingAverage<N> {
    /// The average of a network that has just begun: a copy. The original is not affected.
    pub fn new(network: &N) -> Self {
        struct NewIds;

        impl ModuleMapper for NewIds {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                Param::initialized(ParamId::new(), param.val())
            }
        }

        Self(constant(network).map(&mut NewIds))
    }

    /// The average after a step that made the network what it is now.
    ///
    /// # Panics
    ///
    /// Panics if the network is not of the structure of the one that the average began with.
    pub fn follow(self, network: &N, decay: f64) -> Self {
        let mut state = Tensors::default();
        // A copy in validation mode: only there running statistics are up to date.
        constant(network).visit(&mut state);
        let mut mapper = Follow {
            tensors: state.0,
            decay,
            path: Vec::new(),
        };
        Self(self.0.map(&mut mapper))
    }

    /// The averaged network, off autodiff and in validation mode.
    pub fn inner(&self) -> &N {
        &self.0
    }
}

/// A copy of a network with running statistics of its own, without autodiff.
fn constant<N: Module>(network: &N) -> N {
    Frozen::new(network.clone()).into_inner()
}

/// The tensors of a network in the order of its tree.
#[derive(Default)]
struct Tensors(VecDeque<Box<dyn Any>>);

impl ModuleVisitor for Tensors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push_back(Box::new(param.val().without_autodiff()));
    }
}

struct Follow {
    tensors: VecDeque<Box<dyn Any>>,
    decay: f64,
    path: Vec<String>,
}

impl ModuleMapper for Follow {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let now = self.tensors.pop_front().and_then(|now| now.downcast().ok());
        let Some(now) = now.map(|now: Box<Tensor<D>>| *now) else {
            panic!("A moving average follows a network of its own structure.");
        };
        let average = match is_buffer(&self.path) {
            true => now,
            false => param
                .val()
                .mul_scalar(self.decay)
                .add(now.mul_scalar(1.0 - self.decay)),
        };
        Param::initialized(param.id, average)
    }
}

impl<M: Module> Module for MovingAverage<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        // A copy first: burn moves running statistics in place, also those of the clones.
        Self(self.0.valid().to_device(&device.clone().without_autodiff()))
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        Self(self.0.valid())
    }

    fn materialize(self) -> Self {
        Self(self.0.materialize())
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        self.0.visit(visitor);
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        Self(constant(&self.0.map(mapper)))
    }
}

impl<N: Network> Network for MovingAverage<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.0.forward_tapped(input.without_autodiff(), taps)
    }

    fn example(&self, samples: usize, device: &Device) -> N::Input {
        self.0.example(samples, device)
    }

    fn classifier(&self) -> Option<Linear> {
        self.0.classifier()
    }

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        self.0.normalization(tap)
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for MovingAverage<M> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add("average", &self.0).optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for MovingAverage<M> {}

impl<M: ModuleDisplay> fmt::Display for MovingAverage<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors;
    use burn::nn::{BatchNormConfig, LinearConfig};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Distribution, Tolerance};

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: BatchNorm,
    }

    impl Net {
        fn new(device: &Device) -> Self {
            Self {
                linear: LinearConfig::new(3, 2).init(device),
                norm: BatchNormConfig::new(2).init(device),
            }
        }

        fn step(self, device: &Device) -> Self {
            let input = Tensor::<2>::random([4, 3], Distribution::Default, device);
            let loss = self
                .norm
                .forward(self.linear.forward(input))
                .square()
                .mean();
            let grads = GradientsParams::from_grads(loss.backward(), &self);
            SgdConfig::new().init().step(0.5, self, grads)
        }
    }

    #[test]
    fn after_some_steps_it_is_its_closed_form() {
        let device = Device::default().autodiff();
        let mut net = Net::new(&device);
        let mut average = MovingAverage::new(&net);
        let mut weights = vec![net.linear.weight.val().without_autodiff()];
        for _ in 0..3 {
            net = net.step(&device);
            average = average.follow(&net, 0.9);
            weights.push(net.linear.weight.val().without_autodiff());
        }

        // 0.9³ w₀ + 0.1 (0.9² w₁ + 0.9 w₂ + w₃)
        let expected = [0.729, 0.081, 0.09, 0.1]
            .into_iter()
            .zip(weights)
            .map(|(share, weight)| weight.mul_scalar(share))
            .reduce(Tensor::add)
            .unwrap();
        let weight = average.inner().linear.weight.val();
        weight
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::default());
        let mean = |net: &Net| net.norm.running_mean.value_sync().into_data();
        assert_eq!(mean(average.inner()), mean(&net));
    }

    #[test]
    fn it_is_saved_and_neither_trained_nor_moved_by_its_network() {
        #[derive(Module, Debug)]
        struct Both {
            net: Net,
            average: MovingAverage<Net>,
        }

        let device = Device::default().autodiff();
        let net = Net::new(&device);
        let average = MovingAverage::new(&net);
        let both = Both { net, average }.train();
        let before = tensors(&both.average);

        let input = Tensor::<2>::random([4, 3], Distribution::Default, &device);
        let out = both
            .net
            .norm
            .forward(both.net.linear.forward(input.clone()));
        let grads = GradientsParams::from_grads(out.sum().backward(), &both);
        let both = SgdConfig::new().init().step(0.5, both, grads);
        assert_eq!(tensors(&both.average), before);
        assert_ne!(tensors(&both.net), before);
        let plain = both
            .average
            .inner()
            .linear
            .forward(input.without_autodiff());
        assert!(!plain.is_autodiff());

        let other = Net::new(&device);
        let other = Both {
            average: MovingAverage::new(&other),
            net: other,
        };
        let other = other.load_record(both.clone().into_record());
        assert_eq!(tensors(&other.average), before);
        assert_eq!(tensors(&other.net), tensors(&both.net));
    }
}
