//! Archives that PyTorch did not write.

/// A file in an archive, with the fields that tests falsify.
pub struct Member<'a> {
    pub name: &'a str,
    pub contents: &'a [u8],
    /// Method of compression: 0 is none.
    pub method: u16,
    /// Sizes as the directory has them: packed and unpacked.
    pub sizes: [u32; 2],
}

impl<'a> Member<'a> {
    pub fn new(name: &'a str, contents: &'a [u8]) -> Self {
        Self {
            name,
            contents,
            method: 0,
            sizes: [contents.len() as u32; 2],
        }
    }
}

/// Writes an archive. A checksum of 0 counts as none.
pub fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let start = bytes.len() as u32;
        let mut common = Vec::new();
        for number in [20, 0, member.method, 0, 0] {
            common.extend(u16::to_le_bytes(number));
        }
        for number in [0, member.sizes[0], member.sizes[1]] {
            common.extend(u32::to_le_bytes(number));
        }
        common.extend((member.name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(member.name.as_bytes());
        bytes.extend(member.contents);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(member.name.as_bytes());
    }
    let start = bytes.len() as u32;
    let count = (members.len() as u16).to_le_bytes();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count);
    bytes.extend(count);
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

/// Adds the records of ZIP64 before the end of an archive, as PyTorch does.
///
/// With a first directory, the last record of the archive refers to this one, and the record of
/// ZIP64 to that of the archive.
pub fn with_zip64(archive: &[u8], first: &[u8]) -> Vec<u8> {
    let (files, end) = archive.split_at(archive.len() - 22);
    let number = |place: usize| u32::from_le_bytes(end[place..place + 4].try_into().unwrap());
    let (files, directory) = files.split_at(number(16) as usize);
    let start = (files.len() + first.len()) as u64;
    let size = directory.len() as u64;
    let count = u64::from(end[10]);

    let mut records = b"PK\x06\x06".to_vec();
    records.extend(44_u64.to_le_bytes());
    records.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [count, count, size, start] {
        records.extend(number.to_le_bytes());
    }
    records.extend(b"PK\x06\x07\0\0\0\0");
    records.extend((start + size).to_le_bytes());
    records.extend(1_u32.to_le_bytes());
    [files, first, directory, &records, end].concat()
}

/// Writes an archive as PyTorch does, with a pickle and the storage `0`.
pub fn of_pickle(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    archive(&[
        Member::new("model/data.pkl", pickle),
        Member::new("model/data/0", storage),
    ])
}

/// The pickle of `{"w": tensor}` with 4 values, and something after the tensor.
pub fn weights_and(more: &[u8]) -> Vec<u8> {
    let tensor: &[u8] = b"\x80\x02}(X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage\
                          ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK\0K\x04\x85K\x01\x85\
                          \x89ccollections\nOrderedDict\n)RtR";
    [tensor, more, b"u."].concat()
}
