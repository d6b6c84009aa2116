use crate::frozen::in_training_mode;
use crate::{Batch, Frozen, Input, Knowledge, Network, Response, TapSelection};
use burn::module::{Module, ModuleDisplay};

/// Whoever teaches: one frozen network, a cache on disk, a moving average, a group.
///
/// What is taught is a constant: it carries no autodiff.
pub trait Teacher<I: Input>: Module + ModuleDisplay + 'static {
    /// What is taught about a batch.
    type Output;

    /// Teach a batch: the response and the wanted taps.
    fn teach(&self, batch: &Batch<I>, selection: &TapSelection) -> Self::Output;
}

/// The one response in what a teacher says, for metrics such as its accuracy and the student's
/// agreement with it.
pub trait TeacherOutput {
    /// The teacher's response to the batch, if there is exactly one.
    fn response(&self) -> Option<&Response>;
}

impl TeacherOutput for Knowledge {
    fn response(&self) -> Option<&Response> {
        Some(&self.response)
    }
}

/// Of several teachers there is no one response.
impl TeacherOutput for Vec<Knowledge> {
    fn response(&self) -> Option<&Response> {
        None
    }
}

impl TeacherOutput for () {
    fn response(&self) -> Option<&Response> {
        None
    }
}

/// A frozen network teaches its knowledge of the first view, if [asked
/// to](Frozen::with_training_mode) in training mode.
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

/// Several teachers, each of which teaches on its own. The taps of each are selected by its index, with
/// [`of_network`](TapSelection::of_network).
impl<I: Input, T: Teacher<I>> Teacher<I> for Vec<T> {
    type Output = Vec<T::Output>;

    fn teach(&self, batch: &Batch<I>, selection: &TapSelection) -> Self::Output {
        selection.assert_networks(self.len());
        let teach =
            |(index, teacher): (usize, &T)| teacher.teach(batch, &selection.for_network(index));
        self.iter().enumerate().map(teach).collect()
    }
}

/// Nobody teaches: the student learns from the targets alone.
#[derive(Module, Debug, Default)]
pub struct NoTeacher {}

impl<I: Input> Teacher<I> for NoTeacher {
    type Output = ();

    fn teach(&self, _batch: &Batch<I>, _selection: &TapSelection) {}
}
