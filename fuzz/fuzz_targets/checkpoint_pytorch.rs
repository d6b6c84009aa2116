#![no_main]
//! Checkpoints of PyTorch: archives, legacy files, and bytes of any other format.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| burn_distill_fuzz::open(bytes));
