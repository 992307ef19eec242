//! What was read and what could not be: all that is bad is counted, the first twenty are named.

use super::{LineError, ReadError, RecordError};

/// Bad lines that one report names; all are counted.
const MOST_NAMED: usize = 20;

/// Good records beside bad ones.
pub(super) struct Tally<T, E> {
    pub(super) good: Vec<T>,
    named: Vec<E>,
    total: usize,
}

impl<T, E> Default for Tally<T, E> {
    fn default() -> Self {
        Self { good: Vec::new(), named: Vec::new(), total: 0 }
    }
}

impl<T, E> Tally<T, E> {
    pub(super) fn add(&mut self, one: Result<T, E>) {
        match one {
            Ok(good) => self.good.push(good),
            Err(error) => self.bad(error),
        }
    }

    pub(super) fn bad(&mut self, error: E) {
        self.total += 1;
        self.named.extend((self.named.len() < MOST_NAMED).then_some(error));
    }

    /// Whether nothing was bad.
    pub(super) fn is_clean(&self) -> bool {
        self.total == 0
    }

    fn finish(self, empty: ReadError, error: impl FnOnce(Vec<E>, usize) -> ReadError) -> Result<Vec<T>, ReadError> {
        match (self.total, self.good.is_empty()) {
            (0, true) => Err(empty),
            (0, false) => Ok(self.good),
            (total, _) => Err(error(self.named, total)),
        }
    }
}

impl<T> Tally<T, LineError> {
    /// All, if none was bad and there is one.
    pub(super) fn finish_lines(self, name: &str) -> Result<Vec<T>, ReadError> {
        self.finish(ReadError::NoRows { name: name.to_owned() }, |lines, total| ReadError::Lines {
            name: name.to_owned(),
            lines,
            total,
        })
    }
}

impl<T> Tally<T, RecordError> {
    /// All, if none was bad and there is one.
    pub(super) fn finish_records(self, name: &str) -> Result<Vec<T>, ReadError> {
        self.finish(ReadError::NoRecords { name: name.to_owned() }, |records, total| ReadError::Records {
            name: name.to_owned(),
            records,
            total,
        })
    }
}
