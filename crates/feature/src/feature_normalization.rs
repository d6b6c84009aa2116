use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_architecture::NormalizedFeaturesConfig;
use burn_distill_core::numeric::{connected_zero, cross_entropy_rows, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Context, DefaultTaps, DynNetwork, Input, LossEntry, LossTerm, NamedLoss,
    Requirements, TapSelection, one_line_display,
};

/// Feature normalization (FN): soft targets for a student whose features have a limited norm, which
/// replaces the temperature.
///
/// ```text
/// clipped = features · min(‖features‖₂, limit) / ‖features‖₂
/// p = softmax(teacher)
/// q = softmax(classifier(clipped))
/// L = −mean over samples of Σₖ pₖ log qₖ
/// ```
///
/// A large norm of the features makes confident predictions, whatever their direction, and such
/// samples learn more from the labels than from the teacher. The limit removes the influence of the
/// norm. The features and the classifier are those of the student, wrapped in a
/// [`NormalizedFeatures`](burn_distill_architecture::NormalizedFeatures), whose classifier is
/// trained by this loss and by the loss of its unclipped response. The teacher is a constant: no
/// gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The authors use a weight of 9 with a limit of 2, beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{NetworkConfig, NormalizedFeaturesConfig};
/// use burn_distill_core::{Frozen, CrossEntropyObjective, Weighted};
/// use burn_distill_feature::FeatureNormalization;
/// use burn_distill_strategy::OfflineDistiller;
///
/// let device = Device::default().autodiff();
/// let network = |name: &str| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let (student, teacher) = (network("convnet-4-8")?, network("convnet-8-16")?);
///
/// let student = NormalizedFeaturesConfig::new().init(student, "pool");
/// let objective = (CrossEntropyObjective::new(1.0), Weighted::of(FeatureNormalization {}, 9.0));
/// let distiller = OfflineDistiller::new(student, Frozen::new(teacher), objective);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// K. Xu, L. Rui, Y. Li and L. Gu, Feature Normalized Knowledge Distillation for Image
/// Classification, ECCV 2020. Follows the authors' FNKD, where the norm is clipped and the
/// teacher's softmax has no temperature. Their code was read, not run: the expected values of the
/// tests come from the formula.
#[doc(alias = "FN")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct FeatureNormalization {}

one_line_display!(FeatureNormalization);

impl FeatureNormalization {
    /// Computes the unweighted loss.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, num_classes]`, logits of clipped features
    /// - teacher: `[batch_size, num_classes]`, logits
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn loss(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let probabilities = tempered_log_softmax(teacher.without_autodiff(), 1.0).exp();
        cross_entropy_rows(probabilities, tempered_log_softmax(student, 1.0)).mean()
    }
}

impl NamedLoss for FeatureNormalization {
    fn name(&self) -> &'static str {
        "feature-normalization"
    }
}

impl LossTerm for FeatureNormalization {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named([NormalizedFeaturesConfig::TAP]),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let student = context.student.taps.expect(NormalizedFeaturesConfig::TAP);
        let teacher = context.teacher.response.rows().logits;
        Self::loss(student.into_vectors(), teacher)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "feature-normalization",
        abbreviation: "FN",
        about: "replaces the temperature by the norm of the features",
        kind: "feature",
        aliases: &["fn"],
        reference: "Xu et al., Feature Normalized Knowledge Distillation for Image \
            Classification, ECCV 2020",
    };
    LossEntry::new(catalog, 9.0, |mut builder| {
        let context = builder.context();
        let tap = builder.one("student", &context.student_taps, DefaultTaps::Pooled)?;
        let config = builder.configure(NormalizedFeaturesConfig::new())?;
        let network = config.try_init(context.student.clone(), &tap)?;
        let mut built = builder.term(FeatureNormalization {})?;
        built.student = Some(DynNetwork::new(network));
        Ok(built)
    })
}
