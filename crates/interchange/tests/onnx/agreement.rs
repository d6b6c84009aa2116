//! Outputs and taps agree with those of onnxruntime.

use super::common::{Array, Case, case, close, file, knowledge, logits, network, tap_close};
use burn::module::Module;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{
    Batch, Clock, Frozen, Network, Response, Tap, TapSelection, Targets, Teacher, Tokens,
    known_taps, parameter_count,
};
use burn_distill_interchange::{OnnxNetwork, OnnxTeacher};

const CLOSE: f64 = 1e-5;

fn output(case: &Case) -> &Array {
    &case.outputs["output"]
}

#[test]
fn a_perceptron_with_an_inner_result_as_a_tap() {
    let case = case("mlp");
    for (taps, name) in [
        (r#"["/hidden/Relu_output_0"]"#, "/hidden/Relu_output_0"),
        (r#"{ "hidden": "/hidden/Relu_output_0" }"#, "hidden"),
        (r#"{ "hidden": "/hidden/Relu" }"#, "hidden"),
    ] {
        let network = network::<Tensor<2>>("mlp", &format!(r#"{{ "taps": {taps} }}"#), &[4]);
        let knowledge = knowledge(&network, case.input());

        close(
            knowledge.response.classes().unwrap().clone(),
            output(&case),
            CLOSE,
        );
        let hidden = knowledge.taps.expect(name);
        assert_eq!(hidden.kind(), "vector");
        tap_close(hidden, &case.outputs["/hidden/Relu_output_0"]);
        assert_eq!(known_taps(&network).len(), 1);
    }
}

#[test]
fn any_number_of_samples() {
    let case = case("mlp");
    let network = network::<Tensor<2>>("mlp", "{}", &[4]);
    let all = logits(&network, case.input());

    // More numbers of samples than prepared graphs are kept, twice.
    for _ in 0..2 {
        for samples in [1_usize, 2, 3, 6, 9, 12] {
            let repeated = Tensor::cat(vec![case.input(); samples.div_ceil(3)], 0);
            let found = logits(&network, repeated.narrow(0, 0, samples));
            let expected = Tensor::cat(vec![all.clone(); samples.div_ceil(3)], 0);
            let expected = expected.narrow(0, 0, samples).into_data();
            found
                .into_data()
                .assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-6));
        }
    }
    let none = Tensor::<2>::zeros([0, 4], &Device::default());
    assert_eq!(logits(&network, none).dims(), [0, 3]);
}

#[test]
fn a_fixed_number_of_samples_is_run_in_slices() {
    let one = case("fixed_batch_1");
    let network_of_one = network::<Tensor<2>>("fixed_batch_1", "{}", &[4]);
    let thrice = Tensor::cat(vec![one.input(); 3], 0);
    for row in logits(&network_of_one, thrice).iter_dim(0) {
        close(row, output(&one), CLOSE);
    }

    let two = case("fixed_batch_2");
    let taps = r#"{ "taps": { "hidden": "/hidden/Relu" } }"#;
    let network_of_two = network::<Tensor<2>>("fixed_batch_2", taps, &[4]);
    // The last of the five rows is alone in its run.
    let rows = Tensor::cat(vec![two.input::<2>(); 3], 0).narrow(0, 0, 5);
    let knowledge = knowledge(&network_of_two, rows);
    let found = knowledge.response.classes().unwrap().clone();
    assert_eq!(found.dims(), [5, 3]);
    close(found.clone().narrow(0, 0, 2), output(&two), CLOSE);
    close(found.clone().narrow(0, 2, 2), output(&two), CLOSE);
    let last = found.narrow(0, 4, 1).into_data();
    let first: Tensor<2> = output(&two).tensor();
    last.assert_approx_eq::<f32>(
        &first.narrow(0, 0, 1).into_data(),
        burn::tensor::Tolerance::absolute(1e-5),
    );
    assert_eq!(knowledge.taps.expect("hidden").shape().as_slice(), [5, 5]);
}

#[test]
fn probabilities_become_logits() {
    let case = case("softmax");
    let declared = network::<Tensor<2>>("softmax", r#"{ "outputs": "probabilities" }"#, &[4]);
    let found = logits(&declared, case.input());
    close(softmax(found.clone(), 1), output(&case), CLOSE);

    // At any temperature, they are the logits of the file up to a constant of the row.
    let inner = network::<Tensor<2>>("softmax", r#"{ "output": "logits" }"#, &[4]);
    let inner = logits(&inner, case.input());
    close(inner.clone(), &case.outputs["logits"], CLOSE);
    let at = |logits: Tensor<2>| softmax(logits.div_scalar(4.0), 1).into_data();
    at(found).assert_approx_eq::<f32>(&at(inner), burn::tensor::Tolerance::absolute(1e-6));
}

#[test]
fn sigmoids_become_logits() {
    let case = case("sigmoid");
    let network = network::<Tensor<2>>("sigmoid", r#"{ "outputs": "sigmoid" }"#, &[4]);
    let found = logits(&network, case.input());
    close(sigmoid(found.clone()), output(&case), CLOSE);
    close(found, &case.outputs["logits"], CLOSE);
}

#[test]
fn one_sigmoid_becomes_two_classes() {
    let case = case("binary");
    let network = network::<Tensor<2>>("binary", r#"{ "outputs": "sigmoid" }"#, &[4]);
    let found = softmax(logits(&network, case.input()), 1);
    assert_eq!(found.dims(), [3, 2]);
    close(found.narrow(1, 1, 1), output(&case), CLOSE);
}

#[test]
fn half_precision() {
    let case = case("half");
    let network = network::<Tensor<2>>("half", "{}", &[4]);
    // The rounding of half precision.
    close(logits(&network, case.input()), output(&case), 2e-3);
}

#[test]
fn one_of_several_outputs_with_others_as_taps() {
    let case = case("several_outputs");
    let json = r#"{ "output": "logits", "taps": {
        "pooled": "pooled", "map": "map", "flat": { "node": "map", "kind": "vector" } } }"#;
    let network = network::<Tensor<2>>("several_outputs", json, &[4]);
    let knowledge = knowledge(&network, case.input());

    close(
        knowledge.response.classes().unwrap().clone(),
        &case.outputs["logits"],
        CLOSE,
    );
    tap_close(knowledge.taps.expect("pooled"), &case.outputs["pooled"]);
    tap_close(knowledge.taps.expect("map"), &case.outputs["map"]);
    tap_close(knowledge.taps.expect("flat"), &case.outputs["pooled"]);
}

#[test]
fn a_convolutional_network_of_pytorch() {
    let case = case("cnn");
    let tap = case.outputs.keys().find(|name| *name != "output").unwrap();
    let json = format!(r#"{{ "taps": {{ "layer1": "{tap}" }} }}"#);
    let network = network::<Tensor<4>>("cnn", &json, &[1, 8, 8]);
    let knowledge = knowledge(&network, case.input());

    close(
        knowledge.response.classes().unwrap().clone(),
        output(&case),
        CLOSE,
    );
    let map = knowledge.taps.expect("layer1");
    assert_eq!(map.shape().as_slice(), [2, 4, 8, 8]);
    tap_close(map, &case.outputs[tap]);
}

#[test]
fn a_layer_of_a_transformer_of_pytorch() {
    let case = case("transformer");
    let network = network::<Tensor<3>>("transformer", "{}", &[5, 8]);
    close(logits(&network, case.input()), output(&case), CLOSE);
}

#[test]
fn channels_last() {
    let case = case("nhwc");
    let json = r#"{ "layout": "nhwc", "taps": { "map": { "node": "map", "kind": "map-nhwc" } } }"#;
    let network = network::<Tensor<4>>("nhwc", json, &[3, 5, 6]);
    let first = |map: Tensor<4>| map.swap_dims(2, 3).swap_dims(1, 2);
    let knowledge = knowledge(&network, first(case.input()));

    close(
        knowledge.response.classes().unwrap().clone(),
        output(&case),
        CLOSE,
    );
    let map = knowledge.taps.expect("map").into_map();
    let expected = first(case.outputs["map"].tensor()).into_data();
    map.into_data()
        .assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-5));
}

#[test]
fn images_of_bytes() {
    let case = case("pixels");
    let network = network::<Tensor<4>>("pixels", r#"{ "scale": 255.0 }"#, &[3, 2, 2]);
    // Not exactly the bytes, which the values are rounded to.
    let pixels = case.input::<4>().add_scalar(0.3).div_scalar(255.0);
    close(logits(&network, pixels), output(&case), CLOSE);
}

#[test]
fn images_for_a_network_of_vectors_are_flattened() {
    let network = network::<Tensor<4>>("mlp", "{}", &[1, 2, 2]);
    let rows = case("mlp").input::<2>();
    close(
        logits(&network, rows.reshape([3, 1, 2, 2])),
        output(&case("mlp")),
        CLOSE,
    );
}

#[test]
fn tokens_of_any_length_with_their_mask() {
    for (name, json) in [
        ("text", "{}"),
        ("text", r#"{ "inputs": ["input_ids", "attention_mask"] }"#),
        ("text_bool_mask", "{}"),
        ("segments", "{}"),
        (
            "segments",
            r#"{ "inputs": ["input_ids", "attention_mask", "token_type_ids"] }"#,
        ),
    ] {
        let case = case(name);
        // Checked for another length than that of the batch.
        let network = network::<Tokens>(name, json, &[7]);
        close(logits(&network, case.tokens()), output(&case), CLOSE);
    }
    let case = case("text");
    let taps = r#"{ "taps": ["tokens", "pooled"] }"#;
    let taps = knowledge(&network::<Tokens>("text", taps, &[4]), case.tokens()).taps;
    tap_close(taps.expect("tokens"), &case.outputs["tokens"]);
    tap_close(taps.expect("pooled"), &case.outputs["pooled"]);
}

#[test]
fn logits_of_every_token() {
    let case = case("tagger");
    let network = network::<Tokens>("tagger", "{}", &[6]);
    let response = network.forward(case.tokens());

    let Response::Tokens { logits, mask } = response else {
        panic!("a response of tokens is expected");
    };
    close(logits, output(&case), CLOSE);
    assert_eq!(mask.dims(), [1, 6]);
}

#[test]
fn weights_in_a_file_beside_the_model() {
    let network = network::<Tensor<2>>("external", "{}", &[4]);
    assert_eq!(logits(&network, case("mlp").input()).dims(), [3, 3]);
    let files: Vec<_> = network
        .files()
        .iter()
        .map(|file| file.file_name().unwrap())
        .collect();
    assert_eq!(files, ["external.onnx", "external.bin"]);
}

#[test]
fn a_teacher_is_constant_and_has_no_parameters_for_burn() {
    let case = case("mlp");
    let network = network::<Tensor<2>>("mlp", r#"{ "taps": ["/hidden/Relu"] }"#, &[4]);
    assert_eq!(network.parameters(), 5 * 4 + 5 + 3 * 5 + 3);
    let teacher: OnnxTeacher<Tensor<2>> = Frozen::new(network);
    let teacher = teacher.to_device(&Device::default().autodiff()).train();
    assert_eq!(parameter_count(&teacher), 0);
    assert!(teacher.to_string().contains("mlp.onnx"), "{teacher}");

    let view = Tensor::from_inner(case.input::<2>()).require_grad();
    let batch = Batch {
        views: vec![view],
        targets: Targets::Unlabeled,
        ids: vec![0, 1, 2],
        clock: Clock::start(),
    };
    let knowledge = teacher.teach(&batch, &TapSelection::All);

    let logits = knowledge.response.classes().unwrap().clone();
    assert!(!logits.is_autodiff());
    close(logits, output(&case), CLOSE);
    let Tap::Vector(hidden) = knowledge.taps.expect("/hidden/Relu") else {
        panic!("a vector is expected");
    };
    assert!(!hidden.is_autodiff());
    let shared: OnnxNetwork<Tensor<2>> = teacher.inner().clone();
    assert_eq!(shared.path(), file("mlp"));
}
