//! One pass over the files of a folder: checksums, sizes, sums of pixels, and decoded images as far
//! as memory is left for them.

use super::decoded::DecodedImage;
use super::preprocessing::Preprocessing;
use super::progress::ScanProgress;
use crate::DataError;
use crate::read::read_file;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// SHA-256 of the contents of a file.
pub type Hash = [u8; 32];

/// Image of a folder, as it was scanned.
pub struct ScannedImage {
    pub path: PathBuf,
    pub label: usize,
    pub hash: Hash,
    /// Channels, height and width after the preprocessing.
    pub shape: [usize; 3],
    /// Sum of the pixels and of their squares, of each channel.
    pub sums: Vec<[u64; 2]>,
    /// Pixels, if there was memory left for them.
    pub pixels: Option<Box<[u8]>>,
}

/// Result of a scan.
#[derive(Default)]
pub struct Scan {
    /// Images, in the order of the listing.
    pub images: Vec<ScannedImage>,
    /// Images that cannot be decoded, with the error.
    pub broken: Vec<DataError>,
}

/// Memory that is left for decoded images, in bytes.
pub struct Memory(AtomicU64);

impl Memory {
    pub fn of_mib(mib: usize) -> Self {
        Self(AtomicU64::new((mib as u64).saturating_mul(1 << 20)))
    }

    /// Takes memory, and returns whether enough was left.
    fn take(&self, bytes: usize) -> bool {
        let take = |left: u64| left.checked_sub(bytes as u64);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

impl Scan {
    /// Scans images, on every processor.
    pub fn of(
        folder: &Path,
        listed: Vec<(PathBuf, usize)>,
        preprocessing: &Preprocessing,
        memory: &Memory,
    ) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let progress = ScanProgress::new(folder, listed.len());
        let next = AtomicUsize::new(0);
        let scan_some = || {
            let mut scanned = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some((path, label)) = listed.get(place) else {
                    return scanned;
                };
                scanned.push((place, scan(path, *label, preprocessing, memory)));
                progress.add_one();
            }
        };
        let mut scanned: Vec<_> = thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(listed.len()))
                .map(|_| scope.spawn(scan_some))
                .collect();
            let own = scan_some();
            let others = others.into_iter().flat_map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            own.into_iter().chain(others).collect()
        });
        scanned.sort_unstable_by_key(|(place, _)| *place);
        let mut result = Self::default();
        for (_, image) in scanned {
            match image {
                Ok(image) => result.images.push(image),
                Err(error) => result.broken.push(error),
            }
        }
        result
    }
}

fn scan(
    path: &Path,
    label: usize,
    preprocessing: &Preprocessing,
    memory: &Memory,
) -> Result<ScannedImage, DataError> {
    let (hash, image) = read(path, preprocessing, |_| Ok(()))?;
    let sums = image.pixels.chunks_exact(image.shape[1] * image.shape[2]);
    let sums = sums.map(|plane| {
        let pixels = plane.iter().map(|&pixel| u64::from(pixel));
        [
            pixels.clone().sum(),
            pixels.map(|pixel| pixel * pixel).sum(),
        ]
    });
    Ok(ScannedImage {
        path: path.to_path_buf(),
        label,
        hash,
        shape: image.shape,
        sums: sums.collect(),
        pixels: memory
            .take(image.pixels.len())
            .then(|| image.pixels.into_boxed_slice()),
    })
}

/// Reads an image of a scan once more.
///
/// # Errors
///
/// Returns an error that names the file if its contents are not those of the scan.
pub fn read_again(
    scanned: &ScannedImage,
    preprocessing: &Preprocessing,
) -> Result<DecodedImage, DataError> {
    let unchanged = |hash: &Hash| match *hash == scanned.hash {
        true => Ok(()),
        false => Err("the file has changed since it was read first: start again".to_string()),
    };
    read(&scanned.path, preprocessing, unchanged).map(|(_, image)| image)
}

/// Reads and decodes a file whose checksum passes a check.
fn read(
    path: &Path,
    preprocessing: &Preprocessing,
    check: impl FnOnce(&Hash) -> Result<(), String>,
) -> Result<(Hash, DecodedImage), DataError> {
    let bytes = read_file(path).map_err(|source| DataError::io(path, source))?;
    let hash = Sha256::digest(&bytes).into();
    let image = check(&hash).and_then(|()| preprocessing.decode(&bytes));
    match image {
        Ok(image) => Ok((hash, image)),
        Err(reason) => Err(DataError::Image {
            path: path.to_path_buf(),
            reason,
        }),
    }
}
