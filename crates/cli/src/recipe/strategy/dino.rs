//! Views without labels, before the student knows some.

use super::options::DinoRecipe;
use super::setting::{Outcome, Ready, Sees, Setting};
use crate::experiment::ImageNetwork;
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::architecture::NetworkConfig;
use burn_distill::core::ChangingWeight;
use burn_distill::data::MultiCrop;
use burn_distill::strategy::{DinoDistiller, DinoNetwork, DinoObjective, Figure, MeanTeacher};

/// The student with a head, and its average.
pub type Dino = DinoDistiller<Headed, MeanTeacher<Headed>, DinoObjective>;

type Headed = DinoNetwork<ImageNetwork>;

impl Setting<'_> {
    /// What is trained without labels: the average is what the student goes on from.
    pub fn dino(&self, options: &DinoRecipe) -> Result<Ready<Dino>> {
        let sees = self.dino_views(options)?;
        ensure!(
            options.epochs != Some(0),
            "`strategy.epochs` should be at least 1, but is 0"
        );
        ensure!(
            self.recipe.losses.is_empty(),
            "there is a [[loss]], but views are compared by prototypes, and labels are learnt as \
             without a strategy: leave it out"
        );
        let epochs = self.dino_epochs(options);
        let student = self.student()?;
        let (head, objective) = (&options.head.0, &options.objective.0);
        let distiller = self.draw(|| {
            let student = head.init_network(student, &options.tap);
            let decay = ChangingWeight::Cosine {
                from: options.decay,
                to: 1.0,
                epochs,
            };
            let teacher = MeanTeacher::new(&student, decay)
                .with_warm_up(false)
                .with_training_mode(options.training_mode);
            let objective = objective.init(head.d_output, 1.0, &Device::flex());
            let distiller = DinoDistiller::new(student, teacher, objective);
            match &options.weight_decay {
                Some(schedule) => distiller.with_weight_decay(schedule.clone()),
                None => distiller,
            }
        })?;
        let plain = self.student()?;
        Ok(Ready {
            distiller,
            sees,
            figures: vec![
                Figure::Loss,
                Figure::Agreement,
                Figure::Term(DinoObjective::TERM.into()),
            ],
            outcome: Box::new(move |distiller| {
                let average = distiller.teacher.average.inner();
                // Into a network that trains: the average does not.
                let record = average.backbone.valid().into_record();
                let student: ImageNetwork = plain.try_load_record(record)?;
                Ok(Outcome::from(student))
            }),
        })
    }

    /// Returns the views of each sample, once it is sure that the student can see them.
    fn dino_views(&self, options: &DinoRecipe) -> Result<Sees> {
        let least = if options.local_crops > 0 { 1 } else { 2 };
        let default = if options.local_crops > 0 { 2 } else { 4 };
        let views = options.views.unwrap_or(default);
        ensure!(
            (least..=64).contains(&views),
            "`strategy.views` should be from {least} to 64, but is {views}"
        );
        if options.local_crops == 0 {
            for (key, given) in [
                ("local_size", options.local_size.is_some()),
                ("local_scale", options.local_scale.is_some()),
                ("global_scale", options.global_scale.is_some()),
            ] {
                ensure!(
                    !given,
                    "`strategy.{key}` is of local crops, and there are none: give \
                     `strategy.local_crops`, which is 0, or leave it out"
                );
            }
            return Ok(Sees::Views(views));
        }

        ensure!(
            options.local_crops <= 64,
            "`strategy.local_crops` should be at most 64, but is {}",
            options.local_crops
        );
        ensure!(
            takes_several_sizes(self.model()),
            "`strategy.local_crops` is {}, but {} takes images of one size: take a network of \
             convolutions as `student.model`, or leave it out",
            options.local_crops,
            self.model()
        );
        let defaults = MultiCrop::new(self.shape);
        let crop = MultiCrop {
            globals: views,
            locals: options.local_crops,
            local_size: match options.local_size {
                Some(size) => [size; 2],
                None => defaults.local_size,
            },
            global_scale: options.global_scale.unwrap_or(defaults.global_scale),
            local_scale: options.local_scale.unwrap_or(defaults.local_scale),
        };
        crop.check(self.shape).context("strategy")?;
        let augmentation = &self.recipe.data.augmentation;
        augmentation
            .check_multi_crop()
            .context("data.augmentation")?;
        Ok(Sees::Crops(crop))
    }

    /// The epochs without labels.
    pub fn dino_epochs(&self, options: &DinoRecipe) -> usize {
        options
            .epochs
            .unwrap_or(self.recipe.student.training.epochs)
    }
}

/// Whether a network sees images of other sizes than it was made for: a perceptron has a weight for
/// each pixel, and a transformer a position for each patch.
fn takes_several_sizes(model: &NetworkConfig) -> bool {
    match model {
        NetworkConfig::ConvNet { .. }
        | NetworkConfig::ResNet { .. }
        | NetworkConfig::WideResNet { .. } => true,
        _ => false,
    }
}
