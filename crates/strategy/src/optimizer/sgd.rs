use super::regularization::Regularization;
use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};

/// Stochastic gradient descent as in PyTorch: without dampening, so that the first velocity is the
/// first gradient.
#[derive(Clone, Debug)]
pub(super) struct Sgd {
    pub momentum: f64,
    pub nesterov: bool,
    pub regularization: Regularization,
}

/// The velocity of a parameter, or `None` without momentum.
#[derive(Clone, Debug)]
pub(super) struct SgdState<const D: usize> {
    velocity: Option<Tensor<D>>,
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        param: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let gradient = self.regularization.penalize(gradient, &param);
        if self.momentum == 0.0 {
            let stepped = param.sub(gradient.mul_scalar(rate));
            return (stepped, Some(SgdState { velocity: None }));
        }
        let velocity = match state.and_then(|state| state.velocity) {
            Some(velocity) => velocity.mul_scalar(self.momentum).add(gradient.clone()),
            None => gradient.clone(),
        };
        let direction = match self.nesterov {
            true => gradient.add(velocity.clone().mul_scalar(self.momentum)),
            false => velocity.clone(),
        };
        let velocity = Some(velocity);
        let stepped = param.sub(direction.mul_scalar(rate));
        (stepped, Some(SgdState { velocity }))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        SgdState {
            velocity: state.velocity.map(|velocity| velocity.to_device(device)),
        }
    }
}

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        if let Some(velocity) = &self.velocity {
            out.push_tensor(prefix, VELOCITY, velocity.clone().into_data());
        }
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = source.take_tensor(prefix, VELOCITY);
        Some(Self {
            velocity: velocity.map(|velocity| restored(velocity, device)),
        })
    }
}

/// The name in a record, equal to that of burn's state.
const VELOCITY: &str = "momentum.velocity";

/// Returns a tensor of a record in the precision in which it was saved.
pub(super) fn restored<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    let dtype = data.dtype();
    Tensor::from_data(data, (device, dtype))
}
