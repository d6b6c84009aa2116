use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Tensor};
use burn_distill_core::Buffer;
use burn_distill_core::numeric::widest;

/// An Adam optimizer that is part of a module, so that its moments are saved in the record of the
/// module. It is a second optimizer, besides that of the training.
///
/// ```text
/// g ← g + weight_decay · θ
/// m ← 0.9 m + 0.1 g,    v ← 0.999 v + 0.001 g²
/// θ ← θ − rate · m / (1 − 0.9ᵗ) / (√(v / (1 − 0.999ᵗ)) + 1e-8)
/// ```
///
/// Parameters without a gradient do not change.
///
/// It agrees with burn's and PyTorch's Adam with an L2 penalty as long as a parameter has a
/// gradient in every step or in none, since the steps `t` are counted for all parameters together.
/// They are counted on the device, as the powers of both decay rates, so that nothing is read from
/// it.
///
/// The moments are in the precision of the most precise parameter, in single precision at least.
///
/// # Reference
///
/// D. P. Kingma and J. Ba, [Adam: A Method for Stochastic
/// Optimization](https://arxiv.org/abs/1412.6980), ICLR 2015.
#[derive(Module, Debug)]
pub struct RecordedAdam {
    /// Learning rate.
    pub rate: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// First moment `m` of all tensors, concatenated. Shape: `[elements]`.
    first: Buffer<Tensor<1>>,
    /// Second moment `v` of all tensors, concatenated. Shape: `[elements]`.
    second: Buffer<Tensor<1>>,
    /// Power `0.9ᵗ`. Shape: `[1]`.
    first_power: Buffer<Tensor<1>>,
    /// Power `0.999ᵗ`. Shape: `[1]`.
    second_power: Buffer<Tensor<1>>,
}

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl RecordedAdam {
    /// Creates an optimizer for the parameters of a module, with a learning rate and an L2 penalty.
    pub fn new<M: Module>(module: &M, rate: f64, weight_decay: f64) -> Self {
        let device = module.devices().first().cloned().unwrap_or_default();
        let mut elements = Elements {
            count: 0,
            dtype: DType::F32,
        };
        module.visit(&mut elements);
        let options = (&device.without_autodiff(), elements.dtype);
        let moment = || Buffer::new(Tensor::zeros([elements.count], options));
        let power = || Buffer::new(Tensor::ones([1], options));
        Self {
            rate,
            weight_decay,
            first: moment(),
            second: moment(),
            first_power: power(),
            second_power: power(),
        }
    }

    /// Takes a step with these gradients, updates the moments and returns the module.
    ///
    /// # Panics
    ///
    /// Panics if the module has other tensors than the one for which the optimizer was created.
    pub fn step<M: Module>(&self, module: M, gradients: &GradientsParams) -> M {
        self.step_at(self.rate, module, gradients)
    }

    /// Takes a step like [`step`](Self::step), at a learning rate of a schedule instead of
    /// [`rate`](Self::rate).
    ///
    /// # Panics
    ///
    /// Panics where `step` does.
    pub fn step_at<M: Module>(&self, rate: f64, module: M, gradients: &GradientsParams) -> M {
        let mut flat = Flat {
            gradients,
            weight_decay: self.weight_decay,
            dtype: self.first.get().dtype(),
            rows: Vec::new(),
        };
        module.visit(&mut flat);
        let mut updates = Updates {
            gradients,
            all: self.update(rate, Tensor::cat(flat.rows, 0)),
            visited: 0,
            each: GradientsParams::new(),
        };
        module.visit(&mut updates);
        // Gradient descent with a rate of 1 subtracts the updates.
        SgdConfig::new().init().step(1.0, module, updates.each)
    }

    /// Returns the update of all parameters from the gradients of all, concatenated.
    fn update(&self, rate: f64, gradient: Tensor<1>) -> Tensor<1> {
        let first = decayed(&self.first, FIRST_DECAY, gradient.clone());
        let second = decayed(&self.second, SECOND_DECAY, gradient.square());
        let rest = |power: &Buffer<Tensor<1>>, decay: f64| {
            power.set(power.get().mul_scalar(decay));
            power.get().neg().add_scalar(1.0)
        };
        let first = first.div(rest(&self.first_power, FIRST_DECAY));
        let second = second.div(rest(&self.second_power, SECOND_DECAY));
        let update = first.div(second.sqrt().add_scalar(EPSILON));
        update.mul_scalar(rate)
    }
}

/// Updates a moment with a value, and returns it.
fn decayed(moment: &Buffer<Tensor<1>>, decay: f64, value: Tensor<1>) -> Tensor<1> {
    let before = moment.get().mul_scalar(decay);
    let after = before.add(value.mul_scalar(1.0 - decay));
    moment.set(after.clone());
    after
}

/// A visitor that counts the elements of all tensors, including running statistics, whose moments
/// stay zero, and finds their precision.
struct Elements {
    count: usize,
    dtype: DType,
}

impl ModuleVisitor for Elements {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.count += param.lazy_shape().num_elements();
        self.dtype = widest(self.dtype, param.val().dtype());
    }
}

/// A visitor that collects all gradients with their L2 penalty.
struct Flat<'a> {
    gradients: &'a GradientsParams,
    weight_decay: f64,
    dtype: DType,
    rows: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let elements = param.lazy_shape().num_elements();
        self.rows.push(match self.gradients.get::<D>(param.id) {
            Some(gradient) => {
                let penalty = param.val().without_autodiff().mul_scalar(self.weight_decay);
                gradient.add(penalty).reshape([elements]).cast(self.dtype)
            }
            None => {
                let device = param.lazy_device().without_autodiff();
                Tensor::zeros([elements], (&device, self.dtype))
            }
        });
    }
}

/// A visitor that splits the concatenated updates among the parameters that have a gradient.
struct Updates<'a> {
    gradients: &'a GradientsParams,
    all: Tensor<1>,
    visited: usize,
    each: GradientsParams,
}

impl ModuleVisitor for Updates<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let elements = param.lazy_shape().num_elements();
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let update = self.all.clone().narrow(0, self.visited, elements);
            let update = update.reshape(gradient.dims()).cast(gradient.dtype());
            self.each.register(param.id, update);
        }
        self.visited += elements;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::optim::AdamConfig;
    use burn::optim::decay::WeightDecayConfig;
    use burn::tensor::{Device, Distribution, Tolerance};
    use burn_distill_core::{initialize, tensors};

    #[derive(Module, Debug)]
    struct Net {
        unused: Linear,
        linear: Linear,
        norm: BatchNorm,
    }

    fn net(device: &Device) -> Net {
        initialize(Net {
            unused: LinearConfig::new(2, 2).init(device),
            linear: LinearConfig::new(3, 4).init(device),
            norm: BatchNormConfig::new(4).init(device),
        })
    }

    fn gradients(net: &Net, input: &Tensor<2>) -> GradientsParams {
        let output = net.norm.forward(net.linear.forward(input.clone()));
        GradientsParams::from_grads(output.powi_scalar(3).mean().backward(), net)
    }

    fn inputs(device: &Device) -> Vec<Tensor<2>> {
        let of = Distribution::Normal(0.3, 1.0);
        (0..5).map(|_| Tensor::random([6, 3], of, device)).collect()
    }

    #[test]
    fn steps_agree_with_adam_with_an_l2_penalty() {
        let device = Device::default().autodiff();
        let mut ours = net(&device);
        let mut theirs = ours.valid().train();
        let before = tensors(&ours);
        let adam = RecordedAdam::new(&ours, 0.05, 0.1);
        let mut optimizer = AdamConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(Some(WeightDecayConfig::new(0.1)))
            .init();

        for input in inputs(&device) {
            let gradients_of_ours = gradients(&ours, &input);
            ours = adam.step(ours, &gradients_of_ours);
            let gradients_of_theirs = gradients(&theirs, &input);
            theirs = optimizer.step(0.05, theirs, gradients_of_theirs);
        }

        let after = tensors(&ours.valid());
        for ((name, ours), (_, theirs)) in after.iter().zip(tensors(&theirs.valid())) {
            // Each step moves by about 0.05, which is large compared with this tolerance.
            ours.assert_approx_eq::<f32>(&theirs, Tolerance::absolute(2e-4));
            let (_, before) = before.iter().find(|(other, _)| other == name).unwrap();
            assert_eq!(ours == before, name.starts_with("unused"), "{name}");
        }
    }

    #[test]
    fn moments_are_saved_and_not_trained() {
        let device = Device::default().autodiff();
        let mut net = net(&device);
        let adam = RecordedAdam::new(&net, 0.05, 0.1);
        let inputs = inputs(&device);
        for input in &inputs {
            let gradients = gradients(&net, input);
            net = adam.step(net, &gradients);
        }

        let restored = RecordedAdam::new(&net, 0.05, 0.1).load_record(adam.clone().into_record());
        let gradients = gradients(&net, &inputs[0]);
        let [a, b] = [adam, restored].map(|adam| {
            let net = adam.step(net.valid().train(), &gradients);
            (tensors(&net), tensors(&adam))
        });

        assert_eq!(a, b);
        assert_eq!(
            burn_distill_core::parameter_count(&RecordedAdam::new(&net, 0.1, 0.0)),
            0
        );
    }

    #[test]
    fn parameters_stay_trainable_after_a_step() {
        let device = Device::default().autodiff();
        let net = net(&device);
        let input = &inputs(&device)[0];
        let adam = RecordedAdam::new(&net, 0.05, 0.0);

        let first = gradients(&net, input);
        let net = adam.step(net, &first);

        assert_eq!(gradients(&net, input).len(), first.len());
    }
}
