//! Total variation distance (TVD).

use crate::trials::*;
use burn_distill_response::*;

// Expected values: the formula in double precision, with which `dense_tvd` of DistillKit agrees.

#[test]
fn total_variation() {
    use TotalVariationScale::{One, Temperature, TemperatureSquared};
    for (temperature, scale, factor, value, norm) in [
        (1.0, One, 1.0, 0.693634576, 0.0734855626),
        (4.0, One, 1.0, 0.261615451, 0.0285788723),
        (4.0, Temperature, 4.0, 0.261615451, 0.0285788723),
        (4.0, TemperatureSquared, 16.0, 0.261615451, 0.0285788723),
    ] {
        let config = TotalVariationLossConfig::new().with_temperature(temperature);
        distribution(config.with_scale(scale).init())
            .golden(
                student_wave(),
                teacher_wave(),
                factor * value,
                factor * norm,
            )
            .minimum(0.0)
            .run();
    }
}
