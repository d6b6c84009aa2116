use super::description::ModelDescription;
use super::error::ModelError;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::{AnyInput, AnyNetwork, Input, InputShape, Network};
use burn_distill_data::{ImageResize, Preprocessing};
use std::path::Path;

/// Network with its description: the names of its classes and the normalization of its inputs.
#[derive(Clone, Debug)]
pub struct Model {
    /// Network, in validation mode.
    pub network: AnyNetwork,
    /// Description.
    pub description: ModelDescription,
    device: Device,
}

/// Probability of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassProbability<'a> {
    /// Name of the class.
    pub class: &'a str,
    /// Probability, from 0 to 1.
    pub probability: f32,
}

impl Model {
    /// Creates a model from a network and its description.
    pub fn new(network: AnyNetwork, description: ModelDescription, device: &Device) -> Self {
        Self {
            network,
            description,
            device: device.clone(),
        }
    }

    /// Returns the device of the inputs.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the classes of one image, the most probable first.
    ///
    /// The pixels are from 0 to 255, one plane per channel, each row by row. They are normalized
    /// here.
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not take images, if the number of pixels is not that of
    /// one image, or if a logit is NaN.
    pub fn classify(&self, pixels: &[u8]) -> Result<Vec<ClassProbability<'_>>, ModelError> {
        let probabilities = self.probabilities(self.images(pixels)?)?;
        match probabilities.as_slice() {
            [image] => Ok(self.ranked(image)),
            images => Err(ModelError::Input(format!(
                "one image was expected, but the pixels are those of {} images",
                images.len()
            ))),
        }
    }

    /// Reads the pixels of an image file, with the size and the number of channels that the model
    /// takes.
    ///
    /// The image is prepared as those of the training. If these were not read from image files, it
    /// is resized to the size of the input.
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not take images, or an error that names the file if it
    /// cannot be read.
    pub fn read_image(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, ModelError> {
        let path = path.as_ref();
        let shape = self.image_shape()?;
        let [channels, height, width] = shape;
        let preprocessing = self.description.preprocessing.unwrap_or(Preprocessing {
            resize: Some(ImageResize::Exact([height, width])),
            crop: None,
            channels: None,
        });
        let preprocessing = Preprocessing {
            channels: Some(channels),
            ..preprocessing
        };
        let image = preprocessing
            .read(path)
            .map_err(|error| ModelError::Input(error.to_string()))?;
        match image.shape == shape {
            true => Ok(image.pixels),
            false => Err(ModelError::Input(format!(
                "{}: the image has the shape {:?} once it is prepared, but the model takes {shape:?}: \
                 channels, height, width",
                path.display(),
                image.shape
            ))),
        }
    }

    fn image_shape(&self) -> Result<[usize; 3], ModelError> {
        match self.description.input {
            InputShape::Image(shape) => Ok(shape),
            ref other => Err(ModelError::Input(format!(
                "the model takes {other}, not images"
            ))),
        }
    }

    /// Returns the input of the network for one or more images, normalized.
    ///
    /// The pixels are from 0 to 255, one image after another, with one plane per channel, each row
    /// by row.
    ///
    /// # Errors
    ///
    /// Returns an error if the model does not take images, or if the number of pixels is not a
    /// multiple of that of an image.
    pub fn images(&self, pixels: &[u8]) -> Result<AnyInput, ModelError> {
        let shape = self.image_shape()?;
        let [channels, height, width] = shape;
        let size = shape.iter().product::<usize>();
        if pixels.is_empty() || !pixels.len().is_multiple_of(size) {
            return Err(ModelError::Input(format!(
                "an image of {channels}x{height}x{width} has {size} pixels, but {} were found: resize \
                 the image",
                pixels.len()
            )));
        }
        let normalization = self.description.normalization.as_ref();
        let values = pixels.chunks_exact(height * width).enumerate();
        let values = values.flat_map(|(plane, pixels)| {
            let channel = plane % channels;
            let (mean, std) = normalization.map_or((0.0, 1.0), |normalization| {
                (normalization.mean[channel], normalization.std[channel])
            });
            let values = pixels.iter();
            values.map(move |&pixel| (f32::from(pixel) / 255.0 - mean) / std)
        });
        let images = pixels.len() / size;
        let data = TensorData::new(values.collect(), [images, channels, height, width]);
        Ok(Tensor::<4>::from_data(data, &self.device).into())
    }

    /// Returns the probability of each class for each sample of an input of the network.
    ///
    /// # Errors
    ///
    /// Returns an error if the input is not of the shape that the network takes, if the network
    /// returns no class logits, or if a logit is NaN.
    pub fn probabilities(&self, input: AnyInput) -> Result<Vec<Vec<f32>>, ModelError> {
        if input.sample_shape() != Some(self.description.input.sample_shape()) {
            return Err(ModelError::Input(format!(
                "the model takes {}, but the input is {}",
                self.description.input,
                input.in_words()
            )));
        }
        let response = self.network.forward(input);
        let Some(logits) = response.classes() else {
            return Err(ModelError::Input(
                "the network returns no class logits, so that it cannot classify".into(),
            ));
        };
        let probabilities = softmax(logits.clone(), 1).try_into_data();
        let probabilities = probabilities.map_err(|error| ModelError::Input(error.to_string()))?;
        let values: Vec<f32> = probabilities.iter().collect();
        if values.iter().any(|value| value.is_nan()) {
            return Err(ModelError::Input(
                "a logit is not a number: the input is too large, or the weights are damaged"
                    .into(),
            ));
        }
        let rows = values.chunks_exact(self.description.classes.len());
        Ok(rows.map(<[f32]>::to_vec).collect())
    }

    /// Returns the classes with these probabilities, the most probable first.
    ///
    /// # Panics
    ///
    /// Panics if there is not one probability for each class.
    pub fn ranked(&self, probabilities: &[f32]) -> Vec<ClassProbability<'_>> {
        let classes = &self.description.classes;
        assert_eq!(
            probabilities.len(),
            classes.len(),
            "There should be one probability for each class."
        );
        let all = classes.iter().zip(probabilities);
        let mut ranked: Vec<_> = all
            .map(|(class, &probability)| ClassProbability { class, probability })
            .collect();
        ranked.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        ranked
    }
}
