//! Reverse KL (RKL).

use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor};
use burn_distill_response::*;

// Expected values: `generalized_jsd_loss` of TRL at beta = 1, which does not multiply by T².

#[test]
fn reverse_kl() {
    for (temperature, scale_t2, value, norm) in [
        (1.0, false, 2.92230586, 0.43582764),
        (4.0, false, 0.23883076, 0.0426385417),
        (4.0, true, 16.0 * 0.23883076, 16.0 * 0.0426385417),
    ] {
        let config = ReverseKlLossConfig::new().with_temperature(temperature);
        distribution(config.with_scale_t2(scale_t2).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn a_floor_bounds_what_the_teacher_excludes() {
    let device = Device::default();
    let student = Tensor::<2>::from_data([[0.0, 0.0]], &device);
    let teacher = Tensor::<2>::from_data([[0.0, f32::NEG_INFINITY]], &device);
    let loss = |floor| {
        let criterion = ReverseKlLossConfig::new().with_floor(floor).init();
        let loss = criterion.forward(student.clone(), teacher.clone(), Reduction::Mean);
        loss.into_scalar::<f32>()
    };

    assert_eq!(loss(None), f32::INFINITY);
    // ½ ln ½ + ½ (ln ½ + 50)
    assert!((loss(Some(-50.0)) - 24.306853).abs() < 1e-4);
}
