//! The compared sides: responses of two networks to two sequences of three tokens, and their taps.

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Gradients, Tensor, TensorData};
use burn_distill_conformance::waves;
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Tap, TapRecorder, TapSelection, Targets,
};

/// Two sequences of three tokens, and five classes.
const SEQUENCES: usize = 2;
const LENGTH: usize = 3;
const CLASSES: usize = 5;
const FEATURES: usize = 4;

pub type Mask = [bool; SEQUENCES * LENGTH];

/// Masks of student and teacher: either may count fewer tokens, or none of a sequence.
pub const MASKS: [[Mask; 2]; 5] = [
    [
        [true, true, true, true, false, false],
        [true, true, true, true, false, false],
    ],
    [[true; 6], [true, true, true, true, true, false]],
    [[true, true, false, true, true, true], [true; 6]],
    [
        [true, true, false, true, true, true],
        [true, true, true, true, false, false],
    ],
    [[true; 6], [true, true, true, false, false, false]],
];

/// Contents of the rows that a side does not count.
#[derive(Clone, Copy)]
pub enum Fill {
    /// Values like those of any other row.
    Nothing,
    /// One value everywhere.
    Value(f32),
}

/// Computes the value of a term.
type Term = Box<dyn Fn(&Knowledge, &Knowledge, &Targets) -> Tensor<1>>;

/// Reads the gradients of the parameters of an objective.
type ParameterGradients = Box<dyn Fn(&Gradients) -> Vec<f64>>;

/// Objective on trial.
pub struct Case {
    pub name: String,
    term: Term,
    parameters: ParameterGradients,
}

/// Value of a term, and the gradients of all tensors of the student, then of the parameters of the
/// objective.
pub struct Outcome {
    pub value: f64,
    pub gradient: Vec<f64>,
}

impl Outcome {
    pub fn assert_close(&self, expected: &Self, what: &str) {
        let tolerance = |expected: f64| 2e-5 * (1.0 + expected.abs());
        let (value, expected_value) = (self.value, expected.value);
        assert!(
            (value - expected_value).abs() < tolerance(expected_value),
            "{what}: {value} is not {expected_value}"
        );
        assert_eq!(self.gradient.len(), expected.gradient.len(), "{what}");
        for (place, (gradient, expected)) in
            self.gradient.iter().zip(&expected.gradient).enumerate()
        {
            assert!(
                (gradient - expected).abs() < tolerance(*expected),
                "{what}: the gradient at {place} is {gradient}, not {expected}"
            );
        }
    }
}

/// Logits and taps of one side, tracked if it is the student.
struct Side {
    logits: Tensor<3>,
    hidden: [Tensor<3>; 2],
    scores: Tensor<4>,
}

impl Side {
    fn new(frequency: f64, mask: Mask, fill: Fill, device: &Device) -> Self {
        let sequence = |features: usize, phase: f64| {
            let shape = [SEQUENCES, LENGTH, features];
            let values = waves(shape, [1.5, frequency, phase]);
            fill_rows(values, mask, fill)
        };
        let shape = [SEQUENCES, 2, LENGTH, LENGTH];
        let on = |tensor: Tensor<3>| {
            let tensor = tensor.to_device(device);
            track(tensor, device)
        };
        let scores = fill_scores(waves(shape, [1.0, frequency, 0.9]), mask, fill);
        Self {
            logits: on(sequence(CLASSES, 0.2)),
            hidden: [on(sequence(FEATURES, 0.4)), on(sequence(FEATURES, 1.1))],
            scores: track(scores.to_device(device), device),
        }
    }

    fn knowledge(&self, response: Response) -> Knowledge {
        let mut taps = TapRecorder::new(TapSelection::All);
        for (name, hidden) in ["first", "second"].into_iter().zip(&self.hidden) {
            taps.offer(name, || Tap::Sequence(hidden.clone()));
        }
        taps.offer("scores", || Tap::Attention(self.scores.clone()));
        Knowledge {
            response,
            taps: taps.finish().expect("all taps are offered"),
        }
    }

    fn tokens(&self, mask: Mask) -> Knowledge {
        let mask = tensor(mask).reshape([SEQUENCES, LENGTH]);
        let logits = self.logits.clone();
        self.knowledge(Response::Tokens { logits, mask })
    }

    /// Returns the rows of the tokens that count, as classes of samples.
    fn counted(&self, counted: Mask) -> Knowledge {
        let kept: Vec<_> = (0..).zip(counted).filter(|(_, kept)| *kept).collect();
        let kept: Vec<i32> = kept.into_iter().map(|(row, _)| row).collect();
        let count = kept.len();
        let kept = Tensor::from_data(TensorData::new(kept, [count]), &self.logits.device());
        let logits = self.logits.clone().flatten::<2>(0, 1).select(0, kept);
        self.knowledge(Response::Classes(logits))
    }
}

fn track<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    match device.is_autodiff() {
        true => tensor.autodiff().require_grad(),
        false => tensor,
    }
}

fn tensor(mask: Mask) -> Tensor<1, Bool> {
    Tensor::from_data(mask, &Device::default())
}

fn fill_rows(rows: Tensor<3>, mask: Mask, fill: Fill) -> Tensor<3> {
    let Fill::Value(value) = fill else {
        return rows;
    };
    let others = tensor(mask).bool_not().reshape([SEQUENCES, LENGTH, 1]);
    let shape = rows.dims();
    rows.mask_fill(others.expand(shape), value)
}

fn fill_scores(scores: Tensor<4>, mask: Mask, fill: Fill) -> Tensor<4> {
    let Fill::Value(value) = fill else {
        return scores;
    };
    let others = tensor(mask).bool_not();
    let shape = scores.dims();
    let queries = others.clone().reshape([SEQUENCES, 1, LENGTH, 1]);
    let keys = others.reshape([SEQUENCES, 1, 1, LENGTH]);
    let padding = queries.expand(shape).bool_or(keys.expand(shape));
    scores.mask_fill(padding, value)
}

impl Case {
    pub fn new<O: Objective>(name: impl Into<String>, objective: O) -> Self {
        let objective = burn_distill_core::initialize(objective);
        let parameters = objective.clone();
        Self {
            name: name.into(),
            term: Box::new(move |student, teacher, targets| {
                let context = Context::new(student, teacher, targets, &[], Clock::start());
                objective.forward(&context).total()
            }),
            parameters: Box::new(move |grads| {
                let mut collect = Collect(grads, Vec::new());
                parameters.visit(&mut collect);
                collect.1
            }),
        }
    }

    /// Computes the outcome with these masks of student and teacher, where rows that a side does
    /// not count are filled.
    pub fn outcome(&self, [student, teacher]: [Mask; 2], fill: Fill) -> Outcome {
        self.compare([student, teacher], fill, |student_side, teacher_side| {
            [student_side.tokens(student), teacher_side.tokens(teacher)]
        })
    }

    /// Computes the outcome of a batch of the rows that both sides count.
    pub fn outcome_of_counted_rows(&self, masks @ [student, teacher]: [Mask; 2]) -> Outcome {
        let mut both = student;
        both.iter_mut()
            .zip(teacher)
            .for_each(|(both, teacher)| *both &= teacher);
        self.compare(masks, Fill::Nothing, |student, teacher| {
            [student.counted(both), teacher.counted(both)]
        })
    }

    fn compare(
        &self,
        [student_mask, teacher_mask]: [Mask; 2],
        fill: Fill,
        knowledge: impl Fn(&Side, &Side) -> [Knowledge; 2],
    ) -> Outcome {
        let plain = Device::default();
        let teacher = Side::new(0.3, teacher_mask, fill, &plain);
        let side = Side::new(0.7, student_mask, fill, &plain.clone().autodiff());
        let [student, teacher] = knowledge(&side, &teacher);
        let rows = student.response.rows().logits.dims()[0];
        let labels: Vec<i32> = (0..rows as i32).map(|row| row % CLASSES as i32).collect();
        let labels = Tensor::from_data(TensorData::new(labels, [rows]), &plain);
        let loss = (self.term)(&student, &teacher, &Targets::classes(labels));

        let grads = loss.clone().backward();
        let mut gradient = Vec::new();
        for of in [&side.logits, &side.hidden[0], &side.hidden[1]] {
            gradient.extend(gradient_of(of, &grads));
        }
        gradient.extend(gradient_of(&side.scores, &grads));
        gradient.extend((self.parameters)(&grads));
        Outcome {
            value: loss.into_scalar::<f64>(),
            gradient,
        }
    }
}

/// Returns the gradient of a tensor, zeros if it has none.
fn gradient_of<const D: usize>(tensor: &Tensor<D>, grads: &Gradients) -> Vec<f64> {
    match tensor.grad(grads) {
        Some(gradient) => gradient.into_data().iter::<f64>().collect(),
        None => vec![0.0; tensor.shape().num_elements()],
    }
}

/// Collects the gradients of parameters, in their order.
struct Collect<'a>(&'a Gradients, Vec<f64>);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.extend(gradient_of(&param.val(), self.0));
    }
}
