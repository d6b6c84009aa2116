//! Weights that are stored in 8 bits and converted to single precision when they are loaded.

use burn::module::{Module, ModuleMapper, Param, Quantizer};
use burn::tensor::quantization::{Calibration, QuantScheme, QuantStore, QuantValue};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_core::{AnyNetwork, WeightsFile};

/// Returns the weights of a network with every matrix and every kernel in 8 bits, by one scale per
/// tensor. Vectors, such as biases, stay as they are.
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
            _ => self.0.map_float(parameter),
        }
    }
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
