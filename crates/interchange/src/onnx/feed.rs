//! Inputs of a file, and the values that each of them takes.

use super::config::OnnxConfig;
use super::file::OnnxFile;
use super::host::HostInput;
use super::value::{kind_of, tensor_of, value_of};
use super::vocabulary;
use burn_distill_core::nearest;
use std::ops::Range;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::{GraphProto, ValueInfoProto};
use tract_onnx::prelude::{DatumType, Tensor, TractResult};
use tract_onnx::tract_core::internal::bail;

/// Inputs of a network, in the order of its graph.
#[derive(Clone, Debug)]
pub struct Feed {
    pub slots: Vec<Slot>,
    /// Number of samples that the network takes, if it is fixed.
    pub batch: Option<usize>,
    /// Size of the vocabulary of the network, if it is known.
    pub vocabulary: Option<usize>,
}

/// One input of a network.
#[derive(Clone, Debug)]
pub struct Slot {
    content: Content,
    pub datum_type: DatumType,
    /// Shape of a sample.
    sample: Vec<usize>,
}

/// Values that an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Values,
    Ids,
    Mask,
    Zeros,
}

impl Feed {
    /// Finds the inputs that a part of the graph of a file needs, for samples of a shape.
    ///
    /// # Errors
    ///
    /// Returns a sentence if an input is unknown or lacks its values, or if it does not take samples
    /// of this shape.
    pub fn new(
        file: &OnnxFile,
        part: &GraphProto,
        config: &OnnxConfig,
        (sample, tokens): (&[usize], bool),
    ) -> Result<Self, String> {
        let all = file.inputs();
        let known: Vec<_> = all.iter().map(|input| input.name.as_str()).collect();
        for name in &config.inputs {
            if !known.contains(&name.as_str()) {
                let hint = nearest(name, known.iter().copied());
                let hint = hint.map(|name| format!(", did you mean `{name}`?"));
                return Err(format!(
                    "the file has no input `{name}`{}; its inputs are {}",
                    hint.unwrap_or_default(),
                    listed(&known)
                ));
            }
        }
        let needed = all.into_iter().filter(|input| {
            let mut inputs = part.input.iter();
            inputs.any(|other| other.name == input.name)
        });
        let needed: Vec<_> = needed.collect();
        let mut slots = Vec::with_capacity(needed.len());
        let mut batch = None;
        let mut vocabulary = None;
        for input in &needed {
            let content = match tokens {
                true => of_tokens(&input.name, &config.inputs, needed.len()),
                false => of_values(&input.name, &config.inputs, needed.len()),
            };
            let Some(content) = content else {
                return Err(format!(
                    "the network also needs the input `{}`, for which the data has no values: its inputs are \
                     {}; name those that the data gives as `inputs`, or give an `output` that needs no other",
                    input.name,
                    listed(&known)
                ));
            };
            if content == Content::Ids {
                vocabulary = vocabulary::of_input(part, &input.name);
            }
            let (slot, samples) = Slot::new(input, content, sample)?;
            if samples.is_some() && batch.is_some() && samples != batch {
                return Err(
                    "the inputs of the file have different fixed numbers of samples".into(),
                );
            }
            batch = samples.or(batch);
            slots.push(slot);
        }
        let fed = |content| slots.iter().any(|slot| slot.content == content);
        match fed(Content::Values) || fed(Content::Ids) {
            true => Ok(Self {
                slots,
                batch,
                vocabulary,
            }),
            false => Err(
                "the output does not depend on the input of the data: give another `output`".into(),
            ),
        }
    }

    /// Returns the shape of each input for this number of samples of a shape; the inputs of a
    /// sequence have its length.
    pub fn shapes(&self, samples: usize, sample: &[usize]) -> Vec<Vec<usize>> {
        let shape = |slot: &Slot| {
            let of_sample = match slot.content {
                // The sample is flattened if the input has another number of axes.
                Content::Values if slot.sample.len() != sample.len() => slot.sample.as_slice(),
                _ => sample,
            };
            [&[samples][..], of_sample].concat()
        };
        self.slots.iter().map(shape).collect()
    }

    /// Returns zeros for each input.
    pub fn zeros(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<Tensor>> {
        let slots = self.slots.iter().zip(shapes);
        slots
            .map(|(slot, shape)| Tensor::zero_dt(slot.datum_type, shape))
            .collect()
    }

    /// Returns the values of each input for a range of the samples. Samples that are missing at the
    /// end are copies of the last one.
    pub fn tensors(
        &self,
        input: &HostInput,
        range: Range<usize>,
        shapes: &[Vec<usize>],
    ) -> TractResult<Vec<Tensor>> {
        if let (HostInput::Tokens { ids, .. }, Some(known)) = (input, self.vocabulary)
            && let Some(id) = ids.iter().find(|id| !(0..known as i64).contains(*id))
        {
            bail!(
                "the tokens should be from 0 to {}, the last one in the vocabulary of the network, but one is {id}",
                known - 1
            );
        }
        let samples = input.shape()[0];
        let size: usize = input.shape()[1..].iter().product();
        let places = || {
            range
                .clone()
                .map(move |place| place.min(samples - 1) * size)
        };
        let tensor = |(slot, shape): (&Slot, &Vec<usize>)| {
            let whole: Vec<i64> = match (slot.content, input) {
                (Content::Values, HostInput::Values { values, .. }) => {
                    let values: Vec<f32> = places()
                        .flat_map(|start| &values[start..start + size])
                        .copied()
                        .collect();
                    return slot.of_numbers(&values, shape);
                }
                (Content::Ids, HostInput::Tokens { ids, .. }) => places()
                    .flat_map(|start| &ids[start..start + size])
                    .copied()
                    .collect(),
                (Content::Mask, HostInput::Tokens { mask, .. }) => places()
                    .flat_map(|start| &mask[start..start + size])
                    .map(|counts| i64::from(*counts))
                    .collect(),
                _ => vec![0; shape.iter().product()],
            };
            Ok(Tensor::from_shape(shape, &whole)?
                .cast_to_dt(slot.datum_type)?
                .into_owned())
        };
        self.slots.iter().zip(shapes).map(tensor).collect()
    }
}

impl Slot {
    /// Creates an input, and returns it with its number of samples, if that is fixed.
    fn new(
        input: &ValueInfoProto,
        content: Content,
        sample: &[usize],
    ) -> Result<(Self, Option<usize>), String> {
        let shown = value_of(input);
        let tensor = tensor_of(input).ok_or_else(|| {
            format!(
                "the input `{}` is not a tensor, and cannot be fed",
                input.name
            )
        })?;
        let datum_type = datum_type(tensor.elem_type).ok_or_else(|| {
            format!(
                "the input `{}` is of {}, but numbers are expected",
                input.name,
                kind_of(tensor.elem_type)
            )
        })?;
        let mut of_slot = sample.to_vec();
        let mut samples = None;
        if let Some(shape) = &tensor.shape {
            let sizes = shape.dim.iter().map(|dim| match dim.value {
                Some(Size::DimValue(size)) => usize::try_from(size).ok(),
                _ => None,
            });
            let sizes: Vec<Option<usize>> = sizes.collect();
            // A network of vectors takes a flattened image.
            if sizes.len() == 2 && sample.len() > 1 && content == Content::Values {
                of_slot = vec![sample.iter().product()];
            }
            let (first, others) = sizes.split_first().unwrap_or((&None, &[]));
            let fits = others.len() == of_slot.len()
                && others
                    .iter()
                    .zip(&of_slot)
                    .all(|(size, of_data)| size.is_none_or(|size| size == *of_data));
            if !fits {
                return Err(format!(
                    "the network takes the input {shown}, with the axis of the samples first, but a sample of \
                     the data has the shape {sample:?} as it is prepared: resize it (`resize`), give the \
                     `layout` of the network, or take other data"
                ));
            }
            if *first == Some(0) {
                return Err(format!("the input {shown} takes no samples"));
            }
            samples = *first;
        }
        let slot = Self {
            content,
            datum_type,
            sample: of_slot,
        };
        Ok((slot, samples))
    }

    /// Converts numbers to the type of the input. Whole numbers are rounded and stay in the range of
    /// the type.
    fn of_numbers(&self, values: &[f32], shape: &[usize]) -> TractResult<Tensor> {
        let range = match self.datum_type {
            DatumType::F16 | DatumType::F32 | DatumType::F64 => {
                let tensor = Tensor::from_shape(shape, values)?;
                return Ok(tensor.cast_to_dt(self.datum_type)?.into_owned());
            }
            DatumType::Bool => 0..=1,
            DatumType::U8 => 0..=i64::from(u8::MAX),
            DatumType::I8 => i64::from(i8::MIN)..=i64::from(i8::MAX),
            DatumType::U16 => 0..=i64::from(u16::MAX),
            DatumType::I16 => i64::from(i16::MIN)..=i64::from(i16::MAX),
            DatumType::U32 => 0..=i64::from(u32::MAX),
            DatumType::U64 => 0..=i64::MAX,
            DatumType::I32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
            _ => i64::MIN..=i64::MAX,
        };
        let whole = values
            .iter()
            .map(|value| (value.round_ties_even() as i64).clamp(*range.start(), *range.end()));
        let tensor = Tensor::from_shape(shape, &whole.collect::<Vec<i64>>())?;
        Ok(tensor.cast_to_dt(self.datum_type)?.into_owned())
    }
}

fn datum_type(data_type: i32) -> Option<DatumType> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Bool => DatumType::Bool,
        DataType::Uint8 => DatumType::U8,
        DataType::Int8 => DatumType::I8,
        DataType::Uint16 => DatumType::U16,
        DataType::Int16 => DatumType::I16,
        DataType::Uint32 => DatumType::U32,
        DataType::Int32 => DatumType::I32,
        DataType::Uint64 => DatumType::U64,
        DataType::Int64 => DatumType::I64,
        DataType::Float16 => DatumType::F16,
        DataType::Float => DatumType::F32,
        DataType::Double => DatumType::F64,
        _ => return None,
    })
}

/// Returns the values of an input of a network of tokens, if the data has them.
fn of_tokens(name: &str, named: &[String], count: usize) -> Option<Content> {
    if !named.is_empty() {
        let place = named.iter().position(|other| other == name)?;
        return Some(match place {
            0 => Content::Ids,
            1 => Content::Mask,
            _ => Content::Zeros,
        });
    }
    match name {
        "attention_mask" => Some(Content::Mask),
        "token_type_ids" => Some(Content::Zeros),
        "input_ids" => Some(Content::Ids),
        _ => (count == 1).then_some(Content::Ids),
    }
}

/// Returns the values of an input of a network of numbers, if the data has them.
fn of_values(name: &str, named: &[String], count: usize) -> Option<Content> {
    let is_first = match named.first() {
        Some(first) => first == name,
        None => count == 1,
    };
    is_first.then_some(Content::Values)
}

/// Returns names as a list in a sentence.
pub fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
