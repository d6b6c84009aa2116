//! Losses at realistic sizes, against an independent computation in double precision: see
//! `docs/reference`.

use burn::config::Config;
use burn::nn::loss::Reduction;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_core::testing::{Fill, QUARTER, wave};
use burn_distill_core::{
    Clock, Context, Knowledge, LossTerm, Response, Taps, Targets, reduce_rows,
};
use burn_distill_response::{
    BatchLogitLoss, DecoupledLossConfig, DistLossConfig, DistributionLoss, HeatMapLossConfig,
    JensenShannonLossConfig, LabelSmoothingLossConfig, LabeledLoss, LearnedTemperatureConfig,
    LogitLoss, LogitMatchingLossConfig, MultiLevelLossConfig, NormKdLossConfig,
    NormalizedLossConfig, ProbabilityMatchingLossConfig, ProposalClassificationLossConfig,
    ReverseKlLossConfig, SkewKlLossConfig, SoftCrossEntropyLossConfig, SoftTargetLossConfig,
    SparseLogits, StandardizationConfig, TailMode, TeacherFreeLoss, TotalVariationLossConfig,
    VirtualTeacherLossConfig,
};
use serde_json::{Value, json};

/// Relative error of single precision for sums over a thousand classes.
const TOLERANCE: f64 = 1e-4;

/// Loss of the logits of student and teacher, and of the labels.
type Loss = Box<dyn Fn(Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1>>;

/// Returns the loss of a fixture, and panics if there is none, so that no fixture is skipped
/// silently.
fn loss(name: &str, parameters: &Value) -> Loss {
    let p = parameters;
    match name {
        "soft-target" => distribution(configured(SoftTargetLossConfig::new(), p).init()),
        "soft-cross-entropy" => {
            distribution(configured(SoftCrossEntropyLossConfig::new(), p).init())
        }
        "reverse-kl" => distribution(configured(ReverseKlLossConfig::new(), p).init()),
        "jensen-shannon" => distribution(configured(JensenShannonLossConfig::new(), p).init()),
        "total-variation" => distribution(configured(TotalVariationLossConfig::new(), p).init()),
        "skew-kl" => distribution(configured(SkewKlLossConfig::new(), p).init()),
        "logit-matching" => {
            let loss = configured(LogitMatchingLossConfig::new(), p).init();
            of_logits(move |student, teacher| loss.forward(student, teacher, Reduction::Mean))
        }
        "probability-matching" => {
            let loss = configured(ProbabilityMatchingLossConfig::new(), p).init();
            of_logits(move |student, teacher| mean(loss.forward_rows(student, teacher)))
        }
        "soft-cross-entropy-of-probabilities" => {
            let loss = configured(SoftCrossEntropyLossConfig::new(), p).init();
            of_logits(move |student, teacher| {
                let doubled = softmax(teacher, 1).mul_scalar(2.0);
                loss.forward_probabilities(student, doubled, Reduction::Mean)
            })
        }
        "sparse-soft-target" => sparse(SoftTargetLossConfig::new(), p, |c| c.init()),
        "sparse-reverse-kl" => sparse(ReverseKlLossConfig::new(), p, |c| c.init()),
        "sparse-jensen-shannon" => sparse(JensenShannonLossConfig::new(), p, |c| c.init()),
        "sparse-total-variation" => sparse(TotalVariationLossConfig::new(), p, |c| c.init()),
        "learned-temperature" => learned_temperature(p),
        "proposal-classification" => {
            labeled(configured(ProposalClassificationLossConfig::new(), p).init())
        }
        "heat-map" => of_logits(|student, teacher| {
            let maps = |values: Tensor<2>| values.unsqueeze_dims::<4>(&[-1, -1]);
            let loss = HeatMapLossConfig::new().init();
            loss.forward(maps(student), maps(teacher), None, Reduction::Mean)
        }),
        "standardized-soft-target" => {
            let loss = configured(SoftTargetLossConfig::new(), p).init();
            let loss = StandardizationConfig::new().init(loss);
            of_logits(move |student, teacher| mean(loss.forward_rows(student, teacher)))
        }
        "norm-kd" => {
            let loss = configured(NormKdLossConfig::new(), p).init();
            of_logits(move |student, teacher| mean(loss.forward_rows(student, teacher)))
        }
        "dist" => batch(configured(DistLossConfig::new(), p).init()),
        "multi-level" => batch(configured(MultiLevelLossConfig::new(), p).init()),
        "decoupled" => labeled(configured(DecoupledLossConfig::new(), p).init()),
        "normalized" => labeled(configured(NormalizedLossConfig::new(), p).init()),
        "virtual-teacher" => teacher_free(configured(VirtualTeacherLossConfig::new(), p).init()),
        "label-smoothing" => teacher_free(configured(LabelSmoothingLossConfig::new(), p).init()),
        other => panic!("there is no loss for the fixture `{other}`"),
    }
}

fn of_logits(loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> + 'static) -> Loss {
    Box::new(move |student, teacher, _| loss(student, teacher))
}

fn distribution(loss: impl DistributionLoss) -> Loss {
    of_logits(move |student, teacher| loss.forward(student, teacher, Reduction::Mean))
}

fn batch(loss: impl BatchLogitLoss) -> Loss {
    of_logits(move |student, teacher| loss.forward(student, teacher))
}

fn labeled(loss: impl LabeledLoss) -> Loss {
    Box::new(move |student, teacher, labels| {
        loss.forward(student, teacher, labels, Reduction::Mean)
    })
}

fn teacher_free(loss: impl TeacherFreeLoss) -> Loss {
    Box::new(move |student, _, labels| loss.forward(student, labels, Reduction::Mean))
}

fn mean(rows: Tensor<1>) -> Tensor<1> {
    reduce_rows(rows, None, &Reduction::Mean)
}

/// Creates a loss of the teacher's `k` likeliest classes with an assumption about the tail.
fn sparse<C: Config, L: DistributionLoss>(
    default: C,
    parameters: &Value,
    init: impl Fn(&C) -> L,
) -> Loss {
    let mut fields = parameters.as_object().unwrap().clone();
    let k = fields.remove("k").unwrap().as_u64().unwrap() as usize;
    let tail = match fields.remove("rest").unwrap().as_str().unwrap() {
        "zero" => TailMode::Zero,
        "tail" => TailMode::Tail,
        "uniform" => TailMode::Uniform,
        other => panic!("there is no tail `{other}`"),
    };
    let loss = init(&configured(default, &Value::Object(fields)));
    of_logits(move |student, teacher| {
        let sparse = SparseLogits::top_k(teacher, k, tail);
        loss.forward(student, sparse, Reduction::Mean)
    })
}

fn learned_temperature(parameters: &Value) -> Loss {
    let config = configured(LearnedTemperatureConfig::new(), parameters);
    of_logits(move |student, teacher| {
        let knowledge = |logits| Knowledge {
            response: Response::Classes(logits),
            taps: Taps::default(),
        };
        let device = student.device().without_autodiff().autodiff();
        let term = config.init(&device);
        let (student, teacher) = (knowledge(student), knowledge(teacher));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        term.value(&context)
    })
}

/// Returns a configuration with the parameters of a fixture, whose names are those of the fields.
fn configured<C: Config>(default: C, parameters: &Value) -> C {
    let mut fields = serde_json::to_value(default).unwrap();
    for (name, value) in parameters.as_object().unwrap() {
        let field = fields.get_mut(name);
        *field.unwrap_or_else(|| panic!("there is no field `{name}`")) = value.clone();
    }
    serde_json::from_value(fields).unwrap()
}

/// Computes the value and the L2 norm of the gradient.
fn outcome(loss: &Loss, shape: [usize; 2]) -> [f64; 2] {
    let device = Device::default();
    let [rows, classes] = shape;
    let logits = |fill: Fill| {
        let values: Vec<f64> = (0..rows * classes).map(fill).collect();
        Tensor::<2>::from_data(TensorData::new(values, shape), &device)
    };
    let student = logits(wave(3.0, 0.7, 0.3)).autodiff().require_grad();
    let teacher = logits(wave(3.0, 1.1, 0.1 + QUARTER));
    let labels: Vec<i64> = (0..rows).map(|row| (7 * row % classes) as i64).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [rows]), &device);

    let value = loss(student.clone(), teacher, labels);
    let grads = value.clone().backward();
    let gradient = student.grad(&grads).unwrap().into_data();
    let square: f64 = gradient
        .iter::<f64>()
        .map(|element| element * element)
        .sum();
    [value.into_scalar::<f64>(), square.sqrt()]
}

fn fixtures() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/response.json"
    );
    let text = std::fs::read_to_string(path).expect("the fixtures are beside their script");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn losses_agree_with_double_precision() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        let (name, parameters) = (fixture["name"].as_str().unwrap(), &fixture["parameters"]);
        let loss = loss(name, parameters);
        let shape: [usize; 2] = serde_json::from_value(fixture["shape"].clone()).unwrap();
        let place = format!("{name} {parameters}, shape {shape:?}");
        let actual = outcome(&loss, shape);
        for (what, actual) in ["value", "gradient_norm"].into_iter().zip(actual) {
            let expected = fixture[what].as_f64().unwrap();
            let error = (actual / expected - 1.0).abs();
            println!("{place}: {what} {actual}, off by {error:.1e}");
            if error.is_nan() || error > TOLERANCE {
                failures.push(format!("{place}: {what} is {actual}, not {expected}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n  {}", failures.join("\n  "));
}

#[test]
#[should_panic(expected = "there is no field `temprature`")]
fn parameters_must_be_fields() {
    configured(SoftTargetLossConfig::new(), &json!({ "temprature": 2.0 }));
}
