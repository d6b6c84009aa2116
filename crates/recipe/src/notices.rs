use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages about a run, such as the similarity of the layers that a loss pairs.
///
/// They are collected while losses are built, and shown after the display of the trainings is
/// closed. Clones share their messages.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    all: Arc<Mutex<Vec<String>>>,
    prefix: String,
}

impl Notices {
    /// Returns a clone that adds its messages with a prefix, such as a seed.
    pub fn with_prefix(&self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let all = self.all.clone();
        Self { all, prefix }
    }

    /// Adds a message, unless it was added before.
    pub fn add(&self, message: impl AsRef<str>) {
        let message = format!("{}{}", self.prefix, message.as_ref());
        let mut all = self.all();
        if !all.contains(&message) {
            all.push(message);
        }
    }

    /// Takes the messages out.
    pub fn take(&self) -> Vec<String> {
        mem::take(&mut self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<String>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kept_once_for_each_prefix() {
        let notices = Notices::default();
        for seed in [0, 0, 1] {
            notices.with_prefix(format!("seed {seed}: ")).add("alike");
        }

        assert_eq!(notices.take(), ["seed 0: alike", "seed 1: alike"]);
        assert!(notices.take().is_empty());
    }
}
