use burn::tensor::Tensor;

/// Eigenvalues below this share of the first are rounding: their vectors are anything.
const NOTHING: f64 = 1e-6;

/// Eigenvectors of symmetric matrices and their values, the largest first. Constants.
pub(super) struct Eigenpairs {
    /// One per column, of unit length. Shape: `[batch_size, size, count]`.
    pub vectors: Tensor<3>,
    /// Shape: `[batch_size, 1, count]`.
    pub values: Tensor<3>,
}

impl Eigenpairs {
    /// Returns them with zeros in the place of eigenvalues that are rounding, and of their vectors.
    pub(super) fn without_rounding(self) -> Self {
        let least = self.values.clone().narrow(2, 0, 1).mul_scalar(NOTHING);
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
