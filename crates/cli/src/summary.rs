//! Table of results at the end of a run.

use crate::percent::percent;
use crate::table::{self, Column};
use crate::task_table::of_tasks;
use burn_distill_experiment::{ExperimentResult, StageResult, Statistics};
use burn_distill_recipe::TeachingEpoch;
use burn_distill_recipe::text::grouped;
use comfy_table::{CellAlignment, Table, presets};

/// Returns the table of an experiment, fitted to the width if there is one, and the lines below it.
pub fn of_experiment(result: &ExperimentResult, width: Option<usize>) -> String {
    let recipe = &result.info.recipe;
    let watched = recipe.data.without_class;
    let mut columns = ["", "model", "accuracy %"].map(Column::new).to_vec();
    // The keys of the recipe decide, because an ensemble has no embedding.
    let evaluation = recipe.evaluation.as_ref();
    let knn = evaluation.is_some_and(|evaluation| evaluation.knn.is_some());
    let probe = evaluation.is_some_and(|evaluation| evaluation.probe);
    columns.extend(knn.then(|| Column::new("k-NN %")));
    columns.extend(probe.then(|| Column::new("probe %")));
    columns.extend(watched.map(|class| Column::new(format!("on class {class} %"))));
    columns.extend(
        result
            .teacher
            .iter()
            .map(|_| Column::left_out("agreement %", 1)),
    );
    let is_packed = result.distilled.packed_bytes.is_some();
    columns.push(Column::left_out("parameters", 2));
    columns.push(Column::left_out("bytes", 4));
    columns.extend(is_packed.then(|| Column::new("packed bytes")));
    columns.push(Column::left_out("latency ms", 3));

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
        let or_dash = |accuracy: &Option<Statistics>| accuracy.as_ref().map_or("–".into(), percent);
        row.extend(knn.then(|| or_dash(&network.knn_accuracy)));
        row.extend(probe.then(|| or_dash(&network.probe_accuracy)));
        row.extend(network.class_accuracy.values().map(percent));
        let agreement = network.agreement.iter();
        row.extend(agreement.map(|agreement| format!("{:.2}", 100.0 * agreement)));
        row.push(grouped(network.parameters));
        row.push(grouped(network.bytes as usize));
        row.extend(is_packed.then(|| {
            let bytes = network.packed_bytes;
            bytes.map_or("–".into(), |bytes| grouped(bytes as usize))
        }));
        row.push(format!("{:.3}", network.latency_ms));
        row
    });
    let table = table::of_numbers(&columns, &rows.collect::<Vec<_>>(), width);

    let [train, _, test] = result.info.samples;
    let stages = of_stages(&result.stages);
    let tasks = of_tasks(result.tasks.as_ref());
    let options = recipe.strategy.options();
    let best = options.assistants().map(|plan| plan.teaching_epoch);
    let epoch = match best {
        Some(TeachingEpoch::Best) => "last epoch, and best epoch of the networks that teach",
        _ => "last epoch",
    };
    let seen = match options.without_data() {
        Some(_) => "The student has seen no sample".to_string(),
        None if result.info.labels > 0 && !recipe.uses_labels() => {
            format!("The student has {train} training samples, and its losses use no labels")
        }
        None => format!(
            "The student has {train} training samples, {} of them labeled",
            result.info.labels
        ),
    };
    let embeddings = of_embeddings(result);
    let conclusion = match embeddings.is_empty() || recipe.trains_classifier() {
        true => conclusion(result) + &embeddings,
        // Its accuracy says nothing.
        false => embeddings,
    };
    format!(
        "{table}\n{stages}{tasks}{test} test samples, {epoch}, seeds {:?}.\n{seen}.{conclusion}",
        result.info.seeds
    )
}

/// Returns the differences of the embeddings of the students in a sentence; an empty text if they
/// are not measured, or without a baseline.
fn of_embeddings(result: &ExperimentResult) -> String {
    let Some(baseline) = &result.baseline else {
        return String::new();
    };
    let distilled = &result.distilled;
    let gain = |name: &str, distilled: &Option<Statistics>, baseline: &Option<Statistics>| {
        let gain = 100.0 * (distilled.as_ref()?.mean - baseline.as_ref()?.mean);
        Some(format!("the {name} accuracy by {gain:+.2} points"))
    };
    let gains = [
        gain("k-NN", &distilled.knn_accuracy, &baseline.knn_accuracy),
        gain("probe", &distilled.probe_accuracy, &baseline.probe_accuracy),
    ];
    let gains: Vec<_> = gains.into_iter().flatten().collect();
    match gains.is_empty() {
        true => String::new(),
        false => format!(
            "\nDistillation changes, on the student's embeddings, {}.",
            gains.join(", and ")
        ),
    }
}

/// Returns the effect of the distillation in a line.
fn conclusion(result: &ExperimentResult) -> String {
    let distilled = &result.distilled;
    let baseline = result.baseline.as_ref();
    let baseline = baseline.and_then(|baseline| baseline.accuracy.as_ref());
    if let (Some(distilled), Some(baseline)) = (&distilled.accuracy, baseline) {
        let gain = 100.0 * (distilled.mean - baseline.mean);
        if result.tasks.is_some() {
            return format!(
                "\nLearning one task after another changes the student's accuracy by {gain:+.2} points, \
                 compared to all classes at once (baseline)."
            );
        }
        if result
            .info
            .recipe
            .strategy
            .options()
            .without_data()
            .is_some()
        {
            return format!(
                "\nWithout data the student's accuracy is {gain:+.2} points from that of the student \
                 that is trained on the data (baseline)."
            );
        }
        return format!("\nDistillation changes the student's accuracy by {gain:+.2} points.");
    }
    let agreement = distilled.agreement.map_or("–".into(), |agreement| {
        format!("{:.2} %", 100.0 * agreement)
    });
    let accuracy = match distilled.accuracy {
        Some(_) => "",
        None => " No test sample is labeled, so that there is no accuracy.",
    };
    format!(
        "\nWithout labels there is no student (baseline).{accuracy} The student predicts the class of the \
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
    let measure = match stages[0].validation_agreement {
        Some(_) => "validation agreement %",
        None => "validation accuracy %",
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
