#[cfg(feature = "download")]
mod archive;
mod content;
#[cfg(feature = "download")]
mod download;
mod locate;

use crate::{DataError, DatasetInfo, DatasetName, ImageDataset, Samples, cifar, digits, idx};
use locate::{Files, locate};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Location of the files of data sets.
///
/// | Settings | Searched folders | Downloads to |
/// | --- | --- | --- |
/// | a data folder | `<data folder>/<name>`, then the data folder itself | never |
/// | no data folder | `<cache folder>/<name>` | the same, with feature `download` |
///
/// In each folder, the files of CIFAR may also be in the subfolder that its archive unpacks to, and
/// the files of MNIST may be compressed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    data_dir: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
}

/// Training, validation and test samples of a data set as published.
#[derive(Clone, Debug)]
pub struct TrainTestData<S = ImageDataset> {
    /// Training samples.
    pub train: S,
    /// Validation samples, if they are published separately; otherwise hold some out with
    /// [`Samples::split`].
    pub validation: Option<S>,
    /// Test samples, if they are published separately; otherwise hold some out with
    /// [`Samples::split`].
    pub test: Option<S>,
}

impl<S: Samples> TrainTestData<S> {
    /// Returns the SHA-256 of all samples and labels, in hexadecimal.
    pub fn checksum(&self) -> String {
        let parts = [
            Some(&self.train),
            self.validation.as_ref(),
            self.test.as_ref(),
        ];
        let mut hasher = Sha256::new();
        for part in parts.into_iter().flatten() {
            part.feed(&mut |bytes| hasher.update(bytes));
        }
        let digest = hasher.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Default for DataSource {
    /// Returns the source with the folder `burn-distill` in the user's cache folder.
    fn default() -> Self {
        Self {
            data_dir: None,
            cache_dir: dirs::cache_dir().map(|cache| cache.join("burn-distill")),
        }
    }
}

impl DataSource {
    /// Sets the only folder to search.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// Sets the folder for downloads, instead of the user's cache folder.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(folder.into());
        self
    }

    /// Returns the folders to search for the files of a data set, the most likely one first.
    fn folders(&self, info: &DatasetInfo) -> Vec<PathBuf> {
        let bases = match (&self.data_dir, &self.cache_dir) {
            // MNIST and similar data sets have equal file names: the folder with the name comes
            // first.
            (Some(data), _) => vec![data.join(info.name), data.clone()],
            (None, Some(cache)) => vec![cache.join(info.name)],
            (None, None) => vec![],
        };
        let published = |base: PathBuf| {
            let unpacked = info.folder.map(|folder| base.join(folder));
            [Some(base), unpacked].into_iter().flatten()
        };
        bases.into_iter().flat_map(published).collect()
    }

    fn files(&self, name: DatasetName) -> Result<Files, DataError> {
        let folders = self.folders(name.info());
        let found = locate(name, &folders);
        #[cfg(feature = "download")]
        if found.is_err()
            && self.data_dir.is_none()
            && let Some(cache) = &self.cache_dir
        {
            let folder = cache.join(name.info().name);
            let whole = || locate(name, &folders).is_ok();
            download::obtain(&download::agent(), name.info(), &folder, whole)?;
            return locate(name, &folders);
        }
        found
    }
}

impl DatasetName {
    /// Loads the data set into memory.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Missing`] if its files are in none of the searched folders,
    /// [`DataError::OtherDataset`] if they are those of another known data set, and other variants
    /// if they cannot be downloaded or are damaged.
    ///
    /// Other images than the published ones, such as a part of the data set, are logged as a
    /// warning.
    pub fn load(self, source: &DataSource) -> Result<TrainTestData, DataError> {
        let info = self.info();
        let load: &dyn Fn(&[PathBuf]) -> _ = match self {
            Self::Digits => {
                return Ok(TrainTestData {
                    train: digits(),
                    validation: None,
                    test: None,
                });
            }
            Self::Mnist | Self::FashionMnist => &|paths| {
                let [_, height, width] = info.shape;
                idx::load(&paths[0], &paths[1], [height, width], info.classes.len())
            },
            Self::Cifar10 => &|paths| cifar::load(paths, &[10]),
            Self::Cifar100 => &|paths| cifar::load(paths, &[20, 100]),
        };
        let files = source.files(self)?;
        let part = |paths: &[PathBuf], published: usize| {
            let (pixels, labels) = load(paths)?;
            if labels.len() != published {
                log::warn!(
                    "{}: found {} images, {published} are published",
                    paths[0].display(),
                    labels.len()
                );
            }
            info.dataset(pixels, 255, labels)
        };
        let train = part(&files.train, info.images[0])?;
        let test = part(&files.test, info.images[1])?;
        let folder = files.train[0].parent().unwrap_or(Path::new(""));
        content::check(self, [&train, &test], folder)?;
        Ok(TrainTestData {
            train,
            validation: None,
            test: Some(test),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cifar::tests::record;
    use crate::idx::tests::idx;
    use crate::read::tests::gzip;
    use std::fs;

    /// Asserts that the constants of normalization are the rounded mean and deviation of the
    /// pixels.
    pub(crate) fn assert_normalization_is_measured(dataset: &ImageDataset, max_value: f64) {
        let [channels, height, width] = dataset.shape();
        for channel in 0..channels {
            let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
            for &id in dataset.ids() {
                let plane = &dataset.pixels(id)[channel * height * width..][..height * width];
                for &pixel in plane {
                    let pixel = f64::from(pixel) / max_value;
                    count += 1.0;
                    sum += pixel;
                    squares += pixel * pixel;
                }
            }
            let mean = sum / count;
            let std = (squares / count - mean * mean).sqrt();
            let normalization = dataset.normalization();
            assert!(
                (mean - f64::from(normalization.mean[channel])).abs() < 6e-5,
                "{mean}"
            );
            assert!(
                (std - f64::from(normalization.std[channel])).abs() < 6e-5,
                "{std}"
            );
        }
    }

    /// Returns the four files of MNIST, with the given number of training images, of class 7 and of
    /// a single pixel value, and one test image.
    pub(crate) fn mnist_files(train: usize, pixel: u8) -> [(&'static str, Vec<u8>); 4] {
        let images = |count: usize| idx(&[count as u32, 28, 28], &vec![pixel; count * 784]);
        let labels = |count: usize| idx(&[count as u32], &vec![7; count]);
        [
            ("train-images-idx3-ubyte", images(train)),
            ("train-labels-idx1-ubyte", labels(train)),
            ("t10k-images-idx3-ubyte", images(1)),
            ("t10k-labels-idx1-ubyte", labels(1)),
        ]
    }

    fn write_mnist(folder: &Path, train: usize) {
        fs::create_dir_all(folder).unwrap();
        for (name, bytes) in mnist_files(train, 255) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn load(name: DatasetName, folder: &Path) -> Result<TrainTestData, DataError> {
        name.load(&DataSource::default().data_dir(folder))
    }

    #[test]
    fn digits_need_no_files() {
        let published = load(DatasetName::Digits, Path::new("nowhere")).unwrap();

        assert_eq!(published.train.len(), 1797);
        assert!(published.test.is_none());
    }

    #[test]
    fn mnist_is_read_plain_or_compressed() {
        let folder = tempfile::tempdir().unwrap();
        write_mnist(folder.path(), 3);
        let images = folder.path().join("train-images-idx3-ubyte");
        let compressed = gzip(&fs::read(&images).unwrap());
        fs::remove_file(&images).unwrap();
        fs::write(folder.path().join("train-images-idx3-ubyte.gz"), compressed).unwrap();

        let published = load(DatasetName::Mnist, folder.path()).unwrap();
        assert_eq!(published.train.shape(), [1, 28, 28]);
        assert_eq!(published.train.labels(), [7; 3]);
        assert_eq!(published.train.pixels(2), [255; 784]);
        assert_eq!(published.test.unwrap().len(), 1);
    }

    #[test]
    fn the_folder_with_the_name_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        write_mnist(folder.path(), 1);
        write_mnist(&folder.path().join("fashion-mnist"), 2);

        assert_eq!(
            load(DatasetName::Mnist, folder.path()).unwrap().train.len(),
            1
        );
        assert_eq!(
            load(DatasetName::FashionMnist, folder.path())
                .unwrap()
                .train
                .len(),
            2
        );
    }

    #[test]
    fn the_checksum_depends_on_the_contents() {
        let folder = tempfile::tempdir().unwrap();
        let checksum = |train: usize, pixel: u8| {
            for (name, bytes) in mnist_files(train, pixel) {
                fs::write(folder.path().join(name), bytes).unwrap();
            }
            load(DatasetName::Mnist, folder.path()).unwrap().checksum()
        };

        assert_eq!(checksum(2, 255), checksum(2, 255));
        assert_ne!(checksum(2, 255), checksum(2, 254));
        assert_ne!(checksum(2, 255), checksum(3, 255));
        assert_eq!(checksum(2, 255).len(), 64);
    }

    #[test]
    fn without_a_data_folder_the_cache_is_searched() {
        let folder = tempfile::tempdir().unwrap();
        write_mnist(&folder.path().join("mnist"), 1);
        let source = DataSource::default().cache_dir(folder.path());

        assert_eq!(DatasetName::Mnist.load(&source).unwrap().train.len(), 1);
    }

    #[test]
    fn missing_files_are_named_and_where_they_should_be() {
        let folder = tempfile::tempdir().unwrap();
        write_mnist(folder.path(), 1);
        fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();

        let root = folder.path().display();
        assert_eq!(
            load(DatasetName::Mnist, folder.path())
                .unwrap_err()
                .to_string(),
            format!(
                "mnist: t10k-labels-idx1-ubyte[.gz] not found in {root}/mnist or {root}. Put the \
                 files there (https://ossci-datasets.s3.amazonaws.com/mnist/), or name the folder \
                 that holds them with --data-dir"
            )
        );
    }

    #[test]
    fn cifar_subsets_and_unpacked_archives_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let batches = folder.path().join("cifar10/cifar-10-batches-bin");
        fs::create_dir_all(&batches).unwrap();
        fs::write(batches.join("data_batch_2.bin"), record(&[1], 0)).unwrap();
        fs::write(batches.join("data_batch_4.bin"), record(&[2], 0).repeat(2)).unwrap();

        let error = load(DatasetName::Cifar10, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cifar10: test_batch.bin not found in "),
            "{error}"
        );

        fs::write(batches.join("test_batch.bin"), record(&[3], 0)).unwrap();
        let published = load(DatasetName::Cifar10, folder.path()).unwrap();
        assert_eq!(published.train.labels(), [1, 2, 2]);
        assert_eq!(published.test.unwrap().labels(), [3]);

        let error = load(DatasetName::Cifar100, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cifar100: train.bin, test.bin not found in "),
            "{error}"
        );
        fs::write(folder.path().join("train.bin"), record(&[0, 99], 0)).unwrap();
        fs::write(folder.path().join("test.bin"), record(&[1, 98], 0)).unwrap();
        let published = load(DatasetName::Cifar100, folder.path()).unwrap();
        assert_eq!(published.train.labels(), [99]);
        assert_eq!(published.train.num_classes(), 100);
    }

    /// Runs only by hand, on a machine with the published files.
    #[test]
    #[ignore = "needs the published files of MNIST in the folder BURN_DISTILL_MNIST"]
    fn mnist_as_published_is_read() {
        let folder = std::env::var("BURN_DISTILL_MNIST").unwrap();
        let start = std::time::Instant::now();
        let published = load(DatasetName::Mnist, Path::new(&folder)).unwrap();
        println!("loaded in {:?}", start.elapsed());

        assert_eq!(published.train.len(), 60_000);
        assert_eq!(published.test.unwrap().len(), 10_000);
        assert_eq!(published.train.labels()[..5], [5, 0, 4, 1, 9]);
        assert_normalization_is_measured(&published.train, 255.0);
    }

    /// Runs only by hand, on a machine with such files.
    #[test]
    #[ignore = "needs files in the layout of CIFAR-10 in the folder BURN_DISTILL_CIFAR10"]
    fn cifar10_is_read() {
        let folder = std::env::var("BURN_DISTILL_CIFAR10").unwrap();
        let start = std::time::Instant::now();
        let published = load(DatasetName::Cifar10, Path::new(&folder)).unwrap();
        println!("loaded in {:?}: {published:?}", start.elapsed());

        println!("{:?}", published.train.class_counts());
    }
}
