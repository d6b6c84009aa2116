use super::config::CsvConfig;
use super::names::{quote, quoted};
use crate::DataError;
use crate::read::open_file;
use burn_distill_core::nearest;
use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Table that is read row by row. Every error names the line and the column.
pub(super) struct TableFile {
    path: PathBuf,
    /// Bytes of the file.
    length: u64,
    /// Delimiter and quotation mark.
    marks: [u8; 2],
    reader: Reader<File>,
    header: Vec<String>,
    record: ByteRecord,
    /// Position of the byte after the previous row.
    offset: u64,
}

impl TableFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or if its first line does not name all columns
    /// that are not ignored, once each.
    pub fn open(path: &Path, config: &CsvConfig) -> Result<Self, DataError> {
        let file = open_file(path).map_err(|error| DataError::io(path, error))?;
        let length = file
            .metadata()
            .map_err(|error| DataError::io(path, error))?;
        let reader = ReaderBuilder::new()
            // Rows of other lengths are refused here, with the columns of the header.
            .flexible(true)
            .has_headers(false)
            .trim(Trim::All)
            .delimiter(config.delimiter as u8)
            .quote(config.quote as u8)
            .from_reader(file);
        let mut table = Self {
            path: path.into(),
            length: length.len(),
            marks: [config.delimiter, config.quote].map(|mark| mark as u8),
            reader,
            header: Vec::new(),
            record: ByteRecord::new(),
            offset: 0,
        };
        let header = "a line with the names of the columns";
        if !table.read()? {
            return Err(table.error(None, header, "an empty file"));
        }
        let fields = (0..table.record.len()).map(|place| table.field(place).map(String::from));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        if fields.iter().all(|field| field.parse::<f64>().is_ok()) {
            let found = format!("numbers only: {}", quoted(&fields));
            return Err(table.error(None, header, found));
        }
        let mut names = HashSet::new();
        for (place, name) in fields.iter().enumerate() {
            if config.ignore.contains(name) {
                continue;
            }
            if name.is_empty() {
                let expected = "a name for each column, or \"\" in `ignore`";
                let found = format!("no name of column {}", place + 1);
                return Err(table.error(None, expected, found));
            }
            if !names.insert(name) {
                let found = format!("{} twice", quote(name));
                return Err(table.error(None, "different names of the columns", found));
            }
        }
        table.header = fields;
        Ok(table)
    }

    /// Returns the names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Returns the position of a column; `key` names what refers to it.
    ///
    /// # Errors
    ///
    /// Returns an error that suggests the nearest name if the table does not have this column.
    pub fn column(&self, name: &str, key: &str) -> Result<usize, DataError> {
        let place = self.header.iter().position(|column| column == name);
        place.ok_or_else(|| {
            let known = self.header.iter().map(String::as_str);
            let hint = nearest(name, known).map(|near| format!(", did you mean {}?", quote(near)));
            DataError::Cell {
                path: self.path.clone(),
                line: 1,
                column: None,
                expected: format!("the column {} ({key})", quote(name)),
                found: format!(
                    "the columns {}{}",
                    quoted(&self.header),
                    hint.unwrap_or_default()
                ),
            }
        })
    }

    /// Reads the next row, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or if the row has another number of fields
    /// than the header.
    pub fn next(&mut self) -> Result<bool, DataError> {
        if !self.read()? {
            return Ok(false);
        }
        let (found, expected) = (self.record.len(), self.header.len());
        if found != expected {
            let expected = format!("{expected} fields, as in the first line");
            return Err(self.error(None, expected, format!("{found}")));
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<bool, DataError> {
        let found = self.reader.read_byte_record(&mut self.record);
        let found = found.map_err(|error| DataError::io(&self.path, error.into()))?;
        if found {
            self.offset = self.record.position().map_or(0, |position| position.byte());
            // A field that does not end extends to the end of the file.
            if self.reader.position().byte() >= self.length {
                self.assert_closed()?;
            }
        }
        Ok(found)
    }

    /// Returns an error if a field of the row, the last of the file, does not end.
    fn assert_closed(&self) -> Result<(), DataError> {
        let unclosed = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            unclosed_quote(BufReader::new(file).bytes(), self.offset, self.marks)
        });
        match unclosed.map_err(|error| DataError::io(&self.path, error))? {
            None => Ok(()),
            Some(offset) => Err(DataError::Cell {
                path: self.path.clone(),
                line: self.line_of(offset),
                column: None,
                expected: "a second quotation mark, which ends the field".into(),
                found: "the end of the file".into(),
            }),
        }
    }

    /// Returns the byte at which the row begins, or one before it that ends a line.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the line of a row by its [`offset`](Self::offset), for which the file is read again.
    pub fn line_of(&self, offset: u64) -> u64 {
        line_at(&self.path, offset)
    }

    /// Returns a field of the row.
    ///
    /// # Errors
    ///
    /// Returns an error that names the byte if the field is not UTF-8.
    pub fn field(&self, column: usize) -> Result<&str, DataError> {
        let field = &self.record[column];
        std::str::from_utf8(field).map_err(|error| {
            let byte = field[error.valid_up_to()];
            let found = format!("the byte {byte:#04x}");
            self.error(Some(column), "text in UTF-8", found)
        })
    }

    /// Returns an error about the row, or about a field of it.
    pub fn error(
        &self,
        column: Option<usize>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> DataError {
        DataError::Cell {
            path: self.path.clone(),
            line: self.line_of(self.offset),
            // The header may not be known yet.
            column: column.map(|place| match self.header.get(place) {
                Some(name) => quote(name),
                None => (place + 1).to_string(),
            }),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Returns an error about a column.
    pub fn error_of_column(&self, column: usize, what: impl std::fmt::Display) -> DataError {
        let (path, name) = (self.path.display(), quote(&self.header[column]));
        DataError::Invalid(format!("{path}: column {name} {what}"))
    }
}

/// Returns the offset in the file of the quotation mark of a field that does not end, if there is one.
///
/// The bytes are those from the offset `first` to the end of the file. The reader would take the
/// rest of the file for one field.
fn unclosed_quote(
    bytes: impl Iterator<Item = io::Result<u8>>,
    first: u64,
    [delimiter, quote]: [u8; 2],
) -> io::Result<Option<u64>> {
    let (mut begins, mut opened) = (true, None);
    for (offset, byte) in (first..).zip(bytes) {
        let byte = byte?;
        let is_mark = offset < BYTE_ORDER_MARK.len() as u64 && BYTE_ORDER_MARK.contains(&byte);
        match opened {
            // A doubled mark closes the field and opens it again.
            Some(_) if byte == quote => (opened, begins) = (None, true),
            Some(_) => {}
            None if byte == quote && begins => opened = Some(offset),
            None => begins = is_mark || byte == delimiter || matches!(byte, b'\n' | b'\r'),
        }
    }
    Ok(opened)
}

/// Bytes at the beginning of a text in UTF-8, which the reader skips.
const BYTE_ORDER_MARK: [u8; 3] = *b"\xef\xbb\xbf";

/// Returns the line of the first byte from an offset in a file that does not end a line.
///
/// The lines that the reader counts are too few where line ends are `\r\n`, or where lines are
/// empty, so that they are counted again where there is an error.
fn line_at(path: &Path, offset: u64) -> u64 {
    let Ok(file) = File::open(path) else {
        return 1;
    };
    let (mut line, mut last) = (1, 0);
    for (place, byte) in (0..).zip(BufReader::new(file).bytes().map_while(Result::ok)) {
        let is_end = matches!(byte, b'\n' | b'\r');
        if place >= offset && !is_end {
            break;
        }
        // Both together are one end.
        line += u64::from(is_end && (last, byte) != (b'\r', b'\n'));
        last = byte;
    }
    line
}

/// Parses a number.
///
/// # Errors
///
/// Returns what was expected if the text is not a number that is finite in single precision.
pub(super) fn number(text: &str) -> Result<f64, &'static str> {
    let Ok(number) = text.parse::<f64>() else {
        return Err("a number");
    };
    match (number as f32).is_finite() {
        true => Ok(number),
        false => Err("a finite number, below 3.4e38"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of each row, however lines end.
    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let text = "a,b\n\n1,2\n\"x\n\ny\",3\n\n\n4,5";
        for end in ["\n", "\r\n", "\r"] {
            for mark in ["", "\u{feff}"] {
                let text = format!("{mark}{}", text.replace('\n', end));
                std::fs::write(&path, text).unwrap();
                let mut file = TableFile::open(&path, &CsvConfig::new(&path, "a")).unwrap();
                let mut lines = vec![];
                while file.next().unwrap() {
                    lines.push(line_at(&path, file.offset));
                }
                assert_eq!(lines, [3, 4, 9], "{end:?} {mark:?}");
            }
        }
    }

    #[test]
    fn a_quotation_mark_without_a_second_one_is_found() {
        let unclosed = |text: &str| {
            let bytes = text.bytes().map(Ok);
            unclosed_quote(bytes, 0, [b',', b'"']).unwrap()
        };
        for text in [
            "a,\"b\"",
            "a,\"b\"\"c\"\n",
            "a,b\"c\n",
            "\"\",\"\"",
            "\"a\"b,c",
            "\"x\n,\"\n",
        ] {
            assert_eq!(unclosed(text), None, "{text}");
        }
        assert_eq!(unclosed("a,\"b\nc,d\n"), Some(2));
        assert_eq!(unclosed("a,\"b\"\"\nc,d\n"), Some(5));
        assert_eq!(unclosed("\u{feff}\"a,b\n"), Some(3));
        assert_eq!(unclosed("a,\"\"\"b\n"), Some(4));
    }

    #[test]
    fn numbers_are_finite_in_single_precision() {
        for (text, expected) in [
            ("1", Ok(1.0)),
            ("-1.5e3", Ok(-1500.0)),
            ("+.5", Ok(0.5)),
            ("1e-300", Ok(1e-300)),
            ("3e38", Ok(3e38)),
            ("1,5", Err("a number")),
            ("1_000", Err("a number")),
            ("0x10", Err("a number")),
            ("", Err("a number")),
            ("4e38", Err("a finite number, below 3.4e38")),
            ("infinity", Err("a finite number, below 3.4e38")),
            ("NaN", Err("a finite number, below 3.4e38")),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
