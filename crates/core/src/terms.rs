use crate::numeric::widest;
use crate::{Clock, WeightSchedule};
use burn::tensor::Tensor;

/// One named and weighted part of a loss.
#[derive(Clone, Debug)]
pub struct Term {
    /// Name in logs and results.
    pub name: String,
    /// Unweighted value. Shape: `[1]`.
    pub value: Tensor<1>,
    /// Weight in the sum.
    pub weight: f64,
    /// Whether the term is part of the loss. A value that is [only logged](Terms::shown) is not.
    pub in_loss: bool,
    /// Whether the term is left out beside others, because its weight is
    /// [delayed](crate::ChangingWeight::Delayed).
    pub delayed: bool,
}

/// The terms of a loss, each logged under its name. Their weighted sum is the loss.
///
/// ```text
/// loss = Σ weight · value
/// ```
#[derive(Clone, Debug, Default)]
pub struct Terms(Vec<Term>);

impl Terms {
    /// Creates a loss of one term.
    pub fn one(name: impl Into<String>, value: Tensor<1>, weight: f64) -> Self {
        Self(vec![Term {
            name: name.into(),
            value,
            weight,
            in_loss: true,
            delayed: false,
        }])
    }

    /// Creates a loss of one term, with the weight of a schedule.
    pub fn scheduled(
        name: impl Into<String>,
        value: Tensor<1>,
        weight: &WeightSchedule,
        clock: &Clock,
    ) -> Self {
        Self(vec![Term {
            name: name.into(),
            value,
            weight: weight.at(clock),
            in_loss: true,
            delayed: weight.is_delayed(clock),
        }])
    }

    /// Adds other terms.
    ///
    /// # Panics
    ///
    /// Panics if two terms have the same name, because a log could not tell them apart.
    pub fn and(mut self, others: Terms) -> Self {
        for other in &others.0 {
            assert!(
                self.0.iter().all(|term| term.name != other.name),
                "Two terms of the loss are named `{}`: give one of them another name, with `with_name`.",
                other.name
            );
        }
        self.0.extend(others.0);
        self
    }

    /// Creates a value that is only logged: it is not part of the loss and carries no autodiff.
    /// Shape: `[1]`.
    pub fn shown(name: impl Into<String>, value: Tensor<1>) -> Self {
        Self(vec![Term {
            name: name.into(),
            value: value.without_autodiff(),
            weight: 0.0,
            in_loss: false,
            delayed: false,
        }])
    }

    /// Renames every term by `rename` and multiplies its weight by `share`.
    pub fn each(mut self, rename: impl Fn(&str) -> String, share: f64) -> Self {
        for term in &mut self.0 {
            term.name = rename(&term.name);
            term.weight *= share;
        }
        self
    }

    /// Keeps the terms for whose name `keep` returns true.
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|term| keep(&term.name));
        self
    }

    /// Adds the values of other terms to the values of these, term by term.
    ///
    /// # Panics
    ///
    /// Panics if the names of the terms differ.
    pub fn add_values(self, others: Terms) -> Self {
        let names = |terms: &Terms| {
            terms
                .iter()
                .map(|term| term.name.clone())
                .collect::<Vec<_>>()
        };
        let (own, added) = (names(&self), names(&others));
        assert!(
            own == added,
            "Terms can be added only to terms of the same names: expected {own:?}, got {added:?}."
        );
        let added = self.into_iter().zip(others).map(|(term, other)| Term {
            value: term.value.add(other.value),
            ..term
        });
        Self(added.collect())
    }

    /// Iterates over the terms in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Term> {
        self.0.iter()
    }

    /// Returns the number of terms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no terms.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Computes the loss: the weighted sum of the terms. Shape: `[1]`.
    ///
    /// The sum has the precision of the most precise term. Values that are only logged are not part
    /// of it. Neither is a term whose weight is [delayed](crate::ChangingWeight::Delayed), beside
    /// others: parameters that only this term trains have no gradient then, instead of one of
    /// zeros, so that an optimizer with weight decay leaves them as they are.
    ///
    /// # Panics
    ///
    /// Panics if no term is part of the loss.
    pub fn total(&self) -> Tensor<1> {
        let counts = |term: &Term| term.in_loss && !term.delayed;
        let any_counts = self.iter().any(counts);
        self.iter()
            // The loss is connected to the graph even if all terms are delayed.
            .filter(|term| term.in_loss && (!any_counts || counts(term)))
            .map(|term| term.value.clone().mul_scalar(term.weight))
            .reduce(|sum, term| {
                let dtype = widest(sum.dtype(), term.dtype());
                sum.cast(dtype).add(term.cast(dtype))
            })
            .expect("a loss needs at least one term")
    }
}

impl From<Term> for Terms {
    fn from(term: Term) -> Self {
        Self(vec![term])
    }
}

impl IntoIterator for Terms {
    type Item = Term;
    type IntoIter = std::vec::IntoIter<Term>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChangingWeight;
    use burn::tensor::{DType, Device};

    #[test]
    fn a_loss_in_double_precision_stays_so_beside_a_logged_value() {
        let device = Device::flex();
        let precise = Tensor::<1>::from_data([0.1_f64], (&device, DType::F64));
        let shown = Tensor::<1>::from_data([50.0_f32], (&device, DType::F32));

        let terms = Terms::one("cross-entropy", precise, 0.5).and(Terms::shown("accuracy", shown));

        assert_eq!(terms.total().dtype(), DType::F64);
        assert_eq!(terms.total().into_scalar::<f64>(), 0.05);
    }

    fn term(name: &str, value: f64, weight: f64) -> Terms {
        Terms::one(name, Tensor::from_data([value], &Device::default()), weight)
    }

    #[test]
    fn a_delayed_term_has_no_gradient_beside_others() {
        let device = Device::default().autodiff();
        let delayed = || ChangingWeight::Delayed { to: 3.0, epochs: 1 }.into();
        let of = |weights: [WeightSchedule; 2], epoch: usize| {
            let clock = Clock {
                epoch,
                ..Clock::start()
            };
            let values = [2.0, 3.0].map(|value| Tensor::<1>::from_data([value], &device));
            let values = values.map(Tensor::require_grad);
            let [first, second] = [0, 1].map(|index| {
                let value = values[index].clone();
                Terms::scheduled(index.to_string(), value, &weights[index], &clock)
            });
            let grads = first.and(second).total().backward();
            values.map(|value| value.grad(&grads).map(|grad| grad.into_scalar::<f32>()))
        };

        assert_eq!(of([0.5.into(), delayed()], 1), [Some(0.5), None]);
        assert_eq!(of([0.5.into(), delayed()], 2), [Some(0.5), Some(3.0)]);
        assert_eq!(of([delayed(), delayed()], 1), [Some(0.0), Some(0.0)]);
        // A weight of zero is not a delay.
        assert_eq!(of([0.5.into(), 0.0.into()], 1), [Some(0.5), Some(0.0)]);
    }

    #[test]
    fn the_loss_is_the_weighted_sum() {
        let terms = term("cross-entropy", 2.0, 0.5).and(term("soft", 3.0, 4.0));

        assert_eq!(terms.total().into_scalar::<f32>(), 13.0);
        assert_eq!(terms.len(), 2);
    }

    #[test]
    fn a_loss_is_as_precise_as_its_terms_whatever_is_logged_beside_them() {
        let device = Device::default();
        if !device.supports_dtype(DType::F64) {
            return;
        }
        let double = |value: f64| Tensor::<1>::from_data([value], (&device, DType::F64));
        let single = |value: f64| Tensor::<1>::from_data([value], (&device, DType::F32));
        let accuracy = || Terms::shown("accuracy", single(f64::NAN));

        let terms = accuracy().and(Terms::one("cross-entropy", double(2.0 + 1e-12), 1.0));
        let total = terms.and(accuracy().each(|_| "other".into(), 1.0)).total();
        assert_eq!(total.dtype(), DType::F64);
        assert_eq!(total.into_scalar::<f64>(), 2.0 + 1e-12);

        let mixed = Terms::one("soft", single(1.0), 1.0).and(Terms::one(
            "cross-entropy",
            double(1e-12),
            1.0,
        ));
        assert_eq!(mixed.total().into_scalar::<f64>(), 1.0 + 1e-12);
        let single = Terms::one("soft", single(1.0), 1.0).and(accuracy());
        assert_eq!(single.total().dtype(), DType::F32);
    }

    #[test]
    fn terms_are_selected_by_name() {
        let terms = term("cross-entropy", 2.0, 0.5).and(term("soft", 3.0, 4.0));

        let soft = terms.only(|name| name == "soft");

        assert_eq!((soft.len(), soft.total().into_scalar::<f32>()), (1, 12.0));
    }

    #[test]
    fn values_of_the_same_terms_add_up() {
        let sum = term("cross-entropy", 2.0, 0.5).add_values(term("cross-entropy", 3.0, 0.5));

        assert_eq!((sum.len(), sum.total().into_scalar::<f32>()), (1, 2.5));
    }

    #[test]
    #[should_panic(expected = r#"expected ["cross-entropy"], got ["soft"]"#)]
    fn terms_of_other_names_are_not_added() {
        let _ = term("cross-entropy", 2.0, 0.5).add_values(term("soft", 3.0, 0.5));
    }

    #[test]
    #[should_panic(expected = "Two terms of the loss are named `cross-entropy`")]
    fn names_are_unique() {
        let _ = term("cross-entropy", 1.0, 1.0).and(term("cross-entropy", 1.0, 1.0));
    }
}
