use super::{DinoDistiller, DropoutDistiller, ExitsDistiller, LastBatchDistiller, SelfDistiller};
use crate::Parts;
use burn::module::Module;
use burn::store::ModuleRecord;

/// In validation mode: in training, running statistics lag behind.
fn record<M: Module>(module: &M) -> ModuleRecord {
    module.valid().into_record()
}

/// The `student`, what it had its lessons from as `teacher`, and the `objective`.
impl<S: Module, T: Module, O: Module> Parts for SelfDistiller<S, T, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("teacher".into(), record(&self.teacher)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The `student` and the `objective`.
impl<S: Module, M: Module, O: Module> Parts for LastBatchDistiller<S, M, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The `student`, head included, its average as `teacher`, and the `objective` with its centre.
impl<S: Module, T: Module, O: Module> Parts for DinoDistiller<S, T, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("teacher".into(), record(&self.teacher)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}

/// The network with all its exits, as `student`, and the `objective`: what those of its exits have
/// learnt.
impl<N: Module, O: Module> Parts for ExitsDistiller<N, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.network)),
            ("objective".into(), record(&self.objectives)),
        ]
    }
}

/// The network, as `student`, and the `objective`.
impl<N: Module, O: Module> Parts for DropoutDistiller<N, O> {
    fn parts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.student)),
            ("objective".into(), record(&self.objective)),
        ]
    }
}
