use crate::standardized::standardized;
use crate::{BatchLogitLoss, StandardizationConfig};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{
    connected_zero, kl_divergence_rows, masked_mean, tempered_log_softmax,
};
use burn_distill_core::{Check, ConfigError, NamedLoss, PairedRows, check, one_line_display};
use serde::{Deserialize, Serialize};

/// Configuration to create a [multi-level loss](MultiLevelLoss) using the
/// [init function](MultiLevelLossConfig::init).
#[derive(Config, Debug)]
pub struct MultiLevelLossConfig {
    /// Softmax temperatures, whose losses are added up. At least one, all positive and finite.
    /// Default: `[2.0, 3.0, 4.0, 5.0, 6.0]`.
    #[config(default = "vec![2.0, 3.0, 4.0, 5.0, 6.0]")]
    pub temperatures: Vec<f64>,
    /// Weight of the instance level, the probabilities of each sample. Default: `1.0`.
    #[config(default = 1.0)]
    pub instance: f64,
    /// Weight of the batch level, the relations between samples. Default: `1.0`.
    #[config(default = 1.0)]
    pub batch: f64,
    /// Weight of the class level, the relations between classes. Default: `1.0`.
    #[config(default = 1.0)]
    pub class: f64,
    /// Samples and classes that the loss leaves out because the teacher is confident about them.
    /// Default: none.
    #[config(default = "ConfidenceMask::None")]
    pub confidence: ConfidenceMask,
    /// Whether the logits of the instance level are [standardized](crate::Standardized), as in the
    /// code of the authors of that method. Default: `false`.
    #[config(default = false)]
    pub standardize: bool,
}

/// Samples and classes that a [multi-level loss](MultiLevelLoss) leaves out because the teacher is
/// confident about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfidenceMask {
    /// Leaves nothing out.
    #[default]
    None,
    /// Leaves out the samples about which the teacher is more confident than about the median
    /// sample, and the classes to which it gives more probability than to the median class.
    Select,
    /// Leaves nothing out, but multiplies the terms by the share of samples or classes that
    /// `Select` would keep, about one half: the code of the authors takes means before it masks.
    ReferenceCompat,
}

impl MultiLevelLossConfig {
    /// Creates a [multi-level loss](MultiLevelLoss).
    ///
    /// # Panics
    ///
    /// Panics if there is no temperature or one that is not positive and finite, or if `instance`,
    /// `batch` or `class` is negative or not finite.
    pub fn init(&self) -> MultiLevelLoss {
        self.assert_valid();
        MultiLevelLoss {
            temperatures: self.temperatures.clone(),
            instance: self.instance,
            batch: self.batch,
            class: self.class,
            confidence: self.confidence,
            standardize: self.standardize,
        }
    }
}

impl Check for MultiLevelLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::ensure(
            !self.temperatures.is_empty(),
            "temperatures",
            "a list of at least one temperature",
            "empty",
        )?;
        for (index, &temperature) in self.temperatures.iter().enumerate() {
            check::temperature(format_args!("temperatures.{index}"), temperature)?;
        }
        check::weight("instance", self.instance)?;
        check::weight("batch", self.batch)?;
        check::weight("class", self.class)
    }
}

/// Multi-level logit distillation (MLLD): compares the probabilities of each sample, the relations
/// between samples and the relations between classes.
///
/// With `P = softmax(teacher / T)` and `Q = softmax(student / T)`, both `[batch_size,
/// num_classes]`,
///
/// ```text
/// instance_level = T² mean over rows of Σₖ Pₖ (log Pₖ − log Qₖ)
/// batch_level = ‖P Pᵀ − Q Qᵀ‖²F / batch_size
/// class_level = ‖Pᵀ P − Qᵀ Q‖²F / num_classes
/// L = Σ over temperatures of (instance instance_level + batch batch_level + class class_level)
/// ```
///
/// A class that student and teacher both exclude by a logit of −∞ contributes nothing, but is one
/// of `num_classes`. Without any row the loss is 0. The teacher is a constant: no gradient flows to
/// it. Half precision is widened to single.
///
/// For each temperature the loss computes matrices of `batch_size²` numbers and, if `batch_size` is
/// larger than `num_classes`, of `num_classes²` numbers; otherwise the class level, too, is
/// computed from matrices of `batch_size²` numbers.
///
/// # Confidence
///
/// With [`ConfidenceMask::Select`], a sample does not count if the teacher is more confident about
/// it than about the median sample, and a class does not count if the teacher gives it more
/// probability than the median class, both at `T = 1`:
///
/// ```text
/// mᵢ = maxₖ Pᵢₖ ≤ median over rows
/// cₖ = Σᵢ Pᵢₖ ≤ median over classes
/// instance_level = T² mean over rows of mᵢ Σₖ Pᵢₖ (log Pᵢₖ − log Qᵢₖ)
/// batch_level = Σᵢⱼ mᵢ (P Pᵀ − Q Qᵀ)ᵢⱼ² / batch_size
/// class_level = Σₖₗ cₖ (Pᵀ P − Qᵀ Q)ₖₗ² / num_classes
/// ```
///
/// The medians are found on the device, by comparing all pairs of samples and of classes; nothing
/// is read back to the host. The code of the authors intends this, but multiplies means by masks,
/// which is [`ConfidenceMask::ReferenceCompat`].
///
/// # Standardized logits
///
/// With `standardize`, only the instance level takes logits that are
/// [standardized](crate::Standardized) row by row, at the same temperatures and with the same
/// factor `T²`, as in the code of the authors of that method. The other levels and the confidence
/// use the logits as they are.
///
/// # Views
///
/// The paper trains on a weak and a strong augmentation of every sample:
/// [`forward_views`](MultiLevelLoss::forward_views). For training, use a
/// [`MultiLevelTerm`](crate::MultiLevelTerm) of two views.
///
/// # Weights
///
/// On CIFAR-100 the authors use weights of 0.1 for the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective) of either view and 0.9 for this loss.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{BatchLogitLoss, MultiLevelLossConfig, batch_level};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 0.0]], &device); // all alike
/// let teacher = Tensor::<2>::from_data([[1e4, 0.0], [0.0, 1e4]], &device); // nothing in common
///
/// // P Pᵀ is one on the diagonal, Q Qᵀ one half everywhere.
/// let level = batch_level(student.clone(), teacher.clone(), 1.0);
/// assert_eq!(level.into_scalar::<f32>(), 0.5);
///
/// let loss = MultiLevelLossConfig::new().init().forward(student, teacher);
/// assert!(loss.into_scalar::<f32>() > 2.5); // at each of five temperatures
/// ```
///
/// # Reference
///
/// Y. Jin, J. Wang and D. Lin, [Multi-Level Logit
/// Distillation](https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html),
/// CVPR 2023. The levels agree with `kd_loss`, `bc_loss` and `cc_loss` of the authors'
/// Multi-Level-Logit-Distillation. For the strong view that code keeps only the instance level, and
/// computes it from weak logits at temperatures of 2 and 6; here both views are treated the same.
#[doc(alias = "MLLD")]
#[doc(alias = "MLKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MultiLevelLoss {
    /// Softmax temperatures, whose losses are added up.
    pub temperatures: Vec<f64>,
    /// Weight of the instance level, the probabilities of each sample.
    pub instance: f64,
    /// Weight of the batch level, the relations between samples.
    pub batch: f64,
    /// Weight of the class level, the relations between classes.
    pub class: f64,
    /// Samples and classes that are left out because the teacher is confident about them.
    #[module(skip)]
    pub confidence: ConfidenceMask,
    /// Whether the logits of the instance level are standardized.
    pub standardize: bool,
}

one_line_display!(
    MultiLevelLoss: ?temperatures, instance, batch, class, ?confidence, standardize
);

/// Computes the instance level of a [multi-level loss](MultiLevelLoss): the mean divergence of the
/// samples, times `temperature²`.
///
/// # Shapes
///
/// - student, teacher: logits `[batch_size, num_classes]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn instance_level(student: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    Level::new(student, teacher, temperature, None).instance(None)
}

/// Computes the batch level of a [multi-level loss](MultiLevelLoss): the difference between the
/// relations of the samples.
///
/// # Shapes
///
/// - student, teacher: logits `[batch_size, num_classes]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn batch_level(student: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    Level::new(student, teacher, temperature, None).batch(None)
}

/// Computes the class level of a [multi-level loss](MultiLevelLoss): the difference between the
/// relations of the classes.
///
/// # Shapes
///
/// - student, teacher: logits `[batch_size, num_classes]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn class_level(student: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    Level::new(student, teacher, temperature, None).class(None)
}

/// The three levels of a [multi-level loss](MultiLevelLoss), each summed over the temperatures, not
/// yet multiplied by their weights.
#[derive(Clone, Debug)]
pub struct MultiLevelParts {
    /// Instance level. Shape: `[1]`.
    pub instance: Tensor<1>,
    /// Batch level, the relations between samples. Shape: `[1]`.
    pub batch: Tensor<1>,
    /// Class level, the relations between classes. Shape: `[1]`.
    pub class: Tensor<1>,
}

impl MultiLevelLoss {
    /// Computes the three levels of a batch.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_parts(&self, student: Tensor<2>, teacher: Tensor<2>) -> MultiLevelParts {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);
        let confidence = self.confidence(&teacher, None);
        let levels = self.levels(student, teacher, None, confidence);
        levels
            .into_iter()
            .reduce(|sum, level| MultiLevelParts {
                instance: sum.instance.add(level.instance),
                batch: sum.batch.add(level.batch),
                class: sum.class.add(level.class),
            })
            .expect("A multi-level loss has at least one temperature.")
    }

    /// Computes the loss of two views of the same samples: the sum of the losses of both.
    ///
    /// The confidence of the teacher is that in the weak view.
    ///
    /// # Shapes
    ///
    /// - weak, strong: the logits of student and teacher, each `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_views(
        &self,
        weak: (Tensor<2>, Tensor<2>),
        strong: (Tensor<2>, Tensor<2>),
    ) -> Tensor<1> {
        let rows = |(student, teacher)| PairedRows {
            student,
            teacher,
            mask: None,
        };
        self.forward_rows([rows(weak), rows(strong)].into_iter())
    }

    /// Computes the sum of the losses of all views, with the confidence of the first.
    pub(crate) fn forward_rows(&self, mut views: impl Iterator<Item = PairedRows>) -> Tensor<1> {
        let first = views.next().expect("There is at least one view.");
        let dims = first.student.dims();
        let confidence = self.confidence(&first.teacher, first.mask.as_ref());
        let forward = |view: PairedRows| {
            let [rows, classes] = view.student.dims();
            assert!(
                dims == [rows, classes],
                "A view should have the {} rows and {} classes of the first, but has {rows} and \
                 {classes}.",
                dims[0],
                dims[1]
            );
            self.forward_view(view.student, view.teacher, view.mask, confidence.clone())
        };
        let first = forward(first);
        views.map(forward).fold(first, Tensor::add)
    }

    fn forward_view(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
        confidence: Option<Confidence>,
    ) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let weighted = |level: MultiLevelParts| {
            let instance = level.instance.mul_scalar(self.instance);
            let batch = level.batch.mul_scalar(self.batch);
            let class = level.class.mul_scalar(self.class);
            instance.add(batch).add(class)
        };
        self.levels(student, teacher, mask, confidence)
            .into_iter()
            .map(weighted)
            .reduce(Tensor::add)
            .expect("A multi-level loss has at least one temperature.")
    }

    /// Computes the levels at each temperature.
    fn levels(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
        confidence: Option<Confidence>,
    ) -> Vec<MultiLevelParts> {
        if student.dims()[0] == 0 {
            let zero = connected_zero(student);
            return vec![MultiLevelParts {
                instance: zero.clone(),
                batch: zero.clone(),
                class: zero,
            }];
        }
        let (rows, classes) = match confidence {
            Some(confidence) => (Some(confidence.rows), Some(confidence.classes)),
            None => (None, None),
        };
        let instance_logits = self.standardize.then(|| {
            let StandardizationConfig { population, floor } = StandardizationConfig::new();
            standardized([student.clone(), teacher.clone()], population, floor)
        });
        let at_temperature = |temperature: &f64| {
            let level = Level::new(student.clone(), teacher.clone(), *temperature, mask.clone());
            let instance = match instance_logits.clone() {
                Some([s, t]) => Level::new(s, t, *temperature, mask.clone()).instance(rows.clone()),
                None => level.instance(rows.clone()),
            };
            MultiLevelParts {
                instance,
                batch: level.batch(rows.clone()),
                class: level.class(classes.clone()),
            }
        };
        self.temperatures.iter().map(at_temperature).collect()
    }

    fn confidence(
        &self,
        teacher: &Tensor<2>,
        mask: Option<&Tensor<1, Bool>>,
    ) -> Option<Confidence> {
        let [batch_size, _] = teacher.dims();
        if batch_size == 0 {
            return None;
        }
        let confidence = || Confidence::of(teacher.clone(), mask);
        match self.confidence {
            ConfidenceMask::None => None,
            ConfidenceMask::Select => Some(confidence()),
            ConfidenceMask::ReferenceCompat => Some(confidence().averaged(mask)),
        }
    }
}

impl NamedLoss for MultiLevelLoss {
    fn name(&self) -> &'static str {
        "multi-level"
    }
}

impl BatchLogitLoss for MultiLevelLoss {
    fn forward_masked(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        let rows = PairedRows {
            student,
            teacher,
            mask,
        };
        self.forward_rows(std::iter::once(rows))
    }
}

/// Weights of rows and classes by the confidence of the teacher.
#[derive(Clone)]
struct Confidence {
    /// Shape: `[rows]`.
    rows: Tensor<1>,
    /// Shape: `[num_classes]`.
    classes: Tensor<1>,
}

impl Confidence {
    fn of(teacher: Tensor<2>, mask: Option<&Tensor<1, Bool>>) -> Self {
        let p = tempered_log_softmax(teacher.without_autodiff(), 1.0).exp();
        let surest = p.clone().max_dim(1).squeeze_dim::<1>(1);
        let classes = without_padding(p, mask).sum_dim(0).squeeze_dim::<1>(0);
        Self {
            rows: at_most_the_median(surest, mask),
            classes: at_most_the_median(classes, None),
        }
    }

    /// Replaces all weights by their mean.
    fn averaged(self, mask: Option<&Tensor<1, Bool>>) -> Self {
        let mean = |values: Tensor<1>, mask| {
            let shape = values.shape();
            masked_mean(values, mask).expand(shape)
        };
        Self {
            rows: mean(self.rows, mask.cloned()),
            classes: mean(self.classes, None),
        }
    }
}

/// Returns one where a value is at most the median of those that count, zero elsewhere. Shape:
/// `[values]`.
///
/// The median of an even number of values is the mean of the two in the middle.
fn at_most_the_median(values: Tensor<1>, mask: Option<&Tensor<1, Bool>>) -> Tensor<1> {
    // Some devices sort on the host. A value is at most the median if fewer than half of the values
    // are below it.
    let dtype = values.dtype();
    let values = match mask {
        Some(mask) => values.mask_fill(mask.clone().bool_not(), f32::INFINITY),
        None => values,
    };
    let [length] = values.dims();
    let shape = [length, length];
    let others: Tensor<2> = values.clone().unsqueeze_dim(0);
    let value: Tensor<2> = values.clone().unsqueeze_dim(1);
    let below = others.expand(shape).lower(value.expand(shape));
    let below = below.float().cast(dtype).sum_dim(1).squeeze_dim::<1>(1);
    let limit = match mask {
        Some(mask) => mask.clone().float().cast(dtype).sum().expand([length]),
        None => values.full_like(length as f64),
    };
    below.mul_scalar(2.0).lower(limit).float().cast(dtype)
}

/// Returns the probabilities with zeros in the rows that do not count.
fn without_padding(probabilities: Tensor<2>, mask: Option<&Tensor<1, Bool>>) -> Tensor<2> {
    match mask {
        Some(mask) => {
            let padding: Tensor<2, Bool> = mask.clone().bool_not().unsqueeze_dim(1);
            let shape = probabilities.shape();
            probabilities.mask_fill(padding.expand(shape), 0.0)
        }
        None => probabilities,
    }
}

/// Probabilities of student and teacher at one temperature.
struct Level {
    log_p: Tensor<2>,
    log_q: Tensor<2>,
    /// Zero in the rows that do not count, as is `q`.
    p: Tensor<2>,
    q: Tensor<2>,
    temperature: f64,
    mask: Option<Tensor<1, Bool>>,
}

impl Level {
    fn new(
        student: Tensor<2>,
        teacher: Tensor<2>,
        temperature: f64,
        mask: Option<Tensor<1, Bool>>,
    ) -> Self {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);
        let log_p = tempered_log_softmax(teacher.without_autodiff(), temperature);
        let log_q = tempered_log_softmax(student, temperature);
        Self {
            p: without_padding(log_p.clone().exp(), mask.as_ref()),
            q: without_padding(log_q.clone().exp(), mask.as_ref()),
            log_p,
            log_q,
            temperature,
            mask,
        }
    }

    fn instance(&self, weights: Option<Tensor<1>>) -> Tensor<1> {
        let rows = kl_divergence_rows(self.log_p.clone(), self.log_q.clone());
        let rows = match weights {
            Some(weights) => rows.mul(weights),
            None => rows,
        };
        masked_mean(rows, self.mask.clone()).mul_scalar(self.temperature.powi(2))
    }

    fn batch(&self, weights: Option<Tensor<1>>) -> Tensor<1> {
        let distance = gram_distance(self.p.clone(), self.q.clone(), weights);
        match &self.mask {
            Some(mask) => {
                let count = mask.clone().float().cast(distance.dtype()).sum();
                distance.div(count.clamp_min(1.0))
            }
            None => {
                let [batch_size, _] = self.p.dims();
                distance.div_scalar(batch_size.max(1) as f64)
            }
        }
    }

    fn class(&self, weights: Option<Tensor<1>>) -> Tensor<1> {
        let [batch_size, num_classes] = self.p.dims();
        let (p, q) = (self.p.clone().transpose(), self.q.clone().transpose());
        let distance = match batch_size < num_classes {
            true => gram_distance_by_columns(p, q, weights),
            false => gram_distance(p, q, weights),
        };
        distance.div_scalar(num_classes as f64)
    }
}

/// Computes `Σᵢⱼ wᵢ (A Aᵀ − B Bᵀ)ᵢⱼ²` from two matrices of `rows²` numbers.
///
/// # Shapes
///
/// - a, b: `[rows, columns]`
/// - weights: `[rows]`, all one by default
/// - output: `[1]`
fn gram_distance(a: Tensor<2>, b: Tensor<2>, weights: Option<Tensor<1>>) -> Tensor<1> {
    let gram = |x: Tensor<2>| x.clone().matmul(x.transpose());
    let square = gram(a).sub(gram(b)).square().sum_dim(1);
    weigh(square, weights).sum()
}

/// Computes the same as `gram_distance` from six matrices of `columns²` numbers.
///
/// ```text
/// ⟨Aᵀ W A, Aᵀ A⟩ + ⟨Bᵀ W B, Bᵀ B⟩ − 2 ⟨Aᵀ W B, Aᵀ B⟩
/// ```
fn gram_distance_by_columns(a: Tensor<2>, b: Tensor<2>, weights: Option<Tensor<1>>) -> Tensor<1> {
    let product = |x: &Tensor<2>, y: &Tensor<2>| {
        let plain = x.clone().transpose().matmul(y.clone());
        match &weights {
            Some(_) => {
                let weighed = x.clone().transpose();
                let weighed = weighed.matmul(weigh(y.clone(), weights.clone()));
                plain.mul(weighed).sum()
            }
            None => plain.square().sum(),
        }
    };
    product(&a, &a)
        .add(product(&b, &b))
        .sub(product(&a, &b).mul_scalar(2.0))
        // Where the three cancel, rounding may leave a negative number.
        .clamp_min(0.0)
}

/// Multiplies every row by its weight.
fn weigh(rows: Tensor<2>, weights: Option<Tensor<1>>) -> Tensor<2> {
    match weights {
        Some(weights) => rows.mul(weights.unsqueeze_dim(1)),
        None => rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Int, TensorData, Tolerance};

    fn with_confidence(confidence: ConfidenceMask) -> MultiLevelLoss {
        MultiLevelLossConfig::new()
            .with_confidence(confidence)
            .init()
    }

    /// Returns values between −1 and 1 without a visible pattern.
    fn wave(shape: [usize; 2], phase: f64, device: &Device) -> Tensor<2> {
        let numbers = 0..(shape[0] * shape[1]) as i64;
        let numbers = Tensor::<1, Int>::arange(numbers, device).float();
        numbers.square().add_scalar(phase).sin().reshape(shape)
    }

    #[test]
    fn both_ways_to_the_distance_of_gram_matrices_agree() {
        let device = Device::default().autodiff();
        for [rows, columns] in [[1, 1], [1, 7], [7, 1], [3, 8], [8, 3], [5, 5], [16, 40]] {
            let numbers = |phase: f64| wave([rows, columns], phase, &device);
            let some = wave([rows, 1], 0.5, &device)
                .greater_scalar(0.0)
                .float()
                .squeeze_dim(1);
            for weights in [None, Some(some)] {
                let (a, b) = (numbers(0.0), numbers(2.0).require_grad());
                let of = |distance: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>) -> Tensor<1>| {
                    let distance = distance(a.clone(), b.clone(), weights.clone());
                    let grads = distance.clone().backward();
                    (distance.into_data(), b.grad(&grads).unwrap().into_data())
                };
                let (direct, gradient) = of(gram_distance);
                let (by_columns, gradient_by_columns) = of(gram_distance_by_columns);

                let tolerance = Tolerance::rel_abs(1e-4, 1e-4);
                by_columns.assert_approx_eq::<f32>(&direct, tolerance);
                gradient_by_columns.assert_approx_eq::<f32>(&gradient, tolerance);
            }
        }
    }

    #[test]
    fn the_distance_by_columns_is_never_negative() {
        let device = Device::default();
        for phase in 0..50 {
            let a = wave([40, 4], phase as f64, &device).square();
            let b = a.clone().add_scalar(1e-7);
            let distance = gram_distance_by_columns(a, b, None).into_scalar::<f32>();
            assert!(distance >= 0.0, "{distance}");
        }
    }

    #[test]
    fn values_up_to_the_median_stay() {
        let device = Device::default();
        let kept = |values: &[f32], mask: Option<&[bool]>| {
            let values = Tensor::from_data(TensorData::from(values), &device);
            let mask = mask.map(|mask| Tensor::from_data(TensorData::from(mask), &device));
            let kept = at_most_the_median(values, mask.as_ref()).into_data();
            kept.iter::<f32>()
                .map(|kept| kept == 1.0)
                .collect::<Vec<_>>()
        };

        assert_eq!(kept(&[3.0], None), [true]);
        assert_eq!(kept(&[3.0, 1.0], None), [false, true]);
        assert_eq!(kept(&[3.0, 1.0, 2.0], None), [false, true, true]);
        assert_eq!(
            kept(&[4.0, 1.0, 3.0, 2.0], None),
            [false, true, false, true]
        );
        assert_eq!(kept(&[2.0, 1.0, 2.0, 5.0], None), [true, true, true, false]);
        assert_eq!(kept(&[2.0, 2.0, 2.0, 2.0], None), [true; 4]);
        let mask = [true, false, true, true];
        assert_eq!(
            kept(&[3.0, 0.0, 1.0, 2.0], Some(&mask)),
            [false, false, true, true]
        );
        assert_eq!(kept(&[3.0, 0.0], Some(&[false; 2])), [false; 2]);
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 0 expected 4"
    )]
    fn batch_sizes_must_match() {
        let device = Device::default();
        let teacher = Tensor::zeros([3, 5], &device);
        with_confidence(ConfidenceMask::Select).forward(Tensor::zeros([4, 5], &device), teacher);
    }

    #[test]
    #[should_panic(
        expected = "A view should have the 4 rows and 5 classes of the first, but has 3 and 5."
    )]
    fn views_must_have_the_same_shape() {
        let device = Device::default();
        let none = || Tensor::zeros([3, 5], &device);
        let weak = (
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 5], &device),
        );
        with_confidence(ConfidenceMask::None).forward_views(weak, (none(), none()));
    }

    #[test]
    #[should_panic(expected = "`temperatures` should be a list of at least one temperature")]
    fn temperatures_must_not_be_empty() {
        MultiLevelLossConfig::new().with_temperatures(vec![]).init();
    }

    #[test]
    #[should_panic(expected = "`class` should be from 0 to 1e9")]
    fn weights_must_not_be_negative() {
        MultiLevelLossConfig::new().with_class(-1.0).init();
    }

    #[test]
    fn config_survives_json() {
        let config = MultiLevelLossConfig::new()
            .with_temperatures(vec![2.0, 4.0])
            .with_confidence(ConfidenceMask::ReferenceCompat);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            json,
            r#"{"temperatures":[2.0,4.0],"instance":1.0,"batch":1.0,"class":1.0,"confidence":"reference-compat","standardize":false}"#
        );

        let config = MultiLevelLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.temperatures, [2.0, 4.0]);
        assert_eq!(config.confidence, ConfidenceMask::ReferenceCompat);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", with_confidence(ConfidenceMask::Select)),
            "MultiLevelLoss {temperatures: [2.0, 3.0, 4.0, 5.0, 6.0], instance: 1, batch: 1, \
             class: 1, confidence: Select, standardize: false}"
        );
    }
}
