use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_core::{Clock, KeyedRng};

/// Source of the latent vectors of a pseudo batch.
#[derive(Clone, Debug)]
pub enum Latents {
    /// Random numbers of the standard normal distribution, which depend only on the seed and on the
    /// [clock](Clock) of the batch: a resumed training draws the same ones.
    Drawn {
        /// Seed.
        seed: u64,
    },
    /// Given vectors, one tensor for each pseudo batch in turn, such as those of another
    /// implementation. Shape of each: `[batch_size, latents]`.
    Given(Vec<Tensor<2>>),
}

impl Latents {
    /// Returns the latent vectors of a pseudo batch. Shape of drawn ones: `shape`.
    ///
    /// # Panics
    ///
    /// Panics if the list of given vectors is empty.
    pub fn at(&self, clock: &Clock, shape: [usize; 2], place: (&Device, DType)) -> Tensor<2> {
        match self {
            Self::Drawn { seed } => {
                let key = [*seed, clock.epoch as u64, clock.batch as u64, STREAM];
                let mut rng = KeyedRng::new(key);
                let [samples, values] = shape;
                let drawn: Vec<f64> = (0..samples * values).map(|_| rng.normal()).collect();
                Tensor::from_data(TensorData::new(drawn, shape), place)
            }
            Self::Given(all) => {
                assert!(
                    !all.is_empty(),
                    "No latent vectors are given: give one tensor or more."
                );
                all[clock.step() % all.len()].clone()
            }
        }
    }
}

/// Number in the key that tells this stream of random numbers from others of the same seed.
const STREAM: u64 = 0x6c61_7465_6e74_7321;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn clock(epoch: usize, batch: usize) -> Clock {
        Clock {
            epoch,
            batch,
            batches: 3,
        }
    }

    #[test]
    fn draws_depend_on_the_seed_and_the_clock_only() {
        let device = Device::default();
        let drawn = |seed, clock: Clock| {
            let latents = Latents::Drawn { seed };
            let drawn = latents.at(&clock, [2, 3], (&device, DType::F32));
            let values: Vec<f32> = drawn.into_data().iter().collect();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };

        let all = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)];
        let all: Vec<_> = all
            .into_iter()
            .map(|(seed, epoch, batch)| drawn(seed, clock(epoch, batch)))
            .collect();

        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        device.seed(5);
        assert_eq!(drawn(0, clock(1, 1)), all[1]);
        // The number of batches in an epoch does not matter.
        let longer = Clock {
            batches: 9,
            ..clock(2, 0)
        };
        assert_eq!(drawn(0, longer), all[2]);
    }

    #[test]
    fn given_vectors_are_used_in_turn() {
        let device = Device::default();
        let given = |value: f64| Tensor::full([2, 3], value, &device);
        let latents = Latents::Given((0..4).map(|value| given(value as f64)).collect());

        for (epoch, batch, expected) in [(1, 0, 0.0), (1, 2, 2.0), (2, 0, 3.0), (2, 1, 0.0)] {
            let vectors = latents.at(&clock(epoch, batch), [9, 9], (&device, DType::F32));
            assert_eq!(vectors.dims(), [2, 3]);
            assert_eq!(vectors.max().into_scalar::<f32>(), expected);
        }
    }
}
