use super::taps::OnnxTaps;
use burn_distill_core::{Check, ConfigError, check};
use burn_distill_data::Normalization;
use serde::de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Configuration of a network in an ONNX file: its inputs, its outputs and its taps.
///
/// The network takes the same views as the student. They are prepared in these steps:
///
/// 1. The normalization of the data is undone, so that pixels are from 0 to 1, unless
///    [`data_normalization`](Self::data_normalization) is set.
/// 2. A gray image gets three equal channels, if [`gray_to_rgb`](Self::gray_to_rgb) is set.
/// 3. The image is resized, if there is a size.
/// 4. `(pixel × scale − mean) / std`, with the scale and the normalization of the network.
/// 5. The channels become the last axis, if the layout is [`Nhwc`](OnnxLayout::Nhwc).
/// 6. The values are converted to the type of the input in the file; whole numbers are rounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnnxConfig {
    /// Names of the inputs in the file. For tokens: the input of the ids, that of the mask, and
    /// further ones that are filled with zeros, such as segments. Default: the only input of the
    /// file; for several inputs of tokens, `input_ids`, `attention_mask` and `token_type_ids`.
    pub inputs: Vec<String>,
    /// Name of the output, or of an intermediate result, that is the response. Default: the only
    /// output of the file.
    pub output: Option<String>,
    /// Meaning of the values of the output. Default: logits.
    pub outputs: OnnxOutputs,
    /// Order of the axes of images. Default: channels first.
    pub layout: OnnxLayout,
    /// Factor for the pixels, which are from 0 to 1: 255 for a network that takes bytes. Default:
    /// 1.
    pub scale: f64,
    /// Height and width of the images that the network takes. Default: those of the data.
    pub resize: Option<[usize; 2]>,
    /// Whether a gray image is expanded to three equal channels. Default: false.
    pub gray_to_rgb: bool,
    /// Mean and standard deviation of each channel that the network expects, after the factor.
    /// Default: none.
    pub normalization: Option<Normalization>,
    /// Whether the network takes values with the normalization of the student. Default: false.
    pub data_normalization: bool,
    /// Intermediate results that are exposed as taps. Default: none.
    pub taps: OnnxTaps,
    /// Names of the classes, in the order of the logits. Default: the classes of the data.
    pub classes: Option<OnnxClasses>,
}

impl Default for OnnxConfig {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            output: None,
            outputs: OnnxOutputs::default(),
            layout: OnnxLayout::default(),
            scale: 1.0,
            resize: None,
            gray_to_rgb: false,
            normalization: None,
            data_normalization: false,
            taps: OnnxTaps::default(),
            classes: None,
        }
    }
}

/// Meaning of the values that an ONNX file returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnnxOutputs {
    /// Logits, which stay as they are.
    #[default]
    Logits,
    /// Probabilities of a softmax. Their logarithms are the logits:
    ///
    /// ```text
    /// logit = ln(max(p, 1.2e-38))
    /// ```
    ///
    /// They are the original logits up to a constant for each row, which does not change the
    /// softmax at any temperature. Probabilities that are 0 in single precision become logits of
    /// -87.3.
    Probabilities,
    /// Independent probabilities of a sigmoid, which are converted to logits:
    ///
    /// ```text
    /// logit = ln(p) − ln(1 − p)
    /// ```
    ///
    /// `p` is clamped to a range in which both are finite: from 1.2e-38, a logit of -87.3, to
    /// 1 − 6.0e-8, a logit of 16.6. A single output `p` becomes two classes with the logits
    /// `[0, logit]`, whose softmax is `[1 − p, p]`.
    Sigmoid,
}

/// Order of the axes of images, after that of the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnnxLayout {
    /// Channels, height and width, as in PyTorch.
    #[default]
    Nchw,
    /// Height, width and channels, as in TensorFlow.
    Nhwc,
}

/// Names of the classes of an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OnnxClasses {
    /// Names in the order of the logits.
    Names(Vec<String>),
    /// File with a name per line.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for OnnxClasses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesOrFile;

        impl<'de> Visitor<'de> for NamesOrFile {
            type Value = OnnxClasses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names or the path of a file")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<OnnxClasses, E> {
                Ok(OnnxClasses::File(path.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<OnnxClasses, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(names)).map(OnnxClasses::Names)
            }
        }

        deserializer.deserialize_any(NamesOrFile)
    }
}

impl Check for OnnxConfig {
    fn check(&self) -> Result<(), ConfigError> {
        /// Largest height or width.
        const LARGEST: usize = 16_384;

        check::positive("scale", self.scale)?;
        for size in self.resize.iter().flatten() {
            check::count_in("resize", *size, 1..=LARGEST)?;
        }
        if let Some(Normalization { mean, std }) = &self.normalization {
            check::ensure(
                mean.len() == std.len() && !mean.is_empty(),
                "normalization",
                "a mean and a standard deviation for each channel",
                format_args!("{} means and {} deviations", mean.len(), std.len()),
            )?;
            for mean in mean {
                check::finite("normalization.mean", f64::from(*mean))?;
            }
            for std in std {
                check::positive("normalization.std", f64::from(*std))?;
            }
            check::ensure(
                !self.data_normalization,
                "data_normalization",
                "false where the network has a `normalization`",
                "true",
            )?;
        }
        for (key, empty) in [
            ("inputs", self.inputs.iter().any(String::is_empty)),
            ("output", self.output.as_deref() == Some("")),
        ] {
            check::ensure(!empty, key, "the name of a tensor in the file", "empty")?;
        }
        self.taps.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<OnnxConfig, String> {
        let config: OnnxConfig = serde_json::from_str(json).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_configuration_is_the_same_once_it_was_written_and_read() {
        let config = read(
            r#"{ "inputs": ["image"], "output": "logits", "outputs": "sigmoid", "layout": "nhwc",
                 "scale": 255.0, "resize": [4, 5], "gray_to_rgb": true,
                 "normalization": { "mean": [0.5], "std": [0.25] },
                 "taps": { "layer1": "/relu", "layer2": { "node": "x", "kind": "attention" } },
                 "classes": ["a", "b"] }"#,
        )
        .unwrap();
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&written).unwrap(), config);

        let default = OnnxConfig::default();
        let written = serde_json::to_string(&default).unwrap();
        assert_eq!(read(&written).unwrap(), default);
        assert_eq!(read("{}").unwrap(), default);
    }

    #[test]
    fn classes_are_a_list_or_a_file() {
        let classes = |json: &str| read(json).unwrap().classes;

        let names = OnnxClasses::Names(vec!["a".into()]);
        assert_eq!(classes(r#"{ "classes": ["a"] }"#), Some(names));
        let file = OnnxClasses::File("names.txt".into());
        assert_eq!(classes(r#"{ "classes": "names.txt" }"#), Some(file));
        let error = read(r#"{ "classes": 3 }"#).unwrap_err();
        assert!(
            error.contains("expected a list of names or the path of a file"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_their_range_are_refused_with_their_key() {
        for (json, expected) in [
            (
                r#"{ "scale": 0.0 }"#,
                "`scale` should be finite and above 0",
            ),
            (r#"{ "resize": [0, 4] }"#, "`resize` should be"),
            (
                r#"{ "normalization": { "mean": [0.5], "std": [] } }"#,
                "`normalization` should be a mean and a standard deviation for each channel, but is 1 \
                 means and 0 deviations",
            ),
            (
                r#"{ "normalization": { "mean": [0.5], "std": [0.0] } }"#,
                "`normalization.std` should be finite and above 0",
            ),
            (
                r#"{ "normalization": { "mean": [0], "std": [1] }, "data_normalization": true }"#,
                "`data_normalization` should be false",
            ),
            (r#"{ "inputs": [""] }"#, "`inputs` should be the name"),
            (r#"{ "output": "" }"#, "`output` should be the name"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
