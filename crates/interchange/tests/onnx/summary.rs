//! The contents of a file, for inspection.

use super::common::file;
use burn_distill_interchange::{OnnxFile, OnnxSize};

#[test]
fn the_contents_of_a_file_are_told() {
    let summary = OnnxFile::read(file("mlp")).unwrap().summary();

    assert_eq!(
        (summary.producer.as_str(), summary.opset),
        ("onnx_models.py", 13)
    );
    assert_eq!(summary.parameters, 43);
    assert_eq!(summary.inputs[0].to_string(), "features float32 [batch, 4]");
    assert_eq!(summary.outputs[0].to_string(), "output float32 [batch, 3]");
    let names: Vec<_> = summary
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(names, ["/hidden/Gemm", "/hidden/Relu", "/head/Gemm"]);
    assert_eq!(summary.nodes[1].operator, "Relu");
    assert_eq!(summary.nodes[1].inputs, ["/hidden/Gemm_output_0"]);
}

#[test]
fn files_that_cannot_be_run_are_told_too() {
    let of = |name: &str| OnnxFile::read(file(name)).unwrap().summary();

    assert_eq!(of("zip_map").outputs[0].to_string(), "output not a tensor");
    assert_eq!(
        of("other_domain").nodes[0].operator,
        "com.microsoft.FusedThing"
    );
    assert_eq!(
        of("other_domain").other_opsets,
        [("com.microsoft".to_string(), 1)]
    );
    let fixed = of("fixed_batch_1").inputs[0].shape.clone();
    assert_eq!(fixed, Some(vec![OnnxSize::Fixed(1), OnnxSize::Fixed(4)]));
}
