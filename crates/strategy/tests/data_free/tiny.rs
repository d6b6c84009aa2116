//! Networks of a few parameters, so that every step can be computed by hand.

use crate::common::{slope, softmax, values};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::Generator;
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// A linear layer without bias, from two pixels to two logits. Its features are the squares of its
/// pixels.
#[derive(Module, Debug)]
pub struct Pixels {
    pub weight: Param<Tensor<2>>,
}

impl Pixels {
    pub fn new([a, b, c, d]: [f64; 4], device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::from_data([[a, b], [c, d]], device)),
        }
    }

    pub fn parameters(&self) -> [f64; 4] {
        values(self.weight.val()).try_into().unwrap()
    }
}

impl Network for Pixels {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let pixels: Tensor<2> = input.flatten(1, 3);
        taps.offer("pool", || Tap::Vector(pixels.clone().square()));
        Response::Classes(pixels.matmul(self.weight.val()))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        Tensor::zeros([samples, 1, 1, 2], device)
    }
}

/// A linear layer without bias, from one latent number to two pixels.
#[derive(Module, Debug)]
pub struct Painter {
    pub weight: Param<Tensor<2>>,
}

impl Painter {
    pub fn new([a, b]: [f64; 2], device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::from_data([[a, b]], device)),
        }
    }

    pub fn parameters(&self) -> [f64; 2] {
        values(self.weight.val()).try_into().unwrap()
    }
}

impl Generator for Painter {
    fn latents(&self) -> usize {
        1
    }

    fn generate(&self, latents: Tensor<2>) -> Tensor<4> {
        let [samples, _] = latents.dims();
        let pixels = latents.matmul(self.weight.val());
        pixels.reshape([samples, 1, 1, 2])
    }
}

pub fn logits([a, b, c, d]: [f64; 4], [x, y]: [f64; 2]) -> [f64; 2] {
    [a * x + c * y, b * x + d * y]
}

/// Computes the mean divergence of two networks over the images of a generator.
pub fn divergence(teacher: [f64; 4], student: [f64; 4], images: &[[f64; 2]]) -> f64 {
    let each = images.iter().map(|&image| {
        let p = softmax(logits(teacher, image));
        let q = softmax(logits(student, image));
        p[0] * (p[0] / q[0]).ln() + p[1] * (p[1] / q[1]).ln()
    });
    each.sum::<f64>() / images.len() as f64
}

pub fn images(generator: [f64; 2], latents: &[f64]) -> Vec<[f64; 2]> {
    latents
        .iter()
        .map(|z| generator.map(|weight| weight * z))
        .collect()
}

/// Parameters with their moments of Adam.
#[derive(Clone, Copy, Default)]
pub struct Adam {
    first: [f64; 2],
    second: [f64; 2],
    steps: i32,
}

impl Adam {
    pub fn step(&mut self, rate: f64, values: [f64; 2], gradient: [f64; 2]) -> [f64; 2] {
        self.steps += 1;
        std::array::from_fn(|i| {
            self.first[i] = 0.9 * self.first[i] + 0.1 * gradient[i];
            self.second[i] = 0.999 * self.second[i] + 0.001 * gradient[i] * gradient[i];
            let first = self.first[i] / (1.0 - 0.9_f64.powi(self.steps));
            let second = self.second[i] / (1.0 - 0.999_f64.powi(self.steps));
            values[i] - rate * first / (second.sqrt() + 1e-8)
        })
    }
}

/// Computes the gradient of a function, scaled down to a maximum norm.
pub fn clipped_slope<const N: usize>(
    of: impl Fn([f64; N]) -> f64,
    at: [f64; N],
    max_norm: f64,
) -> [f64; N] {
    let gradient = slope(of, at);
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    gradient.map(|g| g * (max_norm / (norm + 1e-6)).min(1.0))
}

pub fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-4 * (1.0 + expected.abs()),
            "{what}: {found} is not {expected}"
        );
    }
}
