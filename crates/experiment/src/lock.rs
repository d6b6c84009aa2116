use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Lock on a file, which at most one process holds. The system releases it when the process ends,
/// in any way.
pub struct Lock {
    file: File,
}

/// Process that holds a lock.
#[derive(Serialize, Deserialize)]
pub struct Holder {
    process: u32,
    host: String,
    /// Time at which it took the lock, in seconds since 1970.
    since: u64,
}

/// Reason why a lock is not taken.
pub enum LockError {
    /// A process holds it, which may be known.
    Held(Option<Holder>),
    /// The file cannot be created or written.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock on a file, which is created if it does not exist.
    ///
    /// On a file system without locks, every process takes it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        // Until the lock is taken, the contents are those of its holder.
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(Holder::read(file))),
            Err(TryLockError::Error(error)) => {
                log::info!("{}: locks are not possible here: {error}", path.display());
            }
        }
        let holder = Holder::this_process();
        let text = serde_json::to_string(&holder).expect("It is numbers and a name.");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(LockError::Io)?;
        Ok(Self { file })
    }
}

impl Lock {
    /// Checks whether the lock on a file can be taken, without a change to the file. It can if
    /// there is no such file.
    pub fn look(path: &Path) -> Result<(), LockError> {
        let Ok(file) = File::open(path) else {
            return Ok(());
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Err(LockError::Held(Holder::read(file))),
            _ => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that stays is harmless, since only the lock counts.
        let _ = self.file.set_len(0);
    }
}

impl Holder {
    /// Returns the holder that a file names; none if it cannot be read, although the lock is held.
    fn read(mut file: File) -> Option<Self> {
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn this_process() -> Self {
        let host = hostname::get().unwrap_or_default();
        Self {
            process: std::process::id(),
            host: host.to_string_lossy().into_owned(),
            since: seconds_since_1970(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            process,
            host,
            since,
        } = self;
        let ago = in_words(seconds_since_1970().saturating_sub(*since));
        write!(f, "process {process} on {host}, which began {ago} ago")
    }
}

/// Returns a duration in its largest unit.
fn in_words(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (24 * 60 * 60, "day"),
        (60 * 60, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let unit = UNITS.into_iter().find(|(size, _)| *size <= seconds);
    let (size, name) = unit.unwrap_or((1, "second"));
    match seconds / size {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).ok().unwrap();

        assert!(matches!(Lock::look(&path), Err(LockError::Held(Some(_)))));
        let Err(LockError::Held(Some(holder))) = Lock::take(&path) else {
            panic!("it is held by a known process");
        };
        let process = format!("process {} on ", std::process::id());
        assert!(holder.to_string().starts_with(&process), "{holder}");

        drop(first);
        assert!(Lock::look(&path).is_ok());
        assert!(Lock::take(&path).is_ok());
    }

    #[test]
    fn a_duration_is_shown_in_its_largest_unit() {
        let words = [0, 1, 59, 60, 7200, 100_000, 200_000].map(in_words);
        let expected = [
            "0 seconds",
            "1 second",
            "59 seconds",
            "1 minute",
            "2 hours",
            "1 day",
            "2 days",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn a_holder_that_cannot_be_read_still_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _first = Lock::take(&path).ok().unwrap();
        std::fs::write(&path, "nothing").unwrap();

        assert!(matches!(Lock::take(&path), Err(LockError::Held(None))));
    }
}
