use super::eigen::leading_eigenpairs;
use super::eigenpairs::Eigenpairs;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{at_least_f32, l2_norm, l2_normalize};

/// Regularization of differences of eigenvalues of matrices with trace 1: where the squared
/// difference is below this, the gradient between the two vectors fades.
const EQUAL: f64 = 1e-10;

/// Leading singular vectors of maps, as matrices of pixels times channels.
pub(super) struct Singular {
    /// Maps of unit norm, connected to the autodiff graph. Shape: `[batch_size, pixels, channels]`.
    pixels: Tensor<3>,
    /// Gram matrices of the smaller side, connected to the autodiff graph.
    gram: Tensor<3>,
    /// Leading eigenpairs of the Gram matrices.
    pairs: Eigenpairs,
    /// Whether the channels are the smaller side.
    by_channels: bool,
}

impl Singular {
    /// Creates the decomposition of maps, whose scale does not matter: they are divided by their
    /// norm first.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    pub fn new(map: Tensor<4>, count: usize, iterations: usize) -> Self {
        let map: Tensor<3> = at_least_f32(map).flatten(2, 3);
        let [batch_size, channels, pixels] = map.dims();
        // The norm is a constant: the vectors do not depend on it, so neither does their gradient.
        let norm = l2_norm(map.clone().without_autodiff().flatten::<2>(1, 2), 1);
        let norm = norm.clone().mask_fill(norm.equal_scalar(0.0), 1.0);
        let map = map.div(norm.reshape([batch_size, 1, 1]));

        let by_channels = channels <= pixels;
        let transposed = map.clone().swap_dims(1, 2);
        let gram = match by_channels {
            true => map.matmul(transposed.clone()),
            false => transposed.clone().matmul(map),
        };
        Self {
            pairs: leading_eigenpairs(gram.clone().without_autodiff(), count, iterations),
            pixels: transposed,
            gram,
            by_channels,
        }
    }

    /// Returns the right singular vectors as constants, one per column: directions among the
    /// channels. Vectors beyond the rank of a map are zero. Shape: `[batch_size, channels, count]`.
    pub fn right_vectors(&self) -> Tensor<3> {
        let vectors = self.pairs.vectors.clone();
        match self.by_channels {
            true => vectors,
            false => to_channels(self.pixels.clone().without_autodiff(), vectors),
        }
    }

    /// Returns the singular values divided by the norm of the map. Shape: `[batch_size, 1, count]`.
    pub fn values(&self) -> Tensor<3> {
        self.pairs.values.clone().clamp_min(0.0).sqrt()
    }

    /// Returns selected right singular vectors, with their gradient.
    ///
    /// The iteration that finds the vectors has no gradient. The differential of an eigenvector is
    /// `dv = (λ − G)⁺ dG v`, where the pseudo-inverse is known exactly on the leading vectors and
    /// approximated by a power series of `series` terms on the rest:
    ///
    /// ```text
    /// dv = Σⱼ vⱼ (vⱼᵀ dG v) / (λ − λⱼ)  +  1/λ Σₘ (G/λ)ᵐ (1 − V Vᵀ) dG v,    m < series
    /// ```
    ///
    /// For a difference `Δ` of two eigenvalues the quotient is `Δ / (Δ² + ε)`, which is zero if
    /// they are equal.
    ///
    /// # Shapes
    ///
    /// - selection: `[batch_size, count, selected]`, each column zero except for the sign at one
    ///   vector
    /// - output: `[batch_size, channels, selected]`
    pub fn select(self, selection: Tensor<3>, series: usize) -> Tensor<3> {
        let Eigenpairs { vectors, values } = self.pairs;
        let chosen = vectors.clone().matmul(selection.clone());
        let value = values.clone().matmul(selection.abs());
        // No vector is selected beyond the rank of a map.
        let value = value.clone().mask_fill(value.equal_scalar(0.0), 1.0);

        // The value is zero, the gradient that of `G v`.
        let image = self.gram.clone().matmul(chosen.clone());
        let change = image.clone().sub(image.without_autodiff());

        let inside = vectors.clone().swap_dims(1, 2).matmul(change.clone());
        let gap = value.clone().sub(values.swap_dims(1, 2));
        let quotient = gap.clone().div(gap.square().add_scalar(EQUAL));
        let outside = |tensor: Tensor<3>| {
            let inside = vectors.clone().swap_dims(1, 2).matmul(tensor.clone());
            tensor.sub(vectors.clone().matmul(inside))
        };
        let gram = self.gram.without_autodiff();
        let mut term = outside(change).div(value.clone());
        let mut sum = term.clone();
        for _ in 1..series {
            term = outside(gram.clone().matmul(term)).div(value.clone());
            sum = sum.add(term.clone());
        }
        let selected = chosen
            .add(vectors.clone().matmul(inside.mul(quotient)))
            .add(sum);
        match self.by_channels {
            true => selected,
            false => to_channels(self.pixels, selected),
        }
    }
}

/// Maps directions among the pixels to directions among the channels.
fn to_channels(pixels: Tensor<3>, vectors: Tensor<3>) -> Tensor<3> {
    l2_normalize(pixels.swap_dims(1, 2).matmul(vectors), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, TensorData, Tolerance};

    const BATCH: usize = 3;

    fn map([channels, height, width]: [usize; 3], dtype: DType) -> Tensor<4> {
        let shape = [BATCH, channels, height, width];
        let values: Vec<f64> = (0..shape.iter().product())
            .map(|n| ((0.7 * n as f64 + 0.3).sin() + 0.4).max(0.0))
            .collect();
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
    }

    /// Returns the sign of the inner product of each column with the same column of the others.
    fn signs(vectors: &Tensor<3>, others: &Tensor<3>) -> Tensor<3> {
        vectors.clone().mul(others.clone()).sum_dim(1).sign()
    }

    /// Returns the singular values and right singular vectors of one map, the largest first, by
    /// rotating its channels until they are orthogonal (one-sided Jacobi).
    fn one_sided_jacobi(map: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut columns: Vec<(Vec<f64>, Vec<f64>)> = (0..map.len())
            .map(|channel| {
                let axis = (0..map.len()).map(|other| f64::from(channel == other));
                (map[channel].clone(), axis.collect())
            })
            .collect();
        for _ in 0..40 {
            for j in 0..columns.len() {
                for i in 0..j {
                    let (a, b) = (&columns[i].0, &columns[j].0);
                    let angle = 0.5 * (2.0 * dot(a, b)).atan2(dot(a, a) - dot(b, b));
                    let (sine, cosine) = angle.sin_cos();
                    let turn = |a: &[f64], b: &[f64], cosine: f64, sine: f64| -> Vec<f64> {
                        let pairs = a.iter().zip(b);
                        pairs.map(|(a, b)| cosine * a + sine * b).collect()
                    };
                    let ((a, v), (b, w)) = (columns[i].clone(), columns[j].clone());
                    columns[i] = (turn(&a, &b, cosine, sine), turn(&v, &w, cosine, sine));
                    columns[j] = (turn(&a, &b, -sine, cosine), turn(&v, &w, -sine, cosine));
                }
            }
        }
        let mut found: Vec<_> = columns
            .into_iter()
            .map(|(column, vector)| (dot(&column, &column).sqrt(), vector))
            .collect();
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found
    }

    #[test]
    fn vectors_and_values_agree_with_one_sided_jacobi() {
        // More pixels than channels, fewer, a single pixel, and more than the block in both.
        for [channels, height, width] in [[4, 3, 5], [9, 2, 3], [5, 1, 1], [12, 4, 4]] {
            let map = map([channels, height, width], DType::F64);
            let found = Singular::new(map.clone(), 4, 40);
            let count = found.values().dims()[2];
            let values: Vec<f64> = found.values().into_data().iter().collect();
            let vectors: Vec<f64> = found.right_vectors().into_data().iter().collect();

            let entries: Vec<f64> = map.into_data().iter().collect();
            for (sample, map) in entries.chunks(channels * height * width).enumerate() {
                let size = map.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
                let rows = map.chunks(height * width).map(<[f64]>::to_vec);
                let expected = one_sided_jacobi(rows.collect());
                for (rank, (value, vector)) in expected.iter().take(count).enumerate() {
                    let error = (values[sample * count + rank] * size - value).abs();
                    assert!(error < 1e-7, "value {rank} is off by {error}");
                    let cosine: f64 = (0..channels)
                        .map(|i| vectors[(sample * channels + i) * count + rank] * vector[i])
                        .sum();
                    let error = 1.0 - cosine.abs();
                    assert!(error < 1e-7, "vector {rank} is off by {error}");
                }
            }
        }
    }

    #[test]
    fn single_precision_suffices() {
        let double = Singular::new(map([16, 5, 5], DType::F64), 4, 16).right_vectors();
        let single = Singular::new(map([16, 5, 5], DType::F32), 4, 16).right_vectors();

        let double = double.cast(DType::F32);
        let signs = signs(&single, &double);
        single
            .mul(signs)
            .into_data()
            .assert_approx_eq::<f32>(&double.into_data(), Tolerance::absolute(1e-4));
    }

    /// Returns a scalar that depends on every entry of two selected vectors.
    fn probe(map: Tensor<4>, series: usize) -> Tensor<1> {
        let found = Singular::new(map, 4, 40);
        let count = found.values().dims()[2];
        let [like, vectors] = [found.values(), found.right_vectors()];
        let signs = vectors.sum_dim(1).sign().swap_dims(1, 2);
        let first_two = super::super::constant::matrix([count, 2], |i, j| f64::from(i == j), &like);
        let selected = found.select(first_two.mul(signs), series);
        let weights = Tensor::arange(
            1..selected.shape().num_elements() as i64 + 1,
            &like.device(),
        )
        .float()
        .cast(like.dtype())
        .reshape(selected.shape())
        .sin();
        selected.mul(weights).sum()
    }

    #[test]
    fn gradients_agree_with_central_differences() {
        for shape in [[4, 3, 3], [9, 2, 3], [7, 3, 3]] {
            let plain = map(shape, DType::F64);
            let tracked = plain.clone().autodiff().require_grad();
            let grads = probe(tracked.clone(), 60).backward();
            let gradient: Vec<f64> = tracked.grad(&grads).unwrap().into_data().iter().collect();

            let values: Vec<f64> = plain.clone().into_data().iter().collect();
            let step = 1e-5;
            for index in 0..values.len() {
                let value = |step: f64| {
                    let mut moved = values.clone();
                    moved[index] += step;
                    let data = TensorData::new(moved, plain.dims());
                    let map = Tensor::from_data(data, (&plain.device(), DType::F64));
                    probe(map, 1).into_scalar::<f64>()
                };
                let difference = (value(step) - value(-step)) / (2.0 * step);
                let error = (difference - gradient[index]).abs();
                assert!(
                    error < 1e-6,
                    "{shape:?} {index}: {difference} {}",
                    gradient[index]
                );
            }
        }
    }

    #[test]
    fn equal_singular_values_and_empty_maps_have_finite_gradients() {
        let device = Device::default();
        let identity = Tensor::<2>::eye(6, &device).reshape([1, 6, 2, 3]);
        for (name, map) in [
            ("equal", identity.clone()),
            ("empty", identity.zeros_like()),
            ("of rank one", identity.ones_like()),
        ] {
            let tracked = map.autodiff().require_grad();

            let value = probe(tracked.clone(), 8);
            let grads = value.clone().backward();

            assert!(value.into_scalar::<f32>().is_finite(), "{name}");
            let gradient = tracked.grad(&grads).unwrap();
            assert!(
                gradient.clone().is_finite().all().into_scalar::<bool>(),
                "{name}"
            );
            if name == "empty" {
                assert_eq!(gradient.abs().max().into_scalar::<f32>(), 0.0);
            }
        }
    }
}
