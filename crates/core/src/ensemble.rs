use crate::{Network, Response, TapRecorder};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// An ensemble of networks, whose response is the mean of their probabilities.
///
/// ```text
/// response = log(1 / M · Σₘ softmax(zₘ))
/// ```
///
/// so that the softmax of the response is the mean. An ensemble is a [`Network`]: it can be
/// evaluated, and it can be a [`Frozen`](crate::Frozen) teacher. It offers no taps. Half precision
/// is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::Tensor;
/// use burn_distill_core::{Ensemble, Network};
///
/// /// Returns the mean of the probabilities of several networks.
/// fn probabilities<N: Network>(networks: Vec<N>, input: N::Input) -> Tensor<2> {
///     let response = Ensemble::new(networks).forward(input);
///     response.classes().unwrap().clone().exp()
/// }
/// ```
#[derive(Module, Debug)]
pub struct Ensemble<N> {
    /// Members of the ensemble.
    pub members: Vec<N>,
}

impl<N: Network> Ensemble<N> {
    /// Creates an ensemble of networks with equal weights.
    ///
    /// # Panics
    ///
    /// Panics if there are no networks.
    pub fn new(members: impl IntoIterator<Item = N>) -> Self {
        let members: Vec<_> = members.into_iter().collect();
        assert!(
            !members.is_empty(),
            "An ensemble needs at least one network, but there is none."
        );
        Self { members }
    }
}

/// # Panics
///
/// `forward` panics if the response of a member is not of classes.
impl<N: Network> Network for Ensemble<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, _taps: &mut TapRecorder) -> Response {
        let log_probabilities = self.members.iter().map(|member| {
            let response = member.forward(input.clone());
            let logits = response.classes().cloned();
            let logits = logits.unwrap_or_else(|| {
                panic!("The members of an ensemble should output class logits, got {response:?}.")
            });
            crate::numeric::tempered_log_softmax(logits, 1.0)
        });
        let all: Tensor<3> = Tensor::stack(log_probabilities.collect(), 0);
        // Relative to the largest, so that classes with a tiny probability in all members do not
        // underflow.
        let largest = all.clone().max_dim(0).detach();
        let impossible = largest.clone().equal_scalar(f32::NEG_INFINITY);
        let largest = largest.mask_fill(impossible, 0.0);
        let mean = all.sub(largest.clone()).exp().mean_dim(0).log();
        Response::Classes(mean.add(largest).squeeze_dim(0))
    }

    fn example(&self, samples: usize, device: &Device) -> N::Input {
        self.members[0].example(samples, device)
    }

    fn deployed(self) -> Self {
        Self::new(self.members.into_iter().map(N::deployed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LinearClassifier;
    use crate::{Batch, Clock, Frozen, TapSelection, Targets, Teacher};
    use burn::tensor::Tolerance;

    fn network(logits: [f32; 3]) -> LinearClassifier {
        LinearClassifier::of_weight(Tensor::from_data([logits], &Device::default()))
    }

    fn response<N: Network<Input = Tensor<2>>>(network: &N) -> Tensor<2> {
        let input = Tensor::ones([1, 1], &Device::default());
        network.forward(input).classes().unwrap().clone()
    }

    #[test]
    fn tiny_probabilities_do_not_underflow() {
        let unlikely = Ensemble::new([
            network([0.0, -200.0, -300.0]),
            network([0.0, -201.0, -300.0]),
        ]);

        // ln((e⁻²⁰⁰ + e⁻²⁰¹) / 2) = −200 + ln((1 + e⁻¹) / 2)
        let expected = Tensor::<2>::from_data([[0.0, -200.379886, -300.0]], &Device::default());
        response(&unlikely)
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::relative(1e-6));
    }

    #[test]
    fn an_ensemble_of_one_is_that_network_and_can_be_a_teacher() {
        let member = network([1.0, 2.0, 0.5]);
        let one = Ensemble::new([member.clone()]);
        let single = burn::tensor::activation::log_softmax(response(&member), 1);
        let tolerance = Tolerance::absolute(1e-6);
        response(&one)
            .into_data()
            .assert_approx_eq::<f32>(&single.into_data(), tolerance);

        let device = Device::default().autodiff();
        let batch = Batch {
            views: vec![Tensor::<2>::ones([1, 1], &device)],
            targets: Targets::Unlabeled,
            ids: vec![0],
            clock: Clock::start(),
        };
        let output = Frozen::new(one.clone()).teach(&batch, &TapSelection::None);
        let output = output.response.classes().unwrap().clone();
        assert!(!output.is_autodiff());
        output
            .into_data()
            .assert_eq(&response(&one).into_data(), true);
    }

    #[test]
    #[should_panic(expected = "An ensemble needs at least one network")]
    fn an_empty_ensemble_is_refused() {
        Ensemble::<LinearClassifier>::new([]);
    }
}
