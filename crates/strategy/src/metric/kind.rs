use std::fmt;

/// The quantity that a [`DistillationMetric`](crate::DistillationMetric) shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// The loss.
    Loss,
    /// A term of the loss, without its weight, by its name.
    Term(String),
    /// Accuracy of the student on the labeled samples, tokens or proposals, in percent.
    Accuracy,
    /// Accuracy of the teacher on the labeled samples, tokens or proposals, in percent.
    TeacherAccuracy,
    /// Share of the samples, tokens or proposals for which student and teacher predict the same
    /// class, in percent.
    Agreement,
    /// Accuracy on the labeled samples, tokens or proposals that a strategy shows in addition to
    /// the terms of its loss, in percent, by its name: `peer 2 accuracy`, `ensemble accuracy`. Its
    /// other values, such as `peer 1 generator`, are [terms](Self::Term).
    Shown(String),
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("Loss"),
            Self::Term(name) => write!(f, "Loss @ {name}"),
            Self::Accuracy => f.write_str("Accuracy"),
            Self::TeacherAccuracy => f.write_str("Teacher Accuracy"),
            Self::Agreement => f.write_str("Agreement"),
            Self::Shown(name) => f.write_str(name),
        }
    }
}
