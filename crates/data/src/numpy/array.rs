use super::element::{Element, ElementType};
use super::header::Header;
use std::fmt;

/// Array of numbers in the format of NumPy, whose first axis is that of the samples.
///
/// The elements stay in memory with the type and byte order of the file, and are converted when
/// they are accessed.
///
/// | Property | Read |
/// | --- | --- |
/// | types | `f4`, `f8`, `i1` to `i8`, `u1` to `u8`, `bool`, in both byte orders |
/// | order of the axes | that of C and that of Fortran |
///
/// Arrays of Python objects and structured arrays are refused.
#[derive(Clone, PartialEq)]
pub struct NumpyArray {
    element: ElementType,
    shape: Vec<usize>,
    fortran: bool,
    bytes: Vec<u8>,
}

impl NumpyArray {
    /// Creates an array from its header, with at least one axis, and the number of bytes that it
    /// declares.
    pub(super) fn new(header: Header, bytes: Vec<u8>) -> Self {
        assert!(!header.shape.is_empty(), "An array has a first axis.");
        assert_eq!(bytes.len(), header.size, "The header promises the bytes.");
        Self {
            element: header.element,
            shape: header.shape,
            fortran: header.fortran,
            bytes,
        }
    }

    /// Returns the lengths of the axes, of which there is at least one.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of samples, the length of the first axis.
    pub fn samples(&self) -> usize {
        self.shape[0]
    }

    /// Returns whether the elements are integers or truth values.
    pub fn is_integer(&self) -> bool {
        self.element.is_integer()
    }

    /// Returns whether the elements are integers from 0 to 255 in one byte each, as pixels are.
    pub fn is_byte(&self) -> bool {
        self.element.is_byte()
    }

    /// Returns the elements of a sample in single precision, the last axis fastest.
    ///
    /// # Panics
    ///
    /// Panics if the array does not have this sample.
    pub fn numbers(&self, sample: usize) -> impl Iterator<Item = f32> + '_ {
        self.elements(sample).map(Element::number)
    }

    /// Returns the elements of a sample, the last axis fastest; none for elements that are not
    /// integers or exceed the largest signed integer of 64 bits.
    ///
    /// # Panics
    ///
    /// Panics if the array does not have this sample.
    pub fn integers(&self, sample: usize) -> impl Iterator<Item = Option<i64>> + '_ {
        self.elements(sample).map(Element::integer)
    }

    /// Returns the first sample with an element that is NaN, or infinite in single precision, and
    /// that element.
    pub fn first_not_finite(&self) -> Option<(usize, f32)> {
        if self.is_integer() {
            return None;
        }
        (0..self.samples()).find_map(|sample| {
            let mut numbers = self.numbers(sample);
            Some((sample, numbers.find(|number| !number.is_finite())?))
        })
    }

    fn elements(&self, sample: usize) -> impl Iterator<Item = Element> + '_ {
        assert!(
            sample < self.samples(),
            "There are {} samples, but none at {sample}.",
            self.samples()
        );
        let size = self.shape[1..].iter().product::<usize>();
        let width = self.element.size();
        (0..size).map(move |place| {
            let place = match self.fortran {
                true => self.place_in_fortran(sample, place),
                false => sample * size + place,
            };
            self.element.decode(&self.bytes[place * width..][..width])
        })
    }

    /// Returns the position in the file of an element of a sample, given its position with the last
    /// axis fastest.
    fn place_in_fortran(&self, sample: usize, mut place: usize) -> usize {
        let mut offset = 0;
        let mut stride = self.shape.iter().product::<usize>();
        for &axis in self.shape[1..].iter().rev() {
            stride /= axis;
            offset += stride * (place % axis);
            place /= axis;
        }
        offset + sample
    }
}

impl fmt::Debug for NumpyArray {
    // Without the elements, of which there may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumpyArray")
            .field("element", &self.element)
            .field("shape", &self.shape)
            .field("fortran", &self.fortran)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], fortran: bool, bytes: Vec<u8>) -> NumpyArray {
        let header = Header {
            element: ElementType::parse("|u1").unwrap(),
            shape: shape.to_vec(),
            fortran,
            size: bytes.len(),
        };
        NumpyArray::new(header, bytes)
    }

    fn numbers(array: &NumpyArray) -> Vec<Vec<f32>> {
        let samples = 0..array.samples();
        samples.map(|n| array.numbers(n).collect()).collect()
    }

    #[test]
    fn arrays_in_the_order_of_fortran_have_the_same_elements() {
        // np.arange(12).reshape(2, 3, 2), and the same by `np.asfortranarray`.
        let c = array(&[2, 3, 2], false, (0..12).collect());
        let fortran = array(&[2, 3, 2], true, vec![0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);

        assert_eq!(numbers(&c)[1], [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(numbers(&fortran), numbers(&c));
    }

    #[test]
    fn one_axis_and_empty_axes_are_read() {
        assert_eq!(numbers(&array(&[2], true, vec![3, 4])), [[3.0], [4.0]]);
        let empty: Vec<f32> = Vec::new();
        assert_eq!(
            numbers(&array(&[2, 0], true, vec![])),
            [empty.clone(), empty]
        );
        assert!(numbers(&array(&[0, 7], false, vec![])).is_empty());
    }

    #[test]
    #[should_panic(expected = "There are 2 samples, but none at 2.")]
    fn unknown_samples_are_refused() {
        let _ = array(&[2], true, vec![3, 4]).numbers(2);
    }
}
