/// One occurrence of a sample in an epoch.
#[derive(Clone, Copy)]
pub(super) struct Showing {
    /// Position of the sample in the data set.
    pub(super) place: usize,
    /// Number of earlier occurrences of the same sample, in the data set and in the epoch.
    pub(super) repetition: usize,
}

impl Showing {
    /// Returns the occurrence of a position that an epoch shows once.
    ///
    /// `repetitions` holds the number of earlier occurrences of the same sample, for each position.
    pub(super) fn once(repetitions: &[usize], place: usize) -> Self {
        let repetition = repetitions[place];
        Self { place, repetition }
    }
}
