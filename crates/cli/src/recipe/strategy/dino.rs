//! Views without labels, before the student knows some.

use super::options::DinoRecipe;
use super::setting::{Outcome, Ready, Sees, Setting};
use crate::experiment::ImageNetwork;
use crate::recipe::configure::configure;
use crate::recipe::fault::{Fault, Place};
use crate::recipe::memory::{fits, trained};
use anyhow::{Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{ChangingWeight, Tap, known_taps};
use burn_distill::strategy::{
    DinoDistiller, DinoHeadConfig, DinoNetwork, DinoObjective, Figure, MeanTeacher,
};

/// The hidden size of a head for each feature that it sees, up to that of the authors: theirs for
/// the features of a ResNet-20.
const HIDDEN_PER_FEATURE: usize = 32;
/// The size of the bottleneck for each feature, likewise.
const BOTTLENECK_PER_FEATURE: usize = 4;

/// The student with a head, and its average.
pub type Dino = DinoDistiller<Headed, MeanTeacher<Headed>, DinoObjective>;

type Headed = DinoNetwork<ImageNetwork>;

impl Setting<'_> {
    /// What is trained without labels: the average is what the student goes on from.
    pub fn dino(&self, options: &DinoRecipe) -> Result<Ready<Dino>> {
        let views = options.views;
        ensure!(
            self.recipe.losses.is_empty(),
            "there is a [[loss]], but views are compared by prototypes, and labels are learnt as \
             without a strategy: leave it out"
        );
        let epochs = self.dino_epochs(options);
        let student = self.student()?;
        let (head, objective) = (self.dino_head(options, &student)?, &options.objective.0);
        let distiller = self.draw(|| {
            let student = head.init_network(student, &options.tap);
            let decay = ChangingWeight::Cosine {
                from: options.decay,
                to: 1.0,
                epochs,
            };
            let teacher = MeanTeacher::new(&student, decay).with_warm_up(false);
            let objective = objective.init(head.d_output, 1.0, &Device::flex());
            DinoDistiller::new(student, teacher, objective)
        })?;
        let plain = self.student()?;
        Ok(Ready {
            distiller,
            sees: Sees::Views(views),
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

    /// The head: what the recipe does not give is the authors', but no larger than the student and
    /// its samples are worth.
    pub fn dino_head(
        &self,
        options: &DinoRecipe,
        student: &ImageNetwork,
    ) -> Result<DinoHeadConfig> {
        let features = known_taps(student);
        let features = features.get(&options.tap).at("strategy.tap")?;
        let features = match features {
            Tap::Attention(_) | Tap::Mask(_) => {
                let text = "it is neither a vector nor a map nor a sequence of tokens";
                return Err(Fault::other("strategy.tap", text).into());
            }
            // The last axis of tokens, else the first after the batch.
            Tap::Sequence(tokens) => tokens.dims()[2],
            tap => tap.shape().as_slice()[1],
        };
        let authors = DinoHeadConfig::new();
        let samples = self.samples.len();
        let default = DinoHeadConfig::new()
            .with_d_output(authors.d_output.min(samples))
            .with_d_hidden(authors.d_hidden.min(HIDDEN_PER_FEATURE * features))
            .with_d_bottleneck(authors.d_bottleneck.min(BOTTLENECK_PER_FEATURE * features));
        let head = configure(&default, &options.head, &[]).at("strategy.head")?;
        let DinoHeadConfig {
            d_output,
            d_hidden,
            d_bottleneck,
        } = head;
        let numbers = |sizes: [usize; 2]| sizes[0] as f64 * sizes[1] as f64;
        let hidden = numbers([features + d_hidden, d_hidden]);
        let fits = |key, value, parameters| fits(key, value, 2.0 * trained(parameters));
        fits("d_hidden", d_hidden, hidden)
            .and_then(|()| {
                fits(
                    "d_bottleneck",
                    d_bottleneck,
                    numbers([d_hidden, d_bottleneck]),
                )
            })
            .and_then(|()| fits("d_output", d_output, numbers([d_bottleneck, d_output])))
            .at("strategy.head")?;
        Ok(head)
    }

    /// The epochs without labels.
    pub fn dino_epochs(&self, options: &DinoRecipe) -> usize {
        options
            .epochs
            .unwrap_or(self.recipe.student.training.epochs)
    }
}
