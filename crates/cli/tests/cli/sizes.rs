//! Sizes that no machine holds are refused, not allocated.

use crate::common::*;
use std::process::Output;

fn inspect(model: &str, more: &[&str]) -> Output {
    let arguments: Vec<_> = ["inspect", model].iter().chain(more).copied().collect();
    program(&arguments).output().unwrap()
}

/// The error of a program that refuses in a line or some.
fn refused(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in ["panicked", "overflow", "assertion", "memory allocation"] {
        assert!(!error.contains(word), "{error}");
    }
    assert!(error.chars().count() < 4500, "{error}");
    error
}

#[test]
fn networks_that_no_machine_holds_are_refused_with_an_estimate() {
    for (model, input, message) in [
        ("resnet20", "3x100000x100000", "supports sizes up to 65536"),
        ("resnet20", "3x60000x60000", "it needs about"),
        ("vit-65536-100-1", "3x60000x60000", "it needs about"),
        (
            "mlp-65536-65536-65536-65536-65536-65536-65536-65536-65536",
            "3x4096x4096",
            "it needs about",
        ),
        (
            "mlp-16",
            "18446744073709551615x2x2",
            "supports sizes up to 65536",
        ),
        ("mlp-16", "0x2x2", "is too small"),
        (
            "mlp-0",
            "1x2x2",
            "a width should be from 1 to 65536, but is 0",
        ),
        (
            "convnet-8-0",
            "1x8x8",
            "a width should be from 1 to 65536, but is 0",
        ),
        ("resnet9", "1x8x8", "should be 6n + 2 up to 10000, but is 9"),
        (
            "wrn-16-1000000",
            "1x8x8",
            "a width should be from 1 to 65536",
        ),
        ("transformer-64-100-64", "60000of10", "it needs about"),
        (
            "transformer-65536-1000-1",
            "2of10",
            "a width should be from 1 to 65536, but is 262144",
        ),
        (
            "bert-tiny",
            "16of100000000",
            "the vocabulary of a text network should be from 1 to 16777216",
        ),
        ("bert-tiny", "0of10", "should be from 1 to 65536, but is 0"),
        (
            "bert-tiny",
            "3x32x32",
            "the network takes tokens, but the data is images of 3x32x32",
        ),
        (
            "vit-16-2-0",
            "1x8x8",
            "should be a divisor of the 16 features",
        ),
    ] {
        let error = refused(&inspect(model, &["--input", input]));
        assert!(error.contains(message), "{model} {input}: {error}");
    }
    for classes in ["0", "1000000000"] {
        let error = refused(&inspect(
            "mlp-8",
            &["--input", "1x8x8", "--classes", classes],
        ));
        assert!(
            error.contains("the number of classes should be from 1 to 65536"),
            "{error}"
        );
    }
}

#[test]
fn recipes_that_no_machine_holds_are_refused_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (change, key) in [
        (
            "student.training.batch_size=1000000000",
            "`student.training.batch_size`",
        ),
        (
            "student.training.epochs=1000000000000",
            "`student.training.epochs`",
        ),
        (
            "teacher.model=mlp-65536-65536-65536-65536-65536-65536-65536-65536-65536",
            "`teacher.model`",
        ),
        ("loss.0.views=1000000000", "`loss.0.views`"),
        (
            "loss=[{ kind = 'crd', negatives = 1000000000 }]",
            "`loss.0.negatives`",
        ),
        (
            "loss=[{ kind = 'crd', embedding = 1000000000 }]",
            "`loss.0.embedding`",
        ),
        (
            "loss=[{ kind = 'relational-representation', queue = 1000000000 }]",
            "`loss.0.queue`",
        ),
        (
            "loss=[{ kind = 'dark-rank', power = 1e300 }]",
            "`loss.0.power`",
        ),
        (
            "loss=[{ kind = 'proposal-classification', background = 10 }]",
            "`loss.0.background` should be the index of a class, from 0 to 9, but is 10",
        ),
        (
            "loss=[{ kind = 'self-attention-relations', relation_heads = 1000000000 }]",
            "`loss.0.",
        ),
        ("data.workers=1000000000", "`data.workers`"),
        (
            "data.augmentation={ crop = 1000000000 }",
            "data.augmentation",
        ),
    ] {
        let output = run(&out, &[change], &[]);
        let error = refused(&output);
        assert!(error.contains(key), "{change}: {error}");
    }
    let output = run(&out, &SHORT, &["--seed", "18446744073709551615"]);
    let error = refused(&output);
    assert!(
        error.contains("seeds") && error.contains("9223372036854775807"),
        "{error}"
    );
    assert!(!out.exists());
}

#[test]
fn prototypes_fit_the_student_and_too_many_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let recipe = |head: &str| {
        let text = format!(
            "name = 'views'\ndata = {{ name = 'digits' }}\n[student]\nmodel = 'convnet-4-8'\n\
             training = {{ epochs = 1 }}\n[strategy]\nkind = 'dino'\n{head}"
        );
        std::fs::write(&path, text).unwrap();
        let out = folder.path().join("out").display().to_string();
        program(&["run", &path.display().to_string(), "--out", &out])
            .output()
            .unwrap()
    };
    for (head, key) in [
        ("head = { d_output = 0 }", "`strategy.head.d_output`"),
        (
            "head = { d_output = 1000000000 }",
            "`strategy.head.d_output`",
        ),
        (
            "head = { d_hidden = 65536, d_bottleneck = 65536 }",
            "`strategy.head.",
        ),
        ("views = 1000000000", "`strategy.views`"),
    ] {
        let error = refused(&recipe(head));
        assert!(error.contains(key), "{head}: {error}");
    }
    // With the defaults of the authors for a network of 21 million parameters, this takes minutes.
    assert_success(&recipe("views = 2\nepochs = 1"));
}
