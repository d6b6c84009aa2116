use super::projection::resized;
use super::term::TeacherMaps;
use super::{MapProjection, TeacherMapsLoss, TeacherMapsTerm};
use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::numeric::{as_precise_as, connected_zero};
use burn_distill_core::{
    CatalogEntry, ChangingWeight, Check, Frozen, Input, LossEntry, LossError, NamedLoss, Network,
    Targets, assert_teacher_count, check, check_same, check_several, confidence_weights,
};

/// Configuration to create a [confidence-aware feature loss](ConfidenceFeatureLoss) using the [init
/// function](ConfidenceFeatureLossConfig::init).
#[derive(Config, Debug)]
pub struct ConfidenceFeatureLossConfig {}

impl ConfidenceFeatureLossConfig {
    /// Creates a [confidence-aware feature loss](ConfidenceFeatureLoss) for a student's map with
    /// `channels` channels and the classifiers of its teachers, whose inputs are the mean of each
    /// channel of their maps. The classifiers are copied.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two classifiers, or if the number of channels is zero.
    pub fn init(
        &self,
        channels: usize,
        classifiers: Vec<Linear>,
        device: &Device,
    ) -> ConfidenceFeatureLoss {
        let counts = [
            ("teachers", classifiers.len(), 2),
            ("channels", channels, 1),
        ];
        for (key, count, least) in counts {
            check::at_least(key, count, least).unwrap_or_else(|error| panic!("{error}"));
        }
        let projections = classifiers.iter().map(|classifier| {
            let [features, _] = classifier.weight.dims();
            MapProjection::new([channels, features], device)
        });
        ConfidenceFeatureLoss {
            projections: projections.collect(),
            classifiers: Frozen::new(classifiers).to_device(device),
        }
    }
}

impl Check for ConfidenceFeatureLossConfig {}

/// Confidence-aware distillation of several teachers (CA-MKD), on features: the map of the student,
/// projected for each teacher, should equal the map of that teacher, and a teacher counts more for
/// a sample the better its classifier predicts the label from the projected map.
///
/// For every sample, with `M` teachers,
///
/// ```text
/// uₘ  = relu(normₘ(conv1×1ₘ(resize(student))))
/// CEₘ = cross-entropy of classifierₘ(mean over pixels of uₘ) with the target
/// wₘ  = (1 − exp(CEₘ) / Σₖ exp(CEₖ)) / (M − 1)
/// L   = 1 / M · Σₘ wₘ · mean over elements of (uₘ − teacherₘ)²
/// ```
///
/// and the loss of a batch is the mean of its samples. The weights sum to one; the further factor
/// `1 / M` is that of the public code. Gradients flow through the weights to the student and the
/// projections, which therefore also learn to be classified worse by the teacher that they match
/// badly. For samples without a label, all teachers count equally. The student's map is pooled to
/// the size of the teacher's if it is larger, or else interpolated bilinearly.
///
/// The projections are trained with the student. Classifiers and maps of the teachers are
/// constants: the classifiers are copies, which are not saved, and which no optimizer changes. Half
/// precision is widened to single.
///
/// # Weights
///
/// The authors use a weight of 50 from the second epoch on, beside 1 for the [cross-entropy with
/// the labels](burn_distill_core::CrossEntropyObjective) and 1 for the loss on logits.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::Targets;
/// use burn_distill_feature::ConfidenceFeatureLossConfig;
///
/// let device = Device::default();
/// // Two teachers of 6 and 5 channels, for three classes.
/// let classifiers = [6, 5].map(|channels| LinearConfig::new(channels, 3).init(&device));
/// let loss = ConfidenceFeatureLossConfig::new().init(4, classifiers.to_vec(), &device);
///
/// let student = Tensor::<4>::ones([2, 4, 4, 4], &device);
/// let teachers = [6, 5].map(|channels| Tensor::<4>::zeros([2, channels, 2, 2], &device));
/// let targets = Targets::classes(Tensor::from_data([0, 2], &device));
/// assert_eq!(loss.forward(student, teachers.to_vec(), &targets).dims(), [1]);
/// ```
///
/// # Reference
///
/// H. Zhang, D. Chen and C. Wang, [Confidence-Aware Multi-Teacher Knowledge
/// Distillation](https://arxiv.org/abs/2201.00007), ICASSP 2022. Agrees with `CAMKD` and
/// `CalWeight` of the authors' code for maps of one size, in a recorded training. Their code hands
/// the student's map that was resized for one teacher on to the next; here each teacher gets the
/// original.
#[doc(alias = "CA-MKD")]
#[derive(Module, Debug)]
pub struct ConfidenceFeatureLoss {
    /// Projection of the student's map for each teacher.
    pub projections: Vec<MapProjection>,
    /// Classifier of each teacher.
    pub classifiers: Frozen<Vec<Linear>>,
}

impl ConfidenceFeatureLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - each teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one, or if the targets have
    /// another number of rows.
    pub fn forward(
        &self,
        student: Tensor<4>,
        teachers: Vec<Tensor<4>>,
        targets: &Targets,
    ) -> Tensor<1> {
        assert_teacher_count(self.projections.len(), teachers.len());
        let [batch_size, ..] = student.dims();
        if batch_size == 0 {
            return connected_zero(student);
        }
        let (mut logits, mut distances) = (Vec::new(), Vec::new());
        let classifiers = self.projections.iter().zip(self.classifiers.inner());
        for ((projection, classifier), teacher) in classifiers.zip(teachers) {
            let [_, _, height, width] = teacher.dims();
            let projected = projection.forward(resized(student.clone(), [height, width]));
            let [_, channels, ..] = projected.dims();
            assert_shape!(teacher, [batch_size, channels, height, width]);
            let teacher = as_precise_as(teacher.without_autodiff(), &projected);

            let pooled: Tensor<2> = projected.clone().mean_dims(&[2, 3]).flatten(1, 3);
            logits.push(classify(classifier, pooled));
            let difference: Tensor<2> = projected.sub(teacher).square().flatten(1, 3);
            distances.push(difference.mean_dim(1));
        }
        let distances = Tensor::cat(distances, 1);
        match confidence_weights(logits, targets) {
            Some(weights) => distances.mul(weights).mean_dim(1).mean(),
            None => distances
                .mean()
                .mul_scalar(1.0 / self.projections.len() as f64),
        }
    }
}

/// Computes the logits of a classifier in the precision of the features.
fn classify(classifier: &Linear, features: Tensor<2>) -> Tensor<2> {
    let weight = as_precise_as(classifier.weight.val(), &features);
    let logits = features.matmul(weight);
    match &classifier.bias {
        Some(bias) => {
            let bias = as_precise_as(bias.val(), &logits);
            logits.add(bias.unsqueeze())
        }
        None => logits,
    }
}

impl NamedLoss for ConfidenceFeatureLoss {
    fn name(&self) -> &'static str {
        "confidence-feature"
    }
}

impl TeacherMapsLoss for ConfidenceFeatureLoss {
    fn forward_maps(
        &self,
        student: Tensor<4>,
        teachers: Vec<Tensor<4>>,
        targets: &Targets,
    ) -> Tensor<1> {
        self.forward(student, teachers, targets)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "confidence-feature",
        abbreviation: "CA-MKD",
        about: "matches the maps of several teachers, weighted by their classifiers",
        kind: "feature",
        aliases: &["ca-mkd-feature"],
        reference: "Zhang, Chen and Wang, Confidence-Aware Multi-Teacher Knowledge Distillation, \
            ICASSP 2022",
    };
    let weight = ChangingWeight::Delayed {
        to: 50.0,
        epochs: 1,
    };
    LossEntry::new(catalog, weight, |mut builder| {
        let taps = TeacherMaps::take(&mut builder)?;
        let config = builder.configure(ConfidenceFeatureLossConfig::new())?;
        let contexts = builder.contexts();
        check_several(contexts.len())?;
        let classifiers = contexts.iter().zip(&taps.teachers).zip(&taps.teacher_maps);
        let classifiers = classifiers.enumerate().map(|(index, ((context, tap), map))| {
            let classifier = context.teacher.classifier().ok_or_else(|| {
                LossError::new(format_args!(
                    "the teacher with index {index} has no classifier, but this loss needs one: \
                     implement `Network::classifier`, or use another teacher"
                ))
            })?;
            let ([inputs, classes], [_, channels, ..]) = (classifier.weight.dims(), map.dims());
            if inputs != channels {
                return Err(LossError::of_key(
                    "teachers",
                    format_args!(
                        "the classifier of the teacher with index {index} takes {inputs} features, \
                         but its tap `{tap}` has {channels}: name the tap whose mean is the input of \
                         the classifier"
                    ),
                ));
            }
            check_same("classes", context.classes()?, classes)?;
            Ok(classifier)
        });
        let classifiers = classifiers.collect::<Result<_, LossError>>()?;
        let [_, channels, ..] = taps.student_map.dims();
        let loss = config.init(channels, classifiers, &contexts[0].device);
        builder.joint_term(TeacherMapsTerm::new(loss, taps.student, taps.teachers))
    })
    .for_all_teachers()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Distribution;
    use burn_distill_core::{parameter_count, tensors};

    fn loss(device: &Device) -> ConfidenceFeatureLoss {
        let classifiers = [3, 4].map(|channels| LinearConfig::new(channels, 5).init(device));
        ConfidenceFeatureLossConfig::new().init(2, classifiers.to_vec(), device)
    }

    fn maps(device: &Device) -> (Tensor<4>, Vec<Tensor<4>>) {
        let map = |channels| Tensor::random([2, channels, 2, 2], Distribution::Default, device);
        (map(2), vec![map(3), map(4)])
    }

    #[test]
    fn the_classifiers_are_constants_that_are_neither_counted_nor_saved() {
        let device = Device::default().autodiff();
        let loss = loss(&device);
        let before = tensors(loss.classifiers.inner());

        // 1×1 convolutions from 2 to 3 and to 4 channels with a bias, and their normalizations.
        assert_eq!(
            parameter_count(&loss),
            (2 * 3 + 3) + (2 * 4 + 4) + 2 * 3 + 2 * 4
        );
        let loss = loss.train().fork(&device);
        let (student, teachers) = maps(&device);
        let targets = Targets::classes(Tensor::from_data([1, 4], &device));
        loss.forward(student.require_grad(), teachers, &targets)
            .backward();
        for classifier in loss.classifiers.inner() {
            assert!(!classifier.weight.val().is_autodiff());
        }
        assert_eq!(tensors(loss.classifiers.inner()), before);
    }

    #[test]
    fn all_teachers_count_equally_without_labels() {
        let device = Device::default();
        let loss = loss(&device);
        let (student, teachers) = maps(&device);
        let value = |targets: &Targets| -> f32 {
            let value = loss.forward(student.clone(), teachers.clone(), targets);
            value.into_scalar()
        };
        let unlabeled = Targets::Classes {
            classes: Tensor::from_data([0, 0], &device),
            labeled: Some(Tensor::from_data([false, false], &device)),
        };

        assert!((value(&Targets::Unlabeled) - value(&unlabeled)).abs() < 1e-6);
    }

    #[test]
    #[should_panic(expected = "`teachers` should be at least 2, but is 1")]
    fn one_teacher_is_refused() {
        let device = Device::default();
        let classifier = LinearConfig::new(3, 5).init(&device);
        ConfidenceFeatureLossConfig::new().init(2, vec![classifier], &device);
    }
}
