use burn::tensor::Tensor;
use burn_distill_core::numeric::{at_least_f32, l2_normalize};

/// Chooses samples of one class whose mean features approximate those of the class: herding.
///
/// ```text
/// φ = features / ‖features‖₂,  μ = mean of φ
/// next sample k = argmin ‖μ − 1/k (φ + Σ φ of the samples before)‖₂
/// ```
///
/// It returns the positions of `count` samples in the order of their choice, or of all samples if
/// there are fewer. The first ones are the choice for any smaller count. Of equally good samples,
/// the first is chosen. The features are read from the device.
///
/// # Shapes
///
/// - features: `[samples, features]`
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_strategy::herding;
///
/// let features = Tensor::from_data([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], &Device::default());
///
/// // The sample in the middle is nearest to the mean; then the others balance each other.
/// assert_eq!(herding(features, 3), [1, 0, 2]);
/// ```
///
/// # Reference
///
/// S.-A. Rebuffi, A. Kolesnikov, G. Sperl and C. H. Lampert, [iCaRL: Incremental Classifier and
/// Representation Learning](https://arxiv.org/abs/1611.07725), CVPR 2017, algorithm 4. Agrees with
/// `HerdingExemplarsSelector` of FACIL.
pub fn herding(features: Tensor<2>, count: usize) -> Vec<usize> {
    let [samples, size] = features.dims();
    if samples == 0 || size == 0 {
        return (0..samples.min(count)).collect();
    }
    let unit = l2_normalize(at_least_f32(features.without_autodiff()), 1);
    let unit: Vec<f64> = unit.into_data().iter::<f64>().collect();
    let rows: Vec<&[f64]> = unit.chunks(size).collect();
    let mean: Vec<f64> = (0..size)
        .map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / samples as f64)
        .collect();

    let mut chosen = Vec::with_capacity(count.min(samples));
    let mut sum = vec![0.0; size];
    while chosen.len() < count.min(samples) {
        let next = (chosen.len() + 1) as f64;
        let distance = |row: &[f64]| -> f64 {
            let terms = mean.iter().zip(&sum).zip(row);
            terms
                .map(|((mean, sum), x)| (mean - (sum + x) / next).powi(2))
                .sum()
        };
        let mut best = (f64::INFINITY, None);
        for (place, row) in rows.iter().enumerate() {
            let distance = distance(row);
            if distance < best.0 && !chosen.contains(&place) {
                best = (distance, Some(place));
            }
        }
        // Features that are NaN have no nearest sample.
        let Some(place) = best.1 else {
            break;
        };
        for (sum, x) in sum.iter_mut().zip(rows[place]) {
            *sum += x;
        }
        chosen.push(place);
    }
    chosen
}
