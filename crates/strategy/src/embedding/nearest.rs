use super::EmbeddingSet;
use crate::EvaluationError;
use burn::config::Config;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, l2_normalize};
use burn_distill_core::{Check, ConfigError, check};

/// Number of queries whose similarities are computed at once, to bound the memory.
const QUERIES: usize = 256;

/// Classifier of embeddings by their nearest neighbors, as in the evaluation of DINO.
///
/// ```text
/// s = cosine similarities of the query with the embeddings of the bank
/// vote for a class = Σ over the nearest neighbors of this class of exp(s / temperature)
/// ```
///
/// The nearest neighbors are the embeddings with the largest similarities. The predicted class has
/// the most votes, and is the first of several with the same votes.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_strategy::{EmbeddingSet, NearestNeighborsConfig};
///
/// let device = Device::default();
/// let bank = Tensor::from_data([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0]], &device);
/// let bank = EmbeddingSet::new(bank, vec![0, 0, 1]);
/// let queries = Tensor::from_data([[2.0, 0.0], [0.1, 3.0]], &device);
/// let queries = EmbeddingSet::new(queries, vec![0, 1]);
///
/// let nearest = NearestNeighborsConfig::new().with_neighbors(2);
/// assert_eq!(nearest.accuracy(&bank, &queries)?, 1.0);
/// # Ok::<(), burn_distill_strategy::EvaluationError>(())
/// ```
///
/// # Reference
///
/// M. Caron et al., [Emerging Properties in Self-Supervised Vision
/// Transformers](https://arxiv.org/abs/2104.14294) (DINO), ICCV 2021. Agrees with `knn_classifier`
/// of the authors' `eval_knn.py`.
#[derive(Config, Debug)]
pub struct NearestNeighborsConfig {
    /// Number of neighbors that vote. At least 1. Default: `20`, as recommended in the authors' code.
    #[config(default = 20)]
    pub neighbors: usize,
    /// Temperature that the similarities are divided by. Must be positive and finite. Default:
    /// `0.07`, as in the authors' code.
    #[config(default = 0.07)]
    pub temperature: f64,
}

impl Check for NearestNeighborsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("neighbors", self.neighbors, 1)?;
        check::temperature("temperature", self.temperature)
    }
}

impl NearestNeighborsConfig {
    /// Predicts the class of each query. If the bank has fewer samples than there are neighbors, all
    /// of them vote.
    ///
    /// # Shapes
    ///
    /// - queries: `[queries, features]`
    /// - output: `[queries]`
    ///
    /// # Panics
    ///
    /// Panics if the bank is empty, if the numbers of features differ, or if the configuration is
    /// invalid.
    pub fn predict(&self, bank: &EmbeddingSet, queries: Tensor<2>) -> Tensor<1, Int> {
        self.assert_valid();
        assert!(
            !bank.is_empty(),
            "Nearest neighbors need a bank of at least one labeled embedding, but it is empty."
        );
        let [count, features] = bank.vectors.dims();
        assert_shape!(queries, [_, features]);
        let neighbors = self.neighbors.min(count);
        let references = l2_normalize(bank.vectors.clone(), 1).transpose();
        let of_bank = bank.one_hot(bank.num_classes());
        let queries = l2_normalize(at_least_f32(queries.without_autodiff()), 1);
        let predictions = queries.split(QUERIES, 0).into_iter().map(|queries| {
            let [rows, _] = queries.dims();
            let similarities = queries.cast(references.dtype()).matmul(references.clone());
            let (nearest, places) = similarities.topk_with_indices(neighbors, 1);
            // Relative to the largest, so that no temperature overflows.
            let largest = nearest.clone().max_dim(1);
            let weights = nearest.sub(largest).div_scalar(self.temperature).exp();
            let classes = of_bank.clone().select(0, places.flatten::<1>(0, 1));
            let classes = classes.reshape([rows, neighbors, of_bank.dims()[1]]);
            let votes = weights.unsqueeze_dim::<3>(2).mul(classes).sum_dim(1);
            votes.squeeze_dim::<2>(1).argmax(1).squeeze_dim(1)
        });
        Tensor::cat(predictions.collect(), 0)
    }

    /// Returns the share of the queries whose class is predicted correctly, between 0 and 1, or NaN
    /// without queries.
    ///
    /// # Errors
    ///
    /// Returns an error if the predictions cannot be read from the device.
    ///
    /// # Panics
    ///
    /// Panics like [`predict`](Self::predict).
    pub fn accuracy(
        &self,
        bank: &EmbeddingSet,
        queries: &EmbeddingSet,
    ) -> Result<f64, EvaluationError> {
        match queries.is_empty() {
            true => Ok(f64::NAN),
            false => queries.accuracy(self.predict(bank, queries.vectors.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn classes(config: NearestNeighborsConfig, bank: &EmbeddingSet, query: [f32; 2]) -> i64 {
        let query = Tensor::from_data([query], &bank.vectors.device());
        config.predict(bank, query).into_scalar::<i64>()
    }

    #[test]
    fn near_neighbors_have_more_votes_than_many_far_ones() {
        let device = Device::default();
        // One neighbor of class 2 in the direction of the query, three of class 1 at 60 degrees.
        let (cos, sin) = (0.5, 0.75_f32.sqrt());
        let bank = Tensor::from_data([[cos, sin], [5.0, 0.0], [cos, -sin], [cos, sin]], &device);
        let bank = EmbeddingSet::new(bank, vec![1, 2, 1, 1]);
        let config = NearestNeighborsConfig::new().with_neighbors(4);

        // 1 against 3 exp(−0.5 / 0.07) = 0.0024.
        assert_eq!(classes(config.clone(), &bank, [1.0, 0.0]), 2);
        // 1 against 3 exp(−0.5 / 5) = 2.7.
        assert_eq!(classes(config.with_temperature(5.0), &bank, [1.0, 0.0]), 1);
    }

    #[test]
    fn only_the_nearest_vote() {
        let device = Device::default();
        let bank = Tensor::from_data([[1.0, 0.2], [1.0, 0.4], [1.0, 0.5]], &device);
        let bank = EmbeddingSet::new(bank, vec![0, 1, 1]);
        let config = NearestNeighborsConfig::new().with_temperature(100.0);

        assert_eq!(
            classes(config.clone().with_neighbors(1), &bank, [1.0, 0.0]),
            0
        );
        assert_eq!(classes(config.with_neighbors(3), &bank, [1.0, 0.0]), 1);
    }

    #[test]
    fn more_queries_than_are_computed_at_once_have_the_same_predictions() {
        let device = Device::default();
        let angle = |n: usize| {
            let angle = 0.7 * n as f32;
            [angle.cos(), angle.sin()]
        };
        let of = |count| {
            let rows: Vec<f32> = (0..count).flat_map(angle).collect();
            Tensor::<1>::from_floats(rows.as_slice(), &device).reshape([count as i32, 2])
        };
        let bank = EmbeddingSet::new(of(50), (0..50).map(|n| n % 3).collect());
        let config = NearestNeighborsConfig::new().with_neighbors(5);

        let all = config.predict(&bank, of(2 * QUERIES + 3)).into_data();
        let all: Vec<_> = all.iter::<i64>().collect();
        assert_eq!(all.len(), 2 * QUERIES + 3);
        for n in [0, QUERIES - 1, QUERIES, 2 * QUERIES + 2] {
            assert_eq!(all[n], classes(config.clone(), &bank, angle(n)));
        }
    }

    #[test]
    fn the_accuracy_counts_the_queries() {
        let device = Device::default();
        let bank = Tensor::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
        let bank = EmbeddingSet::new(bank, vec![0, 1]);
        let queries = Tensor::from_data([[2.0, 0.1], [0.1, 2.0], [3.0, 0.2]], &device);
        let queries = EmbeddingSet::new(queries, vec![0, 1, 7]);

        let accuracy = NearestNeighborsConfig::new().accuracy(&bank, &queries);
        assert!((accuracy.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    #[should_panic(expected = "but it is empty")]
    fn an_empty_bank_is_refused() {
        let device = Device::default();
        let bank = EmbeddingSet::new(Tensor::zeros([0, 2], &device), Vec::new());
        NearestNeighborsConfig::new().predict(&bank, Tensor::zeros([1, 2], &device));
    }
}
