use crate::delegate::untrained_module;
use crate::{Input, Network, Response, TapRecorder, delegate_network, display_module};
use burn::module::{Devices, Module, ModuleDisplay, ModuleMapper, ModuleVisitor};
use burn::tensor::Device;

/// A module held constant: moved across devices with the tree, but never trained, counted or saved.
///
/// A frozen module has no autodiff: it computes on plain tensors, in validation mode, so neither
/// its weights nor its running statistics can change. To the module tree it looks empty: visitors
/// and mappers (optimizers, records, parameter counts) find nothing in it.
///
/// As a teacher it may compute [in training mode](Self::with_training_mode) instead, and even then it
/// stays as it is, bit by bit.
#[derive(Clone, Debug)]
pub struct Frozen<M> {
    module: M,
    training_mode: bool,
}

impl<M: Module> Frozen<M> {
    /// Freeze a module. The original is not affected.
    pub fn new(module: M) -> Self {
        // In this order: `freeze` on a lazy module that shares its state with a clone freezes the
        // clone too, while `valid` first makes the parameters its own.
        Self {
            module: module.valid().freeze(),
            training_mode: false,
        }
    }

    /// Sets whether a network [teaches](crate::Teacher) in training mode: normalized by the statistics
    /// of the batch, with dropout. Default: false.
    ///
    /// So do the teachers of some published code, in which nobody has put them in evaluation mode.
    /// There their running statistics move, which no output in training mode depends on; here they
    /// stay. A batch that is not on autodiff, as in a validation, is answered in validation mode.
    pub fn with_training_mode(mut self, training_mode: bool) -> Self {
        self.training_mode = training_mode;
        self
    }

    /// Whether it teaches in training mode.
    pub fn training_mode(&self) -> bool {
        self.training_mode
    }

    /// The module inside.
    pub fn inner(&self) -> &M {
        &self.module
    }

    /// The module inside, still off autodiff and in validation mode.
    pub fn into_inner(self) -> M {
        self.module
    }
}

/// Returns a copy in training mode, whose parameters have no gradient and whose running statistics
/// are its own.
pub(crate) fn in_training_mode<M: Module>(constant: &M) -> M {
    // A constant stays frozen through `train` alone; without gradients there is no graph.
    constant.valid().unfreeze().no_grad().train()
}

impl<M: Module> Module for Frozen<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.module.collect_devices(devices)
    }

    untrained_module!();

    fn to_device(self, device: &Device) -> Self {
        // A copy first: burn moves running statistics in place, also those of the clones.
        let device = device.clone().without_autodiff();
        Self {
            module: self.module.valid().to_device(&device),
            ..self
        }
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        Self {
            module: self.module.materialize(),
            ..self
        }
    }

    fn visit<Visitor: ModuleVisitor>(&self, _visitor: &mut Visitor) {}

    fn map<Mapper: ModuleMapper>(self, _mapper: &mut Mapper) -> Self {
        self
    }
}

/// A student that does not learn, while what is trained beside it does.
impl<N: Network> Network for Frozen<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.module.forward_tapped(input.without_autodiff(), taps)
    }

    delegate_network!(module: example, classifier, normalization);
}

display_module!([M: ModuleDisplay] Frozen<M>: frozen = module);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Clock, TapSelection, Targets, Teacher, parameter_count, tensors};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{Distribution, Tensor};

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: BatchNorm,
    }

    impl Net {
        fn new(device: &Device) -> Self {
            Self {
                linear: LinearConfig::new(3, 4).init(device),
                norm: BatchNormConfig::new(4).init(device),
            }
        }

        fn forward(&self, input: Tensor<2>) -> Tensor<2> {
            self.norm.forward(self.linear.forward(input))
        }
    }

    #[test]
    fn the_original_still_trains() {
        let device = Device::default().autodiff();
        let net = Net::new(&device);

        // Lazy parameters are shared by clones: the case that `freeze` alone gets wrong.
        let _frozen = Frozen::new(net.clone());

        let input = Tensor::random([5, 3], Distribution::Default, &device);
        let grads = Net::forward(&net, input).sum().backward();
        assert!(net.linear.weight.grad(&grads).is_some());
    }

    #[test]
    fn nothing_inside_is_trained_counted_or_saved() {
        let frozen = Frozen::new(Net::new(&Device::default().autodiff()));

        assert_eq!(Module::num_params(&frozen), 0);
        assert_eq!(parameter_count(&frozen), 0);
        assert!(frozen.clone().into_record().is_empty());
        assert!(parameter_count(frozen.inner()) > 0);
    }

    #[test]
    fn training_mode_and_autodiff_devices_do_not_reach_it() {
        let device = Device::default().autodiff();
        let frozen = Frozen::new(Net::new(&device));
        let before = tensors(frozen.inner());

        let frozen = frozen.train().fork(&device).to_device(&device);
        let input = Tensor::random([5, 3], Distribution::Default, &device);
        let output = Net::forward(frozen.inner(), input.without_autodiff());

        assert!(!output.is_autodiff());
        assert_eq!(tensors(frozen.inner()), before);
    }

    impl Network for Net {
        type Input = Tensor<2>;

        fn forward_tapped(&self, input: Tensor<2>, _taps: &mut TapRecorder) -> Response {
            Response::Classes(Net::forward(self, input))
        }

        fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
            Tensor::zeros([samples, 3], device)
        }
    }

    #[test]
    fn a_teacher_in_training_mode_is_normalized_by_the_batch_and_stays_as_it_is() {
        let device = Device::default().autodiff();
        let net = Net::new(&device);
        let frozen = Frozen::new(net.clone()).with_training_mode(true);
        let before = tensors(frozen.inner());
        let input = Tensor::<2>::random([5, 3], Distribution::Default, &device);
        let teach = |frozen: &Frozen<Net>, input: Tensor<2>| {
            let batch = Batch {
                views: vec![input],
                targets: Targets::Unlabeled,
                ids: (0..5).collect(),
                clock: Clock::start(),
            };
            let knowledge = frozen.teach(&batch, &TapSelection::None);
            knowledge.response.classes().unwrap().clone()
        };

        for frozen in [frozen.clone(), frozen.to_device(&device).train()] {
            for _ in 0..2 {
                let taught = teach(&frozen, input.clone());
                assert!(!taught.is_autodiff());
                let expected = Net::forward(&net.valid().train(), input.clone());
                taught.into_data().assert_eq(&expected.into_data(), true);
                assert_eq!(tensors(frozen.inner()), before);
            }
            // Of a validation, by its running statistics.
            let plain = input.clone().without_autodiff();
            let taught = teach(&frozen, plain.clone()).into_data();
            let expected = Net::forward(&net.valid(), plain).into_data();
            taught.assert_eq(&expected, true);
        }
    }

    #[test]
    fn display_says_that_it_is_frozen() {
        let display = Frozen::new(Net::new(&Device::default())).to_string();

        assert!(display.starts_with("Frozen {"), "{display}");
        assert!(display.contains("Linear"), "{display}");
    }
}
