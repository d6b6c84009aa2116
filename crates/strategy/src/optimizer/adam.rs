use super::regularization::Regularization;
use super::sgd::restored;
use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
/// The value of the paper and of PyTorch; burn's default is 1e-5.
const EPSILON: f64 = 1e-8;

/// Adam as in PyTorch, with weight decay added to the gradient, or decoupled from it (AdamW).
#[derive(Clone, Debug)]
pub(super) struct Adam {
    pub decoupled: bool,
    pub regularization: Regularization,
}

/// The moments of the gradient of a parameter, and the number of its steps.
#[derive(Clone, Debug)]
pub(super) struct AdamState<const D: usize> {
    time: u64,
    first: Tensor<D>,
    second: Tensor<D>,
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        param: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let (param, gradient) = match self.decoupled {
            true => {
                let kept = 1.0 - rate * self.regularization.decay::<D>();
                (param.mul_scalar(kept), self.regularization.clip(gradient))
            }
            false => {
                let gradient = self.regularization.penalize(gradient, &param);
                (param, gradient)
            }
        };
        let first = gradient.clone().mul_scalar(1.0 - FIRST_DECAY);
        let second = gradient.square().mul_scalar(1.0 - SECOND_DECAY);
        let state = match state {
            Some(state) => AdamState {
                time: state.time + 1,
                first: state.first.mul_scalar(FIRST_DECAY).add(first),
                second: state.second.mul_scalar(SECOND_DECAY).add(second),
            },
            None => AdamState {
                time: 1,
                first,
                second,
            },
        };
        let rest = |decay: f64| 1.0 - decay.powf(state.time as f64);
        let deviation = (state.second.clone())
            .div_scalar(rest(SECOND_DECAY))
            .sqrt()
            .add_scalar(EPSILON);
        let direction = (state.first.clone())
            .div_scalar(rest(FIRST_DECAY))
            .div(deviation);
        (param.sub(direction.mul_scalar(rate)), Some(state))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        AdamState {
            time: state.time,
            first: state.first.to_device(device),
            second: state.second.to_device(device),
        }
    }
}

// Names in a record, equal to those of burn's state.
const TIME: &str = "momentum.time";
const FIRST: &str = "momentum.moment_1";
const SECOND: &str = "momentum.moment_2";

impl<const D: usize> RecordState for AdamState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, TIME, self.time.into());
        out.push_tensor(prefix, FIRST, self.first.clone().into_data());
        out.push_tensor(prefix, SECOND, self.second.clone().into_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        Some(Self {
            time: source.take_scalar(prefix, TIME)?.try_into().ok()?,
            first: restored(source.take_tensor(prefix, FIRST)?, device),
            second: restored(source.take_tensor(prefix, SECOND)?, device),
        })
    }
}
