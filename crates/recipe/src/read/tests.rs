use super::*;
use std::path::PathBuf;

const RECIPE: &str = r#"
    name = "test"
    [data]
    name = "digits"
    [teacher]
    model = "mlp-16"
    training = { epochs = 2 }
    [student]
    model = "mlp-8"
    training = { epochs = 3, learning_rate = { base = 0.1 } }
    [[loss]]
    kind = "soft-target"
"#;

/// Returns the recipe of a file of that text with these changes.
pub fn recipe(text: &str, overridden: &[&str]) -> Result<Recipe> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    fs::write(&path, text).unwrap();
    let overridden: Vec<_> = overridden.iter().map(|text| text.to_string()).collect();
    read(&path, &overridden, &Registry::standard())
}

/// Why it is refused.
pub fn error(text: &str, overridden: &[&str]) -> String {
    format!("{:#}", recipe(text, overridden).unwrap_err())
}

#[test]
fn a_missing_table_is_not_looked_for_in_another_one() {
    let missing = |text: &str| {
        let error = error(text, &[]);
        error.split_once(".toml: ").unwrap().1.to_string()
    };
    let no_student = "name = 'test'\n[data]\nname = 'digits'";
    assert_eq!(missing(no_student), "`student` is missing");
    let no_data = "name = 'test'\n[student]\nmodel = 'mlp-4'\ntraining = { epochs = 1 }";
    assert_eq!(missing(no_data), "`data` is missing");
    let no_model = "name = 'test'\n[data]\nname = 'digits'\n[student]\ntraining = { epochs = 1 }";
    assert!(missing(no_model).ends_with("`student.model` is missing"));
}

#[test]
fn a_short_recipe_has_defaults() {
    let recipe = recipe(RECIPE, &[]).unwrap();

    assert_eq!(recipe.seeds, [0]);
    assert_eq!(recipe.student.training.batch_size, 64);
    assert_eq!(recipe.student.training.learning_rate.base_lr, 0.1);
}

#[test]
fn a_recipe_is_written_as_it_is_read() {
    let changes = [
        "data.labels_per_class=3",
        "evaluation={ knn = 5, tap = 'hidden.1' }",
    ];
    let original = recipe(RECIPE, &changes).unwrap();

    let text = toml::to_string(&original).unwrap();
    assert_eq!(recipe(&text, &[]).unwrap(), original);
}

#[test]
fn a_misspelled_field_is_refused_with_its_line_and_the_nearest() {
    let error = error(&RECIPE.replace("epochs = 3", "epoch = 3"), &[]);

    assert!(error.contains("line 10"), "{error}");
    assert!(
        error.contains("unknown key `student.training.epoch`"),
        "{error}"
    );
    assert!(error.contains("did you mean `epochs`?"), "{error}");
}

#[test]
fn a_misspelled_change_is_refused_with_the_nearest() {
    let error = error(RECIPE, &["student.training.epoch=1"]);

    assert!(error.contains("after the changes of --set"), "{error}");
    assert!(error.contains("did you mean `epochs`?"), "{error}");
}

#[test]
fn nothing_may_need_validation_samples_that_are_not_there() {
    let error = |changes: &[&str]| {
        let changes = [&["data.validation=0"], changes].concat();
        let found = recipe(RECIPE, &changes).err();
        found.map(|error| format!("{error:#}")).unwrap_or_default()
    };
    assert_eq!(error(&[]), "");
    for place in ["teacher.training", "student.training"] {
        let error = error(&[&format!("{place}.patience=2")]);
        let expected = format!(
            "`{place}.patience` needs validation samples, but `data.validation` is 0: leave one of \
             them out"
        );
        assert!(error.contains(&expected), "{error}");
    }
    let text = "name = 'test'\ndata = { name = 'digits', validation = 0 }\ntasks = { count = 2 }\n\
                student = { model = 'mlp-8', training = { epochs = 1 } }\n\
                strategy = { kind = 'fine-tuning' }";
    let tasks = format!("{:#}", recipe(text, &[]).unwrap_err());
    assert!(
        tasks.contains("[tasks] needs validation samples"),
        "{tasks}"
    );
    let error = error(&["route.by=hardness", "route.ratio=2", "route.anchors=2"]);
    assert!(
        error.contains("a route by \"hardness\" needs validation"),
        "{error}"
    );
}

#[test]
fn values_out_of_range_are_named() {
    for (change, message) in [
        (
            "student.training.epochs=0",
            "`student.training.epochs` should be from 1 to 1000000, but is 0",
        ),
        (
            "data.validation=1.5",
            "`data.validation` should be at least 0 and below 1, but is 1.5",
        ),
        (
            "data.without_class=10",
            "`data.without_class` should be from 0 to 9, but is 10",
        ),
        ("seeds=[]", "`seeds` is empty"),
        ("seeds=[1, 1]", "`seeds` contains a seed twice"),
        ("name='../x'", "as it names files, but is `../x`"),
        ("name='x.'", "`name` should be of up to 200 letters"),
        (
            "teacher.training.learning_rate.base=-1",
            "`teacher.training.learning_rate.base` should be above 0 and at most 1000, but is -1",
        ),
        (
            "student.training.optimizer={ kind = 'sgd', momentum = -0.9 }",
            "`student.training.optimizer.momentum` should be from 0 and below 1, but is -0.9",
        ),
        (
            "student.training.optimizer={ kind = 'sgd', momentum = nan }",
            "`student.training.optimizer.momentum` should be a finite number, but is nan",
        ),
        (
            "teacher.training.optimizer={ kind = 'sgd', momentum = 1 }",
            "`teacher.training.optimizer.momentum` should be from 0 and below 1, but is 1",
        ),
        (
            "student.training.optimizer={ kind = 'sgd', momentum = 0, nesterov = true }",
            "`student.training.optimizer.nesterov` should be false where `momentum` is 0",
        ),
        (
            "student.training.optimizer={ kind = 'sgd', weight_decay = -1e-4 }",
            "`student.training.optimizer.weight_decay` should be from 0 to 1000, but is -0.0001",
        ),
        (
            "student.training.optimizer={ kind = 'adam', weight_decay = nan }",
            "`student.training.optimizer.weight_decay` should be a finite number, but is nan",
        ),
        (
            "student.training.optimizer={ kind = 'adam-w', weight_decay = inf }",
            "`student.training.optimizer.weight_decay` should be a finite number, but is inf",
        ),
        (
            "student.training.optimizer={ kind = 'adam-w', clip_norm = 0 }",
            "`student.training.optimizer.clip_norm` should be finite and above 0, but is 0",
        ),
        (
            "teacher.training.optimizer={ kind = 'sgd', clip_norm = nan }",
            "`teacher.training.optimizer.clip_norm` should be a finite number, but is nan",
        ),
        (
            "student.training.optimizer={ kind = 'adam', clipnorm = 3 }",
            "did you mean `clip_norm`?",
        ),
        (
            "data.augmentation={ strong = { kind = 'rand-augment', operations = 1000000000 } }",
            "`data.augmentation.strong.operations` should be from 1 to 64, but is 1000000000",
        ),
        (
            "data.augmentation={ strong = { kind = 'fix-match', operations = \
             9223372036854775807 } }",
            "`data.augmentation.strong.operations` should be from 1 to 64, but is 9223372036854775807",
        ),
        (
            "data.augmentation={ strong = { kind = 'rand-augment', magnitude = 31 } }",
            "`data.augmentation.strong.magnitude` should be from 0 to 30, but is 31",
        ),
        (
            "data.augmentation={ strong = { kind = 'rand-augment', cutout = 9 } }",
            "`data.augmentation.strong.cutout` should be from 1 to 8, but is 9",
        ),
        (
            "data.augmentation={ crop = 9 }",
            "`data.augmentation.crop` should be from 0 to 8, but is 9",
        ),
        (
            "student.training.learning_rate.shape={ kind = 'cosine', foo = 1 }",
            "unknown key `student.training.learning_rate.shape.foo`",
        ),
        (
            "teacher.training.learning_rate.shape={ kind = 'constant', milestnes = [1] }",
            "unknown key `teacher.training.learning_rate.shape.milestnes`",
        ),
        (
            "student.training.learning_rate.shape={ kind = 'cosine', milestones = true }",
            "unknown key `student.training.learning_rate.shape.milestones`",
        ),
        (
            "strategy={ kind = 'offline', foo = 1 }",
            "unknown key `strategy.foo`",
        ),
        (
            "student.training.learning_rate.base=1e-300",
            "`student.training.learning_rate.base` should be above 0 also in single precision, \
             but is 1e-300",
        ),
        (
            "evaluation={ knn = 0 }",
            "`evaluation.knn` should be at least 1, but is 0",
        ),
        (
            "evaluation={ probe = false }",
            "`evaluation` measures nothing: give it `knn`, a number of neighbors, or `probe = true`",
        ),
        ("evaluation={ kn = 3 }", "unknown key `evaluation.kn`"),
        (
            "teacher.weights=''",
            "`teacher.weights` should be the path of a file, but is empty",
        ),
        (
            "teacher.others=[{ model = 'mlp-4', weights = '' }]",
            "`teacher.others.0.weights` should be the path of a file, but is empty",
        ),
        (
            "teacher.keys={ a = 'b' }",
            "there are `keys` but no `weights`, to which they belong",
        ),
        (
            "teacher.classes=['cat']",
            "there are `classes` but no `weights`, to which they belong",
        ),
        (
            "teacher.others=[{ model = 'mlp-4', weights = 'a.pth', classes = [] }]",
            "`teacher.others.0.classes` should be a list of names, or the path of a file with a name \
             per line, but is empty",
        ),
        (
            "teacher={ model = 'mlp-4', weights = 'a.pth', training = { epochs = 1 }, keys = { '(' = 'b' } }",
            "`(` is not a regular expression: unclosed group",
        ),
        (
            "teacher.classes=3",
            "`teacher.classes` should be a list of names, or the path of a file with a name per line, \
             but is 3",
        ),
        (
            "student.frozen=['']",
            "`student.frozen` should be names of parts, but is an empty name",
        ),
        (
            "student.from_teacher=['a', 'a']",
            "`student.from_teacher` names `a` twice",
        ),
        ("student.model=resnt20", "did you mean `resnet20`?"),
        ("data.name=digit", "did you mean `digits`?"),
        ("loss.0.kind=sft-target", "did you mean `soft-target`?"),
    ] {
        let error = error(RECIPE, &[change]);
        assert!(error.contains(message), "{change}: {error}");
    }
}

#[test]
fn an_optimizer_may_go_without_momentum_and_decay() {
    let plain = "{ kind = 'sgd', momentum = 0, weight_decay = 0 }";
    recipe(RECIPE, &[&format!("student.training.optimizer={plain}")]).unwrap();
}

#[test]
fn two_terms_of_one_name_are_refused() {
    let twice = format!("{RECIPE}\n[[loss]]\nkind = 'kd'");

    assert!(error(&twice, &[]).contains(
        "the losses `loss.0` and `loss.1` are both named `soft-target`: give one of them a `name`"
    ));
    let hard = "loss=[{ kind = 'hard' }, { kind = 'kd' }, { kind = 'ce', weight = 2 }]";
    assert!(error(RECIPE, &[hard]).contains(
        "the losses `loss.0` and `loss.2` are both named `cross-entropy`: leave one out, and give the other \
         the sum of their weights"
    ));
}

#[test]
fn losses_on_boxes_and_joints_are_not_for_class_logits() {
    for (kind, what) in [
        ("bounded-regression", "boxes"),
        ("heat-map", "maps of joints"),
    ] {
        let error = error(&RECIPE.replace("soft-target", kind), &[]);
        assert!(error.contains(&format!("the loss `{kind}`")), "{error}");
        let expected = format!("compares {what}, and the networks of recipes return class logits");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn one_term_bounds_those_that_are_clipped() {
    let clipped = RECIPE.replace("[[loss]]", "[[loss]]\nclip = true");

    assert!(error(&clipped, &[]).contains("every loss has a `clip`"));
    assert!(recipe(&clipped, &["loss.0.clip=false"]).is_ok());
    // A loss that is clipped by default is not clipped if no other loss bounds it.
    let changes = ["teacher.model=convnet-4-8", "student.model=convnet-4-8"];
    let alone = [&changes[..], &["loss=[{ kind = 'mhgd' }]"]].concat();
    assert!(recipe(RECIPE, &alone).is_ok());
    let asked = [&changes[..], &["loss=[{ kind = 'mhgd', clip = true }]"]].concat();
    assert!(error(RECIPE, &asked).contains("every loss has a `clip`"));
}

#[test]
fn paths_of_a_file_are_relative_to_it_and_those_of_changes_to_the_current_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let text = "[teacher]\nweights = 'own.bpk'\nothers = [{ model = 'mlp-4', weights = 'b.bpk' }]";
    fs::write(&path, RECIPE.replace("[teacher]", text)).unwrap();
    let weights = |changes: &[&str]| -> Vec<PathBuf> {
        let changes: Vec<_> = changes.iter().map(|text| text.to_string()).collect();
        let teachers = read(&path, &changes, &Registry::standard())
            .unwrap()
            .teachers()
            .into_iter();
        teachers.filter_map(|teacher| teacher.weights).collect()
    };
    let of_file = |name: &str| folder.path().canonicalize().unwrap().join(name);
    let current = |name: &str| std::env::current_dir().unwrap().join(name);

    assert_eq!(weights(&[]), [of_file("own.bpk"), of_file("b.bpk")]);
    assert_eq!(
        weights(&["teacher.weights=a.bpk"]),
        [current("a.bpk"), of_file("b.bpk")]
    );
    for others in [
        "teacher.others=[{ model = 'mlp-5', weights = 'src/c.bpk' }]",
        "teacher.others.0={ model = 'mlp-5', weights = './src/c.bpk' }",
        "teacher.others.0.weights=src/../src/c.bpk",
    ] {
        assert_eq!(weights(&[others])[1], current("src/c.bpk"), "{others}");
    }
}

#[test]
fn other_teachers_are_trained_like_the_first() {
    let two = "teacher.others=[{ model = 'mlp-4', weights = 'b.bpk' }, { model = 'mlp-5' }]";
    let original = recipe(RECIPE, &[two]).unwrap();

    let teachers = original.teachers();
    let models: Vec<_> = teachers.iter().map(|t| t.name()).collect();
    assert_eq!(models, ["mlp-16", "mlp-4", "mlp-5"]);
    assert!(teachers[1].weights.as_ref().unwrap().is_absolute());
    assert!(teachers.iter().all(|t| t.training == teachers[0].training));
    let text = toml::to_string(&original).unwrap();
    assert_eq!(recipe(&text, &[]).unwrap(), original);

    let zero = "teacher.others=[{ model = 'mlp-4', training = { epochs = 0 } }]";
    let error = error(RECIPE, &[zero]);
    assert!(
        error.contains("`teacher.others.0.training.epochs`"),
        "{error}"
    );
}

#[test]
fn keys_and_classes_of_given_weights_are_written_as_they_are_read() {
    let given = "teacher={ model = 'mlp-16', training = { epochs = 1 }, weights = 'a.pth', \
                 keys = { '^layer(\\d+)' = 'stage$1' }, classes = ['cat', 'dog'] }";
    let original = recipe(RECIPE, &[given, "student.frozen=['input']"]).unwrap();

    let teacher = &original.teachers()[0];
    assert_eq!(teacher.keys["^layer(\\d+)"], "stage$1");
    assert!(!teacher.classes.as_ref().unwrap().is_empty());
    let text = toml::to_string(&original).unwrap();
    assert_eq!(recipe(&text, &[]).unwrap(), original);
}

#[test]
fn a_loss_for_one_teacher_is_refused_with_several() {
    let two = "teacher.others=[{ model = 'mlp-16' }]";
    let error = error(RECIPE, &[two, "loss.0.kind=sim-kd"]);

    assert!(
        error.contains("possible with one trained teacher only: here there are 2 teachers"),
        "{error}"
    );
}

#[test]
fn a_quantization_has_defaults_and_is_written_as_it_is_read() {
    let quantized = "student.quantization={ bits = 2, except = ['bias'] }";
    let original = recipe(RECIPE, &[quantized]).unwrap();

    let config = &original.student.quantization.as_ref().unwrap().0;
    assert_eq!((config.bits, config.bucket_size), (2, None));
    assert_eq!(config.except, ["bias"]);
    let text = toml::to_string(&original).unwrap();
    assert_eq!(recipe(&text, &[]).unwrap(), original);
    let plain = toml::to_string(&recipe(RECIPE, &[]).unwrap()).unwrap();
    assert!(!plain.contains("quantization"), "{plain}");

    let learned = "student.quantization={ kind = 'learned-step', bucket_size = 8 }";
    let error = error(RECIPE, &[learned]);
    assert!(
        error.contains("`student.quantization.bucket_size` should be left out with a learned step"),
        "{error}"
    );
}

/// The recipes of the examples, with their files.
pub fn examples() -> Vec<(PathBuf, Recipe)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/recipes")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let recipe = read(&path, &[], &Registry::standard()).unwrap();
                found.push((path, recipe));
            }
        }
    }
    found
}

#[test]
fn the_recipes_of_the_examples_are_valid() {
    assert!(examples().len() >= 5);
}
