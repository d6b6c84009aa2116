use burn::module::{ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use burn_distill_core::{Network, NetworkMismatch};

/// Returns a network whose classifier has other weights.
///
/// # Shapes
///
/// - weight: `[features, num_classes]`
/// - bias: `[num_classes]`
///
/// # Errors
///
/// Returns an error if the network returns no classifier with a bias, or if its shape differs.
pub fn with_classifier<N: Network>(
    network: N,
    weight: Tensor<2>,
    bias: Tensor<1>,
) -> Result<N, NetworkMismatch> {
    let layer = network.classifier().and_then(|layer| {
        let bias = layer.bias.as_ref()?.id;
        Some((layer.weight.dims(), [layer.weight.id, bias]))
    });
    let Some((shape, [weight_id, bias_id])) = layer else {
        return Err(NetworkMismatch::Network(
            "The network has no classifier with a bias to replace: implement `Network::classifier`."
                .into(),
        ));
    };
    if weight.dims() != shape || bias.dims() != [shape[1]] {
        return Err(NetworkMismatch::Network(format!(
            "The classifier of the network is of shape {shape:?}, but the weights to replace it are of \
             shape {:?}: use a network for the same features and classes.",
            weight.dims()
        )));
    }
    Ok(network.map(&mut Replace {
        weight: (weight_id, weight),
        bias: (bias_id, bias),
    }))
}

struct Replace {
    weight: (ParamId, Tensor<2>),
    bias: (ParamId, Tensor<1>),
}

impl ModuleMapper for Replace {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let given = match param.id {
            id if id == self.weight.0 => self.weight.1.clone().reshape([-1]),
            id if id == self.bias.0 => self.bias.1.clone(),
            _ => return param,
        };
        param.map(|before: Tensor<D>| {
            let trains = before.is_require_grad();
            let given = Tensor::<1>::to_device(given, &before.device().without_autodiff());
            let given = given.cast(before.dtype()).reshape(before.shape());
            let given = match before.device().is_autodiff() {
                true => given.autodiff(),
                false => given,
            };
            given.set_require_grad(trains)
        })
    }
}
