use crate::{Clock, Input};
use burn::tensor::{Bool, Device, Int, Tensor};
use std::ops::Range;

/// The samples of one training step.
///
/// To use another batch type, implement `From` for it; a `ClockedLoader` of the data crate then
/// converts the batches of any data loader of burn.
///
/// # Example
///
/// ```
/// use burn::tensor::{Int, Tensor};
/// use burn_distill_core::Batch;
///
/// struct DigitBatch {
///     images: Tensor<3>,
///     classes: Tensor<1, Int>,
/// }
///
/// impl From<DigitBatch> for Batch<Tensor<3>> {
///     fn from(batch: DigitBatch) -> Self {
///         Batch::new(batch.images, batch.classes)
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Batch<I> {
    /// Inputs of the same samples, one per view (augmentation). At least one, but none in the batches
    /// of a training without data.
    pub views: Vec<I>,
    /// Targets of the samples: labels or annotations.
    pub targets: Targets,
    /// Position of each sample in its data set, which stays the same over epochs and runs: the key
    /// of caches, memory banks and past predictions. Empty if the loader does not know it.
    pub ids: Vec<usize>,
    /// Position of this batch in the training.
    pub clock: Clock,
}

impl<I> Batch<I> {
    /// Creates a batch of one view from an input and its targets: class indices, or any
    /// [`Targets`].
    ///
    /// The batch has no ids and an [unstamped](Clock::unstamped) clock. Losses with a memory bank
    /// need [ids](Self::with_ids), and weight schedules need a clock, which the loaders of the data
    /// crate set.
    pub fn new(input: I, targets: impl Into<Targets>) -> Self {
        Self {
            views: vec![input],
            targets: targets.into(),
            ids: Vec::new(),
            clock: Clock::unstamped(),
        }
    }

    /// Adds another view of the same samples.
    pub fn with_view(mut self, input: I) -> Self {
        self.views.push(input);
        self
    }

    /// Sets the position of each sample in its data set.
    pub fn with_ids(mut self, ids: impl Into<Vec<usize>>) -> Self {
        self.ids = ids.into();
        self
    }

    /// Sets the position of the batch in the training.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl<I: Input> Batch<I> {
    /// Returns the first view, the only one that most methods need.
    ///
    /// # Panics
    ///
    /// Panics if there is no view.
    pub fn view(&self) -> &I {
        self.views
            .first()
            .expect("a batch should have at least one view")
    }

    /// Returns the batch with only one of its views, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if there is no such view.
    pub fn of_view(&self, view: usize) -> Self {
        let Some(input) = self.views.get(view) else {
            panic!(
                "View {view} (counted from 0) is needed, but the batch has {} views: configure the \
                 loader to create more views.",
                self.views.len()
            );
        };
        Self {
            views: vec![input.clone()],
            targets: self.targets.clone(),
            ids: self.ids.clone(),
            clock: self.clock,
        }
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Returns whether the batch has no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Labels or annotations of the samples in a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Targets {
    /// One class per sample.
    Classes {
        /// Class indices, with any valid index for unlabeled samples. Shape: `[batch_size]`.
        classes: Tensor<1, Int>,
        /// True for labeled samples; `None` when all are. Shape: `[batch_size]`.
        labeled: Option<Tensor<1, Bool>>,
    },
    /// One distribution over the classes per sample, such as the labels of mixed samples.
    Probabilities {
        /// Probabilities of the classes. Shape: `[batch_size, num_classes]`.
        probabilities: Tensor<2>,
        /// True for labeled samples; `None` when all are. Shape: `[batch_size]`.
        labeled: Option<Tensor<1, Bool>>,
    },
    /// One class and one box per proposal of an object detector.
    Boxes {
        /// Class indices. Proposals that match no annotation have the index of the background.
        /// Shape: `[proposals]`.
        classes: Tensor<1, Int>,
        /// Box of the matched annotation, encoded like the boxes of the response. Any values for
        /// the background. Shape: `[proposals, 4]`.
        deltas: Tensor<2>,
    },
    /// One heat map per joint of every sample.
    Maps {
        /// Heat maps. Shape: `[batch_size, joints, height, width]`.
        maps: Tensor<4>,
        /// Weight of each joint, 0 for a joint that is not visible; `None` when all are visible.
        /// Shape: `[batch_size, joints]`.
        visibility: Option<Tensor<2>>,
    },
    /// No targets: no sample is labeled.
    Unlabeled,
}

/// Class indices of samples that are all labeled. Shape: `[batch_size]`.
impl From<Tensor<1, Int>> for Targets {
    fn from(classes: Tensor<1, Int>) -> Self {
        Self::classes(classes)
    }
}

impl Targets {
    /// Creates targets from one optional class index per sample. `None` means that the sample is
    /// unlabeled.
    pub fn labels(labels: &[Option<usize>], device: &Device) -> Self {
        let classes: Vec<_> = labels
            .iter()
            .map(|label| label.unwrap_or(0) as i64)
            .collect();
        let known: Vec<_> = labels.iter().map(Option::is_some).collect();
        Self::Classes {
            classes: Tensor::from_data(classes.as_slice(), device),
            labeled: (!known.iter().all(|&known| known))
                .then(|| Tensor::from_data(known.as_slice(), device)),
        }
    }

    /// Creates targets from class indices of samples that are all labeled. Shape: `[batch_size]`.
    pub fn classes(classes: Tensor<1, Int>) -> Self {
        Self::Classes {
            classes,
            labeled: None,
        }
    }

    /// Returns one class index per sample or proposal, with the mask of the labeled ones.
    ///
    /// The class of a distribution is the most probable one. The mask is `None` if all are labeled.
    /// The result is `None` for maps and for unlabeled targets, which have no classes.
    pub fn class_labels(&self) -> Option<(Tensor<1, Int>, Option<Tensor<1, Bool>>)> {
        match self {
            Self::Classes { classes, labeled } => Some((classes.clone(), labeled.clone())),
            Self::Probabilities {
                probabilities,
                labeled,
            } => {
                let classes = probabilities.clone().argmax(1).flatten(0, 1);
                Some((classes, labeled.clone()))
            }
            Self::Boxes { classes, .. } => Some((classes.clone(), None)),
            Self::Maps { .. } | Self::Unlabeled => None,
        }
    }

    /// Returns the targets within a range of the classes, counted from the first of the range.
    ///
    /// Samples of other classes are unlabeled. Of a distribution, the probabilities of the range
    /// remain. Targets of other kinds do not change.
    pub fn within_classes(&self, range: Range<usize>) -> Self {
        match self.clone() {
            Self::Classes { classes, labeled } => {
                let classes = classes.sub_scalar(range.start as i64);
                let last = range.len().saturating_sub(1) as i64;
                let within = classes.clone().greater_equal_scalar(0);
                let within = within.bool_and(classes.clone().lower_equal_scalar(last));
                let targets = Self::Classes {
                    // An unlabeled sample needs a valid index, too.
                    classes: classes.clamp(0, last),
                    labeled,
                };
                targets.labeled_where(Some(&within))
            }
            Self::Probabilities {
                probabilities,
                labeled,
            } => Self::Probabilities {
                probabilities: probabilities.narrow(1, range.start, range.len()),
                labeled,
            },
            other => other,
        }
    }

    /// Removes the labels where the mask is false, such as those of the tokens that do not count.
    ///
    /// Only targets of classes and of probabilities change.
    ///
    /// # Shapes
    ///
    /// - mask: `[rows]`, true for the rows that stay labeled; `None` keeps all labels
    pub fn labeled_where(self, mask: Option<&Tensor<1, Bool>>) -> Self {
        let Some(mask) = mask else {
            return self;
        };
        let both = |labeled: Option<Tensor<1, Bool>>| {
            let mask = mask.clone().without_autodiff();
            Some(match labeled {
                Some(labeled) => labeled.without_autodiff().bool_and(mask),
                None => mask,
            })
        };
        match self {
            Self::Classes { classes, labeled } => Self::Classes {
                classes,
                labeled: both(labeled),
            },
            Self::Probabilities {
                probabilities,
                labeled,
            } => Self::Probabilities {
                probabilities,
                labeled: both(labeled),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn batch(views: usize) -> Batch<Tensor<2>> {
        let device = Device::default();
        Batch {
            views: (0..views)
                .map(|view| Tensor::full([2, 3], view as f64, &device))
                .collect(),
            targets: Targets::Unlabeled,
            ids: vec![7, 8],
            clock: Clock::start(),
        }
    }

    #[test]
    fn one_view_of_a_batch_is_selected() {
        let second = batch(2).of_view(1);

        assert_eq!(
            (second.views.len(), second.ids.as_slice()),
            (1, &[7, 8][..])
        );
        assert_eq!(second.view().clone().mean().into_scalar::<f32>(), 1.0);
    }

    #[test]
    #[should_panic(expected = "View 2 (counted from 0) is needed, but the batch has 2 views")]
    fn a_view_that_was_not_loaded_is_refused() {
        batch(2).of_view(2);
    }

    #[test]
    fn an_input_and_its_classes_are_a_batch() {
        let device = Device::default();
        let input = Tensor::<2>::zeros([2, 3], &device);
        let classes = Tensor::<1, Int>::from_data([1, 0], &device);

        let batch = Batch::new(input.clone(), classes)
            .with_view(input)
            .with_ids([7, 8]);

        assert_eq!((batch.len(), batch.views.len()), (2, 2));
        assert_eq!((batch.ids, batch.clock), (vec![7, 8], Clock::unstamped()));
        let (classes, labeled) = batch.targets.class_labels().unwrap();
        classes.into_data().assert_eq(&[1_i64, 0].into(), false);
        assert!(labeled.is_none());
    }

    #[test]
    fn samples_may_be_unlabeled() {
        let device = Device::default();

        let (classes, labeled) = Targets::labels(&[Some(2), None], &device)
            .class_labels()
            .unwrap();
        assert_eq!(classes.into_data().iter::<i64>().next(), Some(2));
        let labeled = labeled.unwrap().into_data();
        labeled.assert_eq(&[true, false].into(), false);

        let (_, labeled) = Targets::labels(&[Some(2), Some(1)], &device)
            .class_labels()
            .unwrap();
        assert!(labeled.is_none());
    }

    #[test]
    fn samples_outside_a_range_of_classes_are_unlabeled() {
        let device = Device::default();
        let targets = Targets::labels(&[Some(4), Some(0), None, Some(2), Some(3)], &device);

        let (classes, labeled) = targets.within_classes(2..4).class_labels().unwrap();

        classes
            .into_data()
            .assert_eq(&[1_i64, 0, 0, 0, 1].into(), false);
        let labeled = labeled.unwrap().into_data();
        labeled.assert_eq(&[false, false, false, true, true].into(), false);
    }

    #[test]
    fn the_probabilities_of_a_range_of_classes_remain() {
        let targets = Targets::Probabilities {
            probabilities: Tensor::from_data([[0.1, 0.2, 0.7]], &Device::default()),
            labeled: None,
        };

        let Targets::Probabilities { probabilities, .. } = targets.within_classes(1..3) else {
            panic!("the kind of the targets should not change");
        };

        let expected = [[0.2_f32, 0.7]];
        probabilities.into_data().assert_eq(&expected.into(), false);
    }

    #[test]
    fn maps_have_no_classes() {
        let targets = Targets::Maps {
            maps: Tensor::zeros([2, 3, 4, 4], &Device::default()),
            visibility: None,
        };

        assert!(targets.class_labels().is_none());
    }

    #[test]
    fn proposals_have_classes() {
        let device = Device::default();
        let targets = Targets::Boxes {
            classes: Tensor::from_data([0, 3], &device),
            deltas: Tensor::zeros([2, 4], &device),
        };

        let (classes, labeled) = targets.class_labels().unwrap();

        classes.into_data().assert_eq(&[0_i64, 3].into(), false);
        assert!(labeled.is_none());
    }
}
