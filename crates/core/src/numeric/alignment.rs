use super::{at_least_f32, l2_normalize};
use burn::tensor::{Tensor, assert_shape};

/// Computes the linear centered kernel alignment (CKA), a similarity of two sets of features of the
/// same samples.
///
/// ```text
/// K = X Xᵀ,  L = Y Yᵀ,   each centered and without its diagonal
/// CKA = ⟨K, L⟩ / (‖K‖ ‖L‖)
/// ```
///
/// It is 1 for features that differ only by an offset, a scale and an orthogonal map, about 0 for
/// independent features, and 0 for constant features. The numbers of features may differ, because
/// the compared matrices have the size of the batch. The estimate is unbiased: a batch has fewer
/// samples than a map has features, and with the biased estimate all wide layers would be similar.
///
/// # Shapes
///
/// - a: `[batch_size, features]`
/// - b: `[batch_size, other_features]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the batch sizes differ or are below four.
///
/// # Reference
///
/// S. Kornblith et al., [Similarity of Neural Network Representations Revisited](
/// https://arxiv.org/abs/1905.00414), ICML 2019, with the unbiased estimate of L. Song et al.,
/// [Feature Selection via Dependence Maximization](https://jmlr.org/papers/v13/song12a.html), JMLR
/// 2012, which T. Nguyen et al., [Do Wide and Deep Networks Learn the Same Things?](
/// https://arxiv.org/abs/2010.15327), ICLR 2021, use for batches.
#[doc(alias = "CKA")]
pub fn linear_cka(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let [batch_size, _] = a.dims();
    assert_shape!(b, [batch_size, _]);
    assert!(
        batch_size >= LEAST_CKA_SAMPLES,
        "CKA needs at least {LEAST_CKA_SAMPLES} samples, got {batch_size}."
    );
    cka_gram(a).mul(cka_gram(b)).sum()
}

/// Smallest number of samples for [CKA](linear_cka), because the unbiased estimate divides by the
/// number of samples minus 1, 2 and 3.
pub const LEAST_CKA_SAMPLES: usize = 4;

/// Computes the centered Gram matrix of a set of features as a unit vector, or zero if the features
/// are constant. The [CKA](linear_cka) of two sets of features is the product of their vectors.
///
/// # Shapes
///
/// - features: `[batch_size, features]`
/// - output: `[1, batch_size²]`
pub fn cka_gram(features: Tensor<2>) -> Tensor<2> {
    let features = at_least_f32(features);
    let [samples, _] = features.dims();
    let count = samples as f64;
    // It has no effect in exact arithmetic, but avoids cancellation far from the origin.
    let centered = features.clone().sub(features.mean_dim(0));
    let diagonal = Tensor::<2>::eye(samples, &centered.device()).bool();

    let gram = centered.clone().matmul(centered.transpose());
    let gram = gram.mask_fill(diagonal.clone(), 0.0);
    let rows = gram.clone().sum_dim(1).div_scalar(count - 2.0);
    let all = rows.clone().sum_dim(0).div_scalar(count - 1.0);
    let gram = gram
        .sub(rows.clone())
        .sub(rows.transpose())
        .add(all)
        .mask_fill(diagonal, 0.0);
    l2_normalize(gram.reshape([1, -1]), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn device() -> Device {
        Device::default()
    }

    fn normal(samples: usize, features: usize) -> Tensor<2> {
        Tensor::random(
            [samples, features],
            Distribution::Normal(0.0, 1.0),
            &device(),
        )
    }

    fn cka(a: Tensor<2>, b: Tensor<2>) -> f64 {
        linear_cka(a, b).into_scalar::<f64>()
    }

    #[test]
    fn rotation_scale_and_offset_do_not_change_the_similarity() {
        let features = normal(16, 6);
        let rotation = burn::nn::Initializer::Orthogonal { gain: 1.0 }
            .init::<2, _>([6, 6], &device())
            .val();

        assert!((cka(features.clone(), features.clone()) - 1.0).abs() < 1e-5);
        let moved = features
            .clone()
            .matmul(rotation)
            .mul_scalar(-70.0)
            .add_scalar(9.0);
        assert!((cka(features.clone(), moved) - 1.0).abs() < 1e-4);
        let stretched = features.clone().mul(Tensor::from_floats(
            [[1.0, 9.0, 1.0, 1.0, 1.0, 1.0]],
            &device(),
        ));
        assert!(cka(features, stretched) < 0.9);
    }

    #[test]
    fn independent_features_of_any_number_are_dissimilar() {
        device().seed(1);
        for features in [4, 64, 2048] {
            let similarity = cka(normal(64, features), normal(64, features));
            // With biased centering, the widest features would have a similarity of 0.97.
            assert!(similarity.abs() < 0.2, "{features}: {similarity}");
        }
    }

    #[test]
    fn it_is_the_quotient_of_unbiased_estimates() {
        // By hand from the formula of Song et al., in double precision:
        // HSIC(K, L) = (tr KL + 1ᵀK1 1ᵀL1 / ((n−1)(n−2)) − 2 1ᵀKL1 / (n−2)) / (n (n−3))
        let wave = |frequency: f64, phase: f64, features: usize| {
            let values: Vec<f64> = (0..6 * features)
                .map(|n| (frequency * n as f64 + phase).sin())
                .collect();
            values
        };
        let (a, b) = (wave(0.9, 0.1, 3), wave(0.41, 0.7, 2));
        let gram = |values: &[f64]| -> Vec<Vec<f64>> {
            let rows: Vec<_> = values.chunks(values.len() / 6).collect();
            let dot = |i: usize, j: usize| -> f64 {
                rows[i].iter().zip(rows[j]).map(|(x, y)| x * y).sum()
            };
            (0..6)
                .map(|i| {
                    (0..6)
                        .map(|j| if i == j { 0.0 } else { dot(i, j) })
                        .collect()
                })
                .collect()
        };
        let hsic = |k: &[Vec<f64>], l: &[Vec<f64>]| {
            let sum = |m: &[Vec<f64>]| m.iter().flatten().sum::<f64>();
            let row = |m: &[Vec<f64>], i: usize| m[i].iter().sum::<f64>();
            let trace: f64 = (0..6)
                .flat_map(|i| (0..6).map(move |j| (i, j)))
                .map(|(i, j)| k[i][j] * l[j][i])
                .sum();
            let between: f64 = (0..6).map(|i| row(k, i) * row(l, i)).sum();
            trace + sum(k) * sum(l) / 20.0 - between / 2.0
        };
        let (k, l) = (gram(&a), gram(&b));
        let expected = hsic(&k, &l) / (hsic(&k, &k) * hsic(&l, &l)).sqrt();

        let tensor = |values: Vec<f64>| {
            let features = values.len() / 6;
            Tensor::<2>::from_data(
                burn::tensor::TensorData::new(values, [6, features]),
                &device(),
            )
        };
        let found = cka(tensor(a), tensor(b));
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn constant_features_have_no_similarity() {
        let constant = Tensor::full([8, 5], 5.3, &device());

        assert_eq!(cka(constant.clone(), normal(8, 5)), 0.0);
        assert_eq!(cka(constant.clone(), constant), 0.0);
    }
}
