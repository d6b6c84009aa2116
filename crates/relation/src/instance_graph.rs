use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, masked_mean, match_size, pairwise_squared_distances,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, DefaultTaps, Input, LossEntry, LossError, LossTerm,
    MultiLayerLoss, NamedLoss, PairedRows, Requirements, Response, Tap, TapSelection, check,
    one_line_display, zero_padding_of_taps,
};

/// Assignment of layers whose edges are compared.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum LayerPairing {
    /// Each layer of the student with the teacher's layer at the same position.
    OneToOne,
    /// Each layer of the student with the teacher's last layer.
    OneToAll,
    /// Each layer of the student with every layer of the teacher.
    AllToAll,
}

/// Definition of the transformation from one layer to the next.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum GraphTransformation {
    /// Squared distance between the features of each sample in the two layers, divided by the
    /// maximum, as in Knowledge-Distillation-Zoo. Only between maps: the larger map is pooled, and
    /// pairs of channels are averaged if the next layer has twice the number.
    Vertices,
    /// Mean squared difference between the edges of the two layers, one number, for layers of any
    /// kind. SemCKD computes the same number, but sums it over disjoint pairs of layers; here it is
    /// averaged over all consecutive layers.
    Edges,
}

/// Configuration to create an [instance graph loss](InstanceGraphLoss) using the
/// [init function](InstanceGraphLossConfig::init).
#[derive(Config, Debug)]
pub struct InstanceGraphLossConfig {
    /// Weight of the vertices: the logits. At least 0. Default: `0.1`.
    #[config(default = 0.1)]
    pub vertex_weight: f64,
    /// Weight of the edges. At least 0. Default: `5.0`.
    #[config(default = 5.0)]
    pub edge_weight: f64,
    /// Weight of the transformations between layers. At least 0. Default: `5.0`.
    #[config(default = 5.0)]
    pub transformation_weight: f64,
    /// Assignment of layers whose edges are compared. Default: `OneToOne`.
    #[config(default = "LayerPairing::OneToOne")]
    pub pairing: LayerPairing,
    /// Definition of a transformation. Default: `Vertices`.
    #[config(default = "GraphTransformation::Vertices")]
    pub transformation: GraphTransformation,
    /// Whether the maximum that edges are divided by is a constant, without gradient, as in the
    /// authors' code. Default: `false`.
    #[config(default = false)]
    pub detach_max: bool,
}

impl InstanceGraphLossConfig {
    /// Creates an [instance graph loss](InstanceGraphLoss).
    ///
    /// # Panics
    ///
    /// Panics if a weight is below 0.
    pub fn init(&self) -> InstanceGraphLoss {
        self.assert_valid();
        InstanceGraphLoss {
            vertex_weight: self.vertex_weight,
            edge_weight: self.edge_weight,
            transformation_weight: self.transformation_weight,
            pairing: self.pairing,
            transformation: self.transformation,
            detach_max: self.detach_max,
        }
    }
}

impl Check for InstanceGraphLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::weight("vertex_weight", self.vertex_weight)?;
        check::weight("edge_weight", self.edge_weight)?;
        check::weight("transformation_weight", self.transformation_weight)
    }
}

/// Instance relationship graph (IRG): matches the graph of a batch, whose vertices are samples and
/// whose edges are their distances, and the change of that graph from layer to layer.
///
/// ```text
/// edges(F)ᵢⱼ    = ‖Fᵢ − Fⱼ‖² / max
/// moves(F, F')ᵢ = ‖Fᵢ − F'ᵢ‖² / max
/// L = vertex_weight · mean (logits(student) − logits(teacher))²
///   + edge_weight · mean over layers of mean (edges(student) − edges(teacher))²
///   + transformation_weight · mean over consecutive layers of mean (steps(student) − steps(teacher))²
/// ```
///
/// The steps are the `moves` between consecutive maps or, with [`GraphTransformation::Edges`], the
/// mean squared difference between the `edges` of consecutive layers, including the step to pooled
/// features.
///
/// The features of a layer are flattened; student and teacher may have features of different sizes.
/// The gradient flows through the maximum unless `detach_max` is set. If all samples of a batch are
/// equal, their edges are zero, with a zero gradient. The teacher is a constant: no gradient flows
/// to it. Half precision is widened to single.
///
/// # Weights
///
/// Knowledge-Distillation-Zoo uses the last two stages and the pooled features, the default
/// weights, and a weight of 1 for the whole loss beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective). The authors use a weight of 0.005 for the
/// edges of the pooled features.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{MultiLayerLoss, Tap};
/// use burn_distill_relation::InstanceGraphLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &device);
/// let teacher = student.clone().mul_scalar(-3.0).add_scalar(7.0);
///
/// let loss = InstanceGraphLossConfig::new().init();
/// let loss = loss.forward_layers(vec![Tap::Vector(student)], vec![Tap::Vector(teacher)], None);
///
/// assert!(loss.into_scalar::<f32>() < 1e-9);
/// ```
///
/// # Reference
///
/// Y. Liu, J. Cao, B. Li, C. Yuan, W. Hu, Y. Li and Y. Duan, [Knowledge Distillation via Instance
/// Relationship
/// Graph](https://openaccess.thecvf.com/content_CVPR_2019/html/Liu_Knowledge_Distillation_via_Instance_Relationship_Graph_CVPR_2019_paper.html),
/// CVPR 2019. Agrees with `IRG` of Knowledge-Distillation-Zoo. The authors' Caffe layers compute
/// half the gradient of their edges, which is not reproduced here. The paper names the pairings;
/// the choice of the teacher's last layer for `OneToAll` is our interpretation.
#[doc(alias = "IRG")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct InstanceGraphLoss {
    /// Weight of the vertices.
    pub vertex_weight: f64,
    /// Weight of the edges.
    pub edge_weight: f64,
    /// Weight of the transformations.
    pub transformation_weight: f64,
    /// Assignment of layers whose edges are compared.
    #[module(skip)]
    pub pairing: LayerPairing,
    /// Definition of a transformation.
    #[module(skip)]
    pub transformation: GraphTransformation,
    /// Whether the maximum that edges are divided by is a constant, without gradient.
    pub detach_max: bool,
}

one_line_display!(
    InstanceGraphLoss: vertex_weight,
    edge_weight,
    transformation_weight,
    ?pairing,
    ?transformation,
    detach_max
);

/// Parts of an [instance graph loss](InstanceGraphLoss), not yet multiplied by their weights.
#[derive(Clone, Debug)]
pub struct InstanceGraphParts {
    /// Loss of the vertices, the responses of both networks; `None` if their weight is 0. Shape:
    /// `[1]`.
    pub vertex: Option<Tensor<1>>,
    /// Loss of the edges, the distances between samples. Shape: `[1]`.
    pub edge: Tensor<1>,
    /// Loss of the transformations, the changes from layer to layer; `None` if their weight is 0 or
    /// if there is only one layer. Shape: `[1]`.
    pub transformation: Option<Tensor<1>>,
}

impl InstanceGraphLoss {
    /// Name of the term and of the loss in a recipe.
    pub const TERM: &'static str = "instance-graph";

    /// Computes the loss of a batch: vertices, edges and transformations.
    ///
    /// # Panics
    ///
    /// Panics if the responses have different numbers of classes and `vertex_weight` is not 0, and
    /// in the cases in which [`forward_layers`](MultiLayerLoss::forward_layers) panics.
    pub fn forward(
        &self,
        student: &Response,
        teacher: &Response,
        student_layers: Vec<Tap>,
        teacher_layers: Vec<Tap>,
    ) -> Tensor<1> {
        let relations = self.forward_layers(student_layers, teacher_layers, None);
        if self.vertex_weight == 0.0 {
            return relations;
        }
        relations.add(vertices(student, teacher).mul_scalar(self.vertex_weight))
    }

    /// Computes the parts of a batch. Vertices and transformations are left out if their weight is
    /// 0.
    ///
    /// # Panics
    ///
    /// Panics in the cases in which [`forward`](Self::forward) panics.
    pub fn forward_parts(
        &self,
        student: &Response,
        teacher: &Response,
        student_layers: Vec<Tap>,
        teacher_layers: Vec<Tap>,
    ) -> InstanceGraphParts {
        let vertex = (self.vertex_weight != 0.0).then(|| vertices(student, teacher));
        InstanceGraphParts {
            vertex,
            ..self.relations(student_layers, teacher_layers, None)
        }
    }

    /// Computes the edges and the transformations.
    fn relations(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> InstanceGraphParts {
        let [student, teacher] =
            [student, teacher].map(|taps| zero_padding_of_taps(taps, mask.as_ref()));
        if let Err(error) = self.check_layers(&student, &teacher) {
            panic!("{error}");
        }
        let transformed = self.transformation_weight > 0.0;
        let batch_size = student[0].shape()[0];
        for teacher in &teacher {
            let teacher = teacher.shape();
            assert!(
                teacher[0] == batch_size,
                "Student and teacher need the same batch size, found {batch_size} and {}.",
                teacher[0]
            );
        }
        let parts = |edge, transformation| InstanceGraphParts {
            vertex: None,
            edge,
            transformation,
        };
        if batch_size == 0 {
            let zero = connected_zero(student[0].clone().into_vectors());
            return parts(zero, None);
        }
        let teacher: Vec<_> = teacher.into_iter().map(Tap::without_autodiff).collect();
        let edges = |taps: &[Tap]| -> Vec<Tensor<2>> {
            let vectors = taps
                .iter()
                .map(|tap| at_least_f32(tap.clone().into_vectors()));
            vectors
                .map(|vectors| edges(vectors, self.detach_max))
                .collect()
        };
        let (student_edges, teacher_edges) = (edges(&student), edges(&teacher));
        let edge = self.edges(&student_edges, &teacher_edges);
        if !transformed {
            return parts(edge, None);
        }
        let transformations: Vec<_> = match self.transformation {
            GraphTransformation::Vertices => {
                let (student, teacher) = (only_maps(student), only_maps(teacher));
                let (student, teacher) = (student.windows(2), teacher.windows(2));
                let pairs = student.zip(teacher);
                pairs.map(|(s, t)| (self.moves(s), self.moves(t))).collect()
            }
            GraphTransformation::Edges => {
                let change =
                    |pair: &[Tensor<2>]| pair[0].clone().sub(pair[1].clone()).square().mean();
                let (student, teacher) = (student_edges.windows(2), teacher_edges.windows(2));
                let pairs = student.zip(teacher);
                pairs.map(|(s, t)| (change(s), change(t))).collect()
            }
        };
        if transformations.is_empty() {
            return parts(edge, None);
        }
        let transformation = mean_over(transformations, |(student, teacher)| {
            student.sub(teacher).square().mean()
        });
        parts(edge, Some(transformation))
    }

    fn edges(&self, student: &[Tensor<2>], teacher: &[Tensor<2>]) -> Tensor<1> {
        let pairs: Vec<_> = match self.pairing {
            LayerPairing::OneToOne => student.iter().zip(teacher).collect(),
            LayerPairing::OneToAll => {
                let last = teacher.last().expect("There is a layer.");
                student.iter().map(|student| (student, last)).collect()
            }
            LayerPairing::AllToAll => student
                .iter()
                .flat_map(|student| teacher.iter().map(move |teacher| (student, teacher)))
                .collect(),
        };
        mean_over(pairs, |(student, teacher)| {
            student.clone().sub(teacher.clone()).square().mean()
        })
    }

    /// Returns the distance between the features of each sample in two maps. Shape: `[batch_size]`.
    fn moves(&self, pair: &[Tensor<4>]) -> Tensor<1> {
        let (map, next) = match_size(pair[0].clone(), pair[1].clone());
        let ([batch_size, channels, height, width], [_, next_channels, _, _]) =
            (map.dims(), next.dims());
        let next = match next_channels {
            same if same == channels => next,
            twice if twice == 2 * channels => {
                let pairs = next.reshape([batch_size, channels, 2, height * width]);
                let average: Tensor<3> = pairs.mean_dim(2).squeeze_dim(2);
                average.reshape([batch_size, channels, height, width])
            }
            other => panic!("{}", unrelated_widths(channels, other)),
        };
        let size: Tensor<1> = map
            .clone()
            .square()
            .flatten::<2>(1, 3)
            .sum_dim(1)
            .squeeze_dim(1);
        let moves = map.sub(next).square().flatten::<2>(1, 3).sum_dim(1);
        // The gradient always flows through this maximum: `detach_max` is for edges only.
        by_maximum(moves.squeeze_dim(1), size, false)
    }
}

impl NamedLoss for InstanceGraphLoss {
    fn name(&self) -> &'static str {
        Self::TERM
    }
}

impl MultiLayerLoss for InstanceGraphLoss {
    /// Computes the loss of edges and transformations, without the vertices.
    ///
    /// # Panics
    ///
    /// Panics if there are no layers, if the numbers of layers differ where layers are paired, if
    /// the batch sizes differ, or if the channels of consecutive maps have no transformation.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let InstanceGraphParts {
            edge,
            transformation,
            ..
        } = self.relations(student, teacher, mask);
        let edge = edge.mul_scalar(self.edge_weight);
        match transformation {
            Some(transformation) => edge.add(transformation.mul_scalar(self.transformation_weight)),
            None => edge,
        }
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        if student.is_empty() || teacher.is_empty() {
            return Err(LossError::new(
                "An instance graph loss needs at least 1 layer of each network, found none.",
            ));
        }
        let transformed = self.transformation_weight > 0.0;
        let paired = self.pairing == LayerPairing::OneToOne || transformed;
        if paired && student.len() != teacher.len() {
            return Err(LossError::new(format_args!(
                "An instance graph loss needs the same number of layers of both networks, found \
                 {} of the student and {} of the teacher.",
                student.len(),
                teacher.len()
            )));
        }
        for tap in student.iter().chain(teacher) {
            tap.vector_size()?;
        }
        if !transformed || self.transformation != GraphTransformation::Vertices {
            return Ok(());
        }
        for taps in [student, teacher] {
            let channels = taps.iter().filter_map(|tap| match tap {
                Tap::Map(map) => Some(map.dims()[1]),
                _ => None,
            });
            let channels: Vec<_> = channels.collect();
            let moves = |pair: &[usize]| pair[1] == pair[0] || pair[1] == 2 * pair[0];
            if let Some(pair) = channels.windows(2).find(|pair| !moves(pair)) {
                return Err(LossError::new(unrelated_widths(pair[0], pair[1])));
            }
        }
        Ok(())
    }
}

/// Returns the error message for two maps that have no transformation between vertices.
fn unrelated_widths(channels: usize, next: usize) -> String {
    format!(
        "The next layer after one with {channels} channels needs the same or twice the number of \
         channels, found {next}: set the weight of the transformation to 0, or use the \
         transformation of edges."
    )
}

/// Returns the maps among the taps.
fn only_maps(taps: Vec<Tap>) -> Vec<Tensor<4>> {
    let maps = taps.into_iter().filter_map(|tap| match tap {
        Tap::Map(map) => Some(at_least_f32(map)),
        _ => None,
    });
    maps.collect()
}

fn mean_over<T>(parts: Vec<T>, loss: impl FnMut(T) -> Tensor<1>) -> Tensor<1> {
    let count = parts.len();
    let sum = parts.into_iter().map(loss).reduce(Tensor::add);
    sum.expect("There are parts to average.")
        .div_scalar(count as f64)
}

fn vertices(student: &Response, teacher: &Response) -> Tensor<1> {
    let PairedRows {
        student,
        teacher,
        mask,
    } = PairedRows::new(student, teacher);
    let teacher = at_least_f32(teacher.without_autodiff());
    let square = at_least_f32(student).sub(teacher).square();
    match mask {
        Some(mask) => masked_mean(square.mean_dim(1).squeeze_dim::<1>(1), Some(mask)),
        None => masked_mean(square, None),
    }
}

/// Returns the squared distances between all samples, divided by the largest.
fn edges(vectors: Tensor<2>, detach_max: bool) -> Tensor<2> {
    let [batch_size, _] = vectors.dims();
    let size = vectors.clone().square().sum_dim(1).squeeze_dim(1);
    let distances = pairwise_squared_distances(vectors);
    by_maximum(distances.flatten(0, 1), size, detach_max).reshape([batch_size, batch_size])
}

/// Divides distances by their maximum. If the maximum is within rounding errors of the features,
/// whose squared norms are `size`, the result is zero.
///
/// # Shapes
///
/// - distances: `[count]`
/// - size: `[batch_size]`
fn by_maximum(distances: Tensor<1>, size: Tensor<1>, detach: bool) -> Tensor<1> {
    // Square of the relative rounding error of single precision, with a margin for the sum.
    const ROUNDING: f64 = 1e-12;
    let largest = distances.clone().max();
    let largest = if detach { largest.detach() } else { largest };
    let least = size.without_autodiff().max().mul_scalar(ROUNDING);
    let nothing = largest.clone().without_autodiff().lower_equal(least);
    let largest = largest.mask_fill(nothing.clone(), 1.0);
    let nothing = nothing.expand(distances.shape());
    distances.div(largest).mask_fill(nothing, 0.0)
}

/// Term of an [instance graph loss](InstanceGraphLoss) between responses and layers.
#[derive(Module, Debug)]
pub struct InstanceGraphTerm {
    /// Instance graph loss.
    pub loss: InstanceGraphLoss,
    /// Names of the student's taps, in the order of the forward pass.
    pub student: Vec<String>,
    /// Names of the teacher's taps, in the order of the forward pass.
    pub teacher: Vec<String>,
}

impl InstanceGraphTerm {
    /// Creates the term of a loss between these taps and the responses.
    pub fn new<S: Into<String>, T: Into<String>>(
        loss: InstanceGraphLoss,
        student: impl IntoIterator<Item = S>,
        teacher: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            loss,
            student: student.into_iter().map(Into::into).collect(),
            teacher: teacher.into_iter().map(Into::into).collect(),
        }
    }
}

impl NamedLoss for InstanceGraphTerm {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl LossTerm for InstanceGraphTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(&self.student),
            teacher: TapSelection::named(&self.teacher),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        self.loss.forward(
            &context.student.response,
            &context.teacher.response,
            context.student.taps.expect_all(&self.student),
            context.teacher.taps.expect_all(&self.teacher),
        )
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "instance-graph",
        abbreviation: "IRG",
        about: "matches distances of samples and their changes",
        kind: "relation",
        aliases: &["irg"],
        reference: "Liu et al., Knowledge Distillation via Instance Relationship Graph, CVPR \
            2019",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let (student, teacher) = builder.layers(DefaultTaps::StagesAndPool)?;
        let loss = builder.configure(InstanceGraphLossConfig::new())?.init();
        builder.try_out(
            (&student, &teacher),
            |student, teacher| loss.check_layers(student, teacher),
            |student, teacher| loss.forward_layers(student, teacher, None),
        )?;
        builder.term(InstanceGraphTerm::new(loss, student, teacher))
    })
}
