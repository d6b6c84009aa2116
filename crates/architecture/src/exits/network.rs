use crate::layers::global_average;
use crate::{BottleneckProjector, BottleneckProjectorConfig, DeployedExits, ExitChoice};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use burn_distill_core::{
    Check, ConfigError, Network, NetworkMismatch, Response, Tap, TapRecorder, TapSelection, Taps,
    check, delegate_module, delegate_network, display_module, initialize,
};
use std::cell::LazyCell;

/// Configuration to create a [`MultiExitNetwork`] using the [init function](MultiExitConfig::init).
#[derive(Config, Debug)]
pub struct MultiExitConfig {
    /// Taps at which the exits begin, shallowest first. Default: `layer1`, `layer2`, … without the
    /// last.
    pub exits: Option<Vec<String>>,
    /// Tap to whose size an exit shrinks its map. Default: the last of `layer1`, `layer2`, ….
    pub deepest: Option<String>,
    /// Tap of the input of the network's classifier. The features of every exit have the same size.
    /// Default: `pool`.
    #[config(default = "\"pool\".to_string()")]
    pub feature: String,
    /// Ratio of the features to the channels in the middle of an exit, which are at least one.
    /// Default: `4`.
    #[config(default = 4)]
    pub factor: usize,
}

impl MultiExitConfig {
    /// Adds exits to the stages of a network. The initial values of their parameters are drawn at
    /// once.
    ///
    /// A dry run finds the shapes of the taps, so any network with suitable taps is supported.
    ///
    /// # Panics
    ///
    /// Panics if the network does not offer a tap, if there is no additional exit, if the response
    /// is not of classes, or if the factor is zero.
    pub fn init<N: Network>(&self, network: N) -> MultiExitNetwork<N> {
        let fit = self.fit(&network);
        let fit = fit.unwrap_or_else(|error| panic!("{error}"));
        let device = network.devices().first().cloned().unwrap_or_default();
        let exit = |(_, bottleneck): &(String, BottleneckProjectorConfig)| {
            initialize(NetworkExit {
                bottleneck: bottleneck.init(&device),
                fc: LinearConfig::new(fit.features, fit.classes).init(&device),
            })
        };
        MultiExitNetwork {
            exits: fit.exits.iter().map(exit).collect(),
            network,
            taps: fit.exits.into_iter().map(|(tap, _)| tap).collect(),
            feature: self.feature.clone(),
        }
    }

    /// Finds the sizes of the exits of a network by a dry run.
    ///
    /// # Errors
    ///
    /// Returns an error if the network does not offer a tap, if there is no additional exit, if the
    /// response is not of classes, or if the factor is zero.
    pub fn fit<N: Network>(&self, network: &N) -> Result<ExitSizes, NetworkMismatch> {
        self.check()?;
        let valid = network.valid();
        let device = network.devices().first().cloned().unwrap_or_default();
        let example = valid.example(2, &device.without_autodiff());
        let known = valid.forward_knowledge(example, &TapSelection::All);

        let mut stages = stages(&known.taps);
        let deepest = self.deepest.clone().or_else(|| stages.pop());
        let taps = self.exits.clone().unwrap_or(stages);
        let Some(deepest) = deepest.filter(|_| !taps.is_empty()) else {
            return Err(NetworkMismatch::Network(
                "A multi-exit network should have at least two stages, `layer1` and `layer2`, but has \
                 fewer: set the taps of its `exits` and the `deepest` one."
                    .to_string(),
            ));
        };
        let Some(logits) = known.response.classes() else {
            return Err(NetworkMismatch::Network(
                "A multi-exit network must output class logits.".to_string(),
            ));
        };
        let features = known.taps.features(&self.feature)?.clone();
        let [_, features] = features.into_vectors().dims();
        let map = |tap: &str| -> Result<[usize; 4], NetworkMismatch> {
            Ok(known.taps.features(tap)?.clone().into_map().dims())
        };
        let [.., deepest_height, deepest_width] = map(&deepest)?;

        let exit = |tap: String| {
            let [_, channels, height, width] = map(&tap)?;
            let shrink = [height / deepest_height, width / deepest_width].map(|by| by.max(1));
            let bottleneck = BottleneckProjectorConfig::new([channels, features])
                .with_factor(self.factor)
                .with_shrink(Some(shrink));
            Ok((tap, bottleneck))
        };
        Ok(ExitSizes {
            exits: taps
                .into_iter()
                .map(exit)
                .collect::<Result<_, NetworkMismatch>>()?,
            features,
            classes: logits.dims()[1],
        })
    }
}

/// Sizes of the exits of a [`MultiExitNetwork`], shallowest first.
#[derive(Clone, Debug)]
pub struct ExitSizes {
    /// Tap and bottleneck of each exit but the deepest.
    pub exits: Vec<(String, BottleneckProjectorConfig)>,
    /// Number of features of each exit.
    pub features: usize,
    /// Number of classes.
    pub classes: usize,
}

impl Check for MultiExitConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("factor", self.factor, 1..=65_536)?;
        let exits = self.exits.as_deref().unwrap_or_default();
        let repeated = (1..)
            .zip(exits)
            .find(|(rest, tap)| exits[*rest..].contains(tap));
        match repeated {
            None => Ok(()),
            Some((_, tap)) => Err(ConfigError::new(
                "exits",
                "a list of different taps",
                format!("a list with `{tap}` twice"),
            )),
        }
    }
}

/// Returns the names of the taps `layer1`, `layer2`, … that the network offers.
fn stages(known: &Taps) -> Vec<String> {
    let names = (1..).map(|number| format!("layer{number}"));
    names.take_while(|name| known.get(name).is_ok()).collect()
}

/// An additional exit of a [`MultiExitNetwork`]: a bottleneck from the map of a stage to features
/// with the size of the deepest ones, and a classifier.
///
/// ```text
/// feature = mean over pixels of bottleneck(map)
/// logits = fc(feature)
/// ```
///
/// # Reference
///
/// `branchBottleNeck` and `middle_fc` of pytorch-be-your-own-teacher, without the biases before
/// normalizations, which have no effect.
#[derive(Module, Debug)]
pub struct NetworkExit {
    /// Bottleneck from the map of the stage to the channels and the size of the deepest map.
    pub bottleneck: BottleneckProjector,
    /// Classifier.
    pub fc: Linear,
}

impl NetworkExit {
    /// Computes the features, which have the size of those of the deepest stage.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, features]`
    pub fn feature(&self, map: Tensor<4>) -> Tensor<2> {
        global_average(self.bottleneck.forward(map))
    }

    /// Computes the logits.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, classes]`
    pub fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        self.fc.forward(self.feature(map))
    }
}

/// A network with additional exits at its shallower stages, for Be Your Own Teacher (BYOT).
///
/// Each of these stages has an [exit](NetworkExit); the last exit is the response of the original
/// network. So the response, the taps, and the names and tensors of the parameters are those of the
/// original network; the additional exits follow under `exits`. A record of a multi-exit network
/// loads into the original network with [`allow_unused`](burn::store::ModuleRecord::allow_unused).
///
/// It offers the taps of the original network and, for each exit including the last:
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `exit1`, `exit2`, … | vector | the logits of each exit, shallowest first; the last is the response |
/// | `exit1.feature`, `exit2.feature`, … | vector | the input of the classifier of each exit, all of one size |
///
/// An exit whose taps are not selected is not computed. `MultiExitDistiller` of
/// burn-distill-strategy trains the network. For deployment, use the original network, by
/// [`into_network`](Self::into_network), or [`deploy`](Self::deploy) some of the exits: a single
/// one without the stages behind it, the mean of all, or the first confident one.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{MultiExitConfig, NetworkConfig};
/// use burn_distill_core::known_taps;
///
/// let network = NetworkConfig::by_name("wrn-16-1")?.init([3, 32, 32], 10, &Device::default())?;
/// let network = MultiExitConfig::new().init(network);
///
/// assert_eq!(network.exit_count(), 3);
/// let taps = known_taps(&network);
/// assert_eq!(taps.expect("exit1").shape().as_slice(), [2, 10]);
/// assert_eq!(taps.expect("exit1.feature").shape(), taps.expect("pool").shape());
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// L. Zhang, J. Song, A. Gao, J. Chen, C. Bao and K. Ma, [Be Your Own
/// Teacher](https://arxiv.org/abs/1905.08094), ICCV 2019. The exits are those of
/// pytorch-be-your-own-teacher, for networks of any number of stages and maps of any size.
#[doc(alias = "BYOT")]
#[derive(Clone, Debug)]
pub struct MultiExitNetwork<N> {
    network: N,
    taps: Vec<String>,
    feature: String,
    exits: Vec<NetworkExit>,
}

/// Returns the name of the tap with the logits of an exit, counted from 1.
fn logits_tap(number: usize) -> String {
    format!("exit{number}")
}

/// Returns the name of the tap with the features of an exit, counted from 1.
fn feature_tap(number: usize) -> String {
    format!("exit{number}.feature")
}

impl<N: Network> MultiExitNetwork<N> {
    /// Returns the number of exits, including that of the original network.
    pub fn exit_count(&self) -> usize {
        self.exits.len() + 1
    }

    /// Returns the original network, without the additional exits.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// Returns the original network by value, without the additional exits.
    pub fn into_network(self) -> N {
        self.network
    }

    /// Converts the network to a plain network, whose response is that of the chosen exits.
    ///
    /// # Panics
    ///
    /// Panics if there is no exit of the chosen number, or if a threshold is NaN.
    pub fn deploy(self, choice: ExitChoice) -> DeployedExits<Self> {
        DeployedExits::new(self, choice)
    }

    /// Computes the logits of every exit, shallowest first. Shape of each: `[batch_size, classes]`.
    pub fn forward_exits(&self, input: N::Input) -> Vec<Tensor<2>> {
        let names: Vec<_> = (1..=self.exit_count()).map(logits_tap).collect();
        let knowledge = self.forward_knowledge(input, &TapSelection::named(&names));
        let taps = knowledge.taps.expect_all(&names).into_iter();
        taps.map(Tap::into_vectors).collect()
    }

    /// Computes the logits of one exit, counted from 1. Shape: `[batch_size, classes]`.
    ///
    /// The stages behind the exit do not run if the network can [stop](Network::forward_to) there.
    ///
    /// # Panics
    ///
    /// Panics if there is no such exit.
    pub fn forward_exit(&self, input: N::Input, number: usize) -> Tensor<2> {
        let count = self.exit_count();
        assert!(
            (1..=count).contains(&number),
            "The number of the exit should be from 1 to {count}, but is {number}."
        );
        match self.exits.get(number - 1) {
            Some(exit) => {
                let map = self.network.forward_to(input, &self.taps[number - 1]);
                exit.forward(map.into_map())
            }
            None => self.network.forward(input).rows().logits,
        }
    }
}

impl<N: Network> Network for MultiExitNetwork<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        let mut names = self.taps.clone();
        names.push(self.feature.clone());
        let (response, mut maps) =
            taps.capture_all(&names, |taps| self.network.forward_tapped(input, taps));
        let own = maps.pop().expect("it was captured");
        for ((exit, map), number) in self.exits.iter().zip(maps).zip(1..) {
            // Once for both taps, because a normalization that runs twice would update its
            // statistics twice.
            let feature = LazyCell::new(|| exit.feature(map.into_map()));
            taps.offer(feature_tap(number), || Tap::Vector(feature.clone()));
            taps.offer(logits_tap(number), || {
                Tap::Vector(exit.fc.forward(feature.clone()))
            });
        }
        let last = self.exit_count();
        taps.offer(feature_tap(last), || Tap::Vector(own.into_vectors()));
        taps.offer(logits_tap(last), || Tap::Vector(response.rows().logits));
        response
    }

    fn forward_to(&self, input: N::Input, tap: &str) -> Tap {
        for number in 1..self.exit_count() {
            let exit = &self.exits[number - 1];
            let map = |input| {
                let map = self.network.forward_to(input, &self.taps[number - 1]);
                map.into_map()
            };
            if tap == logits_tap(number) {
                return Tap::Vector(exit.forward(map(input)));
            }
            if tap == feature_tap(number) {
                return Tap::Vector(exit.feature(map(input)));
            }
        }
        if self.taps.iter().any(|name| name == tap) {
            return self.network.forward_to(input, tap);
        }
        let selection = TapSelection::named([tap]);
        self.forward_knowledge(input, &selection).taps.expect(tap)
    }

    delegate_network!(network: example, classifier, normalization, deployed);
}

// Not derived, so that the tensors of the network keep their names.
delegate_module!(
    [N: Network] MultiExitNetwork<N>: network, parts: [exits], kept: [taps, feature]
);
display_module!([N: Network] MultiExitNetwork<N>: network, exits);

#[cfg(test)]
mod tests;
