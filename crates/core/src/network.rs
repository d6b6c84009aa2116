use crate::{Input, Knowledge, Response, Tap, TapRecorder, TapSelection, Taps};
use burn::module::{Module, ModuleDisplay};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Device;

/// A network that exposes its knowledge.
///
/// A network offers its intermediate results to the recorder under names of its own choice, which
/// are its public vocabulary: recipes and objectives refer to them.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor, activation::relu};
/// use burn_distill_core::{Network, Response, Tap, TapRecorder, TapSelection};
///
/// #[derive(Module, Debug)]
/// struct Mlp {
///     hidden: Linear,
///     output: Linear,
/// }
///
/// impl Network for Mlp {
///     type Input = Tensor<2>;
///
///     fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
///         let hidden = relu(self.hidden.forward(input));
///         taps.offer("hidden", || Tap::Vector(hidden.clone()));
///         Response::Classes(self.output.forward(hidden))
///     }
///
///     fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
///         Tensor::zeros([samples, 4], device)
///     }
/// }
///
/// let device = Device::default();
/// let mlp = Mlp {
///     hidden: LinearConfig::new(4, 8).init(&device),
///     output: LinearConfig::new(8, 3).init(&device),
/// };
/// let input = mlp.example(2, &device);
/// let knowledge = mlp.forward_knowledge(input, &TapSelection::named(["hidden"]));
/// assert_eq!(knowledge.taps.get("hidden").unwrap().shape().as_slice(), [2, 8]);
/// ```
pub trait Network: Module + ModuleDisplay + 'static {
    /// The input of the network.
    type Input: Input;

    /// The forward pass, which offers each tap to the recorder.
    ///
    /// A tap is an intermediate result under a name: `taps.offer("layer1", || Tap::Map(map.clone()))`
    /// keeps the map if an objective requires the tap `layer1`, and costs nothing otherwise. A network
    /// without taps serves losses on responses.
    fn forward_tapped(&self, input: Self::Input, taps: &mut TapRecorder) -> Response;

    /// An input of zeros with as many samples, for dry runs: shapes are found, not declared.
    fn example(&self, samples: usize, device: &Device) -> Self::Input;

    /// The last layer, from the features of the tap `pool` to the logits, if the network ends in
    /// one. It shares its parameters with the network.
    ///
    /// What students borrow from a teacher, and what normalizes features in front of it.
    fn classifier(&self) -> Option<Linear> {
        None
    }

    /// The batch normalization whose output the tap of that name is, if it is one's. For a sum, that
    /// of the residual branch.
    ///
    /// Its statistics tell how the features are distributed before an activation.
    fn normalization(&self, _tap: &str) -> Option<BatchNorm> {
        None
    }

    /// The tap of that name, without a response: a network that can, stops there, so that what is
    /// deeper costs nothing.
    ///
    /// # Panics
    ///
    /// Panics if the network offers no tap of that name.
    fn forward_to(&self, input: Self::Input, tap: &str) -> Tap {
        let selection = TapSelection::named([tap]);
        self.forward_knowledge(input, &selection).taps.expect(tap)
    }

    /// The forward pass, for its response alone.
    fn forward(&self, input: Self::Input) -> Response {
        self.forward_tapped(input, &mut TapRecorder::default())
    }

    /// The forward pass, for its response and the wanted taps.
    ///
    /// # Panics
    ///
    /// Panics if the network offers no tap of a wanted name. [`known_taps`] tells beforehand.
    fn forward_knowledge(&self, input: Self::Input, selection: &TapSelection) -> Knowledge {
        let mut recorder = TapRecorder::new(selection.clone());
        let response = self.forward_tapped(input, &mut recorder);
        let taps = recorder.finish().unwrap_or_else(|error| panic!("{error}"));
        Knowledge { response, taps }
    }
}

/// Every tap of a network, found by one forward pass of a two-sample batch of zeros.
///
/// The pass runs on a copy in validation mode, off autodiff: no running statistic changes.
pub fn known_taps<N: Network>(network: &N) -> Taps {
    let network = network.valid();
    let device = network.devices().first().cloned().unwrap_or_default();
    let input = network.example(2, &device.without_autodiff());
    network.forward_knowledge(input, &TapSelection::All).taps
}
