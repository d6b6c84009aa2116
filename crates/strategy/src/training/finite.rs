use burn::module::Module;
use burn::store::RecordError;
use burn::tensor::{DType, bf16, f16};
use burn_distill_core::tensors;
use burn_pack::Reader;
use std::path::Path;

/// The name of a `Buffer` in a record. Its values are not weights: remembered logits may be minus
/// infinity where a network excludes a class.
const BUFFER: &str = "running_value";

/// Returns the path of the first tensor of a module, among weights and running statistics, with a
/// value that is NaN or infinite, if there is one.
///
/// The predictions of such a network are useless, and so is a distillation from it. All tensors are
/// read from the device.
pub fn non_finite_weights<M: Module>(module: &M) -> Option<String> {
    let tensors = tensors(module).into_iter();
    let broken = tensors.filter(|(_, data)| !are_finite(data.dtype(), data.as_bytes()));
    broken.map(|(path, _)| path).find(|path| is_weight(path))
}

/// Returns the name of the first tensor in a file of weights with a value that is NaN or infinite,
/// if there is one.
pub(super) fn non_finite_in_file(path: &Path) -> Result<Option<String>, RecordError> {
    for tensor in Reader::from_file_exact(path)?.into_tensors()? {
        let (name, dtype, _, _, bytes) = tensor.into_parts()?;
        if is_weight(&name) && !are_finite(dtype, &bytes) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn is_weight(path: &str) -> bool {
    path.rsplit('.').next() != Some(BUFFER)
}

/// Returns whether all values of a tensor are finite. Integers and quantized values always are.
fn are_finite(dtype: DType, bytes: &[u8]) -> bool {
    match dtype {
        DType::F64 => all(bytes, |value| f64::from_le_bytes(value).is_finite()),
        DType::F32 | DType::Flex32 => all(bytes, |value| f32::from_le_bytes(value).is_finite()),
        DType::F16 => all(bytes, |value| f16::from_le_bytes(value).is_finite()),
        DType::BF16 => all(bytes, |value| bf16::from_le_bytes(value).is_finite()),
        _ => true,
    }
}

fn all<const N: usize>(bytes: &[u8], is_finite: impl Fn([u8; N]) -> bool) -> bool {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().copied().all(is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};
    use burn_distill_core::Buffer;

    #[derive(Module, Debug)]
    struct Toy {
        weight: Param<Tensor<1>>,
        bias: Param<Tensor<1>>,
        memory: Buffer<Tensor<1>>,
    }

    fn toy(weight: f32, bias: f32, memory: f32, dtype: DType) -> Toy {
        let device = Device::default();
        let tensor = |value: f32| Tensor::<1>::from_data([1.0, value], (&device, dtype));
        Toy {
            weight: Param::from_tensor(tensor(weight)),
            bias: Param::from_tensor(tensor(bias)),
            memory: Buffer::new(tensor(memory)),
        }
    }

    #[test]
    fn the_first_tensor_that_is_not_finite_is_named_in_a_module_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bpk");
        for dtype in [DType::F32, DType::F64] {
            for (weight, bias, expected) in [
                (1.0, f32::MAX, None),
                (f32::NAN, 1.0, Some("weight")),
                (1.0, f32::INFINITY, Some("bias")),
                (1.0, f32::NEG_INFINITY, Some("bias")),
            ] {
                let module = toy(weight, bias, 1.0, dtype);
                assert_eq!(non_finite_weights(&module).as_deref(), expected);
                module.into_record().save(&path).unwrap();
                let found = non_finite_in_file(&path).unwrap();
                assert_eq!(found.as_deref(), expected, "{dtype:?}");
            }
        }
    }

    #[test]
    fn half_precision_is_checked_too() {
        let bytes = |value: f32| f16::from_f32(value).to_le_bytes();
        assert!(are_finite(DType::F16, &bytes(6e4)));
        assert!(!are_finite(DType::F16, &bytes(f32::NAN)));
        let bytes = |value: f32| bf16::from_f32(value).to_le_bytes();
        assert!(are_finite(DType::BF16, &bytes(1e30)));
        assert!(!are_finite(DType::BF16, &bytes(f32::INFINITY)));
    }

    #[test]
    fn buffers_may_hold_infinite_values() {
        let module = toy(1.0, 1.0, f32::NEG_INFINITY, DType::F32);

        assert_eq!(non_finite_weights(&module), None);
    }
}
