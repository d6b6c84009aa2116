use super::chosen::assert_threshold;
use crate::{ChosenExits, MultiExitNetwork, mean_logits};
use burn::module::Module;
use burn_distill_core::{Network, Response, Tap, TapRecorder, delegate_network};

/// Exits that determine the response of a [deployed](MultiExitNetwork::deploy)
/// [`MultiExitNetwork`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExitChoice {
    /// A single exit, counted from 1.
    One(usize),
    /// The mean of the logits of all exits.
    Mean,
    /// For each sample, the first exit whose most probable class has at least this probability: see
    /// [`ChosenExits::first_confident`].
    FirstConfident(f64),
}

/// A multi-exit network as a plain network, whose response is that of the chosen exits.
///
/// With [one exit](ExitChoice::One), the stages behind it do not run if the network can
/// [stop](Network::forward_to) there, as convolutional and residual networks can; their parameters
/// stay in the record. The other choices run all exits.
/// [`FirstConfident`](ExitChoice::FirstConfident) shows the exit of each sample, and so the
/// possible savings, but the whole batch runs through all stages.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `exit` | vector | with `FirstConfident`, the chosen exit of each sample, `[batch_size, 1]` |
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{ExitChoice, MultiExitConfig, NetworkConfig};
/// use burn_distill_core::Network;
///
/// let device = Device::default();
/// let network = NetworkConfig::by_name("convnet-4-8-8")?.init([1, 8, 8], 10, &device)?;
/// let network = MultiExitConfig::new().init(network);
///
/// let shallow = network.deploy(ExitChoice::One(1));
///
/// let response = shallow.forward(shallow.example(3, &device));
/// assert_eq!(response.classes().unwrap().dims(), [3, 10]);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Module, Debug)]
pub struct DeployedExits<M> {
    /// Network with its exits.
    pub network: M,
    /// Exits that determine the response.
    #[module(skip)]
    pub choice: ExitChoice,
}

impl<N: Network> DeployedExits<MultiExitNetwork<N>> {
    /// Name of the tap with the chosen exit of each sample.
    pub const TAP: &'static str = "exit";

    pub(super) fn new(network: MultiExitNetwork<N>, choice: ExitChoice) -> Self {
        match choice {
            ExitChoice::One(number) => {
                let count = network.exit_count();
                assert!(
                    (1..=count).contains(&number),
                    "The number of the exit should be from 1 to {count}, but is {number}."
                );
            }
            ExitChoice::Mean => (),
            ExitChoice::FirstConfident(threshold) => assert_threshold(threshold),
        }
        Self { network, choice }
    }
}

impl<N: Network> Network for DeployedExits<MultiExitNetwork<N>> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        Response::Classes(match self.choice {
            ExitChoice::One(number) => self.network.forward_exit(input, number),
            ExitChoice::Mean => mean_logits(&self.network.forward_exits(input)),
            ExitChoice::FirstConfident(threshold) => {
                let exits = self.network.forward_exits(input);
                let chosen = ChosenExits::first_confident(&exits, threshold);
                taps.offer(Self::TAP, || {
                    Tap::Vector(chosen.exits.clone().float().unsqueeze_dim(1))
                });
                chosen.logits
            }
        })
    }

    delegate_network!(network: example, deployed);
}
