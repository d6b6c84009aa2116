//! The teacher in an ONNX file, with a small one of the form of magika, whose class depends on the
//! first byte of a file: below 64, below 128, or above.

mod common;

use burn_distill::core::Network;
use common::{files, kind};
use file_type::magika::load;
use file_type::teacher::{Recorded, tokens};
use std::path::Path;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/first-byte.onnx");

#[test]
fn the_teacher_is_computed_for_every_file() {
    let names = ["low", "middle", "high"].map(String::from);
    let network = load(Path::new(MODEL), &names).unwrap();
    let files = files();
    let teacher = Recorded::of(&network, &files);

    assert_eq!(teacher.num_classes(), 3);
    assert!(teacher.classes().into_iter().eq(files.iter().map(kind)));

    // ln softmax of (64 - byte) / 8, 0 and (byte - 128) / 8.
    let mut file = vec![256; 2048];
    file[0] = 96;
    let input = tokens(&[file.into()], &Default::default());
    let logits = network.forward(input).rows().logits.into_data();
    let sum = (1.0 + 2.0 * (-4.0_f32).exp()).ln();
    for (found, expected) in logits.iter::<f32>().zip([-4.0 - sum, -sum, -4.0 - sum]) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn a_model_of_other_classes_is_refused() {
    let names = ["low", "high"].map(String::from);
    let error = load(Path::new(MODEL), &names).err().unwrap().to_string();
    assert!(
        error.contains("3 logits, but the data has 2 classes"),
        "{error}"
    );
}
