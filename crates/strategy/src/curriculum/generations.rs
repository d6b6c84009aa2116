use super::{Curriculum, CurriculumError, Stage};
use crate::{EpochLoader, OfflineDistiller};
use burn_distill_core::{Frozen, Knowledge, Network, Objective, Seed};

/// The generations of born-again networks: networks of one architecture, each of which learns from
/// the one before it.
///
/// ```text
/// generation 0 learns from the targets alone
/// generation g learns from generation g − 1, frozen
/// ```
///
/// Every generation begins anew: with initial weights of a seed of its own, a fresh optimizer and a
/// schedule that starts again, in a [`Stage`] of a [`Curriculum`]. Its teacher is the generation
/// before it as its last epoch left it.
///
/// What the later generations learn from is any objective:
///
/// | Objective | Name in the paper |
/// | --- | --- |
/// | soft cross-entropy at temperature 1 | BAN |
/// | that and the cross-entropy with the labels | BAN+L |
/// | cross-entropy with the labels, weighted by how sure the teacher is | CWTM |
/// | soft cross-entropy whose other classes are shuffled | DKPP |
///
/// The [ensemble](burn_distill_core::Ensemble) of the generations, BANE, is made of what
/// [`run`](Self::run) leaves.
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
    /// So many generations, the one without a teacher included, whose seeds follow from `seed`.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn new(count: usize, seed: u64) -> Self {
        assert!(count > 0, "There is one generation at least.");
        Self { count, seed }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The seed of the initial weights of a generation, counted from 0: no two of 256 have the same,
    /// nor do generations of neighboring seeds.
    pub fn seed(&self, generation: usize) -> u64 {
        Seed::new(self.seed).network(generation).value()
    }

    /// The name of the stage of a generation, counted from 0.
    pub fn name(&self, generation: usize) -> String {
        format!("generation-{generation}")
    }

    /// Train all generations, and return them in their order, each frozen.
    ///
    /// A curriculum that was stopped goes on where it was when this is called again with the same
    /// arguments.
    ///
    /// - `stage`: the stage of that name, with its epochs, optimizer and schedule
    /// - `network`: a network with initial weights of that seed
    /// - `alone`: what generation 0 is trained on
    /// - `taught`: what generation 1, 2, … is trained on
    /// - `loaders`: the training and validation data of one stage
    ///
    /// # Errors
    ///
    /// Returns an error as [`Curriculum::run`] and [`Curriculum::load`] do.
    pub fn run<N, A, O, L, V>(
        &self,
        curriculum: &mut Curriculum,
        stage: impl Fn(String) -> Stage,
        network: impl Fn(u64) -> N,
        alone: impl Fn() -> A,
        taught: impl Fn(usize) -> O,
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
            // What is loaded is a copy: the network that trains shares nothing with its teacher.
            let fresh = network.valid();
            match generations.last() {
                None => {
                    let distiller = OfflineDistiller::without_teacher(network, alone());
                    curriculum.run(stage, distiller, loaders())?;
                }
                Some(teacher) => {
                    let objective = taught(generation);
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
    fn every_generation_has_a_seed_and_a_name_of_its_own() {
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
    #[should_panic(expected = "There is one generation at least.")]
    fn none_is_refused() {
        Generations::new(0, 0);
    }
}
