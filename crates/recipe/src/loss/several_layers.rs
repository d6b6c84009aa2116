use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use super::sizes::channels;
use super::{Loss, Scene};
use crate::memory::{fits, trained};
use anyhow::{Result, ensure};
use burn_distill::architecture::ChannelAdapterConfig;
use burn_distill::core::{
    ChangingWeight, Check, LayersLoss, LayersTerm, Pair, TapPairs, Taps, WeightSchedule,
};
use burn_distill::feature::{
    AttentionFeatureLossConfig, ChannelAttentionLossConfig, ReviewLossConfig,
    SemanticCalibrationLossConfig,
};

impl Description<'_> {
    /// Every layer of the student with every layer of the teacher, by how they relate the samples.
    pub fn semantic_calibration(mut self) -> Result<Loss> {
        let layers = self.layers(Layers::Stages)?;
        let (batch_size, samples) = (self.scene.batch_size, self.scene.samples.len());
        ensure!(
            samples >= batch_size,
            "it compares whole batches, but there are {samples} samples for a batch of {batch_size}"
        );
        self.between(
            layers,
            400.0,
            SemanticCalibrationLossConfig::new(),
            |config, student, teacher, scene| {
                config.init(student, teacher, batch_size, &scene.device)
            },
        )
    }

    /// Every layer of the student, fused with the deeper ones, with the same layer of the teacher.
    pub fn review(mut self) -> Result<Loss> {
        let scene = self.scene;
        let student = self.names("student", &scene.student_taps, Layers::StagesAndPool)?;
        let teacher = self.names(
            "teacher",
            &scene.teacher_taps,
            Layers::BeforeActivationAndPool,
        )?;
        ensure!(
            student.len() == teacher.len(),
            "it compares a map of the student with the one of the teacher in the same place, but the \
             student has {} ({}) and the teacher {} ({}): name as many as `student` and `teacher`",
            student.len(),
            student.join(", "),
            teacher.len(),
            teacher.join(", ")
        );
        let channels = self.configure(ReviewLossConfig::new())?.channels;
        let width = |taps: &Taps, names: &[String]| -> Result<f64> {
            let widths = names.iter().map(|name| super::sizes::channels(taps, name));
            Ok(widths.sum::<Result<usize>>()? as f64)
        };
        // From the student's channels by a convolution of 1 x 1, to the teacher's by one of 3 x 3.
        let parameters = channels as f64
            * (width(&scene.student_taps, &student)? + 9.0 * width(&scene.teacher_taps, &teacher)?);
        fits("channels", channels, trained(parameters))?;
        let warm_up = ChangingWeight::Linear {
            from: 0.0,
            to: 5.0,
            epochs: 20,
        };
        self.between(
            (student, teacher),
            warm_up,
            ReviewLossConfig::new(),
            |config, student, teacher, scene| config.init(student, teacher, &scene.device),
        )
    }

    /// Every layer of the teacher with every layer of the student, by a learned attention.
    pub fn attention_feature(mut self) -> Result<Loss> {
        let layers = self.layers(Layers::Stages)?;
        self.between(
            layers,
            200.0,
            AttentionFeatureLossConfig::new(),
            |config, student, teacher, scene| config.init(student, teacher, &scene.device),
        )
    }

    /// The channels of each pair of taps, by a learned attention for each. The weight is that of
    /// their mean.
    pub fn channel_attention(mut self) -> Result<Loss> {
        let scene = self.scene;
        let names = self.pairs(Layers::Stages)?;
        let config = self.configure(ChannelAttentionLossConfig::new())?;
        let weight = 1.0 / names.len() as f64;
        let mut pairs = Vec::with_capacity(names.len());
        for (student, teacher) in names {
            let inputs = channels(&scene.student_taps, &student)?;
            let outputs = channels(&scene.teacher_taps, &teacher)?;
            let loss = catch(|| config.init(outputs, &scene.device))?;
            let adapter = ChannelAdapterConfig::new(inputs, outputs).init(&scene.device);
            let pair = Pair::new(student, teacher, loss).with_adapter(adapter);
            pairs.push(pair.with_weight(weight));
        }
        self.term(TapPairs::from(pairs), 500.0)
    }

    /// A loss between these layers of the student and of the teacher, made for their channels.
    fn between<C, L>(
        self,
        (student, teacher): (Vec<String>, Vec<String>),
        weight: impl Into<WeightSchedule>,
        default: C,
        init: impl FnOnce(&C, &[usize], &[usize], &Scene) -> L,
    ) -> Result<Loss>
    where
        C: serde::Serialize + serde::de::DeserializeOwned + Check,
        L: LayersLoss,
    {
        let scene = self.scene;
        let widths = |taps: &Taps, names: &[String]| -> Result<Vec<usize>> {
            names.iter().map(|name| channels(taps, name)).collect()
        };
        let inputs = widths(&scene.student_taps, &student)?;
        let outputs = widths(&scene.teacher_taps, &teacher)?;
        let loss = self.init(default, |config| init(config, &inputs, &outputs, scene))?;
        self.try_out_on(
            scene.batch_size.max(4),
            (&student, &teacher),
            |student, teacher| loss.forward_layers(student, teacher, None),
        )?;
        self.term(LayersTerm::new(loss, student, teacher), weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(text: &str) -> Result<Loss> {
        Loss::new(&text.parse().unwrap(), &Scene::example())
    }

    #[test]
    fn review_compares_what_is_not_yet_activated_and_warms_up() {
        let review = loss("kind = 'review'").unwrap().objective.to_string();

        assert!(review.contains("layer1.pre"), "{review}");
        assert!(review.contains("pool"), "{review}");
        assert!(review.contains("epochs: 20"), "{review}");
    }

    #[test]
    fn layers_that_do_not_go_together_are_refused() {
        let error = loss("kind = 'review'\nstudent = 'layer1'").err().unwrap();

        let error = format!("{error:#}");
        assert!(
            error.contains("the student has 1 (layer1) and the teacher 3"),
            "{error}"
        );
    }

    #[test]
    fn whole_batches_need_enough_samples() {
        let scene = Scene {
            samples: (0..3).map(|id| (id, None)).collect(),
            ..Scene::example()
        };
        let table = "kind = 'semckd'".parse().unwrap();

        let error = format!("{:#}", Loss::new(&table, &scene).err().unwrap());
        assert!(error.contains("3 samples for a batch of 4"), "{error}");
    }
}
