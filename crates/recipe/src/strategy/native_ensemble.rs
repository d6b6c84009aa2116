use super::context::{
    Member, Outcome, PreparedStrategy, StrategyContext, ViewMode, accuracy_of, ensemble_accuracy,
    numbered_terms,
};
use super::ramp::Ramp;
use super::terms::{ramp_option, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks, towards};
use crate::input::AnyNetwork;
use crate::network::seeded;
use crate::numbers::MOST_VIEWS;
use crate::parts::StudentRecipe;
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{
    CatalogEntry, Check, ConfigError, CrossEntropyObjective, DynObjective, Objective, RampInterval,
    Requirements, check,
};
use burn_distill::strategy::{MetricKind, NativeEnsembleDistiller};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of a native ensemble.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<NativeEnsembleRecipe>(CatalogEntry {
    name: "native-ensemble",
    abbreviation: "ONE",
    about: "the gated mean of the branches teaches each branch",
    kind: "mutual",
    aliases: &["one"],
    reference: "Lan et al., Knowledge Distillation by On-the-Fly Native Ensemble, \
        NeurIPS 2018",
});

/// `kind = "native-ensemble"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NativeEnsembleRecipe {
    /// Number of branches.
    pub branches: usize,
    /// Softmax temperature of the ensemble term, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Number of epochs until the weight of the ensemble term is 1, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_epochs: Option<usize>,
    /// Interval at which that weight changes. Default: once per epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_interval: Option<RampInterval>,
}

impl Default for NativeEnsembleRecipe {
    fn default() -> Self {
        Self {
            branches: 3,
            temperature: None,
            ramp_epochs: None,
            ramp_interval: None,
        }
    }
}

/// The branches of a network.
pub type Native = NativeEnsembleDistiller<AnyNetwork, Vec<DynObjective>>;

impl Check for NativeEnsembleRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("branches", self.branches, 2..=MOST_VIEWS)?;
        checks::soft(self.temperature, None)?;
        checks::ramp(self.ramp_epochs)
    }
}

impl NativeEnsembleRecipe {
    fn ramp(&self) -> Ramp {
        towards::ramp(self.ramp_epochs, self.ramp_interval)
    }

    /// Sets up a network with several copies of the student's last part, its branches.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Native>> {
        let branches = self.branches;
        // Its trunk and first branch start with the initial weights of the baseline.
        let network = seeded(context.seed, || {
            let architecture = context.networks.get(context.model())?;
            architecture.init_branched(branches, &context.task, &Device::flex())
        });
        let network = network.context("student.model")?;
        let (terms, objectives) = match context.numbered_losses().as_slice() {
            [] => {
                let temperature = self.temperature.unwrap_or(towards::TEMPERATURE);
                let towards = towards::towards_ensemble(temperature, self.ramp());
                let objective = vec![
                    DynObjective::new(CrossEntropyObjective::new(1.0)),
                    DynObjective::new(towards),
                ];
                (towards::names(), vec![objective; branches])
            }
            tables => {
                let student = context.student_network()?;
                let each = context
                    .draw(|| context.terms_of_each(branches, tables, &student, "an ensemble"))?;
                for (name, objective) in each.0.iter().zip(&each.1[0]) {
                    ensure!(
                        objective.requirements() == Requirements::responses(),
                        "the loss `{name}` compares features, but a branch has only predictions: give \
                         a loss of responses"
                    );
                }
                each
            }
        };
        let distiller = context.draw(|| NativeEnsembleDistiller::new(network, objectives));

        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend((2..=branches).map(|branch| accuracy_of("branch", branch)));
        metrics.push(ensemble_accuracy());
        metrics.extend(numbered_terms("branch", branches, &terms));
        metrics.push(MetricKind::Term(format!(
            "ensemble {}",
            CrossEntropyObjective::TERM
        )));
        let plain = context.student_network()?;
        Ok(PreparedStrategy {
            distiller,
            views: ViewMode::Views(1),
            metrics,
            finalize: Box::new(move |distiller| {
                let ensemble = distiller.ensemble();
                let record = distiller.network.valid().into_record();
                let student = plain.try_load_record(record.allow_unused(true))?;
                let model = format!("{branches} branches");
                Ok(Outcome {
                    student,
                    members: vec![Member::new("ensemble", model, ensemble)],
                })
            }),
        })
    }
}

impl Strategy for NativeEnsembleRecipe {
    fn description(&self) -> &'static str {
        "the branches teach each other"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        let of_ramp = ramp_option(&self.ramp_epochs, &self.ramp_interval);
        soft_option(&self.temperature, &None).or(of_ramp)
    }

    fn warning(&self, student: &StudentRecipe, losses: &[Table]) -> Option<String> {
        let trained = student.training.epochs;
        let ramp = losses.is_empty().then(|| self.ramp());
        ramp?.warning(towards::WHAT, trained)
    }

    fn takes_quantized(&self) -> bool {
        false
    }

    fn networks(&self) -> usize {
        self.branches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::tests::{changed, options};
    use burn::module::list_param_ids;

    #[test]
    fn every_branch_has_its_own_parameters_of_losses() {
        let losses = "loss=[{ kind = 'hard' }, { kind = 'learned-temperature' }]";
        let recipe = changed(&["strategy={ kind = 'one', branches = 2 }", losses]);
        let options: &NativeEnsembleRecipe = options(&recipe);

        let prepared = options.set_up(&recipe.strategy_context().unwrap()).unwrap();
        let [first, second] = prepared.distiller.objectives.as_slice() else {
            panic!("{} branches", prepared.distiller.objectives.len());
        };
        let [first, second] = [first, second].map(list_param_ids);
        assert_eq!(first.len(), 1);
        assert_ne!(first, second);
    }
}
