//! Skew KL divergence (SKL).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::Device;
use burn_distill_response::*;

// Expected values: the formula in double precision.

#[test]
fn skew_kl() {
    for (reverse, value, norm) in [
        (false, 1.26162057, 0.166538093),
        (true, 1.32363281, 0.164447335),
    ] {
        distribution(SkewKlLossConfig::new().with_reverse(reverse).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

// `skewed_reverse_kl` of DistiLLM computes the second value, in single precision.
#[test]
fn matches_the_reference_implementation() {
    for (reverse, expected) in [(false, 0.098185106), (true, 0.114790)] {
        let device = Device::default();
        let loss = SkewKlLossConfig::new().with_reverse(reverse).init();
        let loss = loss.forward(
            small_student(&device),
            small_teacher(&device),
            Reduction::Mean,
        );
        let loss = loss.into_scalar::<f64>();
        assert!((loss - expected).abs() < 1e-5, "{loss}");
    }
}
