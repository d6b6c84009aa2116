use super::*;
use crate::DataError;
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Arrays that NumPy 2 wrote: `arange(24).reshape(2, 3, 4)` of the type `>i2` in the order of
/// Fortran; `x` from -1 to 1 in 4 by 3 steps and `y` with 3, 7, 3, 7, compressed; and the unnamed
/// `arange(6)` in 3 by 2 bytes and True, False, True.
const FORTRAN: &[u8] = include_bytes!("fixtures/fortran.npy");
const COMPRESSED: &[u8] = include_bytes!("fixtures/compressed.npz");
const PLAIN: &[u8] = include_bytes!("fixtures/plain.npz");

/// Returns the bytes of an `.npy` file with this header.
fn npy(header: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(content);
    bytes
}

fn header(element: &str, shape: &str) -> String {
    format!("{{'descr': '{element}', 'fortran_order': False, 'shape': {shape}}}\n")
}

fn npz(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ZipWriter::new(std::io::Cursor::new(&mut bytes));
    for (name, content) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// Calls a function with a file of these contents.
fn with_file<T>(name: &str, bytes: &[u8], call: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    call(&path)
}

fn open(bytes: &[u8]) -> Result<NumpyArray, DataError> {
    with_file("a.npy", bytes, |path| NumpyArray::open(path))
}

fn read(bytes: &[u8], name: &str) -> Result<NumpyArray, DataError> {
    with_file("a.npz", bytes, |path| NpzFile::open(path)?.read(name))
}

/// Returns the message of an error, from the name of the file.
fn refusal<T>(result: Result<T, DataError>) -> String {
    let message = result.err().expect("the file is refused").to_string();
    message[message.find("a.np").expect("the file is named")..].to_string()
}

#[test]
fn arrays_that_numpy_wrote_are_read() {
    let array = open(FORTRAN).unwrap();
    assert_eq!((array.shape(), array.is_integer()), (&[2, 3, 4][..], true));
    let expected: Vec<_> = (12..24).map(Some).collect();
    assert_eq!(array.integers(1).collect::<Vec<_>>(), expected);

    let x = read(COMPRESSED, "x").unwrap();
    assert_eq!((x.shape(), x.is_integer()), (&[4, 3][..], false));
    assert_eq!(x.numbers(0).next(), Some(-1.0));
    assert_eq!(x.numbers(3).last(), Some(1.0));
    assert_eq!(x.first_not_finite(), None);
    let y = read(COMPRESSED, "y").unwrap();
    assert_eq!(y.integers(1).collect::<Vec<_>>(), [Some(7)]);

    let names = with_file("a.npz", PLAIN, |path| NpzFile::open(path).unwrap().names());
    assert_eq!(names, ["arr_0", "arr_1"]);
    assert!(read(PLAIN, "arr_0").unwrap().is_byte());
    let truths = read(PLAIN, "arr_1").unwrap();
    let truths: Vec<_> = (0..3).flat_map(|n| truths.integers(n)).collect();
    assert_eq!(truths, [Some(1), Some(0), Some(1)]);
}

#[test]
fn numbers_that_are_not_finite_are_found() {
    let content: Vec<_> = [1.0_f64, 2.0, 1e300, f64::NAN]
        .map(f64::to_le_bytes)
        .concat();
    let array = open(&npy(&header("<f8", "(4,)"), &content)).unwrap();

    assert_eq!(array.first_not_finite(), Some((2, f32::INFINITY)));
}

#[test]
fn a_promise_that_the_file_does_not_hold_is_refused() {
    assert_eq!(
        refusal(open(&npy(
            &header("<f4", "(1152921504606846976,)"),
            &[0; 8]
        ))),
        "a.npy: at byte 84: expected 4611686018427387904 bytes, for an array of the shape \
         [1152921504606846976], found 8"
    );
    assert_eq!(
        refusal(open(&npy(&header("|u1", "(3,)"), &[0; 4]))),
        "a.npy: at byte 66: expected 3 bytes, for an array of the shape [3], found 4"
    );
    assert_eq!(
        refusal(open(&npy(&header("|u1", "()"), &[0]))),
        "a.npy: at byte 10: expected an array whose first axis is that of the samples, found a single number"
    );
    assert_eq!(
        refusal(open(&npy(&header("|u1", "(1152921504606846976, 0)"), &[]))),
        "a.npy: at byte 10: expected an array with elements, found one of the shape \
         [1152921504606846976, 0]"
    );
    assert!(refusal(open(&FORTRAN[..50])).contains("expected a header of 118 bytes"));
    assert!(refusal(open(b"")).contains("found an empty file"));
    // An array that begins where version 2 has the rest of the length.
    let short = npy("", &[]);
    assert_eq!(
        refusal(open(&short)),
        "a.npy: at byte 10: expected `{`, found the end of the header"
    );
}

#[test]
fn archives_name_their_arrays_and_their_faults() {
    assert_eq!(
        refusal(read(COMPRESSED, "z")),
        "a.npz: there is no array `z`; the file holds `x`, `y`"
    );
    let none = npz(&[("notes.txt", b"hello")], CompressionMethod::Stored);
    assert!(refusal(read(&none, "x")).ends_with("the file holds no arrays"));
    assert!(refusal(read(FORTRAN, "x")).starts_with("a.npz: at byte 0: expected an .npz file"));

    let other = npz(&[("x.npy", b"hello")], CompressionMethod::Stored);
    let message = refusal(read(&other, "x"));
    assert!(
        message.starts_with("a.npz/x.npy: at byte 0: expected `\\x93NUMPY`"),
        "{message}"
    );
}

#[test]
fn an_array_that_was_changed_after_it_was_written_is_refused() {
    let content = npy(&header("|u1", "(100,)"), &[7; 100]);
    let mut bytes = npz(&[("x.npy", &content)], CompressionMethod::Stored);
    assert!(read(&bytes, "x").is_ok());

    let place = bytes
        .windows(100)
        .position(|part| part == [7; 100])
        .unwrap();
    bytes[place + 50] = 8;
    assert!(
        refusal(read(&bytes, "x")).contains("a.npz/x.npy"),
        "by its checksum"
    );
}

#[test]
fn a_bomb_is_refused_before_it_is_decompressed() {
    let size = (SMALL_ENOUGH + 1) as usize;
    let content = npy(&header("|u1", &format!("({size},)")), &vec![0; size]);
    let bytes = npz(&[("x.npy", &content)], CompressionMethod::Deflated);

    let message = refusal(read(&bytes, "x"));
    assert!(
        message.contains("expected an array of at most 16777216 bytes, 100 times"),
        "{message}"
    );

    // Up to that size, zeros may be compressed as well as they can.
    let content = npy(&header("|u1", "(1000000,)"), &[0; 1_000_000]);
    let bytes = npz(&[("x.npy", &content)], CompressionMethod::Deflated);
    assert!(bytes.len() < 2_000);
    assert_eq!(read(&bytes, "x").unwrap().samples(), 1_000_000);
}

/// Largest array that may be compressed without limit.
const SMALL_ENOUGH: u64 = 16 << 20;

proptest! {
    #[test]
    fn arrays_are_read_as_they_are_written(
        samples in 1_usize..5,
        features in 1_usize..5,
        big_endian: bool,
        seed: u32,
    ) {
        let values: Vec<f32> = (0..samples * features)
            .map(|place| (seed ^ place as u32) as f32 - 7.5)
            .collect();
        let bytes = values.iter().flat_map(|value| match big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        });
        let element = if big_endian { ">f4" } else { "<f4" };
        let header = header(element, &format!("({samples}, {features})"));
        let array = open(&npy(&header, &bytes.collect::<Vec<_>>())).unwrap();

        let read: Vec<_> = (0..samples).flat_map(|n| array.numbers(n)).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn damaged_arrays_are_read_or_refused(
        length in 0..FORTRAN.len() + 1,
        flips in prop::collection::vec(0..FORTRAN.len() * 8, 0..4),
    ) {
        let mut bytes = FORTRAN[..length].to_vec();
        flip(&mut bytes, &flips);
        if let Ok(array) = open(&bytes) {
            // What is read is never larger than the file.
            prop_assert!(array.shape().iter().product::<usize>() <= bytes.len());
            for sample in 0..array.samples() {
                array.integers(sample).for_each(drop);
            }
        }
    }

    #[test]
    fn damaged_archives_are_read_or_refused(
        length in COMPRESSED.len() - 60..COMPRESSED.len() + 1,
        flips in prop::collection::vec(0..COMPRESSED.len() * 8, 0..4),
    ) {
        let mut bytes = COMPRESSED[..length].to_vec();
        flip(&mut bytes, &flips);
        if let Ok(array) = read(&bytes, "x") {
            // A changed name may make `y` a second `x`, but no change can make another array.
            prop_assert!([&[4, 3][..], &[4]].contains(&array.shape()));
        }
        let _ = read(&bytes, "y");
    }

    #[test]
    fn foreign_files_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes, "x").is_err());
        prop_assert!(open(&bytes).is_err());
        let as_header = npy(&String::from_utf8_lossy(&bytes), &[]);
        prop_assert!(open(&as_header).is_err());
    }
}

/// Flips these bits, where there are any.
fn flip(bytes: &mut [u8], flips: &[usize]) {
    for &bit in flips {
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }
}
