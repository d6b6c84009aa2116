//! Files with random changes are loaded or refused, without a panic.

use super::common::{config, data, file};
use burn::tensor::Tensor;
use burn_distill_core::Tokens;
use burn_distill_interchange::{OnnxInput, OnnxNetwork};
use std::fs;

/// A generator of numbers that look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Changes bits, bytes, or runs of bytes.
fn mutated(whole: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=numbers.below(3) {
        let place = numbers.below(bytes.len());
        match numbers.below(6) {
            0 | 1 => bytes[place] ^= 1 << numbers.below(8),
            2 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            3 => bytes[place] = numbers.below(256) as u8,
            4 => {
                bytes.remove(place);
            }
            _ => {
                let end = (place + 1 + numbers.below(8)).min(bytes.len());
                let copy = bytes[place..end].to_vec();
                bytes.splice(place..place, copy);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn load<I: OnnxInput>(name: &str, sample: &[usize], count: usize) -> usize {
    let whole = fs::read(file(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for _ in 0..count {
        fs::write(&path, mutated(&whole, &mut numbers)).unwrap();
        let loaded = OnnxNetwork::<I>::load(&path, &config("{}"), &data(sample));
        if let Err(error) = loaded {
            let text = error.to_string();
            assert!(text.starts_with(&path.display().to_string()), "{text}");
            refused += 1;
        }
    }
    refused
}

fn load_all(count: usize) {
    let refused = [
        load::<Tensor<2>>("mlp", &[4], count),
        load::<Tensor<4>>("cnn", &[1, 8, 8], count),
        load::<Tensor<4>>("nhwc", &[3, 5, 6], count),
        load::<Tokens>("segments", &[4], count),
    ];
    assert!(
        refused.iter().all(|refused| *refused > count / 10),
        "{refused:?}"
    );
}

#[test]
fn files_with_random_changes_are_loaded_or_refused() {
    load_all(100);
}

#[test]
#[ignore = "takes minutes"]
fn files_with_thousands_of_random_changes_are_loaded_or_refused() {
    load_all(5_000);
    load::<Tensor<3>>("transformer", &[5, 8], 5_000);
}
