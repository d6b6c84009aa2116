//! Recipe keys that losses of one kind have in common.

use crate::{ChannelProjections, Embeddings, EmbeddingsConfig, Projected};
use burn_distill_core::{
    BuiltLoss, Check, DefaultTaps, Input, LossBuilder, LossError, MultiLayerLoss, TRIAL_SAMPLES,
    TapLoss, TapPair, TapPairs, trained_bytes,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maximum number of features of an embedding.
const MAX_FEATURES: u64 = 65_536;

/// Builds a loss between each pair of pooled features, after embeddings with the number of features
/// in the key `embedding`, or without embeddings if it is `false`.
pub(crate) fn embedded<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    default_features: Option<usize>,
    default: C,
    init: impl FnOnce(&C) -> L,
    embed: impl Fn(L, Embeddings) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: TapLoss,
{
    let features = match builder.take("embedding") {
        None => default_features,
        Some(taken) => match (&taken.value, taken.value.as_u64()) {
            (Value::Bool(false), _) => None,
            (_, Some(features @ 1..=MAX_FEATURES)) => Some(features as usize),
            _ => {
                let expected = "a number of features from 1 to 65536, or false";
                return Err(taken.refused(expected));
            }
        },
    };
    let pairs = builder.pairs(DefaultTaps::Pooled)?;
    let loss = init(&builder.configure(default)?);
    let context = builder.context();
    let pairs = pairs.into_iter().map(|(student, teacher)| {
        let sizes = builder.vector_sizes(&student, &teacher)?;
        let loss = match features {
            None => loss.clone(),
            Some(features) => {
                let parameters = (sizes[0] + sizes[1]) as f64 * features as f64;
                context.fits("embedding", features, trained_bytes(parameters))?;
                let embeddings = EmbeddingsConfig::new(sizes[0], sizes[1])
                    .with_features(features)
                    .init(&context.device);
                embed(loss.clone(), embeddings)
            }
        };
        Ok(TapPair::new(student, teacher, loss))
    });
    let pairs = pairs.collect::<Result<Vec<_>, LossError>>()?;
    builder.term(TapPairs::from(pairs))
}

/// Builds a loss that needs the same number of channels in each layer of student and teacher, with
/// projections of the student's channels.
pub(crate) fn projected_layers<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    default: C,
    init: impl FnOnce(&C) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: MultiLayerLoss,
{
    let names: (Vec<_>, Vec<_>) = builder.pairs(DefaultTaps::Stages)?.into_iter().unzip();
    let projections = projections(&builder, &names.0, &names.1)?;
    let loss = init(&builder.configure(default)?);
    builder.layers_of(names, TRIAL_SAMPLES, Projected::new(loss, projections))
}

/// Returns the projections from the student's channels to the teacher's for each layer.
pub(crate) fn projections<I: Input>(
    builder: &LossBuilder<'_, I>,
    student: &[String],
    teacher: &[String],
) -> Result<ChannelProjections, LossError> {
    let context = builder.context();
    Ok(ChannelProjections::new(
        &builder.channels(&context.student_taps, student)?,
        &builder.channels(&context.teacher_taps, teacher)?,
        &context.device,
    ))
}

/// Taps that a graph of networks compares.
pub(crate) struct GraphTaps {
    pub student: String,
    pub student_features: usize,
    pub teachers: Vec<String>,
    pub features: Vec<usize>,
}

impl GraphTaps {
    /// Takes the taps from the keys `student` (one tap) and `teachers` (one tap for each teacher),
    /// by default the pooled features of each network.
    pub fn take<I: Input>(builder: &mut LossBuilder<'_, I>) -> Result<Self, LossError> {
        let contexts = builder.contexts();
        let student_taps = &contexts[0].student_taps;
        let student = builder.one("student", student_taps, DefaultTaps::Pooled)?;
        let teachers = builder.of_each_teacher(DefaultTaps::Pooled)?;
        let features = contexts.iter().zip(&teachers);
        let features = features.map(|(context, tap)| context.teacher_taps.get(tap)?.vector_size());
        Ok(Self {
            student_features: student_taps.get(&student)?.vector_size()?,
            features: features.collect::<Result<_, LossError>>()?,
            student,
            teachers,
        })
    }
}
