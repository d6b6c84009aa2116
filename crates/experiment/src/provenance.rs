use super::split::Split;
use anyhow::{Result, bail, ensure};
use burn_distill::data::{ByteWindow, Normalization, Preprocessing, TableEncoding};
use burn_distill::interchange::ModelDescription;
use burn_distill::strategy::WeightsFile;
use burn_distill_recipe::{InputShape, SourceRecipe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Key of the origin in the metadata of a file of weights.
const KEY: &str = "provenance";

/// Origin of the weights in a file: the network and its training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the network in a recipe.
    pub model: String,
    /// Shape of the input of a sample.
    pub input: InputShape,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Mean and standard deviation of each channel, by which the images were normalized; none for
    /// other inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Steps from an image file to its pixels, if the images were read from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// Conversion of the columns of a table to features, if the samples are rows of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<TableEncoding>,
    /// Part of a file whose bytes are the tokens, if the samples are files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ByteWindow>,
    /// Classes that the network was trained on, by their positions; none for all classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_classes: Option<Vec<usize>>,
    /// Data set and its training samples.
    pub data: DataOrigin,
    /// Role of the network in its run, as in `teacher`.
    pub role: String,
    /// Seed of the repetition.
    pub seed: u64,
    /// Version of this program.
    pub version: String,
}

/// Training data of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataOrigin {
    /// Name of the data set, or of own data.
    pub name: String,
    /// Key of the name in `[data]`: `name` for a data set of the registry, another one for own data.
    #[serde(default = "registry_key")]
    pub key: String,
    /// SHA-256 of its samples and labels, in hexadecimal.
    pub sha256: String,
    /// Split; the network was trained on its training part.
    #[serde(flatten)]
    pub split: Split,
}

fn registry_key() -> String {
    SourceRecipe::NAME.into()
}

impl Provenance {
    /// Returns the origin that a file of weights records, if it records one.
    pub fn of(file: &WeightsFile) -> Option<Self> {
        serde_json::from_str(file.metadata(KEY)?).ok()
    }

    /// Returns the origin of an exported model of this network, trained on this data.
    pub fn of_model(description: &ModelDescription, model: String, data: DataOrigin) -> Self {
        let table = description.table.as_ref();
        Self {
            model,
            input: description.input.clone(),
            classes: description.classes.clone(),
            normalization: description.normalization.clone(),
            preprocessing: description.preprocessing,
            encoding: table.map(|table| table.encoding.clone()),
            window: description.window,
            only_classes: None,
            data,
            role: "distilled".into(),
            seed: 0,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// Returns the metadata of a file of weights of this origin.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("An origin can be written as JSON.");
        [(KEY.to_string(), text)].into()
    }

    /// Checks that weights of this origin fit a network of a recipe, for the same classes and
    /// inputs.
    ///
    /// # Errors
    ///
    /// Returns an error that names the difference.
    pub fn check(&self, expected: &Self) -> Result<()> {
        ensure!(
            self.model == expected.model,
            "these weights are of a {}, not of a {}",
            self.model,
            expected.model
        );
        let (from, to) = (&self.data.name, &expected.data.name);
        match (&self.input, &expected.input) {
            (found, expected) if found == expected => {}
            (InputShape::Image(found), InputShape::Image(expected)) => bail!(
                "these weights are for images of shape {found:?} ({from}), but those of {to} are of \
                 shape {expected:?}: channels, height, width"
            ),
            (found, expected) => {
                bail!("these weights are for {found} ({from}), but {to} holds {expected}")
            }
        }
        ensure!(
            self.classes.len() == expected.classes.len(),
            "these weights are for the {} classes of {from}, but {to} has {}",
            self.classes.len(),
            expected.classes.len()
        );
        let mut classes = (0..).zip(self.classes.iter().zip(&expected.classes));
        if let Some((class, (found, expected))) = classes.find(|(_, (a, b))| a != b) {
            bail!(
                "class {class} of these weights is `{found}` ({from}), but class {class} of {to} is \
                 `{expected}`"
            );
        }
        if let (Some(found), Some(expected)) = (&self.preprocessing, &expected.preprocessing) {
            ensure!(
                found == expected,
                "these weights are for images that were prepared by {}, but those of {to} are by {}",
                written(found),
                written(expected)
            );
        }
        if let (Some(found), Some(expected)) = (&self.normalization, &expected.normalization) {
            ensure!(
                found == expected,
                "these weights are for images that are normalized by mean {:?} and standard deviation \
                 {:?}, but those of {to} are normalized by {:?} and {:?}",
                found.mean,
                found.std,
                expected.mean,
                expected.std
            );
        }
        if let (Some(found), Some(expected)) = (&self.encoding, &expected.encoding)
            && let Some(difference) = found.difference(expected)
        {
            bail!(
                "these weights are for rows of {from} that are encoded otherwise than those of \
                 {to}: in the weights, {difference}"
            );
        }
        if let (Some(found), Some(expected)) = (&self.window, &expected.window) {
            ensure!(
                found == expected,
                "these weights are for the bytes of files by {}, but those of {to} are by {}",
                written(found),
                written(expected)
            );
        }
        Ok(())
    }
}

/// Returns settings as in a recipe.
fn written(settings: &impl Serialize) -> String {
    let text = toml::to_string(settings).unwrap_or_default();
    format!("`{}`", text.trim_end().replace('\n', ", "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use burn_distill::data::{ColumnEncoding, ImageResize};

    pub fn origin() -> Provenance {
        Provenance {
            model: "vit-16-4-4".into(),
            input: InputShape::Image([1, 8, 8]),
            classes: vec!["cat".into(), "dog".into()],
            normalization: Some(Normalization {
                mean: vec![0.3053],
                std: vec![0.376],
            }),
            preprocessing: None,
            encoding: None,
            window: None,
            only_classes: None,
            data: DataOrigin {
                name: "pets".into(),
                key: "name".into(),
                sha256: "0".into(),
                split: Split {
                    test: 0.25,
                    validation: 0.1,
                    split_seed: 0,
                    samples: None,
                },
            },
            role: "teacher".into(),
            seed: 0,
            version: "0.1.0".into(),
        }
    }

    fn refusal(change: fn(&mut Provenance)) -> String {
        let mut other = origin();
        change(&mut other);
        other.check(&origin()).unwrap_err().to_string()
    }

    #[test]
    fn an_origin_is_the_same_once_it_was_written_and_read() {
        let text = origin().metadata().remove(KEY).unwrap();

        assert_eq!(serde_json::from_str::<Provenance>(&text).unwrap(), origin());
    }

    #[test]
    fn weights_of_another_network_or_for_other_images_are_refused() {
        assert!(origin().check(&origin()).is_ok());
        assert_eq!(
            refusal(|origin| origin.model = "vit-16-4-1".into()),
            "these weights are of a vit-16-4-1, not of a vit-16-4-4"
        );
        assert_eq!(
            refusal(|origin| origin.input = InputShape::Image([3, 8, 8])),
            "these weights are for images of shape [3, 8, 8] (pets), but those of pets are of shape \
             [1, 8, 8]: channels, height, width"
        );
        assert_eq!(
            refusal(|origin| origin.normalization.as_mut().unwrap().mean = vec![0.5]),
            "these weights are for images that are normalized by mean [0.5] and standard deviation \
             [0.376], but those of pets are normalized by [0.3053] and [0.376]"
        );
    }

    #[test]
    fn weights_for_images_of_another_preprocessing_are_refused() {
        let preprocessing = |side| {
            Some(Preprocessing {
                resize: Some(ImageResize::Shorter(side)),
                crop: Some([8, 8]),
                channels: Some(1),
            })
        };
        let mut expected = origin();
        expected.preprocessing = preprocessing(8);
        let mut found = expected.clone();
        assert!(found.check(&expected).is_ok());

        found.preprocessing = preprocessing(10);
        assert_eq!(
            found.check(&expected).unwrap_err().to_string(),
            "these weights are for images that were prepared by `resize = 10, crop = [8, 8], \
             channels = 1`, but those of pets are by `resize = 8, crop = [8, 8], channels = 1`"
        );
        // Of weights from elsewhere it is not known.
        found.preprocessing = None;
        assert!(found.check(&expected).is_ok());
    }

    #[test]
    fn weights_for_rows_of_another_encoding_are_refused() {
        let encoding = |mean| {
            let column = ColumnEncoding::Numeric {
                name: "age".into(),
                mean,
                std: 0.3,
                missing_indicator: false,
            };
            Some(TableEncoding {
                columns: vec![column],
            })
        };
        let mut expected = origin();
        expected.encoding = encoding(1.0 / 3.0);
        let text = expected.metadata().remove(KEY).unwrap();
        let mut found: Provenance = serde_json::from_str(&text).unwrap();
        assert!(
            found.check(&expected).is_ok(),
            "also once they were written"
        );

        found.encoding = encoding(0.25);
        assert_eq!(
            found.check(&expected).unwrap_err().to_string(),
            "these weights are for rows of pets that are encoded otherwise than those of pets: in \
             the weights, column `age` has the mean 0.25, not 0.3333333333333333"
        );
    }

    #[test]
    fn weights_for_other_bytes_of_files_are_refused() {
        let mut expected = origin();
        expected.window = Some(ByteWindow::MAGIKA);
        let mut found = expected.clone();
        assert!(found.check(&expected).is_ok());

        found.window.as_mut().unwrap().strip = false;
        assert_eq!(
            found.check(&expected).unwrap_err().to_string(),
            "these weights are for the bytes of files by `first = 1024, last = 1024, strip = \
             false`, but those of pets are by `first = 1024, last = 1024, strip = true`"
        );
    }

    #[test]
    fn weights_for_other_classes_or_in_another_order_are_refused() {
        assert_eq!(
            refusal(|origin| origin.classes.push("cow".into())),
            "these weights are for the 3 classes of pets, but pets has 2"
        );
        assert_eq!(
            refusal(|origin| origin.classes.reverse()),
            "class 0 of these weights is `dog` (pets), but class 0 of pets is `cat`"
        );
    }

    #[test]
    fn where_and_when_a_network_was_trained_does_not_matter() {
        let mut other = origin();
        (other.seed, other.role, other.version) = (7, "distilled".into(), "0.2.0".into());
        other.data.split.split_seed = 3;

        assert!(other.check(&origin()).is_ok());
    }
}
