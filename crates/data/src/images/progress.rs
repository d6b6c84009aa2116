//! Display of the progress of a scan, on a terminal.

#[cfg(feature = "images")]
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;

/// Display of the progress of a scan, which appears if it takes more than a moment.
pub struct ScanProgress {
    #[cfg(feature = "images")]
    bar: ProgressBar,
}

#[cfg(feature = "images")]
impl ScanProgress {
    pub fn new(folder: &Path, files: usize) -> Self {
        /// Number of files from which on a scan takes more than a moment.
        const MANY: usize = 2_000;

        let target = match files < MANY {
            true => ProgressDrawTarget::hidden(),
            // Hidden, too, where there is no terminal.
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(files as u64), target);
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} images, {eta}");
        let name = folder
            .file_name()
            .unwrap_or(folder.as_os_str())
            .to_string_lossy();
        let bar = bar.with_message(format!("reading {name}"));
        Self {
            bar: match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            },
        }
    }

    pub fn add_one(&self) {
        self.bar.inc(1);
    }
}

#[cfg(feature = "images")]
impl Drop for ScanProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(not(feature = "images"))]
impl ScanProgress {
    pub fn new(_: &Path, _: usize) -> Self {
        Self {}
    }

    pub fn add_one(&self) {}
}
