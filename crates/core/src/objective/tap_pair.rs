use crate::parameters::has_untracked;
use crate::{
    Context, LossError, LossTerm, NamedLoss, Requirements, Tap, TapSelection, Weighted,
    check_features, shared_mask,
};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Tensor};
use std::sync::Once;

/// A loss that compares one tap of the student with one of the teacher.
///
/// A loss that compares several layers at once is a [`MultiLayerLoss`](crate::MultiLayerLoss) instead.
pub trait TapLoss: NamedLoss {
    /// Computes the loss, reduced to one value. No gradient flows to the teacher's tap.
    ///
    /// The values of both taps in place of padding, NaN included, have no influence on the value or on a
    /// gradient: a loss of features that are summed takes it as zeros, by
    /// [`Tap::zero_padding`]; a mean over tokens is one over those of the mask.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens of two sequences that count; without a mask,
    ///   all of them
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if a tap is of a kind, or the two are of shapes, that the loss cannot compare.
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1>;

    /// Checks that the loss can compare taps of these kinds and shapes, before anything is trained. Without
    /// an implementation: taps of features.
    ///
    /// # Errors
    ///
    /// Returns an error where [`forward_taps`](Self::forward_taps) would panic.
    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_features(student, teacher)
    }
}

/// What brings a tap of the student to the shape of the teacher's. It trains with the student and is
/// no part of what is deployed.
pub trait TapAdapter: Module + ModuleDisplay + 'static {
    /// Adapt the student's tap.
    fn adapt(&self, student: Tap) -> Tap;
}

/// No adapter: the loss takes the student's tap as it is.
#[derive(Module, Debug, Default)]
pub struct NoAdapter {}

impl TapAdapter for NoAdapter {
    fn adapt(&self, student: Tap) -> Tap {
        student
    }
}

/// One tap of the student, adapted, beside one of the teacher.
#[derive(Module, Debug)]
pub struct TapPair<L, A = NoAdapter> {
    /// The name of the student's tap.
    pub student: String,
    /// The name of the teacher's tap.
    pub teacher: String,
    /// What the student's tap goes through first.
    pub adapter: A,
    /// What compares the two.
    pub loss: L,
    /// How much this pair counts among others.
    pub weight: f64,
}

impl<L> TapPair<L> {
    /// A pair of taps and the loss between them, with a weight of 1.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>, loss: L) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            adapter: NoAdapter::default(),
            loss,
            weight: 1.0,
        }
    }

    /// The same with an adapter.
    pub fn with_adapter<A: TapAdapter>(self, adapter: A) -> TapPair<L, A> {
        TapPair {
            student: self.student,
            teacher: self.teacher,
            adapter,
            loss: self.loss,
            weight: self.weight,
        }
    }
}

impl<L, A> TapPair<L, A> {
    /// The same with that weight.
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }
}

/// The term of a loss between pairs of taps: see [`TapObjective`].
#[derive(Module, Debug)]
pub struct TapPairs<L, A = NoAdapter> {
    /// The pairs.
    pub pairs: Vec<TapPair<L, A>>,
}

/// A loss between pairs of taps, as one weighted term.
///
/// ```text
/// L = Σ over pairs of weight · loss(adapter(student tap), teacher tap)
/// ```
///
/// The adapters and the parameters of the losses train with the student. Where the taps are sequences
/// and a response of [tokens](crate::Response::Tokens) tells which tokens count, the loss gets their
/// mask: a token counts if it does for student and teacher. An adapter sees zeros in place of the
/// others.
pub type TapObjective<L, A = NoAdapter> = Weighted<TapPairs<L, A>>;

impl<L, A, P: IntoIterator<Item = TapPair<L, A>>> From<P> for TapPairs<L, A> {
    /// Collects the pairs.
    ///
    /// # Panics
    ///
    /// Panics if there is no pair.
    fn from(pairs: P) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        assert!(!pairs.is_empty(), "There should be a pair of taps.");
        Self { pairs }
    }
}

impl<L: TapLoss, A: TapAdapter> NamedLoss for TapPairs<L, A> {
    fn name(&self) -> &'static str {
        self.pairs[0].loss.name()
    }
}

impl<L: TapLoss, A: TapAdapter> LossTerm for TapPairs<L, A> {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(self.pairs.iter().map(|pair| &pair.student)),
            teacher: TapSelection::named(self.pairs.iter().map(|pair| &pair.teacher)),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let mask = shared_mask(&context.student.response, &context.teacher.response);
        self.pairs
            .iter()
            .map(|pair| {
                let student = context.student.taps.expect(&pair.student);
                let teacher = context.teacher.taps.expect(&pair.teacher).without_autodiff();
                warn_of_untrained(pair, &student);
                // Before the adapter, whose weights padding of NaN would give gradients of NaN.
                let student = pair.adapter.adapt(student.zero_padding(mask.as_ref()));
                let mask = match student {
                    Tap::Sequence(_) => mask.clone(),
                    _ => None,
                };
                if let Err(error) = pair.loss.check_taps(&student, &teacher) {
                    panic!(
                        "The loss `{}` cannot compare the student's tap `{}`, through its adapter, with \
                         the teacher's tap `{}`: {error}. An adapter brings one to the shape of the other: \
                         `Pair::with_adapter`.",
                        self.name(),
                        pair.student,
                        pair.teacher
                    );
                }
                let loss = pair.loss.forward_taps(student, teacher, mask);
                loss.mul_scalar(pair.weight)
            })
            .reduce(Tensor::add)
            .expect("There is a pair.")
    }
}

/// Warns once of an adapter that does not train, as it is on a device without autodiff beside a student
/// with it: burn computes with it all the same.
fn warn_of_untrained<L, A: TapAdapter>(pair: &TapPair<L, A>, student: &Tap) {
    static ONCE: Once = Once::new();
    if student.is_autodiff() && has_untracked(&pair.adapter) {
        ONCE.call_once(|| {
            log::warn!(
                "the adapter of the student's tap `{}` is on a device without autodiff and does not \
                 train: create it on the device of the student, `device.autodiff()`",
                pair.student
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Knowledge, Objective, Response, TapRecorder, Targets};
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Squares {}

    impl NamedLoss for Squares {
        fn name(&self) -> &'static str {
            "squares"
        }
    }

    impl TapLoss for Squares {
        fn forward_taps(
            &self,
            student: Tap,
            teacher: Tap,
            _: Option<Tensor<2, Bool>>,
        ) -> Tensor<1> {
            student
                .into_vectors()
                .sub(teacher.into_vectors())
                .square()
                .mean()
        }
    }

    #[derive(Module, Debug)]
    struct Double {}

    impl TapAdapter for Double {
        fn adapt(&self, student: Tap) -> Tap {
            Tap::Vector(student.into_vectors().mul_scalar(2.0))
        }
    }

    fn knowledge(value: f32, device: &Device) -> Knowledge {
        let mut taps = TapRecorder::new(TapSelection::All);
        for (name, value) in [("a", value), ("b", 2.0 * value)] {
            taps.offer(name, || Tap::Vector(Tensor::full([2, 3], value, device)));
        }
        Knowledge {
            response: Response::Classes(Tensor::zeros([2, 4], device)),
            taps: taps.finish().unwrap(),
        }
    }

    #[test]
    fn pairs_are_adapted_weighed_and_summed() {
        let device = Device::default();
        let (student, teacher) = (knowledge(1.0, &device), knowledge(4.0, &device));
        let objective = TapObjective::new(
            [
                TapPair::new("a", "a", Squares {}).with_adapter(Double {}),
                TapPair::new("a", "b", Squares {})
                    .with_adapter(Double {})
                    .with_weight(0.5),
            ],
            3.0,
        );

        let context = Context::new(&student, &teacher, &Targets::Unlabeled, &[], Clock::start());
        let terms = objective.forward(&context);

        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("squares", 3.0));
        // (2 − 4)² + ½ (2 − 8)²
        assert_eq!(term.value.clone().into_scalar::<f32>(), 22.0);
        let requirements = objective.requirements();
        assert_eq!(requirements.student, TapSelection::named(["a"]));
        assert_eq!(requirements.teacher, TapSelection::named(["a", "b"]));
        assert_eq!(objective.with_name("near").name, "near");
    }

    #[test]
    #[should_panic(expected = "There should be a pair of taps")]
    fn there_is_a_pair() {
        TapObjective::new(Vec::<TapPair<Squares>>::new(), 1.0);
    }
}
