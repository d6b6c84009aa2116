use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{kl_divergence_rows, l2_normalize, tempered_log_softmax};
use serde::{Deserialize, Serialize};

/// Temperature of the Kullback–Leibler divergence between vectors taken as logits: the authors'
/// constant.
const TEMPERATURE: f64 = 8.0;

/// Distance between two vectors in a [graph](crate::ModalityGraphLoss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GraphDistance {
    /// One minus the cosine similarity.
    #[default]
    Cosine,
    /// Sum of the squared differences.
    SquaredL2,
    /// Sum of the absolute differences.
    L1,
    /// `T² KL(softmax(teacher / T) ‖ softmax(student / T))` with `T = 8`.
    Kl,
}

impl GraphDistance {
    /// Computes the distance of every row.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, features]`
    /// - output: `[batch_size, 1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn rows(self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<2> {
        let [batch_size, features] = student.dims();
        assert_shape!(teacher, [batch_size, features]);
        match self {
            Self::Cosine => {
                let cosine = l2_normalize(student, 1).mul(l2_normalize(teacher, 1));
                cosine.sum_dim(1).neg().add_scalar(1.0)
            }
            Self::SquaredL2 => student.sub(teacher).square().sum_dim(1),
            Self::L1 => student.sub(teacher).abs().sum_dim(1),
            Self::Kl => {
                let log_p = tempered_log_softmax(teacher, TEMPERATURE);
                let log_q = tempered_log_softmax(student, TEMPERATURE);
                let divergence = kl_divergence_rows(log_p, log_q);
                divergence
                    .mul_scalar(TEMPERATURE * TEMPERATURE)
                    .unsqueeze_dim(1)
            }
        }
    }
}
