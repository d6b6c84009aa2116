use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Tap, TapRecorder, TapSelection, Targets,
    Weighted, initialize,
};
use burn_distill_relation::*;

// Expected values: the formulas of `DistillationKernel` of graph_distillation in double precision,
// where the student and a bias stand in the score of an edge, and central differences of them.

const STUDENT: [[f64; 3]; 4] = [
    [2., 0.5, -1.],
    [0., 1., 0.5],
    [1., -1., 0.3],
    [0.2, 0.1, 2.],
];
const TEACHERS: [[[f64; 3]; 4]; 2] = [
    [[3., 0., -1.], [0.5, 2., 0.], [2., -2., 0.], [0., 0., 3.]],
    [[1., 1., 0.], [0., 3., 0.], [0., 2., 0.], [1., 0., 1.]],
];
const OWN: [[f64; 2]; 4] = [[1., 0.], [0., 1.], [1., 1.], [2., 0.5]];
const WIDE: [[f64; 3]; 4] = [[1., 2., 0.], [0., 1., 1.], [1., 0., 3.], [2., 1., 1.]];

fn rows<const C: usize>(rows: [[f64; C]; 4], device: &Device) -> Tensor<2> {
    Tensor::from_data(rows, device)
}

fn narrow(index: usize, device: &Device) -> Tensor<2> {
    let wide = rows(WIDE, device);
    match index {
        0 => wide.slice([0..4, 0..2]),
        _ => {
            let shift = Tensor::from_data([[0.0, 0.1]], device);
            wide.slice([0..4, 1..3]).mul_scalar(0.5).add(shift)
        }
    }
}

fn wave<const D: usize>(shape: [usize; D], step: f64, start: f64, device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    let values: Vec<_> = (0..count)
        .map(|n| (step * n as f64 + start).sin() as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Creates a layer with weights and a bias of these waves.
fn layer(layer: &mut Linear, (weight, bias): ((f64, f64), (f64, f64)), device: &Device) {
    let shape: [usize; 2] = layer.weight.dims();
    let weight = wave(shape, weight.0, weight.1, device);
    layer.weight = Param::from_tensor(weight);
    if layer.bias.is_some() {
        let bias = wave([shape[1]], bias.0, bias.1, device);
        layer.bias = Some(Param::from_tensor(bias));
    }
}

/// Creates a loss with the weights that the expected values were computed with.
fn modality(
    config: ModalityGraphLossConfig,
    classes: usize,
    student: usize,
    teachers: &[usize],
    device: &Device,
) -> ModalityGraphLoss {
    let config = config.with_edge_features(2);
    let mut loss = initialize(config.init(classes, student, teachers, device));
    layer(&mut loss.logits_edge, ((0.7, 0.2), (0.5, 0.1)), device);
    for space in &mut loss.spaces {
        let waves = match space.features {
            2 => ((0.6, 0.3), (0.4, 0.6)),
            _ => ((0.8, 0.5), (0.3, 0.9)),
        };
        layer(&mut space.edge, waves, device);
        if let Some(projection) = &mut space.projection {
            layer(projection, ((0.45, 0.15), (0.35, 0.25)), device);
        }
    }
    // Half of the edge in the authors' code reads the teacher.
    let edge = wave([8, 1], 0.9, 0.4, device).slice([4..8, 0..1]);
    loss.edge.weight = Param::from_tensor(edge);
    loss
}

fn teachers(representations: [Tensor<2>; 2], device: &Device) -> Vec<Vertex> {
    let logits = TEACHERS.map(|logits| rows(logits, device));
    let vertices = logits.into_iter().zip(representations);
    vertices
        .map(|(logits, representation)| Vertex {
            logits,
            representation,
        })
        .collect()
}

/// Computes the value and the norms of the gradients of the student's logits and representation.
fn value_and_norms(loss: &ModalityGraphLoss, teachers: Vec<Vertex>, device: &Device) -> [f64; 3] {
    let student = Vertex {
        logits: rows(STUDENT, device).require_grad(),
        representation: rows(OWN, device).require_grad(),
    };
    let value = loss.forward(student.clone(), teachers);
    let grads = value.clone().backward();
    let norm = |tensor: &Tensor<2>| {
        let gradient = tensor.grad(&grads).unwrap();
        gradient.square().sum().sqrt().into_scalar::<f64>()
    };
    [
        value.into_scalar::<f64>(),
        norm(&student.logits),
        norm(&student.representation),
    ]
}

fn assert_near(actual: [f64; 3], expected: [f64; 3]) {
    for (actual, expected) in actual.iter().zip(expected) {
        let error = (actual - expected).abs() / expected.abs().max(1e-2);
        assert!(error < 2e-5, "{actual} is not {expected}");
    }
}

#[test]
fn modality_graph_of_two_teachers() {
    use GraphDistance::*;
    let device = Device::default().autodiff();
    for (distance, expected) in [
        (Cosine, [5.348402611, 2.353544233, 0.329078087]),
        (SquaredL2, [54.226417227, 17.049364343, 1.506686508]),
        (L1, [45.302918703, 11.110357304, 0.816391045]),
        (Kl, [8.755469847, 2.640591196, 0.274057637]),
    ] {
        let config = ModalityGraphLossConfig::new()
            .with_distance(distance)
            .with_prior_scores(vec![0.5, 0.3]);
        let loss = modality(config, 3, 2, &[2, 2], &device);
        let narrow = [0, 1].map(|index| narrow(index, &device));

        assert_near(
            value_and_norms(&loss, teachers(narrow, &device), &device),
            expected,
        );
    }
}

#[test]
fn modality_graph_of_representations_of_two_sizes() {
    let device = Device::default().autodiff();
    let config = ModalityGraphLossConfig::new();
    let loss = modality(config, 3, 2, &[2, 3], &device);
    let representations = [narrow(0, &device), rows(WIDE, &device)];
    let teachers = teachers(representations, &device);

    let expected = [6.038885421, 2.470276937, 0.333527419];
    assert_near(value_and_norms(&loss, teachers.clone(), &device), expected);
    // The order of the teachers does not matter.
    let swapped = teachers.into_iter().rev().collect();
    assert_near(value_and_norms(&loss, swapped, &device), expected);
}

#[test]
fn edges_of_equal_teachers_are_equal_and_edges_of_a_sample_sum_to_one() {
    let device = Device::default();
    let loss = modality(ModalityGraphLossConfig::new(), 3, 2, &[2, 2], &device);
    let two = teachers([narrow(0, &device), narrow(1, &device)], &device);

    let weights = loss.edge_weights(two.clone());
    let ones = TensorData::from([[1.0], [1.0], [1.0], [1.0]]);
    let sums = weights.clone().sum_dim(1).into_data();
    sums.assert_approx_eq::<f32>(&ones, Tolerance::default());
    let mean = weights.mean_dim(0).into_data();
    mean.assert_approx_eq::<f32>(&[[0.548748593, 0.451251407]].into(), Tolerance::default());

    let twice = vec![two[0].clone(), two[0].clone()];
    let halves = TensorData::from([[0.5, 0.5]; 4]);
    let weights = loss.edge_weights(twice).into_data();
    weights.assert_approx_eq::<f32>(&halves, Tolerance::default());
}

#[test]
fn edges_and_projections_train_and_teachers_do_not() {
    let device = Device::default().autodiff();
    let loss = modality(ModalityGraphLossConfig::new(), 3, 2, &[2, 3], &device);
    let teachers = teachers([narrow(0, &device), rows(WIDE, &device)], &device);
    let teachers = teachers.into_iter().map(|teacher| Vertex {
        logits: teacher.logits.detach().require_grad(),
        representation: teacher.representation.detach().require_grad(),
    });
    let teachers: Vec<_> = teachers.collect();
    let student = Vertex {
        logits: rows(STUDENT, &device),
        representation: rows(OWN, &device),
    };

    let grads = loss.forward(student, teachers.clone()).backward();

    for teacher in teachers {
        assert!(teacher.logits.grad(&grads).is_none());
        assert!(teacher.representation.grad(&grads).is_none());
    }
    let projection = loss.spaces[1].projection.as_ref().unwrap();
    for layer in [
        &loss.logits_edge,
        &loss.edge,
        &loss.spaces[0].edge,
        projection,
    ] {
        let gradient = layer.weight.grad(&grads).unwrap();
        assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0);
    }
}

/// Returns both halves of the features; a single feature serves as both.
fn halves(features: Tensor<2>) -> Vertex {
    let [batch_size, count] = features.dims();
    let half = count.div_ceil(2);
    Vertex {
        logits: features.clone().slice([0..batch_size, 0..half]),
        representation: features.slice([0..batch_size, count - half..count]),
    }
}

#[test]
fn modality_graph_of_one_teacher() {
    use GraphDistance::*;
    let student = |n: usize| match n % 5 {
        column @ 0..3 => STUDENT[n / 5][column],
        column => OWN[n / 5][column - 3],
    };
    let teacher = |n: usize| match n % 5 {
        column @ 0..3 => TEACHERS[0][n / 5][column],
        column => WIDE[n / 5][column - 3],
    };
    for (distance, value, norm) in [
        (Cosine, 1.405478379, 2.472895256),
        (SquaredL2, 32.075, 24.377243487),
        (L1, 37.25, 16.605721906),
        (Kl, 4.913382161, 4.021970439),
    ] {
        let name = format!("modality graph, {distance:?}");
        let trial = Trial::<2>::new(name, [4, 5], move |student, teacher| {
            // Three logits and two features, or otherwise halves.
            let split = |features: Tensor<2>| match features.dims() {
                [rows, 5] => Vertex {
                    logits: features.clone().slice([0..rows, 0..3]),
                    representation: features.slice([0..rows, 3..5]),
                },
                _ => halves(features),
            };
            let device = student.device();
            let (student, teacher) = (split(student), split(teacher));
            let [_, classes] = student.logits.dims();
            let [_, features] = student.representation.dims();
            let config = ModalityGraphLossConfig::new().with_distance(distance);
            let loss = modality(config, classes, features, &[features], &device);
            loss.forward(student, vec![teacher])
        });
        let trial = trial
            .golden(Box::new(student), Box::new(teacher), value, norm)
            .minimum(0.0)
            .invariant("order of the samples", |student, teacher| {
                (student.flip([0]), teacher.flip([0]))
            })
            .skip(
                "differences",
                "the layers are single; the expected gradients are differences",
            )
            .skip(
                "impossible classes",
                "the edges read logits through a layer",
            );
        trial.run();
    }
}

fn student_logits(n: usize) -> f64 {
    STUDENT[n / 3][n % 3]
}

fn teacher_logits(n: usize) -> f64 {
    TEACHERS[0][n / 3][n % 3]
}

#[test]
fn logits_graph_of_one_teacher() {
    for (temperature, value, norm) in [
        (1.0, 0.195808841, 0.134005234),
        (4.0, 0.079209284, 0.036844981),
    ] {
        let name = format!("logits graph, temperature {temperature}");
        let trial = Trial::<2>::new(name, [4, 3], move |student, teacher| {
            let config = LogitsGraphLossConfig::new().with_temperature(temperature);
            config
                .init(1, &student.device())
                .forward(student, vec![teacher])
        });
        trial
            .golden(
                Box::new(student_logits),
                Box::new(teacher_logits),
                value,
                norm,
            )
            .minimum(0.0)
            .invariant("order of the samples", |student, teacher| {
                (student.flip([0]), teacher.flip([0]))
            })
            .invariant("order of the classes", |student, teacher| {
                (student.flip([1]), teacher.flip([1]))
            })
            .invariant("shift of the logits", |student, teacher| {
                (student.add_scalar(3.0), teacher.sub_scalar(2.0))
            })
            .run();
    }
}

/// Sinkhorn divergence on a line and the norm of its gradient, after 2000 steps.
const SINKHORN: [f64; 2] = [0.181055010, 0.048184830];

fn line(scale: f64) -> Vec<Vec<f64>> {
    let row = |from: i32| (0..3).map(move |to| scale * f64::from((from - to).abs()) / 2.0);
    (0..3).map(|from| row(from).collect()).collect()
}

fn logits_value(loss: &LogitsGraphLoss, teachers: Vec<Tensor<2>>, device: &Device) -> [f64; 2] {
    let student = rows(STUDENT, device).require_grad();
    let value = loss.forward(student.clone(), teachers);
    let grads = value.clone().backward();
    let norm = student.grad(&grads).unwrap().square().sum().sqrt();
    [value.into_scalar::<f64>(), norm.into_scalar::<f64>()]
}

#[test]
fn logits_graph_of_two_teachers() {
    let device = Device::default().autodiff();
    let teachers = || TEACHERS.map(|logits| rows(logits, &device)).into();
    let assert_near = |actual: [f64; 2], expected: [f64; 2], tolerance: f64| {
        for (actual, expected) in actual.iter().zip(expected) {
            let error = (actual / expected - 1.0).abs();
            assert!(error < tolerance, "{actual} is not {expected}");
        }
    };

    let config = LogitsGraphLossConfig::new();
    let uniform = config.init(2, &device);
    let expected = [0.323968286, 0.085017657];
    assert_near(logits_value(&uniform, teachers(), &device), expected, 1e-5);

    let mut learned = config.clone().with_learned(true).init(2, &device);
    assert_near(logits_value(&learned, teachers(), &device), expected, 1e-5);
    let scores = Tensor::from_data([[0.2, -0.4]], &device);
    learned.scores = Some(Param::from_tensor(scores));
    let expected = [0.286633823, 0.093191524];
    assert_near(logits_value(&learned, teachers(), &device), expected, 1e-5);
    let grads = learned
        .forward(rows(STUDENT, &device), teachers())
        .backward();
    let scores = learned.scores.unwrap().grad(&grads).unwrap();
    // The weight of the nearer teacher grows by descent.
    let scores = scores.into_data().try_to_vec::<f32>().unwrap();
    assert!(scores[0] < 0.0 && scores[1] > 0.0, "{scores:?}");

    for scale in [1.0, 3.0] {
        let far = config.clone().with_cost(line(scale)).init(2, &device);
        let expected = [SINKHORN[0], SINKHORN[1]].map(|value| scale * value);
        assert_near(logits_value(&far, teachers(), &device), expected, 1e-3);
    }
}

#[test]
fn equal_costs_between_classes_equal_no_cost() {
    let device = Device::default().autodiff();
    let other = |from: usize| (0..3).map(move |to| f64::from(u8::from(from != to)));
    let cost = (0..3).map(|from| other(from).collect()).collect();
    let config = LogitsGraphLossConfig::new();
    let exact = config.init(1, &device);
    let config = config.with_cost(cost).with_regularization(0.02);
    let smoothed = config.init(1, &device);
    let teacher = || vec![rows(TEACHERS[0], &device)];

    let exact = logits_value(&exact, teacher(), &device);
    let smoothed = logits_value(&smoothed, teacher(), &device);

    for (smoothed, exact) in smoothed.iter().zip(exact) {
        assert!(
            (smoothed - exact).abs() < 0.1 * exact,
            "{smoothed} is not {exact}"
        );
    }
}

#[test]
fn transport_with_a_cost_is_finite_and_minimal_where_both_agree() {
    let device = Device::default().autodiff();
    let loss = LogitsGraphLossConfig::new().with_cost(line(1.0));
    let loss = loss.init(1, &device);
    const NONE: f64 = f64::NEG_INFINITY;
    for (student, teacher) in [
        (STUDENT, STUDENT),
        ([[0.0; 3]; 4], TEACHERS[0]),
        ([[1e4, -1e4, 0.0]; 4], [[-1e4, 0.0, 1e4]; 4]),
        ([[1.0, NONE, 2.0]; 4], [[0.0, NONE, 5.0]; 4]),
    ] {
        let logits = rows(student, &device).require_grad();
        let value = loss.forward(logits.clone(), vec![rows(teacher, &device)]);
        let grads = value.clone().backward();
        let gradient = logits.grad(&grads).unwrap().into_data();
        let value = value.into_scalar::<f32>();

        assert!(value.is_finite());
        let size = gradient.iter::<f32>().map(f32::abs).fold(0.0, f32::max);
        assert!(size.is_finite(), "{gradient}");
        if student == teacher {
            assert!(value.abs() < 1e-5 && size < 3e-3, "{value}, {size}");
        } else {
            assert!(value > 0.01, "{value}");
        }
    }
}

#[test]
fn representation_graph_of_one_teacher() {
    let trial = Trial::<2>::new("representation graph", [4, 5], |student, teacher| {
        let device = student.device();
        let ([_, own], [_, features]) = (student.dims(), teacher.dims());
        let config = RepresentationGraphLossConfig::new().with_pooled(8);
        let mut loss = initialize(config.init(own, &[features], &device));
        layer(&mut loss.projection, ((0.7, 0.2), (0.5, 0.1)), &device);
        loss.forward(student, vec![teacher])
    });
    trial
        .teacher_shape([4, 6])
        .invariant("order of the samples", |student, teacher| {
            (student.flip([0]), teacher.flip([0]))
        })
        .invariant(
            "sign of the teacher, which is paired with itself",
            |student, teacher| (student, teacher.neg()),
        )
        .skip(
            "golden values",
            "tested for its parts, the discrepancy and the pooling",
        )
        .skip(
            "perfect student",
            "there is a projection between student and teacher",
        )
        .skip("differences", "the bandwidth is a constant")
        .skip("impossible classes", "features are no logits")
        .run();
}

#[test]
fn a_student_with_the_distribution_of_the_pairs_has_no_loss() {
    let device = Device::default().autodiff();
    // One sum: a pooled pair is the product of the two features, except for its sign.
    let config = RepresentationGraphLossConfig::new().with_pooled(1);
    let mut loss = initialize(config.init(1, &[1, 1], &device));
    let column = |values: [f32; 4]| Tensor::<1>::from_data(values, &device).unsqueeze_dim::<2>(1);
    let (first, second) = (column([1.0, 2.0, 1.0, 0.5]), column([2.0, 1.0, 1.0, 3.0]));
    let mut values = Vec::new();
    for sign in [1.0, -1.0] {
        loss.projection.weight = Param::from_tensor(Tensor::full([1, 1], sign, &device));
        loss.projection.bias = Some(Param::from_tensor(Tensor::zeros([1], &device)));
        let product = first.clone().mul(second.clone()).require_grad();
        let value = loss.forward(product.clone(), vec![first.clone(), second.clone()]);
        let gradient = product.grad(&value.clone().backward()).unwrap();
        let size = gradient.abs().sum().into_scalar::<f32>();
        values.push((value.into_scalar::<f32>(), size));
    }

    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(values[0].0.abs() < 1e-6 && values[0].1 < 1e-5, "{values:?}");
    assert!(values[1].1 > 1e-2, "{values:?}");
}

#[test]
fn every_pair_of_teachers_counts_and_no_teacher_has_a_gradient() {
    let device = Device::default().autodiff();
    let config = RepresentationGraphLossConfig::new().with_pooled(16);
    let features = [2, 3, 4];
    let loss = initialize(config.init(5, &features, &device));
    let student = wave([6, 5], 0.7, 0.1, &device).require_grad();
    let teachers = features.map(|count| wave([6, count], 1.1, count as f64, &device));
    let teachers = teachers.map(Tensor::require_grad);

    let value = loss.forward(student.clone(), teachers.to_vec());
    let grads = value.backward();

    assert!(student.grad(&grads).is_some());
    assert!(loss.projection.weight.grad(&grads).is_some());
    assert!(
        teachers
            .iter()
            .all(|teacher| teacher.grad(&grads).is_none())
    );
    let again = initialize(config.init(5, &features, &device));
    let again = again.load_record(loss.clone().into_record());
    let [a, b] = [&loss, &again].map(|loss| {
        let value = loss.forward(student.clone(), teachers.to_vec());
        value.into_scalar::<f32>()
    });
    assert_eq!(a, b, "the pooling is drawn anew");
}

#[test]
fn objectives_take_the_tap_of_each_teacher() {
    let device = Device::default();
    let knowledge = |tap: &str, logits: [[f64; 3]; 4], representation: Tensor<2>| {
        let mut taps = TapRecorder::new(TapSelection::All);
        taps.offer(tap, || Tap::Vector(representation));
        Knowledge {
            response: Response::Classes(rows(logits, &device)),
            taps: taps.finish().unwrap(),
        }
    };
    let student = knowledge("pool", STUDENT, rows(OWN, &device));
    let teachers = vec![
        knowledge("pool", TEACHERS[0], narrow(0, &device)),
        knowledge("hidden", TEACHERS[1], rows(WIDE, &device)),
    ];
    let loss = modality(ModalityGraphLossConfig::new(), 3, 2, &[2, 3], &device);
    let objective = (
        Weighted::of(GraphTerm::new(loss, "pool", ["pool", "hidden"]), 2.0),
        Weighted::of(LogitsGraphLossConfig::new().init(2, &device), 1.0),
    );
    let targets = Targets::Unlabeled;
    let context = Context::new(&student, &teachers, &targets, &[], Clock::start());

    let terms = objective.forward(&context);

    let terms: Vec<_> = terms
        .into_iter()
        .map(|term| (term.name, term.weight, term.value.into_scalar::<f64>()))
        .collect();
    for (term, (name, weight, value)) in terms.iter().zip([
        ("modality-graph", 2.0, 6.038885421),
        ("logits-graph", 1.0, 0.323968286),
    ]) {
        assert_eq!((term.0.as_str(), term.1), (name, weight));
        assert!((term.2 / value - 1.0).abs() < 1e-5, "{term:?}");
    }
    let requirements = objective.requirements().teacher;
    assert_eq!(requirements.for_network(1), TapSelection::named(["hidden"]));
}

#[test]
#[should_panic(expected = "This loss was created for 2 teachers, found 1.")]
fn the_number_of_teachers_must_match() {
    let device = Device::default();
    let logits = rows(STUDENT, &device);
    let loss = LogitsGraphLossConfig::new().init(2, &device);
    loss.forward(logits.clone(), vec![logits]);
}

#[test]
#[should_panic(
    expected = "`cost.0.1` should be finite, not negative, zero on the diagonal and equal in both"
)]
fn a_cost_must_be_a_distance() {
    let cost = vec![vec![0.0, 1.0], vec![2.0, 0.0]];
    let config = LogitsGraphLossConfig::new().with_cost(cost);
    config.init(1, &Device::default());
}

#[test]
fn an_empty_batch_is_a_connected_zero() {
    let device = Device::default().autodiff();
    let student = Tensor::<2>::zeros([0, 3], &device).require_grad();
    let vertex = || Vertex {
        logits: student.clone(),
        representation: student.clone(),
    };
    let modality = ModalityGraphLossConfig::new().init(3, 3, &[3], &device);
    let logits = LogitsGraphLossConfig::new().init(1, &device);
    let representation = RepresentationGraphLossConfig::new().init(3, &[3], &device);
    for value in [
        modality.forward(vertex(), vec![vertex()]),
        logits.forward(student.clone(), vec![student.clone()]),
        representation.forward(student.clone(), vec![student.clone()]),
    ] {
        assert!(student.grad(&value.clone().backward()).is_some());
        assert_eq!(value.into_scalar::<f32>(), 0.0);
    }
}

#[test]
fn configurations_survive_json_and_types_cross_threads() {
    assert_round_trip(&ModalityGraphLossConfig::new());
    assert_round_trip(&LogitsGraphLossConfig::new().with_cost(line(1.0)));
    assert_round_trip(&RepresentationGraphLossConfig::new());
    assert_shareable::<ModalityGraphLoss>();
    assert_shareable::<LogitsGraphLoss>();
    assert_shareable::<RepresentationGraphLoss>();
}

#[test]
fn display() {
    let device = Device::default();
    let loss = LogitsGraphLossConfig::new().init(2, &device);
    assert_eq!(
        loss.to_string(),
        "LogitsGraphLoss {teachers: 2, learned: false, temperature: 1}"
    );
    let loss = ModalityGraphLossConfig::new().init(3, 2, &[2, 2], &device);
    assert!(
        loss.to_string()
            .starts_with("ModalityGraphLoss {teachers: 2, sharpness: 0.125, distance: Cosine"),
        "{loss}"
    );
}
