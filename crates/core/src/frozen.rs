use crate::delegate::untrained_module;
use crate::{
    Input, Knowledge, Network, Response, TapRecorder, TapSelection, delegate_network,
    display_module,
};
use burn::module::{Devices, Module, ModuleDisplay, ModuleMapper, ModuleVisitor};
use burn::tensor::Device;

/// A constant module, such as a teacher: it is moved between devices, but never trained, counted or
/// saved.
///
/// A frozen module computes without autodiff and in validation mode, so neither its weights nor its
/// running statistics change. Visitors and mappers (optimizers, records, parameter counts) find no
/// tensors in it.
///
/// A teacher may compute [in training mode](Self::with_training_mode) instead. Its weights and its
/// running statistics do not change then, either.
#[derive(Clone, Debug)]
pub struct Frozen<M> {
    module: M,
    training_mode: bool,
}

impl<M: Module> Frozen<M> {
    /// Creates a frozen module. The original is not affected.
    pub fn new(module: M) -> Self {
        // The order matters: `freeze` on a lazy module also freezes the clones that share its
        // state, while `valid` copies the parameters first.
        Self {
            module: module.valid().freeze(),
            training_mode: false,
        }
    }

    /// Sets whether the network is in training mode as a [teacher](crate::Teacher): batch
    /// normalization by the statistics of the batch, and dropout. Default: false.
    ///
    /// Some published code never sets its teacher to evaluation mode. There, the running statistics
    /// of the teacher change, on which no output in training mode depends; here they stay constant.
    /// For a batch without autodiff, as during validation, the teacher is in validation mode.
    pub fn with_training_mode(mut self, training_mode: bool) -> Self {
        self.training_mode = training_mode;
        self
    }

    /// Returns whether the network is in training mode as a teacher.
    pub fn training_mode(&self) -> bool {
        self.training_mode
    }

    /// Returns the inner module.
    pub fn inner(&self) -> &M {
        &self.module
    }

    /// Returns the inner module by value, without autodiff and in validation mode.
    pub fn into_inner(self) -> M {
        self.module
    }
}

impl<N: Network> Frozen<N> {
    /// Computes the response and the selected taps with gradients for the input.
    ///
    /// Methods without data train the input of a constant teacher, such as a generator of images.
    /// The pass is in validation mode: batch normalization uses the stored statistics, which do not
    /// change, and no parameter has a gradient. As a [student](Network) or as a
    /// [teacher](crate::Teacher), a frozen network takes its input off autodiff instead.
    ///
    /// # Panics
    ///
    /// Panics if the network does not offer a selected tap.
    pub fn forward_with_input_gradients(
        &self,
        input: N::Input,
        selection: &TapSelection,
    ) -> Knowledge {
        self.module.forward_knowledge(input, selection)
    }
}

/// Copies a constant module and sets the copy to training mode. Its parameters have no gradients
/// and its running statistics are separate.
pub(crate) fn in_training_mode<M: Module>(constant: &M) -> M {
    // `train` by itself leaves the constant frozen; `no_grad` avoids a graph.
    constant.valid().unfreeze().no_grad().train()
}

impl<M: Module> Module for Frozen<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.module.collect_devices(devices)
    }

    untrained_module!();

    fn to_device(self, device: &Device) -> Self {
        // A copy first, because burn moves running statistics in place, including those of clones.
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

/// A student that is not trained, for instance while only its adapter is trained.
impl<N: Network> Network for Frozen<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.module.forward_tapped(input.without_autodiff(), taps)
    }

    delegate_network!(module: example, classifier, normalization, deployed);
}

display_module!([M: ModuleDisplay] Frozen<M>: frozen = module);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Perceptron;
    use crate::{Batch, Clock, TapSelection, Targets, Teacher, parameter_count, tensors};
    use burn::tensor::{Distribution, Tensor};

    fn net(device: &Device) -> Perceptron {
        Perceptron::new([3, 4, 2], device)
    }

    #[test]
    fn the_original_still_trains() {
        let device = Device::default().autodiff();
        let net = net(&device);

        // Clones share lazy parameters: with only `freeze`, the original would be frozen, too.
        let _frozen = Frozen::new(net.clone());

        let input = Tensor::random([5, 3], Distribution::Default, &device);
        let grads = net.logits(input).sum().backward();
        assert!(net.hidden.weight.grad(&grads).is_some());
    }

    #[test]
    fn its_parameters_are_not_counted_or_saved() {
        let frozen = Frozen::new(net(&Device::default().autodiff()));

        assert_eq!(Module::num_params(&frozen), 0);
        assert_eq!(parameter_count(&frozen), 0);
        assert!(frozen.clone().into_record().is_empty());
        assert!(parameter_count(frozen.inner()) > 0);
    }

    #[test]
    fn training_mode_and_autodiff_devices_do_not_affect_it() {
        let device = Device::default().autodiff();
        let frozen = Frozen::new(net(&device));
        let before = tensors(frozen.inner());

        let frozen = frozen.train().fork(&device).to_device(&device);
        let input = Tensor::random([5, 3], Distribution::Default, &device);
        let output = frozen.inner().logits(input.without_autodiff());

        assert!(!output.is_autodiff());
        assert_eq!(tensors(frozen.inner()), before);
    }

    #[test]
    fn a_teacher_in_training_mode_uses_batch_statistics_and_does_not_change() {
        let device = Device::default().autodiff();
        let net = net(&device);
        let frozen = Frozen::new(net.clone()).with_training_mode(true);
        let before = tensors(frozen.inner());
        let input = Tensor::<2>::random([5, 3], Distribution::Default, &device);
        let teach = |frozen: &Frozen<Perceptron>, input: Tensor<2>| {
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
                let output = teach(&frozen, input.clone());
                assert!(!output.is_autodiff());
                let expected = net.valid().train().logits(input.clone());
                output.into_data().assert_eq(&expected.into_data(), true);
                assert_eq!(tensors(frozen.inner()), before);
            }
            // During validation, by its running statistics.
            let plain = input.clone().without_autodiff();
            let output = teach(&frozen, plain.clone()).into_data();
            let expected = net.valid().logits(plain).into_data();
            output.assert_eq(&expected, true);
        }
    }

    #[test]
    fn gradients_flow_to_the_input_through_the_stored_statistics() {
        let device = Device::default().autodiff();
        let net = net(&device);
        // Running statistics other than their initial values.
        net.logits(Tensor::random(
            [8, 3],
            Distribution::Normal(2.0, 3.0),
            &device,
        ));
        let frozen = Frozen::new(net.clone());
        let before = tensors(frozen.inner());
        let input = Tensor::<2>::random([5, 3], Distribution::Default, &device).require_grad();
        let logits = |input: Tensor<2>| {
            let knowledge = frozen.forward_with_input_gradients(input, &TapSelection::None);
            knowledge.response.classes().unwrap().clone()
        };

        let output = logits(input.clone());
        let expected = net.valid().logits(input.clone().without_autodiff());
        output.to_data().assert_eq(&expected.into_data(), true);
        let grads = output.square().sum().backward();
        let gradient: Vec<f32> = input.grad(&grads).unwrap().into_data().iter().collect();

        assert!(net.hidden.weight.grad(&grads).is_none());
        assert_eq!(tensors(frozen.inner()), before);
        // Central differences of a pass without autodiff.
        let plain = input.without_autodiff();
        let value = |input: Tensor<2>| -> f32 { logits(input).square().sum().into_scalar() };
        for (place, gradient) in gradient.iter().enumerate() {
            let mut change = vec![0.0_f32; 15];
            change[place] = 1e-2;
            let change = Tensor::<1>::from_data(change.as_slice(), &plain.device());
            let change = change.reshape([5, 3]);
            let rise = value(plain.clone().add(change.clone())) - value(plain.clone().sub(change));
            let expected = rise / 2e-2;
            assert!(
                (gradient - expected).abs() < 1e-2 * (1.0 + expected.abs()),
                "{place}: {gradient} {expected}"
            );
        }
    }

    #[test]
    fn display_shows_that_it_is_frozen() {
        let display = Frozen::new(net(&Device::default())).to_string();

        assert!(display.starts_with("Frozen {"), "{display}");
        assert!(display.contains("Linear"), "{display}");
    }
}
