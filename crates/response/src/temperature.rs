pub(crate) fn assert_temperature(temperature: f64, loss: &str) {
    assert!(
        temperature > 0.0 && temperature.is_finite(), // This also rejects NaN
        "Temperature of the {loss} must be positive and finite, got {temperature}."
    );
}
