use crate::parameters::has_parameters_with;
use crate::{
    Context, LossError, LossTerm, NamedLoss, Requirements, Tap, TapSelection, Weighted, both_masks,
    check_features,
};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Tensor};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// A loss between one tap of the student and one tap of the teacher.
///
/// For a loss between several layers at once, see [`MultiLayerLoss`](crate::MultiLayerLoss).
pub trait TapLoss: NamedLoss {
    /// Computes the loss, reduced to one value. No gradient flows to the teacher's tap.
    ///
    /// The values of both taps at the tokens that do not count, NaN included, must not change the
    /// value or a gradient. A loss that sums over features sets them to zero with
    /// [`Tap::zero_padding`]; a loss that averages over tokens averages over those in the mask.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens of both sequences that count; `None` if
    ///   all tokens count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the loss cannot compare taps of these kinds and shapes.
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1>;

    /// Checks that the loss can compare taps of these kinds and shapes. It runs before the training
    /// and in its first step. The default accepts vectors, sequences and maps.
    ///
    /// # Errors
    ///
    /// Returns an error where [`forward_taps`](Self::forward_taps) would panic.
    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_features(student, teacher)
    }
}

/// A layer that maps a tap of the student to the shape of the teacher's tap.
///
/// It trains with the student and is not part of the deployed network.
pub trait TapAdapter: Module + ModuleDisplay + 'static {
    /// Maps the tap of the student.
    fn adapt(&self, student: Tap) -> Tap;
}

/// No adapter: the tap of the student stays as it is.
#[derive(Module, Debug, Default)]
pub struct NoAdapter {}

impl TapAdapter for NoAdapter {
    fn adapt(&self, student: Tap) -> Tap {
        student
    }
}

/// A tap of the student and a tap of the teacher, with the loss between them.
#[derive(Module, Debug)]
pub struct TapPair<L, A = NoAdapter> {
    /// Name of the student's tap.
    pub student: String,
    /// Name of the teacher's tap.
    pub teacher: String,
    /// Adapter that maps the tap of the student first.
    pub adapter: A,
    /// Loss between the two taps.
    pub loss: L,
    /// Weight of the pair in the sum over all pairs.
    pub weight: f64,
}

impl<L> TapPair<L> {
    /// Creates a pair from the names of two taps and the loss between them, without an adapter and
    /// with a weight of 1.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>, loss: L) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            adapter: NoAdapter::default(),
            loss,
            weight: 1.0,
        }
    }

    /// Sets the adapter of the student's tap.
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
    /// Sets the weight.
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }
}

/// The term of a loss between pairs of taps: see [`TapObjective`].
#[derive(Module, Debug)]
pub struct TapPairs<L, A = NoAdapter> {
    /// Pairs of taps.
    pub pairs: Vec<TapPair<L, A>>,
    /// Name of the student's tap with the mask of the tokens that count, if its response has no
    /// mask.
    pub mask: Option<String>,
    /// Name of the teacher's tap with the mask of the tokens that count, if its response has no
    /// mask.
    pub teacher_mask: Option<String>,
    #[module(skip)]
    checked: Checked,
}

/// Whether the pairs have been checked with a batch. A copy is checked again, since it may be used
/// with other networks.
#[derive(Debug, Default)]
struct Checked(AtomicBool);

impl Clone for Checked {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A loss between pairs of taps, as one weighted term.
///
/// ```text
/// L = Σ over pairs of weight · loss(adapter(student tap), teacher tap)
/// ```
///
/// The adapters and the parameters of the losses train with the student. If the taps are sequences,
/// the loss gets the mask of the tokens that count for student and teacher, if there is one: from
/// the tap that [`mask`](TapPairs::mask) or [`teacher_mask`](TapPairs::teacher_mask) names, or else
/// from a response of [tokens](crate::Response::Tokens). An adapter gets zeros in place of the other
/// tokens; if it makes something else of a sequence, the loss gets zeros in the teacher's and no mask.
pub type TapObjective<L, A = NoAdapter> = Weighted<TapPairs<L, A>>;

impl<L, A, P: IntoIterator<Item = TapPair<L, A>>> From<P> for TapPairs<L, A> {
    /// Creates the term from its pairs.
    ///
    /// # Panics
    ///
    /// Panics if there are no pairs.
    fn from(pairs: P) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        assert!(
            !pairs.is_empty(),
            "There should be at least one pair of taps, but there is none."
        );
        Self {
            pairs,
            mask: None,
            teacher_mask: None,
            checked: Checked::default(),
        }
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
            student: TapSelection::named(
                self.pairs
                    .iter()
                    .map(|pair| &pair.student)
                    .chain(&self.mask),
            ),
            teacher: TapSelection::named(
                self.pairs
                    .iter()
                    .map(|pair| &pair.teacher)
                    .chain(&self.teacher_mask),
            ),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let mask = both_masks(
            context.student.token_mask(&self.mask),
            context.teacher.token_mask(&self.teacher_mask),
        );
        // The kinds of the taps and the devices do not change after the first batch.
        let unchecked = !self.checked.0.load(Ordering::Relaxed);
        let values = self.pairs.iter().map(|pair| {
            let student = context.student.taps.expect(&pair.student);
            let teacher = context
                .teacher
                .taps
                .expect(&pair.teacher)
                .without_autodiff();
            if unchecked {
                warn_of_untrained(pair, &student);
            }
            // Before the adapter, because padding of NaN would give its weights gradients of NaN.
            let student = pair.adapter.adapt(student.zero_padding(mask.as_ref()));
            if unchecked {
                pair.check(&student, &teacher);
            }
            let (teacher, mask) = match student {
                Tap::Sequence(_) => (teacher, mask.clone()),
                _ => (teacher.zero_padding(mask.as_ref()), None),
            };
            let loss = pair.loss.forward_taps(student, teacher, mask);
            loss.mul_scalar(pair.weight)
        });
        let value = values.reduce(Tensor::add).expect("there is a pair");
        self.checked.0.store(true, Ordering::Relaxed);
        value
    }
}

impl<L: TapLoss, A> TapPair<L, A> {
    /// Panics if the loss cannot compare the student's tap, after its adapter, with the teacher's
    /// tap.
    fn check(&self, student: &Tap, teacher: &Tap) {
        if let Err(error) = self.loss.check_taps(student, teacher) {
            panic!(
                "The loss `{}` cannot compare the student's tap `{}`, through its adapter, with the \
                 teacher's tap `{}`: {error}. An adapter brings one to the shape of the other: \
                 `TapPair::with_adapter`.",
                self.loss.name(),
                self.student,
                self.teacher
            );
        }
    }
}

/// Warns once about a student and an adapter of which only one is on a device with autodiff: burn
/// computes with the other one, but does not train it.
fn warn_of_untrained<L, A: TapAdapter>(pair: &TapPair<L, A>, student: &Tap) {
    static ONCE: Once = Once::new();
    let trained = student.is_autodiff();
    if has_parameters_with(&pair.adapter, !trained) {
        let tap = &pair.student;
        ONCE.call_once(|| match trained {
            true => log::warn!(
                "the adapter of the student's tap `{tap}` is on a device without autodiff and does not \
                 train: create it on the device of the student, `device.autodiff()`"
            ),
            false => log::warn!(
                "the student is on a device without autodiff and does not train, but the adapter of its \
                 tap `{tap}` does: create the student on `device.autodiff()`, or call `train()` on it"
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SquaredDifference;
    use crate::{Knowledge, Objective};
    use burn::tensor::Device;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[derive(Module, Debug)]
    struct Double {}

    impl TapAdapter for Double {
        fn adapt(&self, student: Tap) -> Tap {
            Tap::Vector(student.into_vectors().mul_scalar(2.0))
        }
    }

    fn knowledge(value: f32, device: &Device) -> Knowledge {
        let vectors = |value| Tensor::<2>::full([2, 3], value, device);
        let knowledge = Knowledge::from_logits(Tensor::zeros([2, 4], device));
        knowledge.with_taps([("a", vectors(value)), ("b", vectors(2.0 * value))])
    }

    #[test]
    fn pairs_are_adapted_weighted_and_summed() {
        let device = Device::default();
        let (student, teacher) = (knowledge(1.0, &device), knowledge(4.0, &device));
        let objective = TapObjective::new(
            [
                TapPair::new("a", "a", SquaredDifference {}).with_adapter(Double {}),
                TapPair::new("a", "b", SquaredDifference {})
                    .with_adapter(Double {})
                    .with_weight(0.5),
            ],
            3.0,
        );

        let terms = objective.forward(&Context::of(&student, &teacher));

        let term = terms.iter().next().unwrap();
        assert_eq!(
            (term.name.as_str(), term.weight),
            ("squared-difference", 3.0)
        );
        // (2 − 4)² + ½ (2 − 8)²
        assert_eq!(term.value.clone().into_scalar::<f32>(), 22.0);
        let requirements = objective.requirements();
        assert_eq!(requirements.student, TapSelection::named(["a"]));
        assert_eq!(requirements.teacher, TapSelection::named(["a", "b"]));
        assert_eq!(objective.with_name("near").name, "near");
    }

    /// Counts its checks and takes any taps but those of four features.
    #[derive(Module, Debug)]
    struct CountsChecks {
        #[module(skip)]
        checks: Arc<AtomicUsize>,
    }

    impl NamedLoss for CountsChecks {
        fn name(&self) -> &'static str {
            "counts-checks"
        }
    }

    impl TapLoss for CountsChecks {
        fn forward_taps(&self, student: Tap, _: Tap, _: Option<Tensor<2, Bool>>) -> Tensor<1> {
            student.into_vectors().mean()
        }

        fn check_taps(&self, student: &Tap, _: &Tap) -> Result<(), LossError> {
            self.checks.fetch_add(1, Ordering::Relaxed);
            match student.shape()[1] {
                4 => Err(LossError::new("four features")),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn taps_are_checked_in_the_first_step_and_again_by_a_copy() {
        let device = Device::default();
        let checks = Arc::new(AtomicUsize::new(0));
        let pair = TapPair::new(
            "a",
            "a",
            CountsChecks {
                checks: checks.clone(),
            },
        );
        let term = TapPairs::from([pair]);
        let value = |term: &TapPairs<CountsChecks>, features: usize| {
            let vectors = Tensor::<2>::ones([2, features], &device);
            let logits = Tensor::zeros([2, 4], &device);
            let knowledge = Knowledge::from_logits(logits).with_taps([("a", vectors)]);
            term.value(&Context::of(&knowledge, &knowledge))
        };
        let refused = |term: &TapPairs<CountsChecks>| {
            let wrong = catch_unwind(AssertUnwindSafe(|| value(term, 4)));
            let message = wrong.unwrap_err().downcast::<String>().unwrap();
            assert!(
                message.contains("tap `a`: four features. An adapter brings"),
                "{message}"
            );
        };

        refused(&term);
        refused(&term);
        assert_eq!(checks.load(Ordering::Relaxed), 2);
        value(&term, 3);
        value(&term, 3);
        assert_eq!(checks.load(Ordering::Relaxed), 3);
        refused(&term.clone());
    }

    /// Counts the tokens of its mask.
    #[derive(Module, Debug)]
    struct CountsTokens {}

    impl NamedLoss for CountsTokens {
        fn name(&self) -> &'static str {
            "counts-tokens"
        }
    }

    impl TapLoss for CountsTokens {
        fn forward_taps(&self, student: Tap, _: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
            let length = student.shape()[1] as f64;
            match mask {
                Some(mask) => mask.float().sum(),
                None => Tensor::full([1], length, &Device::default()),
            }
        }
    }

    #[test]
    fn the_mask_is_that_of_the_named_taps() {
        let device = Device::default();
        let knowledge = |mask: [bool; 3]| {
            let taps = [
                ("tokens", Tap::Sequence(Tensor::zeros([1, 3, 2], &device))),
                ("valid", Tap::Mask(Tensor::from_data([mask], &device))),
            ];
            Knowledge::from_logits(Tensor::zeros([1, 4], &device)).with_taps(taps)
        };
        let student = knowledge([true, true, false]);
        let teacher = knowledge([false, true, false]);
        let valid = || Some("valid".to_string());
        for (mask, teacher_mask, expected) in [
            (None, None, 3.0),
            (valid(), None, 2.0),
            (None, valid(), 1.0),
            (valid(), valid(), 1.0),
        ] {
            let pair = TapPair::new("tokens", "tokens", CountsTokens {});
            let term = TapPairs {
                mask: mask.clone(),
                teacher_mask: teacher_mask.clone(),
                ..TapPairs::from([pair])
            };

            let value = term.value(&Context::of(&student, &teacher));

            assert_eq!(value.into_scalar::<f32>(), expected);
            let requirements = term.requirements();
            assert_eq!(requirements.student.contains("valid"), mask.is_some());
            assert_eq!(
                requirements.teacher.contains("valid"),
                teacher_mask.is_some()
            );
        }
    }

    /// Sums a sequence over its tokens.
    #[derive(Module, Debug)]
    struct SumOfTokens {}

    impl TapAdapter for SumOfTokens {
        fn adapt(&self, student: Tap) -> Tap {
            let Tap::Sequence(sequence) = student else {
                panic!("a sequence is expected")
            };
            Tap::Vector(sequence.sum_dim(1).squeeze_dim(1))
        }
    }

    /// The sum of the teacher's tap.
    #[derive(Module, Debug)]
    struct SumOfTeacher {}

    impl NamedLoss for SumOfTeacher {
        fn name(&self) -> &'static str {
            "sum-of-teacher"
        }
    }

    impl TapLoss for SumOfTeacher {
        fn forward_taps(&self, _: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
            assert!(mask.is_none());
            teacher.into_vectors().sum()
        }

        fn check_taps(&self, _: &Tap, _: &Tap) -> Result<(), LossError> {
            Ok(())
        }
    }

    #[test]
    fn padding_of_the_teacher_does_not_count_where_the_adapter_leaves_no_sequence() {
        let device = Device::default();
        let tokens = Tensor::from_data([[[1.0, 2.0], [4.0, 8.0], [f32::NAN, 16.0]]], &device);
        let taps = [
            ("tokens", Tap::Sequence(tokens)),
            (
                "valid",
                Tap::Mask(Tensor::from_data([[true, true, false]], &device)),
            ),
        ];
        let logits = Tensor::zeros([1, 4], &device);
        let knowledge = Knowledge::from_logits(logits).with_taps(taps);
        let pair = TapPair::new("tokens", "tokens", SumOfTeacher {}).with_adapter(SumOfTokens {});
        let term = TapPairs {
            mask: Some("valid".into()),
            ..TapPairs::from([pair])
        };

        let value = term.value(&Context::of(&knowledge, &knowledge));

        assert_eq!(value.into_scalar::<f32>(), 15.0);
    }

    #[test]
    #[should_panic(expected = "There should be at least one pair of taps")]
    fn an_empty_list_of_pairs_is_refused() {
        TapObjective::new(Vec::<TapPair<SquaredDifference>>::new(), 1.0);
    }
}
