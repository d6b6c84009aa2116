use super::*;
use crate::{Bufferable, Input, Tokens};
use burn::tensor::{Device, Int, Tensor};

fn tokens(device: &Device) -> AnyInput {
    AnyInput::Tokens(Tokens {
        ids: Tensor::from_data([[1, 2], [3, 0], [5, 6]], device),
        mask: Tensor::from_data([[true, true], [true, false], [true, true]], device),
    })
}

/// One input of each kind, of three samples.
fn all(device: &Device) -> [AnyInput; 4] {
    let numbers = Tensor::<1, Int>::arange(0..12, device).float();
    [
        AnyInput::Images(numbers.clone().reshape([3, 1, 2, 2])),
        AnyInput::Vectors(numbers.clone().reshape([3, 4])),
        AnyInput::Sequences(numbers.reshape([3, 2, 2])),
        tokens(device),
    ]
}

fn values(input: AnyInput) -> Vec<f32> {
    match input {
        AnyInput::Images(images) => images.into_data().iter().collect(),
        AnyInput::Vectors(vectors) => vectors.into_data().iter().collect(),
        AnyInput::Sequences(sequences) => sequences.into_data().iter().collect(),
        AnyInput::Tokens(Tokens { ids, mask }) => {
            let ids = ids.into_data();
            let mask = mask.int().into_data();
            ids.iter().chain(mask.iter()).collect()
        }
    }
}

#[test]
fn every_kind_is_selected_and_joined_as_the_input_inside() {
    let device = Device::flex();
    for input in all(&device) {
        let kind = input.kind();
        let last = Tensor::from_data([2], &device);
        let selected = input.clone().select(last);
        let joined = AnyInput::concat(vec![selected, input.clone()]);

        assert_eq!((input.len(), joined.len(), joined.kind()), (3, 4, kind));
        assert_eq!(joined.sample_shape(), input.sample_shape());
        let rest = Tensor::from_data([1, 2, 3], &device);
        assert_eq!(values(joined.select(rest)), values(input), "{kind}");
    }
}

#[test]
#[should_panic(
    expected = "All inputs should be images: the network takes images, but the input is vectors."
)]
fn inputs_of_two_kinds_are_not_joined() {
    let [images, vectors, ..] = all(&Device::flex());

    AnyInput::concat(vec![images, vectors]);
}

#[test]
fn every_kind_is_remembered() {
    let device = Device::flex();
    for input in all(&device) {
        let memory = input.clone().into_buffers();
        let first = input.clone().select(Tensor::from_data([1, 0], &device));
        first.clone().store(&memory);

        let recalled = AnyInput::load(&memory, 2, &device);
        assert_eq!(recalled.kind(), input.kind());
        assert_eq!(values(recalled), values(first));
    }
}

#[test]
fn an_input_of_another_kind_than_that_of_the_network_is_refused() {
    let error = Tensor::<4>::try_from(tokens(&Device::flex())).unwrap_err();

    let expected = "the network takes images, but the input is tokens";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn shapes_are_written_as_their_sizes_and_read_again() {
    for (shape, json) in [
        (InputShape::Image([3, 8, 8]), "[3,8,8]"),
        (InputShape::Sequence([5, 16]), "[5,16]"),
        (InputShape::Vector([7]), "[7]"),
        (
            InputShape::Tokens {
                length: 5,
                vocabulary: 100,
            },
            r#"{"length":5,"vocabulary":100}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&shape).unwrap(), json);
        assert_eq!(serde_json::from_str::<InputShape>(json).unwrap(), shape);
    }
}
