use crate::{Clock, Input};
use burn::tensor::{Bool, Device, Int, Tensor};

/// The samples of one training step.
///
/// A batch type of your own becomes one by `From`; a `ClockedLoader` of the data crate then turns any
/// data loader of burn into one of these batches.
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
    /// The samples, once per view: augmentations of the same samples. At least one.
    pub views: Vec<I>,
    /// Labels of the samples.
    pub targets: Targets,
    /// Position of each sample in its data set, which stays the same over epochs and runs: the key of
    /// caches, memories and past predictions. Empty if the loader does not know it.
    pub ids: Vec<usize>,
    /// Position of this batch in the training.
    pub clock: Clock,
}

impl<I> Batch<I> {
    /// Creates a batch of one view from an input and its targets: class indices, or any [`Targets`].
    ///
    /// The batch has no ids and no [clock](Clock::unstamped). Objectives with a memory need
    /// [ids](Self::with_ids), and weight schedules a clock, which the loaders of the data crate stamp.
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
    /// The first view, which most methods need only.
    ///
    /// # Panics
    ///
    /// Panics if there is no view.
    pub fn view(&self) -> &I {
        self.views.first().expect("A batch has at least one view.")
    }

    /// The same samples by one of their views alone, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer views.
    pub fn of_view(&self, view: usize) -> Self {
        let Some(input) = self.views.get(view) else {
            panic!(
                "View {view} is wanted, but the batch has {}: let the loader make as many.",
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

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is known about the samples of a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Targets {
    /// One class per sample.
    Classes {
        /// Class indices; any valid index where not labeled. Shape: `[batch_size]`.
        classes: Tensor<1, Int>,
        /// True for labeled samples; `None` when all are. Shape: `[batch_size]`.
        labeled: Option<Tensor<1, Bool>>,
    },
    /// One distribution over the classes per sample, as from mixing samples.
    Probabilities {
        /// Shape: `[batch_size, num_classes]`.
        probabilities: Tensor<2>,
        /// True for labeled samples; `None` when all are. Shape: `[batch_size]`.
        labeled: Option<Tensor<1, Bool>>,
    },
    /// One class and one box per proposal of a detector.
    Boxes {
        /// Class indices, that of the background where no annotation is matched.
        /// Shape: `[proposals]`.
        classes: Tensor<1, Int>,
        /// The box of the matched annotation, encoded as the responses encode theirs; anything for
        /// the background. Shape: `[proposals, 4]`.
        deltas: Tensor<2>,
    },
    /// One map per joint of every sample, as responses of maps have them.
    Maps {
        /// Shape: `[batch_size, joints, height, width]`.
        maps: Tensor<4>,
        /// How much each joint counts, 0 for what is not visible; `None` when all are visible.
        /// Shape: `[batch_size, joints]`.
        visibility: Option<Tensor<2>>,
    },
    /// Nothing: no sample is labeled.
    Unlabeled,
}

/// One class per sample, all of them labeled. Shape: `[batch_size]`.
impl From<Tensor<1, Int>> for Targets {
    fn from(classes: Tensor<1, Int>) -> Self {
        Self::classes(classes)
    }
}

impl Targets {
    /// Creates the targets of samples of which some have a label.
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

    /// Every sample has one of these classes. Shape: `[batch_size]`.
    pub fn classes(classes: Tensor<1, Int>) -> Self {
        Self::Classes {
            classes,
            labeled: None,
        }
    }

    /// One class per sample, or proposal, and which of them are known, if there are labels at all.
    /// Annotated maps are no classes.
    pub fn hard(&self) -> Option<(Tensor<1, Int>, Option<Tensor<1, Bool>>)> {
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

    /// Returns the targets with labels only where the mask is true, such as for the tokens that count.
    /// Targets that are not of rows of classes stay as they are.
    ///
    /// # Shapes
    ///
    /// - mask: `[rows]`; all rows without a mask
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
    fn a_view_is_a_batch() {
        let second = batch(2).of_view(1);

        assert_eq!(
            (second.views.len(), second.ids.as_slice()),
            (1, &[7, 8][..])
        );
        assert_eq!(second.view().clone().mean().into_scalar::<f32>(), 1.0);
    }

    #[test]
    #[should_panic(expected = "View 2 is wanted, but the batch has 2")]
    fn there_are_no_more_views_than_were_loaded() {
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
        let (classes, labeled) = batch.targets.hard().unwrap();
        classes.into_data().assert_eq(&[1_i64, 0].into(), false);
        assert!(labeled.is_none());
    }

    #[test]
    fn samples_may_have_no_label() {
        let device = Device::default();

        let (classes, labeled) = Targets::labels(&[Some(2), None], &device).hard().unwrap();
        assert_eq!(classes.into_data().iter::<i64>().next(), Some(2));
        let labeled = labeled.unwrap().into_data();
        labeled.assert_eq(&[true, false].into(), false);

        let (_, labeled) = Targets::labels(&[Some(2), Some(1)], &device)
            .hard()
            .unwrap();
        assert!(labeled.is_none());
    }

    #[test]
    fn maps_have_no_classes() {
        let targets = Targets::Maps {
            maps: Tensor::zeros([2, 3, 4, 4], &Device::default()),
            visibility: None,
        };

        assert!(targets.hard().is_none());
    }

    #[test]
    fn proposals_have_classes() {
        let device = Device::default();
        let targets = Targets::Boxes {
            classes: Tensor::from_data([0, 3], &device),
            deltas: Tensor::zeros([2, 4], &device),
        };

        let (classes, labeled) = targets.hard().unwrap();

        classes.into_data().assert_eq(&[0_i64, 3].into(), false);
        assert!(labeled.is_none());
    }
}
