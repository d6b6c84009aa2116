use crate::decomposition::{Effort, directions, nearest_directions};
use crate::entry::projected_layers;
use crate::layers::check_layers;
use crate::layers::check_maps;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{connected_zero, l2_normalize};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, Tap,
    check, one_line_display, zero_padded_maps,
};

/// Configuration to create a [singular vector loss](SingularVectorLoss) using the
/// [init function](SingularVectorLossConfig::init).
#[derive(Config, Debug)]
pub struct SingularVectorLossConfig {
    /// Number of singular vectors of the teacher per map. At least 1. Default: `1`, as in all
    /// implementations.
    #[config(default = 1)]
    pub rank: usize,
    /// Number of iterations of the decomposition, which has no gradient. At least 1. Default: `16`.
    #[config(default = 16)]
    pub iterations: usize,
    /// Number of terms of the series in the gradient of a singular vector. At least 1. Default:
    /// `8`.
    #[config(default = 8)]
    pub series: usize,
}

impl SingularVectorLossConfig {
    /// Creates a [singular vector loss](SingularVectorLoss).
    ///
    /// # Panics
    ///
    /// Panics if a number is zero.
    pub fn init(&self) -> SingularVectorLoss {
        self.assert_valid();
        SingularVectorLoss {
            rank: self.rank,
            iterations: self.iterations,
            series: self.series,
        }
    }
}

impl Check for SingularVectorLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("rank", self.rank, 1..=65_536)?;
        check::count_in("iterations", self.iterations, 1..=1000)?;
        check::count_in("series", self.series, 1..=1000)
    }
}

/// Singular vector distillation (KD-SVD): matches the change of the leading singular vectors of
/// feature maps from layer to layer.
///
/// ```text
/// v = leading right singular vectors of a map [pixels, channels], times the share of each in σ(teacher)
/// R = exp(−(vᵢ − v'ⱼ)² / 8)         of every pair of entries, v of one layer and v' of the previous one
/// L = Σ over consecutive layers of Σ (R(student) − R(teacher))² / batch_size
/// ```
///
/// The sign of a singular vector is arbitrary. The teacher's vectors get the sign that makes the
/// sum of their entries positive. Each of them is compared with the nearest of the student's
/// `rank + 3` leading vectors, with the sign that brings the two closer.
///
/// # Gradient
///
/// The decomposition is a block power iteration on the smaller of the two Gram matrices, without
/// gradient. The gradient of a vector is that of an eigenvector: exact between the leading vectors,
/// and a series of `series` terms for the rest, whose relative error is `(λ / λ₁)^series` with `λ`
/// the first eigenvalue after the leading ones. Between equal singular values the gradient is zero.
/// A map of zeros has vectors of zeros, with a zero gradient.
///
/// The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The weight is 1 beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective). The authors also clip the gradient of this
/// term, for each parameter, to the norm of the cross-entropy's gradient times a sigmoid of the
/// epoch, as `OfflineDistiller::with_clipped` of burn-distill-strategy does.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::SingularVectorLossConfig;
///
/// let device = Device::default();
/// let maps = [[2, 3, 8, 8], [2, 5, 4, 4]].map(|shape| Tensor::<4>::ones(shape, &device));
/// let larger = maps.clone().map(|map| map.mul_scalar(3.0));
///
/// let loss = SingularVectorLossConfig::new().init();
/// let loss = loss.forward(maps.to_vec(), larger.to_vec());
///
/// assert!(loss.into_scalar::<f32>() < 1e-9);
/// ```
///
/// # Reference
///
/// S. H. Lee, D. H. Kim and B. C. Song, [Self-supervised Knowledge Distillation Using Singular
/// Value Decomposition](https://arxiv.org/abs/1807.06819), ECCV 2018. Agrees with `KDSVD` of
/// RepDistiller where its decomposition gives the teacher's vectors a positive sum, or a negative
/// one in both layers.
#[doc(alias = "KD-SVD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SingularVectorLoss {
    /// Number of singular vectors of the teacher per map.
    pub rank: usize,
    /// Number of iterations of the decomposition.
    pub iterations: usize,
    /// Number of terms of the series in the gradient of a singular vector.
    pub series: usize,
}

one_line_display!(SingularVectorLoss: rank, iterations, series);

impl SingularVectorLoss {
    /// Computes the loss of the maps of several layers, in the order of the forward pass.
    ///
    /// # Shapes
    ///
    /// - student: each `[batch_size, channels, height, width]`
    /// - teacher: each `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two layers, if the numbers of layers differ, or if the
    /// channels or batch sizes differ.
    pub fn forward(&self, student: Vec<Tensor<4>>, teacher: Vec<Tensor<4>>) -> Tensor<1> {
        check_layers(&student, &teacher);
        let [batch_size, ..] = student[0].dims();
        if batch_size == 0 {
            return connected_zero(student[0].clone());
        }
        let (student, teacher): (Vec<_>, Vec<_>) = student
            .into_iter()
            .zip(teacher)
            .map(|(student, teacher)| self.vectors(student, teacher))
            .unzip();
        let relations =
            |layers: &[Tensor<3>]| -> Vec<Tensor<4>> { layers.windows(2).map(relation).collect() };
        relations(&student)
            .into_iter()
            .zip(relations(&teacher))
            .map(|(student, teacher)| student.sub(teacher).square().sum())
            .reduce(Tensor::add)
            .expect("There are two layers.")
            .div_scalar(batch_size as f64)
    }

    /// Returns the weighted singular vectors of student and teacher. Shapes:
    /// `[batch_size, channels, rank]`.
    fn vectors(&self, student: Tensor<4>, teacher: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
        let effort = Effort {
            iterations: self.iterations,
            series: self.series,
        };
        let (teacher, values) = directions(teacher, self.rank, effort);
        let student = nearest_directions(student, teacher.clone(), effort);
        let share = l2_normalize(values, 2);
        (student.mul(share.clone()), teacher.mul(share))
    }
}

/// Returns the relation between every entry of a layer's vectors and every entry of the previous
/// layer's. Shape: `[batch_size, channels, channels_before, rank]`.
fn relation(pair: &[Tensor<3>]) -> Tensor<4> {
    // Maps of few pixels or channels have fewer vectors.
    let rank = pair[0].dims()[2].min(pair[1].dims()[2]);
    let before = pair[0].clone().narrow(2, 0, rank).unsqueeze_dim::<4>(1);
    let after = pair[1].clone().narrow(2, 0, rank).unsqueeze_dim::<4>(2);
    after.sub(before).square().div_scalar(-8.0).exp()
}

impl NamedLoss for SingularVectorLoss {
    fn name(&self) -> &'static str {
        "singular-vectors"
    }
}

impl MultiLayerLoss for SingularVectorLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] =
            [student, teacher].map(|taps| zero_padded_maps(taps, mask.as_ref()));
        self.forward(student, teacher)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_maps(student, teacher)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "singular-vectors",
        abbreviation: "KD-SVD",
        about: "matches the change of singular vectors between layers",
        kind: "relation",
        aliases: &["kd-svd"],
        reference: "Lee et al., Self-supervised Knowledge Distillation Using Singular Value \
            Decomposition, ECCV 2018",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        projected_layers(builder, SingularVectorLossConfig::new(), |config| {
            config.init()
        })
    })
}
