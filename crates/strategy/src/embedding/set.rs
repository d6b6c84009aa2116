use crate::{EpochLoader, EvaluationError};
use burn::tensor::{Int, Tensor, TensorData};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{LossError, Network, Tap, TapSelection};

/// Embeddings of labeled samples with their classes, as computed by a network.
#[derive(Clone, Debug)]
pub struct EmbeddingSet {
    /// One vector per sample. Shape: `[samples, features]`.
    pub vectors: Tensor<2>,
    /// Class of each sample.
    pub classes: Vec<usize>,
}

impl EmbeddingSet {
    /// Creates a set from its vectors and their classes.
    ///
    /// # Panics
    ///
    /// Panics if the numbers of both differ.
    pub fn new(vectors: Tensor<2>, classes: Vec<usize>) -> Self {
        let [samples, _] = vectors.dims();
        assert_eq!(
            samples,
            classes.len(),
            "Each of {samples} embeddings needs a class, but there are {} classes.",
            classes.len()
        );
        Self {
            vectors: at_least_f32(vectors.without_autodiff()),
            classes,
        }
    }

    /// Computes the embeddings of the labeled samples in one epoch of a data loader. The embedding of
    /// a sample is a tap of the network: see [`embedding_of`].
    ///
    /// The network should be in validation mode, on the device of the loader. The labels are read from
    /// the device once, at the end.
    ///
    /// # Errors
    ///
    /// Returns an error if a batch cannot be loaded, or if an embedding is NaN or infinite.
    ///
    /// # Panics
    ///
    /// Panics if the network does not offer the tap, or if the tap is not an embedding.
    pub fn of<N: Network>(
        network: &N,
        tap: &str,
        loader: &impl EpochLoader<N::Input>,
    ) -> Result<Self, EvaluationError> {
        let selection = TapSelection::named([tap]);
        let (mut vectors, mut classes) = (Vec::new(), Vec::new());
        for batch in loader.batches() {
            let batch = batch?;
            let Some((labels, labeled)) = batch.targets.class_labels() else {
                continue;
            };
            let knowledge = network.forward_knowledge(batch.view().clone(), &selection);
            let embedding = embedding_of(knowledge.taps.expect(tap));
            vectors.push(at_least_f32(embedding.unwrap_or_else(|error| {
                panic!("The tap `{tap}` is no embedding: {error}.")
            })));
            // −1 stands for an unknown class.
            classes.push(match labeled {
                Some(labeled) => labels.mask_fill(labeled.bool_not(), -1),
                None => labels,
            });
        }
        if vectors.is_empty() {
            return Ok(Self {
                vectors: Tensor::zeros([0, 1], &Default::default()),
                classes: Vec::new(),
            });
        }
        let vectors = Tensor::cat(vectors, 0);
        let infinite = vectors.clone().is_nan().bool_or(vectors.clone().is_inf());
        let broken = infinite.any_dim(1).int().sum().try_into_data()?;
        let all = vectors.dims()[0];
        match broken.iter::<i64>().next().unwrap_or_default() as usize {
            0 => {}
            samples => return Err(EvaluationError::NotFiniteEmbeddings { samples, all }),
        }
        let classes = Tensor::<1, Int>::cat(classes, 0).try_into_data()?;
        let classes = classes.iter::<i64>().enumerate();
        let labeled = classes.filter_map(|(row, class)| Some((row, usize::try_from(class).ok()?)));
        let (rows, classes): (Vec<_>, Vec<_>) = labeled.unzip();
        let vectors = match rows.len() == all {
            true => vectors,
            false => {
                let device = vectors.device();
                vectors.select(0, burn_distill_core::indices(&rows, &device))
            }
        };
        Ok(Self::new(vectors, classes))
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Returns one more than the largest class.
    pub(super) fn num_classes(&self) -> usize {
        self.classes.iter().max().map_or(0, |largest| largest + 1)
    }

    /// Returns the classes as a matrix of ones and zeros. Shape: `[samples, num_classes]`.
    pub(super) fn one_hot(&self, num_classes: usize) -> Tensor<2> {
        let mut ones = vec![0.0_f32; self.len() * num_classes];
        for (row, class) in self.classes.iter().enumerate() {
            ones[row * num_classes + class] = 1.0;
        }
        let ones = TensorData::new(ones, [self.len(), num_classes]);
        let like = &self.vectors;
        Tensor::from_data(ones, (&like.device(), like.dtype()))
    }

    /// Returns the share of the samples whose class is predicted correctly, between 0 and 1, or NaN
    /// without samples.
    ///
    /// # Errors
    ///
    /// Returns an error if the predictions cannot be read from the device.
    pub(super) fn accuracy(&self, predicted: Tensor<1, Int>) -> Result<f64, EvaluationError> {
        let predicted = predicted.try_into_data()?;
        let pairs = predicted.iter::<i64>().zip(&self.classes);
        let correct = pairs.filter(|(predicted, class)| *predicted == **class as i64);
        Ok(correct.count() as f64 / self.len() as f64)
    }
}

/// Returns the embedding of each sample in a tap: a vector as it is, or the mean of a map over its
/// positions.
///
/// # Shapes
///
/// - output: `[batch_size, features]`
///
/// # Errors
///
/// Returns an error if the tap is of another kind.
pub fn embedding_of(tap: Tap) -> Result<Tensor<2>, LossError> {
    match tap {
        Tap::Vector(vectors) => Ok(vectors),
        Tap::Map(map) => Ok(map.mean_dims(&[2, 3]).flatten(1, 3)),
        other => Err(LossError::new(format_args!(
            "an embedding is a vector or a map for each sample, but its kind is {}: name another tap",
            other.kind()
        ))),
    }
}
