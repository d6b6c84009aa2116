#![no_main]
//! ONNX files, which are checked, prepared and run once.

use burn::tensor::Tensor;
use burn_distill_core::Tokens;
use burn_distill_fuzz::with_file;
use burn_distill_interchange::{OnnxConfig, OnnxData, OnnxFile, OnnxInput, OnnxNetwork};
use libfuzzer_sys::fuzz_target;

fn run<I: OnnxInput>(file: &OnnxFile, sample: &[usize]) {
    let data = OnnxData {
        sample: sample.to_vec(),
        ..OnnxData::default()
    };
    let _ = OnnxNetwork::<I>::new(file, &OnnxConfig::default(), &data);
}

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        let Ok(file) = OnnxFile::read(path) else {
            return;
        };
        let _ = (file.opset(), file.parameters());
        // The shapes of the samples are those of the fixtures of the tests. The length chooses, so
        // that every input is a file as it is.
        match bytes.len() % 4 {
            0 => run::<Tensor<2>>(&file, &[4]),
            1 => run::<Tensor<3>>(&file, &[5, 8]),
            2 => run::<Tensor<4>>(&file, &[1, 8, 8]),
            _ => run::<Tokens>(&file, &[4]),
        }
    });
});
