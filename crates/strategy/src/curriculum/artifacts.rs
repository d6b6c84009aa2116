use crate::OfflineDistiller;
use burn::module::Module;
use burn::store::ModuleRecord;

/// A model whose parts a later stage may go on with.
///
/// A stage saves each part under its name; what has no weights, or is frozen, leaves nothing.
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
    /// The records of the parts with their names, which are those of files.
    fn artifacts(&self) -> Vec<(String, ModuleRecord)>;
}

/// The `student` and the `objective`: what it has learned beside the student.
impl<S: Module, T, O: Module> StageArtifacts for OfflineDistiller<S, T, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            // In validation mode: in training, running statistics lag behind.
            ("student".into(), self.student.valid().into_record()),
            ("objective".into(), self.objective.valid().into_record()),
        ]
    }
}
