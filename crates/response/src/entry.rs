//! Builders of losses from tables of recipes, with the keys that losses of one kind have in common.

use crate::{
    BatchLogitLoss, BatchTerm, Chunked, DistributionLoss, LabeledLoss, LabeledTerm, LogitLoss,
    LogitTerm, StandardizationConfig, TeacherFreeLoss, TeacherFreeTerm,
};
use burn_distill_core::{
    BuiltLoss, Check, Configuration, Input, LossBuilder, LossEntry, LossError,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Maximum number of rows of a chunk.
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
    // `chunk` and `standardize` apply to any loss of a kind, so no configuration has a field for
    // them.
    match builder.count("chunk", MOST_ROWS)? {
        Some(rows) => logits(builder, default, |config| {
            Chunked::new(init(config)).with_chunk_rows(rows)
        }),
        None => logits(builder, default, init),
    }
}

/// Defines a function that builds losses of logits of one kind, whose logits may be standardized,
/// as terms of a type.
macro_rules! builder_of_logits {
    ($(#[$doc:meta])* $name:ident: $loss:ident => $term:ident) => {
        $(#[$doc])*
        pub(crate) fn $name<I, C, L>(
            mut builder: LossBuilder<'_, I>,
            default: C,
            init: impl FnOnce(&C) -> L,
        ) -> Result<BuiltLoss<I>, LossError>
        where
            I: Input,
            C: Serialize + DeserializeOwned + Check,
            L: $loss,
        {
            let standardize = builder.flag("standardize")?;
            let loss = init(&builder.configure(default)?);
            match standardize {
                true => builder.term($term::from(StandardizationConfig::new().init(loss))),
                false => builder.term($term::from(loss)),
            }
        }
    };
}

builder_of_logits! {
    /// Builds a loss of rows of logits, which may be standardized.
    logits: LogitLoss => LogitTerm
}

builder_of_logits! {
    /// Builds a loss of batches of logits, which may be standardized.
    batch: BatchLogitLoss => BatchTerm
}

builder_of_logits! {
    /// Builds a loss of labeled logits, which may be standardized.
    labeled: LabeledLoss => LabeledTerm
}

/// Builds a loss of the logits of the student and labels, without a teacher.
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

/// Constructors of entries for losses on responses that a program adds to those of the toolkit.
///
/// The values of a table replace the fields of `default`. Each of these losses has a `weight`, 1 by
/// default, and a flag `standardize`.
pub trait ResponseEntry: Sized {
    /// Creates the entry of a loss on the logits of each sample.
    fn logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: LogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static;

    /// Creates the entry of a loss on the logits of a batch as a whole, such as one of correlations
    /// between samples.
    fn batch_logits<C, L, F>(name: &'static str, default: C, init: F) -> Self
    where
        C: Configuration,
        L: BatchLogitLoss,
        F: Fn(&C) -> L + Send + Sync + 'static;

    /// Creates the entry of a loss on the logits of each sample and its label.
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
        .for_labels()
    }
}
