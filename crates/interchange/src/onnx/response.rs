//! The response of a network, from the values of its output.

use super::config::OnnxOutputs;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use burn_distill_core::Response;

/// Form of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A row of values for each sample.
    Classes {
        /// Number of logits of a sample.
        columns: usize,
        /// Whether the single value of a sample is converted to the logits of two classes.
        binary: bool,
    },
    /// A row of values for each token: length and logits.
    Tokens([usize; 2]),
    /// Maps: channels, height and width.
    Maps([usize; 3]),
}

impl Form {
    /// Finds the form of an output of this shape.
    ///
    /// # Errors
    ///
    /// Returns a sentence if no form fits.
    pub fn of(
        shape: &[usize],
        outputs: OnnxOutputs,
        (tokens, classes): (bool, usize),
    ) -> Result<Self, String> {
        let sample = shape.get(1..).unwrap_or_default();
        let row = match sample {
            [] => Some(1),
            [columns, rest @ ..] if rest.iter().all(|size| *size == 1) => Some(*columns),
            _ => None,
        };
        match (row, sample) {
            (Some(columns), _) => Ok(Self::Classes {
                columns,
                binary: columns == 1 && (outputs == OnnxOutputs::Sigmoid || classes == 2),
            }),
            (_, [length, logits]) if tokens => Ok(Self::Tokens([*length, *logits])),
            (_, [channels, height, width]) if outputs == OnnxOutputs::Logits => {
                Ok(Self::Maps([*channels, *height, *width]))
            }
            _ => Err(format!(
                "the output has the shape {shape:?}, but a row of logits for each sample is expected: give \
                 another `output`, such as the logits before or after a pooling"
            )),
        }
    }

    /// Returns the number of logits of a sample or of a token.
    pub fn logits(&self) -> usize {
        match self {
            Self::Classes { binary: true, .. } => 2,
            Self::Classes { columns, .. } => *columns,
            Self::Tokens([_, logits]) => *logits,
            Self::Maps([channels, ..]) => *channels,
        }
    }

    /// Returns the response, given the values of all samples.
    pub fn response(
        &self,
        mut values: Vec<f32>,
        outputs: OnnxOutputs,
        mask: Option<Tensor<2, Bool>>,
        device: &Device,
    ) -> Response {
        let binary = matches!(self, Self::Classes { binary: true, .. });
        let convert: fn(f32) -> f32 = match (outputs, binary) {
            (OnnxOutputs::Logits, _) => |value| value,
            (OnnxOutputs::Probabilities, false) => ln,
            (OnnxOutputs::Probabilities, true) | (OnnxOutputs::Sigmoid, _) => logit,
        };
        values.iter_mut().for_each(|value| *value = convert(*value));
        match *self {
            Self::Classes { binary: true, .. } => {
                let rows = values.len();
                let values = values.into_iter().flat_map(|logit| [0.0, logit]);
                let data = TensorData::new(values.collect::<Vec<f32>>(), [rows, 2]);
                Response::Classes(Tensor::from_data(data, device))
            }
            Self::Classes { columns, .. } => {
                let rows = values.len() / columns.max(1);
                let data = TensorData::new(values, [rows, columns]);
                Response::Classes(Tensor::from_data(data, device))
            }
            Self::Tokens([length, logits]) => {
                let samples = values.len() / (length * logits).max(1);
                let data = TensorData::new(values, [samples, length, logits]);
                let mask = mask.unwrap_or_else(|| Tensor::full([samples, length], true, device));
                Response::Tokens {
                    logits: Tensor::from_data(data, device),
                    mask,
                }
            }
            Self::Maps([channels, height, width]) => {
                let samples = values.len() / (channels * height * width).max(1);
                let data = TensorData::new(values, [samples, channels, height, width]);
                Response::Maps(Tensor::from_data(data, device))
            }
        }
    }
}

/// Checks that the values of an output have the declared meaning, given those for an input of
/// zeros, in rows of this length.
///
/// # Errors
///
/// Returns a sentence with the declaration that fits.
pub fn check_meaning(values: &[f32], columns: usize, outputs: OnnxOutputs) -> Result<(), String> {
    /// Largest error of a sum of probabilities in half precision.
    const CLOSE: f32 = 5e-3;

    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(format!(
            "the output is {value} for an input of zeros, but finite numbers are expected: check the model \
             with its own data, or give another `output`"
        ));
    }
    let rows = values.chunks(columns.max(1));
    let is_rate = |value: &f32| (0.0..=1.0 + CLOSE).contains(value);
    let sums_to_one = |row: &[f32]| (row.iter().sum::<f32>() - 1.0).abs() < CLOSE;
    let are_rates = values.iter().all(is_rate);
    let are_rows = columns > 1 && are_rates && rows.clone().all(sums_to_one);
    match outputs {
        OnnxOutputs::Logits if are_rows => Err(
            "the outputs are probabilities: each row is from 0 to 1 and sums to 1. Give `outputs = \
             \"probabilities\"`, or the name of the logits before the softmax as `output`"
                .into(),
        ),
        OnnxOutputs::Probabilities if columns > 1 && !are_rows => {
            let row = rows.into_iter().find(|row| !(row.iter().all(is_rate) && sums_to_one(row)));
            let (sum, least) = row.map_or((0.0, 0.0), |row| {
                (row.iter().sum::<f32>(), row.iter().copied().fold(f32::INFINITY, f32::min))
            });
            Err(format!(
                "`outputs` is \"probabilities\", but a row sums to {sum} and its least number is {least}: \
                 give `outputs = \"logits\"`, or \"sigmoid\" for independent probabilities"
            ))
        }
        OnnxOutputs::Probabilities | OnnxOutputs::Sigmoid if !are_rates => Err(
            "`outputs` should be \"logits\", since the numbers of the output are not all from 0 to 1"
                .into(),
        ),
        _ => Ok(()),
    }
}

/// Returns the logarithm of a probability, at least that of the smallest normal number.
fn ln(probability: f32) -> f32 {
    probability.max(f32::MIN_POSITIVE).ln()
}

/// Returns the logit of a probability: the inverse of the sigmoid.
fn logit(probability: f32) -> f32 {
    /// Largest number below 1.
    const LARGEST: f32 = 1.0 - f32::EPSILON / 2.0;

    let probability = f64::from(probability.clamp(f32::MIN_POSITIVE, LARGEST));
    (probability.ln() - (-probability).ln_1p()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(values: Vec<f32>, outputs: OnnxOutputs, classes: usize) -> (Vec<f32>, [usize; 2]) {
        let columns = if classes == 2 { 1 } else { classes };
        let shape = [values.len() / columns, columns];
        let form = Form::of(&shape, outputs, (false, classes)).unwrap();
        let response = form.response(values, outputs, None, &Device::default());
        let tensor = response.classes().unwrap().clone();
        let dims = tensor.dims();
        (tensor.into_data().iter().collect(), dims)
    }

    #[test]
    fn the_softmax_of_logarithms_are_the_probabilities() {
        let (found, dims) = logits(vec![0.5, 0.25, 0.25], OnnxOutputs::Probabilities, 3);

        assert_eq!(dims, [1, 3]);
        let half = 0.5_f32.ln();
        assert_eq!(found, [half, 0.25_f32.ln(), 0.25_f32.ln()]);
        let (zero, _) = logits(vec![0.0, 1.0, 0.0], OnnxOutputs::Probabilities, 3);
        assert!((zero[0] + 87.336_55).abs() < 1e-4, "{zero:?}");
        assert_eq!(zero[1], 0.0);
    }

    #[test]
    fn the_sigmoid_of_logits_are_the_probabilities() {
        let values = vec![0.5, 0.9, 0.0, 1.0, 1e-30, 0.75];
        let (found, dims) = logits(values, OnnxOutputs::Sigmoid, 3);

        assert_eq!(dims, [2, 3]);
        assert_eq!(found[0], 0.0);
        // ln 9, ln 3 and ln 1e-30.
        for (found, expected) in [
            (found[1], 2.197_224_6),
            (found[5], 1.098_612_3),
            (found[4], -69.077_55),
            (found[2], -87.336_55),
            (found[3], 16.635_532),
        ] {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn one_number_becomes_the_logits_of_two_classes() {
        let (found, dims) = logits(vec![0.75, 0.5], OnnxOutputs::Sigmoid, 2);
        assert_eq!(dims, [2, 2]);
        assert_eq!((found[0], found[2], found[3]), (0.0, 0.0, 0.0));
        assert!((found[1] - 1.098_612_3).abs() < 1e-6);

        let (found, _) = logits(vec![-3.0], OnnxOutputs::Logits, 2);
        assert_eq!(found, [0.0, -3.0]);
        let (found, _) = logits(vec![0.5], OnnxOutputs::Probabilities, 2);
        assert_eq!(found, [0.0, 0.0]);
    }

    #[test]
    fn axes_of_one_behind_the_logits_are_left_out() {
        let form = |shape: &[usize], tokens| Form::of(shape, OnnxOutputs::Logits, (tokens, 3));

        let row = Form::Classes {
            columns: 3,
            binary: false,
        };
        assert_eq!(form(&[2, 3], false), Ok(row));
        assert_eq!(form(&[2, 3, 1, 1], false), Ok(row));
        assert_eq!(form(&[2, 5, 3], true), Ok(Form::Tokens([5, 3])));
        assert_eq!(form(&[2, 3, 4, 4], false), Ok(Form::Maps([3, 4, 4])));
        let error = form(&[2, 5, 3], false).unwrap_err();
        assert!(
            error.starts_with("the output has the shape [2, 5, 3]"),
            "{error}"
        );
        assert!(form(&[2, 3, 4, 4, 4], false).is_err());
    }

    #[test]
    fn a_wrong_declaration_is_recognized() {
        use OnnxOutputs::{Logits, Probabilities, Sigmoid};
        let softmax = [0.5, 0.3, 0.2, 0.1, 0.1, 0.8];
        let raw = [1.5, -0.5, 0.2, 0.0, 0.0, 0.0];
        let rates = [0.9, 0.9, 0.1, 0.5, 0.5, 0.5];

        for (values, outputs, expected) in [
            (&softmax, Logits, Err("the outputs are probabilities")),
            (&softmax, Probabilities, Ok(())),
            (&softmax, Sigmoid, Ok(())),
            (&raw, Logits, Ok(())),
            (
                &raw,
                Probabilities,
                Err("`outputs` is \"probabilities\", but a row sums to 1.2"),
            ),
            (&raw, Sigmoid, Err("`outputs` should be \"logits\"")),
            (&rates, Logits, Ok(())),
            (
                &rates,
                Probabilities,
                Err("`outputs` is \"probabilities\", but a row sums to 1.9"),
            ),
            (&rates, Sigmoid, Ok(())),
        ] {
            match (check_meaning(values, 3, outputs), expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
                (found, expected) => panic!("{outputs:?}: {found:?}, not {expected:?}"),
            }
        }
        let error = check_meaning(&[0.0, f32::NAN], 2, Logits).unwrap_err();
        assert!(
            error.starts_with("the output is NaN for an input of zeros"),
            "{error}"
        );
    }
}
