use crate::loss::catalog;
use crate::network::for_digits;
use crate::{
    Loss, LossContext, LossEntry, Losses, example_context, example_context_of_heads,
    example_context_of_tokens, loss_context,
};
use anyhow::{Context, Result};
use burn_distill::core::{Clock, CrossEntropyObjective, Objective};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

fn loss(text: &str) -> Result<Loss> {
    Loss::new(&text.parse().unwrap(), &example_context())
}

/// Returns the name of a loss. Some losses compare maps, some tokens, and some need several
/// teachers: one of these networks has what it takes.
fn loss_between_any(table: &Table) -> Result<String> {
    let between = |context: LossContext| Loss::new(table, &context).map(|loss| loss.name);
    between(example_context()).or_else(|of_maps| {
        let teachers = [example_context(), example_context()];
        between(example_context_of_tokens())
            .or_else(|_| between(example_context_of_heads()))
            .or_else(|_| {
                Losses::standard()
                    .build_joint(table, &teachers)
                    .map(|loss| loss.name)
            })
            .with_context(|| format!("{of_maps:#}"))
    })
}

fn error(text: &str) -> String {
    format!("{:#}", loss(text).err().unwrap())
}

#[test]
fn every_loss_of_the_catalog_can_be_built_by_each_of_its_names() {
    for entry in catalog() {
        for name in [&[entry.name], entry.aliases].concat() {
            let table = format!("kind = '{name}'").parse().unwrap();
            assert_eq!(loss_between_any(&table).unwrap(), entry.name);
        }
    }
}

#[test]
fn a_term_may_have_a_name() {
    let named = loss("kind = 'kd'\nname = 'warm'\ntemperature = 8").unwrap();

    assert_eq!(named.name, "warm");
    assert!(
        named.objective.to_string().contains("temperature: 8"),
        "{}",
        named.objective
    );
}

#[test]
fn a_term_has_no_name_that_a_run_uses_for_something_else() {
    for name in [
        "cross-entropy",
        "accuracy",
        "generator",
        "discriminator",
        "ensemble",
        "loss",
    ] {
        let error = error(&format!("kind = 'kd'\nname = '{name}'"));
        let expected = format!("`name`: `{name}` is the name of another metric of a run");
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(loss("kind = 'hard'").unwrap().name, "cross-entropy");
}

#[test]
fn a_loss_of_a_program_takes_taps_that_there_are() {
    use burn_distill::core::{TapPair, TapPairs};
    use burn_distill::feature::HintLossConfig;

    let entry = |student: &'static str| {
        let entry = LossEntry::named("mine", 1.0, move |builder| {
            let pair = TapPair::new(student, "layer2", HintLossConfig::new().init());
            builder.term(TapPairs::from([pair]))
        });
        let mut losses = Losses::standard();
        losses.add(entry);
        losses.build(&"kind = 'mine'".parse().unwrap(), &example_context())
    };

    assert!(entry("layer2").is_ok());
    let error = format!("{:#}", entry("layer7").err().unwrap());
    let expected = "in the loss `mine`: the loss takes the tap `layer7` of the student: no tap named `layer7`, did \
                    you mean `layer2`?";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_distillation_token_needs_a_student_of_two_heads() {
    let error = error("kind = 'deit'");
    assert!(
        error.starts_with("in the loss `distillation-token` (DeiT): no tap named `class-logits`"),
        "{error}"
    );
    let table = "kind = 'deit'\nclass_tap = 'pool'".parse().unwrap();
    let error = Loss::new(&table, &example_context_of_heads());
    let error = format!("{:#}", error.err().unwrap());
    let expected = "the tap `pool` of the student should be logits of 10 classes, a vector for each \
                    sample, but is a vector of shape [192]";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn any_loss_of_logits_may_be_standardized() {
    let loss = loss("kind = 'kd'\nstandardize = true\ntemperature = 2").unwrap();

    assert_eq!(loss.name, "soft-target");
    let objective = loss.objective.to_string();
    assert!(
        objective.contains("Standardized {loss: SoftTargetLoss {temperature: 2}"),
        "{objective}"
    );
    assert!(
        error("kind = 'kd'\nstandardize = 1").contains("`standardize` should be true or false")
    );
    for kind in ["logits", "norm-kd", "dist", "decoupled", "normalized"] {
        let standardized = self::loss(&format!("kind = '{kind}'\nstandardize = true"));
        let objective = standardized.unwrap().objective.to_string();
        assert!(objective.contains("Standardized {loss: "), "{objective}");
    }
    // These standardize themselves.
    for kind in ["multi-level", "learned-temperature"] {
        let standardized = self::loss(&format!("kind = '{kind}'\nstandardize = true"));
        let objective = standardized.unwrap().objective.to_string();
        assert!(objective.contains("standardize: true"), "{objective}");
    }
    // There is no teacher whose logits could be.
    let error = error("kind = 'virtual-teacher'\nstandardize = true");
    assert!(error.contains("unknown key `standardize`"), "{error}");
}

#[test]
fn any_loss_of_distributions_may_be_computed_in_chunks() {
    for (keys, expected) in [
        (
            "chunk = 1024",
            "Chunked {loss: SoftTargetLoss {temperature: 4}, chunk_rows: Some(1024)}",
        ),
        (
            "chunk = 1024\nstandardize = true",
            "Standardized {loss: Chunked {loss: SoftTargetLoss {temperature: 4}, \
             chunk_rows: Some(1024)}",
        ),
    ] {
        let loss = loss(&format!("kind = 'kd'\n{keys}")).unwrap();

        assert_eq!(loss.name, "soft-target");
        let objective = loss.objective.to_string();
        assert!(objective.contains(expected), "{objective}");
    }
    for wrong in ["0", "-1", "0.5", "true"] {
        let error = error(&format!("kind = 'kd'\nchunk = {wrong}"));
        assert!(
            error.contains("`chunk` should be a whole number from 1"),
            "{error}"
        );
    }
    // The mean over classes is no loss between distributions.
    assert!(error("kind = 'logits'\nchunk = 8").contains("unknown key `chunk`"));
    assert!(error("kind = 'dist'\nchunk = 8").contains("unknown key `chunk`"));
}

#[test]
fn any_loss_may_be_of_several_views() {
    for kind in [
        "cross-entropy",
        "multi-level",
        "decoupled",
        "attention-transfer",
    ] {
        let one = loss(&format!("kind = '{kind}'")).unwrap();
        let two = loss(&format!("kind = '{kind}'\nviews = 2")).unwrap();

        assert_eq!(
            (one.objective.requirements().views, two.name.as_str()),
            (1, kind)
        );
        assert_eq!(two.objective.requirements().views, 2);
    }
    // The one loss that tells by the first view what counts in the others.
    let levels = loss("kind = 'multi-level'\nviews = 2").unwrap().objective;
    assert!(
        levels
            .to_string()
            .starts_with("Weighted {loss: MultiLevelLoss {"),
        "{levels}"
    );
    assert!(
        error("kind = 'hard'\nviews = 0").contains("`views` should be a whole number from 1 to 64")
    );
}

#[test]
fn the_gradient_of_any_loss_may_be_clipped() {
    let share = |text: &str| {
        let clip = loss(text).unwrap().clip?.share;
        Some([1, 4].map(|epoch| {
            clip.at(&Clock {
                epoch,
                ..Clock::start()
            })
        }))
    };
    // As the authors do: 1 / (1 + exp(−3)) after three epochs.
    let sigmoid = Some([0.5, 0.9525741268224334]);

    assert_eq!(share("kind = 'singular-vectors'"), None);
    assert_eq!(share("kind = 'singular-vectors'\nclip = false"), None);
    assert_eq!(share("kind = 'singular-vectors'\nclip = true"), sigmoid);
    assert_eq!(share("kind = 'logits-graph'\nclip = true"), sigmoid);
    assert_eq!(share("kind = 'kd'\nclip = 0.25"), Some([0.25, 0.25]));
    assert_eq!(
        share("kind = 'kd'\nclip = { kind = 'sigmoid', to = 2.0, center = 0 }"),
        sigmoid.map(|shares| shares.map(|share| 2.0 * share))
    );
    // Once the heads have learned, and by default, as its authors do.
    let heads = "kind = 'multi-head-graph'\nheads_epochs = 3\n";
    let by_default = share(heads).unwrap();
    assert_eq!(by_default[1], 0.5);
    assert_eq!(share(&format!("{heads}clip = true")), Some(by_default));
    assert_eq!(share(&format!("{heads}clip = false")), None);
    assert_eq!(share(&format!("{heads}clip = 0.25")), Some([0.25, 0.25]));

    for (wrong, message) in [
        (
            "'much'",
            "`clip` should be true, false, a number or a schedule",
        ),
        ("{ kind = 'sigmoid' }", "`clip.to` is missing"),
        ("-1", "`clip` should be from 0 to 1e9, but is -1"),
    ] {
        let error = error(&format!("kind = 'kd'\nclip = {wrong}"));
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_background_of_a_detector_may_be_any_class() {
    let boxes = loss("kind = 'bounded-regression'\nbackground = 20\nmargin = 0.5").unwrap();

    let text = boxes.objective.to_string();
    assert!(text.contains("margin: 0.5"), "{text}");
    assert!(text.contains("background: 20"), "{text}");
    assert!(
        error("kind = 'bounded-regression'\nbackground = -1").contains("`background` should be")
    );
}

#[test]
fn values_that_a_loss_refuses_are_errors_that_name_the_key() {
    for (text, expected) in [
        (
            "kind = 'jsd'\nbeta = 1.5",
            "in the loss `jensen-shannon` (JSD): `beta` should be above 0 and below 1",
        ),
        (
            "kind = 'decoupled'\nalpha = -1",
            "in the loss `decoupled` (DKD): `alpha` should be from 0 to 1e9, but is -1",
        ),
        (
            "kind = 'multi-level'\ntemperatures = []",
            "`temperatures` should be a list of at least one temperature, but is empty",
        ),
        (
            "kind = 'multi-level'\ntemperatures = [4.0, 0.0]",
            "`temperatures.1` should be above 0, from 1e-6 to 1e9, but is 0",
        ),
        (
            "kind = 'skew-kl'\nalpha = 0",
            "`alpha` should be above 0 and below 1, but is 0",
        ),
        (
            "kind = 'reverse-kl'\nfloor = 3",
            "`floor` should be finite and below 0, as a log-probability is, but is 3",
        ),
        (
            "kind = 'label-smoothing'\nsmoothing = 2",
            "`smoothing` should be from 0 to 1, but is 2",
        ),
        (
            "kind = 'learned-temperature'\nrange = 0",
            "`range` should be above 0, from 1e-6 to 1e9, but is 0",
        ),
        (
            "kind = 'bounded-regression'\nmargin = -1",
            "`margin` should be finite and not negative, but is -1",
        ),
        (
            "kind = 'attention-transfer'\npower = 0",
            "`power` should be from 1 to 64, but is 0",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_loss_that_needs_labels_warms_up() {
    let warm_up = "{ kind = 'linear', from = 0, to = 1, epochs = 20 }";
    let decoupled = loss(&format!("kind = 'dkd'\nbeta = 2.0\nweight = {warm_up}")).unwrap();

    let text = decoupled.objective.to_string();
    assert!(text.contains("beta: 2"), "{text}");
    assert!(text.contains("epochs: 20"), "{text}");
}

#[test]
fn errors_say_what_to_write_instead() {
    assert!(
        error("weight = 1")
            .contains("`kind` is missing: it should be one of cross-entropy, soft-target")
    );
    assert!(error("kind = 'soft-targt'").contains("did you mean `soft-target`?"));
    assert!(error("kind = 'kd'\ntemperatur = 2").contains("did you mean `temperature`?"));
    assert!(
        error("kind = 'kd'\ntemperature = 0")
            .contains("`temperature` should be above 0, from 1e-6 to 1e9, but is 0")
    );
    assert!(
        error("kind = 'kd'\nweight = 'much'").contains("`weight` should be a number or a table")
    );
    assert!(error("kind = 'hard'\ntemperature = 2").contains("unknown key `temperature`"));
}

#[test]
fn parameters_of_relations_are_sized_for_both_networks() {
    let text = |table: &str| loss(table).unwrap().objective.to_string();

    let embedded = text("kind = 'cc'\nembedding = 16");
    assert!(
        embedded.contains("Embeddings {student: 8, teacher: 16, features: 16,"),
        "{embedded}"
    );
    assert!(!text("kind = 'cc'").contains("Embeddings"));
    assert!(text("kind = 'cc-adjacent'").contains("features: 128"));
    assert!(!text("kind = 'cc-adjacent'\nembedding = false").contains("Embeddings"));
    assert!(text("kind = 'ickd'").contains("ChannelEmbedding {student: 8, teacher: 16,"));
    assert!(
        error("kind = 'cc'\nembedding = 0").contains("`embedding` should be a number of features")
    );
}

#[test]
fn networks_that_pool_take_class_attention() {
    let context = |student: &str| {
        let samples = vec![(0, Some(0))];
        loss_context(for_digits(student), for_digits("convnet-8"), 4, samples)
    };
    let table: Table = "kind = 'cat-kd'".parse().unwrap();

    assert!(Loss::new(&table, &context("resnet8")).is_ok());
    let error = Loss::new(&table, &context("mlp-8")).err().unwrap();
    let error = format!("{error:#}");
    assert!(
        error.contains("the student exposes no tap `class-maps`"),
        "{error}"
    );
}

#[test]
fn a_misspelled_key_is_refused_with_all_that_there_are() {
    assert_eq!(
        error("kind = 'hint'\nadaptor = 'linear'"),
        "in the loss `hint` (FitNets): unknown key `adaptor`, did you mean `adapter`?; \
         the known ones are normalize, reduction, kind, name, weight, views, clip, pairing, pairs, \
         student, teacher, adapter, norm, activation, resize"
    );
    let error = error("kind = 'at'\nteachr = 'layer1'");
    assert!(error.contains("did you mean `teacher`?"), "{error}");
}

#[test]
fn the_snippets_of_the_book_are_valid() {
    let pages = ["response", "feature", "relation"]
        .into_iter()
        .flat_map(|kind| {
            let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src");
            fs::read_dir(Path::new(root).join(kind)).unwrap()
        });
    let mut described = BTreeSet::new();
    for page in pages {
        let page = page.unwrap().path();
        let text = fs::read_to_string(&page).unwrap();
        for snippet in text.split("```toml\n").skip(1) {
            let snippet = snippet.split("```").next().unwrap();
            let tables: Table = snippet.parse().unwrap();
            let losses = tables.get("loss").and_then(Value::as_array);
            for table in losses.into_iter().flatten() {
                let table = table.as_table().unwrap();
                if let Err(error) = loss_between_any(table) {
                    panic!("{}: {error:#}", page.display());
                }
                described.insert(table["kind"].as_str().unwrap().to_string());
            }
        }
    }
    for loss in catalog().filter(|loss| loss.name != CrossEntropyObjective::TERM) {
        let found = described.iter().any(|kind| loss.has_name(kind));
        assert!(found, "the book has no snippet for `{}`", loss.name);
    }
}
