use anyhow::Result;
use burn::store::ModuleRecord;
use burn_distill::core::DynObjective;
use std::rc::Rc;

/// What a loss has to train before the student is: student and teacher stay as they are.
#[derive(Clone)]
pub struct Preparation {
    /// What is trained, in a word.
    pub name: &'static str,
    /// Passes over the training samples of the student.
    pub epochs: usize,
    /// What it is trained on, and the thing itself, on the CPU.
    pub objective: DynObjective,
    /// What the student is trained on, from the weights that this leaves.
    pub finish: Rc<dyn Fn(ModuleRecord) -> Result<DynObjective>>,
}
