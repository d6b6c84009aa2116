//! Steps of optimizers with clipping and weight decay.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use burn_distill_strategy::OptimizerConfig;

const RATE: f64 = 0.1;
const START: [f64; 2] = [0.5, -0.25];

/// Two parameters, whose gradients are given.
#[derive(Module, Debug)]
struct Two {
    long: Param<Tensor<1>>,
    short: Param<Tensor<1>>,
}

impl Two {
    fn new(device: &Device) -> Self {
        let param = || Param::from_tensor(Tensor::from_data(START, device));
        Self {
            long: param(),
            short: param(),
        }
    }

    fn values(&self) -> [[f64; 2]; 2] {
        [&self.long, &self.short].map(|param| {
            let values: Vec<f64> = param.val().into_data().iter().collect();
            [values[0], values[1]]
        })
    }

    /// Returns the values after one step for each pair of gradients.
    fn steps(config: &OptimizerConfig, gradients: &[[[f64; 2]; 2]]) -> [[f64; 2]; 2] {
        let device = Device::default().autodiff();
        let mut optimizer = config.init();
        let mut two = Self::new(&device);
        for [long, short] in gradients {
            let slope = |param: &Param<Tensor<1>>, gradient: &[f64; 2]| {
                let gradient = Tensor::<1>::from_data(*gradient, &device);
                param.val().mul(gradient).sum()
            };
            let loss = slope(&two.long, long).add(slope(&two.short, short));
            let gradients = GradientsParams::from_grads(loss.backward(), &two);
            two = optimizer.step(RATE, two, gradients);
        }
        two.values()
    }
}

/// Gradients with norms of 5 and 0.5, then of 0.5 and 2.5.
const GRADIENTS: [[[f64; 2]; 2]; 2] = [[[3.0, -4.0], [0.3, 0.4]], [[0.3, 0.4], [-1.5, 2.0]]];
/// [`GRADIENTS`], each clipped to a norm of 1.
const CLIPPED: [[[f64; 2]; 2]; 2] = [[[0.6, -0.8], [0.3, 0.4]], [[0.3, 0.4], [-0.6, 0.8]]];

fn assert_close(actual: [[f64; 2]; 2], expected: [[f64; 2]; 2]) {
    for (actual, expected) in actual.as_flattened().iter().zip(expected.as_flattened()) {
        assert!(
            (actual - expected).abs() < 1e-6,
            "{actual} is not {expected}"
        );
    }
}

/// Computes each element of both parameters from its initial value and its gradients.
fn by_hand(step: impl Fn(f64, [f64; 2]) -> f64) -> [[f64; 2]; 2] {
    [0, 1].map(|param| {
        [0, 1].map(|place| step(START[place], CLIPPED.map(|gradient| gradient[param][place])))
    })
}

#[test]
fn momentum_and_penalty_use_gradients_that_are_clipped_for_each_parameter() {
    let config = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.2,
        clip_norm: Some(1.0),
    };

    let expected = by_hand(|start, [first, second]| {
        // The penalty is not clipped.
        let mut velocity = first + 0.2 * start;
        let next = start - RATE * velocity;
        velocity = 0.9 * velocity + second + 0.2 * next;
        next - RATE * velocity
    });

    assert_close(Two::steps(&config, &GRADIENTS), expected);
}

/// Computes two steps of Adam, with an L2 penalty or decoupled weight decay.
fn adam(start: f64, gradients: [f64; 2], penalty: f64, decoupled: f64) -> f64 {
    let (mut value, mut mean, mut square) = (start, 0.0, 0.0);
    for (step, gradient) in (1..).zip(gradients) {
        let gradient = gradient + penalty * value;
        mean = 0.9 * mean + 0.1 * gradient;
        square = 0.999 * square + 0.001 * gradient * gradient;
        let unbiased = |sum: f64, decay: f64| sum / (1.0 - decay.powi(step));
        let towards = unbiased(mean, 0.9) / (unbiased(square, 0.999).sqrt() + 1e-8);
        value -= RATE * (decoupled * value + towards);
    }
    value
}

#[test]
fn moments_of_adam_use_gradients_that_are_clipped_for_each_parameter() {
    let config = OptimizerConfig::Adam {
        weight_decay: 0.2,
        clip_norm: Some(1.0),
    };
    let expected = by_hand(|start, gradients| adam(start, gradients, 0.2, 0.0));
    assert_close(Two::steps(&config, &GRADIENTS), expected);

    let config = OptimizerConfig::AdamW {
        weight_decay: 0.2,
        decay_vectors: true,
        clip_norm: Some(1.0),
    };
    let expected = by_hand(|start, gradients| adam(start, gradients, 0.0, 0.2));
    assert_close(Two::steps(&config, &GRADIENTS), expected);
}

#[test]
fn a_gradient_below_the_maximum_norm_does_not_change() {
    let sgd = |clip_norm| OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        clip_norm,
    };
    let run = |clip_norm| Two::steps(&sgd(clip_norm), &GRADIENTS);

    assert_eq!(run(Some(6.0)), run(None));
    assert_ne!(run(Some(4.0)), run(None));
    // A gradient of zero is not divided by zero.
    let none = [[[0.0; 2]; 2]];
    assert_eq!(Two::steps(&sgd(Some(1.0)), &none), [START; 2]);
}

/// A bias and a matrix with the same values and the same gradients.
#[derive(Module, Debug)]
struct BiasAndMatrix {
    bias: Param<Tensor<1>>,
    matrix: Param<Tensor<2>>,
}

#[test]
fn vectors_do_not_decay_if_so_configured() {
    let device = Device::default().autodiff();
    let after_a_step = |decay_vectors: bool| {
        let config = OptimizerConfig::AdamW {
            weight_decay: 0.2,
            decay_vectors,
            clip_norm: None,
        };
        let module = BiasAndMatrix {
            bias: Param::from_tensor(Tensor::from_data(START, &device)),
            matrix: Param::from_tensor(Tensor::from_data([START], &device)),
        };
        let gradient = Tensor::<1>::from_data(CLIPPED[0][0], &device);
        let loss = module.bias.val().mul(gradient.clone()).sum();
        let loss = loss.add(module.matrix.val().mul(gradient.unsqueeze()).sum());
        let gradients = GradientsParams::from_grads(loss.backward(), &module);
        let module = config.init().step(RATE, module, gradients);
        let bias: Vec<f64> = module.bias.val().into_data().iter().collect();
        let matrix: Vec<f64> = module.matrix.val().into_data().iter().collect();
        [[bias[0], bias[1]], [matrix[0], matrix[1]]]
    };
    let expected = |decays: [f64; 2]| {
        decays.map(|decay| {
            [0, 1].map(|place| {
                // The first step of Adam has the size of the rate, for every gradient.
                let direction = CLIPPED[0][0][place].signum();
                START[place] - RATE * (decay * START[place] + direction)
            })
        })
    };

    assert_close(after_a_step(true), expected([0.2, 0.2]));
    assert_close(after_a_step(false), expected([0.0, 0.2]));
}
