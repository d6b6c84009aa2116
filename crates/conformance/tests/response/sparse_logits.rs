//! Sparse logits of a teacher.

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_core::testing::Trial;
use burn_distill_response::*;
use std::fmt::Display;

/// Runs the trial of a loss of the two likeliest classes of the teacher with a tail, whose value
/// and norm of the gradient are given.
fn of_two_classes<L>(loss: &L, tail: TailMode, (value, norm): (f64, f64))
where
    L: DistributionLoss + Display + Clone,
{
    let loss = loss.clone();
    Trial::of_rows(
        format!("{loss} of two classes, tail {tail:?}"),
        SHAPE,
        move |student, teacher, reduction| {
            let classes = teacher.dims()[1];
            let sparse = SparseLogits::top_k(teacher, classes.min(2), tail);
            loss.forward(student, sparse, reduction)
        },
    )
    .golden(student_wave(), teacher_wave(), value, norm)
    .invariant("a constant added to each row", shifted)
    .skip(
        "perfect student",
        "the tail of the teacher is not known, or taken as zero",
    )
    .run();
}

#[test]
fn soft_target_of_a_sparse_teacher() {
    let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();
    of_two_classes(&loss, TailMode::Tail, (1.80149803, 0.426096738));
    of_two_classes(&loss, TailMode::Zero, (2.17788895, 0.467485012));
    // At the temperature of the sparse logits a uniform tail is the same as one event.
    of_two_classes(&loss, TailMode::Uniform, (1.80149803, 0.426096738));
}

/// Runs the same trial with each assumption about the tail: zero, one event and uniform.
fn of_each_tail<L: DistributionLoss + Display + Clone>(loss: L, golden: [(f64, f64); 3]) {
    let tails = [TailMode::Zero, TailMode::Tail, TailMode::Uniform];
    for (tail, golden) in tails.into_iter().zip(golden) {
        of_two_classes(&loss, tail, golden);
    }
}

#[test]
fn sparse_teachers() {
    // By scripts/sparse.py, which merges the other three classes by hand.
    let reverse = ReverseKlLossConfig::new().with_temperature(2.0);
    let skew = SkewKlLossConfig::new().with_temperature(2.0);
    of_each_tail(
        SoftTargetLossConfig::new().with_temperature(2.0).init(),
        [
            (4.94513715, 0.71175112),
            (2.72294134, 0.548508236),
            (2.00345285, 0.465950117),
        ],
    );
    of_each_tail(
        SoftCrossEntropyLossConfig::new()
            .with_temperature(2.0)
            .init(),
        [
            (7.53508858, 0.71175112),
            (6.6434505, 0.548508236),
            (6.16361818, 0.465950117),
        ],
    );
    of_each_tail(
        reverse.with_floor(Some(-50.0)).init(),
        [
            (30.3977505, 2.92621875),
            (0.66231609, 0.107486075),
            (0.434225805, 0.0799122536),
        ],
    );
    of_each_tail(
        JensenShannonLossConfig::new().with_temperature(2.0).init(),
        [
            (0.320992523, 0.0340983829),
            (0.15197267, 0.024541603),
            (0.108149633, 0.0203602537),
        ],
    );
    of_each_tail(
        TotalVariationLossConfig::new().with_temperature(2.0).init(),
        [
            (0.619019188, 0.0584754795),
            (0.464128744, 0.0425235944),
            (0.390423905, 0.0425235944),
        ],
    );
    of_each_tail(
        skew.clone().init(),
        [
            (0.965579312, 0.11375653),
            (0.507831508, 0.0878154373),
            (0.370450544, 0.0749576723),
        ],
    );
    of_each_tail(
        skew.with_reverse(true).init(),
        [
            (1.16990657, 0.117483413),
            (0.501750427, 0.0792317434),
            (0.3447211, 0.0628756),
        ],
    );
}

/// Returns the rows of every loss between distributions with a teacher.
fn losses(sparse: impl Fn() -> TeacherLogits) -> Vec<(&'static str, Tensor<1>)> {
    fn of<L: DistributionLoss>(loss: L, sparse: TeacherLogits) -> (&'static str, Tensor<1>) {
        let student = student(&Device::default());
        (loss.name(), loss.forward_no_reduction(student, sparse))
    }
    vec![
        of(SoftTargetLossConfig::new().init(), sparse()),
        of(SoftCrossEntropyLossConfig::new().init(), sparse()),
        of(ReverseKlLossConfig::new().init(), sparse()),
        of(JensenShannonLossConfig::new().init(), sparse()),
        of(TotalVariationLossConfig::new().init(), sparse()),
        of(SkewKlLossConfig::new().init(), sparse()),
        of(SkewKlLossConfig::new().with_reverse(true).init(), sparse()),
    ]
}

fn assert_same(sparse: Vec<(&str, Tensor<1>)>, dense: Vec<(&str, Tensor<1>)>) {
    for ((name, sparse), (_, dense)) in sparse.into_iter().zip(dense) {
        let (sparse, dense) = (sparse.into_data(), dense.into_data());
        println!("{name}");
        sparse.assert_approx_eq::<f32>(&dense, Tolerance::rel_abs(1e-4, 1e-5));
    }
}

#[test]
fn sparse_logits_of_all_classes_equal_dense_ones() {
    let device = Device::default();
    for tail in [TailMode::Tail, TailMode::Uniform] {
        let sparse = losses(|| SparseLogits::top_k(teacher(&device), 5, tail).into());
        assert_same(sparse, losses(|| teacher(&device).into()));
    }
}

/// Returns the values and the gradient of every loss between distributions.
fn rows_and_gradients(
    logits: &Tensor<2>,
    sparse: impl Fn() -> TeacherLogits,
) -> Vec<(String, TensorData, TensorData)> {
    fn of<L: DistributionLoss>(
        loss: L,
        student: &Tensor<2>,
        sparse: TeacherLogits,
    ) -> (String, TensorData, TensorData) {
        let student = student.clone().require_grad();
        let rows = loss.forward_no_reduction(student.clone(), sparse);
        let grads = rows.clone().sum().backward();
        let gradient = student.grad(&grads).unwrap().into_data();
        (format!("{loss:?}"), rows.into_data(), gradient)
    }
    let reverse = ReverseKlLossConfig::new();
    let floored = reverse.clone().with_floor(Some(-50.0)).init();
    vec![
        of(SoftTargetLossConfig::new().init(), logits, sparse()),
        of(SoftCrossEntropyLossConfig::new().init(), logits, sparse()),
        of(reverse.init(), logits, sparse()),
        of(floored, logits, sparse()),
        of(JensenShannonLossConfig::new().init(), logits, sparse()),
        of(TotalVariationLossConfig::new().init(), logits, sparse()),
        of(SkewKlLossConfig::new().init(), logits, sparse()),
        of(
            SkewKlLossConfig::new().with_reverse(true).init(),
            logits,
            sparse(),
        ),
    ]
}

const NONE: f32 = f32::NEG_INFINITY;

#[test]
fn sparse_logits_of_all_classes_keep_the_probabilities_of_excluded_ones() {
    let device = Device::default().autodiff();
    let teacher = Tensor::<2>::from_data([[1.0, NONE, 0.0, 2.0], [0.5, 0.2, NONE, NONE]], &device);
    let finite = Tensor::<2>::from_data([[0.3, 1.5, -1.0, 0.2], [2.0, 0.0, 1.0, -0.5]], &device);
    // A student that excludes some of the classes that the teacher excludes.
    let excluding =
        Tensor::<2>::from_data([[0.3, NONE, -1.0, 0.2], [2.0, 0.0, NONE, -0.5]], &device);
    for (student, reverse_is_infinite) in [(finite, true), (excluding, false)] {
        for tail in [
            TailMode::Auto,
            TailMode::Zero,
            TailMode::Tail,
            TailMode::Uniform,
        ] {
            let sparse = rows_and_gradients(&student, || {
                SparseLogits::top_k(teacher.clone(), 4, tail).into()
            });
            let dense = rows_and_gradients(&student, || teacher.clone().into());
            let reverse = sparse[2].1.iter::<f32>().next().unwrap();
            assert_eq!(
                reverse.is_infinite(),
                reverse_is_infinite,
                "{reverse}, {tail:?}"
            );
            for ((name, value, gradient), (_, other, expected)) in sparse.iter().zip(&dense) {
                println!("{name}, {tail:?}");
                let tolerance = Tolerance::rel_abs(1e-4, 1e-5);
                for (ours, theirs) in value.iter::<f32>().zip(other.iter::<f32>()) {
                    let same = ours == theirs || (ours - theirs).abs() < 1e-4;
                    assert!(same, "{name}: {ours} is not {theirs}");
                }
                if other.iter::<f32>().all(f32::is_finite) {
                    gradient.assert_approx_eq::<f32>(expected, tolerance);
                }
            }
        }
    }
}

#[test]
fn draws_of_all_classes_are_a_dense_teacher() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::from_data([[0.3, 1.5, -1.0]], &device);
    let sparse = rows_and_gradients(&student, || {
        let ids = Tensor::from_data([[2, 0, 1]], &device);
        let counts = Tensor::from_data([[3.0, 1.0, 0.0]], &device);
        SparseLogits::sampled(ids, counts).into()
    });
    let dense = rows_and_gradients(&student, || {
        Tensor::<2>::from_data([[0.25, 0.0, 0.75]], &device)
            .log()
            .into()
    });

    for ((name, value, _), (_, expected, _)) in sparse.iter().zip(&dense) {
        println!("{name}");
        if name.contains("floor: None") {
            let infinite = |data: &TensorData| data.iter::<f32>().all(f32::is_infinite);
            assert!(infinite(value) && infinite(expected));
        } else {
            value.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-5, 1e-5));
        }
    }
    // |½ − …| written out: the student gives 0.727 to the class that was never drawn.
    let difference: f64 = [(0.25, 0.3), (0.0, 1.5), (0.75, -1.0)]
        .map(|(p, logit): (f64, f64)| {
            let sum = 0.3_f64.exp() + 1.5_f64.exp() + (-1.0_f64).exp();
            (p - logit.exp() / sum).abs() / 2.0
        })
        .iter()
        .sum();
    let total_variation = sparse[5].1.iter::<f64>().next().unwrap();
    assert!((total_variation - difference).abs() < 1e-5);
}

#[test]
fn a_row_without_draws_is_a_connected_zero() {
    let device = Device::default().autodiff();
    let ids = [[2, 0, 1], [0, 1, 2]];
    let student = Tensor::<2>::from_data([[0.3, 1.5, -1.0], [0.0, 2.0, 1.0]], &device);
    for k in [2, 3] {
        let rows = rows_and_gradients(&student, || {
            let ids = Tensor::<2, Int>::from_data(ids, &device).narrow(1, 0, k);
            let counts = Tensor::<2>::from_data([[0.0; 3], [3.0, 1.0, 2.0]], &device);
            SparseLogits::sampled(ids, counts.narrow(1, 0, k)).into()
        });
        for (name, value, gradient) in rows {
            let value: Vec<f32> = value.iter().collect();
            let gradient: Vec<f32> = gradient.iter().collect();
            assert!(value[0].abs() < 1e-5, "{name}: {value:?}");
            assert_eq!(gradient[..3], [0.0; 3], "{name}");
            assert!(value[1] > 0.0, "{name}: {value:?}");
            let infinite = k == 2 && name.contains("floor: None");
            assert_eq!(value[1].is_infinite(), infinite, "{name}: {value:?}");
            assert!(infinite || gradient.iter().all(|v| v.is_finite()), "{name}");
        }
    }
}

#[test]
fn reverse_kl_of_a_tail_of_zero_needs_a_floor() {
    let device = Device::default();
    let loss = |floor, tail| {
        let sparse = SparseLogits::top_k(teacher(&device), 2, tail);
        let loss = ReverseKlLossConfig::new().with_floor(floor).init();
        let loss = loss.forward(student(&device), sparse, Reduction::Mean);
        loss.into_scalar::<f32>()
    };

    assert_eq!(loss(None, TailMode::Zero), f32::INFINITY);
    assert!(loss(Some(-50.0), TailMode::Zero).is_finite());
    assert!(loss(None, TailMode::Tail).is_finite());
    assert!(loss(None, TailMode::Uniform).is_finite());
}

#[test]
fn the_automatic_tail_is_one_event_where_that_is_exact() {
    let loss = |temperature, tail| {
        let device = Device::default();
        let sparse = SparseLogits::top_k(teacher(&device), 2, tail);
        let loss = SoftTargetLossConfig::new().with_temperature(temperature);
        let loss = loss
            .init()
            .forward(student(&device), sparse, Reduction::Mean);
        loss.into_scalar::<f32>()
    };

    assert_eq!(loss(1.0, TailMode::default()), loss(1.0, TailMode::Tail));
    assert_eq!(loss(2.0, TailMode::default()), loss(2.0, TailMode::Zero));
    assert_ne!(loss(2.0, TailMode::Tail), loss(2.0, TailMode::Zero));
}

#[test]
fn a_uniform_tail_is_shared_by_the_classes_that_a_row_does_not_name() {
    let device = Device::default();
    // The second id is padding: two classes of a quarter each share the tail, and one of a half
    // is named.
    let sparse = SparseLogits {
        ids: Tensor::from_data([[0, 0]], &device),
        log_probabilities: Tensor::from_data([[0.5_f32.ln(), NONE]], &device),
        temperature: 1.0,
        tail: TailMode::Uniform,
    };
    let teacher = Tensor::<2>::from_data([[0.5, 0.25, 0.25]], &device).log();
    // Equal within the tail, so that one event is as good as two.
    let student = Tensor::<2>::from_data([[0.3, 1.0, 1.0]], &device);
    let loss = SoftTargetLossConfig::new().with_temperature(3.0).init();

    let sparse = loss.forward(student.clone(), sparse, Reduction::Mean);
    let dense = loss.forward(student, teacher, Reduction::Mean);

    let difference = sparse.sub(dense).abs().into_scalar::<f32>();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn a_tail_of_one_event_equals_a_merged_class() {
    let device = Device::default();
    let logits = |data: [[f64; 3]; 1]| Tensor::<2>::from_data(data, &device);
    // Two classes of probabilities ¼ and ¼ are one of ½.
    let (p, q) = ([[0.5, 0.3, 0.2]], [[0.2, 0.3, 0.5]]);
    let criterion = JensenShannonLossConfig::new().init();

    let sparse = SparseLogits::top_k(logits(p).log(), 1, TailMode::Tail);
    let sparse = criterion.forward(logits(q).log(), sparse, Reduction::Mean);

    let merged = |data: [[f64; 2]; 1]| Tensor::<2>::from_data(data, &device).log();
    let dense = criterion.forward(merged([[0.2, 0.8]]), merged([[0.5, 0.5]]), Reduction::Mean);
    let difference = sparse.sub(dense).abs().into_scalar::<f32>();
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn sampled_counts_are_shares() {
    let device = Device::default();
    let ids = Tensor::from_data([[4, 1, 0]], &device);
    let counts = Tensor::from_data([[3.0, 1.0, 0.0]], &device);

    let sparse = SparseLogits::sampled(ids, counts);
    let student = Tensor::<2>::zeros([1, 5], &device);
    let loss = SoftTargetLossConfig::new()
        .with_temperature(1.0)
        .init()
        .forward(student, sparse, Reduction::Mean)
        .into_scalar::<f32>();

    // ¾ ln(¾ · 5) + ¼ ln(¼ · 5); the class that was never drawn does not count.
    assert!((loss - 1.0471025).abs() < 1e-5, "{loss}");
}

#[test]
fn absent_classes_and_certain_teachers_have_finite_gradients() {
    let device = Device::default().autodiff();
    let certain = Tensor::<2>::from_data([[1e4, 0.0, 0.0, 0.0, 0.0]], &device);
    let absent = SparseLogits {
        ids: Tensor::from_data([[2, 0]], &device),
        log_probabilities: Tensor::from_data([[-0.5, f32::NEG_INFINITY]], &device),
        temperature: 1.0,
        tail: TailMode::Tail,
    };
    for sparse in [
        SparseLogits::top_k(certain.clone(), 2, TailMode::Zero),
        SparseLogits::top_k(certain.clone(), 2, TailMode::Tail),
        SparseLogits::top_k(certain, 1, TailMode::Uniform),
        absent,
    ] {
        for scale in [0.0, 1e-4, 1.0, 1e4] {
            fn check<L: DistributionLoss>(loss: L, student: Tensor<2>, sparse: SparseLogits) {
                let student = student.require_grad();
                let loss_value = loss.forward(student.clone(), sparse, Reduction::Mean);
                let grads = loss_value.clone().backward();
                let gradient = student.grad(&grads).unwrap().into_data();
                let finite = gradient.iter::<f32>().all(f32::is_finite);
                assert!(finite, "{loss:?}: {gradient}");
                assert!(!loss_value.into_scalar::<f32>().is_nan(), "{loss:?}");
            }
            let device = Device::default().autodiff();
            let data = TensorData::from([[0.3, -1.0, 0.5, 2.0, 0.0]]);
            let student = Tensor::<2>::from_data(data, &device).mul_scalar(scale);
            check(
                SoftTargetLossConfig::new().init(),
                student.clone(),
                sparse.clone(),
            );
            check(
                JensenShannonLossConfig::new().init(),
                student.clone(),
                sparse.clone(),
            );
            check(
                TotalVariationLossConfig::new().init(),
                student.clone(),
                sparse.clone(),
            );
            check(
                SkewKlLossConfig::new().init(),
                student.clone(),
                sparse.clone(),
            );
        }
    }
}

/// Sparse logits of two rows with these ids, of which every second entry is absent.
fn padded(ids: [[i64; 3]; 2]) -> SparseLogits {
    padded_on(ids, &Device::default())
}

fn padded_on(ids: [[i64; 3]; 2], device: &Device) -> SparseLogits {
    SparseLogits {
        ids: Tensor::from_data(ids, device),
        log_probabilities: Tensor::from_data([[-0.9, NONE, -1.4], [NONE, -0.9, NONE]], device),
        temperature: 1.0,
        tail: TailMode::Tail,
    }
}

#[test]
fn the_ids_of_absent_entries_do_not_matter() {
    let device = Device::default().autodiff();
    for classes in [3, 6] {
        let student = Tensor::<1, Int>::arange(0..2 * classes as i64, &device).float();
        let student = student.mul_scalar(0.7).sin().reshape([2, classes]);
        for tail in [
            TailMode::Auto,
            TailMode::Zero,
            TailMode::Tail,
            TailMode::Uniform,
        ] {
            let rows = |id: i64| {
                rows_and_gradients(&student, || {
                    let sparse = padded([[0, id, 2], [id, 1, id]]);
                    SparseLogits { tail, ..sparse }.into()
                })
            };
            let expected = rows(0);
            for id in [-1, -100, 1, classes as i64, 32_000] {
                for (row, expected) in rows(id).iter().zip(&expected) {
                    let what = format!("{}, {tail:?}, {classes} classes, id {id}", row.0);
                    assert!(row.1.iter::<f32>().eq(expected.1.iter::<f32>()), "{what}");
                    let bits =
                        |of: &TensorData| of.iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
                    assert_eq!(bits(&row.2), bits(&expected.2), "{what}");
                }
            }
        }
    }
}

#[test]
fn the_ids_of_classes_that_were_never_drawn_do_not_matter() {
    let device = Device::default();
    let loss = |id: i64| {
        let ids = Tensor::from_data([[2, id, 0]], &device);
        let counts = Tensor::from_data([[3.0, 0.0, 1.0]], &device);
        let sparse = SparseLogits::sampled(ids, counts);
        let student = Tensor::<2>::from_data([[0.3, 1.5, -1.0, 0.2]], &device);
        let loss = Chunked::new(SoftTargetLossConfig::new().init()).with_chunk_rows(1);
        let loss = loss.forward(student, sparse, Reduction::Mean);
        loss.into_scalar::<f32>()
    };

    for id in [-1, -100, 4] {
        assert_eq!(loss(id), loss(1));
    }
}

#[test]
fn the_error_of_an_unknown_class_names_it() {
    for (sparse, class) in [
        (padded([[0, 0, -1], [0, 1, 0]]), -1),
        (padded([[0, -1, 2], [-1, 7, -1]]), 7),
    ] {
        let error = sparse.check(6).unwrap_err();
        assert_eq!(
            error,
            UnknownClass {
                class,
                num_classes: 6
            }
        );

        let text = error.to_string();
        assert!(text.contains(&format!("class {class}")), "{text}");
        assert!(
            text.contains("sparse logits") && text.contains("6 classes"),
            "{text}"
        );
    }
    assert_eq!(padded([[0, -1, 5], [-100, 3, 9]]).check(6), Ok(()));
}

#[test]
fn on_a_cpu_a_loss_refuses_an_id_that_is_no_class() {
    let device = Device::flex();
    let student = Tensor::<2>::zeros([2, 6], &device);
    for chunked in [false, true] {
        let sparse = padded_on([[0, -1, 6], [-1, 3, -1]], &device);
        let student = student.clone();
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let loss = JensenShannonLossConfig::new().init();
            match chunked {
                true => Chunked::new(loss).forward_no_reduction(student, sparse),
                false => loss.forward_no_reduction(student, sparse),
            }
        }));
        let panic = refused.expect_err("class 6 is none of six");
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(
            text.contains("class 6, but the student has 6 classes"),
            "{text}"
        );
    }
}
