//! A strategy of a program, from its `[strategy]` to a result, and the number of times that the
//! losses of a recipe are built.

mod common;

use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, Frozen, check as ranges};
use burn_distill::response::SoftTargetLossConfig;
use burn_distill::strategy::OfflineDistiller;
use burn_distill_experiment::ExperimentResult;
use burn_distill_recipe::{
    LossEntry, Member, NoOptions, Outcome, Prepared, PreparedStrategy, Registry, ResponseEntry,
    Strategy, StrategyContext, StrategyEntry, ViewMode, metrics_of_distilled, read,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An untrained network of the student's model is the teacher.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UntrainedTeacher {
    /// The number of further networks between the student and the teacher, in the order of their
    /// seeds.
    skipped: usize,
}

impl Check for UntrainedTeacher {
    fn check(&self) -> Result<(), ConfigError> {
        ranges::count_in("skipped", self.skipped, 0..=9)
    }
}

impl Strategy for UntrainedTeacher {
    fn description(&self) -> &'static str {
        "an untrained network teaches the student"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        let student = context.student_network()?;
        let teacher = context.beside(context.model(), 1 + self.skipped)?;
        let (terms, objectives) = context.distilled(&student, &teacher)?;
        let member = teacher.clone();
        let model = context.model().to_string();
        Ok(Prepared::from(PreparedStrategy {
            distiller: OfflineDistiller::new(student, Frozen::new(teacher), objectives),
            views: ViewMode::Views(1),
            metrics: metrics_of_distilled(&terms),
            finalize: Box::new(move |distiller| {
                Ok(Outcome {
                    student: distiller.student,
                    members: vec![Member::new("untrained", model, member)],
                })
            }),
        }))
    }
}

/// The number of times that the loss `counted` was built, in one run at a time.
static BUILDS: AtomicUsize = AtomicUsize::new(0);
static ONE_RUN: Mutex<()> = Mutex::new(());

fn registry() -> Registry {
    let untrained = CatalogEntry {
        aliases: &["random"],
        ..CatalogEntry::custom("untrained-teacher")
    };
    Registry::standard()
        .with_strategy(StrategyEntry::new::<UntrainedTeacher>(untrained))
        .with_loss(LossEntry::logits("counted", NoOptions {}, |_| {
            BUILDS.fetch_add(1, Ordering::Relaxed);
            SoftTargetLossConfig::new().init()
        }))
}

fn recipe_of(tables: &str) -> String {
    format!(
        "name = 'test'\ndata = {{ name = 'digits', samples = 64 }}\n\
         student = {{ model = 'convnet-4-6', training = {{ epochs = 1 }} }}\n{tables}"
    )
}

const TEACHER: &str = "teacher = { model = 'mlp-8', training = { epochs = 1 } }";
const LOSSES: &str = "loss = [{ kind = 'hard' }, { kind = 'counted' }]";

fn run(folder: &Path, text: &str) -> Result<ExperimentResult> {
    common::run(folder, text, &registry())
}

#[test]
fn a_recipe_with_a_strategy_of_a_program_runs() {
    let _alone = ONE_RUN.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let strategy = "strategy = { kind = 'random', skipped = 2 }";

    let result = run(
        folder.path(),
        &recipe_of(&format!("{strategy}\nloss = [{{ kind = 'kd' }}]")),
    );

    let result = result.unwrap();
    assert_eq!(result.status, "complete");
    assert_eq!(result.members[0].name, "untrained");
    let written = fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(
        written.contains("kind = \"untrained-teacher\""),
        "{written}"
    );
    assert!(written.contains("skipped = 2"), "{written}");
}

#[test]
fn errors_know_the_strategies_of_a_program() {
    for (tables, message) in [
        (
            "strategy = { kind = 'untrained-techer' }",
            "(did you mean `untrained-teacher`?)",
        ),
        (
            "strategy = { kind = 'random', skiped = 2 }",
            "unknown key `strategy.skiped`, did you mean `skipped`?",
        ),
        (
            "strategy = { kind = 'random', skipped = 10 }",
            "`strategy.skipped` should be from 0 to 9, but is 10",
        ),
        (
            &format!("{TEACHER}\nstrategy = {{ kind = 'random' }}"),
            "leave out [teacher]: with `untrained-teacher` an untrained network teaches the student",
        ),
        (
            "strategy = { kind = 'random' }\nloss = [{ kind = 'dkd', alpha = -1 }]",
            "in the strategy `untrained-teacher`: \
             `loss.0.alpha` should be from 0",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("recipe.toml");
        fs::write(&file, recipe_of(tables)).unwrap();

        let error = format!("{:#}", read(&file, &[], &registry()).unwrap_err());
        assert!(error.contains(message), "{tables}: {error}");
    }
}

/// A strategy is prepared once per seed: the check of the first seed hands over what it has
/// prepared. Where a trained network is the teacher, the check builds each loss once more, with an
/// untrained one.
#[test]
fn a_loss_is_built_once_per_seed_and_once_for_the_check() {
    let _alone = ONE_RUN.lock().unwrap();
    let two_seeds = "seeds = [0, 1]";
    let stages = "stage = [{ name = 'a', epochs = 1, loss = [{ kind = 'counted' }] }]";
    for (tables, expected) in [
        (format!("{TEACHER}\n{LOSSES}"), 2),
        (format!("{two_seeds}\n{TEACHER}\n{LOSSES}"), 3),
        (format!("{TEACHER}\n{stages}"), 2),
        (format!("strategy = {{ kind = 'tf-kd' }}\n{LOSSES}"), 2),
        (
            format!("strategy = {{ kind = 'ban', generations = 2 }}\n{LOSSES}"),
            3,
        ),
        (format!("strategy = {{ kind = 'random' }}\n{LOSSES}"), 1),
        (
            format!("{two_seeds}\nstrategy = {{ kind = 'ps-kd' }}\n{LOSSES}"),
            2,
        ),
        // One for each of two peers.
        (format!("strategy = {{ kind = 'mutual' }}\n{LOSSES}"), 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        BUILDS.store(0, Ordering::Relaxed);

        run(folder.path(), &recipe_of(&tables)).unwrap();

        assert_eq!(BUILDS.load(Ordering::Relaxed), expected, "{tables}");
    }
}
