use super::element::ElementType;

/// First bytes of a file of an array.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest description that is read. That of an array of numbers has some 60 bytes.
const LONGEST: usize = 10_000;

/// Description of an array, before its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub element: ElementType,
    pub shape: Vec<usize>,
    /// Whether the first axis varies fastest, as in Fortran.
    pub fortran: bool,
    /// Bytes of all elements.
    pub size: usize,
}

/// A fault of a header: its place in the file, what was expected and what was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub offset: usize,
    pub expected: String,
    pub found: String,
}

fn fault<T>(
    offset: usize,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<T, Fault> {
    Err(Fault {
        offset,
        expected: expected.into(),
        found: found.into(),
    })
}

/// Length of what precedes the description: the magic number, the version and the longest form of
/// the length.
pub(super) const PREFIX: usize = 12;

/// Returns the place and the length of the description, from the first bytes of a file.
///
/// # Errors
///
/// Returns an error if this is not an `.npy` file, or if the description is too long.
pub(super) fn description(prefix: &[u8]) -> Result<(usize, usize), Fault> {
    if !prefix.starts_with(MAGIC) {
        let found = &prefix[..prefix.len().min(MAGIC.len())];
        return fault(0, "`\\x93NUMPY`, as an .npy file begins", shown(found));
    }
    let (start, length) = match prefix[MAGIC.len()..] {
        [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        [1..=3, ..] => {
            return fault(
                prefix.len(),
                "the length of the header",
                "the end of the file",
            );
        }
        [version, ..] => {
            return fault(6, "version 1, 2 or 3 of the format", version.to_string());
        }
        [] => return fault(6, "the version of the format", "the end of the file"),
    };
    if length > LONGEST {
        return fault(
            start,
            format!("a header of at most {LONGEST} bytes"),
            format!("one of {length}"),
        );
    }
    Ok((start, length))
}

fn shown(bytes: &[u8]) -> String {
    match bytes.is_empty() {
        true => "an empty file".into(),
        false => format!("`{}`", bytes.escape_ascii()),
    }
}

impl Header {
    /// Parses a description, which begins at this offset of the file: a dictionary of Python with
    /// the keys `descr`, `fortran_order` and `shape`.
    ///
    /// The grammar is that of arrays of numbers only, without nesting, so that no description can
    /// exhaust the stack.
    ///
    /// # Errors
    ///
    /// Returns an error that says what was expected and what was found.
    pub fn parse(offset: usize, text: &[u8]) -> Result<Self, Fault> {
        let mut parser = Parser {
            offset,
            text,
            at: 0,
        };
        let (mut element, mut fortran, mut shape) = (None, None, None);
        parser.expect(b'{')?;
        while !parser.take(b'}') {
            let place = parser.place();
            let key = parser.string()?;
            parser.expect(b':')?;
            let repeated = match key {
                "descr" => element.replace(parser.element()?).is_some(),
                "fortran_order" => fortran.replace(parser.truth()?).is_some(),
                "shape" => shape.replace(parser.shape()?).is_some(),
                other => {
                    return fault(
                        place,
                        "the keys `descr`, `fortran_order` and `shape`",
                        format!("`{}`", other.escape_debug()),
                    );
                }
            };
            if repeated {
                return fault(place, "every key once", format!("a second `{key}`"));
            }
            if !parser.take(b',') {
                parser.expect(b'}')?;
                break;
            }
        }
        parser.end()?;
        let missing = |key| Fault {
            offset,
            expected: format!("the key `{key}`"),
            found: "a header without it".into(),
        };
        let element = element.ok_or_else(|| missing("descr"))?;
        let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let axes = shape
            .iter()
            .try_fold(element.size(), |size, &axis| size.checked_mul(axis));
        let Some(size) = axes else {
            return fault(
                offset,
                "an array that fits the memory",
                format!("one of the shape {shape:?}"),
            );
        };
        Ok(Self {
            element,
            shape,
            fortran,
            size,
        })
    }
}

struct Parser<'a> {
    offset: usize,
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn place(&self) -> usize {
        self.offset + self.at
    }

    /// Returns the next byte that is not a space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
        self.at += spaces.count();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        match self.take(byte) {
            true => Ok(()),
            false => self.unexpected(format!("`{}`", char::from(byte))),
        }
    }

    fn unexpected<T>(&mut self, expected: impl Into<String>) -> Result<T, Fault> {
        let found = match self.peek() {
            Some(byte) => format!("`{}`", byte.escape_ascii()),
            None => "the end of the header".into(),
        };
        fault(self.place(), expected, found)
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.unexpected("the end of the header"),
        }
    }

    /// Takes a string without escapes, which no description of numbers needs.
    fn string(&mut self) -> Result<&'a str, Fault> {
        let Some(quote @ (b'\'' | b'"')) = self.peek() else {
            return self.unexpected("a string");
        };
        let start = self.at + 1;
        let rest = &self.text[start..];
        let Some(length) = rest.iter().position(|&byte| byte == quote) else {
            return fault(self.place(), "a string that ends", "the end of the header");
        };
        let Ok(text) = std::str::from_utf8(&rest[..length]) else {
            return fault(self.place(), "a string in UTF-8", shown(&rest[..length]));
        };
        self.at = start + length + 1;
        Ok(text)
    }

    fn element(&mut self) -> Result<ElementType, Fault> {
        if self.peek() == Some(b'[') {
            return fault(
                self.place(),
                "an array of numbers: store every field as a separate array",
                "a structured array",
            );
        }
        let place = self.place();
        let text = self.string()?;
        let element = ElementType::parse(text);
        element.or_else(|expected| {
            fault(
                place,
                expected,
                format!("the type `{}`", text.escape_debug()),
            )
        })
    }

    fn truth(&mut self) -> Result<bool, Fault> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.unexpected("`True` or `False`")
    }

    fn shape(&mut self) -> Result<Vec<usize>, Fault> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            shape.push(self.axis()?);
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn axis(&mut self) -> Result<usize, Fault> {
        self.peek();
        let (place, rest) = (self.place(), &self.text[self.at..]);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return self.unexpected("the length of an axis");
        }
        self.at += digits;
        // Python 2 marks long integers.
        self.take(b'L');
        let text = String::from_utf8_lossy(&rest[..digits]);
        let axis = text.parse();
        axis.or_else(|_| fault(place, "an axis that fits the memory", format!("`{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, Fault> {
        Header::parse(10, text.as_bytes())
    }

    fn refusal(text: &str) -> (usize, String, String) {
        let Fault {
            offset,
            expected,
            found,
        } = parse(text).unwrap_err();
        (offset, expected, found)
    }

    #[test]
    fn headers_as_numpy_writes_them_are_read() {
        let header =
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n").unwrap();
        assert_eq!(
            (header.shape, header.fortran, header.size),
            (vec![3, 4], false, 48)
        );

        let header = parse("{\"shape\":(5,),\"fortran_order\":True,\"descr\":\"|u1\"}").unwrap();
        assert_eq!(
            (header.shape, header.fortran, header.size),
            (vec![5], true, 5)
        );

        let header = parse("{'descr': '>i8', 'fortran_order': False, 'shape': (2L, 0L)}").unwrap();
        assert_eq!((header.shape, header.size), (vec![2, 0], 0));

        let header = parse("{'descr': '<f8', 'fortran_order': False, 'shape': ()}").unwrap();
        assert_eq!((header.shape, header.size), (vec![], 8));
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let of =
            |offset, expected: &str, found: &str| (offset, expected.to_string(), found.to_string());
        assert_eq!(refusal(""), of(10, "`{`", "the end of the header"));
        assert_eq!(
            refusal("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}"),
            of(
                20,
                "an array of numbers: store every field as a separate array",
                "a structured array"
            )
        );
        assert_eq!(
            refusal("{'fortran_order': 1}"),
            of(28, "`True` or `False`", "`1`")
        );
        assert_eq!(
            refusal("{'shape': (-1,)}"),
            of(21, "the length of an axis", "`-`")
        );
        assert_eq!(
            refusal("{'shape': (99999999999999999999,)}"),
            of(21, "an axis that fits the memory", "`99999999999999999999`")
        );
        assert_eq!(
            refusal("{'colour': 1}"),
            of(
                11,
                "the keys `descr`, `fortran_order` and `shape`",
                "`colour`"
            )
        );
        assert_eq!(
            refusal("{'shape': (1,), 'shape': (1,)}"),
            of(26, "every key once", "a second `shape`")
        );
        assert_eq!(
            refusal("{'descr': '<f4', 'shape': (1,)}"),
            of(10, "the key `fortran_order`", "a header without it")
        );
        assert_eq!(
            refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} 7"),
            of(66, "the end of the header", "`7`")
        );
        assert_eq!(
            refusal("{'descr: 1"),
            of(11, "a string that ends", "the end of the header")
        );
        let (_, expected, found) = refusal("{'descr': '|O'}");
        assert!(expected.starts_with("an array without Python objects"));
        assert_eq!(found, "the type `|O`");
    }

    #[test]
    fn a_promise_beyond_all_memory_is_refused() {
        let axis = 1_u64 << 60;
        let (_, expected, found) = refusal(&format!(
            "{{'descr': '<f8', 'fortran_order': False, 'shape': ({axis}, {axis})}}"
        ));
        assert_eq!(expected, "an array that fits the memory");
        assert_eq!(found, format!("one of the shape [{axis}, {axis}]"));
    }

    #[test]
    fn deep_nesting_is_refused_at_its_first_bracket() {
        assert_eq!(refusal(&"(".repeat(9_000)).0, 10);
        assert_eq!(refusal(&format!("{{'shape': {}", "(".repeat(9_000))).0, 21);
    }

    #[test]
    fn the_place_of_the_description_depends_on_the_version() {
        assert_eq!(description(b"\x93NUMPY\x01\x00\x76\x00{'"), Ok((10, 0x76)));
        assert_eq!(
            description(b"\x93NUMPY\x02\x00\x76\x01\x00\x00"),
            Ok((12, 0x176))
        );
        assert_eq!(
            description(b"\x93NUMPY\x03\x00\x76\x01\x00\x00"),
            Ok((12, 0x176))
        );

        let refusal = |bytes: &[u8]| {
            let fault = description(bytes).unwrap_err();
            format!("{}: {}, not {}", fault.offset, fault.expected, fault.found)
        };
        assert_eq!(
            refusal(b"PK\x03\x04"),
            "0: `\\x93NUMPY`, as an .npy file begins, not `PK\\x03\\x04`"
        );
        assert!(refusal(b"").ends_with("not an empty file"));
        assert!(refusal(b"\x93NUMPY").starts_with("6: the version"));
        assert!(refusal(b"\x93NUMPY\x09\x00\x76\x00").starts_with("6: version 1, 2 or 3"));
        assert!(refusal(b"\x93NUMPY\x02\x00\x76").starts_with("9: the length"));
        assert_eq!(
            refusal(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"),
            "12: a header of at most 10000 bytes, not one of 4294967295"
        );
    }
}
