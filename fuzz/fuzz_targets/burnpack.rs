#![no_main]
//! Files of weights of burn.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| burn_distill_fuzz::open_as(b"NRUB", bytes));
