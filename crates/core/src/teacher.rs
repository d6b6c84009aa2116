use crate::frozen::in_training_mode;
use crate::{Batch, Frozen, Input, Knowledge, Network, Response, TapSelection};
use burn::module::{Module, ModuleDisplay};

/// A source of targets for the student: a frozen network, a cache on disk, a moving average of the
/// student, or several networks.
///
/// The output of a teacher is a constant: it carries no autodiff, and no gradient flows to the
/// teacher.
pub trait Teacher<I: Input>: Module + ModuleDisplay + 'static {
    /// The output for one batch: [`Knowledge`] for one network, a vector of it for several.
    type Output;

    /// Computes the output for a batch: the response and the selected taps.
    fn teach(&self, batch: &Batch<I>, selection: &TapSelection) -> Self::Output;
}

/// The output of a [`Teacher`], from which metrics are computed.
///
/// Metrics such as the accuracy of the teacher and the agreement of the student with it need a
/// single response.
pub trait TeacherOutput {
    /// Returns the response of the teacher to the batch, if there is exactly one.
    fn response(&self) -> Option<&Response>;
}

impl TeacherOutput for Knowledge {
    fn response(&self) -> Option<&Response> {
        Some(&self.response)
    }
}

/// The outputs of several teachers, which have no single response.
impl TeacherOutput for Vec<Knowledge> {
    fn response(&self) -> Option<&Response> {
        None
    }
}

/// The output without a teacher.
impl TeacherOutput for () {
    fn response(&self) -> Option<&Response> {
        None
    }
}

/// A frozen network as a teacher. Its output is its [`Knowledge`] of the first view, computed in
/// validation mode, or in training mode [on request](Frozen::with_training_mode).
impl<N: Network> Teacher<N::Input> for Frozen<N> {
    type Output = Knowledge;

    fn teach(&self, batch: &Batch<N::Input>, selection: &TapSelection) -> Knowledge {
        let view = batch.view().clone();
        if self.training_mode() && view.is_autodiff() {
            let network = in_training_mode(self.inner());
            return network
                .forward_knowledge(view, selection)
                .without_autodiff();
        }
        self.inner()
            .forward_knowledge(view.without_autodiff(), selection)
    }
}

/// Several teachers, whose outputs are collected in a vector. The taps of each teacher are selected
/// by its index, with [`of_network`](TapSelection::of_network).
impl<I: Input, T: Teacher<I>> Teacher<I> for Vec<T> {
    type Output = Vec<T::Output>;

    fn teach(&self, batch: &Batch<I>, selection: &TapSelection) -> Self::Output {
        selection.assert_networks(self.len());
        let teach =
            |(index, teacher): (usize, &T)| teacher.teach(batch, &selection.for_network(index));
        self.iter().enumerate().map(teach).collect()
    }
}

/// No teacher: the student learns only from the targets.
#[derive(Module, Debug, Default)]
pub struct NoTeacher {}

impl<I: Input> Teacher<I> for NoTeacher {
    type Output = ();

    fn teach(&self, _batch: &Batch<I>, _selection: &TapSelection) {}
}
