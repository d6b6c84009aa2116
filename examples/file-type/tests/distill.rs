//! The distillation from a teacher that depends only on the first byte of a file.

mod common;

use burn::module::Module;
use burn::prelude::*;
use burn_distill::core::{Network, Response, TapRecorder, Tokens, WeightsFile};
use common::{files, kind};
use file_type::files::Purpose;
use file_type::student::Student;
use file_type::teacher::{Recorded, tokens};
use file_type::{Settings, distill};
use std::fs;
use tempfile::TempDir;

/// Logits of three classes from the first byte: below 64, below 128, or above.
#[derive(Module, Debug)]
struct FirstByte;

impl Network for FirstByte {
    type Input = Tokens;

    fn forward_tapped(&self, files: Tokens, _: &mut TapRecorder) -> Response {
        let first = files.ids.narrow(1, 0, 1).float();
        let low = first.clone().neg().add_scalar(64.0);
        let high = first.clone().sub_scalar(128.0);
        Tensor::cat(vec![low, first.zeros_like(), high], 1)
            .div_scalar(8.0)
            .into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tokens {
        Student::new(1, 3, device).example(samples, device)
    }
}

fn settings(folder: &TempDir) -> Settings {
    Settings {
        folder: folder.path().join("run"),
        width: 12,
        epochs: 25,
        base_lr: 0.01,
        temperature: 2.0,
        seed: 0,
    }
}

#[test]
fn the_student_agrees_with_the_teacher_on_unseen_files() {
    let (files, out) = (files(), tempfile::tempdir().unwrap());
    let device = Device::default();
    let teacher = Recorded::of(&FirstByte, &files);
    let outcome = distill(&files, teacher, &settings(&out), &device).unwrap();

    let unseen: Vec<_> = (0..files.len())
        .filter(|&file| files[file].purpose == Purpose::Unseen)
        .collect();
    assert_eq!(outcome.unseen, unseen);
    assert!(outcome.teacher.iter().copied().eq(files.iter().map(kind)));
    assert!(outcome.agreement() > 0.9, "{}", outcome.agreement());

    // The file holds the student.
    assert_eq!(outcome.bytes, fs::metadata(&outcome.file).unwrap().len());
    let record = WeightsFile::read(&outcome.file).unwrap().into_record();
    let read = Student::new(12, 3, &device).load_record(record.unwrap());
    let file = tokens(&[files[unseen[0]].tokens.clone()], &device);
    let [here, there] = [&read, &outcome.student].map(|student| {
        let logits = student.forward(file.clone()).rows().logits;
        logits.into_data()
    });
    here.assert_eq(&there, true);
}

#[test]
fn a_teacher_without_files_for_a_purpose_is_refused() {
    let (mut files, out) = (files(), tempfile::tempdir().unwrap());
    files.retain(|file| file.purpose != Purpose::Valid);

    let teacher = Recorded::of(&FirstByte, &files);
    let result = distill(&files, teacher, &settings(&out), &Device::default());

    let error = result.err().unwrap().to_string();
    assert!(error.contains("files is for validation"), "{error}");
    assert!(error.contains("give larger folders"), "{error}");
}

#[test]
fn the_student_depends_on_every_part_of_a_file() {
    let device = Device::default();
    device.seed(0);
    let student = Student::new(8, 3, &device);
    let logits = |file: Vec<u16>| {
        let logits = student.forward(tokens(&[file.into()], &device));
        logits
            .rows()
            .logits
            .into_data()
            .iter()
            .collect::<Vec<f32>>()
    };
    let plain = vec![7; 2048];
    for place in [0, 5, 1023, 1024, 2046, 2047] {
        let mut other = plain.clone();
        other[place] = 200;
        assert_ne!(logits(plain.clone()), logits(other), "{place}");
    }
}
