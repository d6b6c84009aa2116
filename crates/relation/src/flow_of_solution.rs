use crate::entry::projected_layers;
use crate::layers::check_layers;
use crate::layers::check_maps;
use burn::config::Config;
use burn::module::Module;
use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_norm, pool_to};
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, Tap,
    one_line_display, zero_padded_maps,
};

/// Distance between two flows of a pair of layers.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum FlowDistance {
    /// Mean of the squared differences, as in RepDistiller and Knowledge-Distillation-Zoo.
    MeanSquare,
    /// Half the squared Frobenius norm, averaged over samples, as in KD_methods_with_TF (which
    /// multiplies it by 1e-3).
    HalfSquare,
    /// Half the squared Frobenius norm divided by the number of entries, as in SSKD_SVD.
    HalfSquarePerEntry,
    /// L2 norm of each column, summed over columns and averaged over samples, as in torchdistill.
    ColumnNorm,
}

/// Pooling that brings the larger map of a pair to the size of the smaller one.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum FlowPooling {
    /// Adaptive average pooling, as in RepDistiller.
    Average,
    /// Max pooling, as in KD_methods_with_TF and torchdistill. The larger size must be a multiple
    /// of the smaller one.
    Max,
}

/// Configuration to create a [flow of solution loss](FlowOfSolutionLoss) using the
/// [init function](FlowOfSolutionLossConfig::init).
#[derive(Config, Debug)]
pub struct FlowOfSolutionLossConfig {
    /// Distance between two flows. Default: `MeanSquare`.
    #[config(default = "FlowDistance::MeanSquare")]
    pub distance: FlowDistance,
    /// Pooling that matches the sizes within a pair of layers. Default: `Average`.
    #[config(default = "FlowPooling::Average")]
    pub pooling: FlowPooling,
    /// Whether to average over the pairs of layers, as in Knowledge-Distillation-Zoo, instead of
    /// summing. Default: `false`.
    #[config(default = false)]
    pub average_pairs: bool,
}

impl FlowOfSolutionLossConfig {
    /// Creates a [flow of solution loss](FlowOfSolutionLoss).
    pub fn init(&self) -> FlowOfSolutionLoss {
        FlowOfSolutionLoss {
            distance: self.distance,
            pooling: self.pooling,
            average_pairs: self.average_pairs,
        }
    }
}

impl Check for FlowOfSolutionLossConfig {}

/// Flow of solution procedure (FSP): matches the inner products between the channels of consecutive
/// layers.
///
/// ```text
/// flow(F, F') = F F'ᵀ / pixels,     maps flattened to [channels, pixels], the larger one pooled
/// MeanSquare:  L = Σ over consecutive layers of mean (flow(student) − flow(teacher))²
/// ```
///
/// Each factor is divided by `√pixels` before the product, to avoid overflow. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// Both networks need the same number of channels in each layer; for a student with other numbers,
/// wrap the loss in [`Projected`](crate::Projected).
///
/// # Training
///
/// The authors train in two stages: first with this loss only, without the classifier, then with
/// the labels only and a fresh optimizer. The loss is also used beside the cross-entropy with the
/// labels.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::FlowOfSolutionLossConfig;
///
/// let device = Device::default();
/// let student = [[2, 3, 8, 8], [2, 5, 4, 4]].map(|shape| Tensor::<4>::ones(shape, &device));
/// let teacher = [[2, 3, 8, 8], [2, 5, 2, 2]].map(|shape| Tensor::<4>::ones(shape, &device));
///
/// let loss = FlowOfSolutionLossConfig::new().init();
/// let loss = loss.forward(student.to_vec(), teacher.to_vec());
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// J. Yim, D. Joo, J. Bae and J. Kim, [A Gift from Knowledge
/// Distillation](https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html),
/// CVPR 2017. Agrees with `FSP` of RepDistiller; the options agree with the implementations that
/// they name.
#[doc(alias = "FSP")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct FlowOfSolutionLoss {
    /// Distance between two flows.
    #[module(skip)]
    pub distance: FlowDistance,
    /// Pooling that matches the sizes within a pair of layers.
    #[module(skip)]
    pub pooling: FlowPooling,
    /// Whether to average over the pairs of layers instead of summing.
    pub average_pairs: bool,
}

one_line_display!(FlowOfSolutionLoss: ?distance, ?pooling, average_pairs);

impl FlowOfSolutionLoss {
    /// Computes the loss of the maps of several layers, in the order of the forward pass.
    ///
    /// # Shapes
    ///
    /// - student: each `[batch_size, channels, height, width]`
    /// - teacher: each `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two layers, if the numbers of layers differ, or if the
    /// channels or batch sizes differ.
    pub fn forward(&self, student: Vec<Tensor<4>>, teacher: Vec<Tensor<4>>) -> Tensor<1> {
        check_layers(&student, &teacher);
        if student[0].dims()[0] == 0 {
            return connected_zero(student[0].clone());
        }
        let student: Vec<_> = student.into_iter().map(at_least_f32).collect();
        let teacher = teacher.into_iter().map(Tensor::without_autodiff);
        let teacher: Vec<_> = teacher.map(at_least_f32).collect();

        let pairs = student.len() - 1;
        let loss = student
            .windows(2)
            .zip(teacher.windows(2))
            .map(|(student, teacher)| self.distance(self.flow(student).sub(self.flow(teacher))))
            .reduce(Tensor::add)
            .expect("There are two layers.");
        match self.average_pairs {
            true => loss.div_scalar(pairs as f64),
            false => loss,
        }
    }

    /// Returns the flow from one map to the next. Shape: `[batch_size, channels, next_channels]`.
    fn flow(&self, pair: &[Tensor<4>]) -> Tensor<3> {
        let ([.., height, width], [.., next_height, next_width]) = (pair[0].dims(), pair[1].dims());
        let size = [height.min(next_height), width.min(next_width)];
        let root = ((size[0] * size[1]) as f64).sqrt();
        let flat = |map: &Tensor<4>| -> Tensor<3> {
            self.pooling
                .to_size(map.clone(), size)
                .flatten(2, 3)
                .div_scalar(root)
        };
        flat(&pair[0]).matmul(flat(&pair[1]).swap_dims(1, 2))
    }

    fn distance(&self, difference: Tensor<3>) -> Tensor<1> {
        let [_, rows, columns] = difference.dims();
        let half = |difference: Tensor<3>| {
            let square: Tensor<2> = difference.square().flatten(1, 2);
            square.sum_dim(1).mean().div_scalar(2.0)
        };
        match self.distance {
            FlowDistance::MeanSquare => difference.square().mean(),
            FlowDistance::HalfSquare => half(difference),
            FlowDistance::HalfSquarePerEntry => {
                half(difference).div_scalar((rows * columns) as f64)
            }
            FlowDistance::ColumnNorm => l2_norm(difference, 1).sum_dim(2).mean(),
        }
    }
}

impl FlowPooling {
    /// Checks that a map can be pooled to a size.
    fn check(self, [height, width]: [usize; 2], size: [usize; 2]) -> Result<(), LossError> {
        let fits = match self {
            Self::Average => true,
            Self::Max => height % size[0] == 0 && width % size[1] == 0,
        };
        match fits {
            true => Ok(()),
            false => Err(LossError::new(format_args!(
                "Max pooling of a flow needs a size that is a multiple of {}×{}, found \
                 {height}×{width}; use average pooling.",
                size[0], size[1]
            ))),
        }
    }

    fn to_size(self, map: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
        let [.., map_height, map_width] = map.dims();
        match self {
            Self::Average => pool_to(map, [height, width]),
            Self::Max if [map_height, map_width] == [height, width] => map,
            Self::Max => {
                if let Err(error) = self.check([map_height, map_width], [height, width]) {
                    panic!("{error}");
                }
                let window = [map_height / height, map_width / width];
                let pool = MaxPool2dConfig::new(window).with_strides(window).init();
                pool.forward(map)
            }
        }
    }
}

impl NamedLoss for FlowOfSolutionLoss {
    fn name(&self) -> &'static str {
        "flow-of-solution"
    }
}

impl MultiLayerLoss for FlowOfSolutionLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] =
            [student, teacher].map(|taps| zero_padded_maps(taps, mask.as_ref()));
        self.forward(student, teacher)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_maps(student, teacher)?;
        for maps in [student, teacher] {
            for pair in maps.windows(2) {
                let [size, next] = [&pair[0], &pair[1]].map(|tap| {
                    let [.., height, width] = tap.clone().into_map().dims();
                    [height, width]
                });
                let least = [size[0].min(next[0]), size[1].min(next[1])];
                self.pooling.check(size, least)?;
                self.pooling.check(next, least)?;
            }
        }
        Ok(())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "flow-of-solution",
        abbreviation: "FSP",
        about: "matches products of channels of consecutive layers",
        kind: "relation",
        aliases: &["fsp"],
        reference: "Yim et al., A Gift from Knowledge Distillation, CVPR 2017",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        projected_layers(builder, FlowOfSolutionLossConfig::new(), |config| {
            config.init()
        })
    })
}
