use crate::entry::spread;
use crate::pair_layers;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, l2_normalize, masked_mean, zero_rows,
};
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, TRIAL_SAMPLES,
    Tap, check_paired, check_same, one_line_display,
};

/// Divisor of the squared differences of [patient distillation](PatientLoss).
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum PatientReduction {
    /// Number of samples: sums over layers and features, as in the paper.
    Sum,
    /// Number of samples, layers and features, as in the authors' code.
    MeanAll,
}

/// Configuration to create a [patient loss](PatientLoss) using the
/// [init function](PatientLossConfig::init).
#[derive(Config, Debug)]
pub struct PatientLossConfig {
    /// Divisor of the squared differences. Default: `Sum`, as in the paper.
    #[config(default = "PatientReduction::Sum")]
    pub reduction: PatientReduction,
}

impl PatientLossConfig {
    /// Creates a [patient loss](PatientLoss).
    pub fn init(&self) -> PatientLoss {
        PatientLoss {
            reduction: self.reduction,
        }
    }
}

impl Check for PatientLossConfig {}

/// Patient knowledge distillation (PKD): matches the normalized hidden states of the first token,
/// the class token, in every layer but the last.
///
/// ```text
/// difference = normalize(student) − normalize(teacher), of the first token
/// Sum:     L = mean over samples of Σ over layers of ‖difference‖₂²
/// MeanAll: L = mean over samples, layers and features of difference²
/// ```
///
/// The two differ by a factor of `layers · features`. A token of zeros stays zero, with a zero
/// gradient. The teacher is a constant: no gradient flows to it. Half precision is widened to
/// single.
///
/// The authors leave the last layer to the loss on responses. The student is compared with every
/// `k`-th layer of the teacher ("skip", see [`uniform_layer_map`](crate::uniform_layer_map)) or
/// with the last layers before the teacher's last ("last").
///
/// # Weights
///
/// The authors search weights from 10 to 500 for `MeanAll`, beside 1 − α for the cross-entropy with
/// the labels and α for soft targets.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::PatientLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 3.0]], &device);
/// let teacher = Tensor::<2>::from_data([[2.0, 0.0]], &device);
///
/// let loss = PatientLossConfig::new().init().forward(vec![student], vec![teacher]);
///
/// assert_eq!(loss.into_scalar::<f32>(), 2.0);
/// ```
///
/// # Reference
///
/// S. Sun, Y. Cheng, Z. Gan and J. Liu, [Patient Knowledge Distillation for BERT Model
/// Compression](https://arxiv.org/abs/1908.09355), EMNLP 2019. `Sum` agrees with the paper, and for
/// one layer with `pkd_loss` of TextBrewer; `MeanAll` with `patience_loss` of the authors' code.
#[doc(alias = "PKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct PatientLoss {
    /// Divisor of the squared differences.
    #[module(skip)]
    pub reduction: PatientReduction,
}

one_line_display!(PatientLoss: ?reduction);

impl PatientLoss {
    /// Computes the loss of the first tokens of several layers.
    ///
    /// # Shapes
    ///
    /// - student, teacher: for each layer `[batch_size, features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are no layers, if the numbers of layers differ, or if the shapes differ.
    pub fn forward(&self, student: Vec<Tensor<2>>, teacher: Vec<Tensor<2>>) -> Tensor<1> {
        self.forward_masked(student, teacher, None)
    }

    /// Computes the loss of the samples whose first token counts.
    ///
    /// If there are none, the loss is zero, still connected to the autodiff graph.
    ///
    /// # Shapes
    ///
    /// - student, teacher: for each layer `[batch_size, features]`
    /// - mask: `[batch_size]`, true for the samples that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics in the cases in which [`forward`](Self::forward) panics, or if the mask has another
    /// shape.
    pub fn forward_masked(
        &self,
        student: Vec<Tensor<2>>,
        teacher: Vec<Tensor<2>>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        assert_eq!(
            student.len(),
            teacher.len(),
            "Student and teacher need the same number of layers, found {} and {}.",
            student.len(),
            teacher.len()
        );
        let [student, teacher] = [student, teacher].map(|layers| {
            let layers = layers
                .into_iter()
                .map(|layer| zero_rows(layer, mask.as_ref()));
            Tensor::stack::<3>(layers.collect(), 1)
        });
        let [batch_size, layers, features] = student.dims();
        assert_shape!(teacher, [batch_size, layers, features]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = l2_normalize(at_least_f32(teacher.without_autodiff()), 2);
        let difference = l2_normalize(at_least_f32(student), 2).sub(teacher).square();
        let samples = match self.reduction {
            PatientReduction::Sum => difference.sum_dims(&[1, 2]),
            PatientReduction::MeanAll => difference.mean_dims(&[1, 2]),
        };
        masked_mean(samples.reshape([batch_size]), mask)
    }
}

/// Returns the first tokens of paired layers: the first of a sequence, or a vector unchanged.
fn first_tokens(student: Vec<Tap>, teacher: Vec<Tap>) -> (Vec<Tensor<2>>, Vec<Tensor<2>>) {
    let first_token = |tap| match tap {
        Tap::Sequence(sequence) => sequence.narrow(1, 0, 1).squeeze_dim(1),
        other => other.into_vectors(),
    };
    pair_layers(student, teacher)
        .map(|(student, teacher)| (first_token(student), first_token(teacher)))
        .unzip()
}

impl NamedLoss for PatientLoss {
    fn name(&self) -> &'static str {
        "patient"
    }
}

impl MultiLayerLoss for PatientLoss {
    /// Computes the loss of the first token of sequences, or of vectors. Samples whose first token
    /// does not count are left out.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let mask = mask.map(|mask| mask.narrow(1, 0, 1).squeeze_dim(1));
        let (student, teacher) = first_tokens(student, teacher);
        self.forward_masked(student, teacher, mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_paired(student, teacher)?;
        let size = |tap: &Tap| match tap {
            Tap::Sequence(_) => tap.channels(),
            other => other.vector_size(),
        };
        let first = size(&student[0])?;
        for tap in student.iter().chain(teacher) {
            check_same("features of a token", first, size(tap)?)?;
        }
        Ok(())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "patient",
        abbreviation: "PKD",
        about: "matches normalized hidden states of the class token",
        kind: "feature",
        aliases: &["patient-kd"],
        reference: "Sun et al., Patient Knowledge Distillation for BERT Model Compression, \
            EMNLP 2019",
    };
    // The authors' weight of the mean over layers and features, used for both reductions.
    const MEAN_ALL: f64 = 500.0;
    LossEntry::new(catalog, MEAN_ALL, |mut builder| {
        let names = spread(&mut builder, "hidden", |depth| (1, depth - 1))?;
        let loss = builder.configure(PatientLossConfig::new())?.init();
        let [student, teacher] = builder.token_features(&names)?;
        if let PatientReduction::Sum = loss.reduction {
            builder.set_default_weight(MEAN_ALL / (names.0.len() * student) as f64);
        }
        if student != teacher {
            return Err(LossError::new(format_args!(
                "tokens must have the same size, but those of `{}` of the student have {student} \
                 features and those of `{}` of the teacher {teacher}: use networks of one width, \
                 or a loss with a projection, such as `hidden-states`",
                names.0[0], names.1[0]
            )));
        }
        builder.layers_of(names, TRIAL_SAMPLES, loss)
    })
}
