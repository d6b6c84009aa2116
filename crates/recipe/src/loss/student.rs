use super::Loss;
use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use crate::input::{AnyInput, AnyNetwork};
use anyhow::{Result, bail};
use burn_distill::architecture::{NormalizedFeaturesConfig, ReusedClassifierConfig};
use burn_distill::core::{LossTerm, Network, Pair, TapPairs, Taps, check, initialize};
use burn_distill::feature::{FeatureNormalization, SimKdLossConfig};
use toml::Value;

/// The student as the losses need it, if one of them does not take it as it is.
pub fn student_of(losses: &[Loss]) -> Result<Option<AnyNetwork>> {
    let mut changing = losses.iter().filter(|loss| loss.student.is_some());
    let first = changing.next();
    if let (Some(first), Some(second)) = (first, changing.next()) {
        bail!(
            "the losses `{}` and `{}` each want a student of their own kind: leave one out",
            first.name,
            second.name
        );
    }
    Ok(first.and_then(|loss| loss.student.clone()))
}

impl Description<'_> {
    /// SimKD: the student goes on with the teacher's classifier.
    pub fn sim_kd(mut self) -> Result<Loss> {
        let scene = self.scene;
        let student = self.one("student", &scene.student_taps, Layers::LastStage)?;
        let teacher = self.classified(&scene.teacher_taps)?;
        let config = self.configure(ReusedClassifierConfig::new())?;

        let network = catch(|| {
            let student = (scene.student.clone(), student.as_str());
            initialize(config.init(student, (&scene.teacher, &teacher)))
        })?;
        let loss = SimKdLossConfig::new().with_relu(config.relu).init();
        let pair = Pair::new(ReusedClassifierConfig::TAP, teacher, loss);
        self.changing(network, TapPairs::from([pair]), 1.0)
    }

    /// Feature normalization: the student's classifier also sees features of a limited norm.
    pub fn feature_normalization(mut self) -> Result<Loss> {
        let scene = self.scene;
        let tap = self.one("student", &scene.student_taps, Layers::Pooled)?;
        let config = self.configure(NormalizedFeaturesConfig::new())?;

        let network = catch(|| config.init(scene.student.clone(), &tap))?;
        self.changing(network, FeatureNormalization {}, 9.0)
    }

    /// A loss with the student that it needs.
    fn changing(
        self,
        network: impl Network<Input = AnyInput>,
        term: impl LossTerm,
        weight: f64,
    ) -> Result<Loss> {
        let mut loss = self.term(term, weight)?;
        loss.student = Some(AnyNetwork::new(network));
        Ok(loss)
    }

    /// The tap of the teacher whose mean its classifier sees.
    ///
    /// Rectified, the last features before an activation are that, whether or not the network offers
    /// them activated, too.
    fn classified(&mut self, taps: &Taps) -> Result<String> {
        if self.table.contains_key("teacher") {
            return self.one("teacher", taps, Layers::LastStage);
        }
        let default = match self.table.get("relu") {
            Some(Value::Boolean(false)) => Layers::LastStage,
            _ => Layers::BeforeActivation,
        };
        let mut names = self.names("teacher", taps, default)?;
        Ok(names.swap_remove(names.len() - 1))
    }

    /// The one tap of a side.
    pub fn one(&mut self, side: &'static str, taps: &Taps, default: Layers) -> Result<String> {
        let mut names = self.names(side, taps, default)?;
        check::ensure(
            names.len() == 1,
            side,
            "one tap",
            format_args!("{} taps", names.len()),
        )?;
        Ok(names.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Scene;
    use crate::network::for_digits;
    use burn::tensor::activation::relu;
    use burn::tensor::{Device, Distribution, Tensor, Tolerance};
    use burn_distill::core::{TapSelection, known_taps};

    fn loss(text: &str, scene: &Scene) -> Result<Loss> {
        Loss::new(&text.parse().unwrap(), scene)
    }

    #[test]
    fn the_classifier_sees_the_mean_of_the_rectified_default() {
        for name in ["mlp-6-5", "convnet-4-8", "resnet8", "wrn-10-1"] {
            let scene = Scene::new(
                for_digits("convnet-4-8"),
                for_digits(name),
                4,
                vec![(0, Some(0))],
            );
            let mut description = Description::new(Default::default(), &scene).unwrap();
            let tap = description.classified(&scene.teacher_taps).unwrap();

            let input = Tensor::<4>::random([2, 1, 8, 8], Distribution::Default, &Device::flex());
            let knowledge = scene
                .teacher
                .forward_knowledge(input.into(), &TapSelection::named([&tap]));
            let map = relu(knowledge.taps.take(&tap).into_map());
            let classifier = scene.teacher.classifier().unwrap();
            let logits: Tensor<2> = classifier.forward(map.mean_dims(&[2, 3]).flatten(1, 3));

            let expected = knowledge.response.classes().unwrap().to_data();
            let tolerance = Tolerance::default();
            logits
                .into_data()
                .assert_approx_eq::<f32>(&expected, tolerance);
        }
    }

    #[test]
    fn the_student_is_what_the_loss_needs() {
        let scene = Scene::example();
        for (kind, tap) in [
            ("sim-kd", "projected"),
            ("feature-normalization", "logits.normalized"),
        ] {
            let loss = loss(&format!("kind = '{kind}'"), &scene).unwrap();

            let student = student_of(&[loss]).unwrap().unwrap();
            assert!(known_taps(&student).get(tap).is_ok());
        }
        let plain = loss("kind = 'kd'", &scene).unwrap();
        assert!(student_of(&[plain]).unwrap().is_none());
    }

    #[test]
    fn two_kinds_of_student_are_refused() {
        let scene = Scene::example();
        let losses =
            ["sim-kd", "fn"].map(|kind| loss(&format!("kind = '{kind}'"), &scene).unwrap());

        let error = student_of(&losses).err().unwrap().to_string();

        assert!(
            error.contains("`sim-kd` and `feature-normalization`"),
            "{error}"
        );
    }

    #[test]
    fn a_tap_that_the_classifier_does_not_see_is_refused() {
        let error = loss("kind = 'sim-kd'\nteacher = 'layer1'", &Scene::example());

        let error = format!("{:#}", error.err().unwrap());
        assert!(
            error.contains("takes 16 features, but its tap `layer1` has 8"),
            "{error}"
        );
    }
}
