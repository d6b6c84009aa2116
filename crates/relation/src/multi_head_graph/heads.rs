use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Distribution, Tensor, assert_shape};
use burn_distill_core::numeric::l2_normalize;
use burn_distill_core::{batch_norm, initialize};

/// Attention from each layer to the one before, learned from a teacher.
///
/// Each layer is given as one direction among its channels per sample. The attention of a layer to
/// the one before it is a graph over the samples of the batch, once per head.
#[derive(Module, Debug)]
pub struct AttentionHeads {
    /// One for each two consecutive layers.
    pub layers: Vec<LayerAttention>,
}

impl AttentionHeads {
    /// Attention between consecutive layers of these channels, not yet trained.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two layers, or no head.
    pub fn new(channels: &[usize], heads: usize, device: &Device) -> Self {
        assert!(
            channels.len() >= 2,
            "Attention is between layers: there should be at least two, got {}.",
            channels.len()
        );
        assert!(heads > 0, "There should be an attention head.");
        let layers = channels
            .windows(2)
            .map(|pair| LayerAttention::new(pair[1], pair[0], heads, device))
            .collect();
        // Now: what is drawn later is drawn anew in every copy of the heads.
        initialize(Self { layers })
    }

    /// How the layers attend to each other, one graph for each two consecutive layers.
    ///
    /// # Shapes
    ///
    /// - directions: `[batch_size, channels]` each
    /// - output: `[heads, batch_size, batch_size]` each
    ///
    /// # Panics
    ///
    /// Panics if there are more or fewer layers than the heads were made for, or if they have other
    /// channels.
    pub fn graphs(&self, directions: &[Tensor<2>]) -> Vec<Tensor<3>> {
        self.pairs(directions, |attention, direction, before| {
            attention.graph(direction, before)
        })
    }

    /// What the attention has to learn: how well each layer follows from the one before.
    ///
    /// ```text
    /// L = Σ over layers of mean over samples of 1 − cos(estimate, direction)
    /// ```
    ///
    /// # Shapes
    ///
    /// - directions: `[batch_size, channels]` each, of unit length
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
            "There should be as many layers as the heads were made for."
        );
        let pairs = self.layers.iter().zip(directions.windows(2));
        pairs
            .map(|(attention, pair)| {
                // Directions are computed in at least single precision, the heads in their own.
                let dtype = attention.sender.weight.dtype();
                let [before, direction] = [0, 1].map(|index| pair[index].clone().cast(dtype));
                of(attention, direction, before)
            })
            .collect()
    }
}

/// The attention of one layer to the one before.
///
/// ```text
/// graph    = norm(sender(direction)) · norm(receiver(before))ᵀ           per head
/// estimate = normalize(output(softmax(graph) · relu(norm(value(before)))))
/// ```
#[derive(Module, Debug)]
pub struct LayerAttention {
    /// From the layer.
    pub sender: Linear,
    /// Its normalization.
    pub sender_norm: BatchNorm,
    /// From the layer before.
    pub receiver: Linear,
    /// Its normalization.
    pub receiver_norm: BatchNorm,
    /// What the layer before says.
    pub value: Linear,
    /// Its normalization.
    pub value_norm: BatchNorm,
    /// From what all heads attend to, to the layer.
    pub output: Linear,
    /// The number of heads.
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

    /// Shapes: `[batch_size, channels]` each, to `[heads, batch_size, batch_size]`.
    fn graph(&self, direction: Tensor<2>, before: Tensor<2>) -> Tensor<3> {
        let [batch_size, _] = direction.dims();
        assert_shape!(before, [batch_size, _]);
        let by_head = |features: Tensor<2>| -> Tensor<3> {
            // The heads are interleaved, as in the authors' code.
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

    /// Shapes: `[batch_size, channels]` each, to `[batch_size, channels]`.
    fn estimate(&self, direction: Tensor<2>, before: Tensor<2>) -> Tensor<2> {
        let [batch_size, _] = direction.dims();
        let attention = softmax(self.graph(direction, before.clone()), 2);
        let attention = self.drop_heads(attention);
        let value = relu(batch_norm(&self.value_norm, self.value.forward(before)));
        let said = attention.matmul(value.unsqueeze());
        let said = said.swap_dims(0, 1).reshape([batch_size as i64, -1]);
        l2_normalize(self.output.forward(said), 1)
    }

    /// In training, each row of the graphs attends with those heads whose draw is above the average
    /// of its row.
    fn drop_heads(&self, attention: Tensor<3>) -> Tensor<3> {
        // One head would always be dropped.
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
        // A head attends to all samples or to none.
        let rows = kept.mean_dim(2).into_data();
        assert!(rows.iter::<f32>().all(|row| row == 0.0 || row == 1.0));

        let all = heads.drop_heads(attention);
        assert_eq!(all.mean().into_scalar::<f32>(), 1.0);
    }

    #[test]
    #[should_panic(expected = "as many layers as the heads were made for")]
    fn heads_are_made_for_as_many_layers() {
        let device = Device::default();
        let mut directions = directions(&device);
        directions.pop();
        AttentionHeads::new(&[3, 4], 2, &device).graphs(&directions);
    }
}
