use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_core::nearest;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Mapping from the classes of a data set to the logits of a network, by the names of the classes.
///
/// The network may have more classes than the data, in another order. The logits of classes that
/// the data does not have are left out, so that a softmax over the selected logits is the
/// prediction of the network, given that the class is one of the data.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_interchange::ClassMap;
///
/// let of_network = ["bird", "cat", "dog"].map(String::from);
/// let of_data = ["dog", "cat"].map(String::from);
/// let map = ClassMap::by_name(&of_network, &of_data)?;
///
/// let logits = Tensor::<2>::from_data([[1.0, 2.0, 3.0]], &Device::default());
/// let mapped = map.select(logits).into_data();
/// mapped.assert_eq(&[[3.0_f32, 2.0]].into(), false);
/// # Ok::<(), burn_distill_interchange::ClassMapError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMap {
    /// Index of the logit of each class of the data.
    indices: Vec<usize>,
    /// Number of classes of the network.
    network_classes: usize,
}

/// Error about the names of the classes of a network.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ClassMapError {
    /// The network has no logits for some classes of the data.
    #[error(
        "the network has no logit for {} of the {classes} classes of the data: `{name}`{}. It should \
         have every class of the data, under the same name: correct the names of its classes, or \
         use a network that was trained on these classes",
        missing,
        nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default()
    )]
    Missing {
        /// Number of classes of the data without a logit.
        missing: usize,
        /// Number of classes of the data.
        classes: usize,
        /// Name of the first of these classes.
        name: String,
        /// Most similar class of the network, if one is similar.
        nearest: Option<String>,
    },
    /// Two classes have the same name.
    #[error(
        "the classes {first} and {second} of {whose} have the same name, `{name}`, but every name \
         should occur once: give each class a different name"
    )]
    Repeated {
        /// `the network` or `the data`.
        whose: &'static str,
        /// Name of both classes.
        name: String,
        /// Index of the first class.
        first: usize,
        /// Index of the second class.
        second: usize,
    },
    /// The number of names is not the number of logits.
    #[error(
        "there are {names} names of classes, but the network has {logits} logits: give one name for \
         each logit, in the order of the logits"
    )]
    Count {
        /// Number of names.
        names: usize,
        /// Number of logits.
        logits: usize,
    },
    /// A file of names could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file of names has unexpected contents.
    #[error("{}: {found}, but a file of class names holds one name per line", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Description of its contents.
        found: String,
    },
}

burn_distill_core::debug_as_display!(ClassMapError);

impl ClassMap {
    /// Creates the mapping from the names of the classes of a network, in the order of its logits,
    /// and those of the data, in the order of its labels.
    ///
    /// # Errors
    ///
    /// Returns an error if a name is repeated, or if the network has no logit for a class of the
    /// data.
    pub fn by_name(network: &[String], data: &[String]) -> Result<Self, ClassMapError> {
        let places = places("the network", network)?;
        self::places("the data", data)?;
        let found = |name: &String| places.get(name.as_str()).copied();
        let missing: Vec<_> = data.iter().filter(|name| found(name).is_none()).collect();
        if let Some(&name) = missing.first() {
            return Err(ClassMapError::Missing {
                missing: missing.len(),
                classes: data.len(),
                name: name.clone(),
                nearest: nearest(name, network.iter().map(String::as_str)).map(String::from),
            });
        }
        Ok(Self {
            indices: data.iter().filter_map(found).collect(),
            network_classes: network.len(),
        })
    }

    /// Reads the names of the classes of a network from a file with a name per line. Spaces around
    /// the names and empty lines at the end are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is larger than 16 MiB, is not text, holds no
    /// name, or has an empty line between two names.
    pub fn read_names(path: &Path) -> Result<Vec<String>, ClassMapError> {
        const LARGEST: u64 = 1 << 24;
        let io = |source| ClassMapError::Io {
            path: path.to_path_buf(),
            source,
        };
        let refused = |found: String| ClassMapError::File {
            path: path.to_path_buf(),
            found,
        };
        let size = fs::metadata(path).map_err(io)?.len();
        if size > LARGEST {
            return Err(refused(format!("the file has {size} bytes")));
        }
        let text = match String::from_utf8(fs::read(path).map_err(io)?) {
            Ok(text) => text,
            Err(error) => {
                let place = error.utf8_error().valid_up_to();
                return Err(refused(format!("byte {place} is not text in UTF-8")));
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
        let names: Vec<_> = text.lines().map(|line| line.trim().to_string()).collect();
        match names.iter().position(String::is_empty) {
            Some(line) => Err(refused(format!("line {} is empty", line + 1))),
            None if names.is_empty() => Err(refused("the file is empty".into())),
            None => Ok(names),
        }
    }

    /// Returns the index of the logit of each class of the data.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Returns the number of classes of the network.
    pub fn network_classes(&self) -> usize {
        self.network_classes
    }

    /// Returns whether the classes of the network are those of the data, in the same order.
    pub fn is_identity(&self) -> bool {
        self.indices.iter().copied().eq(0..self.network_classes)
    }

    /// Selects the logits of the classes of the data.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch_size, classes of the network]`
    /// - output: `[batch_size, classes of the data]`
    pub fn select(&self, logits: Tensor<2>) -> Tensor<2> {
        if self.is_identity() {
            return logits;
        }
        let indices = self.tensor(&logits.device());
        logits.select(1, indices)
    }

    fn tensor(&self, device: &Device) -> Tensor<1, Int> {
        let indices: Vec<_> = self.indices.iter().map(|&index| index as i64).collect();
        let count = indices.len();
        Tensor::from_data(TensorData::new(indices, [count]), device)
    }
}

/// Returns the index of each name.
fn places<'a>(
    whose: &'static str,
    names: &'a [String],
) -> Result<HashMap<&'a str, usize>, ClassMapError> {
    let mut places = HashMap::with_capacity(names.len());
    for (second, name) in names.iter().enumerate() {
        if let Some(first) = places.insert(name.as_str(), second) {
            return Err(ClassMapError::Repeated {
                whose,
                name: name.clone(),
                first,
                second,
            });
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(String::from).to_vec()
    }

    fn read(contents: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.txt");
        fs::write(&path, contents).unwrap();
        ClassMap::read_names(&path).map_err(|error| {
            let text = error.to_string();
            let folder = format!("{}/", folder.path().display());
            text.strip_prefix(&folder).unwrap().to_string()
        })
    }

    #[test]
    fn the_logits_of_other_classes_are_left_out() {
        let map = ClassMap::by_name(&names(["a", "b", "c", "d"]), &names(["d", "b"])).unwrap();

        assert_eq!(map.indices(), [3, 1]);
        assert_eq!(map.network_classes(), 4);
        assert!(!map.is_identity());
        let logits = Tensor::<2>::from_data(
            [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]],
            &Device::default(),
        );
        let mapped = map.select(logits).into_data();
        mapped.assert_eq(&[[4.0_f32, 2.0], [8.0, 6.0]].into(), false);
    }

    #[test]
    fn the_same_classes_in_the_same_order_need_no_mapping() {
        let both = names(["a", "b"]);
        let map = ClassMap::by_name(&both, &both).unwrap();

        assert!(map.is_identity());
        let first = ClassMap::by_name(&names(["a", "b", "c"]), &both).unwrap();
        assert!(!first.is_identity(), "the third class is left out");
    }

    #[test]
    fn a_class_that_the_network_does_not_know_is_refused_with_the_nearest() {
        let error = |data: &[String]| {
            let network = names(["airplane", "cat"]);
            ClassMap::by_name(&network, data).unwrap_err().to_string()
        };

        assert_eq!(
            error(&names(["cat", "aeroplane", "ship"])),
            "the network has no logit for 2 of the 3 classes of the data: `aeroplane`, did you mean \
             `airplane`?. It should have every class of the data, under the same name: correct the \
             names of its classes, or use a network that was trained on these classes"
        );
        assert!(error(&names(["xyz"])).contains("1 of the 1 classes of the data: `xyz`. It"));
    }

    #[test]
    fn repeated_names_are_refused() {
        let (unique, twice) = (names(["a", "b"]), names(["a", "b", "a"]));
        let error = |network, data| ClassMap::by_name(network, data).unwrap_err().to_string();

        assert!(
            error(&twice, &unique).starts_with("the classes 0 and 2 of the network have the same")
        );
        assert!(error(&unique, &twice).contains("of the data have the same name, `a`"));
    }

    #[test]
    fn names_are_read_from_a_file() {
        assert_eq!(read(b"a\n b c \r\nd\n\n"), Ok(names(["a", "b c", "d"])));
        assert_eq!(read("\u{feff}ä".as_bytes()), Ok(names(["ä"])));
        let holds = "but a file of class names holds one name per line";
        for (contents, found) in [
            (&b""[..], "the file is empty"),
            (b"\n \n", "the file is empty"),
            (b"a\n\nb", "line 2 is empty"),
            (b"a\nb\xff", "byte 3 is not text in UTF-8"),
        ] {
            assert_eq!(
                read(contents),
                Err(format!("classes.txt: {found}, {holds}"))
            );
        }
        let missing = ClassMap::read_names(Path::new("not/here.txt"));
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .starts_with("not/here.txt: ")
        );
    }
}
