//! The keys that losses of one kind have in common.

use crate::{
    BatchLogitLoss, BatchTerm, Chunked, DistributionLoss, LabeledLoss, LabeledTerm, LogitLoss,
    LogitTerm, StandardizationConfig, TeacherFreeLoss, TeacherFreeTerm,
};
use burn_distill_core::{
    BuiltLoss, Check, Configuration, Input, LossBuilder, LossEntry, LossError,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most rows of a chunk.
const MOST_ROWS: usize = 1 << 30;

/// Builds a loss between distributions, which may be computed in chunks.
pub(crate) fn distribution<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    default: C,
    init: impl FnOnce(&C) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: DistributionLoss,
{
    // How any of them may be computed, so no field of their configurations. So is the next.
    match builder.count("chunk", MOST_ROWS)? {
        Some(rows) => logits(builder, default, |config| {
            Chunked::new(init(config)).with_chunk_rows(rows)
        }),
        None => logits(builder, default, init),
    }
}

/// Builds a loss of rows of logits, which may be standardized.
pub(crate) fn logits<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    default: C,
    init: impl FnOnce(&C) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: LogitLoss,
{
    let standardize = builder.flag("standardize")?;
    let loss = init(&builder.configure(default)?);
    match standardize {
        true => builder.term(LogitTerm::from(StandardizationConfig::new().init(loss))),
        false => builder.term(LogitTerm::from(loss)),
    }
}

/// Builds a loss of batches of logits, which may be standardized.
pub(crate) fn batch<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    default: C,
    init: impl FnOnce(&C) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: BatchLogitLoss,
{
    let standardize = builder.flag("standardize")?;
    let loss = init(&builder.configure(default)?);
    match standardize {
        true => builder.term(BatchTerm::from(StandardizationConfig::new().init(loss))),
        false => builder.term(BatchTerm::from(loss)),
    }
}

/// Builds a loss of labeled logits, which may be standardized.
pub(crate) fn labeled<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    default: C,
    init: impl FnOnce(&C) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: LabeledLoss,
{
    let standardize = builder.flag("standardize")?;
    let loss = init(&builder.configure(default)?);
    match standardize {
        true => builder.term(LabeledTerm::from(StandardizationConfig::new().init(loss))),
        false => builder.term(LabeledTerm::from(loss)),
    }
}

/// Builds a loss of labeled logits without a teacher.
pub(crate) fn teacher_free<I, C, L>(
    builder: LossBuilder<'_, I>,
    default: C,
    init: impl FnOnce(&C) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: TeacherFreeLoss,
{
    let loss = init(&builder.configure(default)?);
    builder.term(TeacherFreeTerm::from(loss))
}

/// Entries of losses of one's own on responses.
///
/// The values of a table replace those of the fields of `default`. Any of these losses has a `weight`, 1
/// by default, and may be `standardize`d.
pub trait ResponseEntry: Sized {
    /// Creates a loss on the logits of each sample.
    fn logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static;

    /// Creates a loss on the logits of a batch as a whole, such as one of correlations between samples.
    fn batch_logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: BatchLogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static;

    /// Creates a loss on the logits of each sample and its label.
    fn labeled<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LabeledLoss,
        F: Fn(&C) -> L + Send + Sync + 'static;
}

impl<I: Input> ResponseEntry for LossEntry<I> {
    fn logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::named(name, 1.0, move |builder| {
            logits(builder, default.clone(), &init)
        })
    }

    fn batch_logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: BatchLogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::named(name, 1.0, move |builder| {
            batch(builder, default.clone(), &init)
        })
    }

    fn labeled<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LabeledLoss,
        F: Fn(&C) -> L + Send + Sync + 'static,
    {
        Self::named(name, 1.0, move |builder| {
            labeled(builder, default.clone(), &init)
        })
    }
}
