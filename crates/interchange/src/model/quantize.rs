//! Weights that are stored in 8 bits and converted to single precision when they are loaded.

use burn::module::{Module, ModuleMapper, Param, Quantizer};
use burn::tensor::quantization::{
    Calibration, QuantScheme, QuantStore, QuantValue, QuantizationParameters,
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_core::{AnyNetwork, WeightsFile};

/// Returns the weights of a network with every matrix and every kernel in 8 bits, by one scale per
/// tensor. Vectors, such as biases, stay as they are.
///
/// Weights that are already multiples of one step, as those that were trained with a learned step,
/// keep their values: the step is the scale, if there are no more than 127 multiples to each side.
/// For all others, the largest weight decides the scale.
pub(super) fn in_8_bits(network: &AnyNetwork) -> AnyNetwork {
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::Native);
    let mut quantizer = OfMatrices(Quantizer::new(Calibration::MinMax, scheme));
    network.valid().map(&mut quantizer)
}

/// Returns a copy of a network whose weights are rounded to 8 bits, as if it had been exported with
/// [`Quantization::Q8`](crate::Quantization::Q8) and loaded.
pub fn rounded_to_8_bits(network: &AnyNetwork) -> AnyNetwork {
    in_8_bits(network).map(&mut ToSinglePrecision)
}

/// Quantizes tensors of at least two axes.
struct OfMatrices(Quantizer);

impl ModuleMapper for OfMatrices {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match D {
            0 | 1 => parameter,
            _ => {
                let values = parameter.val().into_data().convert::<f32>();
                let step = step_of(&values.iter().collect::<Vec<f32>>());
                match step {
                    None => self.0.map_float(parameter),
                    Some(step) => parameter.map(|weights| {
                        let scales = Tensor::from_data([step], &weights.device());
                        let global = None;
                        let scales = QuantizationParameters { scales, global };
                        weights.quantize(&self.0.scheme, scales)
                    }),
                }
            }
        }
    }
}

/// Largest multiple of a scale in 8 bits.
const MOST: f32 = 127.0;

/// Returns the step of which all weights are multiples, if there is one and 8 bits hold the
/// multiples.
fn step_of(weights: &[f32]) -> Option<f32> {
    let mut levels: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    levels.push(0.0);
    levels.sort_by(f32::total_cmp);
    let largest = *levels.last()?;
    // Equal levels may differ in their last digit.
    let least = largest * 1e-4;
    let gaps = levels.windows(2).map(|pair| pair[1] - pair[0]);
    let gap = gaps.filter(|gap| *gap > least).reduce(f32::min)?;
    let multiples = (largest / gap).round();
    let step = largest / multiples;
    let is_multiple = |level: &f32| {
        let multiple = level / step;
        (multiple - multiple.round()).abs() < 1e-3
    };
    (multiples <= MOST && levels.iter().all(is_multiple)).then_some(step)
}

/// Converts quantized tensors to single precision.
struct ToSinglePrecision;

impl ModuleMapper for ToSinglePrecision {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|tensor| match tensor.dtype() {
            DType::QFloat(_) => tensor.dequantize(),
            _ => tensor,
        })
    }
}

/// Returns the weights in single precision.
pub(super) fn in_single_precision(weights: &WeightsFile, device: &Device) -> WeightsFile {
    let tensors = weights.tensors().map(|(path, data)| {
        let data = match (data.dtype(), data.shape().num_dims()) {
            (DType::QFloat(_), 2) => single::<2>(data, device),
            (DType::QFloat(_), 3) => single::<3>(data, device),
            (DType::QFloat(_), 4) => single::<4>(data, device),
            (DType::QFloat(_), 5) => single::<5>(data, device),
            _ => data,
        };
        (path.to_string(), data)
    });
    WeightsFile::from_tensors(tensors)
}

fn single<const D: usize>(data: TensorData, device: &Device) -> TensorData {
    Tensor::<D>::from_data(data, device)
        .dequantize()
        .into_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;

    #[test]
    fn multiples_of_one_step_are_found() {
        let step = 0.0371_f32;
        let multiples = |all: &[i32]| all.iter().map(|k| *k as f32 * step).collect::<Vec<_>>();
        for weights in [
            vec![0, -3, 2, 1, 3],
            vec![-127, 5, 9, 6],
            vec![4, 4, -4],
            vec![0, 7, 7, 8, -15],
        ] {
            let found = step_of(&multiples(&weights)).unwrap();
            for weight in multiples(&weights) {
                let rounded = (weight / found).round() * found;
                assert!((rounded - weight).abs() < 1e-6, "{weights:?} by {found}");
            }
        }
        // Too many, none, and no step at all.
        assert_eq!(step_of(&multiples(&[-128, 1, 0])), None);
        assert_eq!(step_of(&[0.0, 0.0]), None);
        assert_eq!(step_of(&[0.3, 0.7, -0.41]), None);
    }

    #[test]
    fn weights_of_a_learned_step_keep_their_values_in_8_bits() {
        let device = Device::flex();
        let mut linear = LinearConfig::new(3, 2).init(&device);
        let weights = Tensor::<2>::from_data([[0.0, 0.06], [-0.08, 0.02], [0.04, -0.06]], &device);
        linear.weight = Param::from_tensor(weights.clone());
        let scheme = QuantScheme::default()
            .with_value(QuantValue::Q8S)
            .with_store(QuantStore::Native);
        let mut quantizer = OfMatrices(Quantizer::new(Calibration::MinMax, scheme));

        let quantized = linear.map(&mut quantizer).map(&mut ToSinglePrecision);

        quantized.weight.val().into_data().assert_approx_eq::<f32>(
            &weights.into_data(),
            burn::tensor::Tolerance::absolute(1e-7),
        );
    }
}
