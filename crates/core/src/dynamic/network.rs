use super::erased::{Dynamic, ErasedModule, Slot};
use crate::{Input, Network, Response, Tap, TapRecorder};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Device;

/// A network whose type is chosen at run time, for inputs of type `I`.
///
/// Its parameters, their paths and its records are those of the inner network.
pub type DynNetwork<I> = Dynamic<dyn ErasedNetwork<I>>;

/// Object-safe version of [`Network`].
pub trait ErasedNetwork<I: Input>: ErasedModule + 'static {
    /// [`Network::forward_tapped`]
    fn forward_tapped_erased(&self, input: I, taps: &mut TapRecorder) -> Response;
    /// [`Network::forward_to`]
    fn forward_to_erased(&self, input: I, tap: &str) -> Tap;
    /// [`Network::example`]
    fn example_erased(&self, samples: usize, device: &Device) -> I;
    /// [`Network::classifier`]
    fn classifier_erased(&self) -> Option<Linear>;
    /// [`Network::normalization`]
    fn normalization_erased(&self, tap: &str) -> Option<BatchNorm>;
    /// [`Network::deployed`]
    fn deploy_erased(&mut self);
    /// `Clone`
    fn clone_erased(&self) -> Box<dyn ErasedNetwork<I>>;
}

impl<N: Network> ErasedNetwork<N::Input> for Slot<N> {
    fn forward_tapped_erased(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.module().forward_tapped(input, taps)
    }

    fn forward_to_erased(&self, input: N::Input, tap: &str) -> Tap {
        self.module().forward_to(input, tap)
    }

    fn example_erased(&self, samples: usize, device: &Device) -> N::Input {
        self.module().example(samples, device)
    }

    fn classifier_erased(&self) -> Option<Linear> {
        self.module().classifier()
    }

    fn normalization_erased(&self, tap: &str) -> Option<BatchNorm> {
        self.module().normalization(tap)
    }

    fn deploy_erased(&mut self) {
        self.replace(Network::deployed);
    }

    fn clone_erased(&self) -> Box<dyn ErasedNetwork<N::Input>> {
        Box::new(self.clone())
    }
}

impl<I: Input> Clone for Box<dyn ErasedNetwork<I>> {
    fn clone(&self) -> Self {
        (**self).clone_erased()
    }
}

impl<I: Input> DynNetwork<I> {
    /// Creates a dynamic network from any network.
    pub fn new(network: impl Network<Input = I>) -> Self {
        Self(Box::new(Slot::new(network)))
    }
}

impl<I: Input> Network for DynNetwork<I> {
    type Input = I;

    fn forward_tapped(&self, input: I, taps: &mut TapRecorder) -> Response {
        self.0.forward_tapped_erased(input, taps)
    }

    fn forward_to(&self, input: I, tap: &str) -> Tap {
        self.0.forward_to_erased(input, tap)
    }

    fn example(&self, samples: usize, device: &Device) -> I {
        self.0.example_erased(samples, device)
    }

    fn classifier(&self) -> Option<Linear> {
        self.0.classifier_erased()
    }

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        self.0.normalization_erased(tap)
    }

    fn deployed(mut self) -> Self {
        self.0.deploy_erased();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TapSelection, known_taps, parameter_count, tensors};
    use burn::module::{Module, Param};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{Distribution, Int, Tensor};

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: BatchNorm,
        table: Param<Tensor<3, Int>>,
    }

    impl Network for Net {
        type Input = Tensor<2>;

        fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
            let hidden = self.linear.forward(input);
            taps.offer("hidden", || Tap::Vector(hidden.clone()));
            Response::Classes(self.norm.forward(hidden))
        }

        fn forward_to(&self, input: Tensor<2>, tap: &str) -> Tap {
            assert_eq!(tap, "hidden");
            // The sign distinguishes it from the whole pass.
            Tap::Vector(self.linear.forward(input).neg())
        }

        fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
            Tensor::zeros([samples, 3], device)
        }
    }

    #[test]
    fn it_stops_at_a_tap_like_the_inner_network() {
        let device = Device::default();
        let plain = net(&device);
        let input = Tensor::<2>::random([2, 3], Distribution::Default, &device);

        let dynamic = DynNetwork::new(plain.clone());
        let tap = dynamic.forward_to(input.clone(), "hidden").into_vectors();

        let expected = plain.linear.forward(input).neg().into_data();
        tap.into_data().assert_eq(&expected, true);
    }

    fn net(device: &Device) -> Net {
        let table = Tensor::from_data([[[1, 2]]], device);
        Net {
            linear: LinearConfig::new(3, 4).init(device),
            norm: BatchNormConfig::new(4).init(device),
            table: Param::initialized(burn::module::ParamId::new(), table),
        }
    }

    #[test]
    fn it_has_the_outputs_and_parameters_of_the_inner_network() {
        let device = Device::default();
        let plain = net(&device);
        let dynamic = DynNetwork::new(plain.clone());

        let input = Tensor::<2>::random([2, 3], Distribution::Default, &device);
        let selection = TapSelection::named(["hidden"]);
        let [a, b] = [
            plain.forward_knowledge(input.clone(), &selection),
            dynamic.forward_knowledge(input, &selection),
        ]
        .map(|knowledge| knowledge.response.classes().unwrap().to_data());

        a.assert_eq(&b, true);
        assert_eq!(tensors(&dynamic), tensors(&plain));
        assert_eq!(parameter_count(&dynamic), 24);
        assert_eq!(known_taps(&dynamic).len(), 1);
        assert_eq!(dynamic.to_string(), plain.to_string());
    }

    #[test]
    fn its_records_are_those_of_the_inner_network() {
        let device = Device::default();
        let plain = net(&device);
        let dynamic = DynNetwork::new(net(&device));

        let dynamic = dynamic.load_record(plain.clone().into_record());
        assert_eq!(tensors(&dynamic), tensors(&plain));

        let back = net(&device).load_record(dynamic.into_record());
        assert_eq!(tensors(&back), tensors(&plain));
    }

    #[test]
    fn it_trains_and_has_a_validation_mode() {
        let device = Device::default().autodiff();
        let dynamic = DynNetwork::new(net(&device));
        let input = Tensor::<2>::random([5, 3], Distribution::Default, &device);

        let forward = |network: &DynNetwork<Tensor<2>>, input| {
            network.forward(input).classes().unwrap().clone()
        };
        let output = forward(&dynamic, input.clone());
        let grads = burn::optim::GradientsParams::from_grads(output.sum().backward(), &dynamic);
        assert!(!grads.is_empty());

        let valid = dynamic.valid();
        assert!(!forward(&valid, input.without_autodiff()).is_autodiff());
    }
}
