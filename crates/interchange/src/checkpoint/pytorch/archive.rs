//! The directory of the ZIP archive that PyTorch writes, checked before it is trusted.

use super::super::error::Fault;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// A file in an archive.
pub(super) struct Member {
    /// Name, with its folders.
    pub(super) name: String,
    /// Position of its header.
    pub(super) header: u64,
    /// Number of bytes.
    pub(super) size: u64,
}

/// Number of bytes of the record at the end of the archive.
const END: u64 = 22;
/// Number of bytes of the record that refers to the larger record of ZIP64.
const LOCATOR: u64 = 20;
/// Number of bytes of the record of ZIP64.
const END_64: u64 = 56;
/// Number of bytes of an entry of the directory, without its texts.
const ENTRY: usize = 46;
/// Number of bytes of the header of a file, without its texts.
const HEADER: u64 = 30;
/// Value of a field of 32 bits whose value is in a field of 64 bits.
const IN_64: u64 = 0xFFFF_FFFF;

/// Place of the directory.
struct Directory {
    start: u64,
    size: u64,
    entries: u64,
}

/// Reads and checks the directory: the files lie in the archive, uncompressed as PyTorch writes
/// them, and are together not larger than it. Nothing can then unpack to more than its size.
pub(super) fn members(file: &mut File) -> Result<Vec<Member>, Fault> {
    let length = file.metadata()?.len();
    let directory = directory(file, length)?;
    let mut bytes = vec![0; directory.size as usize];
    file.seek(SeekFrom::Start(directory.start))?;
    file.read_exact(&mut bytes)?;

    let mut members = Vec::new();
    let mut names = HashSet::new();
    let mut total: u64 = 0;
    let mut rest = &bytes[..];
    for _ in 0..directory.entries {
        let (member, after) = entry(rest)?;
        rest = after;
        total = total.saturating_add(member.size);
        let end = member.header.checked_add(HEADER + member.size.min(length));
        if end.is_none_or(|end| end > directory.start) || total > directory.start {
            return Err(Fault::malformed(format!(
                "its directory says that `{}` has {} bytes, which do not fit into the file of \
                 {length} bytes",
                member.name, member.size
            )));
        }
        if !names.insert(member.name.clone()) {
            return Err(Fault::malformed(format!(
                "its directory has two files of the name `{}`",
                member.name
            )));
        }
        members.push(member);
    }
    match rest.is_empty() {
        true => Ok(members),
        false => Err(Fault::malformed(
            "its directory has more entries than it says",
        )),
    }
}

/// Returns the position of the contents of a file.
pub(super) fn contents(file: &mut File, member: &Member) -> Result<u64, Fault> {
    let mut header = [0; HEADER as usize];
    file.seek(SeekFrom::Start(member.header))?;
    file.read_exact(&mut header)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(Fault::malformed(format!("`{}` has no header", member.name)));
    }
    let texts = number(&header, 26, 2) + number(&header, 28, 2);
    let start = member.header + HEADER + texts;
    if start + member.size > file.metadata()?.len() {
        return Err(Fault::malformed(format!(
            "the file ends in `{}`",
            member.name
        )));
    }
    Ok(start)
}

/// Finds the directory from the end of the file.
fn directory(file: &mut File, length: u64) -> Result<Directory, Fault> {
    let ends_early = || {
        Fault::malformed(
            "the file does not end with the directory of its archive: it ends early, or \
                          something follows it",
        )
    };
    let end_start = length.checked_sub(END).ok_or_else(ends_early)?;
    let mut end = [0; END as usize];
    file.seek(SeekFrom::Start(end_start))?;
    file.read_exact(&mut end)?;
    if !end.starts_with(b"PK\x05\x06") || number(&end, 20, 2) != 0 {
        return Err(ends_early());
    }
    let mut found = Directory {
        start: number(&end, 16, 4),
        size: number(&end, 12, 4),
        entries: number(&end, 10, 2),
    };
    let mut after = end_start;
    if let Some(start) = end_start.checked_sub(LOCATOR) {
        let mut locator = [0; LOCATOR as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut locator)?;
        if locator.starts_with(b"PK\x06\x07") {
            let record = start
                .checked_sub(END_64)
                .filter(|&it| it == number(&locator, 8, 8));
            let record = record.ok_or_else(ends_early)?;
            let mut end = [0; END_64 as usize];
            file.seek(SeekFrom::Start(record))?;
            file.read_exact(&mut end)?;
            if !end.starts_with(b"PK\x06\x06") {
                return Err(ends_early());
            }
            found = Directory {
                start: number(&end, 48, 8),
                size: number(&end, 40, 8),
                entries: number(&end, 32, 8),
            };
            after = record;
        }
    }
    let fits = found.start.checked_add(found.size) == Some(after);
    if !fits || found.entries > found.size / ENTRY as u64 {
        return Err(Fault::malformed(format!(
            "its directory should have {} entries in {} bytes at {}, but ends at {after}",
            found.entries, found.size, found.start
        )));
    }
    Ok(found)
}

/// Reads an entry of the directory, and returns the bytes after it.
fn entry(bytes: &[u8]) -> Result<(Member, &[u8]), Fault> {
    let damaged = || Fault::malformed("an entry of its directory is damaged");
    let fixed = bytes.get(..ENTRY).ok_or_else(damaged)?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return Err(damaged());
    }
    let lengths = [28, 30, 32].map(|place| number(fixed, place, 2) as usize);
    let [name, extra, comment] = lengths;
    let end = ENTRY + name + extra + comment;
    let after = bytes.get(end..).ok_or_else(damaged)?;
    let texts = &bytes[ENTRY..end];
    let name = std::str::from_utf8(&texts[..name]).map_err(|_| damaged())?;

    let mut stored = number(fixed, 20, 4);
    let mut size = number(fixed, 24, 4);
    let mut header = number(fixed, 42, 4);
    let mut extra = &texts[name.len()..name.len() + extra];
    while extra.len() >= 4 {
        let [id, length] = [0, 2].map(|place| number(extra, place, 2));
        let field = extra.get(4..4 + length as usize).ok_or_else(damaged)?;
        extra = &extra[4 + field.len()..];
        match id {
            // Sizes that need 64 bits, in this order.
            1 => {
                let mut places = (0..).step_by(8);
                for value in [&mut size, &mut stored, &mut header] {
                    if *value == IN_64 {
                        let place = places.next().unwrap_or_default();
                        let bytes = field.get(place..place + 8).ok_or_else(damaged)?;
                        *value = number(bytes, 0, 8);
                    }
                }
            }
            // Another name, for programs that know this field.
            0x7075 => {
                return Err(Fault::refused(format!("its file `{name}` has two names")));
            }
            _ => {}
        }
    }
    let (encrypted, method) = (number(fixed, 8, 2) & 1 != 0, number(fixed, 10, 2));
    if encrypted || method != 0 {
        return Err(Fault::refused(format!(
            "its file `{name}` is {}, and PyTorch writes neither: load it in PyTorch and save it again",
            if encrypted { "encrypted" } else { "compressed" }
        )));
    }
    if size != stored {
        return Err(Fault::malformed(format!(
            "`{name}` is not compressed, but should have {size} bytes in {stored}"
        )));
    }
    let name = name.to_string();
    Ok((Member { name, header, size }, after))
}

/// Reads an unsigned number of at most 8 bytes, the lowest one first.
fn number(bytes: &[u8], place: usize, count: usize) -> u64 {
    let bytes = bytes[place..place + count].iter().rev();
    bytes.fold(0, |number, &byte| number << 8 | u64::from(byte))
}
