//! Tables of tasks that were learned one after another.

use crate::percent::percent;
use burn_distill_experiment::{TaskMeasures, TasksResult};
use comfy_table::{CellAlignment, Table, presets};

/// Returns the tables of the accuracies, and a line with the other measures below each; an empty
/// text if there are no tasks.
pub fn of_tasks(tasks: Option<&TasksResult>) -> String {
    let Some(tasks) = tasks else {
        return String::new();
    };
    let classes = tasks.classes.iter().enumerate().map(|(task, classes)| {
        let classes: Vec<_> = classes.iter().map(usize::to_string).collect();
        format!("task {}: classes {}", task + 1, classes.join(" "))
    });
    let classes: Vec<_> = classes.collect();
    format!(
        "{}.\n{}{}",
        classes.join("; "),
        of_measures(
            "task-agnostic: among all classes so far",
            &tasks.task_agnostic
        ),
        of_measures(
            "task-aware: among the classes of the task",
            &tasks.task_aware
        )
    )
}

fn of_measures(title: &str, measures: &TaskMeasures) -> String {
    let count = measures.accuracy.len();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let columns = (1..=count).map(|task| format!("on task {task} %"));
    table.set_header([title.to_string()].into_iter().chain(columns));
    for (task, row) in (1..).zip(&measures.accuracy) {
        let later = std::iter::repeat_n(String::new(), count - row.len());
        let cells = row.iter().map(percent).chain(later);
        table.add_row([format!("after task {task}")].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let average = percent(&measures.average_accuracy);
    let changes = measures
        .average_forgetting
        .iter()
        .zip(&measures.backward_transfer);
    let changes = changes.map(|(forgetting, transfer)| {
        let (forgetting, transfer) = (percent(forgetting), percent(transfer));
        format!(", average forgetting {forgetting}, backward transfer {transfer}")
    });
    let changes: String = changes.collect();
    format!("{table}\naverage accuracy {average}{changes}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_experiment::Statistics;

    #[test]
    fn the_matrix_has_a_row_after_each_task() {
        let one = |value| Statistics::of(vec![value]);
        let measures = TaskMeasures {
            accuracy: vec![vec![one(0.9)], vec![one(0.4), one(0.8)]],
            average_accuracy: one(0.6),
            average_forgetting: Some(one(0.5)),
            backward_transfer: Some(one(-0.5)),
        };
        let tasks = TasksResult {
            classes: vec![vec![0, 1], vec![2]],
            task_aware: measures.clone(),
            task_agnostic: measures,
        };

        let text = of_tasks(Some(&tasks));

        for expected in [
            "task 1: classes 0 1; task 2: classes 2.",
            "on task 2 %",
            "40.00 ± 0.00",
            "average accuracy 60.00 ± 0.00, average forgetting 50.00 ± 0.00, backward transfer \
             -50.00 ± 0.00",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let last = text.lines().find(|line| line.contains("after task 2"));
        assert!(last.unwrap().contains("80.00"), "{text}");
        assert!(of_tasks(None).is_empty());
    }
}
