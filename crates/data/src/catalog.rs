use crate::{DataError, ImageData, ImageDataset, Normalization};
use burn_distill_core::nearest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Data sets that are available by name.
///
/// ```
/// use burn_distill_data::DatasetName;
///
/// let name: DatasetName = "fashion".parse()?;
///
/// assert_eq!(name, DatasetName::FashionMnist);
/// assert_eq!(name.to_string(), "fashion-mnist");
/// # Ok::<(), burn_distill_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum DatasetName {
    /// The UCI repository's handwritten digits, embedded in this crate.
    Digits,
    /// Handwritten digits.
    Mnist,
    /// Articles of clothing.
    FashionMnist,
    /// Photographs of ten classes.
    Cifar10,
    /// Photographs of a hundred classes.
    Cifar100,
}

/// Description of a data set, available without loading it.
#[derive(Debug)]
pub struct DatasetInfo {
    /// Name, in kebab case.
    pub name: &'static str,
    /// Alternative names that are accepted.
    pub aliases: &'static [&'static str],
    /// Short description of the contents.
    pub kind: &'static str,
    /// Publication to cite.
    pub reference: &'static str,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Names of the classes.
    pub classes: &'static [&'static str],
    /// Numbers of published training and test images.
    pub images: [usize; 2],
    /// Mean of each channel over the training images, for pixels from 0 to 1.
    pub mean: &'static [f32],
    /// Standard deviation of each channel over the training images, for pixels from 0 to 1.
    pub std: &'static [f32],
    /// Published files; empty if the data set is embedded.
    pub files: &'static [RemoteFile],
    /// Folder that the published archive unpacks to, if it is one.
    pub folder: Option<&'static str>,
    /// First labels of the training and test images, which distinguish data sets with equal file
    /// names; empty if the file names are unique.
    pub first_labels: [&'static [usize]; 2],
}

/// File as published.
#[derive(Clone, Copy, Debug)]
pub struct RemoteFile {
    /// URL of its folder, which ends in a slash.
    pub base: &'static str,
    /// Name of the file.
    pub name: &'static str,
    /// Published MD5 checksum, in hexadecimal digits: it detects damage, not manipulation.
    pub md5: &'static str,
}

impl DatasetName {
    /// All data sets.
    pub const ALL: [Self; 5] = [
        Self::Digits,
        Self::Mnist,
        Self::FashionMnist,
        Self::Cifar10,
        Self::Cifar100,
    ];

    /// Returns the description of the data set.
    pub fn info(self) -> &'static DatasetInfo {
        match self {
            Self::Digits => &DIGITS,
            Self::Mnist => &MNIST,
            Self::FashionMnist => &FASHION_MNIST,
            Self::Cifar10 => &CIFAR10,
            Self::Cifar100 => &CIFAR100,
        }
    }
}

impl DatasetInfo {
    /// Returns the constants that the pixels are normalized by.
    pub fn normalization(&self) -> Normalization {
        Normalization {
            mean: self.mean.to_vec(),
            std: self.std.to_vec(),
        }
    }

    /// Creates a data set of this kind.
    pub(crate) fn dataset(
        &self,
        pixels: Vec<u8>,
        max_value: u8,
        labels: Vec<usize>,
    ) -> Result<ImageDataset, DataError> {
        ImageDataset::new(ImageData {
            name: self.name.into(),
            shape: self.shape,
            pixels,
            max_value,
            labels,
            classes: self.classes.iter().copied().map(String::from).collect(),
            normalization: self.normalization(),
        })
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.info().name)
    }
}

impl FromStr for DatasetName {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let matches = |name: &Self| {
            let info = name.info();
            info.name == text || info.aliases.contains(&text)
        };
        Self::ALL.into_iter().find(matches).ok_or_else(|| {
            let known = Self::ALL.map(|name| name.info().name);
            DataError::UnknownDataset {
                name: text.into(),
                nearest: nearest(text, known).map(String::from),
                known: known.map(String::from).to_vec(),
            }
        })
    }
}

impl From<DatasetName> for String {
    fn from(name: DatasetName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for DatasetName {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

const NUMERALS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const DIGITS: DatasetInfo = DatasetInfo {
    name: "digits",
    aliases: &["optdigits", "uci-digits"],
    kind: "handwritten digits, 8×8 gray, embedded",
    reference: "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine \
                Learning Repository, 1998, https://doi.org/10.24432/C50P49",
    shape: [1, 8, 8],
    classes: NUMERALS,
    images: [1797, 0],
    mean: &[0.3053],
    std: &[0.3760],
    files: &[],
    folder: None,
    first_labels: [&[], &[]],
};

const MNIST: DatasetInfo = DatasetInfo {
    name: "mnist",
    aliases: &[],
    kind: "handwritten digits, 28×28 gray",
    reference: "LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document \
                Recognition, Proceedings of the IEEE 86, 1998, https://doi.org/10.1109/5.726791",
    shape: [1, 28, 28],
    classes: NUMERALS,
    images: [60_000, 10_000],
    mean: &[0.1307],
    std: &[0.3081],
    files: &idx_files(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        [
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ],
    ),
    folder: None,
    first_labels: [
        &[5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
        &[7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
    ],
};

const FASHION_MNIST: DatasetInfo = DatasetInfo {
    name: "fashion-mnist",
    aliases: &["fashion", "fashion_mnist", "fmnist"],
    kind: "articles of clothing, 28×28 gray",
    reference: "Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747",
    shape: [1, 28, 28],
    classes: &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    images: [60_000, 10_000],
    mean: &[0.2860],
    std: &[0.3530],
    files: &idx_files(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        [
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ],
    ),
    folder: None,
    first_labels: [
        &[9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
        &[9, 2, 1, 1, 6, 1, 4, 6, 5, 7],
    ],
};

const KRIZHEVSKY: &str = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, \
                          https://www.cs.toronto.edu/~kriz/cifar.html";

const CIFAR10: DatasetInfo = DatasetInfo {
    name: "cifar10",
    aliases: &["cifar-10"],
    kind: "photographs of 10 classes, 32×32 color",
    reference: KRIZHEVSKY,
    shape: [3, 32, 32],
    classes: &[
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ],
    images: [50_000, 10_000],
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    files: &[RemoteFile {
        base: "https://www.cs.toronto.edu/~kriz/",
        name: "cifar-10-binary.tar.gz",
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
    }],
    folder: Some("cifar-10-batches-bin"),
    first_labels: [&[], &[]],
};

const CIFAR100: DatasetInfo = DatasetInfo {
    name: "cifar100",
    aliases: &["cifar-100"],
    kind: "photographs of 100 classes, 32×32 color",
    reference: KRIZHEVSKY,
    shape: [3, 32, 32],
    #[rustfmt::skip]
    classes: &[
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
        "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
        "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
        "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
        "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man",
        "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
        "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy",
        "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal",
        "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
        "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
        "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman",
        "worm",
    ],
    images: [50_000, 10_000],
    mean: &[0.5071, 0.4867, 0.4408],
    std: &[0.2675, 0.2565, 0.2761],
    files: &[RemoteFile {
        base: "https://www.cs.toronto.edu/~kriz/",
        name: "cifar-100-binary.tar.gz",
        md5: "03b5dce01913d631647c71ecec9e9cb8",
    }],
    folder: Some("cifar-100-binary"),
    first_labels: [&[], &[]],
};

/// Returns the four files of MNIST and similar data sets.
const fn idx_files(base: &'static str, md5: [&'static str; 4]) -> [RemoteFile; 4] {
    let [train_images, train_labels, test_images, test_labels] = md5;
    [
        RemoteFile {
            base,
            name: "train-images-idx3-ubyte.gz",
            md5: train_images,
        },
        RemoteFile {
            base,
            name: "train-labels-idx1-ubyte.gz",
            md5: train_labels,
        },
        RemoteFile {
            base,
            name: "t10k-images-idx3-ubyte.gz",
            md5: test_images,
        },
        RemoteFile {
            base,
            name: "t10k-labels-idx1-ubyte.gz",
            md5: test_labels,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_and_alias_is_understood_and_unique() {
        let mut seen = BTreeSet::new();
        for name in DatasetName::ALL {
            let info = name.info();
            for text in [info.name].iter().chain(info.aliases) {
                assert_eq!(text.parse::<DatasetName>().unwrap(), name);
                assert!(seen.insert(text.to_string()), "{text} names two data sets");
            }
            let table = serde_json::to_string(&name).unwrap();
            assert_eq!(table, format!("{:?}", info.name));
            assert_eq!(serde_json::from_str::<DatasetName>(&table).unwrap(), name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones_and_the_nearest() {
        assert_eq!(
            serde_json::from_str::<DatasetName>("\"minst\"")
                .unwrap_err()
                .to_string(),
            "no data set named `minst`, did you mean `mnist`?; the known ones are digits, mnist, \
             fashion-mnist, cifar10, cifar100"
        );
        assert!("imagenet".parse::<DatasetName>().is_err());
    }

    #[test]
    fn every_entry_is_consistent() {
        for name in DatasetName::ALL {
            let info = name.info();
            assert!([10, 100].contains(&info.classes.len()));
            assert_eq!(
                info.classes.iter().collect::<BTreeSet<_>>().len(),
                info.classes.len()
            );
            assert_eq!([info.mean.len(), info.std.len()], [info.shape[0]; 2]);
            assert!(info.dataset(vec![], 255, vec![]).unwrap().is_empty());
            for file in info.files {
                assert!(file.base.ends_with('/'));
                assert_eq!(file.md5.len(), 32);
                assert!(file.md5.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
        // The published classes of CIFAR-100 are in alphabetical order.
        assert!(CIFAR100.classes.is_sorted());
    }
}
