use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Distribution, Tensor, assert_shape};
use burn_distill_core::numeric::l2_normalize;
use burn_distill_core::{batch_norm, initialize};

/// Attention heads between consecutive layers, trained on a teacher.
///
/// The input is one direction among the channels per layer and sample. The attention of a layer to
/// the previous layer is a graph over the samples of the batch, one graph per head.
#[derive(Module, Debug)]
pub struct AttentionHeads {
    /// Attention of each layer but the first to the previous layer.
    pub layers: Vec<LayerAttention>,
}

impl AttentionHeads {
    /// Creates untrained attention heads between consecutive layers with these numbers of channels.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two layers, or if `heads` is zero.
    pub fn new(channels: &[usize], heads: usize, device: &Device) -> Self {
        assert!(
            channels.len() >= 2,
            "Attention between layers needs at least 2 layers, found {}.",
            channels.len()
        );
        assert!(
            heads > 0,
            "The number of attention heads must be at least 1, found 0."
        );
        let layers = channels
            .windows(2)
            .map(|pair| LayerAttention::new(pair[1], pair[0], heads, device))
            .collect();
        // Initialized now, because parameters that are drawn lazily would differ between copies of
        // the heads.
        initialize(Self { layers })
    }

    /// Computes the attention between the samples, one graph for every two consecutive layers.
    ///
    /// # Shapes
    ///
    /// - directions: each `[batch_size, channels]`
    /// - output: each `[heads, batch_size, batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the number of layers or their numbers of channels are not those given at creation.
    pub fn graphs(&self, directions: &[Tensor<2>]) -> Vec<Tensor<3>> {
        self.pairs(directions, |attention, direction, before| {
            attention.graph(direction, before)
        })
    }

    /// Computes the training loss of the heads: the error of estimating each layer from the
    /// previous one.
    ///
    /// ```text
    /// L = Σ over layers of mean over samples of 1 − cos(estimate, direction)
    /// ```
    ///
    /// # Shapes
    ///
    /// - directions: each `[batch_size, channels]`, of unit length
    /// - output: `[1]`
    pub fn estimation_loss(&self, directions: &[Tensor<2>]) -> Tensor<1> {
        self.pairs(directions, |attention, direction, before| {
            let estimate = attention.estimate(direction.clone(), before);
            let cosine = estimate.mul(direction).sum_dim(1);
            cosine.mean().neg().add_scalar(1.0)
        })
        .into_iter()
        .reduce(Tensor::add)
        .expect("There are two layers.")
    }

    fn pairs<T>(
        &self,
        directions: &[Tensor<2>],
        of: impl Fn(&LayerAttention, Tensor<2>, Tensor<2>) -> T,
    ) -> Vec<T> {
        assert_eq!(
            directions.len(),
            self.layers.len() + 1,
            "The heads were created for {} layers, found {}.",
            self.layers.len() + 1,
            directions.len()
        );
        let pairs = self.layers.iter().zip(directions.windows(2));
        pairs
            .map(|(attention, pair)| {
                // Directions are computed in at least single precision, but the heads have their
                // own precision.
                let dtype = attention.sender.weight.dtype();
                let [before, direction] = [0, 1].map(|index| pair[index].clone().cast(dtype));
                of(attention, direction, before)
            })
            .collect()
    }
}

/// Attention of one layer to the previous layer.
///
/// ```text
/// graph    = norm(sender(direction)) · norm(receiver(before))ᵀ           per head
/// estimate = normalize(output(softmax(graph) · relu(norm(value(before)))))
/// ```
#[derive(Module, Debug)]
pub struct LayerAttention {
    /// Linear layer for the queries, from the directions of the layer.
    pub sender: Linear,
    /// Normalization of the queries.
    pub sender_norm: BatchNorm,
    /// Linear layer for the keys, from the directions of the previous layer.
    pub receiver: Linear,
    /// Normalization of the keys.
    pub receiver_norm: BatchNorm,
    /// Linear layer for the values, from the directions of the previous layer.
    pub value: Linear,
    /// Normalization of the values.
    pub value_norm: BatchNorm,
    /// Linear layer from the joined heads to the estimate of the layer's directions.
    pub output: Linear,
    /// Number of heads.
    pub heads: usize,
}

impl LayerAttention {
    fn new(channels: usize, channels_before: usize, heads: usize, device: &Device) -> Self {
        let width = (channels + channels_before) / 2;
        let linear = |inputs, outputs, bias| {
            let config = LinearConfig::new(inputs, outputs).with_bias(bias);
            config.init(device)
        };
        let norm = |features| BatchNormConfig::new(features).init(device);
        Self {
            sender: linear(channels, width * heads, false),
            sender_norm: norm(width * heads),
            receiver: linear(channels_before, width * heads, false),
            receiver_norm: norm(width * heads),
            value: linear(channels_before, width, false),
            value_norm: norm(width),
            output: linear(width * heads, channels, true),
            heads,
        }
    }

    /// Computes the graph of each head. Shapes: `[batch_size, channels]` each, to
    /// `[heads, batch_size, batch_size]`.
    fn graph(&self, direction: Tensor<2>, before: Tensor<2>) -> Tensor<3> {
        let [batch_size, _] = direction.dims();
        assert_shape!(before, [batch_size, _]);
        let by_head = |features: Tensor<2>| -> Tensor<3> {
            // The features of the heads are interleaved, as in the authors' code.
            let features = features.reshape([batch_size as i64, -1, self.heads as i64]);
            features.permute([2, 0, 1])
        };
        let sender = by_head(batch_norm(
            &self.sender_norm,
            self.sender.forward(direction),
        ));
        let receiver = by_head(batch_norm(
            &self.receiver_norm,
            self.receiver.forward(before),
        ));
        sender.matmul(receiver.swap_dims(1, 2))
    }

    /// Estimates the directions of a layer from those of the previous layer. Shapes:
    /// `[batch_size, channels]` each, to `[batch_size, channels]`.
    fn estimate(&self, direction: Tensor<2>, before: Tensor<2>) -> Tensor<2> {
        let [batch_size, _] = direction.dims();
        let attention = softmax(self.graph(direction, before.clone()), 2);
        let attention = self.drop_heads(attention);
        let value = relu(batch_norm(&self.value_norm, self.value.forward(before)));
        let attended = attention.matmul(value.unsqueeze());
        let attended = attended.swap_dims(0, 1).reshape([batch_size as i64, -1]);
        l2_normalize(self.output.forward(attended), 1)
    }

    /// Drops heads in training: each row of the graphs keeps the heads whose random number is above
    /// the row's average.
    fn drop_heads(&self, attention: Tensor<3>) -> Tensor<3> {
        // A single head would always be dropped.
        if !attention.is_autodiff() || self.heads == 1 {
            return attention;
        }
        let [heads, batch_size, _] = attention.dims();
        let noise = attention.clone().without_autodiff().narrow(2, 0, 1);
        let noise = noise.random_like(Distribution::Normal(0.0, 1.0));
        let dropped = noise.clone().sub(noise.mean_dim(0)).lower_equal_scalar(0.0);
        let dropped = dropped.expand([heads, batch_size, batch_size]);
        attention.mask_fill(dropped, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::optim::{AdamConfig, GradientsParams};
    use burn_distill_core::tensors;

    fn directions(device: &Device) -> Vec<Tensor<2>> {
        let layers = [(3, 0.7), (4, 1.1)].map(|(channels, frequency)| {
            let values = Tensor::arange(0..6 * channels, device).float();
            let values = values.mul_scalar(frequency).sin();
            l2_normalize(values.reshape([6, channels]), 1)
        });
        layers.to_vec()
    }

    #[test]
    fn the_estimate_improves_and_statistics_follow() {
        let device = Device::default();
        let directions = directions(&device);
        let mut heads = AttentionHeads::new(&[3, 4], 8, &device.clone().autodiff());
        let mut optimizer = AdamConfig::new().init();
        let loss = |heads: &AttentionHeads| {
            heads
                .valid()
                .estimation_loss(&directions)
                .into_scalar::<f32>()
        };
        let before = loss(&heads);
        for _ in 0..40 {
            let grads = heads.estimation_loss(&directions).backward();
            let grads = GradientsParams::from_grads(grads, &heads);
            heads = optimizer.step(0.01, heads, grads);
        }

        let after = loss(&heads);
        assert!(after < 0.5 * before, "{before} to {after}");
        let statistics = |name: &str| {
            let statistics = tensors(&heads).into_iter();
            statistics.filter(|(path, _)| path.ends_with(name)).count()
        };
        assert_eq!(statistics("running_mean"), 3);
    }

    #[test]
    fn copies_of_untrained_heads_are_equal() {
        let heads = AttentionHeads::new(&[3, 4], 2, &Device::default());

        assert_eq!(tensors(&heads.valid()), tensors(&heads.valid()));
    }

    #[test]
    fn about_half_of_the_heads_attend_in_training_and_all_in_validation() {
        let device = Device::default();
        let heads = AttentionHeads::new(&[3, 4], 8, &device).layers.remove(0);
        let attention = Tensor::<3>::ones([8, 50, 50], &device);

        let kept = heads.drop_heads(attention.clone().autodiff());
        let share = kept.clone().mean().into_scalar::<f32>();
        assert!((0.4..0.6).contains(&share), "{share}");
        // A head is either kept for all samples of a row or dropped for all.
        let rows = kept.mean_dim(2).into_data();
        assert!(rows.iter::<f32>().all(|row| row == 0.0 || row == 1.0));

        let all = heads.drop_heads(attention);
        assert_eq!(all.mean().into_scalar::<f32>(), 1.0);
    }

    #[test]
    #[should_panic(expected = "The heads were created for 2 layers, found 1.")]
    fn the_number_of_layers_must_match() {
        let device = Device::default();
        let mut directions = directions(&device);
        directions.pop();
        AttentionHeads::new(&[3, 4], 2, &device).graphs(&directions);
    }
}
