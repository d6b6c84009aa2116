use burn_distill_core::CatalogueEntry;

/// The losses of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    const HINTON: &str = "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
        NIPS Deep Learning Workshop 2014";
    &[
        CatalogueEntry {
            name: "soft-target",
            kind: "response",
            aliases: &["kd", "hinton"],
            reference: HINTON,
        },
        CatalogueEntry {
            name: "logit-matching",
            kind: "response",
            aliases: &["logits", "ba-caruana"],
            reference: "Ba and Caruana, Do Deep Nets Really Need to be Deep?, NIPS 2014",
        },
        CatalogueEntry {
            name: "soft-cross-entropy",
            kind: "response",
            aliases: &["soft-ce"],
            reference: HINTON,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LogitLoss, LogitMatchingLossConfig, SoftCrossEntropyLossConfig, SoftTargetLossConfig,
    };
    use std::collections::HashSet;

    #[test]
    fn the_catalogue_holds_every_loss_under_the_name_of_its_term() {
        let names: Vec<_> = catalogue().iter().map(|loss| loss.name).collect();

        let expected = [
            SoftTargetLossConfig::new().init().name(),
            LogitMatchingLossConfig::new().init().name(),
            SoftCrossEntropyLossConfig::new().init().name(),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn no_name_means_two_losses() {
        let names = || {
            catalogue()
                .iter()
                .flat_map(|loss| [&[loss.name], loss.aliases].concat())
        };

        assert_eq!(names().collect::<HashSet<_>>().len(), names().count());
    }
}
