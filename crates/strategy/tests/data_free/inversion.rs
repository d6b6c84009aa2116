//! Images that are made of a trained teacher, without data.

use crate::common::values;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use burn_distill_architecture::{ConvNet, ConvNetConfig};
use burn_distill_core::{initialize, tensors};
use burn_distill_strategy::{Competition, DeepInversion, DeepInversionConfig};

const IMAGE: [usize; 3] = [1, 8, 8];
const CLASSES: [usize; 6] = [0, 1, 2, 0, 1, 2];

/// Returns irregular numbers that are the same in every run.
fn waves<const D: usize>(like: &Param<Tensor<D>>, scale: f64, step: f64) -> Param<Tensor<D>> {
    let shape = like.val().dims();
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|i| scale * (step * i as f64 + 0.3).sin())
        .collect();
    let values = Tensor::<1>::from_data(values.as_slice(), &Device::default());
    Param::from_tensor(values.reshape(shape))
}

fn network(widths: [usize; 2]) -> ConvNet {
    let device = Device::default();
    let mut network = initialize(ConvNetConfig::new(widths.into(), IMAGE, 3).init(&device));
    let [first, second] = [0, 1].map(|index| network.layer[index].conv.weight.clone());
    network.layer[0].conv.weight = waves(&first, 0.8, 1.7);
    network.layer[1].conv.weight = waves(&second, 0.4, 2.3);
    network.fc.weight = waves(&network.fc.weight, 6.0, 1.1);
    network.fc.bias = None;
    network
}

fn config() -> DeepInversionConfig {
    DeepInversionConfig::new()
        .with_iterations(100)
        .with_learning_rate(0.1)
        .with_statistics(1.0)
        .with_jitter(1)
}

fn classes() -> Tensor<1, Int> {
    let classes = CLASSES.map(|class| class as i64);
    Tensor::from_data(classes, &Device::default())
}

fn terms(inversion: &DeepInversion<ConvNet>, images: &Tensor<4>) -> Vec<(String, f64)> {
    let terms = inversion.loss(images.clone(), classes());
    let terms = terms.into_iter();
    terms
        .map(|term| (term.name, term.value.into_scalar()))
        .collect()
}

#[test]
fn images_get_the_classes_and_the_statistics_of_the_teacher() {
    let teacher = network([5, 6]);
    let before = tensors(&teacher.valid());
    let inversion = config().init(teacher.clone());

    let images = inversion.synthesize(&CLASSES, IMAGE, &Device::default());

    let noise = config().with_iterations(1).init(teacher);
    let noise = noise.synthesize(&CLASSES, IMAGE, &Device::default());
    let (made, random) = (terms(&inversion, &images), terms(&inversion, &noise));
    assert_eq!(made.len(), 3);
    for ((name, made), (_, random)) in made.iter().zip(&random).take(2) {
        assert!(*made < 0.75 * random, "{name}: {made} {random}");
    }
    assert_eq!(tensors(&inversion.teacher().valid()), before);
}

#[test]
fn images_depend_on_the_seed_and_the_classes_only() {
    let teacher = network([5, 6]);
    let device = Device::default();
    let made = |seed: u64, classes: &[usize]| {
        let config = config().with_iterations(4).with_seed(seed);
        values(
            config
                .init(teacher.clone())
                .synthesize(classes, IMAGE, &device),
        )
    };

    let first = made(1, &CLASSES);

    device.seed(9);
    assert_eq!(made(1, &CLASSES), first);
    assert_ne!(made(2, &CLASSES), first);
    assert_ne!(made(1, &[2, 2, 2, 2, 2, 2]), first);
}

#[test]
fn the_images_with_the_lowest_loss_are_returned() {
    let teacher = network([5, 6]);
    let device = Device::default();
    // A step of this rate is far too long, so that the first images stay the best.
    let config = DeepInversionConfig::new()
        .with_jitter(0)
        .with_learning_rate(50.0);
    let made = |iterations: usize| {
        let config = config.clone().with_iterations(iterations);
        values(
            config
                .init(teacher.clone())
                .synthesize(&CLASSES, IMAGE, &device),
        )
    };

    assert_eq!(made(5), made(1));
}

#[test]
fn a_competition_makes_images_on_which_the_student_disagrees() {
    let (teacher, student) = (network([5, 6]), network([4, 4]));
    let untouched = tensors(&student.valid());
    for divergence in [Competition::JensenShannon, Competition::Reversed] {
        let of = |weight: f64| {
            let config = config()
                .with_divergence(divergence)
                .with_competition(weight);
            let inversion = config.init(teacher.clone()).with_student(student.clone());
            let images = inversion.synthesize(&CLASSES, IMAGE, &Device::default());
            let terms = terms(&inversion, &images);
            assert_eq!(terms[3].0, "competition");
            terms[3].1
        };

        let (without, with) = (of(0.0), of(100.0));

        assert!(with < without, "{divergence:?}: {with} {without}");
    }
    assert_eq!(tensors(&student.valid()), untouched);
}

#[test]
#[should_panic(expected = "`iterations` should be from 1 to 1000000000, but is 0")]
fn no_iterations_are_refused() {
    DeepInversionConfig::new()
        .with_iterations(0)
        .init(network([2, 2]));
}
