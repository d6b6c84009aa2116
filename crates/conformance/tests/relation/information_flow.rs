use crate::between_layers::{assert_near, table};
use crate::common::shifted;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Tap, TapRecorder, TapSelection, Targets,
    Weighted,
};
use burn_distill_relation::*;

const STUDENT: [f64; 8] = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 0.5];
const TEACHER: [f64; 12] = [1.0, 2.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 3.0, 2.0, 1.0, 1.0];

fn trial(config: InformationFlowLossConfig, golden: [f64; 2]) -> Trial<2> {
    let loss = config.init();
    let turn = |tensor: Tensor<2>| {
        // Rotates every two neighboring features by one angle, for both networks.
        let [rows, features] = tensor.dims();
        let pairs = tensor.narrow(1, 0, features - features % 2);
        let [a, b] = [0, 1].map(|i| {
            let pairs = pairs.clone().reshape([rows, features / 2, 2]);
            pairs.narrow(2, i, 1).squeeze_dim::<2>(2)
        });
        let (sine, cosine) = 0.8_f64.sin_cos();
        Tensor::cat(
            vec![
                a.clone().mul_scalar(cosine).sub(b.clone().mul_scalar(sine)),
                a.mul_scalar(sine).add(b.mul_scalar(cosine)),
            ],
            1,
        )
    };
    Trial::new(format!("{loss}"), [4, 2], move |student, teacher| {
        loss.forward_layer(student, teacher)
    })
    .teacher_shape([4, 3])
    .golden(table(STUDENT), table(TEACHER), golden[0], golden[1])
    .invariant("the directions of the features", move |student, teacher| {
        (turn(student), teacher)
    })
    .invariant("the order of the samples", |student, teacher| {
        (student.flip([0]), teacher.flip([0]))
    })
    .skip("perfect student", "the shapes differ: see the next test")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

// The first two are those of the authors' code; all are from
// crates/relation/scripts/between_layers.py.
#[test]
fn every_kernel_and_divergence_matches_its_reference() {
    use AffinityDivergence::{Abs, Exponential, Jeffreys, Kagan, Kl, Squared};
    use AffinityKernel::{AdaptiveRbf, Cauchy, Combined, Cosine, Rbf, StudentT};
    for (kernel, divergence, golden) in [
        (Combined, Jeffreys, [0.027156827, 0.028134516]),
        (Cosine, Kl, [0.005338421, 0.015437972]),
        (Cosine, Jeffreys, [0.010468588, 0.028752105]),
        (StudentT, Jeffreys, [0.016688238, 0.020852002]),
        (Rbf, Jeffreys, [0.097810486, 0.107702226]),
        (Cauchy, Jeffreys, [0.077417898, 0.093035657]),
        (AdaptiveRbf, Jeffreys, [0.033441204, 0.053183322]),
        (StudentT, Kl, [0.008013781, 0.009806772]),
        (StudentT, Abs, [0.053070156, 0.036456818]),
        (StudentT, Squared, [0.004350257, 0.005906249]),
        (StudentT, Exponential, [0.014964860, 0.017894988]),
        (StudentT, Kagan, [0.019282532, 0.026543688]),
    ] {
        let config = InformationFlowLossConfig::new()
            .with_kernel(kernel)
            .with_divergence(divergence);
        let trial = trial(config, golden);
        // Of these kernels only the cosine depends on the origin.
        let trial = match kernel {
            Combined | Cosine => trial,
            StudentT | Rbf | Cauchy | AdaptiveRbf => {
                trial.invariant("a shift of the features", shifted)
            }
        };
        match kernel {
            AdaptiveRbf => {
                let reason = "the mean distance is a constant of the gradient";
                trial.skip("differences", reason).run();
            }
            _ => trial.run(),
        }
    }
}

#[test]
fn the_bandwidth_can_be_set() {
    for (kernel, golden) in [
        (AffinityKernel::Rbf, [0.034608770, 0.030662527]),
        (AffinityKernel::Cauchy, [0.032254979, 0.023274503]),
    ] {
        let config = InformationFlowLossConfig::new().with_bandwidth(2.0);
        trial(config.with_kernel(kernel), golden).run();
    }
}

#[test]
fn a_student_with_the_teachers_features_is_perfect() {
    use AffinityDivergence::{Abs, Exponential, Jeffreys, Kagan, Kl, Squared};
    for divergence in [Jeffreys, Kl, Abs, Squared, Exponential, Kagan] {
        let config = InformationFlowLossConfig::new().with_divergence(divergence);
        let loss = config.init();
        Trial::new(format!("{loss}"), [5, 3], move |student, teacher| {
            loss.forward_layer(student, teacher)
        })
        .minimum(0.0)
        .in_any_order()
        .skip("golden values", "above")
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
        .run();
    }
}

fn layers(values: &[f64], features: usize) -> Vec<Tensor<2>> {
    let data = TensorData::new(values.to_vec(), [4, features]).convert::<f32>();
    let layer = Tensor::from_data(data, &Device::default());
    vec![layer.clone(), layer]
}

#[test]
fn the_weight_of_the_layers_before_the_last_falls() {
    let loss = InformationFlowLossConfig::new().init();
    for (passed, weight) in [(0, 100.0), (1, 70.0), (10, 2.8247525)] {
        let value = loss.forward(layers(&STUDENT, 2), layers(&TEACHER, 3), passed);

        let expected = 0.027156827 * (1.0 + weight);
        assert_near("value", value.into_scalar(), expected, 1e-4);
    }
}

#[test]
fn the_epoch_comes_from_the_clock_and_the_last_tap_always_counts() {
    let device = Device::default();
    let knowledge = |layers: Vec<Tensor<2>>| {
        let mut taps = TapRecorder::new(TapSelection::All);
        for (name, layer) in ["early", "last"].into_iter().zip(layers) {
            taps.offer(name, || Tap::Vector(layer));
        }
        Knowledge {
            response: Response::Classes(Tensor::zeros([4, 2], &device)),
            taps: taps.finish().unwrap(),
        }
    };
    // The last layers agree, so the critical weight is left.
    let mut student = layers(&STUDENT, 2);
    student[1] = layers(&TEACHER, 3).remove(1);
    let (student, teacher) = (knowledge(student), knowledge(layers(&TEACHER, 3)));
    let names = ["early", "last"];
    let loss = InformationFlowLossConfig::new().init();
    let term = InformationFlowTerm::new(loss, names, names);
    let objective = Weighted::of(term, 2.0).with_name("flow");

    for (epoch, weight) in [(1, 100.0), (3, 49.0)] {
        let clock = Clock {
            epoch,
            batch: 0,
            batches: 1,
        };
        let context = Context::new(&student, &teacher, &Targets::Unlabeled, &[], clock);
        let terms = objective.forward(&context);

        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("flow", 2.0));
        let value = term.value.clone().into_scalar();
        assert_near("value", value, 0.027156827 * weight, 1e-4);
    }
    assert_eq!(objective.requirements().student, TapSelection::named(names));
}

#[test]
#[should_panic(expected = "`bandwidth` should be finite and above 0, but is 0")]
fn the_bandwidth_must_be_positive() {
    InformationFlowLossConfig::new().with_bandwidth(0.0).init();
}

#[test]
#[should_panic(expected = "`critical_decay` should be from 0 to 1, but is 1.5")]
fn the_critical_period_must_end() {
    InformationFlowLossConfig::new()
        .with_critical_decay(1.5)
        .init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&InformationFlowLossConfig::new());
    assert_shareable::<InformationFlowLoss>();
}
