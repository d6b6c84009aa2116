use super::{
    AdversarialDistiller, Codistiller, GroupLeaderDistiller, MutualDistiller,
    NativeEnsembleDistiller,
};
use crate::StageArtifacts;
use burn::module::Module;
use burn::store::ModuleRecord;
use burn_distill_core::Network;

/// Returns the record of a module in validation mode, since running statistics lag behind in
/// training mode.
fn record<M: Module>(module: &M) -> ModuleRecord {
    module.valid().into_record()
}

/// Returns the records of peers, named `peer-1` and so on.
fn numbered<N: Module>(peers: &[N]) -> Vec<(String, ModuleRecord)> {
    let peers = (1..).zip(peers);
    peers
        .map(|(number, peer)| (format!("peer-{number}"), record(peer)))
        .collect()
}

/// The peers, as `peer-1` and so on.
impl<N: Network, O: Module> StageArtifacts for MutualDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        numbered(&self.peers)
    }
}

/// The peers, as `peer-1` and so on.
impl<N: Network, O: Module> StageArtifacts for AdversarialDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        numbered(&self.mutual.peers)
    }
}

/// The peers, as `peer-1` and so on.
impl<N: Module, A: Module, O: Module> StageArtifacts for Codistiller<N, A, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        numbered(&self.peers)
    }
}

/// The leader, as `student`, and the peers, as `peer-1` and so on.
impl<N: Module, O: Module> StageArtifacts for GroupLeaderDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        let mut parts = numbered(&self.peers);
        parts.push(("student".into(), record(&self.leader)));
        parts
    }
}

/// The network with all branches, as `student`, and the `gate`.
impl<N: Module, O: Module> StageArtifacts for NativeEnsembleDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), record(&self.network)),
            ("gate".into(), record(&self.gate)),
        ]
    }
}
