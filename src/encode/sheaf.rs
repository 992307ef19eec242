//! Codes as they are made: of many records side by side. A record that goes into a file needs no memory of its own.

use std::slice::ChunksExact;

use crate::code::{Code, Codes, Record};

/// The codes of one pass, of record after record.
struct Pass {
    bits: Vec<u64>,
    /// Words of a code.
    words: usize,
    /// Codes of a record.
    count: usize,
}

/// The codes of records of one source, in the order in which they were given.
#[derive(Default)]
pub(super) struct Sheaf(Vec<Pass>);

impl Sheaf {
    pub(super) fn with_passes(passes: usize) -> Self {
        Self(Vec::with_capacity(passes))
    }

    /// Adds a pass: codes of so many words, so many a record.
    pub(super) fn push(&mut self, bits: Vec<u64>, words: usize, count: usize) {
        self.0.push(Pass { bits, words, count });
    }

    /// The codes of a record, by pass.
    fn of(&self, at: usize) -> impl Iterator<Item = ChunksExact<'_, u64>> {
        self.0
            .iter()
            .map(move |Pass { bits, words, count }| bits[at * words * count..][..words * count].chunks_exact(*words))
    }

    /// The codes of a record on their own.
    pub(super) fn codes(&self, at: usize) -> Codes {
        Codes { passes: self.of(at).map(|codes| codes.map(Code::from).collect()).collect() }
    }
}

/// Records without their codes, and the codes beside them.
pub struct InOrder {
    pub(super) records: Vec<Record>,
    /// Of each record where its codes are, if it has some.
    pub(super) at: Vec<Option<usize>>,
    pub(super) sheaf: Sheaf,
}

impl InOrder {
    /// Each record, and its codes.
    pub fn iter(&self) -> impl Iterator<Item = (&Record, CodesOf<'_>)> {
        self.records.iter().zip(&self.at).map(|(record, at)| (record, CodesOf { sheaf: &self.sheaf, at: *at }))
    }
}

/// The codes of one record.
#[derive(Clone, Copy)]
pub struct CodesOf<'a> {
    sheaf: &'a Sheaf,
    at: Option<usize>,
}

impl<'a> CodesOf<'a> {
    /// Whether it has none: a minor's.
    pub fn is_empty(self) -> bool {
        self.at.is_none()
    }

    /// The words of each code, by pass in the profile's order; no passes if there are no codes.
    pub fn passes(self) -> impl Iterator<Item = ChunksExact<'a, u64>> {
        self.at.into_iter().flat_map(move |at| self.sheaf.of(at))
    }
}
