use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use burn_distill_core::{
    Network, Response, Tap, TapRecorder, assert_parameters_differ, delegate_module,
    delegate_network, display_module,
};

/// A network that can be split into a trunk and a branch, so that it can have several branches with
/// separate parameters.
pub trait Branching: Network {
    /// Branch: the last part of the network.
    type Branch: Module + ModuleDisplay + 'static;

    /// Returns the name of the tap, a map, at which the branch begins.
    ///
    /// # Panics
    ///
    /// Panics if the network is too short for a trunk.
    fn trunk(&self) -> String;

    /// Returns the branch, which shares its parameters with the network.
    fn branch(&self) -> Self::Branch;

    /// Computes the logits of a branch, of this network or of another.
    ///
    /// # Shapes
    ///
    /// - trunk: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, classes]`
    fn forward_branch(branch: &Self::Branch, trunk: Tensor<4>) -> Tensor<2>;
}

/// A network with several branches on a shared trunk.
///
/// The first branch is that of the original network. So the response, the taps, and the names and
/// tensors of the parameters are those of the original network; the other branches follow under
/// `branches`. A record of a branched network loads into the original network with
/// [`allow_unused`](burn::store::ModuleRecord::allow_unused).
///
/// It offers the taps of the original network, and:
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `trunk` | map | the input of the branches |
/// | `branch1`, `branch2`, … | vector | the logits of each branch; `branch1` is the response |
///
/// `NativeEnsembleDistiller` of burn-distill-strategy trains it as an ensemble that costs little
/// more than a single network.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{BranchedNetwork, ConvNetConfig};
/// use burn_distill_core::known_taps;
///
/// let device = Device::default();
/// let config = ConvNetConfig::new(vec![4, 8], [1, 8, 8], 10);
/// let network = BranchedNetwork::new((0..3).map(|_| config.init(&device)));
///
/// assert_eq!(known_taps(&network).expect("branch3").shape().as_slice(), [2, 10]);
/// let deployed = network.into_network(); // a `ConvNet`
/// ```
#[derive(Clone, Debug)]
pub struct BranchedNetwork<N: Branching> {
    network: N,
    branches: Vec<N::Branch>,
}

/// Names of the additional taps of a [`BranchedNetwork`].
const TRUNK: &str = "trunk";
const BRANCH: &str = "branch";

impl<N: Branching> BranchedNetwork<N> {
    /// Creates a branched network from the trunk of the first network and the branches of all
    /// networks.
    ///
    /// The networks should have the same configuration, and their branches different parameters.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two networks, if they have no trunk, or if two branches have
    /// the same parameters.
    pub fn new(networks: impl IntoIterator<Item = N>) -> Self {
        let mut networks = networks.into_iter();
        let network = networks.next();
        let branches: Vec<_> = networks.map(|network| network.branch()).collect();
        let network = network.filter(|_| !branches.is_empty());
        let network = network.expect("a branched network needs at least two branches");
        network.trunk();
        let first = network.branch();
        assert_parameters_differ("Branches", [&first].into_iter().chain(&branches));
        Self { network, branches }
    }

    /// Returns the trunk with the first branch.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// Returns the trunk with the first branch by value, for deployment.
    pub fn into_network(self) -> N {
        self.network
    }
}

impl<N: Branching> Network for BranchedNetwork<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        let (response, trunk) = taps.capture(&self.network.trunk(), |taps| {
            self.network.forward_tapped(input, taps)
        });
        taps.offer(TRUNK, || trunk.clone());
        let own = response.rows().logits;
        taps.offer(format!("{BRANCH}1"), || Tap::Vector(own));
        for (number, branch) in (2..).zip(&self.branches) {
            let name = format!("{BRANCH}{number}");
            // A branch whose tap is not selected is not computed.
            taps.offer(name, || {
                Tap::Vector(N::forward_branch(branch, trunk.clone().into_map()))
            });
        }
        response
    }

    delegate_network!(network: example, classifier, normalization, deployed);
}

// Not derived, so that the tensors of the network keep their names.
delegate_module!([N: Branching] BranchedNetwork<N>: network, parts: [branches]);
display_module!([N: Branching] BranchedNetwork<N>: network, branches);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConvNetConfig, ResNetConfig};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Device, Distribution};
    use burn_distill_core::{
        Knowledge, TapSelection, initialize, known_taps, parameter_count, tensors,
    };

    fn all_taps(knowledge: &Knowledge) -> Vec<String> {
        knowledge.taps.iter().map(|(name, _)| name.into()).collect()
    }

    /// Checks a family of networks for color images of 8×8 pixels and 5 classes.
    fn check<N: Branching<Input = Tensor<4>>>(init: impl Fn(&Device) -> N, trunk: &str) {
        let device = Device::default().autodiff();
        let networks = [init(&device), init(&device), init(&device)];
        let plain = networks[0].clone();
        let third = networks[2].clone();
        let network = BranchedNetwork::new(networks);
        let input = Tensor::random(
            [3, 3, 8, 8],
            Distribution::Default,
            &device.clone().without_autodiff(),
        );

        // The response and the taps are those of the first network, with additional taps.
        let valid = network.valid();
        let knowledge = valid.forward_knowledge(input.clone(), &TapSelection::All);
        let expected = plain.valid().forward_knowledge(input, &TapSelection::All);
        let logits = |knowledge: &Knowledge| knowledge.response.rows().logits.into_data();
        assert_eq!(logits(&knowledge), logits(&expected));
        let mut names = all_taps(&expected);
        names.extend(["trunk", "branch1", "branch2", "branch3"].map(String::from));
        assert_eq!(all_taps(&knowledge), names);

        // The logits of a branch are those of its network, computed from the trunk.
        let data = |name: &str| knowledge.taps.expect(name).into_vectors().into_data();
        assert_eq!(data("branch1"), logits(&expected));
        assert_eq!(data("trunk"), data(trunk));
        let own = N::forward_branch(
            &plain.valid().branch(),
            knowledge.taps.expect(trunk).into_map(),
        );
        assert_eq!(own.into_data(), logits(&expected));
        let other = N::forward_branch(
            &third.valid().branch(),
            knowledge.taps.expect(trunk).into_map(),
        );
        assert_eq!(other.into_data(), data("branch3"));
        assert_ne!(data("branch3"), data("branch2"));

        // The record contains that of the first network.
        let own = tensors(&plain);
        assert_eq!(tensors(&network)[..own.len()], own);
        assert!(parameter_count(&network) < 3 * parameter_count(&plain));
        let record = network.clone().into_record().allow_unused(true);
        assert_eq!(tensors(&init(&device).load_record(record)), own);

        // All parameters are trained.
        let before = tensors(&network);
        let input = Tensor::random([3, 3, 8, 8], Distribution::Default, &device);
        let selection = TapSelection::named(["branch1", "branch2", "branch3"]);
        let taps = network.forward_knowledge(input, &selection).taps;
        let loss = sum_of_squares(&taps);
        let grads = GradientsParams::from_grads(loss.backward(), &network);
        let stepped = SgdConfig::new().init().step(0.1, network, grads);
        for ((name, after), (_, before)) in tensors(&stepped.valid()).iter().zip(&before) {
            assert_ne!(after, before, "{name}");
        }
        let stepped_network = tensors(stepped.network());
        assert_eq!(tensors(&stepped.into_network()), stepped_network);
    }

    fn sum_of_squares(taps: &burn_distill_core::Taps) -> Tensor<1> {
        let logits = taps.iter().map(|(_, tap)| tap.clone().into_vectors());
        // Not a plain sum, which has no gradient through a normalization over the batch.
        let values = logits.map(|logits| logits.square().sum());
        values.reduce(Tensor::add).unwrap()
    }

    #[test]
    fn convolutional_networks_branch_before_their_last_stage() {
        let config = ConvNetConfig::new(vec![4, 6, 8], [3, 8, 8], 5);
        check(|device| config.init(device), "layer2");
    }

    #[test]
    fn residual_networks_branch_before_their_last_stage() {
        let config = ResNetConfig::new(14, [3, 8, 8], 5).with_widths([4, 4, 6, 8]);
        check(|device| config.init(device), "layer2");
    }

    #[test]
    fn a_branch_that_is_not_selected_is_not_computed() {
        let device = Device::default().autodiff();
        let config = ConvNetConfig::new(vec![4, 6], [1, 8, 8], 5);
        let network = BranchedNetwork::new([config.init(&device), config.init(&device)]);
        let before = tensors(&network.branches);

        network.forward(Tensor::ones([2, 1, 8, 8], &device));

        assert_eq!(tensors(&network.branches.valid()), before);
        assert_eq!(
            known_taps(&network).expect("branch2").shape().as_slice(),
            [2, 5]
        );
    }

    #[test]
    #[should_panic(expected = "a branched network needs at least two branches")]
    fn a_single_branch_is_refused() {
        let config = ConvNetConfig::new(vec![4, 6], [1, 8, 8], 5);
        BranchedNetwork::new([config.init(&Device::default())]);
    }

    #[test]
    #[should_panic(
        expected = "Branches 1 and 3 have the same parameters, so they would learn nothing from \
                    each other: initialize them from different seeds."
    )]
    fn identical_branches_are_refused() {
        let device = Device::default();
        let config = ConvNetConfig::new(vec![4, 6], [1, 8, 8], 5);
        let [first, second] = [(), ()].map(|()| initialize(config.init(&device)));
        let twin = first.clone();
        BranchedNetwork::new([first, second, twin]);
    }

    #[test]
    #[should_panic(
        expected = "Branches 2 and 3 have the same parameters, so they would learn nothing from \
                    each other: initialize them from different seeds."
    )]
    fn identical_branches_besides_the_first_are_refused() {
        let device = Device::default();
        let config = ConvNetConfig::new(vec![4, 6], [1, 8, 8], 5);
        let [first, second] = [(), ()].map(|()| initialize(config.init(&device)));
        let twin = second.clone();
        BranchedNetwork::new([first, second, twin]);
    }

    #[test]
    #[should_panic(expected = "A convolutional network needs at least two stages for branches")]
    fn a_single_stage_is_refused() {
        let network = || ConvNetConfig::new(vec![4], [1, 8, 8], 5).init(&Device::default());
        BranchedNetwork::new([network(), network()]);
    }
}
