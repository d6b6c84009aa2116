use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use super::{Loss, Preparation};
use crate::memory::{fits, trained};
use crate::numbers::MOST_EPOCHS;
use crate::typed::typed_value;
use anyhow::{Result, bail};
use burn::module::Module;
use burn_distill::core::{DynObjective, Frozen, NamedLoss, Pair, PairObjective, Taps, initialize};
use burn_distill::feature::{
    FactorTransferLossConfig, ReconstructionDistance, ReconstructionObjective,
};
use std::rc::Rc;

/// The authors' number.
const PARAPHRASER_EPOCHS: usize = 5;

impl Description<'_> {
    /// Factor transfer, which trains its paraphraser first.
    pub fn factor_transfer(mut self) -> Result<Loss> {
        let scene = self.scene;
        let pairs = self.pairs(Layers::LastStage)?;
        let [(student, teacher)] = pairs.as_slice() else {
            bail!(
                "factor transfer compares one tap with one, not {}",
                pairs.len()
            );
        };
        let epochs = self.count("paraphraser_epochs", MOST_EPOCHS)?;
        let epochs = epochs.unwrap_or(PARAPHRASER_EPOCHS);
        let distance = match self.take("reconstruction") {
            Some(distance) => typed_value("reconstruction", distance)?,
            None => ReconstructionDistance::MeanSquare,
        };
        let config = self.configure(FactorTransferLossConfig::new())?;

        let channels = |taps: &Taps, name: &str| taps.take(name).into_map().dims()[1];
        let width = super::sizes::channels(&scene.teacher_taps, teacher)? as f64;
        // The convolutions of 3 x 3 of the paraphraser, there and back, and of the translator.
        let factors = (width * config.rate).max(1.0);
        fits(
            "rate",
            config.rate,
            trained(9.0 * 4.0 * factors * (factors + width)),
        )?;
        let (reconstruction, loss) = catch(|| {
            let teacher_channels = channels(&scene.teacher_taps, teacher);
            let paraphraser = initialize(config.paraphraser(teacher_channels, &scene.device));
            let student_channels = channels(&scene.student_taps, student);
            let loss = config.init(student_channels, paraphraser.clone(), &scene.device);
            let reconstruction =
                ReconstructionObjective::new(paraphraser, teacher).with_distance(distance);
            (reconstruction, initialize(loss))
        })?;

        let mut objective = None;
        let mut described = self.named(loss.name(), 500.0, |name, weight| {
            let pair = Pair::new(student, teacher, loss);
            let pairs = PairObjective::new([pair], weight).with_name(name);
            objective.insert(pairs).clone()
        })?;
        let objective = objective.expect("it was just built");
        described.preparation = Some(Preparation {
            name: "paraphraser",
            epochs,
            objective: DynObjective::new(reconstruction.clone()),
            finish: Rc::new(move |record| {
                let trained = reconstruction.valid().try_load_record(record)?;
                let mut objective = objective.clone();
                objective.term.pairs[0].loss.paraphraser = Frozen::new(trained.paraphraser);
                Ok(DynObjective::new(objective))
            }),
        });
        Ok(described)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scene;

    fn loss(text: &str) -> Result<Loss> {
        let table = format!("kind = 'factor-transfer'\n{text}").parse().unwrap();
        Loss::new(&table, &Scene::example())
    }

    #[test]
    fn a_paraphraser_is_trained_first() {
        let preparation = |text: &str| loss(text).unwrap().preparation.unwrap();

        assert_eq!(preparation("").epochs, 5);
        assert_eq!(preparation("paraphraser_epochs = 7").epochs, 7);
        let absolute = preparation("reconstruction = 'MeanAbsolute'").objective;
        assert_ne!(absolute.to_string(), preparation("").objective.to_string());
    }

    #[test]
    fn weights_of_another_paraphraser_are_refused() {
        let half = loss("").unwrap().preparation.unwrap();
        let whole = loss("rate = 1.0").unwrap().preparation.unwrap();

        assert!((half.finish)(half.objective.into_record()).is_ok());
        let other = loss("").unwrap().preparation.unwrap();
        assert!((other.finish)(whole.objective.into_record()).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, message) in [
            (
                "paraphraser_epochs = 0",
                "should be a whole number from 1 to 1000000, but is 0",
            ),
            ("paraphraser_epochs = 'few'", "`paraphraser_epochs`"),
            ("reconstruction = 'Sum'", "`reconstruction`"),
            ("rate = 0", "`rate` should be from 0.001 to 16, but is 0"),
            (
                "student = ['layer1', 'layer2']\nteacher = ['layer1', 'layer2']",
                "one tap with one, not 2",
            ),
        ] {
            let error = format!("{:#}", loss(text).err().unwrap());
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
