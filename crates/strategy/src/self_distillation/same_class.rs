use super::{SelfTeacher, TeachingPhase};
use burn::module::Module;
use burn_distill_core::{Batch, Knowledge, Network, TapSelection};

/// What the network says about another sample of the same class: the teacher of class-wise
/// self-distillation (CS-KD).
///
/// The second view of a batch holds that other sample, as the `pairs` of burn-distill-data's
/// `BatchLoader` put it there. It goes
/// through the network on its own, after the first and in training mode, so that it is normalized by
/// its own statistics and moves the running ones; its predictions are constants.
///
/// The authors add once the soft targets at temperature 4 to the cross-entropy with the labels.
///
/// # Reference
///
/// S. Yun, J. Park, K. Lee and J. Shin, [Regularizing Class-wise Predictions via Self-knowledge
/// Distillation](https://arxiv.org/abs/2003.13964), CVPR 2020. Agrees with the authors' cs-kd.
#[doc(alias = "CS-KD")]
#[derive(Module, Debug, Default)]
pub struct SameClass {}

impl<S: Network> SelfTeacher<S> for SameClass {
    fn teach(&self, student: &S, batch: &Batch<S::Input>, selection: &TapSelection) -> Knowledge {
        // A loader for validation has no pairs: there the network is compared with itself.
        let partner = batch.views.get(1).unwrap_or_else(|| batch.view());
        // With the graph, and let go of: off autodiff, burn normalizes by the running statistics.
        student.forward_knowledge(partner.clone(), selection)
    }

    fn knows(&self, _batch: &Batch<S::Input>, phase: TeachingPhase) -> bool {
        phase == TeachingPhase::Training
    }
}
