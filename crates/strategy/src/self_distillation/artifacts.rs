use super::{
    DinoDistiller, DropoutDistiller, LastBatchDistiller, MultiExitDistiller, SelfDistiller,
};
use crate::StageArtifacts;
use burn::module::Module;
use burn::store::ModuleRecord;

/// Returns the record of a module in validation mode, since running statistics lag behind in
/// training mode.
fn record<M: Module>(module: &M) -> ModuleRecord {
    module.valid().into_record()
}

/// The `student`, its `teacher` and the `objective`.
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

/// The `student` with its head, its moving average as `teacher`, and the `objective` with its
/// center.
impl<S: Module, T: Module, O: Module> StageArtifacts for DinoDistiller<S, T, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("teacher".into(), record(&self.teacher)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The network with all exits, as `student`, and the objectives of the exits, as `objective`.
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
