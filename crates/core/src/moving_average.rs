use crate::delegate::untrained_module;
use crate::frozen::in_training_mode;
use crate::numeric::at_least_f32;
use crate::parameters::is_buffer;
use crate::{
    Frozen, Input, Knowledge, Network, Response, TapRecorder, TapSelection, delegate_network,
    display_module,
};
use burn::module::{Devices, Module, ModuleDisplay, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Device, Tensor};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Exponential moving average of the weights of a network during its training.
///
/// ```text
/// average ← decay · average + (1 − decay) · network       after each step
/// ```
///
/// The average is kept, and saved, in at least single precision: in half precision, `(1 − decay) ·
/// network` is smaller than the last digit of the average and would never change it. The forward
/// pass has the precision of the original network.
///
/// Running statistics are copied, not averaged, because they are averages already. The average
/// computes in validation mode and without autodiff, except for a pass [in training
/// mode](Self::forward_training), which gathers separate statistics. It is saved with the module
/// that contains it and is never trained: its parameters have new ids, so that no gradient of the
/// original network applies to them.
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017.
#[doc(alias = "EMA")]
#[derive(Clone, Debug)]
pub struct MovingAverage<N> {
    /// The average in the precision of the original network, for the forward pass.
    network: N,
    /// The average in at least single precision, which is updated, saved and restored. Without half
    /// precision it shares its tensors with `network`.
    precise: N,
    /// A copy of `network` with the statistics that were gathered since the last update, if there
    /// are any.
    gathered: Arc<Mutex<Option<N>>>,
}

impl<N: Module> MovingAverage<N> {
    fn of(network: N, precise: N) -> Self {
        Self {
            network,
            precise,
            gathered: Arc::default(),
        }
    }
}

fn lock<N>(gathered: &Mutex<Option<N>>) -> MutexGuard<'_, Option<N>> {
    // The value is complete between two steps, even if a thread panicked in one.
    gathered.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<N: Module> MovingAverage<N> {
    /// Creates an average that starts with a copy of the network. The original is not affected.
    pub fn new(network: &N) -> Self {
        struct NewIds;

        impl ModuleMapper for NewIds {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                Param::initialized(ParamId::new(), param.val())
            }
        }

        let network = constant(network).map(&mut NewIds);
        let precise = constant(&network).map(&mut Widen);
        Self::of(network, precise)
    }

    /// Updates the average with the weights of the network after a training step.
    ///
    /// The running statistics become those that the average gathered since the last update, or else
    /// those of the network.
    ///
    /// # Panics
    ///
    /// Panics if the structure of the network is not that of the original one.
    pub fn update(self, network: &N, decay: f64) -> Self {
        let gathered = lock(&self.gathered).take();
        let mut mapper = Follow {
            tensors: Tensors::of(network),
            gathered: gathered.as_ref().map(Tensors::of),
            decay,
            path: Vec::new(),
        };
        let precise = self.precise.map(&mut mapper);
        let mut casts = Casts {
            before: DTypes::of(&precise),
            now: DTypes::of(network),
        };
        Self::of(constant(&precise).map(&mut casts), precise)
    }

    /// Returns the averaged network, without autodiff and in validation mode.
    pub fn inner(&self) -> &N {
        &self.network
    }
}

impl<N: Network> MovingAverage<N> {
    /// Computes the output of the average in training mode, with the batch statistics of this input
    /// and with dropout. The output is a constant.
    ///
    /// The input must have autodiff, by which burn recognizes a training. The running statistics of
    /// the pass become those of the average with the [next update](Self::update).
    pub fn forward_training(&self, input: N::Input, selection: &TapSelection) -> Knowledge {
        let mut gathered = lock(&self.gathered);
        let network = gathered.as_ref().unwrap_or(&self.network);
        let network = in_training_mode(network);
        let knowledge = network.forward_knowledge(input, selection);
        *gathered = Some(constant(&network));
        knowledge.without_autodiff()
    }
}

/// Copies a network, with separate running statistics and without autodiff.
fn constant<N: Module>(network: &N) -> N {
    Frozen::new(network.clone()).into_inner()
}

/// Tensors of a network in the order of its module tree.
#[derive(Default)]
struct Tensors(VecDeque<Box<dyn Any>>);

impl Tensors {
    fn of<N: Module>(network: &N) -> Self {
        let mut tensors = Self::default();
        // Only a copy in validation mode has running statistics that are up to date.
        constant(network).visit(&mut tensors);
        tensors
    }

    /// Removes the next tensor.
    fn next<const D: usize>(&mut self) -> Tensor<D> {
        let next = self.0.pop_front().and_then(|next| next.downcast().ok());
        let Some(next) = next.map(|next: Box<Tensor<D>>| *next) else {
            panic!(
                "A moving average should be updated with a network of the same structure, but the \
                 next tensor has another rank or is missing."
            );
        };
        next
    }
}

impl ModuleVisitor for Tensors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push_back(Box::new(param.val().without_autodiff()));
    }
}

/// Precision of each tensor of a network in the order of its module tree.
#[derive(Default)]
struct DTypes(VecDeque<DType>);

impl DTypes {
    fn of<N: Module>(network: &N) -> Self {
        let mut dtypes = Self::default();
        network.visit(&mut dtypes);
        dtypes
    }
}

impl ModuleVisitor for DTypes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push_back(param.val().dtype());
    }
}

/// Converts every tensor to at least single precision.
struct Widen;

impl ModuleMapper for Widen {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, at_least_f32(param.val()))
    }
}

/// Converts every tensor to the precision of the forward pass, unless its precision has changed
/// since `before`.
struct Casts {
    before: DTypes,
    now: DTypes,
}

impl ModuleMapper for Casts {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let next = |dtypes: &mut DTypes| dtypes.0.pop_front().expect("a tensor of the same tree");
        let (before, now) = (next(&mut self.before), next(&mut self.now));
        let tensor = param.val();
        match tensor.dtype() == before {
            true => Param::initialized(param.id, tensor.cast(now)),
            false => Param::initialized(param.id, tensor),
        }
    }
}

struct Follow {
    tensors: Tensors,
    gathered: Option<Tensors>,
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
        let now = self.tensors.next::<D>();
        let own = self.gathered.as_mut().map(Tensors::next);
        let average = match is_buffer(&self.path) {
            true => at_least_f32(own.unwrap_or(now)),
            false => at_least_f32(param.val())
                .mul_scalar(self.decay)
                .add(at_least_f32(now).mul_scalar(1.0 - self.decay)),
        };
        Param::initialized(param.id, average)
    }
}

impl<M: Module> Module for MovingAverage<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.network.collect_devices(devices)
    }

    untrained_module!();

    fn to_device(self, device: &Device) -> Self {
        // A copy first, because burn moves running statistics in place, including those of clones.
        let device = device.clone().without_autodiff();
        let [network, precise] =
            [self.network, self.precise].map(|network| network.valid().to_device(&device));
        Self::of(network, precise)
    }

    fn valid(&self) -> Self {
        Self::of(self.network.valid(), self.precise.valid())
    }

    fn materialize(self) -> Self {
        Self {
            network: self.network.materialize(),
            precise: self.precise.materialize(),
            gathered: self.gathered,
        }
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        self.precise.visit(visitor);
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        // Read before the change: if the mapper changes the precision, the forward pass follows it.
        let mut casts = Casts {
            before: DTypes::of(&self.precise),
            now: DTypes::of(&self.network),
        };
        let precise = constant(&self.precise.map(mapper));
        Self {
            network: constant(&precise).map(&mut casts),
            precise: precise.map(&mut Widen),
            gathered: self.gathered,
        }
    }
}

impl<N: Network> Network for MovingAverage<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.network.forward_tapped(input.without_autodiff(), taps)
    }

    delegate_network!(network: example, classifier, normalization, deployed);
}

display_module!([M: ModuleDisplay] MovingAverage<M>: average = network);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors;
    use crate::testing::Perceptron;
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Distribution, Tolerance};

    fn new_net(device: &Device) -> Perceptron {
        Perceptron::new([3, 2, 2], device)
    }

    fn step(net: Perceptron, device: &Device) -> Perceptron {
        let input = Tensor::<2>::random([4, 3], Distribution::Default, device);
        let loss = net.logits(input).square().mean();
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        SgdConfig::new().init().step(0.5, net, grads)
    }

    #[test]
    fn after_several_updates_it_is_the_closed_form() {
        let device = Device::default().autodiff();
        let mut net = new_net(&device);
        let mut average = MovingAverage::new(&net);
        let mut weights = vec![net.hidden.weight.val().without_autodiff()];
        for _ in 0..3 {
            net = step(net, &device);
            average = average.update(&net, 0.9);
            weights.push(net.hidden.weight.val().without_autodiff());
        }

        // 0.9³ w₀ + 0.1 (0.9² w₁ + 0.9 w₂ + w₃)
        let expected = [0.729, 0.081, 0.09, 0.1]
            .into_iter()
            .zip(weights)
            .map(|(share, weight)| weight.mul_scalar(share))
            .reduce(Tensor::add)
            .unwrap();
        let weight = average.inner().hidden.weight.val();
        weight
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::default());
        let mean = |net: &Perceptron| net.norm.running_mean.value_sync().into_data();
        assert_eq!(mean(average.inner()), mean(&net));
    }

    /// Casts every parameter, as for a training in half precision.
    struct To(DType);

    impl ModuleMapper for To {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.detach().cast(self.0))
        }
    }

    fn weight(average: &MovingAverage<Perceptron>) -> Tensor<2> {
        average.inner().hidden.weight.val()
    }

    #[test]
    fn steps_below_the_last_digit_of_half_precision_add_up() {
        for dtype in [DType::BF16, DType::F16] {
            if !Device::default().supports_dtype(dtype) {
                println!("{dtype:?}: skipped, the device does not have it");
                continue;
            }
            let device = Device::default();
            let net = |value: f64| {
                let mut net = new_net(&device);
                let ones = Tensor::<2>::full([3, 2], value, &device);
                net.hidden.weight = Param::from_tensor(ones);
                net.map(&mut To(dtype))
            };
            let mut average = MovingAverage::new(&net(1.0));
            for _ in 0..1000 {
                average = average.update(&net(1.5), 0.999);
            }

            // Every step is at most 0.0005; two neighbors near 1 are 0.001 apart in f16, 0.008 in
            // bf16.
            let expected = 1.5 - 0.5 * 0.999_f64.powi(1000);
            assert_eq!(weight(&average).dtype(), dtype);
            let value = weight(&average).max().into_scalar::<f64>();
            assert!(
                (value - expected).abs() < 0.006,
                "{dtype:?}: {value} is not {expected}"
            );

            // A restored average continues exactly, and its forward pass is in half precision
            // again.
            let fresh = MovingAverage::new(&net(0.0));
            let restored = fresh.load_record(average.clone().into_record());
            assert_eq!(tensors(&restored), tensors(&average));
            assert_eq!(weight(&restored).dtype(), dtype);
            let precise = restored.precise.hidden.weight.val();
            assert_eq!(precise.dtype(), DType::F32);
            let value = precise.max().into_scalar::<f64>();
            assert!((value - expected).abs() < 1e-4, "{value} is not {expected}");

            // A record in half precision, as earlier versions saved it, and a change of precision.
            let restored = restored.load_record(net(0.25).into_record());
            let value = weight(&restored).max().into_scalar::<f64>();
            assert_eq!((value, weight(&restored).dtype()), (0.25, dtype));
            if device.supports_dtype(DType::F64) {
                let double = restored.map(&mut To(DType::F64));
                assert_eq!(weight(&double).dtype(), DType::F64);
                let mean = double.inner().norm.running_mean.value();
                assert_eq!(mean.dtype(), DType::F64);
            }
        }
    }

    #[test]
    fn it_is_saved_and_not_changed_by_the_training_of_its_network() {
        #[derive(Module, Debug)]
        struct Both {
            net: Perceptron,
            average: MovingAverage<Perceptron>,
        }

        let device = Device::default().autodiff();
        let net = new_net(&device);
        let average = MovingAverage::new(&net);
        let both = Both { net, average }.train();
        let before = tensors(&both.average);

        let input = Tensor::<2>::random([4, 3], Distribution::Default, &device);
        let out = both.net.logits(input.clone());
        let grads = GradientsParams::from_grads(out.sum().backward(), &both);
        let both = SgdConfig::new().init().step(0.5, both, grads);
        assert_eq!(tensors(&both.average), before);
        assert_ne!(tensors(&both.net), before);
        let plain = both.average.inner().logits(input.without_autodiff());
        assert!(!plain.is_autodiff());

        let other = new_net(&device);
        let other = Both {
            average: MovingAverage::new(&other),
            net: other,
        };
        let other = other.load_record(both.clone().into_record());
        assert_eq!(tensors(&other.average), before);
        assert_eq!(tensors(&other.net), tensors(&both.net));
    }

    #[test]
    fn in_training_mode_it_gathers_separate_statistics() {
        let device = Device::default().autodiff();
        let net = new_net(&device);
        let average = MovingAverage::new(&net);
        let (before, parameters) = (tensors(&average), tensors(&net));
        let input = |seed: f32| {
            let values: Vec<_> = (0..12).map(|i| (seed + i as f32).sin()).collect();
            Tensor::<1>::from_data(values.as_slice(), &device).reshape([4, 3])
        };

        // A network with the same weights and the same inputs.
        let twin = new_net(&device).load_record(net.clone().into_record());
        for seed in [0.3, 5.0] {
            let output = average.forward_training(input(seed), &TapSelection::None);
            let output = output.response.classes().unwrap().clone();
            assert!(!output.is_autodiff());
            let expected = twin.logits(input(seed));
            output
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
        }
        assert_eq!(tensors(&average), before, "until the next step");
        assert_eq!(tensors(&net), parameters);

        let average = average.update(&net, 0.5);
        let mean = |net: &Perceptron| net.norm.valid().running_mean.value().into_data();
        assert_eq!(mean(average.inner()), mean(&twin));
        assert_ne!(mean(average.inner()), mean(&net));
        // After an update without such a pass, they are those of the network.
        let average = average.update(&net, 0.5);
        assert_eq!(mean(average.inner()), mean(&net));
    }
}
