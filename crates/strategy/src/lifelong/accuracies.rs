use serde::{Deserialize, Serialize};

/// Accuracies of a network that learns tasks one after another: after each task, on each task that
/// it has learned so far.
///
/// ```text
/// a[i][j] = accuracy on task j after task i,  j ≤ i
/// average accuracy  = 1/T Σⱼ a[T][j]
/// average forgetting = 1/(T−1) Σ_{j<T} (max_{j≤i<T} a[i][j] − a[T][j])
/// backward transfer = 1/(T−1) Σ_{j<T} (a[T][j] − a[j][j])
/// ```
///
/// where `T` is the number of learned tasks. Forgetting is the loss of accuracy since the best time,
/// and backward transfer, which is negative if the network forgets, the change since the task was
/// learned.
///
/// # Example
///
/// ```
/// use burn_distill_strategy::TaskAccuracies;
///
/// let accuracies = TaskAccuracies::new(vec![vec![0.9], vec![0.6, 0.8]]);
///
/// assert_eq!(accuracies.average(), 0.7);
/// assert!((accuracies.forgetting().unwrap() - 0.3).abs() < 1e-12);
/// assert!((accuracies.backward_transfer().unwrap() + 0.3).abs() < 1e-12);
/// ```
///
/// # Reference
///
/// A. Chaudhry, P. K. Dokania, T. Ajanthan and P. H. S. Torr, [Riemannian Walk for Incremental
/// Learning](https://arxiv.org/abs/1801.10112), ECCV 2018, for forgetting; D. Lopez-Paz and
/// M. Ranzato, [Gradient Episodic Memory](https://arxiv.org/abs/1706.08840), NIPS 2017, for backward
/// transfer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskAccuracies {
    rows: Vec<Vec<f64>>,
}

impl TaskAccuracies {
    /// Creates the accuracies from a row for each learned task, with the accuracies on this task
    /// and on all earlier ones.
    ///
    /// # Panics
    ///
    /// Panics if a row has another number of accuracies.
    pub fn new(rows: Vec<Vec<f64>>) -> Self {
        let mut accuracies = Self::default();
        for row in rows {
            accuracies.push(row);
        }
        accuracies
    }

    /// Adds the accuracies after another task: on all earlier tasks, and on this task.
    ///
    /// # Panics
    ///
    /// Panics if the row has another number of accuracies.
    pub fn push(&mut self, row: Vec<f64>) {
        assert_eq!(
            row.len(),
            self.rows.len() + 1,
            "After {} tasks, a row should have an accuracy for each of them.",
            self.rows.len() + 1
        );
        self.rows.push(row);
    }

    /// Returns the row of each learned task.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// Returns the average accuracy over all learned tasks, or NaN without tasks.
    pub fn average(&self) -> f64 {
        let last = self.rows.last().map_or(&[][..], Vec::as_slice);
        mean(last.iter().copied())
    }

    /// Returns the average forgetting, or `None` with fewer than two tasks.
    pub fn forgetting(&self) -> Option<f64> {
        self.over_earlier(|task, last| {
            let before = &self.rows[task..self.rows.len() - 1];
            let accuracies = before.iter().map(|row| row[task]);
            accuracies.fold(f64::NEG_INFINITY, f64::max) - last
        })
    }

    /// Returns the backward transfer, or `None` with fewer than two tasks.
    pub fn backward_transfer(&self) -> Option<f64> {
        self.over_earlier(|task, last| last - self.rows[task][task])
    }

    /// Returns the mean of a value over all tasks but the last, given their last accuracy.
    fn over_earlier(&self, value: impl Fn(usize, f64) -> f64) -> Option<f64> {
        let (last, earlier) = self.rows.split_last()?;
        let values = (0..earlier.len()).map(|task| value(task, last[task]));
        (!earlier.is_empty()).then(|| mean(values))
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measures_of_three_tasks_are_those_by_hand() {
        let accuracies =
            TaskAccuracies::new(vec![vec![0.80], vec![0.90, 0.70], vec![0.50, 0.75, 0.60]]);

        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
        near(accuracies.average(), (0.50 + 0.75 + 0.60) / 3.0);
        // The first task was best after the second; the second one has improved.
        near(accuracies.forgetting().unwrap(), (0.40 - 0.05) / 2.0);
        near(
            accuracies.backward_transfer().unwrap(),
            (-0.30 + 0.05) / 2.0,
        );
    }

    #[test]
    fn one_task_is_not_forgotten() {
        let one = TaskAccuracies::new(vec![vec![0.5]]);

        assert_eq!(one.average(), 0.5);
        assert_eq!([one.forgetting(), one.backward_transfer()], [None; 2]);
        assert!(TaskAccuracies::default().average().is_nan());
        assert_eq!(TaskAccuracies::default().forgetting(), None);
    }

    #[test]
    #[should_panic(expected = "After 2 tasks, a row should have an accuracy for each of them.")]
    fn a_row_has_an_accuracy_for_each_task() {
        TaskAccuracies::new(vec![vec![0.5], vec![0.5]]);
    }

    #[test]
    fn they_are_written_as_a_list_of_rows() {
        let accuracies = TaskAccuracies::new(vec![vec![0.5], vec![0.25, 1.0]]);

        let json = serde_json::to_string(&accuracies).unwrap();

        assert_eq!(json, "[[0.5],[0.25,1.0]]");
        assert_eq!(
            serde_json::from_str::<TaskAccuracies>(&json).unwrap(),
            accuracies
        );
    }
}
