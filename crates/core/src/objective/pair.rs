use crate::{
    Context, Knowledge, NamedLoss, Objective, Tap, TapSelection, Terms, Wanted, WeightSchedule,
    shared_mask,
};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Tensor};

/// A loss that compares one tap of the student with one of the teacher.
///
/// A loss that looks at several layers at once is a [`LayersLoss`](crate::LayersLoss) instead.
pub trait TapLoss: NamedLoss {
    /// The loss, reduced to one value. No gradient flows to the teacher's tap.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if a tap is of a kind, or the two are of shapes, that the loss cannot compare.
    fn forward_taps(&self, student: Tap, teacher: Tap) -> Tensor<1>;

    /// Computes the loss of two sequences of which some tokens are padding. A loss that sees no tokens in
    /// them, as most do, takes padding as zeros.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens that count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics as [`forward_taps`](Self::forward_taps) does, or if the mask is of another shape.
    fn forward_tokens(&self, student: Tap, teacher: Tap, mask: Tensor<2, Bool>) -> Tensor<1> {
        self.forward_taps(student.zero_padding(&mask), teacher.zero_padding(&mask))
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
pub struct Pair<L, A = NoAdapter> {
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

impl<L> Pair<L> {
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
    pub fn with_adapter<A: TapAdapter>(self, adapter: A) -> Pair<L, A> {
        Pair {
            student: self.student,
            teacher: self.teacher,
            adapter,
            loss: self.loss,
            weight: self.weight,
        }
    }
}

impl<L, A> Pair<L, A> {
    /// The same with that weight.
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }
}

/// A loss between pairs of taps, as one weighted term.
///
/// ```text
/// L = Σ over pairs of weight · loss(adapter(student tap), teacher tap)
/// ```
///
/// The adapters, and what the losses themselves have to learn, train with the student. Where the taps
/// are sequences and a response of [tokens](crate::Response::Tokens) tells which tokens count, the loss
/// is told too: a token counts if it does for student and teacher. An adapter sees zeros in place of
/// the others.
#[derive(Module, Debug)]
pub struct PairObjective<L, A = NoAdapter> {
    /// What is compared.
    pub pairs: Vec<Pair<L, A>>,
    /// The name of the term.
    pub name: String,
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl<L: TapLoss, A: TapAdapter> PairObjective<L, A> {
    /// These pairs with that weight, under the name of their loss.
    ///
    /// # Panics
    ///
    /// Panics if there is no pair.
    pub fn new(
        pairs: impl IntoIterator<Item = Pair<L, A>>,
        weight: impl Into<WeightSchedule>,
    ) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let first = pairs.first().expect("There should be a pair of taps.");
        Self {
            name: first.loss.name().to_string(),
            pairs,
            weight: weight.into(),
        }
    }

    /// The same under another name: two terms of a loss may not share one.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<L: TapLoss, A: TapAdapter> Objective for PairObjective<L, A> {
    fn wanted(&self) -> Wanted {
        Wanted {
            student: TapSelection::named(self.pairs.iter().map(|pair| &pair.student)),
            teacher: TapSelection::named(self.pairs.iter().map(|pair| &pair.teacher)),
            ..Wanted::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let mask = shared_mask(&context.student.response, &context.teacher.response);
        let loss = self
            .pairs
            .iter()
            .map(|pair| {
                let student = context.student.taps.take(&pair.student);
                let teacher = context.teacher.taps.take(&pair.teacher).without_autodiff();
                let student = match &mask {
                    // Before the adapter, whose weights padding of NaN would give gradients of NaN.
                    Some(mask) => student.zero_padding(mask),
                    None => student,
                };
                let student = pair.adapter.adapt(student);
                let loss = match (&student, &mask) {
                    (Tap::Sequence(_), Some(mask)) => {
                        pair.loss.forward_tokens(student, teacher, mask.clone())
                    }
                    _ => pair.loss.forward_taps(student, teacher),
                };
                loss.mul_scalar(pair.weight)
            })
            .reduce(Tensor::add)
            .expect("There is a pair.");
        Terms::one(&self.name, loss, self.weight.at(&context.clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Response, TapRecorder, Targets};
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Squares {}

    impl NamedLoss for Squares {
        fn name(&self) -> &'static str {
            "squares"
        }
    }

    impl TapLoss for Squares {
        fn forward_taps(&self, student: Tap, teacher: Tap) -> Tensor<1> {
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
        let objective = PairObjective::new(
            [
                Pair::new("a", "a", Squares {}).with_adapter(Double {}),
                Pair::new("a", "b", Squares {})
                    .with_adapter(Double {})
                    .with_weight(0.5),
            ],
            3.0,
        );

        let context = Context::new(
            &student,
            &teacher,
            &Targets::Unlabelled,
            &[],
            Clock::start(),
        );
        let terms = objective.forward(&context);

        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("squares", 3.0));
        // (2 − 4)² + ½ (2 − 8)²
        assert_eq!(term.value.clone().into_scalar::<f32>(), 22.0);
        let wanted = objective.wanted();
        assert_eq!(wanted.student, TapSelection::named(["a"]));
        assert_eq!(wanted.teacher, TapSelection::named(["a", "b"]));
        assert_eq!(objective.with_name("near").name, "near");
    }

    #[test]
    #[should_panic(expected = "There should be a pair of taps")]
    fn there_is_a_pair() {
        PairObjective::new(Vec::<Pair<Squares>>::new(), 1.0);
    }
}
