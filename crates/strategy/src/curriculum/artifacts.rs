use crate::OfflineDistiller;
use burn::module::Module;
use burn::store::ModuleRecord;

/// A model with parts that a later stage of a [`Curriculum`](crate::Curriculum) can load.
///
/// A stage saves each part under its name, as an artifact. A part without weights, or a frozen one,
/// is not saved.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::Linear;
/// use burn::store::ModuleRecord;
/// use burn_distill_strategy::StageArtifacts;
///
/// #[derive(Module, Debug)]
/// struct TwoPeers {
///     peers: [Linear; 2],
/// }
///
/// impl StageArtifacts for TwoPeers {
///     fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
///         let peers = self.peers.iter().enumerate();
///         peers
///             .map(|(n, peer)| (format!("peer-{n}"), peer.valid().into_record()))
///             .collect()
///     }
/// }
/// ```
pub trait StageArtifacts {
    /// Returns the records of the parts with their names, which become names of files.
    fn artifacts(&self) -> Vec<(String, ModuleRecord)>;
}

/// The `student` and the `objective`, whose adapters train with the student.
impl<S: Module, T, O: Module> StageArtifacts for OfflineDistiller<S, T, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            // In validation mode, since running statistics lag behind in training mode.
            ("student".into(), self.student.valid().into_record()),
            ("objective".into(), self.objective.valid().into_record()),
        ]
    }
}
