use crate::input::{AnyInput, AnyNetwork};
use crate::notices::Notices;
use burn::module::Module;
use burn_distill::architecture::{CkaPairing, Pairing};
use burn_distill::core::{
    LayerChoice, LossError, Network, PairLayers, TapRecorder, TapSelection, Taps,
};
use std::sync::Arc;

/// Returns the function that pairs layers for recipes, by similarity if there are inputs; a message
/// then shows the similarities.
pub fn pair_layers(inputs: Option<(AnyInput, Notices)>) -> PairLayers<AnyInput> {
    Arc::new(move |context, choice, pairs, student, teacher| {
        let known = || {
            (
                only(&context.student_taps, student),
                only(&context.teacher_taps, teacher),
            )
        };
        let ((student, teacher), pairing) = match (choice, &inputs) {
            (LayerChoice::Last, _) => (known(), Pairing::Last(pairs)),
            (LayerChoice::Cka, Some((inputs, notices))) => {
                let student = seen(&context.student, inputs, student);
                let teacher = seen(&context.teacher, inputs, teacher);
                let chosen = CkaPairing::new(&student, &teacher, pairs).map_err(LossError::new)?;
                notices.add(format!(
                    "similarity of the layers, * where they are paired:\n{chosen}"
                ));
                return Ok(chosen.pairs);
            }
            // Without inputs the similarity is unknown, and any pairs suffice to check the other
            // values.
            (LayerChoice::Uniform, _) | (LayerChoice::Cka, None) => {
                (known(), Pairing::Uniform(pairs))
            }
        };
        pairing.pairs(&student, &teacher).map_err(LossError::new)
    })
}

/// Returns the taps of these names.
fn only(taps: &Taps, names: &[String]) -> Taps {
    let mut recorder = TapRecorder::new(TapSelection::named(names));
    for (name, tap) in taps.iter() {
        recorder.offer(name, || tap.clone());
    }
    recorder.finish().expect("The names are those of taps.")
}

/// Computes the taps of these names of a network for some inputs.
fn seen(network: &AnyNetwork, inputs: &AnyInput, names: &[String]) -> Taps {
    let requirements = TapSelection::named(names);
    let network = network.valid();
    network
        .forward_knowledge(inputs.clone(), &requirements)
        .taps
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, LossContext, loss_context, with_inputs};
    use crate::network::for_digits;
    use crate::notices::Notices;
    use burn::tensor::{Device, Distribution, Tensor};
    use burn_distill::core::Objective;

    fn context() -> LossContext {
        loss_context(
            for_digits("convnet-4-6"),
            for_digits("convnet-4-4-6-6"),
            16,
            vec![(0, None)],
        )
    }

    fn pairs(keys: &str, context: &LossContext) -> Result<String, String> {
        let table = format!("kind = 'pearson'\n{keys}").parse().unwrap();
        let loss = Loss::new(&table, context).map_err(|error| format!("{error:#}"))?;
        let requirements = loss.objective.requirements();
        Ok(format!(
            "{:?} {:?}",
            requirements.student, requirements.teacher
        ))
    }

    fn chosen(keys: &str) -> String {
        pairs(keys, &context()).unwrap()
    }

    fn refused(keys: &str) -> String {
        pairs(keys, &context()).unwrap_err()
    }

    #[test]
    fn pairs_are_chosen_by_place() {
        assert_eq!(
            chosen("pairing = 'uniform'"),
            "Named({\"layer1\", \"layer2\"}) Named({\"layer2\", \"layer4\"})"
        );
        assert_eq!(
            chosen("pairing = 'last'\npairs = 1"),
            "Named({\"layer2\"}) Named({\"layer4\"})"
        );
        assert_eq!(
            chosen("pairing = 'last'\npairs = 1\nteacher = ['layer1', 'layer3']"),
            "Named({\"layer2\"}) Named({\"layer3\"})"
        );
        assert_eq!(chosen("pairing = 'cka'"), chosen("pairing = 'uniform'"));
    }

    #[test]
    fn pairs_are_chosen_by_similarity_where_there_are_images() {
        let mut context = context();
        // Equal weights up to the first layer, whose features are then those of the teacher's.
        context.student = context.teacher.clone();
        context.student_taps = context.teacher_taps.clone();
        let images = Tensor::<4>::random([16, 1, 8, 8], Distribution::Default, &Device::flex());
        let context = with_inputs(context, images.into(), Notices::default());

        let keys = "pairing = 'cka'\npairs = 1\nstudent = ['layer1', 'layer4']\nteacher = ";
        for (teacher, expected) in [
            (
                "['layer1', 'layer2']",
                "Named({\"layer1\"}) Named({\"layer1\"})",
            ),
            (
                "['layer2', 'layer4']",
                "Named({\"layer4\"}) Named({\"layer4\"})",
            ),
        ] {
            assert_eq!(
                pairs(&format!("{keys}{teacher}"), &context).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn errors_name_the_key() {
        assert!(
            refused("pairing = 'even'").contains("`pairing` should be one of uniform, last, cka")
        );
        assert!(refused("pairs = 2").contains("but there is no `pairing`"));
        assert!(
            refused("pairing = 'last'\npairs = 0")
                .contains("a whole number from 1 to 1000000, but is 0")
        );
        assert!(refused("pairing = 'last'\npairs = 3").contains("the student has 2"));
        assert!(refused("weight = 1").contains("or set `pairing`"));
    }
}
