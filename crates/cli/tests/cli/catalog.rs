//! `burn-distill list` and `burn-distill inspect`.

use crate::common::{assert_success, program};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    let output = program(arguments).output().unwrap();
    assert_success(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_catalog_is_an_array_of_entries() {
    for (what, expected) in [
        ("models", "resnet8x4"),
        ("losses", "soft-target"),
        ("strategies", "offline"),
        ("datasets", "digits"),
    ] {
        let entries = json(&["list", what, "--json"]);
        let entries = entries.as_array().unwrap();
        assert!(
            entries.iter().any(|entry| entry["name"] == expected),
            "{what}"
        );
        for entry in entries {
            assert!(
                entry["kind"].is_string() && entry["reference"].is_string(),
                "{entry}"
            );
            assert!(entry["aliases"].is_array(), "{entry}");
            for key in ["abbreviation", "about"] {
                let text = entry[key].as_str().expect(key);
                let of_method = ["losses", "strategies"].contains(&what);
                let empty = key == "about" && text.is_empty();
                assert!(!(of_method && empty), "{entry}");
            }
        }

        let table = program(&["list", what]).output().unwrap();
        assert!(String::from_utf8(table.stdout).unwrap().contains(expected));
    }
}

#[test]
fn a_model_shows_its_taps_and_its_cost() {
    let arguments = [
        "inspect",
        "resnet20",
        "--input",
        "3x32x32",
        "--classes",
        "100",
    ];
    let inspection = json(&[&arguments[..], &["--json"]].concat());

    assert_eq!(inspection["parameters"], 278_324);
    assert_eq!(inspection["multiply_adds"], 40_818_944);
    let taps = inspection["taps"].as_array().unwrap();
    let layer3 = taps.iter().find(|tap| tap["name"] == "layer3").unwrap();
    assert_eq!(layer3["shape"], serde_json::json!([64, 8, 8]));

    let text = program(&arguments).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("278 324") && text.contains("layer3.pre"),
        "{text}"
    );
}

#[test]
fn a_network_of_text_shows_its_mask_and_the_cost_of_a_sequence() {
    let inspection = json(&[
        "inspect",
        "transformer-8-1-2",
        "--input",
        "6of20",
        "--classes",
        "3",
        "--set",
        "positions=9",
        "--json",
    ]);

    // As in the tests of the networks, with 3 more positions.
    assert_eq!(inspection["parameters"], 1_211 + 3 * 8);
    assert_eq!(
        inspection["multiply_adds"],
        6 * 12 * 64 + 2 * 36 * 8 + 64 + 24
    );
    let taps = inspection["taps"].as_array().unwrap();
    assert_eq!(taps[0]["name"], "mask");
    assert_eq!(taps[0]["shape"], serde_json::json!([6]));
    let scores = taps
        .iter()
        .find(|tap| tap["name"] == "attention.1")
        .unwrap();
    assert_eq!(scores["shape"], serde_json::json!([2, 6, 6]));
}
