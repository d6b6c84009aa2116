use super::{at_least_f32, connected_zero, kl_divergence_rows, tempered_log_softmax, zero_padding};
use burn::tensor::{Bool, Tensor, assert_shape};

/// Returns the mask of the pairs of tokens that both count.
///
/// # Shapes
///
/// - mask: `[batch_size, length]`, true for the tokens that count
/// - output: `[batch_size, heads, length, length]`, the same for every head
pub fn token_pairs(mask: Tensor<2, Bool>, heads: usize) -> Tensor<4, Bool> {
    let [batch_size, length] = mask.dims();
    let shape = [batch_size, heads, length, length];
    let queries = mask.clone().unsqueeze_dims::<4>(&[1, 3]).expand(shape);
    let keys = mask.unsqueeze_dims::<4>(&[1, 2]).expand(shape);
    queries.bool_and(keys)
}

/// Computes the similarity of every pair of tokens in each head, as scaled dot products.
///
/// ```text
/// scores = x xᵀ / √(features / heads),    x = the features of one head
/// ```
///
/// The scores of padding are zero.
///
/// # Shapes
///
/// - sequence: `[batch_size, length, features]`, the features of one head after another
/// - mask: `[batch_size, length]`, true for the tokens that count; `None` if all tokens count
/// - output: `[batch_size, heads, length, length]`
///
/// # Panics
///
/// Panics if the number of features is not a multiple of the number of heads.
pub fn relation_scores(
    sequence: Tensor<3>,
    heads: usize,
    mask: Option<&Tensor<2, Bool>>,
) -> Tensor<4> {
    let [batch_size, length, features] = sequence.dims();
    assert!(
        heads > 0 && features.is_multiple_of(heads),
        "The number of features should be a multiple of the number of heads, but {features} is not a \
         multiple of {heads}."
    );
    let head = features / heads;
    let sequence = zero_padding(at_least_f32(sequence), mask)
        .reshape([batch_size, length, heads, head])
        .swap_dims(1, 2);
    let transposed = sequence.clone().swap_dims(2, 3);
    sequence
        .matmul(transposed)
        .div_scalar((head.max(1) as f64).sqrt())
}

/// Computes the divergence of the attention of the student from that of the teacher.
///
/// ```text
/// L = mean over sequences, heads and queries of KL(softmax(teacher) ‖ softmax(student))
/// ```
///
/// With a mask, the softmax is over the keys that count, and the mean is over the queries that
/// count in each sequence, then over the sequences with such queries. If no query counts, the
/// result is a zero that is connected to the graph. Scores may already be masked with −∞ or a large
/// negative number. The teacher is a constant: no gradient flows to it. Half precision is widened
/// to single.
///
/// # Shapes
///
/// - student, teacher: scores before the softmax `[batch_size, heads, queries, keys]`
/// - mask: `[batch_size, length]`, true for the tokens that count, as queries and as keys
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ, or if there is a mask and the numbers of queries and keys differ.
pub fn attention_divergence(
    student: Tensor<4>,
    teacher: Tensor<4>,
    mask: Option<Tensor<2, Bool>>,
) -> Tensor<1> {
    let [batch_size, heads, queries, keys] = student.dims();
    assert_shape!(teacher, [batch_size, heads, queries, keys]);
    if let Some(mask) = &mask {
        assert_shape!(mask, [batch_size, queries]);
        assert_eq!(
            queries, keys,
            "With a mask, attention should have the same number of queries and keys."
        );
    }
    if student.shape().num_elements() == 0 {
        return connected_zero(student);
    }
    let excluded = mask.clone().map(|mask| token_pairs(mask, heads).bool_not());
    let log_attention = |scores: Tensor<4>| {
        let scores = at_least_f32(scores).clamp_min(EXCLUDED);
        let scores = match &excluded {
            Some(excluded) => scores.mask_fill(excluded.clone(), EXCLUDED),
            None => scores,
        };
        tempered_log_softmax(scores.flatten(0, 2), 1.0)
    };
    let teacher = log_attention(teacher.without_autodiff());
    // A query that does not count has all its keys excluded on both sides, so its divergence is
    // zero.
    let divergence = kl_divergence_rows(teacher, log_attention(student))
        .reshape([batch_size, heads, queries])
        .mean_dim(1)
        .sum_dim(2)
        .reshape([batch_size]);
    let Some(mask) = mask else {
        return divergence.mean().div_scalar(queries as f64);
    };
    let lengths = mask
        .float()
        .cast(divergence.dtype())
        .sum_dim(1)
        .reshape([batch_size]);
    let sequences = lengths.clone().clamp_max(1.0).sum().clamp_min(1.0);
    divergence.div(lengths.clamp_min(1.0)).sum().div(sequences)
}

/// Score that replaces −∞. Beside any other score its probability is zero, and a row of only such
/// scores has a softmax.
const EXCLUDED: f64 = -1e30;

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    const MASK: [[bool; 3]; 2] = [[true, true, true], [true, true, false]];

    fn scores(frequency: f64, device: &Device) -> Tensor<4> {
        let values = (0..36).map(|n| 3.0 * (frequency * n as f64 + 0.3).sin());
        let data = TensorData::new(values.collect::<Vec<_>>(), [2, 2, 3, 3]);
        Tensor::from_data(data, device)
    }

    /// The loss, and the gradient of the student.
    fn outcome(
        mask: Option<[[bool; 3]; 2]>,
        change: impl Fn(Tensor<4>) -> Tensor<4>,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let student = scores(0.7, &device).require_grad();
        let mask = mask.map(|mask| Tensor::from_data(mask, &device));
        let teacher = change(scores(1.1, &device));

        let loss = attention_divergence(change(student.clone()), teacher, mask);
        let grads = loss.clone().backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f64>(), gradient)
    }

    #[test]
    fn scores_of_padding_do_not_matter_and_may_be_masked_twice() {
        let (expected, expected_gradient) = outcome(Some(MASK), |scores| scores);
        assert!(expected > 0.1, "{expected}");

        for anything in [f32::NAN, f32::NEG_INFINITY, -1e4, 1e4] {
            let (loss, gradient) = outcome(Some(MASK), |scores| {
                let pairs = Tensor::<2, Bool>::from_data(MASK, &scores.device());
                scores.mask_fill(token_pairs(pairs, 2).bool_not(), anything)
            });

            assert!((loss - expected).abs() < 1e-6, "{loss}");
            gradient.assert_approx_eq::<f32>(&expected_gradient, Tolerance::absolute(1e-6));
        }
    }

    #[test]
    fn rows_without_a_key_have_no_divergence() {
        for anything in [f32::NEG_INFINITY, -1e4] {
            let (loss, gradient) = outcome(None, |scores| {
                scores.slice_fill([0..2, 0..2, 0..3, 0..3], anything)
            });

            assert_eq!(loss, 0.0);
            gradient.assert_eq(&TensorData::zeros::<f32, _>([2, 2, 3, 3]), false);
        }
    }

    #[test]
    fn a_batch_of_padding_is_a_connected_zero() {
        let (loss, gradient) = outcome(Some([[false; 3]; 2]), |scores| scores);

        assert_eq!(loss, 0.0);
        gradient.assert_eq(&TensorData::zeros::<f32, _>([2, 2, 3, 3]), false);
    }

    #[test]
    fn empty_sequences_do_not_count() {
        let (single, _) = outcome(Some([[true; 3], [false; 3]]), |scores| scores);
        let (both, _) = outcome(Some([[true; 3], [true; 3]]), |scores| {
            // The second sequence agrees.
            scores.slice_fill([1..2, 0..2, 0..3, 0..3], 0.0)
        });

        assert!((single - 2.0 * both).abs() < 1e-6, "{single} {both}");
    }

    #[test]
    fn heads_are_split_in_their_order() {
        let device = Device::default();
        let sequence = Tensor::from_data([[[1.0, 2.0, 0.0, 3.0], [0.0, 1.0, 1.0, 1.0]]], &device);

        let scores = relation_scores(sequence, 2, None).mul_scalar(2.0_f64.sqrt());

        scores.into_data().assert_approx_eq::<f32>(
            &TensorData::from([[[[5.0, 2.0], [2.0, 1.0]], [[9.0, 3.0], [3.0, 2.0]]]]),
            Tolerance::default(),
        );
    }

    #[test]
    #[should_panic(expected = "but 4 is not a multiple of 3")]
    fn features_that_do_not_split_into_heads_are_refused() {
        relation_scores(Tensor::zeros([1, 2, 4], &Device::default()), 3, None);
    }
}
