/// One showing of a sample in an epoch.
#[derive(Clone, Copy)]
pub(super) struct Showing {
    /// The place of the sample in the data set.
    pub(super) place: usize,
    /// The number of earlier places and showings of the same sample.
    pub(super) repetition: usize,
}

impl Showing {
    /// Returns the showing of a place that an epoch shows once.
    ///
    /// `repetitions` holds the number of earlier places of the same sample, for each place.
    pub(super) fn once(repetitions: &[usize], place: usize) -> Self {
        let repetition = repetitions[place];
        Self { place, repetition }
    }
}
