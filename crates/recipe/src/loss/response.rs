use super::description::Description;
use super::{Loss, not_built};
use crate::fault::Fault;
use anyhow::Result;
use burn::tensor::Device;
use burn_distill::core::{Check, check};
use burn_distill::response::{
    BatchLogitLoss, BatchTerm, BoundedRegressionLossConfig, BoundedRegressionTerm, Chunked,
    DecoupledLossConfig, DistLossConfig, DistributionLoss, HeatMapLossConfig,
    JensenShannonLossConfig, LabelSmoothingLossConfig, LabelledLoss, LabelledTerm,
    LearnedTemperatureConfig, LogitLoss, LogitMatchingLossConfig, LogitTerm, MultiLevelLossConfig,
    MultiLevelTerm, NormKdLossConfig, NormalizedLossConfig, ProbabilityMatchingLossConfig,
    ProposalClassificationLossConfig, ReverseKlLossConfig, SkewKlLossConfig,
    SoftCrossEntropyLossConfig, SoftTargetLossConfig, StandardizationConfig, TeacherFreeLoss,
    TeacherFreeTerm, TotalVariationLossConfig, VirtualTeacherLossConfig,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value;

/// The most rows of a chunk.
const MOST_ROWS: usize = 1 << 30;

/// A loss on responses.
pub fn build(kind: &str, loss: Description<'_>) -> Result<Loss> {
    match kind {
        "soft-target" => loss.distribution(SoftTargetLossConfig::new(), |c| c.init()),
        "logit-matching" => loss.logits(LogitMatchingLossConfig::new(), |c| c.init()),
        "probability-matching" => loss.logits(ProbabilityMatchingLossConfig::new(), |c| c.init()),
        "soft-cross-entropy" => loss.distribution(SoftCrossEntropyLossConfig::new(), |c| c.init()),
        "reverse-kl" => loss.distribution(ReverseKlLossConfig::new(), |c| c.init()),
        "jensen-shannon" => loss.distribution(JensenShannonLossConfig::new(), |c| c.init()),
        "total-variation" => loss.distribution(TotalVariationLossConfig::new(), |c| c.init()),
        "skew-kl" => loss.distribution(SkewKlLossConfig::new(), |c| c.init()),
        "dist" => loss.batch(DistLossConfig::new(), |c| c.init()),
        "multi-level" => loss.multi_level(),
        "norm-kd" => loss.logits(NormKdLossConfig::new(), |c| c.init()),
        "learned-temperature" => loss.learned_temperature(),
        "decoupled" => loss.labelled(DecoupledLossConfig::new(), |c| c.init()),
        "normalized" => loss.labelled(NormalizedLossConfig::new(), |c| c.init()),
        "proposal-classification" => loss.proposal_classification(),
        "virtual-teacher" => loss.teacher_free(VirtualTeacherLossConfig::new(), |c| c.init()),
        "label-smoothing" => loss.teacher_free(LabelSmoothingLossConfig::new(), |c| c.init()),
        "heat-map" => loss.heat_map(),
        "bounded-regression" => loss.bounded_regression(),
        _ => not_built(kind),
    }
}

impl Description<'_> {
    fn distribution<C, L>(mut self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: DistributionLoss,
    {
        // How any of them may be computed, so no field of their configurations. So is the next.
        match self.count("chunk", MOST_ROWS)? {
            Some(rows) => self.logits(default, |c| Chunked::new(init(c)).with_chunk_rows(rows)),
            None => self.logits(default, init),
        }
    }

    pub(super) fn logits<C, L>(mut self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: LogitLoss,
    {
        let standardize = self.standardize()?;
        let loss = self.init(default, init)?;
        match standardize {
            true => self.rows(StandardizationConfig::new().init(loss)),
            false => self.rows(loss),
        }
    }

    /// Whether the loss is of standardized logits, for those that do not say so themselves.
    fn standardize(&mut self) -> Result<bool> {
        Ok(self.flag("standardize")?)
    }

    fn rows(self, loss: impl LogitLoss) -> Result<Loss> {
        self.term(LogitTerm::from(loss), 1.0)
    }

    pub(super) fn batch<C, L>(mut self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: BatchLogitLoss,
    {
        let standardize = self.standardize()?;
        let loss = self.init(default, init)?;
        match standardize {
            true => self.batches(StandardizationConfig::new().init(loss)),
            false => self.batches(loss),
        }
    }

    fn batches(self, loss: impl BatchLogitLoss) -> Result<Loss> {
        self.term(BatchTerm::from(loss), 1.0)
    }

    fn multi_level(mut self) -> Result<Loss> {
        let views = self.take_views();
        let loss = self.init(MultiLevelLossConfig::new(), |c| c.init())?;
        self.term(MultiLevelTerm::new(loss, views), 1.0)
    }

    fn learned_temperature(self) -> Result<Loss> {
        // A training moves it to where it runs.
        let loss = self.init(LearnedTemperatureConfig::new(), |c| c.init(&Device::flex()))?;
        self.term(loss, 1.0)
    }

    pub(super) fn labelled<C, L>(mut self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: LabelledLoss,
    {
        let standardize = self.standardize()?;
        let loss = self.init(default, init)?;
        match standardize {
            true => self.labels(StandardizationConfig::new().init(loss)),
            false => self.labels(loss),
        }
    }

    fn labels(self, loss: impl LabelledLoss) -> Result<Loss> {
        self.term(LabelledTerm::from(loss), 1.0)
    }

    fn teacher_free<C, L>(self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: TeacherFreeLoss,
    {
        let loss = self.init(default, init)?;
        self.term(TeacherFreeTerm::from(loss), 1.0)
    }

    fn proposal_classification(self) -> Result<Loss> {
        let classes = self.scene.classes()?;
        if let Some(Value::Integer(class)) = self.table.get("background") {
            check::ensure(
                (0..classes as i64).contains(class),
                "background",
                format_args!("the index of a class, from 0 to {}", classes - 1),
                class,
            )?;
        }
        self.labelled(ProposalClassificationLossConfig::new(), |c| c.init())
    }

    fn bounded_regression(mut self) -> Result<Loss> {
        let background = match self.table.remove("background") {
            Some(Value::Integer(class)) if class >= 0 => class as usize,
            Some(other) => {
                let expected = "the index of a class, from 0";
                return Err(Fault::value("background", expected, &other).into());
            }
            None => 0,
        };
        let loss = self.init(BoundedRegressionLossConfig::new(), |c| c.init())?;
        self.term(
            BoundedRegressionTerm::from(loss).with_background(background),
            1.0,
        )
    }

    fn heat_map(self) -> Result<Loss> {
        let loss = self.init(HeatMapLossConfig::new(), |c| c.init())?;
        self.term(loss, 1.0)
    }
}
