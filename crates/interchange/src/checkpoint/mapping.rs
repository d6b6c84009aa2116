use super::base::Checkpoint;
use super::error::CheckpointError;
use super::format::CheckpointFormat;
use super::keys::KeyMap;
use super::layout::in_burn;
use super::tensor::StoredTensor;
use burn::tensor::TensorData;
use burn_distill_architecture::CheckpointTensor;
use burn_distill_core::WeightsFile;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};

/// Names under which checkpoints store the weights of a network, the usual ones first.
const CONTAINERS: &[&str] = &[
    "",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "teacher",
    "student",
    "ema",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
];

/// Names of tensors of PyTorch that are not weights.
const WITHOUT_COUNTERPART: &[&str] = &["num_batches_tracked", "position_ids"];

/// Most parts of a name that are tried as a prefix.
const DEEPEST: usize = 3;

/// Assignment of the tensors of a checkpoint to those of a network.
///
/// It is [complete](Self::is_complete) if every tensor of the network has a counterpart of the same
/// shape, and every tensor of the checkpoint is used. Tensors outside of the part with the network,
/// such as the state of an optimizer, are only counted.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use burn_distill_core::WeightsFile;
/// use burn_distill_interchange::{Checkpoint, KeyMap, Mapping, pytorch_layout};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("linear.bpk");
/// let device = Device::flex();
/// WeightsFile::new(LinearConfig::new(4, 2).init(&device).into_record())?.write(&path)?;
///
/// let larger = LinearConfig::new(4, 3).init(&device);
/// let layouts = [pytorch_layout(&larger)];
/// let mapping = Mapping::new(&Checkpoint::open(&path)?, &layouts, &KeyMap::default());
/// assert!(!mapping.is_complete());
/// let bias = &mapping.shape_mismatches[1];
/// assert_eq!((&bias.found[..], &bias.expected[..]), (&[2][..], &[3][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Prefix of the names of the network in the checkpoint, such as `state_dict.module`; empty if
    /// the network is at the top level.
    pub part: String,
    /// Tensors of the network with their counterparts.
    pub assigned: Vec<Assigned>,
    /// Names of tensors of the network that the checkpoint lacks, with their shapes.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Names of tensors of the checkpoint that the network lacks, with their shapes.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Tensors of the same name, but of another shape.
    pub shape_mismatches: Vec<ShapeMismatch>,
    /// Number of tensors outside of the part with the network, by the first part of their names.
    pub outside: BTreeMap<String, usize>,
}

/// Tensor of a network with its counterpart in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Name in the checkpoint.
    pub name: String,
    /// Path in the network.
    pub path: String,
    /// Whether the tensor is transposed for the network.
    pub transposed: bool,
}

/// Tensor whose shape in the checkpoint is not that in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// Name in the checkpoint.
    pub name: String,
    /// Shape in the checkpoint.
    pub found: Vec<usize>,
    /// Shape that the network expects there.
    pub expected: Vec<usize>,
}

impl ShapeMismatch {
    /// Returns the numbers of classes of the checkpoint and of the network, if the shapes are those
    /// of the weights or the bias of a last layer.
    fn classes(&self) -> Option<(usize, usize)> {
        let (found, expected) = (&self.found[..], &self.expected[..]);
        // The weights begin with the classes in PyTorch, and end with them in burn.
        let first = found.split_first().zip(expected.split_first());
        let last = found.split_last().zip(expected.split_last());
        let same_rest = |((found, rest), (expected, other)): ((&usize, _), (&usize, _))| {
            let (rest, other): (&[usize], &[usize]) = (rest, other);
            (rest == other).then_some((*found, *expected))
        };
        first.and_then(same_rest).or(last.and_then(same_rest))
    }
}

impl Mapping {
    /// Assigns the tensors of a checkpoint to those of a network.
    ///
    /// `layouts` are the names that the tensors of the network may have, such as those of
    /// [`NetworkConfig::checkpoint`](burn_distill_architecture::NetworkConfig::checkpoint) and of
    /// [`pytorch_layout`](super::pytorch_layout); the paths of burn are tried for each. The names of the
    /// network may have any prefix in the checkpoint, such as `state_dict.module.`. Of all
    /// combinations, the one with the most counterparts is used. `keys` renames the tensors after
    /// the prefix is removed.
    pub fn new(checkpoint: &Checkpoint, layouts: &[Vec<CheckpointTensor>], keys: &KeyMap) -> Self {
        let tensors = checkpoint.tensors();
        let smallest = layouts.iter().map(Vec::len).min().unwrap_or_default();
        let parts = parts(tensors, smallest);
        let ours = layouts.iter().map(|layout| in_burn(layout));
        // A square matrix fits both ways: a file of burn has its own, other files that of PyTorch.
        let layouts: Vec<_> = match checkpoint.format() {
            CheckpointFormat::Burnpack => ours.collect(),
            _ => layouts.iter().cloned().chain(ours).collect(),
        };
        let mut best: Option<((usize, usize), Self)> = None;
        for part in &parts {
            let named = named(tensors, part, keys);
            for layout in &layouts {
                let score = score(&named, layout);
                if best.as_ref().is_none_or(|(other, _)| score > *other) {
                    best = Some((score, Self::of(tensors, part, &named, layout)));
                }
            }
        }
        best.map(|(_, mapping)| mapping).unwrap_or_default()
    }

    fn of(
        tensors: &[StoredTensor],
        part: &str,
        named: &Named<'_>,
        layout: &[CheckpointTensor],
    ) -> Self {
        let mut mapping = Self {
            part: part.to_string(),
            ..Self::default()
        };
        let mut used: HashMap<&str, &str> = HashMap::new();
        for tensor in layout {
            let Some(found) = named.by_key.get(tensor.original.as_str()) else {
                let missing = (tensor.original.clone(), tensor.shape.clone());
                mapping.missing.push(missing);
                continue;
            };
            used.insert(&found.name, &tensor.path);
            if found.shape == tensor.shape {
                mapping.assigned.push(Assigned {
                    name: found.name.clone(),
                    path: tensor.path.clone(),
                    transposed: tensor.transposed,
                });
            } else {
                mapping.shape_mismatches.push(ShapeMismatch {
                    name: found.name.clone(),
                    found: found.shape.clone(),
                    expected: tensor.shape.clone(),
                });
            }
        }
        let unused = named
            .all
            .iter()
            .filter(|it| !used.contains_key(it.name.as_str()));
        mapping.unexpected = unused
            .map(|it| (it.name.clone(), it.shape.clone()))
            .collect();
        for tensor in tensors
            .iter()
            .filter(|it| in_part(&it.name, part).is_none())
        {
            let first = tensor.name.split('.').next().unwrap_or_default();
            *mapping.outside.entry(first.to_string()).or_default() += 1;
        }
        mapping
    }

    /// Returns whether the checkpoint holds exactly the weights of the network.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shape_mismatches.is_empty()
    }

    /// Returns the number of classes of the checkpoint, if it differs from a network for this number
    /// of classes only in the last layer, which is for other classes.
    pub fn other_classes(&self, classes: usize) -> Option<usize> {
        let only_shapes = self.missing.is_empty() && self.unexpected.is_empty();
        let mut counts = self.shape_mismatches.iter().map(ShapeMismatch::classes);
        let first = counts.next().flatten().filter(|_| only_shapes)?;
        let (found, expected) = first;
        // The weights of one layer, or those of the two heads of a network with a distillation token,
        // with their biases.
        let is_layer = matches!(self.shape_mismatches.len(), 1 | 2 | 4);
        // Another size of the first layer, of the inputs, looks the same.
        let is_last = is_layer && expected == classes;
        (is_last && counts.all(|counts| counts == Some(first))).then_some(found)
    }

    /// Reads the values of a complete mapping, as a file of weights for the network.
    ///
    /// Half precision and double precision become `float32`.
    ///
    /// # Errors
    ///
    /// Returns an error if values cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if the mapping is not complete, or of another checkpoint.
    pub fn read(&self, checkpoint: &Checkpoint) -> Result<WeightsFile, CheckpointError> {
        assert!(
            self.is_complete(),
            "the checkpoint does not fit the network: {self}"
        );
        let read = self.assigned.iter().map(|assigned| {
            let tensor = checkpoint.get(&assigned.name);
            let data = tensor
                .expect("the mapping is that of the checkpoint")
                .read()?;
            let data = match data.dtype().is_float() {
                true => data.convert::<f32>(),
                false => data,
            };
            let data = match assigned.transposed {
                true => transposed(&data),
                false => data,
            };
            Ok((assigned.path.clone(), data))
        });
        Ok(WeightsFile::from_tensors(
            read.collect::<Result<Vec<_>, CheckpointError>>()?,
        ))
    }
}

/// Tensors of a part of a checkpoint, by their changed names.
struct Named<'a> {
    all: Vec<&'a StoredTensor>,
    by_key: HashMap<Cow<'a, str>, &'a StoredTensor>,
}

fn named<'a>(tensors: &'a [StoredTensor], part: &str, keys: &KeyMap) -> Named<'a> {
    let mut named = Named {
        all: Vec::new(),
        by_key: HashMap::new(),
    };
    for tensor in tensors {
        let last = tensor.name.rsplit('.').next().unwrap_or_default();
        let Some(key) = in_part(&tensor.name, part) else {
            continue;
        };
        if WITHOUT_COUNTERPART.contains(&last) {
            continue;
        }
        named.all.push(tensor);
        // Of two tensors of one name, the second one stays without a counterpart and is listed.
        named.by_key.entry(keys.apply(key)).or_insert(tensor);
    }
    named
}

/// Returns the numbers of tensors of a layout with a counterpart of their shape, and of any shape.
fn score(named: &Named<'_>, layout: &[CheckpointTensor]) -> (usize, usize) {
    let found = layout.iter().filter_map(|tensor| {
        let found = named.by_key.get(tensor.original.as_str())?;
        Some(found.shape == tensor.shape)
    });
    found.fold((0, 0), |(fit, any), fits| {
        (fit + usize::from(fits), any + 1)
    })
}

/// Returns the name of a tensor in a part of a checkpoint, if it is there.
fn in_part<'a>(name: &'a str, part: &str) -> Option<&'a str> {
    match part {
        "" => Some(name),
        part => name.strip_prefix(part)?.strip_prefix('.'),
    }
}

/// Returns the parts of a checkpoint that may have a network of that number of tensors, the more
/// usual ones first.
fn parts(tensors: &[StoredTensor], smallest: usize) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for tensor in tensors {
        let dots = tensor.name.match_indices('.').take(DEEPEST);
        for (end, _) in dots {
            *counts.entry(&tensor.name[..end]).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count * 2 >= smallest);
    let mut parts: Vec<_> = counts.keys().copied().chain([""]).collect();
    let rank = |part: &str| {
        let first = part.split('.').next().unwrap_or_default();
        let place = CONTAINERS.iter().position(|it| *it == first);
        place.unwrap_or(CONTAINERS.len())
    };
    parts.sort_by_key(|part| (rank(part), part.len(), *part));
    parts.truncate(MOST_PARTS);
    parts.into_iter().map(str::to_string).collect()
}

/// Most parts that are tried.
const MOST_PARTS: usize = 64;

/// Returns the transpose of a matrix.
fn transposed(data: &TensorData) -> TensorData {
    let shape = data.shape().as_slice();
    let [rows, columns] = [shape[0], shape[1]];
    let size = data.dtype().size();
    let bytes = data.as_bytes();
    let mut turned = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let start = (row * columns + column) * size;
            turned.extend_from_slice(&bytes[start..start + size]);
        }
    }
    TensorData::from_bytes_vec(turned, [columns, rows], data.dtype())
}

/// Writes the counterparts, then each kind of difference in a line.
impl Display for Mapping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let expected = self.assigned.len() + self.missing.len() + self.shape_mismatches.len();
        write!(f, "{} of {expected} tensors fit", self.assigned.len())?;
        if !self.part.is_empty() {
            write!(f, ", under `{}`", self.part)?;
        }
        let shown = |(name, shape): &(String, Vec<usize>)| format!("`{name}` {shape:?}");
        list(f, "missing", self.missing.iter().map(shown))?;
        list(f, "unexpected", self.unexpected.iter().map(shown))?;
        let other = self.shape_mismatches.iter();
        list(
            f,
            "of another shape",
            other.map(|it| format!("`{}` {:?} instead of {:?}", it.name, it.found, it.expected)),
        )?;
        if self.outside.is_empty() {
            return Ok(());
        }
        let outside = self.outside.iter();
        let outside = outside.map(|(name, count)| format!("`{name}` ({count})"));
        let shown: Vec<_> = outside.take(SHOWN).collect();
        write!(f, "\n  left out, beside the network: {}", shown.join(", "))
    }
}

/// Most names of a kind of difference that are written.
const SHOWN: usize = 4;

fn list(
    f: &mut Formatter<'_>,
    kind: &str,
    all: impl ExactSizeIterator<Item = String>,
) -> fmt::Result {
    let count = all.len();
    if count == 0 {
        return Ok(());
    }
    let names: Vec<_> = all.take(SHOWN).collect();
    write!(f, "\n  {count} {kind}: {}", names.join(", "))?;
    match count - names.len() {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
