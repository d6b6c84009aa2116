#![no_main]
//! Image files, with the steps that follow the decoder.

use burn_distill_data::{ImageResize, Preprocessing};
use burn_distill_fuzz::with_file;
use libfuzzer_sys::fuzz_target;

/// Returns one of some preprocessings. The length chooses, so that every input is an image file as
/// it is.
fn preprocessing(length: usize) -> Preprocessing {
    let mut steps = Preprocessing::default();
    match length % 4 {
        0 => {}
        1 => steps.channels = Some(1),
        2 => {
            steps.resize = Some(ImageResize::Exact([7, 5]));
            steps.channels = Some(3);
        }
        _ => {
            steps.resize = Some(ImageResize::Shorter(8));
            steps.crop = Some([8, 6]);
        }
    }
    steps
}

fuzz_target!(|bytes: &[u8]| {
    let steps = preprocessing(bytes.len());
    if let Ok(image) = with_file(bytes, |path| steps.read(path)) {
        assert_eq!(image.pixels.len(), image.shape.iter().product::<usize>());
        assert!(steps.channels.is_none_or(|count| count == image.shape[0]));
    }
});
