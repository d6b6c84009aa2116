use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::KeyedRng;
use burn_distill_core::numeric::as_precise_as;
use std::f64::consts::TAU;

/// Compact bilinear pooling: approximates the outer product of two vectors by adding every product
/// of two of their features, with a random sign, to one of `size` sums.
///
/// ```text
/// outputₖ = Σ over i, j with h₁(i) + h₂(j) = k (mod size) of s₁(i) s₂(j) xᵢ yⱼ
/// ```
///
/// This is the circular convolution of the count sketches of both vectors (Gao et al., CVPR 2016),
/// computed as a product of Fourier transforms. The indices `h` and signs `s` are drawn once, so
/// sketch and transform are one matrix, and pooling needs only matrix products.
#[derive(Module, Debug)]
pub(crate) struct BilinearPooling {
    sketches: Vec<Sketch>,
    /// Inverse transform, for real parts beside imaginary ones. Shape: `[2 · size, size]`.
    inverse: Tensor<2>,
}

/// Fourier transform of the count sketch of a vector. Shape: `[features, size]` each.
#[derive(Module, Debug)]
struct Sketch {
    real: Tensor<2>,
    imaginary: Tensor<2>,
}

impl BilinearPooling {
    /// Creates the pooling of vectors with these numbers of features to `size` features.
    pub fn new(features: &[usize], size: usize, seed: u64, device: &Device) -> Self {
        let sketches = features
            .iter()
            .enumerate()
            .map(|(index, &features)| Sketch::new(&draw(seed, index, features, size), size, device))
            .collect();
        // Computed in double precision and rounded once to that of the device; the angle is reduced
        // by an exact remainder first.
        let wave = |place: usize, wave: fn(f64) -> f64| {
            let (frequency, place) = (place / size, place % size);
            wave(angle(frequency * place, size)) / size as f64
        };
        let real = (0..size * size).map(|place| wave(place, f64::cos));
        let imaginary = (0..size * size).map(|place| -wave(place, f64::sin));
        let inverse: Vec<_> = real.chain(imaginary).collect();
        Self {
            sketches,
            inverse: Tensor::from_data(TensorData::new(inverse, [2 * size, size]), device),
        }
    }

    /// Returns the pooled products of every two of these vectors.
    ///
    /// # Shapes
    ///
    /// - each of `vectors`: `[batch_size, features]`, with the numbers of features given to `new`
    /// - each output: `[batch_size, size]`
    pub fn pairs(&self, vectors: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let transformed = vectors.into_iter().zip(&self.sketches);
        let transformed: Vec<_> = transformed
            .map(|(vectors, sketch)| {
                let of = |matrix: &Tensor<2>| as_precise_as(matrix.clone(), &vectors);
                let real = vectors.clone().matmul(of(&sketch.real));
                (real, vectors.clone().matmul(of(&sketch.imaginary)))
            })
            .collect();
        let mut pairs = Vec::new();
        for (index, (a, b)) in transformed.iter().enumerate() {
            for (c, d) in &transformed[index + 1..] {
                // Complex product (a + ib) (c + id).
                let real = a.clone().mul(c.clone()).sub(b.clone().mul(d.clone()));
                let imaginary = a.clone().mul(d.clone()).add(b.clone().mul(c.clone()));
                let inverse = as_precise_as(self.inverse.clone(), &real);
                pairs.push(Tensor::cat(vec![real, imaginary], 1).matmul(inverse));
            }
        }
        pairs
    }
}

impl Sketch {
    fn new(drawn: &[(usize, bool)], size: usize, device: &Device) -> Self {
        let matrix = |wave: fn(f64) -> f64| {
            let values = drawn.iter().flat_map(|&(place, negative)| {
                (0..size).map(move |frequency| {
                    let value = wave(angle(frequency * place, size));
                    if negative { -value } else { value }
                })
            });
            let values: Vec<_> = values.collect();
            Tensor::from_data(TensorData::new(values, [drawn.len(), size]), device)
        };
        Self {
            real: matrix(f64::cos),
            imaginary: matrix(|angle| -angle.sin()),
        }
    }
}

/// Draws the index and the sign of each feature of the vector at a position in the list.
fn draw(seed: u64, index: usize, features: usize, size: usize) -> Vec<(usize, bool)> {
    let mut rng = KeyedRng::new([seed, index as u64, 0, 0]);
    (0..features)
        .map(|_| (rng.below(size as u64) as usize, rng.coin()))
        .collect()
}

fn angle(turns: usize, size: usize) -> f64 {
    TAU * (turns % size) as f64 / size as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn every_product_is_in_its_sum() {
        let device = Device::default();
        let (features, size, seed) = ([3, 4, 2], 7, 11);
        let vectors: Vec<Vec<f32>> = features
            .iter()
            .map(|&features| (0..features).map(|i| (1.3 * i as f32).cos()).collect())
            .collect();
        let tensors = vectors.iter().map(|vector| {
            Tensor::<2>::from_data(TensorData::new(vector.clone(), [1, vector.len()]), &device)
        });

        let pooling = BilinearPooling::new(&features, size, seed, &device);
        let pairs = pooling.pairs(tensors.collect());

        for (pooled, (m, n)) in pairs.into_iter().zip([(0, 1), (0, 2), (1, 2)]) {
            let mut expected = vec![0.0; size];
            for (x, (place, sign)) in vectors[m].iter().zip(draw(seed, m, features[m], size)) {
                for (y, (other, other_sign)) in
                    vectors[n].iter().zip(draw(seed, n, features[n], size))
                {
                    let product = if sign == other_sign { x * y } else { -x * y };
                    expected[(place + other) % size] += product;
                }
            }
            let expected = TensorData::new(expected, [1, size]);
            pooled
                .into_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        }
    }
}
