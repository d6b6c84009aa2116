use crate::nearest::nearest;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, pairwise_distances, pairwise_squared_distances,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    check, one_line_display,
};

/// Configuration to create a [DarkRank loss](DarkRankLoss) using the [init
/// function](DarkRankLossConfig::init).
#[derive(Config, Debug)]
pub struct DarkRankLossConfig {
    /// Number of nearest samples of the teacher that are ranked. At least 1; all other samples in
    /// small batches. Default: `4`.
    #[config(default = 4)]
    pub length: usize,
    /// Factor of the distances, called α by the authors. Above 0. Default: `3.0`.
    #[config(default = 3.0)]
    pub scale: f64,
    /// Power of the distances, called β by the authors. At least 1. Default: `3.0`.
    #[config(default = 3.0)]
    pub power: f64,
}

impl DarkRankLossConfig {
    /// Creates a [DarkRank loss](DarkRankLoss).
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init(&self) -> DarkRankLoss {
        self.assert_valid();
        DarkRankLoss {
            length: self.length,
            scale: self.scale,
            power: self.power,
        }
    }
}

impl Check for DarkRankLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("length", self.length, 1..=1024)?;
        check::positive("scale", self.scale)?;
        // Below one the derivative is infinite between equal samples; large powers overflow.
        check::in_range("power", self.power, 1.0..=64.0)
    }
}

/// DarkRank: the student should rank the nearest neighbors of each sample in the teacher's order.
///
/// ```text
/// sᵢⱼ = −scale · ‖xᵢ − xⱼ‖₂^power,    of the student
/// for each i, order the other samples by the teacher's distances, nearest first: n₁, n₂, … n_length
/// L = mean over i of −Σₐ log(exp sᵢ(nₐ) / Σ_{b ≥ a} exp sᵢ(n_b))
/// ```
///
/// This is the negative log-likelihood of the teacher's ranking under the Plackett–Luce model of
/// the student's scores. It depends on the order of the teacher's distances, not on their values,
/// so it is not minimal where the distances of student and teacher are equal. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// DarkRank comes from metric learning, where distances are between vectors of unit length, unlike
/// those of a classifier. The authors give no weight for this use; ours is 1.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::DarkRankLossConfig;
///
/// let device = Device::default();
/// let teacher = Tensor::<2>::from_data([[0.0], [1.0], [3.0]], &device);
/// let agrees = Tensor::<2>::from_data([[0.0], [2.0], [5.0]], &device);
/// let differs = Tensor::<2>::from_data([[0.0], [5.0], [2.0]], &device);
///
/// let loss = DarkRankLossConfig::new().init();
/// let [agrees, differs] = [agrees, differs]
///     .map(|student| loss.forward(student, teacher.clone()).into_scalar::<f32>());
///
/// assert!(agrees < 1e-6 && differs > 1.0);
/// ```
///
/// # Reference
///
/// Y. Chen, N. Wang and Z. Zhang, [DarkRank: Accelerating Deep Metric Learning via Cross Sample
/// Similarities Transfer](https://arxiv.org/abs/1707.01220), AAAI 2018. Agrees with `HardDarkRank`
/// of the code of Relational Knowledge Distillation.
#[doc(alias = "HardDarkRank")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct DarkRankLoss {
    /// Number of samples that are ranked.
    pub length: usize,
    /// Factor of the distances.
    pub scale: f64,
    /// Power of the distances.
    pub power: f64,
}

one_line_display!(DarkRankLoss: length, scale, power);

impl DarkRankLoss {
    /// Computes the loss of a batch of features.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - teacher: `[batch_size, teacher_features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        let length = self.length.min(batch_size.saturating_sub(1));
        if length == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let ranking = nearest(pairwise_squared_distances(teacher), length);
        let scores = pairwise_distances(at_least_f32(student))
            .powf_scalar(self.power)
            .mul_scalar(-self.scale)
            .gather(1, ranking);

        // Row a holds the samples that remain after a have been ranked; its first entry is the next
        // one.
        let device = scores.device();
        let ranked = Tensor::<2, Bool>::triu_mask([length, length], 0, &device).unsqueeze::<3>();
        let others = Tensor::<2, Bool>::diag_mask([length, length], 0, &device).unsqueeze::<3>();
        let shape = [batch_size, length, length];
        let left = scores
            .unsqueeze_dim::<3>(1)
            .expand(shape)
            .mask_fill(ranked.expand(shape), f32::NEG_INFINITY);
        let likelihood = log_softmax(left, 2).mask_fill(others.expand(shape), 0.0);
        likelihood.sum().div_scalar(-(batch_size as f64))
    }
}

impl NamedLoss for DarkRankLoss {
    fn name(&self) -> &'static str {
        "dark-rank"
    }
}

impl TapLoss for DarkRankLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "dark-rank",
        abbreviation: "DarkRank",
        about: "matches the ranking of the nearest samples",
        kind: "relation",
        aliases: &["hard-dark-rank"],
        reference: "Chen et al., DarkRank: Accelerating Deep Metric Learning via Cross \
            Sample Similarities Transfer, AAAI 2018",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        builder.pairs_of(DefaultTaps::Pooled, DarkRankLossConfig::new(), |config| {
            config.init()
        })
    })
}
