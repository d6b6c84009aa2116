use super::{Curriculum, CurriculumError, Stage};
use crate::{EpochLoader, OfflineDistiller};
use burn_distill_core::{Frozen, Knowledge, Network, Objective, Seed};

/// Teacher assistants: networks of sizes between those of teacher and student, trained one after
/// the other, the student last.
///
/// With [`run`](Self::run) each network learns from the one before it (TAKD):
///
/// ```text
/// assistant 1 learns from the teacher
/// assistant i learns from assistant i − 1, frozen
/// the student learns from the last assistant, frozen
/// ```
///
/// With [`run_densely`](Self::run_densely) each network learns from the teacher and all assistants
/// before it (DGKD).
///
/// Every network is a [`Stage`] of a [`Curriculum`], with initial weights of another seed, a new
/// optimizer and a schedule that starts again. A network teaches as it is after its last epoch, or
/// with [`Stage::with_best_epoch`] after its best one on the validation data, as in the code of the
/// authors.
///
/// All networks are of one type: [`DynNetwork`](burn_distill_core::DynNetwork) is one for networks
/// of different types.
///
/// # Example
///
/// ```
/// use burn::tensor::Tensor;
/// use burn_distill_core::{DenseGuidance, Frozen, Network, Objective};
/// use burn_distill_data::BatchLoader;
/// use burn_distill_strategy::{Assistants, Curriculum, CurriculumError, Stage};
///
/// /// Trains two assistants and the student, which leaves out one of its three guides at random.
/// fn guided<N: Network<Input = Tensor<4>>, O: Objective>(
///     curriculum: &mut Curriculum,
///     teacher: Frozen<N>,
///     network: impl Fn(usize, u64) -> N,
///     soft_targets: impl Fn() -> O,
///     loaders: (BatchLoader, BatchLoader),
/// ) -> Result<Option<Frozen<N>>, CurriculumError> {
///     let mut networks = Assistants::new(2, 0).run_densely(
///         curriculum,
///         |name| Stage::new(name, 160).with_best_epoch(true),
///         network,
///         teacher,
///         |guides| {
///             let objectives = (0..guides).map(|_| soft_targets());
///             DenseGuidance::new(objectives, usize::from(guides > 1), 0)
///         },
///         || loaders.clone(),
///     )?;
///     Ok(networks.pop())
/// }
/// ```
///
/// # References
///
/// S. I. Mirzadeh, M. Farajtabar, A. Li, N. Levine, A. Matsukawa and H. Ghasemzadeh, [Improved
/// Knowledge Distillation via Teacher Assistant](https://arxiv.org/abs/1902.03393), AAAI 2020;
/// W. Son, J. Na, J. Choi and W. Hwang, [Densely Guided Knowledge Distillation using Multiple
/// Teacher Assistants](https://arxiv.org/abs/2009.08825), ICCV 2021.
#[doc(alias = "TAKD")]
#[doc(alias = "DGKD")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assistants {
    count: usize,
    seed: u64,
}

impl Assistants {
    /// Creates a number of assistants and a student, whose seeds follow from `seed`.
    pub fn new(count: usize, seed: u64) -> Self {
        Self { count, seed }
    }

    /// Returns the number of assistants.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the seed of the initial weights of the network at a place: that of assistant `i` is
    /// at place `i`, counted from 0, and that of the student at the last place is `seed` itself.
    pub fn seed(&self, place: usize) -> u64 {
        let student = place >= self.count;
        let number = if student { 0 } else { place + 1 };
        Seed::new(self.seed).network(number).value()
    }

    /// Returns the name of the stage at a place: `assistant-1`, …, `student`.
    pub fn name(&self, place: usize) -> String {
        match place < self.count {
            true => format!("assistant-{}", place + 1),
            false => "student".into(),
        }
    }

    /// Trains all assistants and the student, each of which learns from the network before it, and
    /// returns them in order, frozen.
    ///
    /// A curriculum that was stopped continues when this is called again with the same arguments.
    ///
    /// - `stage`: creates the stage with a name, with its epochs, optimizer and schedule
    /// - `network`: creates the network at a place, counted from 0, with initial weights of a seed
    /// - `objective`: creates the objective of the network at a place
    /// - `loaders`: creates the training and validation data of one stage
    ///
    /// # Errors
    ///
    /// Returns an error as [`Curriculum::run`] and [`Curriculum::load`] do.
    pub fn run<N, O, L, V>(
        &self,
        curriculum: &mut Curriculum,
        stage: impl Fn(String) -> Stage,
        network: impl Fn(usize, u64) -> N,
        teacher: Frozen<N>,
        objective: impl Fn(usize) -> O,
        loaders: impl Fn() -> (L, V),
    ) -> Result<Vec<Frozen<N>>, CurriculumError>
    where
        N: Network,
        O: Objective,
        L: EpochLoader<N::Input>,
        V: EpochLoader<N::Input>,
    {
        self.each(teacher, |place, guides| {
            let student = network(place, self.seed(place));
            let fresh = student.valid();
            let guide = guides[place].clone();
            let distiller = OfflineDistiller::new(student, guide, objective(place));
            curriculum.run(stage(self.name(place)), distiller, loaders())?;
            curriculum.load("student", &fresh)
        })
    }

    /// Trains all assistants and the student, each of which learns from the teacher and all
    /// assistants before it, and returns them in order, frozen.
    ///
    /// The arguments are those of [`run`](Self::run), but `objective` creates the objective of a
    /// network with this number of guides, such as
    /// [`DenseGuidance`](burn_distill_core::DenseGuidance): the teacher first, then the assistants
    /// in their order.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Curriculum::run`] and [`Curriculum::load`] do.
    pub fn run_densely<N, O, L, V>(
        &self,
        curriculum: &mut Curriculum,
        stage: impl Fn(String) -> Stage,
        network: impl Fn(usize, u64) -> N,
        teacher: Frozen<N>,
        objective: impl Fn(usize) -> O,
        loaders: impl Fn() -> (L, V),
    ) -> Result<Vec<Frozen<N>>, CurriculumError>
    where
        N: Network,
        O: Objective<Knowledge, Vec<Knowledge>>,
        L: EpochLoader<N::Input>,
        V: EpochLoader<N::Input>,
    {
        self.each(teacher, |place, guides| {
            let student = network(place, self.seed(place));
            let fresh = student.valid();
            let objective = objective(guides.len());
            let distiller = OfflineDistiller::new(student, guides.to_vec(), objective);
            curriculum.run(stage(self.name(place)), distiller, loaders())?;
            curriculum.load("student", &fresh)
        })
    }

    /// Calls `train` for each network, with its place and all networks before it, the teacher
    /// first, and returns the networks without the teacher.
    fn each<N: Network>(
        &self,
        teacher: Frozen<N>,
        mut train: impl FnMut(usize, &[Frozen<N>]) -> Result<N, CurriculumError>,
    ) -> Result<Vec<Frozen<N>>, CurriculumError> {
        let mut guides = vec![teacher];
        for place in 0..=self.count {
            let network = train(place, &guides)?;
            guides.push(Frozen::new(network));
        }
        guides.remove(0);
        Ok(guides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_network_has_its_seed_and_name() {
        let assistants = Assistants::new(2, 7);
        let names: Vec<_> = (0..3).map(|place| assistants.name(place)).collect();
        let seeds: BTreeSet<_> = (0..3).map(|place| assistants.seed(place)).collect();

        assert_eq!(names, ["assistant-1", "assistant-2", "student"]);
        assert_eq!((seeds.len(), assistants.seed(2)), (3, 7));
    }
}
