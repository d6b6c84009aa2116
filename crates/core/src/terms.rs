use crate::numeric::widest;
use burn::tensor::Tensor;

/// A named part of the loss.
#[derive(Clone, Debug)]
pub struct Term {
    /// The name under which it is logged.
    pub name: String,
    /// The unweighted value. Shape: `[1]`.
    pub value: Tensor<1>,
    /// What it is multiplied by in the sum.
    pub weight: f64,
    /// Whether it is a part of the loss. A value that is only [shown](Terms::shown) is not.
    pub in_loss: bool,
}

/// The parts of a loss. Each is logged under its own name; their weighted sum is the loss.
///
/// ```text
/// loss = Σ weight · value
/// ```
#[derive(Clone, Debug, Default)]
pub struct Terms(Vec<Term>);

impl Terms {
    /// One term.
    pub fn one(name: impl Into<String>, value: Tensor<1>, weight: f64) -> Self {
        Self(vec![Term {
            name: name.into(),
            value,
            weight,
            in_loss: true,
        }])
    }

    /// These terms and the others.
    ///
    /// # Panics
    ///
    /// Panics if two terms have one name: they could not be told apart in a log.
    pub fn and(mut self, others: Terms) -> Self {
        for other in &others.0 {
            assert!(
                self.0.iter().all(|term| term.name != other.name),
                "Two terms of the loss are named `{}`: give one of them another name.",
                other.name
            );
        }
        self.0.extend(others.0);
        self
    }

    /// Creates a value that is only shown: a term that is no part of the loss, off the autodiff graph.
    /// Shape: `[1]`.
    pub fn shown(name: impl Into<String>, value: Tensor<1>) -> Self {
        Self(vec![Term {
            name: name.into(),
            value: value.without_autodiff(),
            weight: 0.0,
            in_loss: false,
        }])
    }

    /// The same terms, each under the name that `rename` gives it and that much of it.
    pub fn each(mut self, rename: impl Fn(&str) -> String, share: f64) -> Self {
        for term in &mut self.0 {
            term.name = rename(&term.name);
            term.weight *= share;
        }
        self
    }

    /// Those of the terms whose name is wanted.
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|term| keep(&term.name));
        self
    }

    /// The same terms with the values of the others added, one by one.
    ///
    /// # Panics
    ///
    /// Panics if the others have other names.
    pub fn plus(self, others: Terms) -> Self {
        assert!(
            self.iter()
                .map(|term| &term.name)
                .eq(others.iter().map(|term| &term.name)),
            "Terms of other names cannot be added value by value."
        );
        let added = self.into_iter().zip(others).map(|(term, other)| Term {
            value: term.value.add(other.value),
            ..term
        });
        Self(added.collect())
    }

    /// Every term, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Term> {
        self.0.iter()
    }

    /// The number of terms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the loss: the weighted sum of its terms. Shape: `[1]`.
    ///
    /// It is as precise as the most precise of them. Values that are only shown are no part of it.
    ///
    /// # Panics
    ///
    /// Panics if no term is a part of the loss.
    pub fn total(&self) -> Tensor<1> {
        self.iter()
            .filter(|term| term.in_loss)
            .map(|term| term.value.clone().mul_scalar(term.weight))
            .reduce(|sum, term| {
                let dtype = widest(sum.dtype(), term.dtype());
                sum.cast(dtype).add(term.cast(dtype))
            })
            .expect("A loss needs at least one term.")
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
    use burn::tensor::{DType, Device};

    #[test]
    fn a_loss_in_double_precision_stays_so_beside_what_is_shown() {
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
    fn the_loss_is_the_weighted_sum() {
        let terms = term("cross-entropy", 2.0, 0.5).and(term("soft", 3.0, 4.0));

        assert_eq!(terms.total().into_scalar::<f32>(), 13.0);
        assert_eq!(terms.len(), 2);
    }

    #[test]
    fn a_loss_is_as_precise_as_its_terms_whatever_is_shown_beside_them() {
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
    fn some_of_the_terms_are_a_loss_too() {
        let terms = term("cross-entropy", 2.0, 0.5).and(term("soft", 3.0, 4.0));

        let soft = terms.only(|name| name == "soft");

        assert_eq!((soft.len(), soft.total().into_scalar::<f32>()), (1, 12.0));
    }

    #[test]
    fn values_of_the_same_terms_add_up() {
        let sum = term("cross-entropy", 2.0, 0.5).plus(term("cross-entropy", 3.0, 0.5));

        assert_eq!((sum.len(), sum.total().into_scalar::<f32>()), (1, 2.5));
    }

    #[test]
    #[should_panic(expected = "Terms of other names")]
    fn values_of_other_terms_do_not_add_up() {
        let _ = term("cross-entropy", 2.0, 0.5).plus(term("soft", 3.0, 0.5));
    }

    #[test]
    #[should_panic(expected = "Two terms of the loss are named `hard`")]
    fn names_are_unique() {
        let _ = term("cross-entropy", 1.0, 1.0).and(term("cross-entropy", 1.0, 1.0));
    }
}
