use crate::WeightSchedule;

/// The values that a table of any loss may have besides the keys of its kind.
#[derive(Clone, Debug, Default)]
pub struct LossOptions {
    /// The name of the term, if not that of the loss.
    pub name: Option<String>,
    /// The weight of the term, if not the default.
    pub weight: Option<WeightSchedule>,
    /// The number of views of each sample; 0 counts as 1.
    pub views: usize,
}
