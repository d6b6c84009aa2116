//! The network of silero-vad for 16 kHz, which detects speech.

use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig1d};
use burn::prelude::*;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::ops::PadMode;

/// Number of features of the recurrent cell.
const FEATURES: usize = 128;

/// Number of frequencies of the spectrum.
const FREQUENCIES: usize = 129;

/// Names of the tensors in the file and in [`SileroVad`].
pub const KEYS: [(&str, &str); 2] = [
    (r"^lstm_cell\.(weight|bias)_ih$", "lstm_cell.input.$1"),
    (r"^lstm_cell\.(weight|bias)_hh$", "lstm_cell.hidden.$1"),
];

/// Network of a spectrum, four convolutions and a recurrent cell.
#[derive(Module, Debug)]
pub struct SileroVad {
    stft_conv: Conv1d,
    conv1: Conv1d,
    conv2: Conv1d,
    conv3: Conv1d,
    conv4: Conv1d,
    lstm_cell: LstmCell,
    final_conv: Conv1d,
}

/// Hidden state and cell state of the recurrent cell, each of shape `[batch_size, 128]`.
pub type State = [Tensor<2>; 2];

impl SileroVad {
    /// Creates the network.
    pub fn new(device: &Device) -> Self {
        let conv = |channels: [usize; 2], stride| {
            let config = Conv1dConfig::new(channels[0], channels[1], 3).with_stride(stride);
            config
                .with_padding(PaddingConfig1d::Explicit(1, 1))
                .init(device)
        };
        Self {
            stft_conv: Conv1dConfig::new(1, 2 * FREQUENCIES, 256)
                .with_stride(128)
                .with_bias(false)
                .init(device),
            conv1: conv([FREQUENCIES, 128], 1),
            conv2: conv([128, 64], 2),
            conv3: conv([64, 64], 2),
            conv4: conv([64, FEATURES], 1),
            lstm_cell: LstmCell::new(FEATURES, device),
            final_conv: Conv1dConfig::new(FEATURES, 1, 1).init(device),
        }
    }

    /// Returns the state before the first window.
    pub fn start(batch_size: usize, device: &Device) -> State {
        [(); 2].map(|()| Tensor::zeros([batch_size, FEATURES], device))
    }

    /// Returns the probability of speech in a window, and the state after it.
    ///
    /// # Shapes
    ///
    /// - samples: `[batch_size, 576]`, the last 64 of the previous window and 512 more
    /// - output: `[batch_size, 1]`
    pub fn forward(&self, samples: Tensor<2>, state: State) -> (Tensor<2>, State) {
        let padded = samples.pad([(0, 0), (0, 64)], PadMode::Reflect);
        let spectrum = self.stft_conv.forward(padded.unsqueeze_dim(1));
        let mut parts = spectrum.split(FREQUENCIES, 1).into_iter();
        let squares = parts.next().zip(parts.next());
        let (real, imaginary) = squares.expect("The spectrum has two parts.");
        let x = (real.square() + imaginary.square()).sqrt();

        let x = relu(self.conv1.forward(x));
        let x = relu(self.conv2.forward(x));
        let x = relu(self.conv3.forward(x));
        let x = relu(self.conv4.forward(x));
        let state = self.lstm_cell.forward(x.squeeze_dim(2), state);
        let x = relu(state[0].clone()).unsqueeze_dim(2);
        (sigmoid(self.final_conv.forward(x)).squeeze_dim(2), state)
    }
}

/// A recurrent cell (LSTM) whose four gates are in one matrix, as in PyTorch.
#[derive(Module, Debug)]
struct LstmCell {
    input: Linear,
    hidden: Linear,
}

impl LstmCell {
    fn new(features: usize, device: &Device) -> Self {
        let gates = || LinearConfig::new(features, 4 * features).init(device);
        Self {
            input: gates(),
            hidden: gates(),
        }
    }

    fn forward(&self, x: Tensor<2>, [hidden, cell]: State) -> State {
        let gates = self.input.forward(x) + self.hidden.forward(hidden);
        let gates: Vec<_> = gates.chunk(4, 1);
        let [input, forget, candidate, output]: [_; 4] = gates
            .try_into()
            .expect("The features are a multiple of four.");
        let cell = sigmoid(forget) * cell + sigmoid(input) * candidate.tanh();
        [sigmoid(output) * cell.clone().tanh(), cell]
    }
}
