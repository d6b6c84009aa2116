use super::erased::{Dynamic, ErasedModule, Slot};
use crate::{Context, Knowledge, Objective, Requirements, Terms};

/// An objective whose type is chosen at run time.
///
/// Its parameters are those of the inner objective, so adapters train. A `Vec` of them is also an
/// objective: their sum.
pub type DynObjective<S = Knowledge, T = Knowledge> = Dynamic<dyn ErasedObjective<S, T>>;

/// Object-safe version of [`Objective`].
pub trait ErasedObjective<S, T>: ErasedModule + 'static {
    /// [`Objective::requirements`]
    fn requirements_erased(&self) -> Requirements;
    /// [`Objective::forward`]
    fn forward_erased(&self, context: &Context<'_, S, T>) -> Terms;
    /// `Clone`
    fn clone_erased(&self) -> Box<dyn ErasedObjective<S, T>>;
}

impl<S: 'static, T: 'static, O: Objective<S, T>> ErasedObjective<S, T> for Slot<O> {
    fn requirements_erased(&self) -> Requirements {
        self.module().requirements()
    }

    fn forward_erased(&self, context: &Context<'_, S, T>) -> Terms {
        self.module().forward(context)
    }

    fn clone_erased(&self) -> Box<dyn ErasedObjective<S, T>> {
        Box::new(self.clone())
    }
}

impl<S: 'static, T: 'static> Clone for Box<dyn ErasedObjective<S, T>> {
    fn clone(&self) -> Self {
        (**self).clone_erased()
    }
}

impl<S: 'static, T: 'static> DynObjective<S, T> {
    /// Creates a dynamic objective from any objective.
    pub fn new(objective: impl Objective<S, T>) -> Self {
        Self(Box::new(Slot::new(objective)))
    }
}

impl<S: 'static, T: 'static> Objective<S, T> for DynObjective<S, T> {
    fn requirements(&self) -> Requirements {
        self.0.requirements_erased()
    }

    fn forward(&self, context: &Context<'_, S, T>) -> Terms {
        self.0.forward_erased(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, CrossEntropyObjective, Response, Taps, Targets};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn a_list_of_objectives_is_their_sum() {
        let device = Device::default();
        let objectives: Vec<DynObjective<Knowledge, ()>> =
            vec![DynObjective::new(CrossEntropyObjective::new(2.0))];
        let student = Knowledge {
            response: Response::Classes(Tensor::zeros([3, 4], &device)),
            taps: Taps::default(),
        };
        let targets = Targets::classes(Tensor::zeros([3], &device));

        let context = Context::new(&student, &(), &targets, &[0, 1, 2], Clock::start());
        let terms = objectives.forward(&context);

        let total = terms.total().into_scalar::<f32>();
        assert!((total - 2.0 * 4.0_f32.ln()).abs() < 1e-5, "{total}");
        assert_eq!(objectives.requirements(), Requirements::responses());
    }
}
