use super::chosen::assert_threshold;
use crate::{ChosenExits, MultiExitNetwork, mean_logits};
use burn::module::Module;
use burn_distill_core::{Network, Response, Tap, TapRecorder, delegate_network};

/// Which exits of a [`MultiExitNetwork`] answer when it is [deployed](MultiExitNetwork::deploy).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExitChoice {
    /// That one, counted from 1.
    One(usize),
    /// All, by the mean of their logits.
    Mean,
    /// For each sample the first whose most likely class is at least that likely: see
    /// [`ChosenExits::first_sure`].
    FirstSure(f64),
}

/// The exits of a network as a plain network, whose response is that of the chosen ones.
///
/// [One exit](ExitChoice::One) costs what leads to it: stages behind it do not run, if the network
/// can [stop](Network::forward_to), as those of convolutional and residual networks do. Their
/// parameters stay in the record. The others run all exits:
/// [`FirstSure`](ExitChoice::FirstSure) tells which exit each sample of a batch would leave by, and
/// so what could be saved, but a batch goes as far as its last sample.
///
/// | Tap | Kind | What |
/// | --- | --- | --- |
/// | `exit` | vector | with `FirstSure`, the exit that each sample took, `[batch_size, 1]` |
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
    /// The network and its exits.
    pub network: M,
    /// Which of them answer.
    #[module(skip)]
    pub choice: ExitChoice,
}

impl<N: Network> DeployedExits<MultiExitNetwork<N>> {
    /// The name of the tap of the exit that each sample took.
    pub const TAP: &'static str = "exit";

    pub(super) fn new(network: MultiExitNetwork<N>, choice: ExitChoice) -> Self {
        match choice {
            ExitChoice::One(number) => {
                let count = network.exit_count();
                assert!(
                    (1..=count).contains(&number),
                    "There is no exit {number} of {count}."
                );
            }
            ExitChoice::Mean => (),
            ExitChoice::FirstSure(threshold) => assert_threshold(threshold),
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
            ExitChoice::FirstSure(threshold) => {
                let exits = self.network.forward_exits(input);
                let chosen = ChosenExits::first_sure(&exits, threshold);
                taps.offer(Self::TAP, || {
                    Tap::Vector(chosen.exits.clone().float().unsqueeze_dim(1))
                });
                chosen.logits
            }
        })
    }

    delegate_network!(network: example);
}
