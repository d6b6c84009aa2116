use crate::layers::global_average;
use crate::{BottleneckProjector, BottleneckProjectorConfig};
use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn_distill_core::numeric::pool_to;
use burn_distill_core::{
    Check, ConfigError, LossError, Network, Response, Tap, TapRecorder, Taps, check,
    delegate_network, known_taps,
};

/// Configuration to create a [`ReusedClassifier`] using the [init
/// function](ReusedClassifierConfig::init).
#[derive(Config, Debug)]
pub struct ReusedClassifierConfig {
    /// Ratio of the channels of the teacher's map to the channels in the middle of the projector,
    /// which are at least one. Default: `2`.
    #[config(default = 2)]
    pub factor: usize,
    /// Whether a ReLU follows the projector, as for a teacher whose features end in a ReLU.
    /// Default: `true`.
    #[config(default = true)]
    pub relu: bool,
}

impl ReusedClassifierConfig {
    /// Name of the tap with the projected features.
    pub const TAP: &'static str = "projected";

    /// Creates a student from a network and its tap, and from a teacher whose classifier is copied
    /// behind that tap.
    ///
    /// The teacher's tap is the map whose mean is the input of its classifier.
    ///
    /// # Panics
    ///
    /// Panics if a network does not offer the tap, if the teacher has no classifier, if the numbers
    /// of features of the classifier and of the teacher's tap differ, or if the factor is zero.
    pub fn init<S: Network, T: Network>(
        &self,
        (student, tap): (S, &str),
        (teacher, teacher_tap): (&T, &str),
    ) -> ReusedClassifier<S> {
        let built = self.try_init((student, tap), (teacher, teacher_tap));
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates the student like [`init`](Self::init), but returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// Returns an error where `init` panics.
    pub fn try_init<S: Network, T: Network>(
        &self,
        (student, tap): (S, &str),
        (teacher, teacher_tap): (&T, &str),
    ) -> Result<ReusedClassifier<S>, LossError> {
        self.check()?;
        let shape = |taps: Taps, name: &str| {
            let tap = taps.get(name)?;
            let channels = tap.channels()?;
            let [.., height, width] = tap.clone().into_map().dims();
            Ok::<_, LossError>((channels, [height, width]))
        };
        let (channels, _) = shape(known_taps(&student), tap)?;
        let (features, size) = shape(known_taps(teacher), teacher_tap)?;
        let Some(classifier) = teacher.classifier() else {
            return Err(LossError::new(
                "The teacher has no classifier to reuse: implement `Network::classifier`, or use another \
                 teacher.",
            ));
        };
        let [inputs, _] = classifier.weight.dims();
        if inputs != features {
            return Err(LossError::new(format_args!(
                "The teacher's classifier takes {inputs} features, but its tap `{teacher_tap}` has \
                 {features}: name the tap whose mean is the input of the classifier."
            )));
        }

        let device = student.devices().first().cloned().unwrap_or_default();
        let projector = BottleneckProjectorConfig::new([channels, features])
            .with_factor(self.factor)
            .with_relu(self.relu);
        Ok(ReusedClassifier {
            student,
            tap: tap.to_string(),
            size,
            projector: projector.init(&device),
            classifier: classifier.valid().freeze().to_device(&device),
        })
    }
}

impl Check for ReusedClassifierConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("factor", self.factor, 1..=65_536)
    }
}

/// A student with the classifier of its teacher: a projector maps its features to the shape of the
/// teacher's features, and the teacher's classifier follows.
///
/// ```text
/// projected = projector(pool(tap of the student))
/// response = classifier(mean of each channel of projected)
/// ```
///
/// The student's map is pooled to the size of the teacher's map if it is larger. The projector is
/// trained with the student. The classifier is constant: it is saved and counted with the network,
/// because it is deployed with it, but it gets no gradient, so no optimizer changes it. The
/// original classifier of the student stays in the network, but is not used.
///
/// It offers the taps of the student, and one more:
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `projected` | map | the projected features, which a loss compares with those of the teacher |
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{NetworkConfig, ReusedClassifierConfig};
/// use burn_distill_core::known_taps;
///
/// let device = Device::default();
/// let network = |name: &str| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let (student, teacher) = (network("convnet-4-8")?, network("convnet-8-16")?);
///
/// let student =
///     ReusedClassifierConfig::new().init((student, "layer2"), (&teacher, "layer2"));
///
/// let projected = known_taps(&student).expect("projected");
/// assert_eq!(projected.shape().as_slice(), [2, 16, 4, 4]);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// D. Chen, J.-P. Mei, H. Zhang, C. Wang, Y. Feng and C. Chen, [Knowledge Distillation with the
/// Reused Teacher Classifier](https://arxiv.org/abs/2203.14001), CVPR 2022. Agrees with `SimKD` of
/// the authors' code.
#[doc(alias = "SimKD")]
#[derive(Module, Debug)]
pub struct ReusedClassifier<S> {
    /// Student.
    pub student: S,
    /// Name of the student's tap that is projected.
    pub tap: String,
    /// Height and width of the teacher's map.
    pub size: [usize; 2],
    /// Projector from the student's channels to the teacher's.
    pub projector: BottleneckProjector,
    /// Classifier of the teacher.
    pub classifier: Linear,
}

impl<S: Network> Network for ReusedClassifier<S> {
    type Input = S::Input;

    fn forward_tapped(&self, input: S::Input, taps: &mut TapRecorder) -> Response {
        let (_, features) =
            taps.capture(&self.tap, |taps| self.student.forward_tapped(input, taps));
        let map = features.into_map();
        let [.., height, width] = map.dims();
        let size = [height.min(self.size[0]), width.min(self.size[1])];

        let projected = self.projector.forward(pool_to(map, size));
        taps.offer(ReusedClassifierConfig::TAP, || Tap::Map(projected.clone()));
        Response::Classes(self.classifier.forward(global_average(projected)))
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.classifier.clone())
    }

    delegate_network!(student: example, normalization, deployed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::tensor::{Device, Distribution, Tensor};
    use burn_distill_core::{DynNetwork, Frozen, TapSelection, parameter_count};

    fn network(name: &str, device: &Device) -> DynNetwork<Tensor<4>> {
        let config = NetworkConfig::by_name(name).unwrap();
        config.init([1, 8, 8], 3, device).unwrap()
    }

    #[test]
    fn maps_of_any_size_are_projected_to_the_smaller_size() {
        let device = Device::default();
        for (student, tap, teacher, teacher_tap, expected) in [
            (
                "convnet-4-8",
                "layer2",
                "convnet-6-16",
                "layer2",
                [16, 4, 4],
            ),
            ("convnet-4", "layer1", "convnet-6-16", "layer2", [16, 4, 4]),
            (
                "convnet-4-8-8",
                "layer3",
                "convnet-6-16",
                "layer2",
                [16, 2, 2],
            ),
            ("mlp-5", "hidden.1", "mlp-7-6", "hidden.2", [6, 1, 1]),
        ] {
            let (student, teacher) = (network(student, &device), network(teacher, &device));
            let wrapped =
                ReusedClassifierConfig::new().init((student.clone(), tap), (&teacher, teacher_tap));

            let taps = known_taps(&wrapped);
            assert_eq!(taps.expect("projected").shape().as_slice()[1..], expected);
            assert_eq!(taps.len(), known_taps(&student).len() + 1);
            let response = wrapped.forward(wrapped.example(2, &device));
            assert_eq!(response.classes().unwrap().dims(), [2, 3]);
        }
    }

    #[test]
    fn the_response_is_the_classifier_of_the_projected_features() {
        let device = Device::default();
        let teacher = Frozen::new(network("convnet-6", &device));
        let wrapped = ReusedClassifierConfig::new().init(
            (network("convnet-4", &device), "layer1"),
            (&teacher, "layer1"),
        );
        let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &device);

        let knowledge = wrapped.forward_knowledge(input, &TapSelection::named(["projected"]));

        let pooled = global_average(knowledge.taps.expect("projected").into_map());
        let expected = teacher.classifier().unwrap().forward(pooled);
        let logits = knowledge.response.classes().unwrap().to_data();
        logits.assert_eq(&expected.into_data(), true);
        let own = parameter_count(&wrapped.student);
        let projector = parameter_count(&wrapped.projector);
        assert_eq!(parameter_count(&wrapped), own + projector + 6 * 3 + 3);
    }

    #[test]
    #[should_panic(expected = "takes 16 features, but its tap `layer1` has 6")]
    fn a_tap_that_does_not_fit_the_classifier_is_refused() {
        let device = Device::default();
        ReusedClassifierConfig::new().init(
            (network("convnet-4", &device), "layer1"),
            (&network("convnet-6-16", &device), "layer1"),
        );
    }
}
