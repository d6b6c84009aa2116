use super::{Curriculum, CurriculumError, Stage};
use crate::{EpochLoader, OfflineDistiller};
use burn_distill_core::{Frozen, Knowledge, Network, Objective, Seed};

/// Born-again networks (BAN): generations of networks of one architecture, each of which learns
/// from the generation before it.
///
/// ```text
/// generation 0 learns from the targets, without a teacher
/// generation g learns from generation g − 1, frozen
/// ```
///
/// Every generation is a [`Stage`] of a [`Curriculum`], with initial weights of another seed, a new
/// optimizer and a schedule that starts again. Its teacher is the previous generation after its
/// last epoch.
///
/// The later generations can have any objective:
///
/// | Objective | Name in the paper |
/// | --- | --- |
/// | soft cross-entropy at temperature 1 | BAN |
/// | soft cross-entropy at temperature 1 plus cross-entropy with the labels | BAN+L |
/// | cross-entropy with the labels, weighted by the confidence of the teacher | CWTM |
/// | soft cross-entropy with the probabilities of the non-target classes permuted | DKPP |
///
/// The [ensemble](burn_distill_core::Ensemble) of the generations that [`run`](Self::run) returns
/// is BANE.
///
/// # Example
///
/// ```
/// use burn::tensor::Tensor;
/// use burn_distill_core::{Ensemble, Frozen, CrossEntropyObjective, Network, Objective};
/// use burn_distill_data::BatchLoader;
/// use burn_distill_strategy::{Curriculum, CurriculumError, Generations, Stage};
///
/// fn born_again<N: Network<Input = Tensor<4>>, O: Objective>(
///     curriculum: &mut Curriculum,
///     network: impl Fn(u64) -> N,
///     soft_targets: impl Fn() -> O,
///     loaders: (BatchLoader, BatchLoader),
/// ) -> Result<Ensemble<Frozen<N>>, CurriculumError> {
///     let generations = Generations::new(3, 0).run(
///         curriculum,
///         |name| Stage::new(name, 90),
///         network,
///         || CrossEntropyObjective::new(1.0),
///         |_| soft_targets(),
///         || loaders.clone(),
///     )?;
///     Ok(Ensemble::new(generations))
/// }
/// ```
///
/// # Reference
///
/// T. Furlanello, Z. C. Lipton, M. Tschannen, L. Itti and A. Anandkumar, [Born Again Neural
/// Networks](https://arxiv.org/abs/1805.04770), ICML 2018. The authors have published no code: this
/// is our interpretation of the paper.
#[doc(alias = "BAN")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generations {
    count: usize,
    seed: u64,
}

impl Generations {
    /// Creates `count` generations, including the one without a teacher, whose seeds follow from
    /// `seed`.
    ///
    /// # Panics
    ///
    /// Panics if `count` is 0.
    pub fn new(count: usize, seed: u64) -> Self {
        assert!(
            count > 0,
            "The number of generations must be at least 1, but is 0."
        );
        Self { count, seed }
    }

    /// Returns the number of generations.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the seed of the initial weights of a generation, counted from 0. It differs among
    /// 256 generations, and from those of neighboring seeds.
    pub fn seed(&self, generation: usize) -> u64 {
        Seed::new(self.seed).network(generation).value()
    }

    /// Returns the name of the stage of a generation, counted from 0.
    pub fn name(&self, generation: usize) -> String {
        format!("generation-{generation}")
    }

    /// Trains all generations and returns them in order, frozen.
    ///
    /// A curriculum that was stopped continues when this is called again with the same arguments.
    ///
    /// - `stage`: creates the stage with a name, with its epochs, optimizer and schedule
    /// - `network`: creates a network with initial weights of a seed
    /// - `baseline`: creates the objective of generation 0, which has no teacher
    /// - `distilled`: creates the objective of generation 1, 2, …
    /// - `loaders`: creates the training and validation data of one stage
    ///
    /// # Errors
    ///
    /// Returns an error as [`Curriculum::run`] and [`Curriculum::load`] do.
    pub fn run<N, A, O, L, V>(
        &self,
        curriculum: &mut Curriculum,
        stage: impl Fn(String) -> Stage,
        network: impl Fn(u64) -> N,
        baseline: impl Fn() -> A,
        distilled: impl Fn(usize) -> O,
        loaders: impl Fn() -> (L, V),
    ) -> Result<Vec<Frozen<N>>, CurriculumError>
    where
        N: Network,
        A: Objective<Knowledge, ()>,
        O: Objective,
        L: EpochLoader<N::Input>,
        V: EpochLoader<N::Input>,
    {
        let mut generations: Vec<Frozen<N>> = Vec::with_capacity(self.count);
        for generation in 0..self.count {
            let stage = stage(self.name(generation));
            let network = network(self.seed(generation));
            // A copy to load the weights into, since a network that trains must not share its state
            // with a teacher.
            let fresh = network.valid();
            match generations.last() {
                None => {
                    let distiller = OfflineDistiller::without_teacher(network, baseline());
                    curriculum.run(stage, distiller, loaders())?;
                }
                Some(teacher) => {
                    let objective = distilled(generation);
                    let distiller = OfflineDistiller::new(network, teacher.clone(), objective);
                    curriculum.run(stage, distiller, loaders())?;
                }
            }
            generations.push(Frozen::new(curriculum.load("student", &fresh)?));
        }
        Ok(generations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn generations_differ_in_seed_and_name() {
        let generations = Generations::new(5, u64::MAX - 1);

        let seeds: BTreeSet<_> = (0..5).map(|g| generations.seed(g)).collect();
        let names: BTreeSet<_> = (0..5).map(|g| generations.name(g)).collect();
        assert_eq!((seeds.len(), names.len(), generations.count()), (5, 5, 5));
        assert!(seeds.contains(&(u64::MAX - 1)) && names.contains("generation-0"));
    }

    #[test]
    fn generations_of_repetitions_do_not_share_seeds() {
        let repetitions = (0..3).map(|seed| Generations::new(4, seed));
        let seeds: BTreeSet<_> = repetitions
            .flat_map(|generations| (0..4).map(move |g| generations.seed(g)))
            .collect();

        assert_eq!(seeds.len(), 3 * 4);
    }

    #[test]
    #[should_panic(expected = "The number of generations must be at least 1, but is 0.")]
    fn zero_generations_are_refused() {
        Generations::new(0, 0);
    }
}
