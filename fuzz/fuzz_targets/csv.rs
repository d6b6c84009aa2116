#![no_main]
//! CSV files whose label is the column `kind`.

use burn_distill_data::{CsvConfig, Samples, UnknownCategories, ViewKey, ViewedSample, Views};
use burn_distill_fuzz::with_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        let mut config = CsvConfig::new(path, "kind");
        // The length chooses the settings, so that every input is a CSV file as it is.
        let choice = bytes.len() % 4;
        if choice == 1 {
            config.delimiter = ';';
        }
        config.missing_indicators = choice == 2;
        if choice == 3 {
            config.test_csv = Some(path.into());
            config.unknown_categories = UnknownCategories::Zeros;
        }
        let Ok(table) = config.load() else {
            return;
        };
        let table = table.test.unwrap_or(table.train);
        let key = ViewKey {
            seed: 0,
            id: 0,
            epoch: 1,
            view: 0,
            repetition: 0,
        };
        let rows = table.ids().iter().map(|&id| ViewedSample { id, key });
        let views = table.prepare(&[rows.collect()], &Views::default());
        let features = views.expect("a loaded table is encoded").remove(0);
        assert_eq!(features.num_elements(), table.len() * table.features());
        assert!(features.iter::<f32>().all(f32::is_finite));
        assert!(
            table
                .ids()
                .iter()
                .all(|&id| table.label(id) < table.num_classes())
        );
        // A part may lack the values of a column, but is not refused otherwise.
        if let Ok((train, _)) = table.split(0.5, 0) {
            let _ = train.measured();
        }
    });
});
