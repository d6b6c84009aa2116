//! Files that were made to harm.

use super::archive::{Member, archive, of_pickle, weights_and, with_zip64};
use super::{opened, refusal};
use std::time::{Duration, Instant};

/// 4 values of single precision.
const STORAGE: [u8; 16] = [0; 16];

/// Returns the error about an archive with that pickle.
fn of(pickle: &[u8]) -> String {
    refusal(&of_pickle(pickle, &STORAGE))
}

#[test]
fn the_archive_of_these_tests_is_read() {
    let checkpoint = opened(&of_pickle(&weights_and(b""), &STORAGE)).unwrap();

    assert_eq!(checkpoint.get("w").unwrap().shape, [4]);
}

#[test]
fn pickles_that_call_functions_are_refused_with_their_names() {
    // `os.system("rm")` in its forms: by lines, by texts on the stack, kept before, and by INST and
    // OBJ; and functions of Python.
    let by_texts = b"\x8c\x02os\x8c\x06system\x93\x8c\x02rm\x85R";
    let kept = b"\x8c\x02os\x94\x8c\x06system\x94\x30\x30h\x00h\x01\x93\x8c\x02rm\x85R";
    for (call, name) in [
        (&b"cos\nsystem\nX\x02\0\0\0rm\x85R"[..], "os.system"),
        (b"cposix\nsystem\nX\x02\0\0\0rm\x85R", "posix.system"),
        (by_texts, "os.system"),
        (kept, "os.system"),
        (b"(X\x02\0\0\0rmios\nsystem\n", "os.system"),
        (b"(cos\nsystem\nX\x02\0\0\0rmo", "os.system"),
        (b"cbuiltins\neval\nX\x01\0\0\x001\x85R", "builtins.eval"),
        (
            b"c__builtin__\nexec\nX\x01\0\0\x001\x85R",
            "__builtin__.exec",
        ),
        (
            b"csubprocess\nPopen\nX\x02\0\0\0ls\x85R",
            "subprocess.Popen",
        ),
        (
            b"cbuiltins\n__import__\nX\x02\0\0\0os\x85R",
            "builtins.__import__",
        ),
        // Made and thrown away.
        (b"cos\nsystem\nX\x02\0\0\0rm\x85R0", "os.system"),
        // Named, but not called.
        (b"crunpy\n_run_code\n", "runpy._run_code"),
    ] {
        let pickle = weights_and(&[b"X\x01\0\0\0x", call].concat());
        let message = of(&pickle);
        let expected = format!("this PyTorch file is not read: its pickle calls `{name}`");
        assert!(message.starts_with(&expected), "{name}: {message}");
        assert!(message.contains("nothing of it was run here"), "{message}");
        // A file of a single pickle.
        let alone = refusal(&[b"\x80\x02", call, b"."].concat());
        assert!(
            alone.contains(&format!("calls `{name}`")),
            "{name}: {alone}"
        );
    }
}

#[test]
fn a_class_that_is_not_known_is_left_out() {
    let checkpoint = opened(&of_pickle(
        &weights_and(b"X\x04\0\0\0argscargparse\nNamespace\n)\x81}X\x02\0\0\0lrK\x01sb"),
        &STORAGE,
    ));
    assert_eq!(checkpoint.unwrap().tensors().len(), 1);
}

#[test]
fn a_compressed_archive_is_refused() {
    let pickle = weights_and(b"");
    let mut member = Member::new("model/data.pkl", &pickle);
    // A file that would be unpacked to four gigabytes.
    (member.method, member.sizes[1]) = (8, 0xFFFF_FFF0);
    let message = refusal(&archive(&[member]));

    let expected = "its file `model/data.pkl` is compressed, and PyTorch writes neither";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn an_archive_that_two_readers_would_read_differently_is_refused() {
    let plain = of_pickle(&weights_and(b""), &STORAGE);
    assert!(opened(&with_zip64(&plain, b"")).is_ok());

    // A directory in which the pickle is compressed, beside the one of ZIP64.
    let end = plain.len() - 22;
    let start = u32::from_le_bytes(plain[end + 16..end + 20].try_into().unwrap()) as usize;
    let mut other = plain[start..end].to_vec();
    other[10] = 8;
    let message = refusal(&with_zip64(&plain, &other));
    let expected = "two readers find different files in its archive, such as `model/data.pkl`";
    assert!(message.contains(expected), "{message}");

    // An archive behind another one, whose last record is of a second disk.
    let mut compressed = plain.clone();
    compressed[start + 10] = 8;
    let mut two = [&compressed[..], &plain].concat();
    let (first, place) = (compressed.len() as u32, two.len() - 22);
    let directory = compressed.len() + start;
    for entry in [directory, directory + 46 + "model/data.pkl".len()] {
        let header = u32::from_le_bytes(two[entry + 42..entry + 46].try_into().unwrap());
        two[entry + 42..entry + 46].copy_from_slice(&(header + first).to_le_bytes());
    }
    two[place + 16..place + 20].copy_from_slice(&(directory as u32).to_le_bytes());
    assert!(opened(&two).is_ok());
    two[place + 4] = 1;
    let message = refusal(&two);
    assert!(message.contains(expected), "{message}");
}

#[test]
fn an_archive_that_its_reader_misreads_is_refused_with_a_remedy() {
    let (pickle, storage) = (
        "resnet18_cifar100_ep9/data.pkl",
        "resnet18_cifar100_ep9/data/0",
    );
    assert_eq!(pickle.len(), 30);
    let contents = weights_and(b"");
    let plain = archive(&[
        Member::new(pickle, &contents),
        Member::new(storage, &STORAGE),
    ]);
    assert!(opened(&plain).is_ok());
    let message = refusal(&with_zip64(&plain, b""));
    assert!(
        message.contains("save it again under another name"),
        "{message}"
    );
}

#[test]
fn sizes_beyond_the_file_are_refused_before_they_are_allocated() {
    let pickle = weights_and(b"");
    let mut member = Member::new("model/data/0", &STORAGE);
    member.sizes = [0xFFFF_FF00; 2];
    let pickled = || Member::new("model/data.pkl", &pickle);
    let message = refusal(&archive(&[pickled(), member]));
    assert!(
        message.contains("`model/data/0` has 4294967040 bytes, which do not fit"),
        "{message}"
    );

    // Two names for one file, and a file that overlaps itself in a directory of many entries.
    let twice = refusal(&archive(&[pickled(), pickled()]));
    assert!(
        twice.contains("two files of the name `model/data.pkl`"),
        "{twice}"
    );
    let mut many = archive(&[pickled()]);
    let count = many.len() - 14;
    many[count..count + 4].copy_from_slice(&[0xFF; 4]);
    let message = refusal(&many);
    assert!(message.contains("should have 65535 entries"), "{message}");
}

#[test]
fn a_tensor_beyond_its_storage_is_refused() {
    let pickle = weights_and(b"");
    let short = refusal(&of_pickle(&pickle, &STORAGE[..8]));
    assert!(
        short.contains("tensor `w`: ") && short.contains("storage '0'"),
        "{short}"
    );

    // 2⁶⁰ elements, from a storage of as many.
    let huge = [&b"\x8a\x08"[..], &(1_u64 << 60).to_le_bytes()].concat();
    let original = weights_and(b"");
    let place = original
        .windows(5)
        .position(|it| it == b"cpuK\x04")
        .unwrap()
        + 3;
    let shape = original
        .windows(4)
        .position(|it| it == b"K\x04\x85K")
        .unwrap();
    let all = [
        &original[..place],
        &huge,
        &original[place + 2..shape],
        &huge,
        &original[shape + 2..],
    ];
    let message = of(&all.concat());
    assert!(
        message.contains("tensor") || message.contains("Tensor"),
        "{message}"
    );
}

#[test]
fn texts_and_numbers_beyond_the_file_are_refused() {
    for (value, expected) in [
        (
            &b"X\xff\xff\xff\xff"[..],
            "a value is of 4294967295 bytes, but",
        ),
        (b"B\xff\xff\xff\xff", "a value is of 4294967295 bytes, but"),
        (
            b"\x8d\0\0\0\0\0\0\0\x10",
            "a value is of 1152921504606846976 bytes",
        ),
        (b"\x8b\xff\xff\xff\x7f", "a value is of 2147483647 bytes"),
        (b"h\x07", "it refers to the value 7, which it has not kept"),
        (
            b"\x86\x86\x86\x86\x86\x86\x86\x86",
            "it takes a value where there is none",
        ),
        (b"\x97", "this opcode is unknown or is not read"),
    ] {
        let message = of(&weights_and(value));
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(message.contains("its pickle, at byte "), "{message}");
        assert!(
            message.starts_with("not a whole PyTorch file: "),
            "{message}"
        );
    }
}

#[test]
fn pickles_of_many_values_or_levels_are_refused_in_time() {
    let start = Instant::now();
    let lists = [&b"X\x01\0\0\0a("[..], &vec![b']'; 2_000_000], b"l"].concat();
    assert!(of(&weights_and(&lists)).contains("more than 1048576 values"));
    let marks = vec![b'('; 2_000_000];
    assert!(of(&weights_and(&marks)).contains("more than 1048576 values"));
    let deep = [&b"X\x01\0\0\0a]"[..], &vec![0x85; 100_000]].concat();
    assert!(of(&weights_and(&deep)).contains("nesting exceeds 1000 levels"));
    // Each value contains the one before it twice.
    let doubled = [&b"X\x01\0\0\0aK\x01"[..], &b"2\x86".repeat(60)].concat();
    assert!(of(&weights_and(&doubled)).contains("memo bomb"));
    // The largest index of a kept value.
    let sparse = b"X\x01\0\0\0aK\x01r\xff\xff\xff\xff";
    opened(&of_pickle(&weights_and(sparse), &STORAGE)).unwrap();
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
}

#[test]
fn headers_of_safetensors_beyond_the_file_are_refused() {
    let file = |length: u64, header: &str| [&length.to_le_bytes(), header.as_bytes()].concat();
    let whole = |header: &str| file(header.len() as u64, header);
    let huge = r#"{"w":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}"#;
    let large = r#"{"w":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}"#;
    let overflow = r#"{"w":{"dtype":"F32","shape":[18446744073709551615,3],"data_offsets":[0,4]}}"#;
    let backwards = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#;
    let deep = format!(r#"{{"w":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (contents, expected) in [
        (
            file(1 << 60, "{}"),
            "its header should be of 1152921504606846976 bytes, but the file has 10",
        ),
        (
            file(u64::MAX, "{}"),
            "its header should be of 18446744073709551615 bytes",
        ),
        (whole(huge), "its header is not valid"),
        (
            whole(large),
            "its header describes 4294967296 bytes of tensors, but the file has 0",
        ),
        (whole(overflow), "its header is not valid"),
        (whole(backwards), "its header is not valid"),
        (whole(&deep), "its header is not valid"),
        (whole("{}"), "it holds no tensors"),
        (whole("{"), "its header is not valid"),
    ] {
        let message = refusal(&contents);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn types_that_burn_lacks_are_named() {
    let header = r#"{"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#;
    let length = header.len() as u64;
    let message = refusal(&[&length.to_le_bytes(), header.as_bytes(), &[0, 0]].concat());

    assert_eq!(
        message,
        "tensor `w`: its elements are of the type f8_e4m3, which is not supported: save it as \
         float16 or float32"
    );
}

#[test]
fn other_archives_and_programs_are_named() {
    let empty = archive(&[Member::new("readme.txt", b"hello")]);
    assert!(refusal(&empty).contains("should have one file `data.pkl`, but has 0"));
    let program = archive(&[
        Member::new("m/data.pkl", b"\x80\x02N."),
        Member::new("m/constants.pkl", b""),
    ]);
    assert!(refusal(&program).contains("a TorchScript program: save the `state_dict()`"));
    let plain = refusal(b"\x80\x02}X\x01\0\0\0aK\x01s.");
    assert!(
        plain.contains("it begins with a pickle, but not as PyTorch writes them"),
        "{plain}"
    );
}
