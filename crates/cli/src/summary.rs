//! Table of results at the end of a run.

use crate::percent::percent;
use crate::table::{self, Column};
use crate::task_table::of_tasks;
use burn_distill_experiment::{ExperimentResult, StageResult};
use burn_distill_recipe::text::grouped;
use comfy_table::{CellAlignment, Table, presets};

/// Returns the table of an experiment, fitted to the width if there is one, and the lines below it.
pub fn of_experiment(result: &ExperimentResult, width: Option<usize>) -> String {
    let recipe = &result.info.recipe;
    let watched = recipe.data.without_class;
    let mut columns = ["", "model", "accuracy %"].map(Column::new).to_vec();
    columns.extend(watched.map(|class| Column::new(format!("on class {class} %"))));
    columns.extend(
        result
            .teacher
            .iter()
            .map(|_| Column::left_out("agreement %", 1)),
    );
    columns.extend([
        Column::left_out("parameters", 2),
        Column::left_out("bytes", 4),
        Column::left_out("latency ms", 3),
    ]);

    let models = recipe.teachers().into_iter().map(|teacher| teacher.name());
    let teachers = (1..)
        .zip(models)
        .zip(result.teacher.iter().chain(&result.others));
    let teachers = teachers.map(|((number, model), network)| {
        let name = match number {
            1 => "teacher".to_string(),
            number => format!("teacher {number}"),
        };
        (name, model, network)
    });
    let student = recipe.student.model.to_string();
    let baseline = result.baseline.iter();
    let baseline =
        baseline.map(|network| ("student (baseline)".to_string(), student.clone(), network));
    let distilled = ("distilled".to_string(), student.clone(), &result.distilled);
    let students = baseline.chain([distilled]);
    let members = result.members.iter();
    let members =
        members.map(|member| (member.name.clone(), member.model.clone(), &member.network));
    let rows = teachers.chain(students).chain(members);
    let rows = rows.map(|(name, model, network)| {
        let accuracy = network.accuracy.as_ref().map_or("–".into(), percent);
        let mut row = vec![name, model, accuracy];
        row.extend(network.class_accuracy.values().map(percent));
        let agreement = network.agreement.iter();
        row.extend(agreement.map(|agreement| format!("{:.2}", 100.0 * agreement)));
        row.extend([
            grouped(network.parameters),
            grouped(network.bytes as usize),
            format!("{:.3}", network.latency_ms),
        ]);
        row
    });
    let table = table::of_numbers(&columns, &rows.collect::<Vec<_>>(), width);

    let [train, _, test] = result.info.samples;
    let stages = of_stages(&result.stages);
    let tasks = of_tasks(result.tasks.as_ref());
    format!(
        "{table}\n{stages}{tasks}{test} test samples, last epoch, seeds {:?}.\n\
         The student has {train} training samples, {} of them labeled.\n{}",
        result.info.seeds,
        result.info.labels,
        conclusion(result)
    )
}

/// Returns the effect of the distillation in a sentence.
fn conclusion(result: &ExperimentResult) -> String {
    let distilled = &result.distilled;
    let baseline = result.baseline.as_ref();
    let baseline = baseline.and_then(|baseline| baseline.accuracy.as_ref());
    if let (Some(distilled), Some(baseline)) = (&distilled.accuracy, baseline) {
        let gain = 100.0 * (distilled.mean - baseline.mean);
        if result.tasks.is_some() {
            return format!(
                "Learning one task after another changes the student's accuracy by {gain:+.2} points, \
                 compared to all classes at once (baseline)."
            );
        }
        return format!("Distillation changes the student's accuracy by {gain:+.2} points.");
    }
    let agreement = distilled.agreement.map_or("–".into(), |agreement| {
        format!("{:.2} %", 100.0 * agreement)
    });
    let accuracy = match distilled.accuracy {
        Some(_) => "",
        None => " No test sample is labeled, so that there is no accuracy.",
    };
    format!(
        "Without labels there is no student (baseline).{accuracy} The student predicts the class of the \
         teacher for {agreement} of the test samples."
    )
}

/// Returns the table of the stages; an empty text if there are none.
fn of_stages(stages: &[StageResult]) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let measure = match stages[0].validation_accuracy {
        Some(_) => "validation accuracy %",
        None => "validation agreement %",
    };
    table.set_header(["stage", "epochs", "seconds", measure]);
    for stage in stages {
        let epochs: Vec<_> = stage.epochs.iter().map(usize::to_string).collect();
        let same = epochs.iter().all(|count| *count == epochs[0]);
        let mean = stage.seconds.iter().sum::<f64>() / stage.seconds.len() as f64;
        let accuracy = stage.validation_accuracy.as_ref();
        let measured = accuracy.or(stage.validation_agreement.as_ref());
        table.add_row([
            stage.name.clone(),
            if same {
                epochs[0].clone()
            } else {
                epochs.join(", ")
            },
            format!("{mean:.1}"),
            measured.map_or("–".into(), percent),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}
