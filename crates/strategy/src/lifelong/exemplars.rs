use serde::{Deserialize, Serialize};

/// Number of samples that are kept of the classes learned so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExemplarBudget {
    /// Number of samples of all classes together. Each class has an equal share, rounded up.
    Total(usize),
    /// Number of samples of each class.
    PerClass(usize),
}

impl ExemplarBudget {
    /// Returns the number of samples of each class, if this number of classes has been learned.
    ///
    /// # Panics
    ///
    /// Panics if no class has been learned.
    pub fn per_class(&self, classes: usize) -> usize {
        match self {
            Self::Total(total) => total.div_ceil(classes),
            Self::PerClass(count) => *count,
        }
    }
}

/// Exemplars: samples of earlier tasks that are learned again with each later task.
///
/// The samples of a class are in the order of [herding](crate::herding). When there are more
/// classes, the first ones of each remain.
///
/// # Example
///
/// ```
/// use burn_distill_strategy::{ExemplarBudget, Exemplars};
///
/// let mut exemplars = Exemplars::new(ExemplarBudget::Total(4));
/// exemplars.add([vec![5, 3, 8, 1]]);
/// assert_eq!(exemplars.ids().collect::<Vec<_>>(), [5, 3, 8, 1]);
///
/// exemplars.add([vec![9, 7, 6]]);
/// assert_eq!(exemplars.classes(), [vec![5, 3], vec![9, 7]]);
/// ```
///
/// # Reference
///
/// S.-A. Rebuffi, A. Kolesnikov, G. Sperl and C. H. Lampert, [iCaRL: Incremental Classifier and
/// Representation Learning](https://arxiv.org/abs/1611.07725), CVPR 2017, algorithms 4 and 5. FACIL
/// instead chooses the samples of earlier classes again, among their exemplars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplars {
    budget: ExemplarBudget,
    classes: Vec<Vec<usize>>,
}

impl Exemplars {
    /// Creates an empty set for a number of samples.
    pub fn new(budget: ExemplarBudget) -> Self {
        Self {
            budget,
            classes: Vec::new(),
        }
    }

    /// Adds the ids of the samples of each new class in the order of their importance, and keeps
    /// the first ones of all classes.
    pub fn add(&mut self, classes: impl IntoIterator<Item = Vec<usize>>) {
        self.classes.extend(classes);
        if self.classes.is_empty() {
            return;
        }
        let kept = self.budget.per_class(self.classes.len());
        for class in &mut self.classes {
            class.truncate(kept);
        }
    }

    /// Returns the number of samples to choose of each class, once this number of new classes is
    /// added.
    pub fn room_for(&self, new_classes: usize) -> usize {
        self.budget.per_class(self.classes.len() + new_classes)
    }

    /// Returns the ids of the samples of each class, in the order in which the classes were added.
    pub fn classes(&self) -> &[Vec<usize>] {
        &self.classes
    }

    /// Returns the ids of all samples.
    pub fn ids(&self) -> impl Iterator<Item = usize> {
        self.classes.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_by_the_classes() {
        assert_eq!(ExemplarBudget::Total(2000).per_class(10), 200);
        assert_eq!(ExemplarBudget::Total(10).per_class(4), 3);
        assert_eq!(ExemplarBudget::PerClass(7).per_class(4), 7);
    }

    #[test]
    fn the_first_samples_of_each_class_remain() {
        let mut exemplars = Exemplars::new(ExemplarBudget::Total(6));

        assert_eq!(exemplars.room_for(2), 3);
        exemplars.add([vec![4, 2, 0], vec![1, 5, 3]]);
        exemplars.add([vec![8, 6], vec![7]]);

        let expected = [vec![4, 2], vec![1, 5], vec![8, 6], vec![7]];
        assert_eq!(exemplars.classes(), expected);
        assert_eq!(exemplars.ids().count(), 7);
    }
}
