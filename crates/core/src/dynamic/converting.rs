use super::erased::{ErasedMapper, ErasedModule, ErasedVisitor, ModuleTransform, Slot};
use super::network::{DynNetwork, ErasedNetwork};
use crate::{Input, Network, Response, Tap, TapRecorder};
use burn::module::{Devices, DisplaySettings};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Device;
use std::fmt::Display;
use std::marker::PhantomData;

/// A network with another input type, which is converted.
#[derive(Clone, Debug)]
struct Converting<N, I> {
    network: Slot<N>,
    input: PhantomData<fn() -> I>,
}

impl<I: Input> DynNetwork<I> {
    /// Creates a dynamic network from a network with another input type, to which an input of type
    /// `I` is converted. `I` can be an enum of the inputs of several networks, for instance.
    ///
    /// The forward pass panics with the error of the conversion if an input cannot be converted.
    ///
    /// # Example
    ///
    /// ```
    /// use burn::nn::{Linear, LinearConfig};
    /// use burn::tensor::{Device, Tensor};
    /// use burn_distill_core::{DynNetwork, Network, Response, TapRecorder};
    /// # use burn::module::Module;
    /// # #[derive(Module, Debug)]
    /// # struct Net { linear: Linear }
    /// # impl Network for Net {
    /// #     type Input = Tensor<2>;
    /// #     fn forward_tapped(&self, input: Tensor<2>, _: &mut TapRecorder) -> Response {
    /// #         Response::Classes(self.linear.forward(input))
    /// #     }
    /// #     fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
    /// #         Tensor::zeros([samples, 3], device)
    /// #     }
    /// # }
    /// # let device = Device::default();
    /// let net = Net { linear: LinearConfig::new(3, 2).init(&device) };
    ///
    /// // Every type converts to itself.
    /// let network = DynNetwork::<Tensor<2>>::converting(net);
    ///
    /// let input = network.example(4, &device);
    /// assert_eq!(network.forward(input).classes().unwrap().dims(), [4, 2]);
    /// ```
    pub fn converting<N>(network: N) -> Self
    where
        N: Network,
        N::Input: Into<I> + TryFrom<I, Error: Display>,
    {
        Self(Box::new(Converting {
            network: Slot::new(network),
            input: PhantomData,
        }))
    }
}

impl<N, I> Converting<N, I>
where
    N: Network,
    N::Input: TryFrom<I, Error: Display>,
{
    fn own(input: I) -> N::Input {
        N::Input::try_from(input).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl<N: Network, I: Input> ErasedModule for Converting<N, I> {
    fn visit_erased(&self, visitor: &mut dyn ErasedVisitor) {
        self.network.visit_erased(visitor);
    }

    fn map_erased(&mut self, mapper: &mut dyn ErasedMapper) {
        self.network.map_erased(mapper);
    }

    fn collect_devices_erased(&self, devices: Devices) -> Devices {
        self.network.collect_devices_erased(devices)
    }

    fn transform(&mut self, transform: ModuleTransform<'_>) {
        self.network.transform(transform);
    }

    fn format_erased(&self, settings: DisplaySettings) -> String {
        self.network.format_erased(settings)
    }
}

impl<N, I> ErasedNetwork<I> for Converting<N, I>
where
    N: Network,
    I: Input,
    N::Input: Into<I> + TryFrom<I, Error: Display>,
{
    fn forward_tapped_erased(&self, input: I, taps: &mut TapRecorder) -> Response {
        self.network.module().forward_tapped(Self::own(input), taps)
    }

    fn forward_to_erased(&self, input: I, tap: &str) -> Tap {
        self.network.module().forward_to(Self::own(input), tap)
    }

    fn example_erased(&self, samples: usize, device: &Device) -> I {
        self.network.module().example(samples, device).into()
    }

    fn classifier_erased(&self) -> Option<Linear> {
        self.network.module().classifier()
    }

    fn normalization_erased(&self, tap: &str) -> Option<BatchNorm> {
        self.network.module().normalization(tap)
    }

    fn deploy_erased(&mut self) {
        self.network.replace(Network::deployed);
    }

    fn clone_erased(&self) -> Box<dyn ErasedNetwork<I>> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LinearClassifier;
    use crate::{impl_input, known_taps, tensors};
    use burn::module::Module;
    use burn::tensor::{Distribution, Tensor};

    /// An input that converts to a tensor only if it has three columns.
    #[derive(Clone, Debug)]
    struct Rows {
        rows: Tensor<2>,
    }

    impl_input!(Rows { rows });

    impl From<Tensor<2>> for Rows {
        fn from(rows: Tensor<2>) -> Self {
            Self { rows }
        }
    }

    impl TryFrom<Rows> for Tensor<2> {
        type Error = String;

        fn try_from(Rows { rows }: Rows) -> Result<Self, String> {
            match rows.dims()[1] {
                3 => Ok(rows),
                count => Err(format!("rows of {count} columns are not for this network")),
            }
        }
    }

    fn net() -> LinearClassifier {
        LinearClassifier::new(3, 2, &Device::default())
    }

    #[test]
    fn it_is_the_inner_network_with_another_input_type() {
        let plain = net();
        let converting = DynNetwork::<Rows>::converting(plain.clone());
        let rows = Tensor::<2>::random([4, 3], Distribution::Default, &Device::default());

        let [a, b] = [
            plain.forward(rows.clone()),
            converting.forward(rows.clone().into()),
        ]
        .map(|response| response.classes().unwrap().to_data());
        a.assert_eq(&b, true);
        let tap = converting.forward_to(rows.into(), "logits");
        tap.into_vectors().into_data().assert_eq(&a, true);

        assert_eq!(tensors(&converting), tensors(&plain));
        assert_eq!(converting.to_string(), plain.to_string());
        assert_eq!(known_taps(&converting).len(), 1);
        assert!(converting.classifier().is_some());
        let other = DynNetwork::<Rows>::converting(net());
        let other = other.load_record(plain.clone().into_record());
        assert_eq!(tensors(&other.valid()), tensors(&plain));
    }

    #[test]
    #[should_panic(expected = "rows of 2 columns are not for this network")]
    fn an_input_that_does_not_convert_is_refused_with_the_error_of_the_conversion() {
        let rows = Tensor::<2>::zeros([1, 2], &Device::default());

        DynNetwork::<Rows>::converting(net()).forward(rows.into());
    }
}
