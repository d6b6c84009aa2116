use super::GraphDistance;
use super::GraphTerm;
use super::vertex::{GraphLoss, Vertex, assert_teachers};
use crate::entry::GraphTaps;
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::numeric::{as_precise_as, connected_zero};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Temperature of the softmax over the prior scores: the authors' constant.
const PRIOR_TEMPERATURE: f64 = 0.25;

/// Configuration to create a [modality graph loss](ModalityGraphLoss) using the [init
/// function](ModalityGraphLossConfig::init).
#[derive(Config, Debug)]
pub struct ModalityGraphLossConfig {
    /// Number of features that logits and representation are each reduced to, to compute the weight
    /// of an edge. Default: `32`.
    #[config(default = 32)]
    pub edge_features: usize,
    /// Factor of the scores of the edges before the softmax. Default: `0.125`.
    #[config(default = 0.125)]
    pub sharpness: f64,
    /// Prior score of each teacher, such as its accuracy. Default: empty, the same score for all
    /// teachers.
    #[config(default = "Vec::new()")]
    pub prior_scores: Vec<f64>,
    /// Distance between student and teacher. Default: `Cosine`.
    #[config(default = "GraphDistance::Cosine")]
    pub distance: GraphDistance,
    /// Weight of the distances between logits. Default: `10`.
    #[config(default = 10.0)]
    pub logits_weight: f64,
    /// Weight of the distances between representations. Default: `1`.
    #[config(default = 1.0)]
    pub representation_weight: f64,
    /// Weight of the squared difference between the mean edge weights and the prior. Default: `10`.
    #[config(default = 10.0)]
    pub prior_weight: f64,
}

impl ModalityGraphLossConfig {
    /// Creates a [modality graph loss](ModalityGraphLoss) for a number of classes, a number of
    /// features of the student, and the number of features of each teacher.
    ///
    /// # Panics
    ///
    /// Panics if there is no teacher, or if `prior_scores` is not empty and does not have one score
    /// per teacher.
    pub fn init(
        &self,
        num_classes: usize,
        student: usize,
        teachers: &[usize],
        device: &Device,
    ) -> ModalityGraphLoss {
        self.assert_valid();
        let count = teachers.len();
        assert!(
            count > 0,
            "The number of teachers must be at least 1, found 0."
        );
        let scores = match self.prior_scores.len() {
            0 => vec![0.0; count],
            given => {
                assert_eq!(
                    given, count,
                    "The prior of a modality graph loss needs {count} scores, one per teacher, \
                     found {given}."
                );
                self.prior_scores.clone()
            }
        };
        let mut spaces: Vec<RepresentationSpace> = Vec::new();
        for &features in teachers {
            if spaces.iter().all(|space| space.features != features) {
                let projects = features != student;
                spaces.push(RepresentationSpace {
                    features,
                    edge: LinearConfig::new(features, self.edge_features).init(device),
                    projection: projects.then(|| LinearConfig::new(student, features).init(device)),
                });
            }
        }
        let edge = LinearConfig::new(2 * self.edge_features, 1).with_bias(false);
        ModalityGraphLoss {
            logits_edge: LinearConfig::new(num_classes, self.edge_features).init(device),
            spaces,
            edge: edge.init(device),
            prior: prior(&scores, device),
            sharpness: self.sharpness,
            distance: self.distance,
            logits_weight: self.logits_weight,
            representation_weight: self.representation_weight,
            prior_weight: self.prior_weight,
        }
    }
}

impl Check for ModalityGraphLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("edge_features", self.edge_features, 1..=65_536)?;
        check::positive("sharpness", self.sharpness)?;
        for (index, &score) in self.prior_scores.iter().enumerate() {
            check::in_range(format_args!("prior_scores.{index}"), score, -1e6..=1e6)?;
        }
        check::weight("logits_weight", self.logits_weight)?;
        check::weight("representation_weight", self.representation_weight)?;
        check::weight("prior_weight", self.prior_weight)
    }
}

/// Returns the softmax of the scores, computed in double precision. Shape: `[1, teachers]`.
fn prior(scores: &[f64], device: &Device) -> Tensor<2> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares = scores
        .iter()
        .map(|score| ((score - largest) / PRIOR_TEMPERATURE).exp());
    let shares: Vec<_> = shares.collect();
    let sum: f64 = shares.iter().sum();
    let shares: Vec<_> = shares.iter().map(|share| share / sum).collect();
    Tensor::from_data(TensorData::new(shares, [1, scores.len()]), device)
}

/// Parameters for representations of one size, shared by the teachers with that size.
#[derive(Module, Debug)]
pub struct RepresentationSpace {
    /// Number of features of the representations.
    pub features: usize,
    /// Linear layer that reduces a representation, to compute the weight of an edge.
    pub edge: Linear,
    /// Projection of the student's representation to this size, if its own size differs.
    pub projection: Option<Linear>,
}

/// Modality graph: graph distillation from several teachers, such as networks of other modalities,
/// with a learned weight for each teacher and sample.
///
/// ```text
/// hᵐ  = [W_logit zᵐ ; W_repr rᵐ]                       z logits, r representation of teacher m
/// w   = softmax over teachers of sharpness · W_edge hᵐ
/// π   = softmax(prior_scores / 0.25)                   uniform by default
/// L   = logits_weight · mean over samples of Σₘ (wᵐ + πᵐ) distance(z, zᵐ)
///     + representation_weight · mean over samples of Σₘ (wᵐ + πᵐ) distance(r, rᵐ)
///     + prior_weight · Σₘ (mean over samples of wᵐ − πᵐ)²
/// ```
///
/// The weights of a sample sum to 2, because the prior is added. With one teacher `w` and `π` are 1
/// and the last term is zero. No gradient flows to the teachers; all `W` are trained with the
/// student. If a teacher's representation has another size than the student's, a projection of the
/// student's representation is trained, too. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::{ModalityGraphLossConfig, Vertex};
///
/// let device = Device::default();
/// let loss = ModalityGraphLossConfig::new().init(3, 4, &[4, 8], &device);
///
/// let vertex = |features| Vertex {
///     logits: Tensor::ones([2, 3], &device),
///     representation: Tensor::ones([2, features], &device),
/// };
/// let value = loss.forward(vertex(4), vec![vertex(4), vertex(8)]);
/// assert!(value.into_scalar::<f32>().is_finite());
/// ```
///
/// # Reference
///
/// Z. Luo, J.-T. Hsieh, L. Jiang, J. C. Niebles and L. Fei-Fei, [Graph Distillation for Action
/// Detection with Privileged Modalities](https://arxiv.org/abs/1712.00108), ECCV 2018. Agrees with
/// `DistillationKernel` of the authors' graph_distillation, with three exceptions. The authors also
/// compute an edge from the student and a bias: both add the same number for all teachers of a
/// sample, which the softmax cancels, so they are left out here. In neither code does a gradient
/// reach the student through the edges. Their teachers are in training mode, ours in validation
/// mode. Their `kl` accepts no weights and so cannot be used in the graph; ours is weighted.
#[doc(alias = "graph distillation")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ModalityGraphLoss {
    /// Linear layer that reduces logits, to compute the weight of an edge.
    pub logits_edge: Linear,
    /// Parameters for the representations, one for each size.
    pub spaces: Vec<RepresentationSpace>,
    /// Linear layer that computes the score of an edge.
    pub edge: Linear,
    /// Prior weights of the teachers. Shape: `[1, teachers]`.
    pub prior: Tensor<2>,
    /// Factor of the scores before the softmax.
    pub sharpness: f64,
    /// Distance between student and teacher.
    #[module(skip)]
    pub distance: GraphDistance,
    /// Weight of the distances between logits.
    pub logits_weight: f64,
    /// Weight of the distances between representations.
    pub representation_weight: f64,
    /// Weight of the squared difference between the mean edge weights and the prior.
    pub prior_weight: f64,
}

one_line_display!(
    ModalityGraphLoss: teachers = |loss| Some(&loss.prior.dims()[1]),
    sharpness,
    ?distance,
    logits_weight,
    representation_weight,
    prior_weight
);

impl ModalityGraphLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch_size, num_classes]`
    /// - representations: `[batch_size, features]`, with the sizes given at creation
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn forward(&self, student: Vertex, teachers: Vec<Vertex>) -> Tensor<1> {
        let [batch_size, _] = student.logits.dims();
        let [samples, _] = student.representation.dims();
        assert_eq!(
            samples, batch_size,
            "The logits are of {batch_size} samples, but the representations of {samples}; both \
             must be of the same batch."
        );
        let student = student.at_least_f32();
        if batch_size == 0 {
            return connected_zero(student.logits).add(connected_zero(student.representation));
        }
        let teachers = self.constants(batch_size, teachers);

        let edges = self.edges(&teachers);
        let prior = as_precise_as(self.prior.clone(), &edges);
        let share = edges.clone().add(prior.clone());
        let mean = |distances: Vec<Tensor<2>>| {
            let distances = Tensor::cat(distances, 1);
            distances.mul(share.clone()).sum_dim(1).mean()
        };
        let logits = teachers.iter().map(|teacher| {
            self.distance
                .rows(student.logits.clone(), teacher.logits.clone())
        });
        let representations = teachers.iter().map(|teacher| {
            let target = teacher.representation.clone();
            let projection = &self.space(&target).projection;
            let own = student.representation.clone();
            let own = match projection {
                Some(projection) => projection.forward(own),
                None => own,
            };
            self.distance.rows(own, target)
        });
        let from_prior = edges.mean_dim(0).sub(prior).square().sum();
        mean(logits.collect())
            .mul_scalar(self.logits_weight)
            .add(mean(representations.collect()).mul_scalar(self.representation_weight))
            .add(from_prior.mul_scalar(self.prior_weight))
    }

    /// Returns the learned weight of each teacher for each sample; the weights of a sample sum to
    /// 1.
    ///
    /// # Shapes
    ///
    /// - output: `[batch_size, teachers]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn edge_weights(&self, teachers: Vec<Vertex>) -> Tensor<2> {
        let batch_size = teachers.first().map_or(0, |first| first.logits.dims()[0]);
        self.edges(&self.constants(batch_size, teachers))
    }

    fn constants(&self, batch_size: usize, teachers: Vec<Vertex>) -> Vec<Vertex> {
        let count = self.prior.dims()[1];
        for of in [
            |t: &Vertex| t.logits.clone(),
            |t: &Vertex| t.representation.clone(),
        ] {
            assert_teachers(batch_size, count, teachers.iter().map(of));
        }
        let teachers = teachers.into_iter();
        teachers
            .map(|teacher| teacher.without_autodiff().at_least_f32())
            .collect()
    }

    fn edges(&self, teachers: &[Vertex]) -> Tensor<2> {
        let scores = teachers.iter().map(|teacher| {
            let representation = teacher.representation.clone();
            let space = self.space(&representation);
            let hidden = vec![
                self.logits_edge.forward(teacher.logits.clone()),
                space.edge.forward(representation),
            ];
            self.edge.forward(Tensor::cat(hidden, 1))
        });
        let scores = Tensor::cat(scores.collect(), 1);
        softmax(scores.mul_scalar(self.sharpness), 1)
    }

    fn space(&self, representation: &Tensor<2>) -> &RepresentationSpace {
        let [_, features] = representation.dims();
        let space = self.spaces.iter().find(|space| space.features == features);
        space.unwrap_or_else(|| {
            panic!(
                "A teacher's representation has {features} features, for which this modality graph \
                 loss was not created."
            )
        })
    }
}

impl NamedLoss for ModalityGraphLoss {
    fn name(&self) -> &'static str {
        "modality-graph"
    }
}

impl GraphLoss for ModalityGraphLoss {
    fn forward_graph(&self, student: Vertex, teachers: Vec<Vertex>) -> Tensor<1> {
        self.forward(student, teachers)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "modality-graph",
        abbreviation: "",
        about: "weights several teachers by learned edges",
        kind: "relation",
        aliases: &["graph-distillation"],
        reference: "Luo et al., Graph Distillation for Action Detection with Privileged \
            Modalities, ECCV 2018",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let taps = GraphTaps::take(&mut builder)?;
        let contexts = builder.contexts();
        let config = builder.configure(ModalityGraphLossConfig::new())?;
        let given = config.prior_scores.len();
        check::ensure(
            given == 0 || given == contexts.len(),
            "prior_scores",
            format_args!("a list of {} scores, one for each teacher", contexts.len()),
            format_args!("a list of {given}"),
        )?;
        let device = &contexts[0].device;
        let classes = contexts[0].classes()?;
        let loss = config.init(classes, taps.student_features, &taps.features, device);
        builder.joint_term(GraphTerm::new(loss, taps.student, taps.teachers))
    })
    .for_all_teachers()
}
