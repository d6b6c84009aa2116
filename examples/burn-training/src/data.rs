//! The data of the program: its data set, batch and batcher.

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::{Dataset, DatasetError};
use burn::prelude::*;
use flate2::read::GzDecoder;
use std::io::{BufRead, BufReader};

/// One handwritten digit of 8×8 pixels from 0 to 16.
#[derive(Clone, Debug)]
pub struct Digit {
    pixels: Vec<f32>,
    class: i64,
}

/// The optical digits of the UCI repository (E. Alpaydin and C. Kaynak, CC BY 4.0).
pub struct DigitDataset {
    digits: Vec<Digit>,
}

impl DigitDataset {
    /// Loads all digits except those of the test set.
    pub fn train() -> Self {
        Self::part(|index| index % 4 != 0)
    }

    /// Loads every fourth digit.
    pub fn test() -> Self {
        Self::part(|index| index % 4 == 0)
    }

    fn part(is_part: impl Fn(usize) -> bool) -> Self {
        let csv = include_bytes!("../../../crates/data/data/digits.csv.gz");
        let lines = BufReader::new(GzDecoder::new(&csv[..])).lines();
        let digits = lines.enumerate().filter(|(index, _)| is_part(*index));
        let digits = digits.map(|(_, line)| {
            let line = line.expect("the embedded file is readable");
            let values = line
                .split(',')
                .map(|value| value.parse().expect("a number"));
            let mut pixels: Vec<f32> = values.collect();
            let class = pixels.pop().expect("a label ends the line") as i64;
            Digit { pixels, class }
        });
        Self {
            digits: digits.collect(),
        }
    }
}

impl Dataset<Digit> for DigitDataset {
    fn get(&self, index: usize) -> Result<Digit, DatasetError> {
        Ok(self.digits[index].clone())
    }

    fn len(&self) -> usize {
        self.digits.len()
    }
}

/// The digits of one training step.
#[derive(Clone, Debug)]
pub struct DigitBatch {
    /// Shape: `[batch_size, 8, 8]`.
    pub images: Tensor<3>,
    /// Shape: `[batch_size]`.
    pub targets: Tensor<1, Int>,
}

/// A batcher of digits.
#[derive(Clone)]
pub struct DigitBatcher;

impl Batcher<Digit, DigitBatch> for DigitBatcher {
    fn batch(&self, digits: Vec<Digit>, device: &Device) -> DigitBatch {
        let pixels = digits.iter().flat_map(|digit| digit.pixels.iter().copied());
        let pixels = TensorData::new(pixels.collect(), [digits.len(), 8, 8]);
        let classes: Vec<_> = digits.iter().map(|digit| digit.class).collect();
        DigitBatch {
            images: Tensor::from_data(pixels, device)
                .div_scalar(8.0)
                .sub_scalar(1.0),
            targets: Tensor::from_data(classes.as_slice(), device),
        }
    }
}
