use super::loss::vectors;
use super::{AttentionHeads, MultiHeadGraphConfig, MultiHeadGraphLoss};
use crate::decomposition::directions;
use crate::entry::projections;
use crate::projection::ChannelProjections;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    CatalogEntry, Check, Context, DefaultTaps, Input, Knowledge, LossEntry, LossError, Objective,
    Requirements, Tap, TapSelection, Taps, Terms, WeightSchedule,
};

/// First stage of multi-head graph distillation: trains attention heads to estimate each layer of
/// the teacher from the previous one.
///
/// It uses only the teacher, so the student may be [frozen](burn_distill_core::Frozen):
///
/// ```text
/// OfflineDistiller::new(Frozen::new(student), Frozen::new(teacher), AttentionHeadsObjective::new(..))
/// ```
///
/// After this stage, pass the heads to [`MultiHeadGraphConfig::init`]. The authors train them for
/// 40 epochs with `5e-4 ‖parameters‖²` added to the loss, which is a weight decay of 1e-3 of the
/// optimizer.
#[derive(Module, Debug)]
pub struct AttentionHeadsObjective {
    /// Attention heads to train.
    pub heads: AttentionHeads,
    /// Names of the teacher's taps, in the order of the forward pass.
    pub teacher: Vec<String>,
    /// Configuration of the decomposition and of the loss that the heads are trained for.
    #[module(skip)]
    pub config: MultiHeadGraphConfig,
    /// Name of the term.
    pub name: String,
}

impl AttentionHeadsObjective {
    /// Default name of the term.
    pub const TERM: &'static str = "attention-heads";

    /// Creates the objective that trains these heads on the teacher's taps.
    ///
    /// # Panics
    ///
    /// Panics if a number of the configuration is zero.
    pub fn new<T: Into<String>>(
        config: MultiHeadGraphConfig,
        heads: AttentionHeads,
        teacher: impl IntoIterator<Item = T>,
    ) -> Self {
        config.assert_valid();
        Self {
            heads,
            teacher: teacher.into_iter().map(Into::into).collect(),
            config,
            name: Self::TERM.to_string(),
        }
    }

    fn loss(&self, teacher: &Knowledge) -> Tensor<1> {
        let directions = take(&teacher.taps, &self.teacher)
            .into_iter()
            .map(|map| directions(map, 1, self.config.effort()).0)
            .collect();
        self.heads.estimation_loss(&vectors(directions))
    }
}

impl<S> Objective<S, Knowledge> for AttentionHeadsObjective {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::None,
            teacher: TapSelection::named(&self.teacher),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_, S, Knowledge>) -> Terms {
        Terms::one(&self.name, self.loss(context.teacher), 1.0)
    }
}

/// Both stages of multi-head graph distillation in one training run: trains the heads on the
/// teacher in the first epochs, then keeps them fixed and distills the student.
///
/// In the authors' code the student is not trained in the first stage; here the other terms of the
/// loss, such as the cross-entropy with the labels, may train it in that stage. The term is the
/// loss of the heads in the first `heads_epochs` epochs, with weight 1, and [that of the
/// student](MultiHeadGraphLoss) afterwards. The heads are saved with the student, so training can
/// be resumed in either stage.
#[derive(Module, Debug)]
pub struct MultiHeadGraphObjective {
    /// Heads, and the objective that trains them.
    pub heads: AttentionHeadsObjective,
    /// Projections from the student's channels to the teacher's.
    pub projections: ChannelProjections,
    /// Names of the student's taps, in the order of the forward pass.
    pub student: Vec<String>,
    /// Name of the term.
    pub name: String,
    /// Weight of the term in the second stage.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl MultiHeadGraphObjective {
    /// Creates the objective of both stages from the heads and the student's taps, projections and
    /// weight.
    pub fn new<S: Into<String>>(
        heads: AttentionHeadsObjective,
        projections: ChannelProjections,
        student: impl IntoIterator<Item = S>,
        weight: impl Into<WeightSchedule>,
    ) -> Self {
        Self {
            heads,
            projections,
            student: student.into_iter().map(Into::into).collect(),
            name: MultiHeadGraphLoss::TERM.to_string(),
            weight: weight.into(),
        }
    }

    /// Sets the name of the term; two terms of an objective must have different names.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl Objective for MultiHeadGraphObjective {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(&self.student),
            teacher: TapSelection::named(&self.heads.teacher),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let config = &self.heads.config;
        if context.clock.epoch <= config.heads_epochs {
            return Terms::one(&self.name, self.heads.loss(context.teacher), 1.0);
        }
        let loss = config.init(self.heads.heads.clone());
        let student = take(&context.student.taps, &self.student);
        let loss = loss.forward(
            self.projections.forward(student),
            take(&context.teacher.taps, &self.heads.teacher),
        );
        Terms::scheduled(&self.name, loss, &self.weight, &context.clock)
    }
}

fn take(taps: &Taps, names: &[String]) -> Vec<Tensor<4>> {
    let taps = taps.expect_all(names).into_iter();
    taps.map(Tap::into_map).collect()
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "multi-head-graph",
        abbreviation: "MHGD",
        about: "matches attention between samples across layers",
        kind: "relation",
        aliases: &["mhgd"],
        reference: "Lee and Song, Graph-based Knowledge Distillation by Multi-head Attention \
            Network, BMVC 2019",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let (student, teacher): (Vec<_>, Vec<_>) =
            builder.pairs(DefaultTaps::Stages)?.into_iter().unzip();
        let config = builder.configure(MultiHeadGraphConfig::new())?;
        builder.clip_at(config.heads_epochs);
        let projections = projections(&builder, &student, &teacher)?;
        let context = builder.context();
        let channels = builder.channels(&context.teacher_taps, &teacher)?;
        if channels.len() < 2 {
            return Err(LossError::new(format_args!(
                "Attention between layers needs at least 2 layers, found {}.",
                channels.len()
            )));
        }
        let heads = config.init_heads(&channels, &context.device);
        let heads = AttentionHeadsObjective::new(config, heads, teacher);
        builder.objective(MultiHeadGraphLoss::TERM, |name, weight| {
            MultiHeadGraphObjective::new(heads, projections, student, weight).with_name(name)
        })
    })
}
