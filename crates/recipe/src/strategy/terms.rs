use super::{BornAgainVariant, ByotVariant, StrategyRecipe, TfKdVariant};
use crate::Recipe;
use anyhow::{Result, bail};
use burn_distill::core::{ChangingWeight, Hard, RampInterval};
use serde::Serialize;
use toml::{Table, Value};

impl StrategyRecipe {
    /// The name of its kind in the catalogue.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offline {} => "offline",
            Self::Mutual(_) => "mutual",
            Self::AdversarialFeatures(_) => "adversarial-features",
            Self::Collaborative(_) => "collaborative",
            Self::NativeEnsemble(_) => "native-ensemble",
            Self::GroupLeader(_) => "group-leader",
            Self::Codistillation(_) => "codistillation",
            Self::Byot(_) => "byot",
            Self::SdDropout(_) => "sd-dropout",
            Self::TfKd(_) => "tf-kd",
            Self::CsKd(_) => "cs-kd",
            Self::PsKd(_) => "ps-kd",
            Self::Dlb(_) => "dlb",
            Self::MeanTeacher(_) => "mean-teacher",
            Self::Dino(_) => "dino",
            Self::BornAgain(_) => "born-again",
        }
    }

    /// Who teaches, where no teacher is trained before.
    pub fn who_teaches(&self) -> &'static str {
        match self {
            Self::Offline {} => "a trained teacher does",
            Self::Mutual(_)
            | Self::AdversarialFeatures(_)
            | Self::Collaborative(_)
            | Self::Codistillation(_) => "the peers teach each other",
            Self::NativeEnsemble(_) => "the branches teach each other",
            Self::GroupLeader(_) => "the peers teach each other and their leader",
            Self::TfKd(options) => match options.variant {
                TfKdVariant::Copy => "the student alone teaches",
                TfKdVariant::Virtual => "a virtual teacher does, which is a part of the loss",
            },
            Self::Byot(_) => "the deepest exit teaches the others",
            Self::SdDropout(_)
            | Self::CsKd(_)
            | Self::PsKd(_)
            | Self::Dlb(_)
            | Self::MeanTeacher(_)
            | Self::Dino(_) => "the student teaches itself",
            Self::BornAgain(_) => "each generation teaches the next",
        }
    }

    /// The terms of the authors, for a recipe that gives none; empty if they are no losses of the
    /// catalogue. What options there are of them are taken.
    fn take_terms(&mut self, epochs: usize, classes: usize) -> Vec<Table> {
        match self {
            Self::Offline {}
            | Self::NativeEnsemble(_)
            | Self::GroupLeader(_)
            | Self::Byot(_)
            | Self::MeanTeacher(_)
            | Self::Dino(_) => Vec::new(),
            Self::SdDropout(_) => vec![hard(1.0)],
            Self::Mutual(options) => {
                let temperature = options.temperature.take().unwrap_or(1.0);
                let weight = options.weight.take().unwrap_or(1.0);
                vec![hard(1.0), soft(SOFT_TARGET, temperature, weight)]
            }
            Self::AdversarialFeatures(options) => {
                let temperature = options.temperature.take().unwrap_or(3.0);
                let weight = options.weight.take().unwrap_or(1.0);
                vec![hard(1.0), soft(SOFT_TARGET, temperature, weight)]
            }
            Self::Collaborative(options) => {
                let temperature = options.temperature.take().unwrap_or(4.0);
                let weight = options.weight.take().unwrap_or(0.5);
                vec![hard(1.0 - weight), soft(SOFT_TARGET, temperature, weight)]
            }
            Self::Codistillation(options) => {
                let temperature = options.temperature.take().unwrap_or(1.0);
                let weight = options.weight.take().unwrap_or(1.0);
                vec![hard(1.0), soft(SOFT_CROSS_ENTROPY, temperature, weight)]
            }
            Self::TfKd(options) if options.variant == TfKdVariant::Virtual => {
                // The values of ResNet-18 on CIFAR-100. The multiplier there is the number of classes,
                // which the authors divide by.
                let temperature = options.temperature.take().unwrap_or(20.0);
                let weight = options.weight.take().unwrap_or(0.1);
                let multiplier = options.multiplier.take();
                let multiplier = multiplier.map_or(1.0, |multiplier| multiplier / classes as f64);
                let mut virtual_teacher = soft(VIRTUAL_TEACHER, temperature, weight);
                virtual_teacher.insert("multiplier".into(), multiplier.into());
                vec![hard(1.0 - weight), virtual_teacher]
            }
            Self::TfKd(options) => {
                let temperature = options.temperature.take().unwrap_or(20.0);
                let weight = options.weight.take().unwrap_or(0.95);
                let multiplier = options.multiplier.take().unwrap_or(1.0);
                // The authors average the divergence over classes, too.
                let of_soft = weight * multiplier / classes as f64;
                let soft = soft(SOFT_TARGET, temperature, of_soft);
                vec![hard(1.0 - weight), soft]
            }
            Self::CsKd(options) => {
                let temperature = options.temperature.take().unwrap_or(4.0);
                let weight = options.weight.take().unwrap_or(1.0);
                vec![hard(1.0), soft(SOFT_TARGET, temperature, weight)]
            }
            Self::Dlb(options) => {
                let temperature = options.temperature.take().unwrap_or(3.0);
                let weight = options.weight.take().unwrap_or(1.0);
                vec![hard(1.0), soft(SOFT_TARGET, temperature, weight)]
            }
            Self::PsKd(options) => {
                let weight = options.weight.take().unwrap_or(0.8);
                let line = |from, to| ChangingWeight::Linear { from, to, epochs };
                let past = line(0.0, weight);
                vec![
                    term(Hard::TERM, line(1.0, 1.0 - weight)),
                    soft(SOFT_CROSS_ENTROPY, 1.0, past),
                ]
            }
            // Its term is no loss of the catalogue.
            Self::BornAgain(options) if options.variant != BornAgainVariant::Ban => Vec::new(),
            Self::BornAgain(options) => {
                let labels = options.labels.take().unwrap_or(false);
                let hard = labels.then(|| hard(1.0));
                let soft = soft(SOFT_CROSS_ENTROPY, 1.0, 1.0);
                hard.into_iter().chain([soft]).collect()
            }
        }
    }

    /// An option that is of the terms of the authors, and is given.
    fn option_of_terms(&self) -> Option<&'static str> {
        let temperature = |of: &Option<f64>| of.map(|_| "temperature");
        let weight = |of: &Option<f64>| of.map(|_| "weight");
        let ramp = |epochs: &Option<usize>, interval: &Option<RampInterval>| {
            let epochs = epochs.map(|_| "ramp_epochs");
            epochs.or(interval.map(|_| "ramp_interval"))
        };
        match self {
            Self::Offline {} | Self::GroupLeader(_) | Self::Dino(_) => None,
            // Its options are of a term that there always is.
            Self::SdDropout(_) => None,
            Self::Byot(o) => (o.variant != ByotVariant::default()).then_some("variant"),
            Self::Mutual(o) => temperature(&o.temperature).or(weight(&o.weight)),
            Self::AdversarialFeatures(o) => temperature(&o.temperature).or(weight(&o.weight)),
            Self::Collaborative(o) => temperature(&o.temperature).or(weight(&o.weight)),
            Self::Codistillation(o) => temperature(&o.temperature).or(weight(&o.weight)),
            Self::NativeEnsemble(o) => {
                temperature(&o.temperature).or(ramp(&o.ramp_epochs, &o.ramp_interval))
            }
            Self::TfKd(o) => temperature(&o.temperature)
                .or(weight(&o.weight))
                .or(o.multiplier.map(|_| "multiplier")),
            Self::CsKd(o) | Self::Dlb(o) => temperature(&o.temperature).or(weight(&o.weight)),
            Self::PsKd(o) => weight(&o.weight),
            Self::MeanTeacher(o) => weight(&o.weight).or(ramp(&o.ramp_epochs, &o.ramp_interval)),
            Self::BornAgain(o) => {
                let variant = o.variant != BornAgainVariant::default();
                variant.then_some("variant").or(o.labels.map(|_| "labels"))
            }
        }
    }
}

const SOFT_TARGET: &str = "soft-target";
const SOFT_CROSS_ENTROPY: &str = "soft-cross-entropy";
const VIRTUAL_TEACHER: &str = "virtual-teacher";

fn hard(weight: f64) -> Table {
    term(Hard::TERM, weight)
}

fn soft(kind: &str, temperature: f64, weight: impl Serialize) -> Table {
    let mut term = term(kind, weight);
    term.insert("temperature".into(), temperature.into());
    term
}

fn term(kind: &str, weight: impl Serialize) -> Table {
    let weight = Value::try_from(weight).expect("A weight is written as TOML.");
    let entries = [("kind", kind.into()), ("weight", weight)];
    entries
        .map(|(key, value)| (key.into(), value))
        .into_iter()
        .collect()
}

/// Write out the terms of the authors where a recipe leaves them to the strategy.
pub fn write_out(recipe: &mut Recipe) -> Result<()> {
    if recipe.losses.is_empty() {
        let epochs = recipe.student.training.epochs;
        let classes = recipe.spec()?.task.classes;
        recipe.losses = recipe.strategy.take_terms(epochs, classes);
    } else if let Some(option) = recipe.strategy.option_of_terms() {
        bail!(
            "`strategy.{option}` is of the terms that there are without [[loss]]: give it to a \
             [[loss]], or leave those out"
        );
    }
    Ok(())
}
