use burn_distill_experiment::Statistics;

/// Returns the mean and the deviation in percent; a dash if nothing was measured.
pub fn percent(statistics: &Statistics) -> String {
    let Statistics { mean, std, .. } = statistics;
    if mean.is_nan() {
        return "–".into();
    }
    format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * std)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shown_in_percent_with_their_deviation() {
        let statistics = Statistics::of(vec![0.9, 0.8, 0.7]);

        assert_eq!(percent(&statistics), "80.00 ± 10.00");
    }

    #[test]
    fn a_table_shows_a_dash_where_nothing_was_measured() {
        let statistics = Statistics::of(vec![0.5, f64::NAN]);

        assert_eq!(percent(&statistics), "–");
    }
}
