//! Generalized Jensen–Shannon divergence (JSD).

use crate::trials::*;
use burn_distill_response::*;

// Expected values: `generalized_jsd_loss` of TRL, and Liger's, which agree.

#[test]
fn jensen_shannon() {
    for (beta, temperature, value, norm) in [
        (0.1, 1.0, 0.154786179, 0.0246385146),
        (0.5, 1.0, 0.383430609, 0.048292412),
        (0.9, 1.0, 0.177999629, 0.0229477041),
        (0.5, 4.0, 0.0542795009, 0.00922636091),
    ] {
        let config = JensenShannonLossConfig::new().with_beta(beta);
        distribution(config.with_temperature(temperature).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .minimum(0.0)
            .run();
    }
}
