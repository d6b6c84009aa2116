use super::config::{BrokenImages, ImageFolderConfig};
use super::dataset::{FolderData, ImageFolder};
use super::files::IMAGES;
use super::scan::{Memory, Scan, ScannedImage};
use crate::listing::{Layout, Listing, PartFolders, empty_class, invalid};
use crate::{DataError, TrainTestData};
use burn_distill_core::Check;
use std::path::{Path, PathBuf};

/// Number of files that a message names.
const NAMED: usize = 3;

impl ImageFolderConfig {
    /// Reads every image of the folder once: its checksum, its size, and whether it can be decoded.
    ///
    /// Skipped images are logged as a warning, files that are not images as information.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Config`] if a value is invalid, [`DataError::Image`] if an image cannot
    /// be decoded and such images are refused, and [`DataError::Invalid`] if the folder is not laid
    /// out as described above, or if the images differ in size.
    pub fn load(&self) -> Result<TrainTestData<ImageFolder>, DataError> {
        self.check()?;
        if cfg!(not(feature = "images")) {
            return Err(invalid(
                &self.folder,
                "this program was built without the feature `images`, which decodes images: build it \
                 with that feature",
            ));
        }
        let PartFolders {
            train,
            validation,
            test,
        } = PartFolders::of(&self.folder, IMAGES)?.with_test(
            "test_folder",
            self.test_folder.as_deref(),
            IMAGES,
            self.labels,
        )?;
        let memory = Memory::of_mib(self.memory_mib);
        let layout = Layout {
            kind: IMAGES,
            labels: self.labels,
            classes: self.classes.as_ref(),
        };
        let folder = train;
        let train = self.part(&folder, layout.train(&folder)?, &memory)?;
        let labels = train.images.iter().map(|image| image.label);
        let is_known = train.labeled && !train.images.is_empty();
        if let Some(class) = empty_class(&train.classes, labels).filter(|_| is_known) {
            return Err(invalid(
                &folder,
                format_args!(
                    "all images of the class {class} are broken: add others, or remove its folder"
                ),
            ));
        }
        let part = |folder: Option<PathBuf>, of: &dyn Fn(&Path) -> Result<Listing, DataError>| {
            match folder {
                Some(folder) => self.part(&folder, of(&folder)?, &memory).map(Some),
                None => Ok(None),
            }
        };
        let classes = &train.classes;
        let validation = part(validation, &|folder| layout.validation(folder, classes))?;
        let test = part(test, &|folder| layout.test(folder, classes))?;
        let parts = [Some(train), validation, test];

        let shape = self.shape(parts.iter().flatten())?;
        let [train, validation, test] = parts.map(|part| {
            part.map(|part| {
                let folder = ImageFolder::new(FolderData {
                    name: self.name(),
                    shape,
                    preprocessing: self.preprocessing(),
                    images: part.images,
                    classes: part.classes,
                    labeled: part.labeled,
                });
                match &self.normalization {
                    Some(constants) => folder.with_normalization(constants.clone()),
                    None => folder,
                }
            })
        });
        Ok(TrainTestData {
            train: train.expect("The training images are read first."),
            validation,
            test,
        })
    }

    /// Reads the listed images of a folder.
    fn part(&self, folder: &Path, listing: Listing, memory: &Memory) -> Result<Part, DataError> {
        if !listing.others.is_empty() {
            log::info!(
                "{}: {} files that are not images are left out: {}",
                folder.display(),
                listing.others.len(),
                named(listing.others.iter().map(|path| path.display()))
            );
        }
        let Scan { images, broken } =
            Scan::of(folder, listing.files, &self.preprocessing(), memory);
        let (classes, labeled) = (listing.classes, listing.labeled);
        match (broken.as_slice(), self.broken) {
            ([], _) => {}
            (broken, BrokenImages::Skip) => log::warn!(
                "{}: {} of {} images are broken and skipped: {}",
                folder.display(),
                broken.len(),
                broken.len() + images.len(),
                named(broken)
            ),
            (broken, BrokenImages::Refuse) => {
                return Err(DataError::Invalid(format!(
                    "{} of {} images cannot be used: {}; mend or remove them, or set `broken = \
                     \"skip\"` to leave them out",
                    broken.len(),
                    broken.len() + images.len(),
                    named(broken)
                )));
            }
        }
        Ok(Part {
            images,
            classes,
            labeled,
        })
    }

    /// Returns the shape that all images have.
    fn shape<'a>(
        &self,
        parts: impl Iterator<Item = &'a Part> + Clone,
    ) -> Result<[usize; 3], DataError> {
        let images = parts.flat_map(|part| &part.images);
        let Some(first) = images.clone().next() else {
            return Err(invalid(&self.folder, "all images are broken"));
        };
        let [_, height, width] = first.shape;
        let differs = |image: &&ScannedImage| image.shape[1..] != first.shape[1..];
        if let Some(other) = images.clone().find(differs) {
            return Err(DataError::Invalid(format!(
                "the images differ in size: {} has {height} × {width} pixels (height × width), and \
                 {} has {} × {}: set `resize` to a height and a width, or `resize` and `crop`",
                first.path.display(),
                other.path.display(),
                other.shape[1],
                other.shape[2]
            )));
        }
        let channels = images.map(|image| image.shape[0]).max().unwrap_or(1);
        let channels = self.channels.unwrap_or(channels);
        if let Some(constants) = &self.normalization
            && constants.mean.len() != channels
        {
            return Err(DataError::Invalid(format!(
                "the images have {channels} channels, but `normalization` is for {}: set \
                 `channels`, or another normalization",
                constants.mean.len()
            )));
        }
        Ok([channels, height, width])
    }
}

/// Images of a part of the data set.
struct Part {
    images: Vec<ScannedImage>,
    classes: Vec<String>,
    labeled: bool,
}

/// Returns the first of some things, and the number of the others.
fn named<T: std::fmt::Display>(things: impl IntoIterator<Item = T>) -> String {
    let mut things = things.into_iter();
    let first: Vec<_> = things
        .by_ref()
        .take(NAMED)
        .map(|thing| thing.to_string())
        .collect();
    match things.count() {
        0 => first.join("; "),
        rest => format!("{}; and {rest} more", first.join("; ")),
    }
}

#[cfg(all(test, feature = "images"))]
mod tests;
