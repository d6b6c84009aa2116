use super::context::{PreparedStrategy, StrategyContext, ViewMode};
use super::terms::{SOFT_TARGET, VIRTUAL_TEACHER, cross_entropy, soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use crate::naming::loss_place;
use anyhow::{Result, ensure};
use burn::module::Module;
use burn_distill::core::{
    CatalogEntry, Check, ConfigError, Context, DynObjective, Knowledge, NoTeacher, Objective,
    Requirements, Terms, check,
};
use burn_distill::strategy::{MetricKind, OfflineDistiller};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of teacher-free distillation.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<TfKdRecipe>(CatalogEntry {
    name: "tf-kd",
    abbreviation: "Tf-KD",
    about: "a frozen copy of the same architecture teaches",
    kind: "self-distillation",
    aliases: &["teacher-free"],
    reference: "Yuan et al., Revisiting Knowledge Distillation via Label Smoothing \
        Regularization, CVPR 2020",
});

/// `kind = "tf-kd"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TfKdRecipe {
    /// Substitute for a teacher.
    pub variant: TfKdVariant,
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets, if there is no `[[loss]]`. The weight of the labels is 1 minus
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Additional factor of the weight of the soft targets, which does not change the weight of the
    /// labels, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
}

/// Substitute for a teacher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TfKdVariant {
    /// Trained and frozen copy of the student: the baseline.
    #[default]
    #[serde(rename = "self")]
    Copy,
    /// Virtual teacher, a distribution that is computed from the labels.
    Virtual,
}

/// Distiller without a teacher, whose terms are computed from the targets.
pub type WithoutTeacher = OfflineDistiller<AnyNetwork, NoTeacher, OfTargets>;

/// Terms without a teacher.
#[derive(Module, Debug)]
pub struct OfTargets {
    terms: Vec<DynObjective>,
}

impl Objective<Knowledge, ()> for OfTargets {
    fn requirements(&self) -> Requirements {
        self.terms.requirements()
    }

    fn forward(&self, context: &Context<'_, Knowledge, ()>) -> Terms {
        // The terms ignore the teacher: any knowledge can be given in its place.
        self.terms.forward(&context.with_teacher(context.student))
    }
}

impl Check for TfKdRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(self.temperature, None)?;
        checks::rest_of_one(self.weight)?;
        checks::optional(self.multiplier, |value| check::weight("multiplier", value))
    }
}

impl TfKdRecipe {
    /// Sets up the student without a teacher, with terms between the student and the targets only.
    pub fn set_up_virtual(context: &StrategyContext) -> Result<PreparedStrategy<WithoutTeacher>> {
        let student = context.student_network()?;
        let (names, terms) = context.distilled(&student, &student)?;
        for (number, table) in context.numbered_losses() {
            ensure!(
                context.loss_kinds.is_of_targets(table),
                "`{}` compares the student with a teacher, but a virtual teacher is not a network: take \
                 `cross-entropy`, `virtual-teacher` or `label-smoothing`",
                loss_place(number - 1)
            );
        }
        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend(names.into_iter().map(MetricKind::Term));
        Ok(PreparedStrategy {
            distiller: OfflineDistiller::without_teacher(student, OfTargets { terms }),
            views: ViewMode::Views(1),
            metrics,
            finalize: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }
}

impl Strategy for TfKdRecipe {
    fn description(&self) -> &'static str {
        match self.variant {
            TfKdVariant::Copy => "the trained baseline teaches the student",
            TfKdVariant::Virtual => {
                "a virtual teacher teaches the student, which is a part of the loss"
            }
        }
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(match self.variant {
            TfKdVariant::Copy => Prepared::TrainedTeacher,
            TfKdVariant::Virtual => Self::set_up_virtual(context)?.into(),
        })
    }

    fn take_terms(&mut self, _epochs: usize, classes: usize) -> Vec<Table> {
        let temperature = self.temperature.take().unwrap_or(20.0);
        match self.variant {
            TfKdVariant::Virtual => {
                // The values of ResNet-18 on CIFAR-100. The multiplier there is the number of
                // classes, which the authors divide by.
                let weight = self.weight.take().unwrap_or(0.1);
                let multiplier = self.multiplier.take();
                let multiplier = multiplier.map_or(1.0, |multiplier| multiplier / classes as f64);
                let mut virtual_teacher = soft(VIRTUAL_TEACHER, temperature, weight);
                virtual_teacher.insert("multiplier".into(), multiplier.into());
                vec![cross_entropy(1.0 - weight), virtual_teacher]
            }
            TfKdVariant::Copy => {
                let weight = self.weight.take().unwrap_or(0.95);
                let multiplier = self.multiplier.take().unwrap_or(1.0);
                // The authors average the divergence over classes, too.
                let of_soft = weight * multiplier / classes as f64;
                vec![
                    cross_entropy(1.0 - weight),
                    soft(SOFT_TARGET, temperature, of_soft),
                ]
            }
        }
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        let of_soft = soft_option(&self.temperature, &self.weight);
        of_soft.or(self.multiplier.map(|_| "multiplier"))
    }
}
