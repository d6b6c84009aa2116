use crate::common::{embedding, precision, scaled_each};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::Clock;
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_relation::*;

fn rows(count: usize, features: usize, fill: impl Fn(usize) -> f64, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..count * features).map(|n| fill(n) as f32).collect();
    Tensor::from_data(TensorData::new(values, [count, features]), device)
}

fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt();
    rows.div(norm)
}

/// Creates a loss with given banks, for given embeddings.
fn loss(student_bank: Tensor<2>, teacher_bank: Tensor<2>, negatives: usize) -> ContrastiveLoss {
    let [samples, embedding] = student_bank.dims();
    let population = SampleIndex::new((0..samples).map(|id| (id, None)));
    let loss = ContrastiveLossConfig::new()
        .with_embedding(embedding)
        .with_negatives(negatives)
        .init([1, 1], population, &student_bank.device());
    loss.student_bank.set(student_bank);
    loss.teacher_bank.set(teacher_bank);
    loss
}

fn own(places: &[[i32; 4]], device: &Device) -> Contrast {
    let flat: Vec<_> = places.iter().flatten().copied().collect();
    Contrast::Own(Tensor::<2, Int>::from_data(
        TensorData::new(flat, [places.len(), 4]),
        device,
    ))
}

fn scalar(tensor: Tensor<1>) -> f64 {
    tensor.into_scalar::<f64>()
}

fn norm(tensor: Tensor<2>) -> f64 {
    scalar(tensor.square().sum().sqrt())
}

fn assert_close(actual: f64, expected: f64) {
    let error = (actual - expected).abs() / expected.abs();
    assert!(error < 2e-5, "{actual} is not {expected}");
}

/// `ContrastMemory` and `ContrastLoss` of RepDistiller, run in double precision.
#[test]
fn matches_the_code_of_the_authors() {
    let device = Device::default().autodiff();
    // The teacher's bank scores the student's embeddings, and the other way round.
    let teacher_bank = unit(rows(10, 4, wave(1.0, 0.53, 0.9), &device));
    let student_bank = unit(rows(10, 4, wave(1.0, 0.77, 0.2), &device));
    let loss = loss(student_bank, teacher_bank, 3);
    let student = unit(rows(2, 4, wave(1.0, 1.3, 0.4), &device))
        .detach()
        .require_grad();
    let teacher = unit(rows(2, 4, wave(1.0, 0.9, 1.1), &device))
        .detach()
        .require_grad();

    let contrast = own(&[[1, 4, 7, 9], [6, 0, 2, 8]], &device);
    let value = loss.forward_embedded(student.clone(), teacher.clone(), &[1, 6], &contrast);
    let grads = value.clone().backward();

    assert_close(scalar(loss.student_constant.get()), 1938.72849);
    assert_close(scalar(loss.teacher_constant.get()), 1396.99387);
    assert_close(scalar(value), 9.50934666);
    assert_close(norm(student.grad(&grads).unwrap()), 10.0226123);
    assert_close(norm(teacher.grad(&grads).unwrap()), 7.19500047);
    let memory = loss.student_bank.get().slice([1..2, 0..4]);
    memory.into_data().assert_approx_eq::<f32>(
        &TensorData::from([[0.141040348, 0.117970944, -0.469800963, -0.863410408]]),
        Tolerance::relative(1e-4),
    );
}

#[test]
fn matches_the_code_of_the_authors_with_few_features() {
    let device = Device::default().autodiff();
    let student_bank = rows(6, 2, wave(1.0, 0.8, QUARTER), &device);
    let teacher_bank = rows(6, 2, wave(1.0, 0.5, 0.2), &device);
    let loss = loss(student_bank, teacher_bank, 2);
    let embedded = |values: [[f32; 2]; 2]| {
        unit(Tensor::<2>::from_data(values, &device))
            .detach()
            .require_grad()
    };
    let student = embedded([[1.0, 0.3], [-0.4, 1.0]]);
    let teacher = embedded([[0.5, 1.0], [-1.0, 0.2]]);

    let places = Tensor::<2, Int>::from_data([[1, 0, 3], [4, 2, 5]], &device);
    let contrast = Contrast::Own(places);
    let value = loss.forward_embedded(student.clone(), teacher, &[1, 4], &contrast);
    let grads = value.clone().backward();

    assert_close(scalar(loss.student_constant.get()), 20258245.923);
    assert_close(scalar(loss.teacher_constant.get()), 4597876.5186);
    assert_close(scalar(value), 12.325948800 + 25.895178238);
    student
        .grad(&grads)
        .unwrap()
        .into_data()
        .assert_approx_eq::<f32>(
            &TensorData::from([[-1.664324454, -1.770699322], [6.225544560, 7.142310735]]),
            Tolerance::relative(1e-4),
        );
    for (bank, place, expected) in [
        (&loss.student_bank, 1, [0.899889207, -0.436118580]),
        (&loss.student_bank, 4, [0.375060495, 0.927000338]),
        (&loss.teacher_bank, 1, [0.590282901, 0.807196443]),
        (&loss.teacher_bank, 4, [-0.917337574, -0.398110255]),
    ] {
        let memory = bank.get().slice([place..place + 1, 0..2]);
        let expected = TensorData::from([expected]);
        memory
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::relative(1e-4));
    }
}

/// The formula as written, on rows that are gathered before they are multiplied.
#[test]
fn selecting_scores_equals_scoring_selected_rows() {
    let device = Device::default();
    let bank = unit(rows(10, 4, wave(1.0, 0.53, 0.9), &device));
    let embedded = unit(rows(2, 4, wave(1.0, 1.3, 0.4), &device));
    let loss = loss(bank.clone(), bank.clone(), 3);
    let places = [[1, 4, 7, 9], [6, 0, 2, 8]];

    let value = loss.forward_embedded(
        embedded.clone(),
        embedded.clone(),
        &[1, 6],
        &own(&places, &device),
    );

    let (mut expected, c) = (0.0, 0.3);
    let constant = scalar(loss.student_constant.get());
    for (row, places) in places.iter().enumerate() {
        for (index, &place) in places.iter().enumerate() {
            let place = place as usize;
            let memory = bank.clone().slice([place..place + 1, 0..4]);
            let own = embedded.clone().slice([row..row + 1, 0..4]);
            let p = (scalar(own.mul(memory).sum()) / 0.07).exp() / constant;
            let share = if index == 0 { p } else { c } / (p + c + 1e-7);
            expected -= share.ln();
        }
    }
    // Student and teacher are the same here.
    assert_close(scalar(value), 2.0 * expected / 2.0);
}

#[test]
fn shared_negatives_are_the_same_for_all_samples() {
    let device = Device::default();
    let student_bank = unit(rows(10, 4, wave(1.0, 0.77, 0.2), &device));
    let teacher_bank = unit(rows(10, 4, wave(1.0, 0.53, 0.9), &device));
    let embedded = unit(rows(2, 4, wave(1.0, 1.3, 0.4), &device));
    let values = [
        own(&[[1, 4, 7, 9], [6, 4, 7, 9]], &device),
        Contrast::Shared {
            positives: Tensor::from_data([1, 6], &device),
            negatives: Tensor::from_data([4, 7, 9], &device),
            counts: Tensor::ones([2, 3], &device),
        },
    ]
    .map(|contrast| {
        let loss = loss(student_bank.clone(), teacher_bank.clone(), 3);
        scalar(loss.forward_embedded(embedded.clone(), embedded.clone(), &[1, 6], &contrast))
    });

    assert_close(values[0], values[1]);
}

/// Classes of six samples, two of each class; the first of them are those of a batch.
const IDS: [usize; 4] = [0, 3, 4, 1];

/// Creates a loss before its first batch, for features of these sizes.
fn fresh(
    config: &ContrastiveLossConfig,
    features: [usize; 2],
    bias: f64,
    (device, dtype): (&Device, DType),
) -> ContrastiveLoss {
    let population = SampleIndex::new((0..6).map(|id| (id, Some(id / 2))));
    let config = config.clone().with_embedding(4).with_temperature(0.7);
    let mut loss = config.init(features, population, device);
    let options = (device, dtype);
    loss.student_embedding = embedding([features[0], 4], [1.3, 0.2, bias], options);
    loss.teacher_embedding = embedding([features[1], 4], [0.9, 0.5, bias], options);
    let bank = |frequency, phase| unit(rows(6, 4, wave(1.0, frequency, phase), device)).cast(dtype);
    loss.student_bank.set(bank(0.77, 0.2));
    loss.teacher_bank.set(bank(0.53, 0.9));
    // Otherwise these would belong to the first batch and not be constant.
    for constant in [&loss.student_constant, &loss.teacher_constant] {
        constant.set(Tensor::full([1], 8.0, options));
    }
    loss
}

fn trial(config: ContrastiveLossConfig, bias: f64) -> Trial<2> {
    let name = format!("ContrastiveLoss, shared: {}", config.shared);
    Trial::new(
        name,
        [4, 3],
        move |student: Tensor<2>, teacher: Tensor<2>| {
            let ([batch_size, features], [_, teacher_features]) = (student.dims(), teacher.dims());
            let features = [features, teacher_features];
            let loss = fresh(
                &config,
                features,
                bias,
                (&student.device(), precision(&student)),
            );
            loss.forward(student, teacher, &IDS[..batch_size], Clock::start())
        },
    )
    .teacher_shape([4, 5])
    .skip(
        "perfect student",
        "the student is contrasted with memories, so none is perfect",
    )
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

// From crates/relation/scripts/memory.py. All samples that may be drawn are drawn, so the draw is
// known.
#[test]
fn the_negatives_of_a_sample_are_of_other_classes() {
    let all = ContrastiveLossConfig::new().with_negatives(4);
    trial(all, 0.0)
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 0.4, 0.3),
            6.267738585,
            0.272575301,
        )
        .invariant("the scale of each sample", scaled_each)
        .run();
}

#[test]
fn shared_negatives_of_the_same_class_do_not_count() {
    let all = ContrastiveLossConfig::new()
        .with_negatives(6)
        .with_shared(true);
    trial(all, 0.1)
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 0.4, 0.3),
            5.902467427,
            0.252401782,
        )
        .skip(
            "invariances",
            "the embedding has a bias, and the negatives of a sample depend on its place",
        )
        .run();
}

#[test]
fn a_negative_that_does_not_count_has_no_loss() {
    let device = Device::default();
    let value = |counts: [f32; 3], memory: f64| {
        let mut student_bank = unit(rows(10, 4, wave(1.0, 0.77, 0.2), &device));
        // Memory of sample 7.
        let other = unit(rows(1, 4, wave(1.0, memory, 0.4), &device));
        student_bank = student_bank.slice_assign([7..8, 0..4], other);
        let loss = loss(student_bank.clone(), student_bank, 3);
        for constant in [&loss.student_constant, &loss.teacher_constant] {
            constant.set(Tensor::full([1], 2000.0, &device));
        }
        let contrast = Contrast::Shared {
            positives: Tensor::from_data([1], &device),
            negatives: Tensor::from_data([4, 7, 9], &device),
            counts: Tensor::from_data([counts], &device),
        };
        let embedded = unit(rows(1, 4, wave(1.0, 1.3, 0.4), &device));
        scalar(loss.forward_embedded(embedded.clone(), embedded, &[1], &contrast))
    };

    assert_eq!(value([1.0, 0.0, 1.0], 0.5), value([1.0, 0.0, 1.0], 1.1));
    assert!((value([1.0, 1.0, 1.0], 0.5) - value([1.0, 1.0, 1.0], 1.1)).abs() > 1e-3);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ContrastiveLossConfig::new());
    assert_shareable::<ContrastiveLoss>();
    assert_shareable::<ContrastiveTerm>();
}
