//! Rows that travel together from the reader of a file to a thread that encodes.

use super::problem::LineError;

/// A batch is full with so many bytes, however few its rows are.
pub(super) const FULL: usize = 1 << 20;

/// Rows that travel together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The values, with one ASCII sign between those of a row.
    pub(super) bytes: Vec<u8>,
    /// Where each value ends.
    pub(super) ends: Vec<usize>,
    pub(super) rows: Vec<RowAt>,
    /// Where the row and the value that are being read begin.
    pub(super) row_start: usize,
    pub(super) value_start: usize,
    /// Why the file cannot be read beyond these rows.
    pub(super) broken: Option<LineError>,
    /// Bytes of the file up to here.
    pub(super) read: u64,
}

#[derive(Debug)]
pub(super) struct RowAt {
    pub(super) line: u64,
    pub(super) start: usize,
    /// Values up to and with this row.
    pub(super) values: usize,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    batch: &'a Batch,
    pub(super) line: u64,
    start: usize,
    ends: &'a [usize],
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let firsts = std::iter::once(0).chain(self.rows.iter().map(|row| row.values));
        let row = |(first, row): (usize, &RowAt)| Row {
            batch: self,
            line: row.line,
            start: row.start,
            ends: &self.ends[first..row.values],
        };
        firsts.zip(&self.rows).map(row)
    }

    /// All bytes, if they are UTF-8: then every value is.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// Empty again, in the same memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.rows.clear();
        (self.row_start, self.value_start, self.broken) = (0, 0, None);
    }

    pub(super) fn is_full(&self, most: usize) -> bool {
        self.rows.len() >= most || self.bytes.len() >= FULL && !self.rows.is_empty()
    }

    pub(super) fn end_value(&mut self) {
        self.ends.push(self.bytes.len());
        self.bytes.push(b',');
        self.value_start = self.bytes.len();
    }

    pub(super) fn end_row(&mut self, line: u64) {
        self.rows.push(RowAt { line, start: self.row_start, values: self.ends.len() });
        self.row_start = self.value_start;
    }

    pub(super) fn value_len(&self) -> usize {
        self.bytes.len() - self.value_start
    }
}

impl<'a> Row<'a> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The values' bytes.
    pub(super) fn values(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.places().map(|(start, end)| &self.batch.bytes[start..end])
    }

    /// The values, given the batch's [`Batch::text`].
    pub(super) fn texts(self, text: &'a str) -> impl ExactSizeIterator<Item = &'a str> {
        self.places().map(|(start, end)| &text[start..end])
    }

    fn places(self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        let mut start = self.start;
        self.ends.iter().map(move |end| (std::mem::replace(&mut start, end + 1), *end))
    }
}
