use super::{SelfTeacher, TeachingPhase};
use burn::module::Module;
use burn_distill_core::{Batch, Knowledge, Network, TapSelection};

/// Class-wise self-knowledge distillation (CS-KD): the teacher is the network itself on another
/// sample of the same class.
///
/// The second view of a batch holds the other sample, as `pairs` of `BatchLoader` in
/// burn-distill-data provides it. It passes through the network separately, after the first view
/// and in training mode, so that it is normalized by its batch statistics and updates the running
/// statistics. Its predictions are constants.
///
/// The authors train on the cross-entropy with the labels plus soft targets at temperature 4 with a
/// weight of 1.
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
        // A validation loader has no pairs: the network is compared with itself.
        let partner = batch.views.get(1).unwrap_or_else(|| batch.view());
        // On autodiff, since burn otherwise normalizes by the running statistics. The caller
        // detaches it.
        student.forward_knowledge(partner.clone(), selection)
    }

    fn has_knowledge(&self, _batch: &Batch<S::Input>, phase: TeachingPhase) -> bool {
        phase == TeachingPhase::Training
    }
}
