#![no_main]
//! Files of PyTorch: archives, and what is none.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| burn_distill_fuzz::open(bytes));
