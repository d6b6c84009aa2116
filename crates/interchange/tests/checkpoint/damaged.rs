//! Files that are cut off or changed: an error or other values, but no panic.

use super::{FIXTURES, opened, path};
use burn::module::Module;
use burn::nn::LinearConfig;
use burn::tensor::Device;
use burn_distill_core::WeightsFile;
use proptest::prelude::*;
use std::fs;
use std::sync::LazyLock;

static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let read = |name| (name, fs::read(path(name)).unwrap());
    FIXTURES
        .into_iter()
        .map(read)
        .chain([("model.bpk", burnpack())])
        .collect()
});

/// A file of burn without its checksum, which would catch every change.
fn burnpack() -> Vec<u8> {
    let linear = LinearConfig::new(3, 2).init(&Device::default());
    linear.into_record().into_bytes().unwrap().to_vec()
}

#[test]
fn files_that_end_early_are_refused() {
    for (name, whole) in FILES.iter() {
        for length in (0..whole.len()).step_by(7) {
            let error = opened(&whole[..length]).err();
            let error = error.unwrap_or_else(|| panic!("{name} of {length} bytes is read"));
            assert!(
                error.to_string().contains("model.pth: "),
                "{name} {length}: {error}"
            );
        }
    }
}

#[test]
fn a_file_with_a_checksum_notices_a_changed_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bpk");
    let linear = LinearConfig::new(3, 2).init(&Device::default());
    WeightsFile::new(linear.into_record())
        .unwrap()
        .write(&path)
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;

    let error = opened(&bytes).err().unwrap().to_string();
    assert!(error.contains("the file is damaged"), "{error}");
}

// More cases with `PROPTEST_CASES`.
proptest! {
    #[test]
    fn changed_bits_do_no_harm(
        file in 0..FIXTURES.len() + 1,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..6),
    ) {
        let mut bytes = FILES[file].1.clone();
        for (place, bit) in changes {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if let Err(error) = opened(&bytes) {
            prop_assert!(error.to_string().contains("model.pth: "), "{}", error);
        }
    }

    #[test]
    fn changed_bytes_of_a_pickle_do_no_harm(
        file in prop::sample::select(vec![0_usize, 1, 2, 3, 7, 9]),
        place in 0..1_500_usize,
        with in prop::collection::vec(any::<u8>(), 1..5),
    ) {
        let mut bytes = FILES[file].1.clone();
        let end = (place + with.len()).min(bytes.len());
        let start = place.min(end);
        bytes[start..end].copy_from_slice(&with[..end - start]);
        if let Err(error) = opened(&bytes) {
            prop_assert!(error.to_string().contains("model.pth: "), "{}", error);
        }
    }

    #[test]
    fn other_bytes_do_no_harm(
        head in prop::sample::select(vec![&b"PK\x03\x04"[..], b"NRUB", b"\x80\x02", b""]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert!(opened(&[head, &rest].concat()).is_err());
    }
}
