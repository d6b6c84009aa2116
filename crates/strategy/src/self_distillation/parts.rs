use super::{DropoutDistiller, ExitsDistiller};
use crate::Parts;
use burn::module::Module;
use burn::store::ModuleRecord;

/// In validation mode: in training, running statistics lag behind.
fn parts<N: Module, O: Module>(network: &N, objective: &O) -> Vec<(String, ModuleRecord)> {
    vec![
        ("student".into(), network.valid().into_record()),
        ("objective".into(), objective.valid().into_record()),
    ]
}

/// The network with all its exits, as `student`, and the `objective`: what those of its exits have
/// learnt.
impl<N: Module, O: Module> Parts for ExitsDistiller<N, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        parts(&self.network, &self.objectives)
    }
}

/// The network, as `student`, and the `objective`.
impl<N: Module, O: Module> Parts for DropoutDistiller<N, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        parts(&self.student, &self.objective)
    }
}
