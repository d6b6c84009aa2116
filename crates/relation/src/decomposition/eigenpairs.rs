use burn::tensor::Tensor;

/// Eigenvalues below this share of the first are rounding errors, and their vectors arbitrary.
const NEGLIGIBLE: f64 = 1e-6;

/// Eigenvectors and eigenvalues of symmetric matrices, the largest first, as constants.
pub(super) struct Eigenpairs {
    /// Eigenvectors of unit length, one per column. Shape: `[batch_size, size, count]`.
    pub vectors: Tensor<3>,
    /// Eigenvalues. Shape: `[batch_size, 1, count]`.
    pub values: Tensor<3>,
}

impl Eigenpairs {
    /// Replaces eigenvalues that are rounding errors, and their vectors, by zeros.
    pub(super) fn without_rounding(self) -> Self {
        let least = self.values.clone().narrow(2, 0, 1).mul_scalar(NEGLIGIBLE);
        let nothing = self.values.clone().sub(least).lower_equal_scalar(0.0);
        Self {
            vectors: self
                .vectors
                .clone()
                .mask_fill(nothing.clone().expand(self.vectors.shape()), 0.0),
            values: self.values.mask_fill(nothing, 0.0),
        }
    }
}
