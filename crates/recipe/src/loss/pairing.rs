use super::description::Description;
use super::layers::Layers;
use crate::fault::Fault;
use crate::input::{AnyInput, AnyNetwork};
use crate::typed::typed_value;
use anyhow::{Result, ensure};
use burn::module::Module;
use burn_distill::architecture::{CkaPairing, Pairing};
use burn_distill::core::{Network, TapRecorder, TapSelection, Taps};
use serde::Deserialize;

/// More pairs than any network has layers.
const MOST_PAIRS: usize = 1_000_000;

/// How a recipe has layers paired.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Uniform,
    Last,
    Cka,
}

impl Description<'_> {
    /// The pairs of taps that a `pairing` chooses, if the table has one: so many `pairs` among those
    /// that `student` and `teacher` name, or all that there are of their kind.
    pub fn paired(&mut self, default: Layers) -> Result<Option<Vec<(String, String)>>> {
        let choice = self.take("pairing");
        let pairs = self.count("pairs", MOST_PAIRS)?;
        let Some(choice) = choice else {
            ensure!(
                pairs.is_none(),
                Fault::other(
                    "pairs",
                    "it is the number of pairs of a `pairing`, which is missing"
                )
            );
            return Ok(None);
        };
        let choice = typed_value("pairing", choice)?;
        let (student, teacher) = self.layers(match default {
            Layers::MiddleStage | Layers::LastStage => Layers::Stages,
            other => other,
        })?;
        let pairs = pairs.unwrap_or(student.len().min(teacher.len()));

        let scene = self.scene;
        let known = || {
            (
                only(&scene.student_taps, &student),
                only(&scene.teacher_taps, &teacher),
            )
        };
        let ((student, teacher), pairing) = match (choice, &scene.inputs) {
            (Choice::Last, _) => (known(), Pairing::Last(pairs)),
            (Choice::Cka, Some(inputs)) => {
                let student = seen(&scene.student, inputs, &student);
                let teacher = seen(&scene.teacher, inputs, &teacher);
                let chosen = CkaPairing::new(&student, &teacher, pairs)?;
                scene.notices.add(format!(
                    "similarity of the layers, * where they are paired:\n{chosen}"
                ));
                return Ok(Some(chosen.pairs));
            }
            // Without inputs there is nothing to be similar in; any pairs do to check the rest.
            (Choice::Uniform, _) | (Choice::Cka, None) => (known(), Pairing::Uniform(pairs)),
        };
        Ok(Some(pairing.pairs(&student, &teacher)?))
    }
}

/// The taps of these names.
fn only(taps: &Taps, names: &[String]) -> Taps {
    let mut recorder = TapRecorder::new(TapSelection::named(names));
    for (name, tap) in taps.iter() {
        recorder.offer(name, || tap.clone());
    }
    recorder.finish().expect("The names are those of taps.")
}

/// Returns the taps of these names of a network for some inputs.
fn seen(network: &AnyNetwork, inputs: &AnyInput, names: &[String]) -> Taps {
    let wanted = TapSelection::named(names);
    let network = network.valid();
    network.forward_knowledge(inputs.clone(), &wanted).taps
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, Scene};
    use crate::network::for_digits;
    use burn::tensor::{Device, Distribution, Tensor};
    use burn_distill::core::Objective;

    fn scene() -> Scene {
        Scene::new(
            for_digits("convnet-4-6"),
            for_digits("convnet-4-4-6-6"),
            16,
            vec![(0, None)],
        )
    }

    fn pairs(keys: &str, scene: &Scene) -> Result<String, String> {
        let table = format!("kind = 'pearson'\n{keys}").parse().unwrap();
        let loss = Loss::new(&table, scene).map_err(|error| format!("{error:#}"))?;
        let wanted = loss.objective.wanted();
        Ok(format!("{:?} {:?}", wanted.student, wanted.teacher))
    }

    fn chosen(keys: &str) -> String {
        pairs(keys, &scene()).unwrap()
    }

    fn refused(keys: &str) -> String {
        pairs(keys, &scene()).unwrap_err()
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
        let mut scene = scene();
        // Equal weights up to the first layer, whose features are then those of the teacher's.
        scene.student = scene.teacher.clone();
        scene.student_taps = scene.teacher_taps.clone();
        let images = Tensor::<4>::random([16, 1, 8, 8], Distribution::Default, &Device::flex());
        let scene = scene.with_inputs(images.into());

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
                pairs(&format!("{keys}{teacher}"), &scene).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(
            refused("pairing = 'even'").contains("`pairing` should be one of uniform, last, cka")
        );
        assert!(refused("pairs = 2").contains("of a `pairing`, which is missing"));
        assert!(
            refused("pairing = 'last'\npairs = 0")
                .contains("a whole number from 1 to 1000000, but is 0")
        );
        assert!(refused("pairing = 'last'\npairs = 3").contains("the student has 2"));
        assert!(refused("weight = 1").contains("or give a `pairing`"));
    }
}
