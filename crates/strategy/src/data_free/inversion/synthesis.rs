use super::{Competition, statistics_distance, total_variation};
use crate::RecordedAdam;
use burn::config::Config;
use burn::module::Param;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_distill_core::numeric::tempered_log_softmax;
use burn_distill_core::{
    Check, ConfigError, Frozen, KeyedRng, Network, TapSelection, Terms, check, initialize,
    observe_batch_norms,
};

/// Configuration to create a [`DeepInversion`] using the [init
/// function](DeepInversionConfig::init). The defaults are those of the authors for CIFAR-10.
#[derive(Config, Debug)]
pub struct DeepInversionConfig {
    /// Number of steps of Adam on a batch of images. At least 1. Default: `2000`.
    #[config(default = 2000)]
    pub iterations: usize,
    /// Learning rate. Must be positive and at most 1000. Default: `0.05`.
    #[config(default = 0.05)]
    pub learning_rate: f64,
    /// Weight of the [distance of the statistics](statistics_distance) from the stored ones.
    /// Default: `10.0`.
    #[config(default = 10.0)]
    pub statistics: f64,
    /// Weight of the first layer in that distance. Default: `1.0`; on ImageNet the authors have 10.
    #[config(default = 1.0)]
    pub first_layer: f64,
    /// Weight of the [total variation](total_variation()). Default: `2.5e-5`.
    #[config(default = 2.5e-5)]
    pub total_variation: f64,
    /// Largest number of pixels by which images are rolled in each direction before each step, by
    /// random. Default: `2`.
    #[config(default = 2)]
    pub jitter: usize,
    /// Weight of the [competition](Competition) with a student, if there is one. Default: `0.0`.
    #[config(default = 0.0)]
    pub competition: f64,
    /// Divergence in the competition. Default: `JensenShannon`, as in the paper.
    #[config(default = "Competition::JensenShannon")]
    pub divergence: Competition,
    /// Softmax temperature of the competition. Default: `3.0`, as in the authors' code.
    #[config(default = 3.0)]
    pub temperature: f64,
    /// Seed of the first images and of the jitter. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl DeepInversionConfig {
    /// Creates a [`DeepInversion`] of a teacher.
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init<N: Network>(&self, teacher: N) -> DeepInversion<N> {
        self.assert_valid();
        DeepInversion {
            teacher: Frozen::new(initialize(teacher)),
            student: None,
            config: self.clone(),
        }
    }
}

impl Check for DeepInversionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("iterations", self.iterations, 1..=1_000_000_000)?;
        check::ensure(
            self.learning_rate > 0.0 && self.learning_rate <= 1e3, // This also rejects NaN
            "learning_rate",
            "above 0 and at most 1000",
            self.learning_rate,
        )?;
        check::not_negative("statistics", self.statistics)?;
        check::not_negative("first_layer", self.first_layer)?;
        check::not_negative("total_variation", self.total_variation)?;
        check::count_in("jitter", self.jitter, 0..=1 << 16)?;
        check::not_negative("competition", self.competition)?;
        check::temperature("temperature", self.temperature)
    }
}

/// DeepInversion: makes images of given classes of a trained teacher, without data.
///
/// Random images `x` are trained by Adam, while the teacher is constant:
///
/// ```text
/// L = CE(teacher(x), classes) + statistics · Σ over normalizations of ‖mean − running mean‖₂
///         + ‖variance − running variance‖₂ + total_variation · TV(x)
///         + competition · (1 − JS(student(x), teacher(x)))
/// ```
///
/// The last term is that of adaptive inversion (ADI), with a [student](Self::with_student). Every
/// step looks at the images rolled by a random number of pixels. The images with the lowest loss of a
/// batch are returned, as in the authors' code.
///
/// Teacher and student are in validation mode and do not change. Nothing is read from the device
/// until the images are. The images depend on the seed and the classes only.
///
/// A student then learns on these images as on any others, such as with an
/// [`OfflineDistiller`](crate::OfflineDistiller). The scale of the images is that of the input of the
/// teacher: they are normalized already.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::ConvNetConfig;
/// use burn_distill_strategy::DeepInversionConfig;
///
/// let teacher = ConvNetConfig::new(vec![4, 8], [1, 8, 8], 10).init(&Device::default());
///
/// let inversion = DeepInversionConfig::new().with_iterations(3).init(teacher);
/// let images = inversion.synthesize(&[0, 1, 2, 3], [1, 8, 8], &Device::default());
///
/// assert_eq!(images.dims(), [4, 1, 8, 8]);
/// ```
///
/// # Reference
///
/// H. Yin et al., [Dreaming to Distill: Data-free Knowledge Transfer via
/// DeepInversion](https://arxiv.org/abs/1912.08795), CVPR 2020; after the authors' code for CIFAR-10,
/// with the L2 penalty of the images left out, whose weight is 0 there.
#[doc(alias = "ADI")]
#[derive(Clone, Debug)]
pub struct DeepInversion<N> {
    teacher: Frozen<N>,
    student: Option<Frozen<N>>,
    config: DeepInversionConfig,
}

impl<N: Network<Input: From<Tensor<4>>>> DeepInversion<N> {
    /// Sets the student with which the teacher competes, in validation mode. Networks of different
    /// architectures have one type as `DynNetwork`.
    pub fn with_student(mut self, student: N) -> Self {
        self.student = Some(Frozen::new(initialize(student)));
        self
    }

    /// Returns the teacher.
    pub fn teacher(&self) -> &N {
        self.teacher.inner()
    }

    /// Computes the terms of the loss: `cross-entropy`, `statistics`, `total-variation` and, with a
    /// student, `competition`.
    ///
    /// # Shapes
    ///
    /// - images: `[batch_size, channels, height, width]`
    /// - classes: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the teacher is no classifier, or if it has no batch normalization that is
    /// [observed](observe_batch_norms).
    pub fn loss(&self, images: Tensor<4>, classes: Tensor<1, Int>) -> Terms {
        let config = &self.config;
        let taps = TapSelection::None;
        let input = || N::Input::from(images.clone());
        let (knowledge, layers) =
            observe_batch_norms(|| self.teacher.forward_with_input_gradients(input(), &taps));
        let logits = knowledge.response.rows().logits;
        let log_p = tempered_log_softmax(logits.clone(), 1.0);
        let of_class = log_p.gather(1, classes.unsqueeze_dim(1));
        let statistics = statistics_distance(&layers, config.first_layer);
        let terms = Terms::one("cross-entropy", of_class.mean().neg(), 1.0)
            .and(Terms::one("statistics", statistics, config.statistics))
            .and(Terms::one(
                "total-variation",
                total_variation(images.clone()),
                config.total_variation,
            ));
        match &self.student {
            Some(student) => {
                let student = student.forward_with_input_gradients(input(), &taps);
                let student = student.response.rows().logits;
                let term = config.divergence.term(student, logits, config.temperature);
                terms.and(Terms::one("competition", term, config.competition))
            }
            None => terms,
        }
    }

    /// Makes an image of each of these classes. Batch normalization compares the statistics of all of
    /// them with the stored ones, so that there should be many. Shape of an image: channels, height,
    /// width; of the result: `[classes, channels, height, width]`.
    ///
    /// # Panics
    ///
    /// Panics where [`loss`](Self::loss) does, and if there are no classes.
    pub fn synthesize(&self, classes: &[usize], image: [usize; 3], device: &Device) -> Tensor<4> {
        assert!(
            !classes.is_empty(),
            "There should be at least one class to make an image of, but there is none."
        );
        let device = device.clone().autodiff();
        let [channels, height, width] = image;
        let shape = [classes.len(), channels, height, width];
        let mut rng = KeyedRng::new([self.config.seed, 0, 0, STREAM]);
        let first: Vec<f64> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
        let first = Tensor::from_data(TensorData::new(first, shape), (&device, DType::F32));
        let classes: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
        let classes = Tensor::<1, Int>::from_data(classes.as_slice(), &device);

        let mut images = Param::from_tensor(first);
        let adam = RecordedAdam::new(&images, self.config.learning_rate, 0.0);
        let mut best: Option<(Tensor<1>, Tensor<4>)> = None;
        for _ in 0..self.config.iterations {
            let rolled = images
                .val()
                .roll(&[self.shift(&mut rng), self.shift(&mut rng)], &[2, 3]);
            let loss = self.loss(rolled, classes.clone()).total();
            let found = (
                loss.clone().without_autodiff(),
                images.val().without_autodiff(),
            );
            best = Some(match best {
                Some(best) => better(best, found),
                None => found,
            });
            let gradients = GradientsParams::from_grads(loss.backward(), &images);
            images = adam.step(images, &gradients);
        }
        let (_, images) = best.expect("There is at least one iteration.");
        images
    }

    /// Draws a number of pixels from `−jitter` to `jitter`.
    fn shift(&self, rng: &mut KeyedRng) -> i64 {
        let jitter = self.config.jitter as i64;
        rng.below(2 * jitter as u64 + 1) as i64 - jitter
    }
}

/// Number in the key that tells this stream of random numbers from others of the same seed.
const STREAM: u64 = 0x696e_7665_7273_696f;

/// Returns the one of two losses that is lower, with its images, without reading them.
fn better(
    (loss, images): (Tensor<1>, Tensor<4>),
    (other_loss, other): (Tensor<1>, Tensor<4>),
) -> (Tensor<1>, Tensor<4>) {
    // A loss of NaN is not lower.
    let lower = other_loss.clone().lower(loss.clone());
    let of_images = lower.clone().unsqueeze::<4>().expand(images.shape());
    (
        loss.mask_where(lower, other_loss),
        images.mask_where(of_images, other),
    )
}
