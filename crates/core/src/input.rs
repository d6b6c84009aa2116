use burn::tensor::{Bool, Device, Float, Int, Tensor};
use std::fmt::Debug;

/// Input of a network: one or more tensors, with the samples of a batch along the first axis of
/// each.
///
/// Tensors of any rank and kind are inputs, and so are tuples of inputs. For a struct of inputs,
/// use [`impl_input!`](crate::impl_input).
pub trait Input: Clone + Debug + Send + 'static {
    /// Returns the number of samples.
    fn len(&self) -> usize;

    /// Returns whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Selects the samples at `indices`, in this order. Shape of the indices: `[samples]`.
    fn select(self, indices: Tensor<1, Int>) -> Self;

    /// Concatenates the samples of several inputs.
    ///
    /// # Panics
    ///
    /// Panics if there are no inputs, or if their samples differ in shape.
    fn concat(inputs: Vec<Self>) -> Self;

    /// Returns the shape of one sample, or `None` if the samples have no common shape. Inputs whose
    /// samples have the same shape can be [concatenated](Self::concat). Default: `None`.
    fn sample_shape(&self) -> Option<Vec<usize>> {
        None
    }

    /// Returns whether the input is on a device with autodiff, as during training. Layers such as
    /// batch normalization and dropout recognize a training by it. Default: `false`, as during
    /// validation.
    fn is_autodiff(&self) -> bool {
        false
    }

    /// Returns the same values as constants, off the autodiff graph.
    fn without_autodiff(self) -> Self;

    /// Moves the input to another device.
    fn to_device(self, device: &Device) -> Self;
}

macro_rules! input_of_tensor {
    ($kind:ty, $select:expr) => {
        impl<const D: usize> Input for Tensor<D, $kind> {
            fn len(&self) -> usize {
                self.dims()[0]
            }

            fn select(self, indices: Tensor<1, Int>) -> Self {
                $select(self, indices)
            }

            fn concat(inputs: Vec<Self>) -> Self {
                Tensor::cat(inputs, 0)
            }

            fn sample_shape(&self) -> Option<Vec<usize>> {
                Some(self.dims()[1..].to_vec())
            }

            fn is_autodiff(&self) -> bool {
                self.device().is_autodiff()
            }

            fn without_autodiff(self) -> Self {
                Tensor::without_autodiff(self)
            }

            fn to_device(self, device: &Device) -> Self {
                Tensor::to_device(self, device)
            }
        }
    };
}

input_of_tensor!(Float, |tensor, indices| Tensor::select(tensor, 0, indices));
input_of_tensor!(Int, |tensor, indices| Tensor::select(tensor, 0, indices));
// The CPU backend of burn 0.22.1 returns selected booleans as bytes, which it cannot concatenate.
input_of_tensor!(Bool, |tensor: Self, indices| {
    Tensor::select(tensor.int(), 0, indices).bool()
});

/// Implements [`Input`](crate::Input) for a struct whose fields are all inputs with the same number
/// of samples.
///
/// # Example
///
/// ```
/// use burn::tensor::{Bool, Device, Int, Tensor};
/// use burn_distill_core::{Input, impl_input};
///
/// #[derive(Clone, Debug)]
/// struct Text {
///     tokens: Tensor<2, Int>,
///     mask: Tensor<2, Bool>,
/// }
///
/// impl_input!(Text { tokens, mask });
///
/// let device = Device::default();
/// let text = Text {
///     tokens: Tensor::from_data([[1, 2], [3, 0]], &device),
///     mask: Tensor::from_data([[true, true], [true, false]], &device),
/// };
/// assert_eq!(text.len(), 2);
/// ```
#[macro_export]
macro_rules! impl_input {
    ($name:ident { $first:ident $(, $field:ident)* $(,)? }) => {
        impl $crate::Input for $name {
            $crate::__input_by_fields!($first $(, $field)*);
        }
    };
}

/// Methods of an input that is a struct of inputs.
#[doc(hidden)]
#[macro_export]
macro_rules! __input_by_fields {
    ($first:ident $(, $field:ident)*) => {
        fn len(&self) -> usize {
            $crate::Input::len(&self.$first)
        }

        fn select(self, indices: $crate::__burn::Tensor<1, $crate::__burn::Int>) -> Self {
            Self {
                $($field: $crate::Input::select(self.$field, indices.clone()),)*
                $first: $crate::Input::select(self.$first, indices),
            }
        }

        fn concat(inputs: Vec<Self>) -> Self {
            let mut $first = Vec::with_capacity(inputs.len());
            $(let mut $field = Vec::with_capacity(inputs.len());)*
            for input in inputs {
                $first.push(input.$first);
                $($field.push(input.$field);)*
            }
            Self {
                $first: $crate::Input::concat($first),
                $($field: $crate::Input::concat($field),)*
            }
        }

        fn sample_shape(&self) -> Option<Vec<usize>> {
            $crate::__shape_of_parts([
                $crate::Input::sample_shape(&self.$first),
                $($crate::Input::sample_shape(&self.$field),)*
            ])
        }

        fn is_autodiff(&self) -> bool {
            $crate::Input::is_autodiff(&self.$first)
                $(|| $crate::Input::is_autodiff(&self.$field))*
        }

        fn without_autodiff(self) -> Self {
            Self {
                $first: $crate::Input::without_autodiff(self.$first),
                $($field: $crate::Input::without_autodiff(self.$field),)*
            }
        }

        fn to_device(self, device: &$crate::__burn::Device) -> Self {
            Self {
                $first: $crate::Input::to_device(self.$first, device),
                $($field: $crate::Input::to_device(self.$field, device),)*
            }
        }
    };
}

/// Returns the shapes of the parts of an input, each preceded by its rank, so that inputs with
/// different parts never have the same shape.
#[doc(hidden)]
pub fn __shape_of_parts<const N: usize>(parts: [Option<Vec<usize>>; N]) -> Option<Vec<usize>> {
    let ranked = parts.into_iter().map(|part| {
        let shape = part?;
        Some([vec![shape.len()], shape].concat())
    });
    Some(ranked.collect::<Option<Vec<_>>>()?.concat())
}

macro_rules! input_of_tuple {
    ($($kind:ident $value:ident $place:tt),*) => {
        impl<$($kind: Input),*> Input for ($($kind,)*) {
            fn len(&self) -> usize {
                self.0.len()
            }

            fn select(self, indices: Tensor<1, Int>) -> Self {
                ($(self.$place.select(indices.clone()),)*)
            }

            fn concat(inputs: Vec<Self>) -> Self {
                $(let mut $value = Vec::with_capacity(inputs.len());)*
                for input in inputs {
                    $($value.push(input.$place);)*
                }
                ($($kind::concat($value),)*)
            }

            fn sample_shape(&self) -> Option<Vec<usize>> {
                __shape_of_parts([$(self.$place.sample_shape()),*])
            }

            fn is_autodiff(&self) -> bool {
                [$(self.$place.is_autodiff()),*].contains(&true)
            }

            fn without_autodiff(self) -> Self {
                ($(self.$place.without_autodiff(),)*)
            }

            fn to_device(self, device: &Device) -> Self {
                ($(self.$place.to_device(device),)*)
            }
        }
    };
}

input_of_tuple!(A a 0, B b 1);
input_of_tuple!(A a 0, B b 1, C c 2);
input_of_tuple!(A a 0, B b 1, C c 2, D d 3);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Text {
        tokens: Tensor<2, Int>,
        mask: Tensor<2, Bool>,
    }

    impl_input!(Text { tokens, mask });

    fn text(device: &Device) -> Text {
        Text {
            tokens: Tensor::from_data([[1, 2], [3, 0], [5, 6]], device),
            mask: Tensor::from_data([[true, true], [true, false], [false, true]], device),
        }
    }

    #[test]
    fn a_struct_of_inputs_is_selected_and_concatenated_field_by_field() {
        let device = Device::default();
        let last_first = Tensor::from_data([2, 0], &device);

        let selected = text(&device).select(last_first);
        let joined = Text::concat(vec![selected.clone(), text(&device)]);

        assert_eq!((selected.len(), joined.len()), (2, 5));
        assert_eq!(joined.sample_shape(), Some(vec![1, 2, 1, 2]));
        assert!(!joined.is_autodiff());
        let tokens = selected.tokens.into_data();
        tokens.assert_eq(&[[5_i64, 6], [1, 2]].into(), false);
        let mask = joined.mask.narrow(0, 0, 3).into_data();
        mask.assert_eq(&[[false, true], [true, true], [true, true]].into(), false);
    }

    #[test]
    fn a_tuple_of_inputs_is_selected_and_concatenated_element_by_element() {
        let device = Device::default();
        let pair = (
            Tensor::<2>::from_data([[1.0], [2.0]], &device),
            text(&device).select(Tensor::from_data([0, 1], &device)),
        );
        let second = pair.clone().select(Tensor::from_data([1], &device));

        let joined = Input::concat(vec![second, pair]);

        assert_eq!(joined.len(), 3);
        joined
            .0
            .into_data()
            .assert_eq(&[[2.0_f32], [1.0], [2.0]].into(), false);
        let tokens = joined.1.tokens.into_data();
        tokens.assert_eq(&[[3_i64, 0], [1, 2], [3, 0]].into(), false);
    }
}
