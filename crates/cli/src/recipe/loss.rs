use super::configure::{configure, unknown};
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use burn_distill::core::{CatalogueEntry, DynObjective, Hard, Objective, WeightSchedule};
use burn_distill::response::{
    self, BatchLogitLoss, BatchObjective, DecoupledLossConfig, DistLossConfig, HeatMapLossConfig,
    HeatMapObjective, JensenShannonLossConfig, LabelSmoothingLossConfig, LabelledLoss,
    LabelledObjective, LearnedTemperature, LearnedTemperatureConfig, LogitLoss,
    LogitMatchingLossConfig, MultiLevelLossConfig, NormKdLossConfig, NormalizedLossConfig,
    ProposalClassificationLossConfig, ResponseObjective, ReverseKlLossConfig, SkewKlLossConfig,
    SoftCrossEntropyLossConfig, SoftTargetLossConfig, StandardizationConfig, TeacherFreeLoss,
    TeacherFreeObjective, TotalVariationLossConfig, VirtualTeacherLossConfig,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// One term of the loss of a recipe.
#[derive(Clone)]
pub struct Loss {
    /// The name of the term.
    pub name: String,
    /// What computes it, on the CPU.
    pub objective: DynObjective,
}

/// Every loss that a recipe may name.
pub fn catalogue() -> impl Iterator<Item = &'static CatalogueEntry> {
    [&Hard::CATALOGUE].into_iter().chain(response::catalogue())
}

impl Loss {
    /// The term that a `[[loss]]` table describes: its kind, its name and weight, and the fields of
    /// the configuration of that kind.
    pub fn new(table: &Table) -> Result<Self> {
        let mut table = table.clone();
        let Some(Value::String(kind)) = table.remove("kind") else {
            let kinds: Vec<_> = catalogue().map(|loss| loss.name).collect();
            bail!("`kind` is missing; it is one of {}", kinds.join(", "));
        };
        let Some(entry) = catalogue().find(|loss| loss.is_called(&kind)) else {
            return Err(unknown(&kind, catalogue().map(|loss| loss.name)))
                .context("no loss of this kind");
        };
        Self::of_kind(entry.name, table).with_context(|| format!("in the loss `{kind}`"))
    }

    fn of_kind(kind: &'static str, mut table: Table) -> Result<Self> {
        let weight: WeightSchedule = match table.remove("weight") {
            Some(weight) => weight.try_into().context(
                "`weight` is a number or a schedule, \
                 such as { kind = \"linear\", from = 0.0, to = 1.0, epochs = 20 }",
            )?,
            None => 1.0.into(),
        };
        let name = match table.remove("name") {
            Some(Value::String(name)) => Some(name),
            Some(other) => bail!("`name` is a string, not {}", other.type_str()),
            None => None,
        };
        if let Some(temperature) = table.get("temperature") {
            let degrees = temperature
                .as_float()
                .or(temperature.as_integer().map(|t| t as f64));
            ensure!(
                degrees.is_none_or(|t| t > 0.0 && t.is_finite()),
                "`temperature` should be above 0, but is {temperature}"
            );
        }
        let loss = Description {
            table,
            name,
            weight,
        };
        match kind {
            Hard::TERM => loss.hard(),
            "soft-target" => loss.response(SoftTargetLossConfig::new(), |c| c.init()),
            "logit-matching" => loss.response(LogitMatchingLossConfig::new(), |c| c.init()),
            "soft-cross-entropy" => loss.response(SoftCrossEntropyLossConfig::new(), |c| c.init()),
            "reverse-kl" => loss.response(ReverseKlLossConfig::new(), |c| c.init()),
            "jensen-shannon" => loss.response(JensenShannonLossConfig::new(), |c| c.init()),
            "total-variation" => loss.response(TotalVariationLossConfig::new(), |c| c.init()),
            "skew-kl" => loss.response(SkewKlLossConfig::new(), |c| c.init()),
            "dist" => loss.batch(DistLossConfig::new(), |c| c.init()),
            "multi-level" => loss.batch(MultiLevelLossConfig::new(), |c| c.init()),
            "norm-kd" => loss.response(NormKdLossConfig::new(), |c| c.init()),
            LearnedTemperature::TERM => loss.learned_temperature(),
            "decoupled" => loss.labelled(DecoupledLossConfig::new(), |c| c.init()),
            "normalized" => loss.labelled(NormalizedLossConfig::new(), |c| c.init()),
            "proposal-classification" => {
                loss.labelled(ProposalClassificationLossConfig::new(), |c| c.init())
            }
            "virtual-teacher" => loss.teacher_free(VirtualTeacherLossConfig::new(), |c| c.init()),
            "label-smoothing" => loss.teacher_free(LabelSmoothingLossConfig::new(), |c| c.init()),
            HeatMapObjective::TERM => loss.heat_map(),
            _ => bail!("the kind `{kind}` is in the catalogue but cannot be built"),
        }
    }
}

/// What a table says besides the kind.
struct Description {
    table: Table,
    name: Option<String>,
    weight: WeightSchedule,
}

impl Description {
    fn hard(self) -> Result<Loss> {
        ensure!(
            self.name.is_none(),
            "the term of the targets has no other name"
        );
        match self.table.keys().next() {
            Some(key) => Err(unknown(key, ["kind", "weight"].into_iter())),
            None => Ok(Loss {
                name: Hard::TERM.into(),
                objective: DynObjective::new(Hard::new(self.weight)),
            }),
        }
    }

    fn response<C, L>(mut self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned,
        L: LogitLoss,
    {
        // What any loss of logits may be computed on, so no field of its configuration.
        let standardize = match self.table.remove("standardize") {
            Some(Value::Boolean(standardize)) => standardize,
            Some(other) => bail!("`standardize` is true or false, not {other}"),
            None => false,
        };
        let loss = init(&configure(&default, &self.table)?);
        match standardize {
            true => self.rows(StandardizationConfig::new().init(loss)),
            false => self.rows(loss),
        }
    }

    fn rows(self, loss: impl LogitLoss) -> Result<Loss> {
        self.named(loss.name(), |name, weight| {
            ResponseObjective::new(loss, weight).with_name(name)
        })
    }

    fn batch<C, L>(self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned,
        L: BatchLogitLoss,
    {
        let loss = init(&configure(&default, &self.table)?);
        self.named(loss.name(), |name, weight| {
            BatchObjective::new(loss, weight).with_name(name)
        })
    }

    fn learned_temperature(self) -> Result<Loss> {
        let config = configure(&LearnedTemperatureConfig::new(), &self.table)?;
        self.named(LearnedTemperature::TERM, |name, weight| {
            // A training moves it to where it runs.
            config.init(weight, &Device::flex()).with_name(name)
        })
    }

    fn labelled<C, L>(self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned,
        L: LabelledLoss,
    {
        let loss = init(&configure(&default, &self.table)?);
        self.named(loss.name(), |name, weight| {
            LabelledObjective::new(loss, weight).with_name(name)
        })
    }

    fn teacher_free<C, L>(self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned,
        L: TeacherFreeLoss,
    {
        let loss = init(&configure(&default, &self.table)?);
        self.named(loss.name(), |name, weight| {
            TeacherFreeObjective::new(loss, weight).with_name(name)
        })
    }

    fn heat_map(self) -> Result<Loss> {
        let loss = configure(&HeatMapLossConfig::new(), &self.table)?.init();
        self.named(HeatMapObjective::TERM, |name, weight| {
            HeatMapObjective::new(loss, weight).with_name(name)
        })
    }

    /// The objective under the name that the table gives it, or that of the loss.
    fn named<O: Objective>(
        self,
        name: &str,
        objective: impl FnOnce(String, WeightSchedule) -> O,
    ) -> Result<Loss> {
        let name = self.name.unwrap_or_else(|| name.into());
        let objective = DynObjective::new(objective(name.clone(), self.weight));
        Ok(Loss { name, objective })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    fn loss(text: &str) -> Result<Loss> {
        Loss::new(&text.parse().unwrap())
    }

    fn error(text: &str) -> String {
        format!("{:#}", loss(text).err().unwrap())
    }

    #[test]
    fn every_loss_of_the_catalogue_can_be_built_by_each_of_its_names() {
        for entry in catalogue() {
            for name in [&[entry.name], entry.aliases].concat() {
                assert_eq!(loss(&format!("kind = '{name}'")).unwrap().name, entry.name);
            }
        }
    }

    #[test]
    fn a_term_may_have_a_name_of_its_own() {
        let named = loss("kind = 'kd'\nname = 'warm'\ntemperature = 8").unwrap();

        assert_eq!(named.name, "warm");
        assert!(
            named.objective.to_string().contains("temperature: 8"),
            "{}",
            named.objective
        );
    }

    #[test]
    fn any_loss_of_logits_may_be_standardized() {
        let loss = loss("kind = 'kd'\nstandardize = true\ntemperature = 2").unwrap();

        assert_eq!(loss.name, "soft-target");
        let objective = loss.objective.to_string();
        assert!(
            objective.contains("Standardized {loss: SoftTargetLoss {temperature: 2}"),
            "{objective}"
        );
        assert!(error("kind = 'kd'\nstandardize = 1").contains("`standardize` is true or false"));
        assert!(error("kind = 'dist'\nstandardize = true").contains("unknown key `standardize`"));
    }

    #[test]
    fn a_loss_that_needs_labels_warms_up() {
        let warm_up = "{ kind = 'linear', from = 0, to = 1, epochs = 20 }";
        let decoupled = loss(&format!("kind = 'dkd'\nbeta = 2.0\nweight = {warm_up}")).unwrap();

        let text = decoupled.objective.to_string();
        assert!(text.contains("beta: 2"), "{text}");
        assert!(text.contains("epochs: 20"), "{text}");
    }

    #[test]
    fn errors_say_what_to_write_instead() {
        assert!(error("weight = 1").contains("`kind` is missing; it is one of hard, soft-target"));
        assert!(error("kind = 'soft-targt'").contains("did you mean `soft-target`?"));
        assert!(error("kind = 'kd'\ntemperatur = 2").contains("did you mean `temperature`?"));
        assert!(error("kind = 'kd'\ntemperature = 0").contains("should be above 0, but is 0"));
        assert!(error("kind = 'kd'\nweight = 'much'").contains("`weight` is a number or"));
        assert!(error("kind = 'hard'\ntemperature = 2").contains("unknown key `temperature`"));
    }

    #[test]
    fn the_snippets_of_the_book_are_valid() {
        let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/response");
        let mut described = BTreeSet::new();
        for page in fs::read_dir(pages).unwrap() {
            let page = page.unwrap().path();
            let text = fs::read_to_string(&page).unwrap();
            for snippet in text.split("```toml\n").skip(1) {
                let snippet = snippet.split("```").next().unwrap();
                let tables: Table = snippet.parse().unwrap();
                let losses = tables.get("loss").and_then(Value::as_array);
                for table in losses.into_iter().flatten() {
                    let table = table.as_table().unwrap();
                    if let Err(error) = Loss::new(table) {
                        panic!("{}: {error:#}", page.display());
                    }
                    described.insert(table["kind"].as_str().unwrap().to_string());
                }
            }
        }
        for loss in catalogue().filter(|loss| loss.name != Hard::TERM) {
            let found = described.iter().any(|kind| loss.is_called(kind));
            assert!(found, "the book has no snippet for `{}`", loss.name);
        }
    }
}
