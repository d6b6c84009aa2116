//! Scan of a pickle before it is parsed, for the functions that it would call and the number of its
//! values.
//!
//! The reader of PyTorch's files executes nothing. It leaves out objects that it does not know, so
//! a file that calls `os.system` in Python would be read without a message, and it needs about a
//! hundred bytes for each value, which can take a single byte in the file. This pass refuses both.

use super::super::error::Fault;
use super::calls;
use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::rc::Rc;

/// Largest number of values of a pickle. A tensor takes some forty.
const MOST_VALUES: usize = 1 << 20;

/// Longest text that can be part of the name of a function.
const LONGEST_NAME: u64 = 512;

/// A value on the stack: its text, if it is a short text.
type Value = Option<Rc<str>>;

/// A pass over the pickles of a file.
pub(super) struct Scan<R> {
    input: R,
    /// Number of bytes of the input that are left.
    left: u64,
    /// Position of the next byte.
    position: u64,
    values: usize,
}

/// The stack machine of one pickle, which knows only texts.
#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl<R: BufRead> Scan<R> {
    /// Creates a pass over an input with that number of bytes.
    pub(super) fn new(input: R, length: u64) -> Self {
        Self {
            input,
            left: length,
            position: 0,
            values: 0,
        }
    }

    /// Scans one pickle, and leaves the input after it.
    pub(super) fn pickle(&mut self) -> Result<(), Fault> {
        let mut machine = Machine::default();
        loop {
            let start = self.position;
            let [opcode] = self.bytes()?;
            if opcode == b'.' {
                return Ok(());
            }
            self.step(opcode, &mut machine)
                .map_err(|fault| match fault {
                    Fault::Malformed(message) => Fault::Malformed(format!(
                        "its pickle, at byte {start} (opcode 0x{opcode:02x}): {message}"
                    )),
                    fault => fault,
                })?;
            if machine.stack.len() > MOST_VALUES || self.values > MOST_VALUES {
                return Err(Fault::refused(format!(
                    "its pickle has more than {MOST_VALUES} values, which no file of weights needs"
                )));
            }
        }
    }

    fn step(&mut self, opcode: u8, machine: &mut Machine) -> Result<(), Fault> {
        match opcode {
            // The version of the pickle, and the length of a frame.
            0x80 => self.skip(1),
            0x95 => self.skip(8),
            // Values without texts.
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | 0x8f => self.push(machine, None),
            b'K' => self.fixed(machine, 1),
            b'M' => self.fixed(machine, 2),
            b'J' => self.fixed(machine, 4),
            b'G' => self.fixed(machine, 8),
            b'I' | b'L' | b'F' | b'P' => {
                self.line()?;
                self.push(machine, None)
            }
            0x8a | b'C' => self.counted(machine, 1, false),
            0x8b | b'B' => self.counted(machine, 4, false),
            0x8e | 0x96 => self.counted(machine, 8, false),
            // Texts.
            b'U' | 0x8c => self.counted(machine, 1, true),
            b'T' | b'X' => self.counted(machine, 4, true),
            0x8d => self.counted(machine, 8, true),
            b'V' => {
                let text = self.line()?;
                self.push(machine, text)
            }
            // The stack and the memo.
            b'(' => {
                self.values += 1;
                machine.marks.push(machine.stack.len());
                Ok(())
            }
            b'0' => machine.discard(),
            b'1' => machine.pop_to_mark(),
            b'2' => {
                let top = machine.top()?;
                self.push(machine, top)
            }
            b'g' | b'h' | b'j' => {
                let index = self.index(opcode)?;
                let value = machine.memo.get(&index).cloned();
                let value = value.ok_or_else(|| {
                    Fault::malformed(format!(
                        "it refers to the value {index}, which it has not kept"
                    ))
                })?;
                self.push(machine, value)
            }
            b'p' | b'q' | b'r' => {
                let index = self.index(opcode)?;
                let top = machine.top()?;
                machine.memo.insert(index, top);
                Ok(())
            }
            0x94 => {
                let top = machine.top()?;
                let index = machine.memo.len() as u32;
                machine.memo.insert(index, top);
                Ok(())
            }
            // Collections.
            b'd' | b'l' | b't' | 0x91 => {
                machine.pop_to_mark()?;
                self.push(machine, None)
            }
            b'e' | b'u' | 0x90 => machine.pop_to_mark(),
            b'a' | b'b' => machine.pop(1),
            b's' => machine.pop(2),
            0x85 | b'Q' => self.replace(machine, 1),
            0x86 | b'R' | 0x81 => self.replace(machine, 2),
            0x87 | 0x92 => self.replace(machine, 3),
            // Names of functions and classes.
            b'c' => {
                self.name()?;
                self.push(machine, None)
            }
            b'i' => {
                self.name()?;
                machine.pop_to_mark()?;
                self.push(machine, None)
            }
            b'o' => {
                machine.pop_to_mark()?;
                self.push(machine, None)
            }
            0x93 => {
                let name = machine.text()?;
                let module = machine.text()?;
                calls::check(&module, &name)?;
                self.push(machine, None)
            }
            _ => Err(Fault::malformed("this opcode is unknown or is not read")),
        }
    }

    fn push(&mut self, machine: &mut Machine, value: Value) -> Result<(), Fault> {
        self.values += 1;
        machine.stack.push(value);
        Ok(())
    }

    /// Takes values off the stack, and adds one for them.
    fn replace(&mut self, machine: &mut Machine, count: usize) -> Result<(), Fault> {
        machine.pop(count)?;
        self.push(machine, None)
    }

    /// Adds a value of a fixed number of bytes.
    fn fixed(&mut self, machine: &mut Machine, bytes: u64) -> Result<(), Fault> {
        self.skip(bytes)?;
        self.push(machine, None)
    }

    /// Adds a value that follows its length, which is stored in this number of bytes.
    fn counted(&mut self, machine: &mut Machine, bytes: u8, text: bool) -> Result<(), Fault> {
        let length = match bytes {
            1 => u64::from(self.bytes::<1>()?[0]),
            4 => u64::from(u32::from_le_bytes(self.bytes()?)),
            _ => u64::from_le_bytes(self.bytes()?),
        };
        if length > self.left {
            return Err(Fault::malformed(format!(
                "a value is of {length} bytes, but {} are left",
                self.left
            )));
        }
        if !text || length > LONGEST_NAME {
            self.skip(length)?;
            return self.push(machine, None);
        }
        let mut contents = vec![0; length as usize];
        self.fill(&mut contents)?;
        let text = std::str::from_utf8(&contents).ok().map(Rc::from);
        self.push(machine, text)
    }

    /// Reads and checks the name of a function or class in two lines.
    fn name(&mut self) -> Result<(), Fault> {
        let module = self.line()?;
        let name = self.line()?;
        match (module, name) {
            (Some(module), Some(name)) => calls::check(&module, &name),
            _ => Err(Fault::malformed(
                "the name of a class is too long, or is not text",
            )),
        }
    }

    /// Reads a line, and returns it if it is a short text.
    fn line(&mut self) -> Result<Value, Fault> {
        let mut line = Vec::new();
        let limit = self.left.min(LONGEST_NAME + 2);
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut line)? as u64;
        self.advance(read);
        if line.pop() == Some(b'\n') {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(std::str::from_utf8(&line).ok().map(Rc::from));
        }
        if self.left == 0 {
            return Err(Fault::malformed("the file ends in a line of text"));
        }
        // The rest of a line that is too long for a name.
        loop {
            let available = self.input.fill_buf()?;
            let end = available.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(available.len(), |end| end + 1);
            if count == 0 || self.left == 0 {
                return Err(Fault::malformed("the file ends in a line of text"));
            }
            self.input.consume(count);
            self.advance(count as u64);
            if end.is_some() {
                return Ok(None);
            }
        }
    }

    /// Reads the index of a kept value.
    fn index(&mut self, opcode: u8) -> Result<u32, Fault> {
        match opcode {
            b'h' | b'q' => Ok(u32::from(self.bytes::<1>()?[0])),
            b'j' | b'r' => Ok(u32::from_le_bytes(self.bytes()?)),
            _ => {
                let line = self.line()?;
                let index = line.and_then(|line| line.parse().ok());
                index.ok_or_else(|| Fault::malformed("the index of a value is not a number"))
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        if bytes.len() as u64 > self.left {
            return Err(Fault::malformed("the file ends in its pickle"));
        }
        self.input.read_exact(bytes)?;
        self.advance(bytes.len() as u64);
        Ok(())
    }

    fn skip(&mut self, count: u64) -> Result<(), Fault> {
        if count > self.left {
            return Err(Fault::malformed("the file ends in its pickle"));
        }
        std::io::copy(&mut (&mut self.input).take(count), &mut std::io::sink())?;
        self.advance(count);
        Ok(())
    }

    fn advance(&mut self, count: u64) {
        self.position += count;
        self.left = self.left.saturating_sub(count);
    }
}

impl Machine {
    /// Returns whether no value lies above the last mark, or at all.
    fn is_empty(&self) -> bool {
        self.stack.len() <= self.marks.last().copied().unwrap_or(0)
    }

    fn take(&mut self) -> Result<Value, Fault> {
        match self.is_empty() {
            true => Err(empty()),
            false => self.stack.pop().ok_or_else(empty),
        }
    }

    fn pop(&mut self, count: usize) -> Result<(), Fault> {
        (0..count).try_for_each(|_| self.take().map(drop))
    }

    /// Removes the last value, or the last mark if no value lies above it.
    fn discard(&mut self) -> Result<(), Fault> {
        if self.is_empty() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop(1)
    }

    fn pop_to_mark(&mut self) -> Result<(), Fault> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| Fault::malformed("a collection has no beginning"))?;
        self.stack.truncate(mark);
        Ok(())
    }

    fn top(&self) -> Result<Value, Fault> {
        match self.is_empty() {
            true => Err(empty()),
            false => self.stack.last().cloned().ok_or_else(empty),
        }
    }

    fn text(&mut self) -> Result<Rc<str>, Fault> {
        let text = self.take()?;
        text.ok_or_else(|| Fault::malformed("the name of a class is too long, or is not text"))
    }
}

fn empty() -> Fault {
    Fault::malformed("it takes a value where there is none")
}
