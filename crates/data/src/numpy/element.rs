/// Type of the elements of an array, as NumPy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ElementType {
    kind: Kind,
    /// Bytes of an element: 1, 2, 4 or 8.
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// Value of an element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// The types that are read, for messages.
const KNOWN: &str = "f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 or bool";

impl ElementType {
    /// Parses the type string of a header, as in `<f4`.
    ///
    /// # Errors
    ///
    /// Returns what was expected and what to do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unknown = || {
            let what = match text.trim_start_matches(['<', '>', '|', '=']).chars().next() {
                Some('O') => "an array without Python objects, which are stored as a program",
                Some('U' | 'S') => "numbers instead of texts, such as the index of each class",
                Some('f') => "floats of 4 or 8 bytes: convert the array by `x.astype('float32')`",
                Some('c') => "real numbers: store the real and the imaginary part as columns",
                _ => "numbers",
            };
            format!("{what}; the types that can be read are {KNOWN}")
        };
        let mut letters = text.chars();
        let (Some(order), Some(kind)) = (letters.next(), letters.next()) else {
            return Err(unknown());
        };
        let size = match letters.as_str() {
            "1" => 1,
            "2" => 2,
            "4" => 4,
            "8" => 8,
            _ => return Err(unknown()),
        };
        let kind = match (kind, size) {
            ('b', 1) => Kind::Bool,
            ('i', _) => Kind::Signed,
            ('u', _) => Kind::Unsigned,
            ('f', 4 | 8) => Kind::Float,
            _ => return Err(unknown()),
        };
        let big_endian = match (order, size) {
            ('<', _) => false,
            ('>', _) => true,
            // The order of the machine that wrote the file, which a file does not record.
            ('|', 1) => false,
            _ => return Err(unknown()),
        };
        Ok(Self {
            kind,
            size,
            big_endian,
        })
    }

    /// Returns the number of bytes of an element.
    pub fn size(self) -> usize {
        self.size
    }

    /// Returns whether the elements are single bytes from 0 to 255.
    pub fn is_byte(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// Returns whether the elements are integers or truth values.
    pub fn is_integer(self) -> bool {
        self.kind != Kind::Float
    }

    /// Decodes the bytes of an element.
    ///
    /// # Panics
    ///
    /// Panics if the number of bytes is not [`size`](Self::size).
    pub fn decode(self, bytes: &[u8]) -> Element {
        let mut word = [0; 8];
        word[..self.size].copy_from_slice(bytes);
        if self.big_endian {
            word[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(word);
        match (self.kind, self.size) {
            (Kind::Bool, _) => Element::Unsigned(u64::from(bits != 0)),
            (Kind::Unsigned, _) => Element::Unsigned(bits),
            (Kind::Signed, size) => {
                let unused = 64 - 8 * size;
                // Shifts to the sign and back, which repeats it.
                Element::Signed((bits << unused) as i64 >> unused)
            }
            (Kind::Float, 4) => Element::Float(f32::from_bits(bits as u32).into()),
            (Kind::Float, _) => Element::Float(f64::from_bits(bits)),
        }
    }
}

impl Element {
    /// Returns the value in single precision.
    pub fn number(self) -> f32 {
        match self {
            Self::Signed(value) => value as f32,
            Self::Unsigned(value) => value as f32,
            Self::Float(value) => value as f32,
        }
    }

    /// Returns the value if it is an integer that fits 64 bits with a sign.
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Signed(value) => Some(value),
            Self::Unsigned(value) => value.try_into().ok(),
            Self::Float(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(kind: &str, bytes: &[u8]) -> Element {
        ElementType::parse(kind).unwrap().decode(bytes)
    }

    #[test]
    fn both_byte_orders_and_all_sizes_are_decoded() {
        for (kind, bytes, expected) in [
            ("|b1", vec![1], Element::Unsigned(1)),
            ("|b1", vec![7], Element::Unsigned(1)),
            ("|i1", vec![0xfe], Element::Signed(-2)),
            ("<i2", vec![0xfe, 0xff], Element::Signed(-2)),
            (">i2", vec![0xff, 0xfe], Element::Signed(-2)),
            ("<i4", vec![0xfe, 0xff, 0xff, 0xff], Element::Signed(-2)),
            (">i8", vec![0, 0, 0, 0, 0, 0, 1, 0], Element::Signed(256)),
            ("|u1", vec![0xfe], Element::Unsigned(254)),
            (">u2", vec![1, 2], Element::Unsigned(258)),
            ("<u2", vec![1, 2], Element::Unsigned(513)),
            ("<u4", vec![0, 0, 0, 0x80], Element::Unsigned(1 << 31)),
            ("<u8", vec![0xff; 8], Element::Unsigned(u64::MAX)),
            (
                "<f4",
                (-1.5_f32).to_le_bytes().to_vec(),
                Element::Float(-1.5),
            ),
            (">f8", 0.1_f64.to_be_bytes().to_vec(), Element::Float(0.1)),
        ] {
            assert_eq!(decode(kind, &bytes), expected, "{kind}");
        }
    }

    #[test]
    fn integers_that_do_not_fit_are_none() {
        assert_eq!(decode("<u8", &[0xff; 8]).integer(), None);
        assert_eq!(decode("<u8", &[3, 0, 0, 0, 0, 0, 0, 0]).integer(), Some(3));
        assert_eq!(decode("<i8", &[0xff; 8]).integer(), Some(-1));
        assert_eq!(Element::Float(1.0).integer(), None);
    }

    #[test]
    fn other_types_are_refused_with_a_remedy() {
        let refusal = |text| ElementType::parse(text).unwrap_err();

        assert!(refusal("|O").starts_with("an array without Python objects"));
        assert!(refusal("<U7").starts_with("numbers instead of texts"));
        assert!(refusal("<f2").contains("`x.astype('float32')`"));
        assert!(refusal("<c8").starts_with("real numbers"));
        for text in [
            "", "<", "<f", "<f44", "é", "|f4", "=i4", "<b2", "<M8", "f4", "<i3",
        ] {
            assert!(refusal(text).ends_with(KNOWN), "{text}");
        }
    }
}
