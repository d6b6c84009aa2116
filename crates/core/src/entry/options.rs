use crate::WeightSchedule;

/// Values of the keys that the table of every loss may have.
#[derive(Clone, Debug, Default)]
pub struct LossOptions {
    /// Name of the term. Default: the name of the loss.
    pub name: Option<String>,
    /// Weight of the term. Default: the default weight of the loss.
    pub weight: Option<WeightSchedule>,
    /// Number of views of each sample; 0 counts as 1.
    pub views: usize,
}
