use super::config::{OnnxClasses, OnnxConfig, OnnxOutputs};
use super::error::OnnxError;
use super::feed::Feed;
use super::file::OnnxFile;
use super::guard;
use super::host::OnnxInput;
use super::images::InputTransform;
use super::operators;
use super::outputs::{named_output, tensor_named};
use super::plans::{Output, Plans};
use super::response::{Form, check_meaning};
use super::sizes;
use super::taps::OnnxTapKind;
use crate::{ClassMap, ClassMapError};
use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::{Check, Frozen, Network, Response, Tap, TapRecorder};
use burn_distill_data::Normalization;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Teacher in an ONNX file, whose weights are never trained.
pub type OnnxTeacher<I> = Frozen<OnnxNetwork<I>>;

/// Data of a distillation, for which a network in an ONNX file is prepared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnnxData {
    /// Shape of a sample: channels, height and width of an image; length and features of a sequence;
    /// features of a vector; length of a sequence of tokens.
    pub sample: Vec<usize>,
    /// Normalization of the values. It is undone before the network is computed.
    pub normalization: Option<Normalization>,
    /// Names of the classes, in the order of the labels. If it is empty, the network may have any
    /// number of logits.
    pub classes: Vec<String>,
    /// Number of different tokens, for data of tokens.
    pub vocabulary: Option<usize>,
}

/// Network in an ONNX file, computed by `tract`. It has no parameters of burn, and no gradient
/// flows to its inputs.
///
/// A batch is copied to the memory of the host, the network is computed there on one thread, and
/// the outputs are copied to the device of the input. A file with a fixed number of samples is run
/// on slices of the batch, the last of which is filled up with copies of its last sample. For any
/// other file, the graph is prepared once for each shape of its inputs, which takes some time; the
/// four graphs that were used last are kept.
///
/// # Example
///
/// ```no_run
/// use burn::tensor::Tensor;
/// use burn_distill_core::Frozen;
/// use burn_distill_interchange::{OnnxConfig, OnnxData, OnnxNetwork, OnnxOutputs, OnnxTeacher};
///
/// let config = OnnxConfig {
///     outputs: OnnxOutputs::Probabilities,
///     resize: Some([224, 224]),
///     ..OnnxConfig::default()
/// };
/// let data = OnnxData {
///     sample: vec![3, 32, 32],
///     ..OnnxData::default()
/// };
/// let network = OnnxNetwork::<Tensor<4>>::load("teacher.onnx", &config, &data)?;
/// let teacher: OnnxTeacher<Tensor<4>> = Frozen::new(network);
/// # Ok::<(), burn_distill_interchange::OnnxError>(())
/// ```
pub struct OnnxNetwork<I> {
    graph: Arc<Graph>,
    device: Device,
    input: PhantomData<fn() -> I>,
}

/// State that all copies of a network share: everything but the device.
#[derive(Debug)]
struct Graph {
    path: PathBuf,
    files: Vec<PathBuf>,
    parameters: u64,
    sample: Vec<usize>,
    transform: InputTransform,
    feed: Feed,
    plans: Plans,
    outputs: OnnxOutputs,
    form: Form,
    classes: Option<ClassMap>,
    taps: Vec<GraphTap>,
}

/// A tap of a graph.
#[derive(Debug)]
struct GraphTap {
    name: String,
    /// Index of the output.
    output: usize,
    kind: OnnxTapKind,
}

impl<I: OnnxInput> OnnxNetwork<I> {
    /// Reads a network from a file and prepares it for some data.
    ///
    /// The network is run once, on two samples of zeros, to find the shapes of its outputs.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the node or the key of the configuration, if the
    /// file cannot be read or run, or if it does not fit the data or the configuration.
    pub fn load(
        path: impl AsRef<Path>,
        config: &OnnxConfig,
        data: &OnnxData,
    ) -> Result<Self, OnnxError> {
        Self::new(&OnnxFile::read(path)?, config, data)
    }

    /// Creates a network from a file that was read, and prepares it for some data.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the node or the key of the configuration, if the
    /// file cannot be run, or if it does not fit the data or the configuration.
    pub fn new(file: &OnnxFile, config: &OnnxConfig, data: &OnnxData) -> Result<Self, OnnxError> {
        config.check()?;
        let mismatch = |reason: String| OnnxError::mismatch(file.path(), reason);
        let unsupported = |reason: String| OnnxError::unsupported(file.path(), reason);

        if data.sample.len() + 1 != I::RANK || data.sample.contains(&0) {
            return Err(mismatch(format!(
                "a sample of the data has the shape {:?}, but {} axes without zeros are expected",
                data.sample,
                I::RANK - 1
            )));
        }
        let response = named_output(file, config).map_err(mismatch)?;
        let mut wanted = vec![response];
        let mut places = Vec::with_capacity(config.taps.0.len());
        for (name, tap) in &config.taps.0 {
            let tensor = tensor_named(file.graph(), &tap.node)
                .map_err(|reason| mismatch(format!("`taps`: {reason}")))?;
            let place = wanted.iter().position(|other| *other == tensor);
            places.push((name, tap, place.unwrap_or(wanted.len())));
            if place.is_none() {
                wanted.push(tensor);
            }
        }
        let part = guard::part(file.graph(), &wanted).map_err(unsupported)?;
        operators::check(&part, file.opset()).map_err(unsupported)?;
        sizes::check(&part).map_err(unsupported)?;
        let steps = InputTransform::new(config, &data.sample, data.normalization.as_ref());
        let (transform, sample) = steps.map_err(mismatch)?;
        let feed = Feed::new(file, &part, config, (&sample, I::TOKENS)).map_err(mismatch)?;
        if let (Some(known), Some(of_data)) = (feed.vocabulary, data.vocabulary)
            && of_data > known
        {
            return Err(mismatch(format!(
                "the network has a vocabulary of {known} tokens, but the data of {of_data}: give the data the \
                 vocabulary of the network"
            )));
        }
        let failed = |error: tract_onnx::prelude::TractError| {
            unsupported(format!(
                "the model cannot be run: {error:#}; check it with its own data, or export it with other \
                 settings"
            ))
        };
        let plans = Plans::new(file, part).map_err(failed)?;

        let device = Device::default();
        let example = I::zeros(2, &data.sample, &device).into_host(&transform);
        let outputs = plans.run(&feed, &example).map_err(failed)?;
        let shape = |output: &Output| {
            output.shape().ok_or_else(|| {
                mismatch(
                    "the first axis of an output is not that of the samples: give another `output`, or other \
                     `taps`"
                        .into(),
                )
            })
        };
        let form = Form::of(
            &shape(&outputs[0])?,
            config.outputs,
            (I::TOKENS, data.classes.len()),
        );
        let form = form.map_err(mismatch)?;
        let columns = match form {
            Form::Classes { columns, .. } => columns,
            _ => form.logits(),
        };
        let values = outputs[0].values().map_err(failed)?;
        check_meaning(&values, columns, config.outputs).map_err(mismatch)?;
        let mut taps = Vec::with_capacity(places.len());
        for (name, tap, place) in places {
            let shape = shape(&outputs[place])?;
            let kind = tap_kind(tap.kind, &shape).map_err(|reason| {
                mismatch(format!("the tap `{name}` (`{}`) {reason}", tap.node))
            })?;
            taps.push(GraphTap {
                name: name.clone(),
                output: place,
                kind,
            });
        }
        let graph = Graph {
            path: file.path().into(),
            files: file.files().to_vec(),
            parameters: file.parameters(),
            sample: data.sample.clone(),
            transform,
            feed,
            plans,
            outputs: config.outputs,
            classes: class_map(file.path(), config, data, form)?,
            form,
            taps,
        };
        Ok(Self {
            graph: Arc::new(graph),
            device,
            input: PhantomData,
        })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.graph.path
    }

    /// Returns the path of the file and, if there are any, those of separate files with its
    /// weights.
    pub fn files(&self) -> &[PathBuf] {
        &self.graph.files
    }

    /// Returns the number of weights in the file.
    pub fn parameters(&self) -> u64 {
        self.graph.parameters
    }
}

/// Maps the classes of the data to the logits of a network.
fn class_map(
    path: &Path,
    config: &OnnxConfig,
    data: &OnnxData,
    form: Form,
) -> Result<Option<ClassMap>, OnnxError> {
    let faulty = |source| OnnxError::Classes {
        path: path.into(),
        source,
    };
    let logits = form.logits();
    let names = match &config.classes {
        Some(OnnxClasses::Names(names)) => names.clone(),
        Some(OnnxClasses::File(file)) => ClassMap::read_names(file).map_err(faulty)?,
        None if data.classes.is_empty() || data.classes.len() == logits => return Ok(None),
        None => {
            return Err(OnnxError::mismatch(
                path,
                format!(
                    "the network has {logits} logits, but the data has {} classes: give the names of the \
                     classes of the network as `classes`, in the order of its logits, or another `output`",
                    data.classes.len()
                ),
            ));
        }
    };
    if names.len() != logits {
        let names = names.len();
        return Err(faulty(ClassMapError::Count { names, logits }));
    }
    if data.classes.is_empty() {
        return Ok(None);
    }
    let map = ClassMap::by_name(&names, &data.classes).map_err(faulty)?;
    match (form, map.is_identity()) {
        (_, true) => Ok(None),
        (Form::Classes { .. }, false) => Ok(Some(map)),
        _ => Err(OnnxError::mismatch(
            path,
            "the classes of the network differ from those of the data or are in another order, but only \
             logits of whole samples can be selected by name: give the data the classes of the network, in \
             their order",
        )),
    }
}

/// Returns the kind of a tap of this shape.
fn tap_kind(declared: Option<OnnxTapKind>, shape: &[usize]) -> Result<OnnxTapKind, String> {
    use OnnxTapKind::{Attention, Map, MapNhwc, Sequence, SequenceNcl, Vector};
    let rank = shape.len();
    let (kind, axes) = match (declared, rank) {
        (Some(Vector), _) => return Ok(Vector),
        (Some(kind @ (Sequence | SequenceNcl)), _) => (kind, 3),
        (Some(kind @ (Map | MapNhwc | Attention)), _) => (kind, 4),
        (None, 2) => (Vector, 2),
        (None, 3) => (Sequence, 3),
        (None, 4) => (Map, 4),
        (None, _) => {
            return Err(format!(
                "has the shape {shape:?}, whose meaning is unknown: give it a `kind`, such as \"vector\", \
                 or take another tensor"
            ));
        }
    };
    match axes == rank {
        true => Ok(kind),
        false => Err(format!(
            "has the shape {shape:?}, but its kind has {axes} axes: give another `kind`, or another tensor"
        )),
    }
}

impl<I: OnnxInput> Network for OnnxNetwork<I> {
    type Input = I;

    /// Computes the response and offers the taps.
    ///
    /// # Panics
    ///
    /// Panics if the network cannot be run on these values, such as on tokens outside its
    /// vocabulary.
    fn forward_tapped(&self, input: I, taps: &mut TapRecorder) -> Response {
        let graph = &*self.graph;
        let (device, mask) = (input.device(), input.mask());
        let host = input.into_host(&graph.transform);
        let run = graph.plans.run(&graph.feed, &host);
        let outputs = run.unwrap_or_else(|error| graph.panic(&error));
        let values = |output: &Output| {
            let values = output.values();
            values.unwrap_or_else(|error| graph.panic(&error))
        };
        for tap in &graph.taps {
            taps.offer(tap.name.clone(), || {
                let output = &outputs[tap.output];
                let shape = output.shape().unwrap_or_default();
                tap_of(values(output), &shape, tap.kind, &device)
            });
        }
        let response = graph
            .form
            .response(values(&outputs[0]), graph.outputs, mask, &device);
        match (&graph.classes, response) {
            (Some(classes), Response::Classes(logits)) => Response::Classes(classes.select(logits)),
            (_, response) => response,
        }
    }

    fn example(&self, samples: usize, device: &Device) -> I {
        I::zeros(samples, &self.graph.sample, device)
    }
}

impl Graph {
    fn panic(&self, error: &tract_onnx::prelude::TractError) -> ! {
        panic!(
            "{}: the model cannot be run: {error:#}",
            self.path.display()
        )
    }
}

/// Returns a tap, given the values of all samples.
fn tap_of(values: Vec<f32>, shape: &[usize], kind: OnnxTapKind, device: &Device) -> Tap {
    fn tensor<const D: usize>(values: Vec<f32>, shape: &[usize], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape.to_vec()), device)
    }
    match kind {
        OnnxTapKind::Vector => {
            let features = shape[1..].iter().product();
            Tap::Vector(tensor(values, &[shape[0], features], device))
        }
        OnnxTapKind::Sequence => Tap::Sequence(tensor(values, shape, device)),
        OnnxTapKind::SequenceNcl => {
            Tap::Sequence(tensor::<3>(values, shape, device).swap_dims(1, 2))
        }
        OnnxTapKind::Map => Tap::Map(tensor(values, shape, device)),
        OnnxTapKind::MapNhwc => {
            let map = tensor::<4>(values, shape, device);
            Tap::Map(map.swap_dims(2, 3).swap_dims(1, 2))
        }
        OnnxTapKind::Attention => Tap::Attention(tensor(values, shape, device)),
    }
}

impl<I> Clone for OnnxNetwork<I> {
    fn clone(&self) -> Self {
        Self {
            graph: self.graph.clone(),
            device: self.device.clone(),
            input: PhantomData,
        }
    }
}

impl<I> fmt::Debug for OnnxNetwork<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxNetwork")
            .field("path", &self.graph.path)
            .field("parameters", &self.graph.parameters)
            .finish_non_exhaustive()
    }
}

impl<I: OnnxInput> Module for OnnxNetwork<I> {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        if !devices.contains(&self.device) {
            devices.push(self.device.clone());
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        Self { device, ..self }
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<Visitor: ModuleVisitor>(&self, _visitor: &mut Visitor) {}

    fn map<Mapper: ModuleMapper>(self, _mapper: &mut Mapper) -> Self {
        self
    }
}

impl<I: OnnxInput> ModuleDisplayDefault for OnnxNetwork<I> {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .add("file", &self.graph.path.display().to_string())
            .add("parameters", &self.graph.parameters.to_string())
            .optional()
    }
}

impl<I: OnnxInput> ModuleDisplay for OnnxNetwork<I> {}

impl<I: OnnxInput> fmt::Display for OnnxNetwork<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ModuleDisplay::format(self, DisplaySettings::default()))
    }
}
