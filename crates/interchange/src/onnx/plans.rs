//! Runs of a graph, which is prepared for the shapes of its inputs.

use super::feed::Feed;
use super::file::OnnxFile;
use super::host::HostInput;
use super::panics::caught;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tract_onnx::model::ParseResult;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;

/// Number of prepared graphs that are kept. A training needs one for its batches and one for its
/// last, smaller batch, and its validation as well.
const MOST_PLANS: usize = 4;

/// A graph that is prepared for inputs of these shapes.
type Prepared = (Vec<Vec<usize>>, Arc<TypedRunnableModel>);

/// A graph, with the latest prepared versions of it.
///
/// A runtime that knows all shapes is faster, and supports more operators, than one that does not.
/// So the graph is prepared once for each shape of the inputs.
pub struct Plans {
    model: InferenceModel,
    latest: Mutex<Vec<Prepared>>,
}

/// Output of a graph for a batch: one tensor for each run.
#[derive(Clone, Debug)]
pub struct Output {
    runs: Vec<Tensor>,
    /// Number of samples in each run. The last run may be filled up with copies of a sample.
    batch: usize,
    samples: usize,
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plans").finish_non_exhaustive()
    }
}

/// Reads a part of the graph of a file.
///
/// # Errors
///
/// Returns the error of the runtime, which names the node.
pub fn parse(file: &OnnxFile, part: GraphProto) -> TractResult<ParseResult> {
    let model = ModelProto {
        graph: Some(part),
        opset_import: file.model().opset_import.clone(),
        ir_version: file.model().ir_version,
        ..ModelProto::default()
    };
    let onnx = tract_onnx::onnx().with_ignore_value_info(true);
    caught(|| onnx.parse(&model, file.folder().to_str()))
}

impl Plans {
    /// Reads a part of the graph of a file.
    ///
    /// # Errors
    ///
    /// Returns the error of the runtime, which names the node.
    pub fn new(file: &OnnxFile, part: GraphProto) -> TractResult<Self> {
        Ok(Self {
            model: parse(file, part)?.model,
            latest: Mutex::new(Vec::new()),
        })
    }

    /// Computes the outputs for a batch, in one run, or in several if the number of samples of a run
    /// is fixed.
    ///
    /// # Errors
    ///
    /// Returns the error of the runtime.
    pub fn run(&self, feed: &Feed, input: &HostInput) -> TractResult<Vec<Output>> {
        let (samples, sample) = (input.shape()[0], &input.shape()[1..]);
        let batch = feed.batch.unwrap_or(samples).max(1);
        let shapes = feed.shapes(batch, sample);
        let plan = self.plan(feed, &shapes)?;
        let mut outputs: Vec<Output> = Vec::new();
        let mut start = 0;
        while start < samples.max(1) {
            let inputs = match samples {
                0 => feed.zeros(&shapes)?,
                _ => feed.tensors(input, start..start + batch, &shapes)?,
            };
            let inputs = inputs.into_iter().map(|input| input.into_tvalue());
            let run = caught(|| plan.run(inputs.collect()))?;
            outputs.resize_with(run.len(), || Output {
                runs: Vec::new(),
                batch,
                samples,
            });
            for (output, value) in outputs.iter_mut().zip(run) {
                output.runs.push(value.into_tensor());
            }
            start += batch;
        }
        Ok(outputs)
    }

    /// Returns the graph for inputs of these shapes.
    fn plan(&self, feed: &Feed, shapes: &[Vec<usize>]) -> TractResult<Arc<TypedRunnableModel>> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = latest.iter().position(|(other, _)| other == shapes) {
            // The last one is the latest.
            let found = latest.remove(place);
            let plan = found.1.clone();
            latest.push(found);
            return Ok(plan);
        }
        let mut model = self.model.clone();
        for (index, (slot, shape)) in feed.slots.iter().zip(shapes).enumerate() {
            let fact = InferenceFact::dt_shape(slot.datum_type, shape);
            model.set_input_fact(index, fact)?;
        }
        let plan = caught(|| model.into_optimized()?.into_runnable())?;
        if latest.len() == MOST_PLANS {
            latest.remove(0);
        }
        latest.push((shapes.to_vec(), plan.clone()));
        Ok(plan)
    }
}

impl Output {
    /// Returns the shape, with the axis of the samples; none if the first axis is not that of the
    /// samples.
    pub fn shape(&self) -> Option<Vec<usize>> {
        let mut shapes = self.runs.iter().map(Tensor::shape);
        let first = shapes.next()?;
        let of_samples = first.first() == Some(&self.batch);
        let fits = of_samples && shapes.all(|shape| shape == first);
        fits.then(|| [&[self.samples][..], &first[1..]].concat())
    }

    /// Returns the values of all samples, one sample after the other.
    ///
    /// # Errors
    ///
    /// Returns an error if the values are not numbers.
    pub fn values(&self) -> TractResult<Vec<f32>> {
        let mut values = Vec::new();
        for run in &self.runs {
            let run = run.cast_to::<f32>()?;
            values.extend_from_slice(run.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        let shape = self.runs.first().map_or(&[][..], Tensor::shape);
        let per_sample: usize = shape.iter().skip(1).product();
        values.truncate(self.samples * per_sample);
        Ok(values)
    }
}
