use crate::{DistributionLoss, LazyLogits, SparseLogits, TeacherLogits, TeacherRows};
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, DType, Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{NamedLoss, one_line_display, reduce_rows};
use std::ops::Range;

/// Size of the logits of a chunk in single precision, if the number of its rows is not given.
///
/// With 32,000 classes a chunk has 131 rows. Measured on a CPU, 32 rows take about a third longer,
/// since narrow matrices multiply slowly, and 512 rows are no faster but take twice the memory.
const BYTES: usize = 16 << 20;

/// Computes a [loss between distributions](DistributionLoss) over a large vocabulary exactly, a
/// chunk of rows at a time.
///
/// ```text
/// L = loss, computed chunk by chunk
/// G = ∂L/∂logits, computed with each chunk
/// ```
///
/// A loss over `[rows, vocabulary]` holds about ten tensors of that shape until the backward pass:
/// logarithms, probabilities, masks and products. `Chunked` holds them for one chunk at a time,
/// computes the gradient of the chunk in the forward pass, and keeps only that gradient. The result
/// is the value of the loss, tied to the student by a term that is zero and has those gradients:
///
/// ```text
/// L + Σ G · (student − constant of student)
/// ```
///
/// so it may be multiplied by a weight, added to other terms and differentiated like any other
/// loss. It wraps any [`DistributionLoss`] and adds no formula. Where nothing requires a gradient,
/// as in validation, none is computed. Where a gradient is infinite, the value is NaN.
///
/// | | Output of the student | Tensors of `[rows, vocabulary]` that remain |
/// | --- | --- | --- |
/// | [`forward`](DistributionLoss::forward) and its variants, also in a [`ResponseObjective`](crate::ResponseObjective) | logits | both logits and the gradient |
/// | [`forward_hidden`](Self::forward_hidden) | hidden states and head | none |
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Distribution, Tensor};
/// use burn_distill_response::{Chunked, LazyLogits, JensenShannonLossConfig};
///
/// let device = Device::default().autodiff();
/// let normal = Distribution::Normal(0.0, 1.0);
/// let head = LinearConfig::new(8, 1000).init(&device);
/// let teacher_head = LinearConfig::new(12, 1000).init(&device);
/// let hidden = Tensor::<2>::random([6, 8], normal, &device).require_grad();
/// let teacher_hidden = Tensor::<2>::random([6, 12], normal, &device);
///
/// let criterion = Chunked::new(JensenShannonLossConfig::new().init());
/// let loss = criterion.forward_hidden(
///     LazyLogits::new(hidden.clone(), &head),
///     LazyLogits::new(teacher_hidden, &teacher_head),
///     None,
/// );
///
/// let grads = loss.backward();
/// assert!(hidden.grad(&grads).is_some());
/// assert!(head.weight.val().grad(&grads).is_some());
/// assert!(teacher_head.weight.val().grad(&grads).is_none());
/// ```
///
/// # Reference
///
/// Computing the gradient in the forward pass, chunk by chunk, is the idea of the fused linear
/// losses of P.-L. Hsu et al., [Liger Kernel: Efficient Triton Kernels for LLM
/// Training](https://arxiv.org/abs/2410.10989), 2024.
#[doc(alias = "Liger")]
#[doc(alias = "fused linear")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Chunked<L> {
    /// Loss that compares the rows.
    pub loss: L,
    /// Number of rows of a chunk. By default the number whose logits take 16 MiB, at least one.
    pub chunk_rows: Option<usize>,
}

one_line_display!(Chunked<L>: loss, ?chunk_rows);

impl<L: NamedLoss> NamedLoss for Chunked<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: DistributionLoss> DistributionLoss for Chunked<L> {
    fn temperature(&self) -> f64 {
        self.loss.temperature()
    }

    fn scale(&self) -> f64 {
        self.loss.scale()
    }

    fn divergence(&self, log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
        self.loss.divergence(log_p, log_q)
    }

    /// Computes the loss of every row, a chunk at a time, without reducing.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, vocabulary]`
    /// - teacher: logits of the same shape, or sparse logits of the same rows
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    fn forward_no_reduction(
        &self,
        student: Tensor<2>,
        teacher: impl Into<TeacherLogits>,
    ) -> Tensor<1> {
        let logits = student.clone().without_autodiff();
        let computed = self.compute_logits(logits, teacher.into(), student.is_tracked());
        match computed.gradient {
            Some(gradient) => {
                let zero = zero_with_gradient(student, gradient);
                computed.losses.add(zero.sum_dim(1).squeeze_dim(1))
            }
            None => computed.losses,
        }
    }
}

impl<L: DistributionLoss> Chunked<L> {
    /// Creates a loss that is computed in chunks of a bounded size.
    pub fn new(loss: L) -> Self {
        Self {
            loss,
            chunk_rows: None,
        }
    }

    /// Sets the number of rows of a chunk.
    ///
    /// # Panics
    ///
    /// Panics if `rows` is 0.
    pub fn with_chunk_rows(mut self, rows: usize) -> Self {
        assert!(rows > 0, "A chunk must have at least one row.");
        self.chunk_rows = Some(rows);
        self
    }

    /// Computes the mean loss of the rows that count from hidden states, without ever holding the
    /// logits of all rows.
    ///
    /// Gradients flow to the hidden states, the weight and the bias of the student, as far as they
    /// are tracked, and never to the teacher. In addition to the inputs and their gradients, memory
    /// holds only the tensors of one chunk, `[chunk_rows, vocabulary]`, and one tensor of the shape
    /// of the weight.
    ///
    /// Rows outside the mask may contain any values, for student and teacher. If no row counts, the
    /// loss is zero, still connected to the autodiff graph. Half precision is widened to single,
    /// except in the products with the heads.
    ///
    /// # Shapes
    ///
    /// - student: hidden states `[rows, features]`
    /// - teacher: logits `[rows, vocabulary]`, sparse logits of `rows`, or hidden states of `rows`,
    ///   whose number of features may differ
    /// - mask: `[rows]`, true for the rows that count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    ///
    /// # Example
    ///
    /// ```
    /// use burn::nn::LinearConfig;
    /// use burn::tensor::{Device, Distribution, Tensor};
    /// use burn_distill_response::{
    ///     Chunked, LazyLogits, TailMode, SoftTargetLossConfig, SparseLogits,
    /// };
    ///
    /// let device = Device::default();
    /// let normal = Distribution::Normal(0.0, 1.0);
    /// let head = LinearConfig::new(8, 1000).init(&device);
    /// let student = LazyLogits::new(Tensor::random([3, 8], normal, &device), &head);
    ///
    /// // Cached probabilities of the likeliest tokens; the last row is padding.
    /// let teacher = Tensor::<2>::random([3, 1000], normal, &device);
    /// let teacher = SparseLogits::top_k(teacher, 16, TailMode::Tail);
    /// let mask = Tensor::from_data([true, true, false], &device);
    ///
    /// let criterion = Chunked::new(SoftTargetLossConfig::new().init()).with_chunk_rows(2);
    /// let loss = criterion.forward_hidden(student, teacher, Some(mask));
    ///
    /// assert_eq!(loss.dims(), [1]);
    /// ```
    pub fn forward_hidden(
        &self,
        student: LazyLogits,
        teacher: impl Into<TeacherRows>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        student.assertions();
        let [rows, _] = student.hidden.dims();
        let [_, vocabulary] = student.head.weight.dims();
        let teacher = teacher.into();
        teacher.assert_rows(rows);
        if let Some(mask) = &mask {
            assert_shape!(mask, [rows]);
        }
        let mask = mask.map(Tensor::without_autodiff);
        let constant = student.clone().without_autodiff();

        let mut losses = zeros_for([rows], &constant.hidden);
        let mut gradients = HiddenGradients::zeros(&student);
        for chunk in self.chunks(rows, vocabulary) {
            let padding = mask
                .as_ref()
                .map(|mask| mask.clone().slice(chunk.clone()).bool_not());
            let hidden = constant.hidden.clone().slice(chunk.clone());
            // Zero times NaN is NaN: rows that do not count are replaced before they are used.
            let states = LazyLogits {
                hidden: mask_rows(hidden, padding.as_ref()),
                head: constant.head.clone(),
            };
            let teacher_logits = teacher.chunk(chunk.clone(), padding.as_ref());
            let logits = states.clone().logits();
            let computed = self.compute(logits, teacher_logits, padding, gradients.any());
            losses = losses.slice_assign(chunk.clone(), computed.losses);
            if let Some(gradient) = computed.gradient {
                gradients = gradients.with_chunk(chunk, states, gradient);
            }
        }

        let zero = gradients.tie(student);
        let loss = reduce_rows(losses, mask.clone(), &Reduction::Mean);
        match zero {
            Some(zero) => {
                let zero = match mask {
                    Some(mask) => zero.div(mask.float().cast(loss.dtype()).sum().clamp_min(1.0)),
                    // The same factor as in the gradient of a mean, to the last digit.
                    None => zero.mul_scalar((rows.max(1) as f64).recip()),
                };
                loss.add(zero)
            }
            None => loss,
        }
    }

    /// Computes the loss of every row and the gradient of the sum of the losses, a chunk at a time.
    /// Takes the logits by value, so that logits of a teacher that are not used elsewhere are freed
    /// when this returns.
    fn compute_logits(
        &self,
        logits: Tensor<2>,
        teacher: TeacherLogits,
        with_gradient: bool,
    ) -> Computed {
        let [rows, vocabulary] = logits.dims();
        let teacher = TeacherRows::from(teacher);
        teacher.assert_rows(rows);

        let mut losses = zeros_for([rows], &logits);
        let mut gradient = with_gradient.then(|| zeros_for([rows, vocabulary], &logits));
        for chunk in self.chunks(rows, vocabulary) {
            let logits = logits.clone().slice(chunk.clone());
            let teacher_logits = teacher.chunk(chunk.clone(), None);
            let computed = self.compute(logits, teacher_logits, None, with_gradient);
            losses = losses.slice_assign(chunk.clone(), computed.losses);
            gradient = gradient
                .zip(computed.gradient)
                .map(|(all, of_chunk)| all.slice_assign(chunk, of_chunk));
        }
        Computed { losses, gradient }
    }

    /// Computes the loss of every row of a chunk and the gradient of the sum of the losses. The
    /// graph between the two is freed when this returns.
    fn compute(
        &self,
        logits: Tensor<2>,
        teacher: TeacherLogits,
        padding: Option<Tensor<1, Bool>>,
        with_gradient: bool,
    ) -> Computed {
        if !with_gradient {
            return Computed {
                losses: self.loss.forward_no_reduction(logits, teacher),
                gradient: None,
            };
        }
        // Widened before the loss, so that the gradient of a row is not rounded to half precision.
        let logits = at_least_f32(logits).autodiff().require_grad();
        let losses = self.loss.forward_no_reduction(logits.clone(), teacher);
        let counted = match padding {
            Some(padding) => losses.clone().mask_fill(padding, 0.0),
            None => losses.clone(),
        };
        let mut grads = counted.sum().backward();
        Computed {
            losses: losses.without_autodiff(),
            gradient: logits.grad_remove(&mut grads),
        }
    }

    fn chunks(&self, rows: usize, vocabulary: usize) -> impl Iterator<Item = Range<usize>> {
        let size = self
            .chunk_rows
            .unwrap_or(BYTES / (size_of::<f32>() * vocabulary.max(1)))
            .max(1);
        (0..rows)
            .step_by(size)
            .map(move |start| start..rows.min(start + size))
    }
}

/// Losses of some rows and the gradient of their sum.
struct Computed {
    losses: Tensor<1>,
    gradient: Option<Tensor<2>>,
}

/// Gradients of the sum of the losses by the tracked tensors of the student.
struct HiddenGradients {
    hidden: Option<Tensor<2>>,
    weight: Option<Tensor<2>>,
    bias: Option<Tensor<1>>,
}

impl HiddenGradients {
    fn zeros(student: &LazyLogits) -> Self {
        fn zeros<const D: usize>(tensor: &Tensor<D>) -> Option<Tensor<D>> {
            tensor
                .is_tracked()
                .then(|| zeros_for(tensor.dims(), &tensor.clone().without_autodiff()))
        }
        Self {
            hidden: zeros(&student.hidden),
            weight: zeros(&student.head.weight),
            bias: student.head.bias.as_ref().and_then(zeros),
        }
    }

    fn any(&self) -> bool {
        self.hidden.is_some() || self.weight.is_some() || self.bias.is_some()
    }

    /// Adds the gradients of a chunk, computed from the gradient of its logits.
    fn with_chunk(self, chunk: Range<usize>, states: LazyLogits, gradient: Tensor<2>) -> Self {
        let LazyLogits { hidden, head } = states;
        let bias = self
            .bias
            .map(|bias| bias.add(gradient.clone().sum_dim(0).squeeze_dim(0)));
        let gradient = gradient.cast(hidden.dtype());
        Self {
            hidden: self.hidden.map(|all| {
                let of_chunk = gradient.clone().matmul(head.weight.transpose());
                all.slice_assign(chunk, at_least_f32(of_chunk))
            }),
            weight: self
                .weight
                .map(|weight| weight.add(at_least_f32(hidden.transpose().matmul(gradient)))),
            bias,
        }
    }

    /// Returns a zero with these gradients, unless there are none.
    fn tie(self, student: LazyLogits) -> Option<Tensor<1>> {
        fn sum<const D: usize>(
            tracked: Tensor<D>,
            gradient: Option<Tensor<D>>,
        ) -> Option<Tensor<1>> {
            gradient.map(|gradient| zero_with_gradient(tracked, gradient).sum())
        }
        let bias = student.head.bias.and_then(|bias| sum(bias, self.bias));
        [
            sum(student.hidden, self.hidden),
            sum(student.head.weight, self.weight),
            bias,
        ]
        .into_iter()
        .flatten()
        .reduce(Tensor::add)
    }
}

impl TeacherRows {
    fn assert_rows(&self, rows: usize) {
        match self {
            Self::Logits(TeacherLogits::Dense(teacher)) => assert_shape!(teacher, [rows, _]),
            Self::Logits(TeacherLogits::Sparse(sparse)) => {
                let (ids, teacher) = (&sparse.ids, &sparse.log_probabilities);
                let [_, k] = ids.dims();
                assert_shape!(ids, [rows, _]);
                assert_shape!(teacher, [rows, k]);
            }
            Self::Lazy(states) => {
                states.assertions();
                let teacher = &states.hidden;
                assert_shape!(teacher, [rows, _]);
            }
        }
    }

    /// Returns the logits of some of the rows, constant, with zeros in the padding.
    fn chunk(&self, rows: Range<usize>, padding: Option<&Tensor<1, Bool>>) -> TeacherLogits {
        let chunk = |rows_of: &Tensor<2>| {
            let chunk = rows_of.clone().without_autodiff().slice(rows.clone());
            mask_rows(chunk, padding)
        };
        match self {
            Self::Logits(TeacherLogits::Dense(logits)) => chunk(logits).into(),
            Self::Logits(TeacherLogits::Sparse(sparse)) => {
                let ids = sparse.ids.clone().without_autodiff().slice(rows.clone());
                SparseLogits {
                    ids: match padding {
                        Some(padding) => {
                            let padding = columns(padding, ids.dims());
                            ids.mask_fill(padding, 0)
                        }
                        None => ids,
                    },
                    log_probabilities: chunk(&sparse.log_probabilities),
                    ..sparse.clone()
                }
                .into()
            }
            Self::Lazy(states) => LazyLogits {
                hidden: chunk(&states.hidden),
                head: states.head.clone().without_autodiff(),
            }
            .logits()
            .into(),
        }
    }
}

fn mask_rows(tensor: Tensor<2>, padding: Option<&Tensor<1, Bool>>) -> Tensor<2> {
    match padding {
        Some(padding) => {
            let padding = columns(padding, tensor.dims());
            tensor.mask_fill(padding, 0.0)
        }
        None => tensor,
    }
}

/// Returns a mask of rows as a mask of their elements.
fn columns(mask: &Tensor<1, Bool>, shape: [usize; 2]) -> Tensor<2, Bool> {
    mask.clone().unsqueeze_dim::<2>(1).expand(shape)
}

/// Creates zeros to collect losses or gradients in, at least in single precision.
fn zeros_for<const D: usize, const S: usize>(shape: [usize; D], of: &Tensor<S>) -> Tensor<D> {
    let dtype = match of.dtype() {
        DType::F16 | DType::BF16 => DType::F32,
        dtype => dtype,
    };
    Tensor::zeros(shape, (&of.device(), dtype))
}

/// Returns zeros whose derivative by the tensor is the gradient, element by element.
fn zero_with_gradient<const D: usize>(tensor: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
    let constant = tensor.clone().without_autodiff();
    // Exactly zero for any values, so that the value of the loss is not rounded.
    let zero = tensor.sub(constant);
    // The difference is NaN for infinities, such as the logits of excluded classes, and for padding
    // of NaN.
    let undefined = zero.clone().without_autodiff().is_nan();
    at_least_f32(zero.mask_fill(undefined, 0.0)).mul(gradient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        JensenShannonLossConfig, LmHead, ResponseObjective, ReverseKlLossConfig, SkewKlLossConfig,
        SoftCrossEntropyLossConfig, SoftTargetLoss, SoftTargetLossConfig, TailMode,
        TotalVariationLossConfig,
    };
    use burn::tensor::{Device, Gradients, Int, TensorData};
    use proptest::prelude::*;

    /// Calls a check once for every loss between distributions.
    macro_rules! for_every_loss {
        ($check:ident($($argument:expr),*)) => {
            for temperature in [1.0, 4.0, 100.0] {
                let loss = SoftTargetLossConfig::new().with_temperature(temperature);
                $check(loss.init(), $($argument),*);
            }
            $check(SoftCrossEntropyLossConfig::new().init(), $($argument),*);
            // Without a floor it is infinite for a teacher whose tail has no probability.
            let reverse = ReverseKlLossConfig::new().with_floor(Some(-50.0));
            $check(reverse.init(), $($argument),*);
            $check(JensenShannonLossConfig::new().init(), $($argument),*);
            $check(TotalVariationLossConfig::new().init(), $($argument),*);
            $check(SkewKlLossConfig::new().init(), $($argument),*);
            $check(SkewKlLossConfig::new().with_reverse(true).init(), $($argument),*);
        };
    }

    /// Returns values between −2 and 2 without a visible pattern.
    fn matrix(shape: [usize; 2], seed: u32, options: (&Device, DType)) -> Tensor<2> {
        let mut state = u64::from(seed) << 1 | 1;
        let values: Vec<f64> = (0..shape[0] * shape[1])
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 11) as f64 / (1_u64 << 51) as f64 - 2.0
            })
            .collect();
        Tensor::from_data(TensorData::new(values, shape), options)
    }

    fn states(sizes: [usize; 3], bias: bool, seed: u32, options: (&Device, DType)) -> LazyLogits {
        let [rows, features, vocabulary] = sizes;
        let bias = bias.then(|| matrix([1, vocabulary], seed + 2, options).squeeze_dim(0));
        LazyLogits {
            hidden: matrix([rows, features], seed, options),
            head: LmHead {
                weight: matrix([features, vocabulary], seed + 1, options),
                bias,
            },
        }
    }

    fn require_grad(states: LazyLogits) -> LazyLogits {
        LazyLogits {
            hidden: states.hidden.require_grad(),
            head: LmHead {
                weight: states.head.weight.require_grad(),
                bias: states.head.bias.map(Tensor::require_grad),
            },
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Teacher {
        Dense,
        Sparse(usize, TailMode),
        Hidden(usize),
    }

    impl Teacher {
        /// Rows of the teacher for the chunked loss, and its logits for the plain one.
        fn rows(
            self,
            rows: usize,
            vocabulary: usize,
            options: (&Device, DType),
        ) -> (TeacherRows, TeacherLogits) {
            let dense = || matrix([rows, vocabulary], 77, options).mul_scalar(2.0);
            match self {
                Self::Dense => (dense().into(), dense().into()),
                Self::Sparse(k, tail) => {
                    let sparse = SparseLogits::top_k(dense(), k, tail);
                    (sparse.clone().into(), sparse.into())
                }
                Self::Hidden(features) => {
                    let states = states([rows, features, vocabulary], true, 99, options);
                    (states.clone().into(), states.logits().into())
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    struct Case {
        rows: usize,
        features: usize,
        vocabulary: usize,
        chunk_rows: usize,
        teacher: Teacher,
        bias: bool,
        frozen_head: bool,
        mask: Option<Vec<bool>>,
        seed: u32,
    }

    fn cases() -> impl Strategy<Value = Case> {
        let sizes = (1..9_usize, 1..6_usize, 4..14_usize, 1..11_usize);
        let flags = (any::<bool>(), any::<bool>(), 0..1000_u32);
        (sizes, flags)
            .prop_flat_map(|(sizes, flags)| {
                let (rows, _, vocabulary, _) = sizes;
                let tail = prop_oneof![
                    Just(TailMode::Zero),
                    Just(TailMode::Tail),
                    Just(TailMode::Uniform)
                ];
                let sparse =
                    (1..=vocabulary / 2, tail).prop_map(|(k, tail)| Teacher::Sparse(k, tail));
                let teacher = prop_oneof![
                    Just(Teacher::Dense),
                    sparse,
                    (1..6_usize).prop_map(Teacher::Hidden)
                ];
                let mask = proptest::option::of(proptest::collection::vec(any::<bool>(), rows));
                (Just(sizes), Just(flags), teacher, mask)
            })
            .prop_map(|(sizes, flags, teacher, mask)| Case {
                rows: sizes.0,
                features: sizes.1,
                vocabulary: sizes.2,
                chunk_rows: sizes.3,
                teacher,
                bias: flags.0,
                frozen_head: flags.1,
                mask,
                seed: flags.2,
            })
    }

    /// A value, and the gradients of the student.
    #[derive(Debug)]
    struct Outcome {
        value: f64,
        gradients: Vec<Option<Vec<f64>>>,
    }

    impl Outcome {
        fn new(loss: Tensor<1>, student: &LazyLogits) -> Self {
            fn read<const D: usize>(of: &Tensor<D>, grads: &Gradients) -> Option<Vec<f64>> {
                Some(of.grad(grads)?.into_data().iter::<f64>().collect())
            }
            let grads = loss.clone().backward();
            let LmHead { weight, bias } = &student.head;
            Self {
                value: loss.into_scalar::<f64>(),
                gradients: vec![
                    read(&student.hidden, &grads),
                    read(weight, &grads),
                    bias.as_ref().and_then(|bias| read(bias, &grads)),
                ],
            }
        }

        fn assert_is(&self, expected: &Self, tolerance: f64, what: &dyn std::fmt::Debug) {
            let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
            let error = (self.value - expected.value).abs();
            // A loss that is only a rounding error has no digits to agree in.
            let close = error <= tolerance * expected.value.abs().max(1e-2);
            assert!(close, "{what:?}: {self:?} is not {expected:?}");
            for (gradient, expected) in self.gradients.iter().zip(&expected.gradients) {
                assert_eq!(gradient.is_some(), expected.is_some(), "{what:?}");
                let (Some(gradient), Some(expected)) = (gradient, expected) else {
                    continue;
                };
                let difference: Vec<_> =
                    gradient.iter().zip(expected).map(|(a, b)| a - b).collect();
                let close = norm(&difference) <= tolerance * norm(expected);
                assert!(close, "{what:?}: {gradient:?} is not {expected:?}");
            }
        }
    }

    fn assert_same_as_plain<L: DistributionLoss>(loss: L, case: &Case, dtype: DType) {
        let device = Device::default().autodiff();
        let sizes = [case.rows, case.features, case.vocabulary];
        let student = || {
            let states = states(sizes, case.bias, case.seed, (&device, dtype));
            match case.frozen_head {
                true => LazyLogits {
                    hidden: states.hidden.require_grad(),
                    head: states.head,
                },
                false => require_grad(states),
            }
        };
        let mask = case.mask.as_ref().map(|mask| {
            let mask = TensorData::new(mask.clone(), [case.rows]);
            Tensor::<1, Bool>::from_data(mask, &device)
        });
        let (rows, logits_of_teacher) =
            case.teacher
                .rows(case.rows, case.vocabulary, (&device, dtype));
        let chunked = Chunked::new(loss.clone()).with_chunk_rows(case.chunk_rows);
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-5 };

        let plain = student();
        let losses = loss.forward_no_reduction(plain.clone().logits(), logits_of_teacher.clone());
        let value = reduce_rows(losses, mask.clone(), &Reduction::Mean);
        let expected = Outcome::new(value, &plain);

        let fused = student();
        let value = chunked.forward_hidden(fused.clone(), rows, mask.clone());
        Outcome::new(value, &fused).assert_is(&expected, tolerance, &(&loss, "hidden", case));

        let logits = student();
        let losses = chunked.forward_no_reduction(logits.clone().logits(), logits_of_teacher);
        let value = reduce_rows(losses, mask, &Reduction::Mean);
        Outcome::new(value, &logits).assert_is(&expected, tolerance, &(&loss, "logits", case));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 48,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(2015),
            ..ProptestConfig::default()
        })]

        #[test]
        fn values_and_gradients_are_those_of_the_plain_loss(case in cases()) {
            for dtype in [DType::F32, DType::F64] {
                if Device::default().supports_dtype(dtype) {
                    for_every_loss!(assert_same_as_plain(&case, dtype));
                }
            }
        }
    }

    #[test]
    fn the_number_of_rows_need_not_be_a_multiple_of_the_chunk() {
        for chunk_rows in [1, 2, 3, 4, 7, 8, 100] {
            let case = Case {
                rows: 7,
                features: 3,
                vocabulary: 50,
                chunk_rows,
                teacher: Teacher::Hidden(2),
                bias: true,
                frozen_head: false,
                mask: None,
                seed: 1,
            };
            for_every_loss!(assert_same_as_plain(&case, DType::F32));
        }
    }

    /// Returns a loss in chunks of three rows, and seven rows of student and teacher.
    fn seven_rows(device: &Device) -> (Chunked<SoftTargetLoss>, LazyLogits, LazyLogits) {
        let options = (device, DType::F32);
        (
            Chunked::new(SoftTargetLossConfig::new().init()).with_chunk_rows(3),
            states([7, 3, 11], true, 1, options),
            states([7, 2, 11], true, 5, options),
        )
    }

    #[test]
    fn the_loss_may_be_scaled_and_added_to_others_of_the_same_states() {
        let device = Device::default().autodiff();
        let (chunked, student, teacher) = seven_rows(&device);
        let outcome = |fused: bool| {
            let student = require_grad(student.clone());
            // Not a leaf, as behind the layers of a network.
            let states = LazyLogits {
                hidden: student.hidden.clone().tanh(),
                head: student.head.clone(),
            };
            let loss = match fused {
                true => chunked.forward_hidden(states.clone(), teacher.clone(), None),
                false => chunked.loss.forward(
                    states.clone().logits(),
                    teacher.clone().logits(),
                    Reduction::Mean,
                ),
            };
            let other = states
                .hidden
                .square()
                .sum()
                .add(states.head.weight.square().sum());
            Outcome::new(loss.mul_scalar(3.0).add(other), &student)
        };

        outcome(true).assert_is(&outcome(false), 1e-5, &chunked);
    }

    #[test]
    fn gradients_flow_to_the_student_only() {
        let device = Device::default().autodiff();
        let (chunked, student, teacher) = seven_rows(&device);
        let (student, teacher) = (require_grad(student), require_grad(teacher));

        let grads = chunked
            .forward_hidden(student.clone(), teacher.clone(), None)
            .backward();
        assert!(student.hidden.grad(&grads).is_some());
        assert!(teacher.hidden.grad(&grads).is_none());
        assert!(teacher.head.weight.grad(&grads).is_none());
        assert!(teacher.head.bias.unwrap().grad(&grads).is_none());

        let teacher = states([7, 2, 11], false, 5, (&device, DType::F32));
        let teacher = teacher.logits().require_grad();
        let logits = student.clone().logits();
        let grads = chunked
            .forward(logits, teacher.clone(), Reduction::Mean)
            .backward();
        assert!(student.hidden.grad(&grads).is_some());
        assert!(teacher.grad(&grads).is_none());
    }

    #[test]
    fn without_trained_tensors_no_gradient_is_computed() {
        for device in [Device::default(), Device::default().autodiff()] {
            let (chunked, student, teacher) = seven_rows(&device);
            let (logits, teacher_logits) = (student.clone().logits(), teacher.clone().logits());

            let plain =
                chunked
                    .loss
                    .forward(logits.clone(), teacher_logits.clone(), Reduction::Mean);
            let fused = chunked.forward_hidden(student, teacher, None);
            let chunked = chunked.forward(logits, teacher_logits, Reduction::Mean);

            assert!(!fused.is_tracked() && !chunked.is_tracked());
            let plain = plain.into_scalar::<f64>();
            assert!((fused.into_scalar::<f64>() / plain - 1.0).abs() < 1e-5);
            assert!((chunked.into_scalar::<f64>() / plain - 1.0).abs() < 1e-5);
        }
    }

    /// Returns the mask of seven rows and the indices of its padding: the second row and all rows
    /// of the second chunk.
    fn padding(device: &Device) -> (Tensor<1, Bool>, Tensor<1, Int>) {
        let mask = [true, false, true, false, false, false, true];
        (
            Tensor::from_data(mask, device),
            Tensor::from_data([1, 3, 4, 5], device),
        )
    }

    #[test]
    fn padding_may_hold_anything() {
        let device = Device::default().autodiff();
        let (chunked, student, teacher) = seven_rows(&device);
        let (mask, rows) = padding(&device);
        for anything in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let spoil = |tensor: Tensor<2>| {
                let [_, width] = tensor.dims();
                let values = Tensor::full([4, width], anything, &device);
                let kept = tensor.clone().select(0, rows.clone());
                let change = values.sub(kept);
                tensor.select_assign(0, rows.clone(), change, burn::tensor::IndexingUpdateOp::Add)
            };
            let spoilt = |states: &LazyLogits| LazyLogits {
                hidden: spoil(states.hidden.clone()),
                head: states.head.clone(),
            };
            let logits = teacher.clone().logits();
            let sparse = SparseLogits::top_k(logits.clone(), 4, TailMode::Tail);
            let spoilt_sparse = SparseLogits {
                log_probabilities: spoil(sparse.log_probabilities.clone()),
                ..sparse.clone()
            };
            let teachers: [(TeacherRows, TeacherRows); 3] = [
                (spoilt(&teacher).into(), teacher.clone().into()),
                (spoil(logits.clone()).into(), logits.into()),
                (spoilt_sparse.into(), sparse.into()),
            ];
            for (spoilt_teacher, teacher) in teachers {
                let outcome = |states: LazyLogits, teacher: TeacherRows| {
                    let states = require_grad(states);
                    let loss = chunked.forward_hidden(states.clone(), teacher, Some(mask.clone()));
                    Outcome::new(loss, &states)
                };
                let expected = outcome(student.clone(), teacher);
                let actual = outcome(spoilt(&student), spoilt_teacher);
                actual.assert_is(&expected, 1e-7, &anything);
                let hidden = actual.gradients[0].as_ref().unwrap();
                assert_eq!(hidden[3..6], [0.0; 3]);
            }
        }
    }

    #[test]
    fn without_a_row_that_counts_the_loss_is_a_connected_zero() {
        let device = Device::default().autodiff();
        let (chunked, student, teacher) = seven_rows(&device);
        let empty = |states: &LazyLogits| LazyLogits {
            hidden: states.hidden.clone().slice(0..0),
            head: states.head.clone(),
        };
        let masked = Some(Tensor::from_data([false; 7], &device));
        for (student, teacher, mask) in [
            (student.clone(), teacher.clone(), masked),
            (empty(&student), empty(&teacher), None),
        ] {
            let student = require_grad(student);
            let loss = chunked.forward_hidden(student.clone(), teacher, mask);
            let outcome = Outcome::new(loss, &student);

            assert_eq!(outcome.value, 0.0);
            for gradient in outcome.gradients {
                assert!(gradient.unwrap().iter().all(|value| *value == 0.0));
            }
        }
    }

    #[test]
    fn half_precision_is_widened() {
        let device = Device::default().autodiff();
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let outcome = |fused: bool| {
                let student = require_grad(states([40, 3, 11], true, 1, (&device, dtype)));
                let teacher = states([40, 2, 11], true, 5, (&device, dtype));
                let chunked = Chunked::new(SoftTargetLossConfig::new().init()).with_chunk_rows(7);
                let loss = match fused {
                    true => chunked.forward_hidden(student.clone(), teacher, None),
                    false => {
                        let (student, teacher) = (student.clone().logits(), teacher.logits());
                        chunked.loss.forward(student, teacher, Reduction::Mean)
                    }
                };
                assert_eq!(loss.dtype(), DType::F32);
                Outcome::new(loss, &student)
            };
            // The plain loss rounds gradients before it adds them up.
            outcome(true).assert_is(&outcome(false), 2e-2, &dtype);
        }
    }

    #[test]
    fn the_term_has_the_name_of_the_loss() {
        let objective =
            ResponseObjective::new(Chunked::new(SoftTargetLossConfig::new().init()), 0.9);

        assert_eq!(objective.name, "soft-target");
        assert_eq!(
            format!("{}", objective.term.loss.with_chunk_rows(8)),
            "Chunked {loss: SoftTargetLoss {temperature: 4}, chunk_rows: Some(8)}"
        );
    }

    #[test]
    fn chunks_are_bounded_by_the_size_of_their_logits() {
        let chunked = Chunked::new(SoftTargetLossConfig::new().init());
        let largest = |vocabulary| chunked.chunks(4096, vocabulary).next().unwrap().len();

        assert_eq!(largest(10), 4096);
        assert_eq!(largest(32_000), 131);
        assert_eq!(largest(1 << 30), 1);
    }

    #[test]
    #[should_panic(expected = "A chunk must have at least one row.")]
    fn chunks_must_have_rows() {
        Chunked::new(SoftTargetLossConfig::new().init()).with_chunk_rows(0);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [rows, _]): axis 0 expected 7, got 6")]
    fn numbers_of_rows_must_match() {
        let (chunked, student, mut teacher) = seven_rows(&Device::default());
        teacher.hidden = teacher.hidden.slice(0..6);

        chunked.forward_hidden(student, teacher, None);
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 1 expected 11"
    )]
    fn vocabularies_must_match() {
        let device = Device::default();
        let (chunked, student, _) = seven_rows(&device);

        chunked.forward_hidden(student, Tensor::zeros([7, 12], &device), None);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(mask, [rows]): axis 0 expected 7, got 4")]
    fn masks_must_have_the_number_of_rows() {
        let device = Device::default();
        let (chunked, student, teacher) = seven_rows(&device);
        let mask = Tensor::from_data([true; 4], &device);

        chunked.forward_hidden(student, teacher, Some(mask));
    }
}
