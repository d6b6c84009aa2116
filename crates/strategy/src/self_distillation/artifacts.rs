use super::{
    DinoDistiller, DropoutDistiller, LastBatchDistiller, MultiExitDistiller, SelfDistiller,
};
use crate::StageArtifacts;
use burn::module::Module;
use burn::store::ModuleRecord;

/// In validation mode: in training, running statistics lag behind.
fn record<M: Module>(module: &M) -> ModuleRecord {
    module.valid().into_record()
}

/// The `student`, what it had its lessons from as `teacher`, and the `objective`.
impl<S: Module, T: Module, O: Module> StageArtifacts for SelfDistiller<S, T, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("teacher".into(), record(&self.teacher)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The `student` and the `objective`.
impl<S: Module, M: Module, O: Module> StageArtifacts for LastBatchDistiller<S, M, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The `student`, head included, its average as `teacher`, and the `objective` with its center.
impl<S: Module, T: Module, O: Module> StageArtifacts for DinoDistiller<S, T, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("teacher".into(), record(&self.teacher)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The network with all its exits, as `student`, and the `objective`: what those of its exits have
/// learned.
impl<N: Module, O: Module> StageArtifacts for MultiExitDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.network)),
            ("objective".into(), record(&self.objectives)),
        ]
    }
}

/// The network, as `student`, and the `objective`.
impl<N: Module, O: Module> StageArtifacts for DropoutDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}
