use crate::DataError;
use crate::read::open_file;
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// First and last bytes of a file, as tokens.
///
/// ```text
/// tokens = first bytes, padding where the file is shorter, then
///          padding where the file is shorter, last bytes
/// ```
///
/// The vocabulary has [`VOCABULARY`](Self::VOCABULARY) tokens: the 256 bytes and
/// [`PADDING`](Self::PADDING). The two parts overlap in a file that is shorter than both.
///
/// With `strip`, at most 4096 bytes are read at either end, and ASCII whitespace at the beginning
/// of the first ones and at the end of the last ones is left out before the parts are cut.
/// [`MAGIKA`](Self::MAGIKA) is the input of the model `standard_v3_3` of magika 1.0.3, token for
/// token. magika runs its model only if the first part has at least 8 bytes.
///
/// ```
/// use burn_distill_data::ByteWindow;
///
/// let window = ByteWindow { first: 4, last: 3, strip: true };
///
/// assert_eq!(window.of(b"  ab\n"), [97, 98, 10, 256, 32, 97, 98]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByteWindow {
    /// Number of bytes at the beginning.
    pub first: usize,
    /// Number of bytes at the end.
    pub last: usize,
    /// Whether whitespace at the beginning and the end of the file is left out.
    pub strip: bool,
}

/// Number of bytes that are read at either end if whitespace is left out.
const BLOCK: usize = 4096;

/// Largest number of bytes at either end.
const MOST: usize = 1 << 20;

impl ByteWindow {
    /// Input of the model of magika 1.0.3: `beg_size` and `end_size` 1024, `mid_size` 0,
    /// `block_size` 4096 and `padding_token` 256.
    pub const MAGIKA: Self = Self {
        first: 1024,
        last: 1024,
        strip: true,
    };

    /// Token of positions without a byte.
    pub const PADDING: u16 = 256;

    /// Number of different tokens.
    pub const VOCABULARY: usize = 257;

    /// Returns the number of tokens.
    pub fn tokens(self) -> usize {
        self.first + self.last
    }

    /// Returns the tokens of these contents of a file.
    pub fn of(self, contents: &[u8]) -> Vec<u16> {
        let tokens = self.read_from(Cursor::new(contents));
        tokens.expect("Memory can be read.")
    }

    /// Returns the tokens of a file, of which only the two ends are read.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Io`] if the file cannot be read or is empty.
    pub fn read(self, path: &Path) -> Result<Vec<u16>, DataError> {
        let read = || {
            let file = open_file(path)?;
            match file.metadata()?.len() {
                0 => Err(io::Error::other("the file is empty")),
                _ => self.read_from(file),
            }
        };
        read().map_err(|error| DataError::io(path, error))
    }

    /// Returns whether each position holds a byte; at least the first counts as one, since no network
    /// can attend to nothing.
    pub fn mask(tokens: &[u16]) -> impl Iterator<Item = bool> + '_ {
        let is_byte = |token: &u16| *token != Self::PADDING;
        let none = !tokens.iter().any(is_byte);
        let places = tokens.iter().enumerate();
        places.map(move |(place, token)| is_byte(token) || (none && place == 0))
    }

    fn read_from(self, mut file: impl Read + Seek) -> io::Result<Vec<u16>> {
        let size = file.seek(SeekFrom::End(0))?;
        let block = |cut: usize| if self.strip { BLOCK } else { cut } as u64;
        let mut part = |start: u64, length: u64| -> io::Result<Vec<u8>> {
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.by_ref().take(length).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let begin = part(0, block(self.first).min(size))?;
        let length = block(self.last).min(size);
        let end = part(size - length, length)?;

        let (mut begin, mut end) = (&begin[..], &end[..]);
        if self.strip {
            while let [b, rest @ ..] = begin
                && is_space(*b)
            {
                begin = rest;
            }
            while let [rest @ .., b] = end
                && is_space(*b)
            {
                end = rest;
            }
        }
        let begin = &begin[..begin.len().min(self.first)];
        let end = &end[end.len().saturating_sub(self.last)..];
        let padding = |cut: usize, bytes: &[u8]| {
            std::iter::repeat_n(Self::PADDING, cut.saturating_sub(bytes.len()))
        };
        let mut tokens = Vec::with_capacity(self.tokens());
        tokens.extend(begin.iter().copied().map(u16::from));
        tokens.extend(padding(self.first, begin));
        tokens.extend(padding(self.last, end));
        tokens.extend(end.iter().copied().map(u16::from));
        Ok(tokens)
    }
}

/// Returns whether `bytes.strip` of Python removes a byte, which includes the vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

impl Check for ByteWindow {
    fn check(&self) -> Result<(), ConfigError> {
        // As in magika, so that a full part can remain after whitespace is left out.
        let most = if self.strip { BLOCK - 1 } else { MOST };
        check::count_in("first", self.first, 0..=most)?;
        check::count_in("last", self.last, 0..=most)?;
        let some = self.tokens() > 0;
        check::ensure(some, "first", "at least 1 if `last` is 0", self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: u16 = ByteWindow::PADDING;

    fn plain(first: usize, last: usize) -> ByteWindow {
        ByteWindow {
            first,
            last,
            strip: false,
        }
    }

    #[test]
    fn files_of_all_lengths_are_cut_and_padded() {
        let window = plain(3, 2);
        assert_eq!(window.of(b""), [P, P, P, P, P]);
        assert_eq!(window.of(b"\x00"), [0, P, P, P, 0]);
        assert_eq!(window.of(&[1, 2]), [1, 2, P, 1, 2]);
        assert_eq!(window.of(&[1, 2, 3, 4]), [1, 2, 3, 3, 4]);
        assert_eq!(window.of(&[1, 2, 3, 4, 5, 255]), [1, 2, 3, 5, 255]);
        assert_eq!(plain(2, 0).of(b"\n\n\n"), [10, 10]);
        assert_eq!(plain(0, 2).of(b"a"), [P, 97]);
    }

    #[test]
    fn only_the_outer_whitespace_of_the_read_blocks_is_left_out() {
        let window = ByteWindow {
            strip: true,
            ..plain(4, 4)
        };
        let [a, n, s] = [b'a', b'\n', b' '].map(u16::from);
        assert_eq!(window.of(b"\x0b\x0c\r\n\t a \n"), [a, s, n, P, n, 9, s, a]);
        assert_eq!(window.of(b"   "), [P; 8]);
        // What follows the first 4096 bytes is not read for the first part.
        let spaces = [vec![b' '; 4095], b"ab".to_vec(), vec![b' '; 4095]].concat();
        let [b] = [u16::from(b'b')];
        assert_eq!(window.of(&spaces), [a, P, P, P, P, P, P, b]);
    }

    /// Beginnings and ends of the features that magika 1.0.3 extracts in Python, by
    /// `Magika._extract_features_from_seekable` with its `config.min.json`.
    #[test]
    fn the_tokens_are_those_of_magika() {
        let text = b"  \n\x0b\x0cHello, \x1c\n".to_vec();
        let tokens = ByteWindow::MAGIKA.of(&text);
        assert_eq!(tokens.len(), 2048);
        assert_eq!(tokens[..10], [72, 101, 108, 108, 111, 44, 32, 28, 10, P]);
        assert_eq!(
            tokens[2034..],
            [P, 32, 32, 10, 11, 12, 72, 101, 108, 108, 111, 44, 32, 28]
        );

        let long: Vec<u8> = (0..10_000_u32)
            .map(|place| (place * place % 251) as u8)
            .collect();
        let tokens = ByteWindow::MAGIKA.of(&long);
        let of_magika = (MAGIKA_SUM, MAGIKA_WEIGHTED);
        let sum = tokens.iter().map(|&token| u64::from(token)).sum::<u64>();
        let weighted = (1..)
            .zip(&tokens)
            .map(|(place, &token)| place * u64::from(token));
        assert_eq!((sum, weighted.sum::<u64>()), of_magika);
    }

    const MAGIKA_SUM: u64 = 240_884;
    const MAGIKA_WEIGHTED: u64 = 247_572_018;

    #[test]
    fn sizes_out_of_range_are_refused() {
        let refusal = |window: ByteWindow| window.check().unwrap_err().to_string();

        assert_eq!(ByteWindow::MAGIKA.check(), Ok(()));
        assert_eq!(
            refusal(plain(0, 0)),
            "`first` should be at least 1 if `last` is 0, but is 0"
        );
        let stripped = ByteWindow {
            strip: true,
            ..plain(8, 4096)
        };
        assert!(refusal(stripped).starts_with("`last` should be"));
        assert!(refusal(plain(1 << 40, 1)).starts_with("`first` should be"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = plain(1, 1).read(Path::new("nowhere/a.txt")).unwrap_err();
        assert!(error.to_string().starts_with("nowhere/a.txt: "));
    }

    proptest! {
        #[test]
        fn tokens_are_as_many_as_announced_and_bytes_or_padding(
            contents in prop::collection::vec(any::<u8>(), 0..60),
            first in 0_usize..40,
            last in 0_usize..40,
            strip: bool,
        ) {
            let window = ByteWindow { first, last, strip };
            let tokens = window.of(&contents);
            prop_assert_eq!(tokens.len(), window.tokens());

            let is_byte = |token: &&u16| **token != P;
            let (begin, end) = tokens.split_at(first);
            let begin: Vec<_> = begin.iter().take_while(is_byte).map(|&t| t as u8).collect();
            let end: Vec<_> = end.iter().skip_while(|token| !is_byte(token)).collect();
            prop_assert!(contents.windows(begin.len().max(1)).any(|part| part == begin) || begin.is_empty());
            prop_assert!(end.iter().all(is_byte));
            if !strip {
                prop_assert_eq!(begin, &contents[..first.min(contents.len())]);
                prop_assert_eq!(end.len(), last.min(contents.len()));
            }
        }
    }
}
