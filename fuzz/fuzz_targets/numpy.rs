#![no_main]
//! Arrays of NumPy: `.npy` files, and archives of them.

use burn_distill_data::{NpzFile, NumpyArray};
use burn_distill_fuzz::with_file;
use libfuzzer_sys::fuzz_target;

/// Number of elements up to which all are read, to keep the rate of inputs high.
const READ: usize = 1 << 12;

fn read(array: &NumpyArray) {
    let elements: usize = array.shape().iter().product();
    if elements > READ {
        return;
    }
    for sample in 0..array.samples() {
        let count = array.numbers(sample).count();
        assert_eq!(count * array.samples(), elements);
        array.integers(sample).for_each(drop);
    }
    if let Some((sample, number)) = array.first_not_finite() {
        assert!(sample < array.samples() && !number.is_finite());
    }
}

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        if let Ok(array) = NumpyArray::open(path) {
            read(&array);
        }
        if let Ok(mut archive) = NpzFile::open(path) {
            for name in archive.names() {
                if let Ok(array) = archive.read(&name) {
                    read(&array);
                }
            }
        }
    });
});
