//! Tensors of a recording, and networks that are built from them.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use burn_distill::core::{Batch, Clock, Frozen, Targets};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

/// Tensors of a recording by their names.
pub struct Recording {
    name: String,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

/// Device of all replays. Not every other device has double precision.
pub fn device() -> Device {
    Device::flex().autodiff()
}

impl Recording {
    pub fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trajectory/recordings");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let values = view.data().chunks_exact(8);
            let values = values.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()));
            (name, (view.shape().to_vec(), values.collect()))
        });
        Self {
            name: name.to_string(),
            tensors: tensors.collect(),
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Returns whether there are tensors of networks or other state under a prefix.
    pub fn has_state(&self, prefix: &str) -> bool {
        let prefix = format!("{prefix}_");
        self.tensors.keys().any(|name| name.starts_with(&prefix))
    }

    pub fn values(&self, name: &str) -> &[f64] {
        let tensor = self.tensors.get(name);
        &tensor
            .unwrap_or_else(|| panic!("{} has no tensor {name}", self.name))
            .1
    }

    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let values = self.values(name).to_vec();
        let data = TensorData::new(values, self.tensors[name].0.clone());
        Tensor::from_data(data, (&device(), DType::F64))
    }

    /// Returns the values of a row of a matrix; of a vector, its single value.
    pub fn row(&self, name: &str, row: usize) -> &[f64] {
        let values = self.values(name);
        let columns = values.len() / self.tensors[name].0[0];
        &values[row * columns..][..columns]
    }

    pub fn steps(&self) -> usize {
        self.values("step_epoch").len()
    }

    pub fn clock(&self, step: usize) -> Clock {
        let epochs = self.values("step_epoch");
        let of_epoch = |&&epoch: &&f64| epoch == epochs[step];
        Clock {
            epoch: epochs[step] as usize + 1,
            batch: epochs[..step].iter().filter(of_epoch).count(),
            batches: epochs.iter().filter(of_epoch).count(),
        }
    }

    /// Returns the samples of a step; −1 is padding.
    pub fn ids(&self, indices: &str, step: usize) -> Vec<usize> {
        let row = self.row(indices, step).iter();
        row.filter(|&&id| id >= 0.0)
            .map(|&id| id as usize)
            .collect()
    }

    /// Returns these samples of a tensor.
    pub fn select<const D: usize>(&self, name: &str, ids: &[usize]) -> Tensor<D> {
        self.tensor::<D>(name).select(0, integers(ids))
    }

    /// Returns the batch of a step, with a view of each of these tensors.
    pub fn batch<const D: usize>(&self, step: usize, views: &[&str]) -> Batch<Tensor<D>> {
        let ids = self.ids("batch_indices", step);
        let targets = match self.contains("labels") {
            true => self.targets(&ids),
            false => Targets::Unlabeled,
        };
        Batch {
            views: views.iter().map(|view| self.select(view, &ids)).collect(),
            targets,
            ids,
            clock: self.clock(step),
        }
    }

    fn targets(&self, ids: &[usize]) -> Targets {
        let labels = self.values("labels");
        let labels: Vec<_> = ids.iter().map(|&id| labels[id]).collect();
        let classes: Vec<_> = labels.iter().map(|label| label.max(0.0) as usize).collect();
        let known: Vec<_> = labels.iter().map(|&label| label >= 0.0).collect();
        let labeled = (!known.iter().all(|&known| known))
            .then(|| Tensor::<1, Bool>::from_data(known.as_slice(), &device()));
        Targets::Classes {
            classes: integers(&classes),
            labeled,
        }
    }

    /// Returns the module with the values of all tensors that are recorded under a prefix, in
    /// double precision.
    ///
    /// The names of its fields are those of the network in PyTorch.
    pub fn load<M: Module>(&self, module: M, prefix: &str) -> M {
        self.load_as(module, prefix, str::to_string)
    }

    /// Returns the module with recorded values, where its fields have other names.
    pub fn load_as<M: Module>(
        &self,
        module: M,
        prefix: &str,
        rename: impl Fn(&str) -> String,
    ) -> M {
        let mut load = Load {
            recording: self,
            prefix,
            rename,
            path: Vec::new(),
            found: 0,
        };
        let module = module.map(&mut load);
        assert!(load.found > 0, "nothing is recorded under {prefix}");
        module
    }

    /// Returns the module in double precision.
    pub fn widen<M: Module>(&self, module: M) -> M {
        module.map(&mut Widen)
    }

    /// Returns the network of a name as a constant.
    pub fn frozen<M: Module>(&self, module: M, prefix: &str) -> Frozen<M> {
        Frozen::new(self.load(module, prefix))
    }

    /// Asserts that every tensor of the module has the recorded value.
    pub fn assert_same<M: Module>(&self, module: &M, prefix: &str) {
        self.assert_same_as(module, prefix, str::to_string);
    }

    pub fn assert_same_as<M: Module>(
        &self,
        module: &M,
        prefix: &str,
        rename: impl Fn(&str) -> String,
    ) {
        self.assert_same_but(module, prefix, rename, &[]);
    }

    /// Asserts that every tensor of the module has the recorded value, those with names of `noisy`
    /// to six digits.
    ///
    /// The gradient of a bias in front of a batch normalization is rounding noise, which Adam
    /// divides by a number that is as small; the running mean follows that bias.
    pub fn assert_same_but<M: Module>(
        &self,
        module: &M,
        prefix: &str,
        rename: impl Fn(&str) -> String,
        noisy: &[&str],
    ) {
        let mut compare = Compare {
            recording: self,
            prefix,
            rename,
            noisy,
            path: Vec::new(),
            compared: 0,
        };
        // In validation mode: in training, running statistics lag behind.
        module.valid().visit(&mut compare);
        assert!(compare.compared > 0, "{prefix} has no tensors");
    }

    /// Asserts that a tensor has the recorded values, to nine digits of the largest of them.
    pub fn assert_tensor<const D: usize>(&self, actual: Tensor<D>, name: &str) {
        self.assert_tensor_to(actual, name, TOLERANCE);
    }

    fn assert_tensor_to<const D: usize>(&self, actual: Tensor<D>, name: &str, tolerance: f64) {
        let actual = actual.into_data().convert::<f64>();
        let actual: Vec<f64> = actual.iter().collect();
        self.assert_values(&actual, self.values(name), name, tolerance);
    }

    pub fn assert_values(&self, actual: &[f64], expected: &[f64], what: &str, tolerance: f64) {
        assert_eq!(actual.len(), expected.len(), "{} {what}", self.name);
        let scale = expected
            .iter()
            .fold(1e-3, |scale: f64, value| scale.max(value.abs()));
        for (actual, expected) in actual.iter().zip(expected) {
            let error = (actual - expected).abs() / scale;
            assert!(
                error <= tolerance, // This also rejects NaN
                "{} {what}: {actual} is not {expected}, a relative error of {error:e}",
                self.name
            );
        }
    }
}

/// Tolerance, relative to the largest value of a tensor.
pub const TOLERANCE: f64 = 1e-9;

pub fn integers(values: &[usize]) -> Tensor<1, Int> {
    let values: Vec<_> = values.iter().map(|&value| value as i64).collect();
    Tensor::from_data(values.as_slice(), &device())
}

/// Path of a tensor in the module tree, with the structs that contain it.
type Places = Vec<(String, String)>;

/// Returns the name of a tensor in PyTorch, and whether its layout there is the transpose of ours.
fn named(path: &Places, rename: &impl Fn(&str) -> String) -> (String, bool) {
    let names = path.iter().map(|(name, _)| match name.as_str() {
        "gamma" => "weight",
        "beta" => "bias",
        name => name,
    });
    let name = names.collect::<Vec<_>>().join(".");
    let transposed = path
        .last()
        .is_some_and(|(name, container)| name == "weight" && container == "Struct:Linear");
    (rename(&name), transposed)
}

struct Load<'a, R> {
    recording: &'a Recording,
    prefix: &'a str,
    rename: R,
    path: Places,
    found: usize,
}

impl<R: Fn(&str) -> String> ModuleMapper for Load<'_, R> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push((name.into(), container_type.into()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (name, transposed) = named(&self.path, &self.rename);
        let name = format!("{}.{name}", self.prefix);
        if !self.recording.contains(&name) {
            return Widen.map_float(param);
        }
        self.found += 1;
        let tensor: Tensor<D> = self.recording.tensor(&name);
        let tensor = if transposed {
            tensor.transpose()
        } else {
            tensor
        };
        let before = param.val();
        assert_eq!(tensor.dims(), before.dims(), "{name}");
        let tensor = match before.device().is_autodiff() {
            true => tensor,
            false => tensor.without_autodiff(),
        };
        param.map(|before| tensor.set_require_grad(before.is_require_grad()))
    }
}

struct Widen;

impl ModuleMapper for Widen {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let trains = tensor.is_require_grad();
            tensor.detach().cast(DType::F64).set_require_grad(trains)
        })
    }
}

struct Compare<'a, R> {
    recording: &'a Recording,
    prefix: &'a str,
    rename: R,
    noisy: &'a [&'a str],
    path: Places,
    compared: usize,
}

impl<R: Fn(&str) -> String> ModuleVisitor for Compare<'_, R> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push((name.into(), container_type.into()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (name, transposed) = named(&self.path, &self.rename);
        let tensor = param.val();
        let tensor = if transposed {
            tensor.transpose()
        } else {
            tensor
        };
        let tolerance = match self.noisy.contains(&name.as_str()) {
            true => 1e-6,
            false => TOLERANCE,
        };
        let name = format!("{}.{name}", self.prefix);
        self.recording.assert_tensor_to(tensor, &name, tolerance);
        self.compared += 1;
    }
}
