//! Losses with parameters or buffers compute values and gradients in double precision on a device
//! with double precision.
//!
//! burn takes the precision of new tensors from the device and does not change it afterwards, so
//! these tests are a separate program. The trials of losses without parameters or buffers test
//! these in double precision.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::{
    Clock, Context, Knowledge, LossTerm, MultiLayerLoss, Response, Tap, TapAdapter, TapLoss, Taps,
    Targets, initialize,
};
use burn_distill_feature::*;
use burn_distill_relation::*;
use burn_distill_response::*;
use std::sync::LazyLock;

/// Device, if it has double precision.
static DEVICE: LazyLock<Option<Device>> = LazyLock::new(|| {
    let mut device = Device::default();
    let double = device.configure(FloatDType::F64).is_ok();
    double.then(|| device.autodiff())
});

fn waves<const D: usize>(shape: [usize; D], frequency: f64, device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let places = Tensor::arange(0..count as i64, device).float();
    places
        .mul_scalar(frequency)
        .add_scalar(0.3)
        .sin()
        .reshape(shape)
}

/// Asserts that parameters and buffers are in double precision.
struct IsDouble<'a>(&'a str);

impl ModuleVisitor for IsDouble<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert_eq!(param.val().dtype(), DType::F64, "{}", self.0);
    }
}

/// Computes a loss twice, because the second step uses the buffers of the first.
fn check<const D: usize, M: Module + 'static>(
    module: M,
    [student, teacher]: [[usize; D]; 2],
    loss: impl Fn(&M, Tensor<D>, Tensor<D>) -> Tensor<1>,
) {
    let Some(device) = &*DEVICE else { return };
    let name = std::any::type_name::<M>();
    let module = initialize(module);
    for round in 1..3 {
        let student = waves(student, 0.7 * round as f64, device)
            .detach()
            .require_grad();
        let teacher = waves(teacher, 0.3 * round as f64, device);
        let loss = loss(&module, student.clone(), teacher);
        assert_eq!(loss.dtype(), DType::F64, "{name}");
        let grads = loss.clone().backward();
        let gradient = student.grad(&grads).expect(name);
        assert_eq!(gradient.dtype(), DType::F64, "{name}");
        assert!(loss.into_scalar::<f64>().is_finite(), "{name}");
        module.visit(&mut IsDouble(name));
    }
}

fn check_taps<L: TapLoss>(loss: L, shapes: [[usize; 4]; 2]) {
    check(loss, shapes, |loss, student, teacher| {
        loss.forward_taps(Tap::Map(student), Tap::Map(teacher), None)
    });
}

/// Checks a loss over two layers: a map, and the same map times a half.
fn check_layers<L: MultiLayerLoss>(loss: L, shapes: [[usize; 4]; 2]) {
    check(loss, shapes, |loss, student, teacher| {
        let layers = |map: Tensor<4>| vec![Tap::Map(map.clone()), Tap::Map(map.mul_scalar(0.5))];
        loss.forward_layers(layers(student), layers(teacher), None)
    });
}

fn on_device(test: impl FnOnce(&Device)) {
    if let Some(device) = &*DEVICE {
        test(device);
    }
}

#[test]
fn losses_with_a_memory() {
    on_device(|device| {
        for shared in [false, true] {
            let population = SampleIndex::new((0..8).map(|id| (id, Some(id % 3))));
            let config = ContrastiveLossConfig::new()
                .with_embedding(4)
                .with_negatives(3)
                .with_shared(shared);
            let loss = config.init([3, 5], population, device);
            check(loss, [[4, 3], [4, 5]], |loss, student, teacher| {
                loss.forward(student, teacher, &[0, 3, 5, 6], Clock::start())
            });
        }
        let config = RelationalRepresentationLossConfig::new();
        let loss = config.with_embedding(4).with_queue(6).init([3, 5], device);
        check(loss, [[4, 3], [4, 5]], |loss, student, teacher| {
            loss.forward(student, teacher)
        });
    });
}

#[test]
fn losses_on_responses_with_parameters() {
    on_device(|device| {
        let knowledge = |logits: Tensor<2>| Knowledge {
            response: Response::Classes(logits),
            taps: Taps::default(),
        };
        for standardize in [false, true] {
            let config = LearnedTemperatureConfig::new().with_standardize(standardize);
            let loss = config.init(device);
            check(loss, [[4, 3]; 2], |loss, student, teacher| {
                let (student, teacher) = (knowledge(student), knowledge(teacher));
                let (targets, clock) = (Targets::Unlabeled, Clock::start());
                let context = Context::new(&student, &teacher, &targets, &[], clock);
                loss.value(&context)
            });
        }
        for learned in [false, true] {
            let cost = vec![
                vec![0.0, 1.0, 2.0],
                vec![1.0, 0.0, 1.0],
                vec![2.0, 1.0, 0.0],
            ];
            let config = LogitsGraphLossConfig::new().with_learned(learned);
            for config in [config.clone(), config.with_cost(cost)] {
                let loss = config.init(2, device);
                check(loss, [[4, 3]; 2], |loss, student, teacher| {
                    loss.forward(student, vec![teacher.clone(), teacher.neg()])
                });
            }
        }
        let loss = ModalityGraphLossConfig::new().init(3, 3, &[3, 3], device);
        check(loss, [[4, 3]; 2], |loss, student, teacher| {
            let vertex = |features: Tensor<2>| Vertex {
                logits: features.clone(),
                representation: features,
            };
            loss.forward(
                vertex(student),
                vec![vertex(teacher.clone()), vertex(teacher)],
            )
        });
        let loss = RepresentationGraphLossConfig::new().init(3, &[5, 5], device);
        check(loss, [[4, 3], [4, 5]], |loss, student, teacher| {
            loss.forward(student, vec![teacher.clone(), teacher.neg()])
        });
    });
}

#[test]
fn losses_on_features_with_parameters() {
    on_device(|device| {
        let (small, large) = ([4, 3, 4, 4], [4, 5, 4, 4]);
        for learn in [false, true] {
            let config = VidLossConfig::new().with_learn_variance(learn);
            check_taps(config.init(3, 5, device), [small, large]);
        }
        let config = FactorTransferLossConfig::new();
        let paraphraser = config.paraphraser(5, device);
        check_taps(config.init(3, paraphraser.clone(), device), [small, large]);
        let reconstruct = move |_: &SimKdLoss, student: Tensor<4>, teacher: Tensor<4>| {
            let rebuilt = paraphraser.forward(teacher).mean();
            student.sub(rebuilt.reshape([1, 1, 1, 1])).square().mean()
        };
        check(SimKdLossConfig::new().init(), [small, large], reconstruct);
        let overhaul = OverhaulLossConfig::new();
        let given = overhaul.init_with_margins(&[-1.0, -0.5, -0.1], device);
        check_taps(given, [small, small]);
        check_taps(overhaul.init(), [small, small]);

        check_layers(
            ReviewLossConfig::new().init(&[3, 3], &[5, 5], device),
            [small, large],
        );
        check_layers(
            SemanticCalibrationLossConfig::new().init(&[3, 3], &[5, 5], 4, device),
            [small, large],
        );
        check_layers(
            AttentionFeatureLossConfig::new().init(&[3, 3], &[5, 5], device),
            [small, large],
        );
    });
}

#[test]
fn losses_between_layers_with_parameters() {
    on_device(|device| {
        let (small, large) = ([4, 3, 4, 4], [4, 5, 4, 4]);
        let config = MultiHeadGraphConfig::new();
        let heads = config.init_heads(&[5, 5], device);
        check_layers(config.init(heads), [large, large]);
        let projections = ChannelProjections::new(&[3, 3], &[5, 5], device);
        let flow = FlowOfSolutionLossConfig::new().init();
        check_layers(Projected::new(flow, projections), [small, large]);

        let projected = ProjectionConfig::new(3, 5);
        let projected = projected.init(HiddenStatesLossConfig::new().init(), device);
        check(
            projected,
            [[2, 4, 3], [2, 4, 5]],
            |loss, student, teacher| {
                let layers = |tokens| vec![Tap::Sequence(tokens)];
                let mask = Tensor::full([2, 4], true, device);
                loss.forward_layers(layers(student), layers(teacher), Some(mask))
            },
        );
    });
}

#[test]
fn adapters() {
    on_device(|device| {
        for kind in [
            AdapterKind::Conv1x1,
            AdapterKind::Conv3x3,
            AdapterKind::Regressor,
            AdapterKind::Connector,
        ] {
            let map = |channels| Tap::Map(Tensor::zeros([4, channels, 4, 4], device));
            let adapter = FeatureAdapterConfig::new(kind).init(&map(3), &map(5), device);
            check(
                adapter.unwrap(),
                [[4, 3, 4, 4], [4, 5, 4, 4]],
                |adapter, student, teacher| {
                    let adapted = adapter.adapt(Tap::Map(student));
                    let loss = HintLossConfig::new().init();
                    loss.forward_taps(adapted, Tap::Map(teacher), None)
                },
            );
        }
    });
}
