use serde::Serialize;

/// Statistics of a number over all repetitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample, with `n − 1` in the denominator; zero for one repetition.
    pub std: f64,
    /// Value of each repetition.
    pub per_seed: Vec<f64>,
}

impl Statistics {
    /// Computes the statistics of the values of the repetitions.
    pub fn of(per_seed: Vec<f64>) -> Self {
        let count = per_seed.len() as f64;
        let mean = per_seed.iter().sum::<f64>() / count;
        let squares = per_seed.iter().map(|value| (value - mean).powi(2));
        let std = match per_seed.len() {
            1 => 0.0,
            _ => (squares.sum::<f64>() / (count - 1.0)).sqrt(),
        };
        Self {
            mean,
            std,
            per_seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let statistics = Statistics::of(vec![0.9, 0.8, 0.7]);

        assert!((statistics.mean - 0.8).abs() < 1e-12);
        assert!((statistics.std - 0.1).abs() < 1e-12);
        assert_eq!(Statistics::of(vec![0.5]).std, 0.0);
    }
}
