use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Tensor};
use burn_distill_core::Buffer;

/// Adam, whose moments are saved with the module that it is part of: a second optimizer beside the
/// one of the training, which a checkpoint knows nothing of.
///
/// ```text
/// g ← g + weight_decay · θ
/// m ← 0.9 m + 0.1 g,    v ← 0.999 v + 0.001 g²
/// θ ← θ − rate · m / (1 − 0.9ᵗ) / (√(v / (1 − 0.999ᵗ)) + 1e-8)
/// ```
///
/// Parameters without a gradient stay as they are, bit by bit.
///
/// It agrees with burn's and PyTorch's Adam with an L2 penalty, as long as a parameter has a gradient
/// in every step or in none: the steps `t` are counted once for all. They are counted on the device,
/// as the powers of both decays, so that nothing is read back.
///
/// # Reference
///
/// D. P. Kingma and J. Ba, [Adam: A Method for Stochastic
/// Optimization](https://arxiv.org/abs/1412.6980), ICLR 2015.
#[derive(Module, Debug)]
pub struct RecordedAdam {
    /// The learning rate.
    pub rate: f64,
    /// The L2 penalty, in the gradient.
    pub weight_decay: f64,
    /// `m`, of all tensors one after the other. Shape: `[elements]`.
    first: Buffer<Tensor<1>>,
    /// `v`, likewise.
    second: Buffer<Tensor<1>>,
    /// `0.9ᵗ`. Shape: `[1]`.
    first_power: Buffer<Tensor<1>>,
    /// `0.999ᵗ`, likewise.
    second_power: Buffer<Tensor<1>>,
}

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl RecordedAdam {
    /// An optimizer for the parameters of that module, with that learning rate and L2 penalty.
    pub fn new<M: Module>(module: &M, rate: f64, weight_decay: f64) -> Self {
        let device = module.devices().first().cloned().unwrap_or_default();
        let options = (&device.without_autodiff(), DType::F32);
        let mut elements = Elements(0);
        module.visit(&mut elements);
        let moment = || Buffer::new(Tensor::zeros([elements.0], options));
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

    /// The module after a step down these gradients, which this remembers.
    ///
    /// # Panics
    ///
    /// Panics if the module has other tensors than the one that this was made for.
    pub fn step<M: Module>(&self, module: M, gradients: &GradientsParams) -> M {
        let mut flat = Flat {
            gradients,
            weight_decay: self.weight_decay,
            rows: Vec::new(),
        };
        module.visit(&mut flat);
        let mut ways = Ways {
            gradients,
            all: self.way(Tensor::cat(flat.rows, 0)),
            seen: 0,
            each: GradientsParams::new(),
        };
        module.visit(&mut ways);
        // Plain descent with a rate of 1 goes them.
        SgdConfig::new().init().step(1.0, module, ways.each)
    }

    /// How far to go down, given all gradients in one row.
    fn way(&self, gradient: Tensor<1>) -> Tensor<1> {
        let first = decayed(&self.first, FIRST_DECAY, gradient.clone());
        let second = decayed(&self.second, SECOND_DECAY, gradient.square());
        let rest = |power: &Buffer<Tensor<1>>, decay: f64| {
            power.set(power.get().mul_scalar(decay));
            power.get().neg().add_scalar(1.0)
        };
        let first = first.div(rest(&self.first_power, FIRST_DECAY));
        let second = second.div(rest(&self.second_power, SECOND_DECAY));
        let way = first.div(second.sqrt().add_scalar(EPSILON));
        way.mul_scalar(self.rate)
    }
}

/// A moment that has seen one more value.
fn decayed(moment: &Buffer<Tensor<1>>, decay: f64, value: Tensor<1>) -> Tensor<1> {
    let before = moment.get().mul_scalar(decay);
    let after = before.add(value.mul_scalar(1.0 - decay));
    moment.set(after.clone());
    after
}

/// Counts the elements of all tensors, running statistics included: what has no gradient only takes
/// up room.
struct Elements(usize);

impl ModuleVisitor for Elements {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += param.lazy_shape().num_elements();
    }
}

/// Gathers all gradients, with the penalty.
struct Flat<'a> {
    gradients: &'a GradientsParams,
    weight_decay: f64,
    rows: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let elements = param.lazy_shape().num_elements();
        self.rows.push(match self.gradients.get::<D>(param.id) {
            Some(gradient) => {
                let penalty = param.val().without_autodiff().mul_scalar(self.weight_decay);
                gradient.add(penalty).reshape([elements]).cast(DType::F32)
            }
            None => {
                let device = param.lazy_device().without_autodiff();
                Tensor::zeros([elements], (&device, DType::F32))
            }
        });
    }
}

/// Deals the ways out to the parameters that have a gradient.
struct Ways<'a> {
    gradients: &'a GradientsParams,
    all: Tensor<1>,
    seen: usize,
    each: GradientsParams,
}

impl ModuleVisitor for Ways<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let elements = param.lazy_shape().num_elements();
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let way = self.all.clone().narrow(0, self.seen, elements);
            let way = way.reshape(gradient.dims()).cast(gradient.dtype());
            self.each.register(param.id, way);
        }
        self.seen += elements;
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
    fn it_is_adam_with_an_l2_penalty() {
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
            // A single step is of 0.05: what does not differ by more than this is no accident.
            ours.assert_approx_eq::<f32>(&theirs, Tolerance::absolute(2e-4));
            let (_, before) = before.iter().find(|(other, _)| other == name).unwrap();
            assert_eq!(ours == before, name.starts_with("unused"), "{name}");
        }
    }

    #[test]
    fn what_it_remembers_is_saved_and_trained_by_nobody() {
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
    fn a_parameter_stays_trainable() {
        let device = Device::default().autodiff();
        let net = net(&device);
        let input = &inputs(&device)[0];
        let adam = RecordedAdam::new(&net, 0.05, 0.0);

        let first = gradients(&net, input);
        let net = adam.step(net, &first);

        assert_eq!(gradients(&net, input).len(), first.len());
    }
}
