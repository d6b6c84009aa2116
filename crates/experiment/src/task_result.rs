//! Results of tasks that were learned one after another.

use super::experiment::TrainedTasks;
use super::repetition::Repetition;
use super::statistics::Statistics;
use burn_distill::strategy::TaskAccuracies;
use burn_distill_recipe::Recipe;
use serde::Serialize;

/// Results of tasks that were learned one after another, over all repetitions.
#[derive(Clone, Debug, Serialize)]
pub struct TasksResult {
    /// Classes of each task, as indices.
    pub classes: Vec<Vec<usize>>,
    /// Measures where the task of a sample is known, so that only its classes are compared.
    pub task_aware: TaskMeasures,
    /// Measures among the classes of all tasks so far.
    pub task_agnostic: TaskMeasures,
}

/// Measures of tasks on the test set. Rates are fractions of 1.
#[derive(Clone, Debug, Serialize)]
pub struct TaskMeasures {
    /// Accuracies after each task, on this task and all earlier ones.
    pub accuracy: Vec<Vec<Statistics>>,
    /// Average accuracy over all tasks after the last one.
    pub average_accuracy: Statistics,
    /// Average loss of accuracy of the earlier tasks since the best time; none for one task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_forgetting: Option<Statistics>,
    /// Average change of accuracy of the earlier tasks since they were learned; none for one task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backward_transfer: Option<Statistics>,
}

impl TaskMeasures {
    /// Computes the measures of these repetitions.
    fn of(repetitions: &[&TaskAccuracies]) -> Self {
        let over = |value: &dyn Fn(&TaskAccuracies) -> f64| {
            Statistics::of(repetitions.iter().map(|tasks| value(tasks)).collect())
        };
        let maybe = |value: &dyn Fn(&TaskAccuracies) -> Option<f64>| {
            let values: Option<Vec<_>> = repetitions.iter().map(|tasks| value(tasks)).collect();
            values.map(Statistics::of)
        };
        let tasks = repetitions[0].rows().len();
        let row = |after: usize| {
            let on = (0..=after).map(|on| over(&|tasks| tasks.rows()[after][on]));
            on.collect()
        };
        Self {
            accuracy: (0..tasks).map(row).collect(),
            average_accuracy: over(&TaskAccuracies::average),
            average_forgetting: maybe(&TaskAccuracies::forgetting),
            backward_transfer: maybe(&TaskAccuracies::backward_transfer),
        }
    }
}

/// Returns the results of the tasks of a recipe; none if it has no tasks.
pub fn of(repetitions: &[Repetition], recipe: &Recipe) -> Option<TasksResult> {
    let learned = repetitions.iter().map(|it| it.distilled.tasks.as_ref());
    let learned: Vec<&TrainedTasks> = learned.collect::<Option<_>>()?;
    let tasks = recipe.tasks.as_ref()?;
    let tasks = tasks.of(recipe.spec().ok()?.task.classes).ok()?;
    let measures = |of: fn(&TrainedTasks) -> &TaskAccuracies| {
        TaskMeasures::of(&learned.iter().map(|tasks| of(tasks)).collect::<Vec<_>>())
    };
    Some(TasksResult {
        classes: (0..tasks.len())
            .map(|task| tasks.of(task).to_vec())
            .collect(),
        task_aware: measures(|tasks| &tasks.task_aware),
        task_agnostic: measures(|tasks| &tasks.task_agnostic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_over_the_repetitions() {
        let first = TaskAccuracies::new(vec![vec![0.75], vec![0.25, 0.5]]);
        let second = TaskAccuracies::new(vec![vec![1.0], vec![0.5, 0.75]]);

        let measures = TaskMeasures::of(&[&first, &second]);

        let values = |statistics: &Statistics| statistics.per_seed.clone();
        assert_eq!(values(&measures.accuracy[1][0]), [0.25, 0.5]);
        assert_eq!(values(&measures.average_accuracy), [0.375, 0.625]);
        assert_eq!(values(&measures.average_forgetting.unwrap()), [0.5, 0.5]);
        assert_eq!(values(&measures.backward_transfer.unwrap()), [-0.5, -0.5]);
        let one = TaskAccuracies::new(vec![vec![0.75]]);
        assert!(TaskMeasures::of(&[&one]).average_forgetting.is_none());
    }
}
