use super::*;
use crate::ResponseEntry;
use crate::dataset::ArrayDataset;
use crate::input::{InputKind, InputShape};
use crate::loss::NoOptions;
use crate::strategy::{Prepared, Strategy, StrategyContext};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use burn_distill::core::{Check, Response, TapRecorder};
use burn_distill::response::SoftTargetLossConfig;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Module, Debug)]
struct Net {
    linear: Linear,
}

impl Network for Net {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, _: &mut TapRecorder) -> Response {
        Response::Classes(self.linear.forward(input))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, self.linear.weight.dims()[0]], device)
    }
}

/// A network of three features, whatever the data.
fn net(_: &Table, task: &Task, device: &Device) -> Result<Net> {
    let linear = LinearConfig::new(3, task.classes).init(device);
    Ok(Net { linear })
}

fn own() -> Registry {
    Registry::standard().with_network("net", net)
}

fn init(name: &str, input: InputShape) -> Result<AnyNetwork> {
    let task = Task { input, classes: 2 };
    own().build(&name.into(), &task, 0, &Device::flex())
}

fn error(name: &str, input: InputShape) -> String {
    format!("{:#}", init(name, input).err().unwrap())
}

#[test]
fn a_network_is_for_inputs_of_its_kind_and_shape() {
    let network = init("net", InputShape::Vector([3])).unwrap();
    assert_eq!(
        network.example(4, &Device::flex()).kind(),
        InputKind::Vectors
    );
    assert!(init("mlp-4", InputShape::Image([1, 8, 8])).is_ok());

    assert_eq!(
        error("net", InputShape::Image([1, 8, 8])),
        "the network takes vectors, but the data is images of 1x8x8"
    );
    assert_eq!(
        error("net", InputShape::Vector([4])),
        "the network takes vectors of 3 features, but the data is vectors of 4 features"
    );
    assert_eq!(
        error("mlp-4", InputShape::Sequence([5, 2])),
        "the network takes images, but the data is sequences of 5 vectors of 2 features"
    );
}

#[test]
fn networks_of_the_toolkit_have_no_options() {
    let model = ModelRecipe {
        options: "width = 4".parse().unwrap(),
        ..ModelRecipe::from("mlp-4")
    };

    let error = own().network(&model).err().unwrap().to_string();
    assert_eq!(
        error,
        "`mlp-4` has no options, but is given `width`: leave it out"
    );
}

#[test]
fn names_that_are_unknown_are_answered_with_all_that_there_are() {
    let registry = own().with_dataset("points", |_| points());

    let network = registry.network(&"nett".into()).err().unwrap().to_string();
    assert!(
        network.starts_with(
            "no network named `nett`, did you mean `net`?; the known ones are mlp-<width>"
        ),
        "{network}"
    );
    assert!(network.ends_with(", net"), "{network}");
    let dataset = registry.dataset_name("point").unwrap_err().to_string();
    assert!(
        dataset.starts_with(
            "no data set named `point`, did you mean `points`?; the known ones are digits"
        ),
        "{dataset}"
    );
}

fn points() -> Result<ArrayDataset> {
    ArrayDataset::vectors("points", 1, vec![0.0, 1.0], vec![0, 1], ["a", "b"])
}

#[test]
fn a_data_set_of_a_program_is_loaded_once() {
    static LOADED: AtomicUsize = AtomicUsize::new(0);
    let registry = Registry::standard().with_dataset("points", |_| {
        LOADED.fetch_add(1, Ordering::Relaxed);
        points()
    });

    let spec = registry.clone().spec("points").unwrap();
    let loaded = registry.load("points").unwrap();
    assert_eq!((spec.samples, spec.task.classes), (2, 2));
    assert_eq!(loaded.train.shape(), spec.task.input);
    assert_eq!(LOADED.load(Ordering::Relaxed), 1);
}

#[test]
fn registries_are_equal_if_they_know_the_same_names() {
    assert_eq!(own(), own());
    assert_ne!(own(), Registry::standard());
}

#[test]
#[should_panic(expected = "There are two networks named `resnet20`")]
fn a_network_has_an_unused_name() {
    let _ = Registry::standard().with_network("resnet20", net);
}

#[test]
#[should_panic(expected = "There are two data sets named `fashion`")]
fn a_data_set_has_an_unused_name() {
    let _ = Registry::standard().with_dataset("fashion", |_| points());
}

#[test]
#[should_panic(expected = "There are two losses named `kd`")]
fn a_loss_has_unused_names() {
    let loss = LossEntry::logits("mine", NoOptions {}, |_| SoftTargetLossConfig::new().init());

    let _ = Registry::standard().with_loss(loss.with_aliases(&["kd"]));
}

#[test]
fn a_network_has_a_logit_for_each_class() {
    let many = |_: &Table, task: &Task, device: &Device| {
        let linear = LinearConfig::new(3, task.classes + 1).init(device);
        Ok(Net { linear })
    };
    let registry = Registry::standard().with_network("many", many);
    let task = Task {
        input: InputShape::Vector([3]),
        classes: 2,
    };

    let network = registry.build(&"many".into(), &task, 0, &Device::flex());

    let error = network.err().unwrap().to_string();
    assert!(
        error.contains("a logit for each class, but their shape is [2, 3]"),
        "{error}"
    );
}

#[test]
fn a_data_set_has_classes_and_a_test_set_that_is_like_the_training_set() {
    let set = |features: usize, classes: &[&str]| {
        let values = vec![0.0; 2 * features];
        ArrayDataset::vectors("set", features, values, vec![0, 0], classes.to_vec()).unwrap()
    };
    for (test, message) in [
        (
            set(3, &["a", "b"]),
            "the test set holds vectors of 3 features",
        ),
        (
            set(2, &["a", "b", "c"]),
            "of 3 classes, but the training set",
        ),
    ] {
        let registry = Registry::standard().with_dataset("set", move |_| {
            Ok(TrainTestData {
                train: AnyDataset::from(set(2, &["a", "b"])),
                validation: None,
                test: Some(AnyDataset::from(test.clone())),
            })
        });
        let error = registry.load("set").err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
    let one = Registry::standard().with_dataset("set", move |_| Ok(set(2, &["a"])));
    let error = one.spec("set").err().unwrap().to_string();
    assert!(error.contains("at least two classes"), "{error}");
}

/// A trained network of the student's model is the teacher.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Twin {}

impl Check for Twin {}

impl Strategy for Twin {
    fn description(&self) -> &'static str {
        "a twin teaches the student"
    }

    fn prepare(&self, _: &StrategyContext) -> Result<Prepared> {
        Ok(Prepared::TrainedTeacher)
    }
}

fn twin(name: &'static str, aliases: &'static [&'static str]) -> StrategyEntry {
    let catalog = CatalogEntry {
        aliases,
        ..CatalogEntry::custom(name)
    };
    StrategyEntry::new::<Twin>(catalog)
}

#[test]
fn a_strategy_of_a_program_is_read_and_listed_by_its_names() {
    let registry = Registry::standard().with_strategy(twin("twin", &["pair"]));
    let read = |kind: &str| {
        let text = format!(
            "name = 'test'\ndata = {{ name = 'digits' }}\nstrategy = {{ kind = '{kind}' }}\n\
             student = {{ model = 'mlp-4', training = {{ epochs = 1 }} }}"
        );
        let recipe = crate::Recipe::from_table(text.parse().unwrap(), &registry);
        recipe
            .map(|recipe| recipe.strategy.name())
            .map_err(|error| error.message().to_string())
    };

    assert_eq!(read("pair"), Ok("twin"));
    assert!(read("twins").unwrap_err().contains("`data-free`, `twin`"));
    let listed = registry.strategy_catalog();
    assert!(listed.iter().any(|entry| entry.name == "twin"));
    assert_ne!(registry, Registry::standard());
}

#[test]
#[should_panic(expected = "There are two strategies named `dml`")]
fn a_strategy_has_unused_names() {
    let _ = Registry::standard().with_strategy(twin("twin", &["dml"]));
}

#[test]
#[should_panic(expected = "There are two strategies named `curriculum`")]
fn a_strategy_is_not_named_like_the_tables_of_a_recipe() {
    let _ = Registry::standard().with_strategy(twin("curriculum", &[]));
}

#[test]
#[should_panic(expected = "A network is added with an empty name or alias")]
fn a_name_is_not_empty() {
    let _ = Registry::standard().with_network("", net);
}

#[test]
#[should_panic(expected = "A loss is added with an empty name or alias")]
fn an_alias_is_not_empty() {
    let loss = LossEntry::logits("mine", NoOptions {}, |_| SoftTargetLossConfig::new().init());

    let _ = Registry::standard().with_loss(loss.with_aliases(&[" "]));
}

#[test]
#[should_panic(expected = "The loss `mine` is added with the name `mine` twice: leave one out.")]
fn an_alias_is_given_once() {
    let loss = LossEntry::logits("mine", NoOptions {}, |_| SoftTargetLossConfig::new().init());

    let _ = Registry::standard().with_loss(loss.with_aliases(&["mine"]));
}

#[test]
fn values_of_a_data_set_are_finite() {
    for value in [f32::NAN, f32::INFINITY] {
        let values = vec![0.0, 1.0, 2.0, value];
        let set = ArrayDataset::vectors("points", 2, values, vec![0, 1], ["a", "b"]);

        let error = set.unwrap_err().to_string();
        let expected = format!("points: the data set holds the value {value} in sample 1");
        assert!(error.starts_with(&expected), "{error}");
    }
}
