use crate::{Input, Knowledge, Response, Tap, TapRecorder, TapSelection, Taps};
use burn::module::{Module, ModuleDisplay};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Device;

/// A network whose output and intermediate results can be distilled.
///
/// To use a network as a student or as a teacher, implement
/// [`forward_tapped`](Self::forward_tapped) and [`example`](Self::example); everything else has a
/// default. The forward pass offers its intermediate results, the taps, to a recorder. The names of
/// the taps are up to the network; recipes and objectives refer to the taps by these names.
///
/// # Example
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

    /// Runs the forward pass and offers each tap to the recorder.
    ///
    /// A tap is an intermediate result under a name:
    /// `taps.offer("layer1", || Tap::Map(map.clone()))` keeps the map if an objective requires the
    /// tap `layer1`, and costs nothing otherwise. A network without taps supports only losses on
    /// responses.
    fn forward_tapped(&self, input: Self::Input, taps: &mut TapRecorder) -> Response;

    /// Creates an input of zeros with the given number of samples.
    ///
    /// Dry runs use it to find the shapes of all taps, so that a network need not declare them.
    fn example(&self, samples: usize, device: &Device) -> Self::Input;

    /// Returns the last layer, from the features of the tap `pool` to the logits, if the network
    /// ends in a linear layer. It shares its parameters with the network.
    ///
    /// Some methods reuse the classifier of the teacher in the student, or replace the features
    /// that reach it. Default: `None`.
    fn classifier(&self) -> Option<Linear> {
        None
    }

    /// Returns the batch normalization layer whose output is the given tap, if there is one. For
    /// the sum of a residual block, it is the last one of the residual branch.
    ///
    /// Its parameters tell how the features are distributed before an activation. Default: `None`.
    fn normalization(&self, _tap: &str) -> Option<BatchNorm> {
        None
    }

    /// Returns the network as it is deployed after its training.
    ///
    /// A network that is trained in another form, such as one whose full-precision weights are
    /// quantized in each forward pass, returns the form that is evaluated and saved. The result has
    /// the outputs of the network in validation mode, and is not for further training. A wrapper
    /// deploys its inner network. Default: the network itself.
    fn deployed(self) -> Self {
        self
    }

    /// Computes one tap without the response.
    ///
    /// The default runs the whole forward pass. A network that can stop at the tap should override
    /// it, so that the layers behind the tap cost nothing.
    ///
    /// # Panics
    ///
    /// Panics if the network offers no tap of that name.
    fn forward_to(&self, input: Self::Input, tap: &str) -> Tap {
        let selection = TapSelection::named([tap]);
        self.forward_knowledge(input, &selection).taps.expect(tap)
    }

    /// Computes the response without any tap.
    fn forward(&self, input: Self::Input) -> Response {
        self.forward_tapped(input, &mut TapRecorder::default())
    }

    /// Computes the response and the selected taps.
    ///
    /// # Panics
    ///
    /// Panics if the network does not offer a selected tap. [`known_taps`] returns the taps that it
    /// offers.
    fn forward_knowledge(&self, input: Self::Input, selection: &TapSelection) -> Knowledge {
        let mut recorder = TapRecorder::new(selection.clone());
        let response = self.forward_tapped(input, &mut recorder);
        let taps = recorder.finish().unwrap_or_else(|error| panic!("{error}"));
        Knowledge { response, taps }
    }
}

/// Returns every tap of a network, from one forward pass over a batch of two samples of zeros.
///
/// The pass runs on a copy in validation mode and without autodiff, so that no running statistic
/// changes.
pub fn known_taps<N: Network>(network: &N) -> Taps {
    let network = network.valid();
    let device = network.devices().first().cloned().unwrap_or_default();
    let input = network.example(2, &device.without_autodiff());
    network.forward_knowledge(input, &TapSelection::All).taps
}
