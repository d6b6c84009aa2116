use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

/// Messages about a run beside its figures, such as the similarity of the layers that a loss pairs.
///
/// They are collected where losses are built, to be shown once a display is gone that would cover them.
/// Clones share their messages.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    all: Rc<RefCell<Vec<String>>>,
    prefix: String,
}

impl Notices {
    /// Returns the same messages, to which others are added after a prefix, such as a seed.
    pub fn with_prefix(&self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let all = self.all.clone();
        Self { all, prefix }
    }

    /// Adds a message, unless there is the same already.
    pub fn add(&self, message: impl AsRef<str>) {
        let message = format!("{}{}", self.prefix, message.as_ref());
        let mut all = self.all.borrow_mut();
        if !all.contains(&message) {
            all.push(message);
        }
    }

    /// Returns the messages so far, and forgets them.
    pub fn take(&self) -> Vec<String> {
        mem::take(&mut self.all.borrow_mut())
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
