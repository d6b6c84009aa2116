//! Strategies: what the student is distilled from, one file each.
//!
//! A strategy is a [`StrategyEntry`]: its names, and the function that reads its options. The
//! options implement [`Strategy`].

mod adversarial_features;
mod adversarial_logits;
mod assistant;
mod assistants;
mod born_again;
mod by_itself;
mod byot;
mod check;
mod check_assistants;
mod check_without_data;
mod checks;
mod codistillation;
mod collaborative;
mod configured;
mod context;
mod cs_kd;
mod data_free;
mod dense_guidance;
mod dino;
mod dlb;
mod entry;
mod group_leader;
mod mean_teacher;
mod mutual;
mod native_ensemble;
mod offline;
mod oriented;
mod peers;
mod prepared;
mod ps_kd;
mod ramp;
mod sd_dropout;
mod tables;
mod tasks;
mod terms;
mod tf_kd;
mod towards;
mod warnings;
mod without_data;
mod zero_shot;

pub use assistant::{AssistantPlan, AssistantRecipe, Guidance, TeachingEpoch};
pub use check::{
    check_no_teacher, check_numbers, prepare_checked, prepare_without_data, write_out_terms,
};
pub use check_assistants::{check_chain, check_recipe, check_tables_of_one_teacher};
pub use check_without_data::check_without_data;
pub use configured::Configured;
pub use context::{
    Finalize, Member, Outcome, PreparedStrategy, StrategyContext, ViewMode, metrics_of_distilled,
};
pub use entry::{Strategy, StrategyEntry, StrategyOptions, StrategyRecipe};
pub use peers::mean_of_networks;
pub use prepared::{Generations, Prepared, Pretraining, TaskTraining, TeacherSetting};
pub use tables::{TABLES, refuse_tables};
pub use warnings::warnings;
pub use without_data::WithoutData;

/// Returns the strategies of the toolkit.
pub fn entries() -> Vec<StrategyEntry> {
    let of_one_training = [
        offline::ENTRY,
        assistants::ENTRY,
        dense_guidance::ENTRY,
        adversarial_logits::ENTRY,
        oriented::ENTRY,
        mutual::ENTRY,
        collaborative::ENTRY,
        native_ensemble::ENTRY,
        group_leader::ENTRY,
        codistillation::ENTRY,
        adversarial_features::ENTRY,
        byot::ENTRY,
        sd_dropout::ENTRY,
        tf_kd::ENTRY,
        born_again::ENTRY,
        cs_kd::ENTRY,
        ps_kd::ENTRY,
        dlb::ENTRY,
        mean_teacher::ENTRY,
        dino::ENTRY,
        zero_shot::ENTRY,
        data_free::ENTRY,
    ];
    of_one_training.into_iter().chain(tasks::ENTRIES).collect()
}

#[cfg(test)]
pub mod tests {
    use super::adversarial_features::AdversarialFeaturesRecipe;
    use super::born_again::BornAgainRecipe;
    use super::collaborative::CollaborativeRecipe;
    use super::group_leader::GroupLeaderRecipe;
    use super::mean_teacher::MeanTeacherRecipe;
    use super::mutual::MutualRecipe;
    use super::native_ensemble::NativeEnsembleRecipe;
    use super::tf_kd::TfKdRecipe;
    use super::*;
    use crate::Recipe;
    use crate::read::tests::{error, recipe};
    use burn_distill::core::{CatalogEntry, tensors};
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::Command;
    use std::{env, fs};

    pub const RECIPE: &str = r#"
        name = "test"
        [data]
        name = "digits"
        [student]
        model = "convnet-4-8"
        training = { epochs = 10 }
    "#;

    fn kinds() -> impl Iterator<Item = CatalogEntry> {
        entries().into_iter().map(|entry| entry.catalog)
    }

    fn strategy_of(text: &str) -> StrategyRecipe {
        let read: Result<_, toml::de::Error> =
            StrategyRecipe::read(text.parse().unwrap(), &entries());
        read.unwrap()
    }

    /// A recipe with a strategy, and with a teacher where it has one.
    fn with(strategy: &str) -> Recipe {
        const TEACHER: &str = "teacher={ model = 'convnet-8-16', training = { epochs = 1 } }";
        let without_data = ["zero-shot", "zskt", "data-free", "dafl"];
        let learns_tasks = tasks::ENTRIES.iter().any(|entry| {
            let mut names = [&[entry.catalog.name], entry.catalog.aliases]
                .concat()
                .into_iter();
            names.any(|name| strategy == format!("strategy.kind={name}"))
        });
        match learns_tasks {
            true => changed(&[strategy, "tasks.count=2"]),
            false if without_data.iter().any(|name| strategy.contains(name)) => {
                changed(&[strategy, TEACHER])
            }
            false => changed(&[strategy]),
        }
    }

    /// A short recipe with these changes.
    pub fn changed(changes: &[&str]) -> Recipe {
        recipe(RECIPE, changes).unwrap()
    }

    /// The options of the strategy of a recipe.
    pub fn options<S: Strategy>(recipe: &Recipe) -> &S {
        let options = recipe.strategy.options_of();
        options.unwrap_or_else(|| panic!("{:?}", recipe.strategy))
    }

    fn terms(strategy: &str) -> String {
        let losses = with(strategy).losses.into_iter();
        let losses = losses.map(|table| toml::Value::Table(table).to_string());
        losses.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_kind_of_the_catalog_can_be_named_by_each_of_its_names() {
        for entry in kinds() {
            for name in [&[entry.name], entry.aliases].concat() {
                let strategy = strategy_of(&format!("kind = '{name}'"));
                assert_eq!(strategy.name(), entry.name, "{name}");
                if !strategy.is_offline() {
                    with(&format!("strategy.kind={name}"));
                }
            }
        }
    }

    #[test]
    fn a_strategy_is_written_as_it_is_read() {
        // Strategies with a teacher are read with theirs.
        let is_plain = |name: &str| !strategy_of(&format!("kind = '{name}'")).is_offline();
        for kind in kinds().filter(|entry| is_plain(entry.name)) {
            let original = with(&format!("strategy.kind={}", kind.name));

            let text = toml::to_string(&original).unwrap();
            assert_eq!(recipe(&text, &[]).unwrap(), original, "{text}");
            assert!(
                text.contains(&format!("kind = \"{}\"", kind.name)),
                "{text}"
            );
        }
    }

    #[test]
    fn without_losses_the_terms_are_those_of_the_authors() {
        for (strategy, expected) in [
            (
                "strategy.kind=mutual",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-target", temperature = 1.0, weight = 1.0 }"#,
            ),
            (
                "strategy={ kind = 'dml', temperature = 2, weight = 0.3 }",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-target", temperature = 2.0, weight = 0.3 }"#,
            ),
            (
                "strategy.kind=afd-chung",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-target", temperature = 3.0, weight = 1.0 }"#,
            ),
            (
                "strategy={ kind = 'kdcl', weight = 0.75 }",
                r#"{ kind = "cross-entropy", weight = 0.25 } { kind = "soft-target", temperature = 4.0, weight = 0.75 }"#,
            ),
            (
                "strategy.kind=codistillation",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-cross-entropy", temperature = 1.0, weight = 1.0 }"#,
            ),
            (
                "strategy={ kind = 'tf-kd', temperature = 6 }",
                r#"{ kind = "cross-entropy", weight = 0.050000000000000044 } { kind = "soft-target", temperature = 6.0, weight = 0.095 }"#,
            ),
            (
                "strategy={ kind = 'tf-kd', temperature = 6, multiplier = 50 }",
                r#"{ kind = "cross-entropy", weight = 0.050000000000000044 } { kind = "soft-target", temperature = 6.0, weight = 4.75 }"#,
            ),
            (
                "strategy={ kind = 'tf-kd', variant = 'self', temperature = 6 }",
                r#"{ kind = "cross-entropy", weight = 0.050000000000000044 } { kind = "soft-target", temperature = 6.0, weight = 0.095 }"#,
            ),
            (
                "strategy={ kind = 'tf-kd', variant = 'virtual' }",
                r#"{ kind = "cross-entropy", weight = 0.9 } { kind = "virtual-teacher", multiplier = 1.0, temperature = 20.0, weight = 0.1 }"#,
            ),
            // MobileNetV2: the authors' multiplier of 1, on ten classes.
            (
                "strategy={ kind = 'tf-kd', variant = 'virtual', temperature = 40, weight = 0.75, multiplier = 1 }",
                r#"{ kind = "cross-entropy", weight = 0.25 } { kind = "virtual-teacher", multiplier = 0.1, temperature = 40.0, weight = 0.75 }"#,
            ),
            (
                "strategy.kind=cs-kd",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-target", temperature = 4.0, weight = 1.0 }"#,
            ),
            (
                "strategy.kind=dlb",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-target", temperature = 3.0, weight = 1.0 }"#,
            ),
            (
                "strategy={ kind = 'ps-kd', weight = 0.75 }",
                r#"{ kind = "cross-entropy", weight = { epochs = 10, from = 1.0, kind = "linear", to = 0.25 } } { kind = "soft-cross-entropy", temperature = 1.0, weight = { epochs = 10, from = 0.0, kind = "linear", to = 0.75 } }"#,
            ),
            (
                "strategy={ kind = 'born-again', labels = true }",
                r#"{ kind = "cross-entropy", weight = 1.0 } { kind = "soft-cross-entropy", temperature = 1.0, weight = 1.0 }"#,
            ),
            ("strategy={ kind = 'born-again', variant = 'cwtm' }", ""),
            ("strategy={ kind = 'born-again', variant = 'dkpp' }", ""),
            (
                "strategy.kind=zskt",
                r#"{ kind = "soft-target", temperature = 1.0, weight = 0.1 } { kind = "attention-transfer", weight = 250.0 }"#,
            ),
            (
                "strategy={ kind = 'zero-shot', temperature = 2, attention = 0 }",
                r#"{ kind = "soft-target", temperature = 2.0, weight = 0.025 }"#,
            ),
            (
                "strategy.kind=dafl",
                r#"{ kind = "soft-target", temperature = 1.0, weight = 1.0 }"#,
            ),
            ("strategy.kind=mean-teacher", ""),
            ("strategy.kind=byot", ""),
            ("strategy.kind=one", ""),
            ("strategy.kind=okddip", ""),
        ] {
            assert_eq!(terms(strategy), expected, "{strategy}");
        }
        let own = "loss=[{ kind = 'hard' }, { kind = 'dkd' }]";
        let own = recipe(RECIPE, &["strategy.kind=mutual", own]).unwrap();
        assert_eq!(own.losses[1]["kind"], "dkd".into());
    }

    #[test]
    fn critics_compare_the_map_of_the_last_stage() {
        for (model, expected) in [
            ("convnet-4-8", "layer2"),
            ("convnet-4-4-8", "layer3"),
            ("resnet8", "layer3"),
            ("wrn-16-1", "layer3"),
        ] {
            let peers = format!("strategy={{ kind = 'afd-chung', peers = ['{model}'] }}");
            let recipe = with(&peers);
            let options: &AdversarialFeaturesRecipe = options(&recipe);

            let prepared = options.set_up(&recipe.strategy_context().unwrap());

            let critics = prepared.unwrap().distiller.critics;
            let taps: Vec<_> = critics.iter().map(|critic| critic.tap.as_str()).collect();
            assert_eq!(taps, ["layer2", expected]);
        }
    }

    #[test]
    fn ramps_of_strategies_move_once_per_epoch_by_default() {
        let shown = |strategy: &str| {
            let recipe = with(&format!("strategy={{ {strategy} }}"));
            let context = recipe.strategy_context().unwrap();
            match recipe.strategy.name() {
                "native-ensemble" => {
                    let prepared = options::<NativeEnsembleRecipe>(&recipe).set_up(&context);
                    format!("{:?}", prepared.unwrap().distiller.objectives)
                }
                "group-leader" => {
                    let prepared = options::<GroupLeaderRecipe>(&recipe).set_up(&context);
                    format!("{:?}", prepared.unwrap().distiller.leader_objective)
                }
                _ => {
                    let prepared = options::<MeanTeacherRecipe>(&recipe).set_up(&context);
                    format!("{:?}", prepared.unwrap().distiller.objective)
                }
            }
        };
        for (kind, to, epochs) in [("one", 1, 80), ("okddip", 1, 80), ("ema", 100, 5)] {
            for (options, interval) in [("", "Epoch"), (", ramp_interval = 'step'", "Step")] {
                let shown = shown(&format!("kind = '{kind}'{options}"));
                let expected = format!(
                    "SigmoidRampUp {{ to: {to}.0, epochs: {epochs}, interval: {interval} }}"
                );
                assert!(shown.contains(&expected), "{kind}: {shown}");
            }
        }
    }

    /// In another process, where no other test draws from the generator of the process in between.
    #[test]
    fn equal_seeds_draw_equal_weights() {
        for test in [
            "an_average_begins_as_the_student_by_default",
            "a_student_with_branches_begins_like_the_baseline",
        ] {
            let (_, module) = module_path!().split_once("::").unwrap();
            let output = Command::new(env::current_exe().unwrap())
                .args(["--exact", "--ignored"])
                .arg(format!("{module}::{test}"))
                .output()
                .unwrap();

            let reported = String::from_utf8_lossy(&output.stdout);
            assert!(reported.contains("1 passed"), "{reported}");
        }
    }

    #[test]
    #[ignore = "equal_seeds_draw_equal_weights runs it in another process"]
    fn an_average_begins_as_the_student_by_default() {
        for (options, alike) in [("", true), (", random_start = true", false)] {
            let recipe = with(&format!("strategy={{ kind = 'ema'{options} }}"));
            let options: &MeanTeacherRecipe = super::tests::options(&recipe);

            let prepared = options.set_up(&recipe.strategy_context().unwrap()).unwrap();

            let (student, average) = (
                prepared.distiller.student,
                prepared.distiller.teacher.average,
            );
            assert_eq!(tensors(average.inner()) == tensors(&student), alike);
        }
    }

    #[test]
    fn a_quarter_of_a_batch_is_labeled_where_labels_are_few() {
        let labeled = |options: &str, labels: usize| {
            let strategy = format!("kind = 'ema'\n{options}");
            let strategy = strategy_of(&strategy);
            strategy.options().labeled_per_batch(64, labels, 1000)
        };

        assert_eq!(labeled("", 100), 16);
        assert_eq!(labeled("", 10), 10, "no more than there are");
        assert_eq!(labeled("", 1000), 0, "all samples are labeled");
        assert_eq!(labeled("labeled_per_batch = 0", 100), 0);
        assert_eq!(labeled("labeled_per_batch = 20", 10), 20);
        let other = strategy_of("kind = 'cs-kd'");
        assert_eq!(other.options().labeled_per_batch(64, 100, 1000), 0);
    }

    #[test]
    fn every_student_of_an_ensemble_has_its_own_view() {
        for (strategy, expected) in [
            ("strategy={ kind = 'kdcl', peers = 2 }", 3),
            ("strategy={ kind = 'kdcl', peers = ['mlp-8'] }", 2),
        ] {
            let recipe = with(strategy);
            let options: &CollaborativeRecipe = options(&recipe);
            let prepared = options.set_up(&recipe.strategy_context().unwrap()).unwrap();
            assert!(matches!(prepared.views, ViewMode::Views(views) if views == expected));
            assert_eq!(prepared.distiller.peers.len(), expected);
        }
    }

    #[test]
    #[ignore = "equal_seeds_draw_equal_weights runs it in another process"]
    fn a_student_with_branches_begins_like_the_baseline() {
        let recipe = with("strategy.kind=one");
        let options: &NativeEnsembleRecipe = options(&recipe);
        let context = recipe.strategy_context().unwrap();

        let branched = options.set_up(&context).unwrap().distiller.network;
        let baseline = tensors(&context.student_network().unwrap());
        let shared = tensors(&branched).into_iter();
        let shared: Vec<_> = shared
            .filter(|(name, _)| !name.starts_with("branches"))
            .collect();
        assert_eq!(shared, baseline);
        let other = context.beside(context.model(), 1).unwrap();
        assert_ne!(tensors(&other), baseline);
    }

    #[test]
    fn peers_are_a_number_or_a_list_of_models() {
        let peers = |text: &str| {
            let strategy = format!("strategy={{ kind = 'mutual', peers = {text} }}");
            let recipe = with(&strategy);
            let options: &MutualRecipe = options(&recipe);
            let models = options.peers.models(&recipe.student.model);
            models.iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        assert_eq!(peers("2"), ["convnet-4-8", "convnet-4-8"]);
        assert_eq!(peers("['mlp-8', 'resnet8']"), ["mlp-8", "resnet8"]);
    }

    #[test]
    fn strategies_that_do_not_fit_the_recipe_are_refused() {
        for (changes, message) in [
            (vec!["strategy.kind=mutal"], "did you mean `mutual`?"),
            (vec!["strategy={ peers = 1 }"], "`strategy.kind` is missing"),
            (
                vec!["strategy={ kind = 'mutual', branches = 3 }"],
                "unknown key `strategy.branches`; the known ones are peers, order",
            ),
            (
                vec!["strategy={ kind = 'mutual', temperatur = 3 }"],
                "did you mean `temperature`?",
            ),
            (
                vec!["strategy={ kind = 'mutual', peers = 0 }"],
                "`strategy.peers` should be from 1 to 64 networks besides the student, but is 0",
            ),
            (
                vec!["strategy={ kind = 'okddip', peers = ['mlp-8'] }"],
                "`strategy.peers` should be from 2 to 64 networks besides the student, but is 1",
            ),
            (
                vec!["strategy={ kind = 'mutual', peers = ['resnt20'] }"],
                "did you mean `resnet20`?",
            ),
            (
                vec!["strategy={ kind = 'mutual', peers = -1 }"],
                "`strategy.peers` should be a number of networks up to 64 or a list of models",
            ),
            (
                vec!["strategy={ kind = 'mutual', temperature = 0 }"],
                "`strategy.temperature` should be above 0, from 1e-6 to 1e9, but is 0",
            ),
            (
                vec!["strategy={ kind = 'one', temperature = -1 }"],
                "`strategy.temperature` should be above 0, from 1e-6 to 1e9, but is -1",
            ),
            (
                vec!["strategy={ kind = 'one', branches = 1 }"],
                "`strategy.branches` should be from 2 to 64, but is 1",
            ),
            (
                vec!["strategy.kind=one", "student.model=mlp-8"],
                "student.model: `mlp-8` cannot have branches",
            ),
            (
                vec!["strategy={ kind = 'okddip', tap = 'pol' }"],
                "no tap named `pol`",
            ),
            (
                vec!["strategy={ kind = 'okddip', peers = ['convnet-4-8', 'convnet-4-6'] }"],
                "Peers attend to features of one size",
            ),
            (
                vec!["strategy={ kind = 'codistillation', period = 0 }"],
                "`strategy.period` should be at least 1, but is 0",
            ),
            (
                vec!["strategy.kind=codistillation", "loss=[{ kind = 'kd' }]"],
                "one loss of the kind `cross-entropy`, since each peer is at first trained only on the labels",
            ),
            (
                vec![
                    "strategy.kind=mutual",
                    "teacher={ model = 'mlp-8', training = { epochs = 1 } }",
                ],
                "leave out [teacher]: with `mutual` (DML) the peers teach each other",
            ),
            (
                vec![
                    "strategy.kind=mutual",
                    "stage=[{ name = 'a', epochs = 1, loss = [{ kind = 'kd' }] }]",
                ],
                "[[stage]] and [route] are for a trained teacher",
            ),
            (
                vec![
                    "strategy={ kind = 'mutual', weight = 2 }",
                    "loss=[{ kind = 'kd' }]",
                ],
                "`strategy.weight` is an option of the default terms, which [[loss]] replaces",
            ),
            (
                vec![
                    "strategy={ kind = 'tf-kd', multiplier = 50 }",
                    "loss=[{ kind = 'kd' }]",
                ],
                "`strategy.multiplier` is an option of the default terms, which [[loss]] replaces",
            ),
            (
                vec!["strategy={ kind = 'tf-kd', variant = 'vitual' }"],
                "did you mean `virtual`?",
            ),
            (
                vec![
                    "strategy={ kind = 'tf-kd', variant = 'virtual' }",
                    "loss=[{ kind = 'hard' }, { kind = 'kd' }]",
                ],
                "`loss.1` compares the student with a teacher, but a virtual teacher is not",
            ),
            (
                vec![
                    "strategy={ kind = 'tf-kd', variant = 'virtual', weight = 0.5 }",
                    "loss=[{ kind = 'hard' }]",
                ],
                "`strategy.weight` is an option of the default terms, which [[loss]] replaces",
            ),
            (
                vec![
                    "strategy={ kind = 'tf-kd', variant = 'virtual' }",
                    "loss=[{ kind = 'hard' }, { kind = 'virtual-teacher', clip = true }]",
                ],
                "is clipped, which is for one [teacher], or the strategy `tf-kd` with a trained copy",
            ),
            (
                vec![
                    "strategy={ kind = 'tf-kd', variant = 'virtual' }",
                    "teacher={ model = 'mlp-8', training = { epochs = 1 } }",
                ],
                "leave out [teacher]: with `tf-kd` (Tf-KD) a virtual teacher teaches the student",
            ),
            (
                vec!["strategy.kind=okddip", "loss=[{ kind = 'kd' }]"],
                "the attention between the peers would learn nothing",
            ),
            (
                vec![
                    "strategy.kind=mutual",
                    "loss=[{ kind = 'kd', clip = true }, { kind = 'hard' }]",
                ],
                "is clipped, which is possible with one trained teacher only",
            ),
            (
                vec![
                    "strategy.kind=dlb",
                    "loss=[{ kind = 'kd', clip = true }, { kind = 'hard' }]",
                ],
                "is clipped, which is for one [teacher], or the strategy `tf-kd`",
            ),
            (
                vec!["strategy={ kind = 'afd-chung', taps = ['layer1'] }"],
                "one tap for each of 2 networks, the student's first, but there are 1",
            ),
            (
                vec!["strategy={ kind = 'afd-chung', taps = ['layer1', 'layr1'] }"],
                "layr1",
            ),
            (
                vec!["strategy={ kind = 'afd-chung', game = { learning_rate = 0.0 } }"],
                "`strategy.game.learning_rate` should be above 0 and at most 1000, but is 0",
            ),
            (
                vec!["strategy.kind=afd-chung", "student.model=mlp-8"],
                "student.model: `mlp-8` has no feature maps, which the critics compare",
            ),
            (
                vec!["strategy={ kind = 'afd-chung', peers = ['vit-16-1-2'] }"],
                "strategy.peers.0: `vit-16-1-2` has no feature maps, which the critics compare",
            ),
            (
                vec!["strategy.kind=mutual", "loss=[{ kind = 'sim-kd' }]"],
                "with one trained teacher only: here the teacher is a peer",
            ),
            (
                vec!["strategy.kind=kdcl", "loss=[{ kind = 'factor-transfer' }]"],
                "or changes the student, which is for one [teacher]",
            ),
            (
                vec![
                    "strategy.kind=kdcl",
                    "loss=[{ kind = 'attention-transfer' }]",
                ],
                "compares features, but an ensemble has only predictions",
            ),
            (
                vec!["strategy.kind=kdcl", "loss=[{ kind = 'kd', views = 2 }]"],
                "leave out `views`",
            ),
            (
                vec![
                    "strategy.kind=mutual",
                    "loss=[{ kind = 'kd' }, { kind = 'kd' }]",
                ],
                "the losses `loss.0` and `loss.1` are both named `soft-target`",
            ),
            (
                vec![
                    "strategy.kind=born-again",
                    "loss=[{ kind = 'hard' }, { kind = 'kd', clip = true }]",
                ],
                "is clipped, which is for one [teacher], or the strategy `tf-kd`",
            ),
            (
                vec![
                    "strategy={ kind = 'born-again', variant = 'dkpp' }",
                    "loss=[{ kind = 'kd' }]",
                ],
                "`strategy.variant` is an option of the default terms, which [[loss]] replaces",
            ),
            (
                vec!["strategy={ kind = 'born-again', variant = 'dkp' }"],
                "did you mean `dkpp`?",
            ),
            (
                vec![
                    "strategy.kind=born-again",
                    "loss=[{ kind = 'kd', views = 2 }]",
                ],
                "is of 2 views, which is for one [teacher], or the strategy `tf-kd`",
            ),
            (
                vec!["strategy={ kind = 'born-again', generations = 0 }"],
                "`strategy.generations` should be from 1 to 64, but is 0",
            ),
            (
                vec!["strategy={ kind = 'mean-teacher', decay = 2 }"],
                "`strategy.decay` should be from 0 to 1, but is 2",
            ),
            (
                vec![
                    "strategy={ kind = 'ema', ramp_epochs = 2 }",
                    "loss=[{ kind = 'hard' }]",
                ],
                "`strategy.ramp_epochs` is an option of the default terms",
            ),
            (
                vec![
                    "strategy={ kind = 'ema', ramp_interval = 'step' }",
                    "loss=[{ kind = 'hard' }]",
                ],
                "`strategy.ramp_interval` is an option of the default terms",
            ),
            (
                vec!["strategy={ kind = 'one', ramp_interval = 'batch' }"],
                "`strategy.ramp_interval` should be one of epoch, step, but is the text \"batch\"",
            ),
            (
                vec!["strategy={ kind = 'ema', labeled_per_batch = 8 }"],
                "`strategy.labeled_per_batch` is 8, but all samples are labeled",
            ),
            (
                vec![
                    "strategy={ kind = 'ema', labeled_per_batch = 64 }",
                    "data.labels_per_class=2",
                ],
                "below `student.training.batch_size`, which is 64, but is 64",
            ),
            (
                vec!["strategy.kind=ps-kd", "loss=[{ kind = 'hint' }]"],
                "compares features, but the last epoch has only predictions",
            ),
            (
                vec!["strategy={ kind = 'sd-dropout', probability = 1 }"],
                "`strategy.probability` should be from 0 and below 1, but is 1",
            ),
            (
                vec!["strategy={ kind = 'sd-dropout', probabilty = 0.1 }"],
                "unknown key `strategy.probabilty`, did you mean `probability`?",
            ),
            (
                vec!["strategy={ kind = 'sd-dropout', tap = 'layer1' }"],
                "The classifier takes 8 features, but the tap `layer1` has",
            ),
            (
                vec![
                    "strategy.kind=sd-dropout",
                    "loss=[{ kind = 'hard' }, { kind = 'kd' }]",
                ],
                "there should be no loss but `cross-entropy`: the divergence between the two dropout samples",
            ),
            (
                vec!["strategy.kind=byot", "student.model=mlp-8"],
                "A multi-exit network should have at least two stages",
            ),
            (
                vec!["strategy={ kind = 'byot', variant = 'latr' }"],
                "did you mean `later`?",
            ),
            (
                vec!["strategy={ kind = 'byot', exits = { exits = ['layer7'] } }"],
                "layer7",
            ),
            (
                vec!["strategy.kind=dlb", "loss=[{ kind = 'hard' }]"],
                "there is no loss but `cross-entropy`",
            ),
            (
                vec!["strategy={ kind = 'dino', views = 1 }"],
                "`strategy.views` should be from 2 to 64, but is 1",
            ),
            (
                vec!["strategy={ kind = 'dino', head = { d_outpt = 8 } }"],
                "unknown key `strategy.head.d_outpt`, did you mean `d_output`?",
            ),
            (
                vec!["strategy.kind=dino", "loss=[{ kind = 'hard' }]"],
                "the loss between views is that of `strategy.objective`",
            ),
            (
                vec![],
                "`teacher` is missing: give a [teacher], or a [strategy]",
            ),
        ] {
            let error = error(RECIPE, &changes);
            assert!(error.contains(message), "{changes:?}: {error}");
        }
    }

    #[test]
    fn the_variant_decides_the_terms_of_a_generation() {
        for (options, expected) in [
            ("variant = 'ban'", vec!["soft-cross-entropy"]),
            ("variant = 'cwtm'", vec!["confidence-weighted"]),
            (
                "variant = 'cwtm', labels = true",
                vec!["cross-entropy", "confidence-weighted"],
            ),
            (
                "variant = 'dkpp', labels = true",
                vec!["cross-entropy", "permuted-soft-cross-entropy"],
            ),
        ] {
            let original = changed(&[&format!("strategy={{ kind = 'ban', {options} }}")]);
            // Also as the folder of a run has it.
            let written = recipe(&toml::to_string(&original).unwrap(), &[]).unwrap();
            for recipe in [original, written] {
                let options: &BornAgainRecipe = super::tests::options(&recipe);
                let context = recipe.strategy_context().unwrap();
                let network = context.student_network().unwrap();
                let generation = |number| {
                    let generation = options.generation(&context, number, &network, &network);
                    generation.unwrap()
                };
                let (terms, objectives) = generation(1);
                assert_eq!(terms, expected);
                assert_eq!(objectives.len(), expected.len());
                // Each permutes in another order, and is alike otherwise.
                let permutes = terms.iter().any(|term| term.starts_with("permuted"));
                let (_, next) = generation(2);
                assert_eq!(
                    format!("{objectives:?}") != format!("{next:?}"),
                    permutes,
                    "{terms:?}"
                );
            }
        }
    }

    #[test]
    fn the_trained_baseline_teaches_as_a_teacher_does() {
        for losses in [
            "loss=[{ kind = 'hard' }, { kind = 'kd', clip = true, views = 2 }]",
            "loss=[{ kind = 'factor-transfer' }]",
        ] {
            changed(&["strategy.kind=tf-kd", losses]);
        }
    }

    #[test]
    fn a_virtual_teacher_is_a_part_of_the_loss() {
        let losses = "loss=[{ kind = 'lsr' }, { kind = 'virtual-teacher', correct = 0.9 }]";
        let virtual_teacher = "strategy={ kind = 'tf-kd', variant = 'virtual' }";
        let recipe = changed(&[virtual_teacher, losses]);

        let prepared = TfKdRecipe::set_up_virtual(&recipe.strategy_context().unwrap()).unwrap();

        let names = ["label-smoothing", "virtual-teacher"];
        let shown: Vec<_> = prepared.metrics.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 4, "{shown:?}");
        for name in names {
            assert!(
                shown.iter().any(|metric| metric.contains(name)),
                "{shown:?}"
            );
        }
        let objective = prepared.distiller.objective.to_string();
        assert!(objective.contains("correct: 0.9"), "{objective}");
    }

    #[test]
    fn the_cross_entropy_with_the_labels_is_read_as_any_other_loss() {
        for strategy in ["dlb", "codistillation", "sd-dropout", "byot"] {
            let strategy_of = format!("strategy.kind={strategy}");
            for (key, message) in [
                ("weigth = 0.3", "did you mean `weight`?"),
                ("weight = 'much'", "weight` should be a number or a table"),
                ("views = 2", "leave out `views`"),
                ("clip = true", "the loss `cross-entropy` is clipped"),
            ] {
                let losses = match strategy {
                    "sd-dropout" => format!("loss=[{{ kind = 'hard', {key} }}]"),
                    _ => format!("loss=[{{ kind = 'kd' }}, {{ kind = 'hard', {key} }}]"),
                };
                let error = error(RECIPE, &[&strategy_of, &losses]);
                assert!(error.contains(message), "{strategy}, {key}: {error}");
                let number = losses.matches("kind").count();
                let place = format!("loss.{}", number - 1);
                assert!(error.contains(&place), "{strategy}, {key}: {error}");
            }
        }
    }

    #[test]
    fn the_number_of_a_loss_counts_the_cross_entropy_too() {
        let hard = "{ kind = 'hard' }";
        let wrong = "{ kind = 'dkd', bet = 1 }";
        for strategy in ["dlb", "codistillation"] {
            for (losses, number) in [
                (format!("{hard}, {wrong}"), 2),
                (format!("{wrong}, {hard}"), 1),
                (format!("{{ kind = 'kd' }}, {hard}, {wrong}"), 3),
            ] {
                let strategy = format!("strategy.kind={strategy}");
                let error = error(RECIPE, &[&strategy, &format!("loss=[{losses}]")]);
                let place = format!("`loss.{}.bet`", number - 1);
                assert!(error.contains(&place), "{strategy}, {losses}: {error}");
            }
        }
    }

    #[test]
    fn the_snippets_of_the_book_are_valid() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/strategy");
        let mut described = BTreeSet::from(["offline"]);
        let pages = fs::read_dir(root).unwrap();
        let pages = pages.map(|page| page.unwrap().path());
        let of_loss = Path::new(root).join("../response/virtual-teacher.md");
        for page in pages.chain([of_loss]) {
            let text = fs::read_to_string(&page).unwrap();
            for snippet in text.split("```toml\n").skip(1) {
                let snippet = snippet.split("```").next().unwrap();
                // A recipe without a [strategy] needs a teacher.
                let teacher = "teacher={ model = 'convnet-8', training = { epochs = 1 } }";
                let has_teacher = snippet.contains("[strategy]") && {
                    let table: toml::Table = snippet.parse().unwrap();
                    let kind = table["strategy"]["kind"].as_str().unwrap();
                    strategy_of(&format!("kind = '{kind}'")).has_teacher()
                };
                // With as many stages as the student.
                let teacher = match has_teacher {
                    true => "teacher={ model = 'convnet-8-16', training = { epochs = 1 } }",
                    false => teacher,
                };
                let needed = !snippet.contains("[strategy]") || has_teacher;
                let needed = needed.then_some(teacher);
                let changes: Vec<_> = ["data.name=cifar10"].into_iter().chain(needed).collect();
                let recipe = recipe(&format!("{RECIPE}\n{snippet}"), &changes);
                let recipe = recipe.unwrap_or_else(|error| panic!("{}: {error:#}", page.display()));
                described.insert(recipe.strategy.name());
            }
        }
        for entry in kinds() {
            let found = described.contains(entry.name);
            assert!(found, "the book has no snippet for `{}`", entry.name);
        }
    }
    #[test]
    fn the_recipes_of_the_book_are_valid() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/recipes.md");
        let page = fs::read_to_string(page).unwrap();
        let snippets = page.split("```toml\n").skip(1);
        let snippets = snippets.map(|snippet| snippet.split("```").next().unwrap());
        let recipes: Vec<_> = snippets
            .filter(|snippet| snippet.starts_with("name ="))
            .map(|snippet| recipe(snippet, &[]).unwrap().strategy.name())
            .collect();
        assert_eq!(recipes, ["offline", "mutual"]);
    }
}
