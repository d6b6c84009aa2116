use crate::{SparseLogits, TeacherLogits};
use burn::nn::Linear;
use burn::tensor::{Tensor, assert_shape};

/// Output head of a language model: the linear layer from hidden states to logits.
///
/// ```text
/// logits = hidden · weight + bias
/// ```
///
/// A head whose tensors do not require gradients is frozen.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_response::LmHead;
///
/// let layer = LinearConfig::new(16, 100).with_bias(false).init(&Device::default());
/// let head = LmHead::from(&layer);
///
/// assert_eq!(head.weight.dims(), [16, 100]);
/// assert!(head.bias.is_none());
/// ```
#[doc(alias = "lm_head")]
#[derive(Clone, Debug)]
pub struct LmHead {
    /// Weight, as in a [`Linear`] layer; an embedding that is tied to the head has to be
    /// transposed. Shape: `[features, vocabulary]`.
    pub weight: Tensor<2>,
    /// Bias, if there is one. Shape: `[vocabulary]`.
    pub bias: Option<Tensor<1>>,
}

impl From<&Linear> for LmHead {
    fn from(layer: &Linear) -> Self {
        Self {
            weight: layer.weight.val(),
            bias: layer.bias.as_ref().map(|bias| bias.val()),
        }
    }
}

impl LmHead {
    pub(crate) fn without_autodiff(self) -> Self {
        Self {
            weight: self.weight.without_autodiff(),
            bias: self.bias.map(Tensor::without_autodiff),
        }
    }
}

/// Logits that are not computed yet: hidden states, and the [head](LmHead) that turns them into
/// logits.
///
/// They take `vocabulary / features` times less memory than the logits.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{LmHead, LazyLogits};
///
/// let device = Device::default();
/// let head = LmHead {
///     weight: Tensor::from_data([[1.0, 2.0, 3.0]], &device),
///     bias: Some(Tensor::from_data([0.0, 0.0, 1.0], &device)),
/// };
/// let hidden = Tensor::<2>::from_data([[1.0], [-1.0]], &device);
///
/// let logits = LazyLogits::new(hidden, head).logits();
///
/// let expected = Tensor::<2>::from_data([[1.0, 2.0, 4.0], [-1.0, -2.0, -2.0]], &device);
/// assert!(logits.all_close(expected, None, None));
/// ```
#[derive(Clone, Debug)]
pub struct LazyLogits {
    /// Hidden states, the input of the head. Shape: `[rows, features]`.
    pub hidden: Tensor<2>,
    /// Head that turns the hidden states into logits.
    pub head: LmHead,
}

impl LazyLogits {
    /// Creates lazy logits from hidden states and a head.
    ///
    /// # Shapes
    ///
    /// - hidden: `[rows, features]`
    /// - head: a weight of `[features, vocabulary]` and a bias of `[vocabulary]`, if it has one
    ///
    /// # Panics
    ///
    /// Panics if the head has another number of features, or its bias another vocabulary.
    pub fn new(hidden: Tensor<2>, head: impl Into<LmHead>) -> Self {
        let states = Self {
            hidden,
            head: head.into(),
        };
        states.assertions();
        states
    }

    /// Computes the logits of all rows at once.
    ///
    /// # Shapes
    ///
    /// - output: `[rows, vocabulary]`
    ///
    /// # Panics
    ///
    /// Panics if the head has another number of features, or its bias another vocabulary.
    pub fn logits(self) -> Tensor<2> {
        self.assertions();
        let logits = self.hidden.matmul(self.head.weight);
        match self.head.bias {
            Some(bias) => logits.add(bias.unsqueeze()),
            None => logits,
        }
    }

    pub(crate) fn without_autodiff(self) -> Self {
        Self {
            hidden: self.hidden.without_autodiff(),
            head: self.head.without_autodiff(),
        }
    }

    pub(crate) fn assertions(&self) {
        let [_, features] = self.hidden.dims();
        let LmHead { weight, bias } = &self.head;
        let [_, vocabulary] = weight.dims();
        assert_shape!(weight, [features, vocabulary]);
        if let Some(bias) = bias {
            assert_shape!(bias, [vocabulary]);
        }
    }
}

/// Logits of a teacher with a large vocabulary: [given](TeacherLogits), or as hidden states from
/// which they are computed when they are needed.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{TailMode, SparseLogits, TeacherRows, TeacherLogits};
///
/// let logits = Tensor::<2>::from_data([[3.0, 1.0, 2.0]], &Device::default());
///
/// let dense = TeacherRows::from(logits.clone());
/// let sparse = TeacherRows::from(SparseLogits::top_k(logits, 2, TailMode::Tail));
///
/// assert!(matches!(dense, TeacherRows::Logits(TeacherLogits::Dense(_))));
/// assert!(matches!(sparse, TeacherRows::Logits(TeacherLogits::Sparse(_))));
/// ```
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one per loss, and its tensors are handles"
)]
pub enum TeacherRows {
    /// Logits of all classes, or of some.
    Logits(TeacherLogits),
    /// Logits that are not computed yet.
    Lazy(LazyLogits),
}

impl From<Tensor<2>> for TeacherRows {
    fn from(logits: Tensor<2>) -> Self {
        Self::Logits(logits.into())
    }
}

impl From<SparseLogits> for TeacherRows {
    fn from(logits: SparseLogits) -> Self {
        Self::Logits(logits.into())
    }
}

impl From<TeacherLogits> for TeacherRows {
    fn from(logits: TeacherLogits) -> Self {
        Self::Logits(logits)
    }
}

impl From<LazyLogits> for TeacherRows {
    fn from(logits: LazyLogits) -> Self {
        Self::Lazy(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn the_head_of_a_layer_does_what_the_layer_does() {
        let device = Device::default();
        let hidden = Tensor::<2>::from_data([[0.5, -1.0, 2.0], [0.0, 3.0, 0.1]], &device);
        for bias in [true, false] {
            let layer = LinearConfig::new(3, 4).with_bias(bias).init(&device);

            let logits = LazyLogits::new(hidden.clone(), &layer).logits();

            let expected = layer.forward(hidden.clone()).into_data();
            logits
                .into_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::relative(1e-5));
        }
    }

    #[test]
    #[should_panic(expected = "assert_shape!(weight, [features, vocabulary]): axis 0 expected 3")]
    fn features_must_match() {
        let device = Device::default();
        let layer = LinearConfig::new(2, 4).init(&device);

        LazyLogits::new(Tensor::zeros([5, 3], &device), &layer);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(bias, [vocabulary]): axis 0 expected 4")]
    fn vocabularies_must_match() {
        let device = Device::default();
        let head = LmHead {
            weight: Tensor::zeros([3, 4], &device),
            bias: Some(Tensor::zeros([5], &device)),
        };

        LazyLogits::new(Tensor::zeros([5, 3], &device), head);
    }
}
