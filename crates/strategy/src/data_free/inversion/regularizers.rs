use burn::tensor::Tensor;
use burn_distill_core::NormStatistics;
use burn_distill_core::numeric::{
    at_least_f32, kl_divergence_rows, l2_norm, log_mixture, tempered_log_softmax,
};

/// Computes the total variation of images: the sum of the L2 norms of the differences of neighboring
/// pixels in four directions, over all images together.
///
/// ```text
/// ‖x[i, j] − x[i, j+1]‖ + ‖x[i, j] − x[i+1, j]‖ + ‖x[i+1, j] − x[i, j+1]‖ + ‖x[i, j] − x[i+1, j+1]‖
/// ```
///
/// The norms are not squared. That of equal pixels is zero, with zero gradient.
///
/// # Shapes
///
/// - images: `[batch_size, channels, height, width]`
/// - output: `[1]`
///
/// # Reference
///
/// H. Yin et al., [Dreaming to Distill](https://arxiv.org/abs/1912.08795), CVPR 2020, as in the
/// authors' code for CIFAR-10.
pub fn total_variation(images: Tensor<4>) -> Tensor<1> {
    let images = at_least_f32(images);
    let [.., height, width] = images.dims();
    let (rows, columns) = (height.saturating_sub(1), width.saturating_sub(1));
    // The image from a row and a column on.
    let part = |[top, left]: [usize; 2], [rows, columns]: [usize; 2]| {
        let part = images.clone().narrow(2, top, rows);
        part.narrow(3, left, columns)
    };
    let mut sum = Tensor::zeros([1], (&images.device(), images.dtype()));
    for (from, to, size) in [
        ([0, 0], [0, 1], [height, columns]),
        ([0, 0], [1, 0], [rows, width]),
        ([1, 0], [0, 1], [rows, columns]),
        ([0, 0], [1, 1], [rows, columns]),
    ] {
        if size.contains(&0) {
            continue; // An image of one row or column has no such neighbors.
        }
        sum = sum.add(norm(part(from, size).sub(part(to, size))));
    }
    sum
}

/// Returns the L2 norm of all values, with zero gradient at zero. Shape: `[1]`.
fn norm<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    let count = values.shape().num_elements();
    l2_norm(values.reshape([count]), 0)
}

/// Computes the distance of statistics of images from the stored ones, layer by layer.
///
/// ```text
/// Σ over layers of weight · (‖mean − running mean‖₂ + ‖variance − running variance‖₂)
/// ```
///
/// with the weight `first` for the first layer and 1 for all others. The norms are not squared; that
/// of equal statistics has a gradient of zero. The variance of the images is biased and the running
/// variance is not, as in the authors' code.
///
/// # Shapes
///
/// - output: `[1]`
///
/// # Panics
///
/// Panics if there is no layer.
///
/// # Reference
///
/// H. Yin et al., [Dreaming to Distill](https://arxiv.org/abs/1912.08795), CVPR 2020.
pub fn statistics_distance(layers: &[NormStatistics], first: f64) -> Tensor<1> {
    let each = layers.iter().enumerate().map(|(index, layer)| {
        let mean = layer.mean.clone().sub(layer.running_mean.clone());
        let variance = layer.variance.clone();
        let variance = variance.sub(layer.running_variance.clone());
        let weight = if index == 0 { first } else { 1.0 };
        norm(mean).add(norm(variance)).mul_scalar(weight)
    });
    each.reduce(Tensor::add).expect(
        "The teacher has no batch normalization that can be observed, so that nothing is known \
         about its training data: take a network of the toolkit with batch normalization, or call \
         `batch_norm` in your own.",
    )
}

/// The divergence in the competition between teacher and student.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Competition {
    /// Jensen–Shannon divergence, `½ KL(P ‖ M) + ½ KL(Q ‖ M)`, as in the paper.
    JensenShannon,
    /// The divergence of the authors' code, `½ KL(M ‖ P) + ½ KL(M ‖ Q)`, with all probabilities
    /// limited to 0.01 and 0.99.
    Reversed,
}

impl Competition {
    /// Computes the term of adaptive inversion (ADI): 1 minus the divergence of the softened
    /// predictions, which is limited to 0 and 1. It is small where student and teacher disagree.
    ///
    /// ```text
    /// P = softmax(student / T),    Q = softmax(teacher / T),    M = (P + Q) / 2
    /// ```
    ///
    /// Gradients flow to both sides.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, num_classes]`
    /// - output: `[1]`
    pub fn term(self, student: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
        let [log_p, log_q] =
            [student, teacher].map(|logits| tempered_log_softmax(logits, temperature));
        let divergence = match self {
            Self::JensenShannon => {
                let log_m = log_mixture(log_p.clone(), log_q.clone(), 0.5);
                let to_p = kl_divergence_rows(log_p, log_m.clone());
                to_p.add(kl_divergence_rows(log_q, log_m))
            }
            Self::Reversed => {
                let (p, q) = (log_p.exp(), log_q.exp());
                let m = p.clone().add(q.clone()).mul_scalar(0.5);
                let [p, q, m] = [p, q, m].map(|x| x.clamp(0.01, 0.99).log());
                let from_p = kl_divergence_rows(m.clone(), p);
                from_p.add(kl_divergence_rows(m, q))
            }
        };
        let divergence = divergence.mean().mul_scalar(0.5);
        divergence.clamp(0.0, 1.0).neg().add_scalar(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Param, RunningState};
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::{DType, Device, Gradients};
    use burn_distill_core::{Frozen, batch_norm, observe_batch_norms};

    fn waves<const D: usize>(shape: [usize; D], scale: f64, step: f64) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count)
            .map(|i| scale * (step * i as f64 + 0.3).sin())
            .collect();
        let device = Device::flex().autodiff();
        let waves = Tensor::<1>::from_data(values.as_slice(), (&device, DType::F64));
        waves.reshape(shape).require_grad()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    fn gradient<const D: usize>(input: &Tensor<D>, grads: &Gradients) -> Vec<f64> {
        input.grad(grads).unwrap().into_data().iter().collect()
    }

    // All expected numbers: `docs/reference/data_free.py`.
    #[test]
    fn the_total_variation_has_the_values_of_the_formula() {
        let images = waves([1, 2, 3, 3], 1.0, 0.7);

        let loss = total_variation(images.clone());

        assert_close(&[loss.clone().into_scalar()], &[10.5362437915998]);
        #[rustfmt::skip]
        let expected = [
            -0.34359381280539, 1.00121440235291, 0.988042279834191, 1.34205075294235,
            0.131487661202173, -1.21607002493988, -1.0021052193085, -1.13281461733922,
            0.231788578061367, -0.32116085521679, 1.02840396205807, 0.991439742021632,
            1.31730676772942, 0.0783456192737945, -1.24224240000338, -0.999819005078341,
            -1.10681664538821, 0.254542814603805,
        ];
        assert_close(&gradient(&images, &loss.backward()), &expected);
    }

    /// Returns the statistics of two constant layers, the second on twice the output of the first.
    fn two_layers(images: Tensor<4>) -> Vec<NormStatistics> {
        let device = Device::flex();
        let layer = |mean: [f64; 3], variance: [f64; 3]| {
            let state =
                |values| RunningState::new(Tensor::<1>::from_data(values, (&device, DType::F64)));
            let layer = BatchNormConfig::new(3).init(&device);
            let wide = |param: Param<Tensor<1>>| param.map(|values| values.cast(DType::F64));
            Frozen::new(BatchNorm {
                gamma: wide(layer.gamma),
                beta: wide(layer.beta),
                running_mean: state(mean),
                running_var: state(variance),
                ..layer
            })
        };
        let first = layer([0.2, -0.1, 0.4], [1.5, 0.7, 2.0]);
        let second = layer([-0.3, 0.1, 0.0], [0.9, 1.1, 0.4]);
        let forward = || {
            let maps = batch_norm(first.inner(), images).mul_scalar(2.0);
            batch_norm(second.inner(), maps)
        };
        observe_batch_norms(forward).1
    }

    #[test]
    fn the_distance_of_statistics_has_the_values_of_the_formula() {
        #[rustfmt::skip]
        let equal = [
            0.0900628583995771, 0.027967902967189, 0.0108852660648637, 0.0468491787513294,
            0.118945250938504, 0.193265573344557, -0.883034096022474, -0.794567283025171,
            -0.315369627275335, 0.329184726057968, 0.835951793162498, 0.966591103925143,
            -0.291255787974813, -0.224619807691106, -0.156767174394602, -0.119610041751288,
            -0.130623989839528, -0.184628986775736, 0.0864284709769023, 0.0259557961117705,
            0.0114417650708417, 0.0497125534406556, 0.122768811453325, 0.196251039429971,
            -0.889179382488102, -0.779283756948748, -0.285845369782287, 0.359063995339413,
            0.852133387012815, 0.96146456591215, -0.288588377256224, -0.221108726234128,
            -0.154063738670612, -0.118985719823628, -0.132372410066075, -0.187927839804125,
        ];
        #[rustfmt::skip]
        let first = [
            0.314942028028198, -0.22090893219553, -0.368324246749243, -0.0579721897705009,
            0.564183816958935, 1.20553408201844, -0.732713035526518, -0.650205016744679,
            -0.203284325908606, 0.397855252753069, 0.870488382330738, 0.992328316887659,
            -2.2709755582544, -1.42454744983184, -0.562665088258892, -0.0906852154667073,
            -0.230587340518395, -0.916573307971141, 0.283578932963482, -0.238272490684958,
            -0.36352191579272, -0.0332625806553708, 0.597179388967533, 1.23129728383483,
            -0.738444398440442, -0.635950931920751, -0.175748712165738, 0.425721966015773,
            0.885580044436422, 0.987547083334295, -2.23709339130332, -1.3799487506982,
            -0.52832532201915, -0.0827549107570561, -0.252796243558211, -0.95847622463712,
        ];
        for (weight, value, expected) in [
            (1.0, 6.49783615516047, equal),
            (10.0, 32.2079041781098, first),
        ] {
            let images = waves([2, 3, 2, 3], 1.0, 0.7);

            let loss = statistics_distance(&two_layers(images.clone()), weight);

            assert_close(&[loss.clone().into_scalar()], &[value]);
            assert_close(&gradient(&images, &loss.backward()), &expected);
        }
    }

    #[test]
    fn the_competition_has_the_values_of_the_formula() {
        #[rustfmt::skip]
        let of_shannon = [
            0.00105815952236526, 0.0133490192099667, -0.014407178732332, -0.00437946762173709,
            0.000278173780884762, 0.00410129384085233, -0.000242571658930468, -0.011749760192091,
            0.0119923318510214, 0.0176953800168018, 0.00227886075010602, -0.0199742407669078,
        ];
        #[rustfmt::skip]
        let of_reversed = [
            0.00116941283352832, 0.0147752685438676, -0.0159446813773959, -0.0150729582879889,
            -0.00120758440300398, 0.0162805426909929, -0.000321386603482698, -0.013366936677077,
            0.0136883232805597, 0.0315031825884746, 0.00474566247941087, -0.0362488450678855,
        ];
        for (competition, value, expected) in [
            (Competition::JensenShannon, 0.890705496153929, of_shannon),
            (Competition::Reversed, 0.840237515375681, of_reversed),
        ] {
            let (student, teacher) = (waves([2, 3], 9.0, 0.7), waves([2, 3], 9.0, 1.1));

            let term = competition.term(student.clone(), teacher.clone(), 3.0);

            assert_close(&[term.clone().into_scalar()], &[value]);
            let grads = term.backward();
            let found = [gradient(&student, &grads), gradient(&teacher, &grads)].concat();
            assert_close(&found, &expected);
        }
    }

    #[test]
    fn equal_pixels_statistics_and_predictions_have_finite_gradients() {
        let device = Device::flex().autodiff();
        let images = Tensor::<4>::ones([2, 1, 3, 3], &device).require_grad();
        let loss = total_variation(images.clone());
        assert_eq!(loss.clone().into_scalar::<f32>(), 0.0);
        assert_eq!(gradient(&images, &loss.backward()), [0.0; 18]);

        let stored = Tensor::<1>::from_data([1.0, 2.0], &device.clone().without_autodiff());
        let mean = Tensor::from_inner(stored.clone()).require_grad();
        let layer = NormStatistics {
            mean: mean.clone(),
            variance: Tensor::from_inner(stored.clone()),
            running_mean: stored.clone(),
            running_variance: stored,
        };
        let loss = statistics_distance(&[layer], 1.0);
        assert_eq!(loss.clone().into_scalar::<f32>(), 0.0);
        assert_eq!(gradient(&mean, &loss.backward()), [0.0; 2]);

        for competition in [Competition::JensenShannon, Competition::Reversed] {
            for logits in [[[0.0, 0.0]], [[300.0, -300.0]]] {
                let logits = Tensor::<2>::from_data(logits, &device).require_grad();
                let term = competition.term(logits.clone(), logits.clone(), 3.0);
                assert!((term.clone().into_scalar::<f64>() - 1.0).abs() < 1e-6);
                let gradient = gradient(&logits, &term.backward());
                assert!(
                    gradient.iter().all(|value| value.is_finite()),
                    "{gradient:?}"
                );
            }
        }
    }

    #[test]
    fn images_of_a_single_pixel_have_no_variation() {
        let device = Device::flex();
        for shape in [[2, 1, 1, 1], [2, 3, 1, 1]] {
            let images = Tensor::<4>::ones(shape, &device);
            assert_eq!(total_variation(images).into_scalar::<f32>(), 0.0);
        }
        let row = Tensor::<4>::from_data([[[[1.0, 4.0, 4.0]]]], &device);
        assert_eq!(total_variation(row.clone()).into_scalar::<f32>(), 3.0);
        let column = row.swap_dims(2, 3);
        assert_eq!(total_variation(column).into_scalar::<f32>(), 3.0);
    }

    #[test]
    #[should_panic(expected = "The teacher has no batch normalization that can be observed")]
    fn a_teacher_without_batch_normalization_is_refused() {
        statistics_distance(&[], 1.0);
    }
}
