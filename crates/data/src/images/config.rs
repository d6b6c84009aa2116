use super::preprocessing::{ImageResize, Preprocessing};
use crate::Normalization;
use crate::class_list::{ClassList, is_labeled, labeled};
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Configuration of an [`ImageFolder`](crate::ImageFolder).
///
/// Each subfolder is a class of this name, in alphabetical order. The folder may instead hold the
/// folders `train` and, if there are any, `val` (or `valid`, or `validation`) and `test`, each with
/// the subfolders of its classes.
///
/// Images are PNG, JPEG, BMP, GIF (the first frame) or WebP, by their contents and not by the
/// ending of their names. They are decoded to 8 bits per value, without transparency, and rotated
/// by their EXIF orientation, as image viewers do. Hidden files and `__MACOSX` are ignored; other
/// files are left out and counted in the log. Links are followed, but a link to a folder that
/// contains it is an error.
///
/// With [`labels`](Self::labels) set to false the images have no labels, and the names of subfolders
/// are ignored. Only the test images may have labels: those in subfolders with the names of
/// [`classes`](Self::classes).
///
/// ```
/// use burn_distill_data::{ImageFolderConfig, ImageResize};
///
/// let config = ImageFolderConfig {
///     resize: Some(ImageResize::Shorter(72)),
///     crop: Some([64, 64]),
///     ..ImageFolderConfig::new("photos")
/// };
///
/// assert!(config.load().unwrap_err().to_string().starts_with("photos: "));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFolderConfig {
    /// Folder of the images.
    pub folder: PathBuf,
    /// Folder of the test images, with subfolders of the same names. Default: `test` in `folder`,
    /// if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_folder: Option<PathBuf>,
    /// Whether the images are labeled, by the subfolders that they are in.
    #[serde(default = "labeled", skip_serializing_if = "is_labeled")]
    pub labels: bool,
    /// Classes of unlabeled images, in the order of the logits of the teacher. Default for recipes:
    /// those of the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassList>,
    /// Size that images are resized to: that of the shorter side, or height and width. Default:
    /// unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<ImageResize>,
    /// Height and width of the center crop after the resize. Default: no crop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[usize; 2]>,
    /// Number of channels: 1 for gray, 3 for color. Default: 1 if all images are gray, otherwise 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Treatment of images that cannot be decoded.
    #[serde(default)]
    pub broken: BrokenImages,
    /// Constants that the pixels are normalized by. Default: measured on the training samples of a
    /// recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Memory for decoded images, in MiB; further images are decoded for every batch. Default:
    /// 1024.
    #[serde(default = "memory_mib")]
    pub memory_mib: usize,
}

/// Treatment of images that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenImages {
    /// Loading fails, with an error that names the first of them.
    #[default]
    Refuse,
    /// The images are left out, with a warning.
    Skip,
}

fn memory_mib() -> usize {
    1024
}

impl ImageFolderConfig {
    /// Creates the configuration of a folder, with default values.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            test_folder: None,
            labels: true,
            classes: None,
            resize: None,
            crop: None,
            channels: None,
            broken: BrokenImages::default(),
            normalization: None,
            memory_mib: memory_mib(),
        }
    }

    /// Returns the steps from an image file to pixels.
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            resize: self.resize,
            crop: self.crop,
            channels: self.channels,
        }
    }

    /// Returns the name of the data in reports: that of the folder.
    pub fn name(&self) -> String {
        let name = self.folder.file_name();
        let name = name.map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.folder.display().to_string())
    }
}

impl Check for ImageFolderConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let given = |path: &Path| !path.as_os_str().is_empty();
        check::ensure(
            given(&self.folder),
            "folder",
            "the path of a folder",
            "empty",
        )?;
        let test = self.test_folder.as_deref();
        check::ensure(
            test.is_none_or(given),
            "test_folder",
            "the path of a folder",
            "empty",
        )?;
        ClassList::check(self.classes.as_ref(), self.labels)?;
        self.preprocessing().check()?;
        let Some(Normalization { mean, std }) = &self.normalization else {
            return Ok(());
        };
        let channels = self.channels.unwrap_or(mean.len());
        check::ensure(
            mean.len() == channels && std.len() == channels && [1, 3].contains(&channels),
            "normalization",
            match self.channels {
                Some(1) => "one mean and one standard deviation",
                Some(_) => "3 means and 3 standard deviations",
                None => "the same number of means and of standard deviations, 1 or 3",
            },
            format_args!("{} and {}", mean.len(), std.len()),
        )?;
        check::ensure(
            mean.iter().all(|mean| mean.is_finite()),
            "normalization.mean",
            "finite",
            format_args!("{mean:?}"),
        )?;
        check::ensure(
            std.iter().all(|std| std.is_finite() && *std > 0.0),
            "normalization.std",
            "finite and above 0",
            format_args!("{std:?}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut ImageFolderConfig)) -> String {
        let mut config = ImageFolderConfig::new("photos");
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    fn normalization(mean: &[f32], std: &[f32]) -> Option<Normalization> {
        Some(Normalization {
            mean: mean.to_vec(),
            std: std.to_vec(),
        })
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_key() {
        assert!(ImageFolderConfig::new("photos").check().is_ok());
        assert_eq!(
            refusal(|config| config.folder = PathBuf::new()),
            "`folder` should be the path of a folder, but is empty"
        );
        assert_eq!(
            refusal(|config| config.test_folder = Some(PathBuf::new())),
            "`test_folder` should be the path of a folder, but is empty"
        );
        assert_eq!(
            refusal(|config| config.channels = Some(4)),
            "`channels` should be 1 (gray) or 3 (color), but is 4"
        );
        assert_eq!(
            refusal(|config| config.normalization = normalization(&[0.5], &[0.5, 0.5])),
            "`normalization` should be the same number of means and of standard deviations, 1 or \
             3, but is 1 and 2"
        );
        assert_eq!(
            refusal(|config| {
                config.channels = Some(3);
                config.normalization = normalization(&[0.5], &[0.5]);
            }),
            "`normalization` should be 3 means and 3 standard deviations, but is 1 and 1"
        );
        assert_eq!(
            refusal(|config| config.normalization = normalization(&[0.5], &[0.0])),
            "`normalization.std` should be finite and above 0, but is [0.0]"
        );
        assert_eq!(
            refusal(|config| config.normalization = normalization(&[f32::NAN], &[1.0])),
            "`normalization.mean` should be finite, but is [NaN]"
        );
    }

    #[test]
    fn a_configuration_is_written_and_read_back() {
        let config = ImageFolderConfig {
            resize: Some(ImageResize::Shorter(72)),
            crop: Some([64, 48]),
            broken: BrokenImages::Skip,
            normalization: normalization(&[0.5], &[0.25]),
            ..ImageFolderConfig::new("photos/cats")
        };
        let text = serde_json::to_string(&config).unwrap();

        assert_eq!(
            serde_json::from_str::<ImageFolderConfig>(&text).unwrap(),
            config
        );
        assert!(
            text.contains(r#""resize":72,"crop":[64,48],"broken":"skip""#),
            "{text}"
        );
        let plain = r#"{ "folder": "photos" }"#;
        assert_eq!(
            serde_json::from_str::<ImageFolderConfig>(plain).unwrap(),
            ImageFolderConfig::new("photos")
        );
        assert_eq!(config.name(), "cats");
    }
}
