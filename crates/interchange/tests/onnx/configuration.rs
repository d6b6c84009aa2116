//! Configurations that do not fit the file or the data.

use super::common::{case, config, data, file, logits, refusal};
use burn::tensor::Tensor;
use burn_distill_core::Tokens;
use burn_distill_interchange::{OnnxData, OnnxInput, OnnxNetwork};

fn error_for<I: OnnxInput>(name: &str, json: &str, data: &OnnxData) -> String {
    let loaded = OnnxNetwork::<I>::load(file(name), &config(json), data);
    refusal(loaded.err().expect("the configuration is refused"))
}

fn error<I: OnnxInput>(name: &str, json: &str, sample: &[usize]) -> String {
    error_for::<I>(name, json, &data(sample))
}

fn classes<const N: usize>(sample: &[usize], names: [&str; N]) -> OnnxData {
    OnnxData {
        classes: names.map(String::from).to_vec(),
        ..data(sample)
    }
}

#[test]
fn the_shape_of_a_sample_must_fit() {
    let expected = "mlp.onnx: the network takes the input features float32 [batch, 4], with the axis of the \
                    samples first, but a sample of the data has the shape [5]";
    let found = error::<Tensor<2>>("mlp", "{}", &[5]);
    assert!(found.starts_with(expected), "{found}");
    let found = error::<Tensor<4>>("cnn", "{}", &[3, 8, 8]);
    assert!(found.contains("image float32 [batch, 1, 8, 8]"), "{found}");
    let found = error::<Tensor<4>>("nhwc", "{}", &[3, 5, 6]);
    assert!(
        found.contains("give the `layout` of the network"),
        "{found}"
    );
    let resized = r#"{ "resize": [5, 6], "layout": "nhwc" }"#;
    assert!(
        OnnxNetwork::<Tensor<4>>::load(file("nhwc"), &config(resized), &data(&[3, 2, 2])).is_ok()
    );
    let found = error::<Tensor<2>>("mlp", "{}", &[1, 2, 2]);
    assert!(
        found.contains("a sample of the data has the shape [1, 2, 2], but 1 axes"),
        "{found}"
    );
}

#[test]
fn inputs_and_outputs_are_known_by_their_names() {
    let found = error::<Tensor<2>>("mlp", r#"{ "inputs": ["feature"] }"#, &[4]);
    assert_eq!(
        found,
        "mlp.onnx: the file has no input `feature`, did you mean `features`?; its inputs are `features`"
    );
    let found = error::<Tensor<2>>("mlp", r#"{ "output": "outptu" }"#, &[4]);
    assert!(
        found.starts_with(
            "mlp.onnx: `output`: the file has no tensor or node `outptu`, did you mean"
        )
    );
    let found = error::<Tensor<2>>("mlp", r#"{ "taps": ["/hidden/Rel"] }"#, &[4]);
    assert!(
        found.contains("`taps`: the file has no tensor or node `/hidden/Rel`, did you mean"),
        "{found}"
    );
    let found = error::<Tensor<2>>("several_outputs", "{}", &[4]);
    assert_eq!(
        found,
        "several_outputs.onnx: the file has several outputs, `pooled`, `logits`, `map`: give the name of the \
         logits as `output`"
    );
    let found = error::<Tokens>("text", r#"{ "inputs": ["input_ids"] }"#, &[4]);
    assert!(
        found.contains("the network also needs the input `attention_mask`"),
        "{found}"
    );
}

#[test]
fn the_meaning_of_the_outputs_is_checked() {
    let found = error::<Tensor<2>>("softmax", "{}", &[4]);
    assert_eq!(
        found,
        "softmax.onnx: the output `output` is computed by the `Softmax` of the node `/head/Softmax`: give \
         `outputs = \"probabilities\"`, or the name of its input, `logits`, as `output`"
    );
    let found = error::<Tensor<2>>("sigmoid", r#"{ "outputs": "probabilities" }"#, &[4]);
    assert!(found.contains("give `outputs = \"sigmoid\"`"), "{found}");
    let found = error::<Tensor<2>>("mlp", r#"{ "outputs": "probabilities" }"#, &[4]);
    assert!(
        found.contains("`outputs` is \"probabilities\", but a row sums to"),
        "{found}"
    );
}

#[test]
fn taps_of_another_rank_than_their_kind_are_refused() {
    let json = r#"{ "output": "logits", "taps": { "a": { "node": "map", "kind": "sequence" } } }"#;
    assert_eq!(
        error::<Tensor<2>>("several_outputs", json, &[4]),
        "several_outputs.onnx: the tap `a` (`map`) has the shape [2, 3, 1, 1], but its kind has 3 axes: give \
         another `kind`, or another tensor"
    );
}

#[test]
fn classes_are_mapped_by_name() {
    let case = case("mlp");
    let all = OnnxNetwork::<Tensor<2>>::load(file("mlp"), &config("{}"), &data(&[4])).unwrap();
    let all = logits(&all, case.input());

    let json = r#"{ "classes": ["bird", "cat", "dog"] }"#;
    let two = classes(&[4], ["dog", "bird"]);
    let mapped = OnnxNetwork::<Tensor<2>>::load(file("mlp"), &config(json), &two).unwrap();
    let mapped = logits(&mapped, case.input());
    let expected = Tensor::cat(vec![all.clone().narrow(1, 2, 1), all.narrow(1, 0, 1)], 1);
    mapped.into_data().assert_eq(&expected.into_data(), true);

    let missing = classes(&[4], ["dog", "cow"]);
    let found = error_for::<Tensor<2>>("mlp", json, &missing);
    assert!(
        found.starts_with(
            "mlp.onnx: the network has no logit for 1 of the 2 classes of the data: `cow`"
        ),
        "{found}"
    );
    let found = error_for::<Tensor<2>>("mlp", r#"{ "classes": ["dog"] }"#, &missing);
    assert!(
        found.contains("there are 1 names of classes, but the network has 3 logits"),
        "{found}"
    );
    let found = error_for::<Tensor<2>>("mlp", "{}", &missing);
    assert!(
        found.contains("the network has 3 logits, but the data has 2 classes: give the names"),
        "{found}"
    );
    let found = error_for::<Tensor<2>>("mlp", r#"{ "classes": "nowhere.txt" }"#, &missing);
    assert!(found.contains("nowhere.txt: "), "{found}");
}

#[test]
fn tokens_out_of_the_vocabulary_are_refused() {
    let data = |vocabulary| OnnxData {
        vocabulary: Some(vocabulary),
        ..data(&[4])
    };
    let load =
        |vocabulary| OnnxNetwork::<Tokens>::load(file("text"), &config("{}"), &data(vocabulary));

    assert!(load(9).is_ok());
    let found = refusal(load(10).err().unwrap());
    assert!(
        found
            .starts_with("text.onnx: the network has a vocabulary of 9 tokens, but the data of 10"),
        "{found}"
    );
}

#[test]
#[should_panic(
    expected = "the tokens should be from 0 to 8, the last one in the vocabulary of the network, but one is 9"
)]
fn a_batch_with_an_unknown_token_is_refused() {
    let network = OnnxNetwork::<Tokens>::load(file("text"), &config("{}"), &data(&[4])).unwrap();
    let mut tokens = case("text").tokens();
    tokens.ids = tokens.ids.add_scalar(1);
    logits(&network, tokens);
}
