use burn::module::{Module, ModuleDisplay, Param};
use burn::nn::Linear;
use burn::tensor::{Int, Tensor, TensorData};
use burn_distill_core::{
    Network, Response, Tap, TapRecorder, delegate_module, delegate_network, display_module,
};

/// Network that knows only some of the classes of a task: its logits in the places of these
/// classes, and −∞ in all others.
///
/// It is meant for teachers of different classes, which an objective combines. A softmax over its
/// logits is the prediction of the network, given that the class is one that it knows. The taps and
/// the parameters are those of the given network.
///
/// # Example
///
/// ```
/// use burn::tensor::Tensor;
/// use burn_distill_core::Network;
/// use burn_distill_interchange::PlacedClasses;
///
/// /// Returns the teachers of the classes 0 to 2, and of 3 and 4, as teachers of five classes.
/// fn teachers<N: Network>(first: N, second: N) -> [PlacedClasses<N>; 2] {
///     [
///         PlacedClasses::new(first, [0, 1, 2], 5),
///         PlacedClasses::new(second, [3, 4], 5),
///     ]
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PlacedClasses<N> {
    network: N,
    /// Index of the logit of each class of the task, if the network knows it.
    logits: Vec<Option<usize>>,
}

impl<N: Network> PlacedClasses<N> {
    /// Creates the network from another one and the class of each of its logits, for a task with
    /// `num_classes` classes.
    ///
    /// # Panics
    ///
    /// Panics if a class is repeated, or not one of the task.
    pub fn new(network: N, classes: impl IntoIterator<Item = usize>, num_classes: usize) -> Self {
        let mut logits = vec![None; num_classes];
        for (logit, class) in classes.into_iter().enumerate() {
            assert!(
                class < num_classes,
                "The classes of a network should be below {num_classes}, but that of its logit {logit} \
                 is {class}."
            );
            if let Some(first) = logits[class].replace(logit) {
                panic!(
                    "The classes of a network should differ, but its logits {first} and {logit} are \
                     both of class {class}."
                );
            }
        }
        Self { network, logits }
    }

    /// Creates the network from another one with a logit for each class of the task, of which it
    /// knows only the given ones.
    ///
    /// # Panics
    ///
    /// Panics if a class is not one of the task.
    pub fn only(network: N, known: &[usize], num_classes: usize) -> Self {
        for class in known {
            assert!(
                *class < num_classes,
                "The classes of a network should be below {num_classes}, but {class} is one of them."
            );
        }
        let logits = (0..num_classes).map(|class| known.contains(&class).then_some(class));
        Self {
            network,
            logits: logits.collect(),
        }
    }

    /// Places the logits, or the weights of a classifier, whose last axis are the classes of the
    /// network.
    fn place(&self, logits: Tensor<2>, unknown: f32) -> Tensor<2> {
        let [rows, count] = logits.dims();
        let options = (&logits.device().without_autodiff(), logits.dtype());
        let other = Tensor::full([rows, 1], unknown, options);
        let indices = self.logits.iter();
        let indices: Vec<_> = indices.map(|logit| logit.unwrap_or(count) as i64).collect();
        let indices = TensorData::new(indices, [self.logits.len()]);
        let indices = Tensor::<1, Int>::from_data(indices, &logits.device());
        Tensor::cat(vec![logits, other], 1).select(1, indices)
    }
}

impl<N: Network> Network for PlacedClasses<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        match self.network.forward_tapped(input, taps) {
            Response::Classes(logits) => Response::Classes(self.place(logits, f32::NEG_INFINITY)),
            other => other,
        }
    }

    fn forward_to(&self, input: N::Input, tap: &str) -> Tap {
        self.network.forward_to(input, tap)
    }

    /// Returns the last layer with its outputs in the places of their classes, and a bias of −∞ in
    /// all others.
    fn classifier(&self) -> Option<Linear> {
        let own = self.network.classifier()?;
        let weight = own.weight.val();
        let bias = match own.bias {
            Some(bias) => bias.val(),
            None => {
                let [_, outputs] = weight.dims();
                Tensor::zeros([outputs], (&weight.device(), weight.dtype()))
            }
        };
        let bias = self.place(bias.unsqueeze(), f32::NEG_INFINITY);
        Some(Linear {
            weight: Param::from_tensor(self.place(weight, 0.0)),
            bias: Some(Param::from_tensor(bias.squeeze_dim(0))),
        })
    }

    delegate_network!(network: example, normalization, deployed);
}

delegate_module!([N: Module] PlacedClasses<N>: network, kept: [logits]);
display_module!([N: ModuleDisplay] PlacedClasses<N>: network);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_core::{CrossEntropyObjective, Targets, tensors};

    const UNKNOWN: f32 = f32::NEG_INFINITY;

    /// A network whose logits are its weights, for an input of one.
    #[derive(Module, Debug)]
    struct Logits {
        linear: Linear,
    }

    impl Network for Logits {
        type Input = Tensor<2>;

        fn forward_tapped(&self, input: Tensor<2>, _: &mut TapRecorder) -> Response {
            Response::Classes(self.linear.forward(input))
        }

        fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
            Tensor::zeros([samples, 1], device)
        }

        fn classifier(&self) -> Option<Linear> {
            Some(self.linear.clone())
        }
    }

    fn network(logits: [f32; 3], device: &Device) -> Logits {
        let linear = Linear {
            weight: Param::from_tensor(Tensor::from_data([logits], device)),
            bias: None,
        };
        Logits { linear }
    }

    fn response<N: Network<Input = Tensor<2>>>(network: &N, device: &Device) -> Tensor<2> {
        let response = network.forward(Tensor::ones([1, 1], device));
        response.classes().unwrap().clone()
    }

    #[test]
    fn logits_are_in_the_places_of_their_classes() {
        let device = Device::default();
        let network = || network([1.0, 2.0, 3.0], &device);

        let placed = PlacedClasses::new(network(), [4, 0, 2], 5);
        let expected = [[2.0, UNKNOWN, 3.0, UNKNOWN, 1.0_f32]];
        response(&placed, &device)
            .into_data()
            .assert_eq(&expected.into(), true);

        let only = PlacedClasses::only(network(), &[2, 0], 3);
        let expected = [[1.0, UNKNOWN, 3.0_f32]];
        response(&only, &device)
            .into_data()
            .assert_eq(&expected.into(), true);
    }

    #[test]
    fn it_is_trained_like_the_network_on_the_classes_that_it_knows() {
        let device = Device::default().autodiff();
        let gradient = |logits: Tensor<2>, weight: Tensor<2>, class: i64| {
            let targets = Targets::classes(Tensor::from_data([class], &device));
            let loss = CrossEntropyObjective::cross_entropy(logits, &targets);
            let gradient = weight.grad(&loss.backward()).unwrap().into_data();
            gradient.iter::<f32>().collect::<Vec<_>>()
        };
        let narrow = network([1.0, 2.0, 0.5], &device);
        let placed = PlacedClasses::new(narrow.clone(), [3, 1, 0], 4);
        let weight = narrow.classifier().unwrap().weight.val();

        let expected = gradient(response(&narrow, &device), weight.clone(), 1);
        let found = gradient(response(&placed, &device), weight, 1);
        assert_eq!(found, expected);
        assert_eq!(tensors(&placed), tensors(&narrow));
    }

    #[test]
    fn its_classifier_computes_the_logits_from_the_last_features() {
        let device = Device::default();
        let placed = PlacedClasses::new(network([1.0, 2.0, 3.0], &device), [0, 3, 1], 4);

        let logits = placed.classifier().unwrap();
        let logits = logits.forward(Tensor::<2>::ones([1, 1], &device));

        let expected = response(&placed, &device).into_data();
        logits.into_data().assert_eq(&expected, true);
    }

    #[test]
    #[should_panic(expected = "its logits 0 and 2 are both of class 1")]
    fn a_repeated_class_is_refused() {
        let device = Device::default();
        PlacedClasses::new(network([0.0; 3], &device), [1, 0, 1], 3);
    }

    #[test]
    #[should_panic(expected = "should be below 3, but that of its logit 1 is 3")]
    fn a_class_beyond_the_task_is_refused() {
        let device = Device::default();
        PlacedClasses::new(network([0.0; 3], &device), [1, 3, 2], 3);
    }
}
