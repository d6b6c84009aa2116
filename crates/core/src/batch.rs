use crate::{Clock, Input};
use burn::tensor::{Bool, Int, Tensor};

/// One step's worth of samples.
#[derive(Clone, Debug)]
pub struct Batch<I> {
    /// The samples, once per view: augmentations of the same samples. At least one.
    pub views: Vec<I>,
    /// What is known about the samples.
    pub targets: Targets,
    /// The place of each sample in its data set, which stays the same over epochs and runs: what
    /// caches, memories and self-distillation index by.
    pub ids: Vec<usize>,
    /// When this batch is trained on.
    pub clock: Clock,
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
        /// Class indices; any valid index where not labelled. Shape: `[batch_size]`.
        classes: Tensor<1, Int>,
        /// True for labelled samples; `None` when all are. Shape: `[batch_size]`.
        labelled: Option<Tensor<1, Bool>>,
    },
    /// One distribution over the classes per sample, as from mixing samples.
    Probabilities {
        /// Shape: `[batch_size, num_classes]`.
        probabilities: Tensor<2>,
        /// True for labelled samples; `None` when all are. Shape: `[batch_size]`.
        labelled: Option<Tensor<1, Bool>>,
    },
    /// Nothing: no sample is labelled.
    Unlabelled,
}

impl Targets {
    /// Every sample has one of these classes. Shape: `[batch_size]`.
    pub fn classes(classes: Tensor<1, Int>) -> Self {
        Self::Classes {
            classes,
            labelled: None,
        }
    }

    /// One class per sample and which of them are known, if there are labels at all.
    pub fn hard(&self) -> Option<(Tensor<1, Int>, Option<Tensor<1, Bool>>)> {
        match self {
            Self::Classes { classes, labelled } => Some((classes.clone(), labelled.clone())),
            Self::Probabilities {
                probabilities,
                labelled,
            } => {
                let classes = probabilities.clone().argmax(1).flatten(0, 1);
                Some((classes, labelled.clone()))
            }
            Self::Unlabelled => None,
        }
    }
}
