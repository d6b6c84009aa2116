use crate::ClassMap;
use burn::module::{Module, ModuleDisplay, Param};
use burn::nn::Linear;
use burn_distill_core::{
    Network, Response, Tap, TapRecorder, delegate_module, delegate_network, display_module,
};

/// Network whose class logits are selected and ordered by a [`ClassMap`], as the classes of the
/// data.
///
/// The taps and the parameters are those of the given network.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::NetworkConfig;
/// use burn_distill_core::Network;
/// use burn_distill_interchange::{ClassMap, SelectedClasses};
///
/// let device = Device::default();
/// let network = NetworkConfig::by_name("mlp-4")?.init([1, 2, 2], 3, &device)?;
/// let names = |names: &[&str]| names.iter().map(|it| it.to_string()).collect::<Vec<_>>();
/// let map = ClassMap::by_name(&names(&["bird", "cat", "dog"]), &names(&["dog", "cat"]))?;
///
/// let selected = SelectedClasses::new(network, map);
///
/// let response = selected.forward(selected.example(5, &device));
/// assert_eq!(response.classes().unwrap().dims(), [5, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SelectedClasses<N> {
    network: N,
    map: ClassMap,
}

impl<N: Network> SelectedClasses<N> {
    /// Creates the network from another one and the mapping of its classes.
    pub fn new(network: N, map: ClassMap) -> Self {
        Self { network, map }
    }
}

impl<N: Network> Network for SelectedClasses<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        match self.network.forward_tapped(input, taps) {
            Response::Classes(logits) => Response::Classes(self.map.select(logits)),
            other => other,
        }
    }

    fn forward_to(&self, input: N::Input, tap: &str) -> Tap {
        self.network.forward_to(input, tap)
    }

    /// Returns the part of the last layer that computes the logits of these classes.
    fn classifier(&self) -> Option<Linear> {
        let all = self.network.classifier()?;
        // The columns of the weights are the classes.
        let weight = self.map.select(all.weight.val());
        let bias = all.bias.map(|bias| {
            let bias = self.map.select(bias.val().unsqueeze::<2>());
            Param::from_tensor(bias.squeeze_dim::<1>(0))
        });
        Some(Linear {
            weight: Param::from_tensor(weight),
            bias,
        })
    }

    delegate_network!(network: example, normalization, deployed);
}

delegate_module!([N: Module] SelectedClasses<N>: network, kept: [map]);
display_module!([N: ModuleDisplay] SelectedClasses<N>: network);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor, Tolerance};
    use burn_distill_architecture::NetworkConfig;
    use burn_distill_core::{DynNetwork, TapSelection, tensors};

    fn network() -> DynNetwork<Tensor<4>> {
        let config = NetworkConfig::by_name("convnet-4").unwrap();
        config.init([1, 4, 4], 4, &Device::default()).unwrap()
    }

    fn selected(of_data: &[&str]) -> SelectedClasses<DynNetwork<Tensor<4>>> {
        let names = |names: &[&str]| -> Vec<_> { names.iter().map(|it| it.to_string()).collect() };
        let map = ClassMap::by_name(&names(&["a", "b", "c", "d"]), &names(of_data)).unwrap();
        SelectedClasses::new(network(), map)
    }

    #[test]
    fn the_logits_are_those_of_the_classes_of_the_data() {
        let selected = selected(&["d", "b"]);
        let input = Tensor::ones([2, 1, 4, 4], &Device::default());

        let all = selected
            .network
            .forward(input.clone())
            .classes()
            .unwrap()
            .clone();
        let found = selected.forward(input).classes().unwrap().to_data();

        let expected = Tensor::cat(vec![all.clone().narrow(1, 3, 1), all.narrow(1, 1, 1)], 1);
        found.assert_eq(&expected.into_data(), true);
    }

    #[test]
    fn its_classifier_computes_these_logits_from_the_last_features() {
        let selected = selected(&["c", "a", "d"]);
        let input = Tensor::ones([2, 1, 4, 4], &Device::default());
        let knowledge = selected.forward_knowledge(input, &TapSelection::named(["pool"]));

        let pool = knowledge.taps.expect("pool").into_vectors();
        let logits = selected.classifier().unwrap().forward(pool).into_data();

        let expected = knowledge.response.classes().unwrap().to_data();
        logits.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn its_tensors_are_those_of_the_network() {
        let selected = selected(&["c"]);

        assert_eq!(tensors(&selected), tensors(&selected.network));
        let text = selected.to_string();
        assert!(text.starts_with("SelectedClasses"), "{text}");
    }
}
