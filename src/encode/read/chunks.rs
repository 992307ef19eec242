//! People of a file some at a time, so that a city's register is never in memory as a whole.

use super::tally::Tally;
use super::{LineError, ReadError};

/// Rows of a chunk for which there is room from the start: what grows by doubling is copied and overwritten every time.
const ROOM: usize = 1024;

/// Rows of a file in chunks. After a bad line there are no more: the rest is read for what else is bad, and
/// [`Chunks::finish`] tells it.
pub struct Chunks<T> {
    rows: Box<dyn Iterator<Item = Result<T, LineError>> + Send>,
    tally: Tally<T, LineError>,
    any: bool,
    name: String,
}

impl<T> Chunks<T> {
    pub(super) fn new(rows: impl Iterator<Item = Result<T, LineError>> + Send + 'static, name: String) -> Self {
        Self { rows: Box::new(rows), tally: Tally::default(), any: false, name }
    }

    /// Of what was read whole already.
    pub fn of(people: Vec<T>) -> Self
    where
        T: Send + 'static,
    {
        Self::new(people.into_iter().map(Ok), String::new())
    }

    /// The next rows, at most `most`; none at the end, and none from the chunk with the first bad line on.
    pub fn next_chunk(&mut self, most: usize) -> Vec<T> {
        self.tally.good.reserve_exact(most.min(ROOM));
        self.rows.by_ref().take(most).for_each(|row| self.tally.add(row));
        if !self.tally.is_clean() {
            self.tally.good.clear();
            self.rows.by_ref().filter_map(Result::err).for_each(|error| self.tally.bad(error));
        }
        self.any |= !self.tally.good.is_empty();
        std::mem::take(&mut self.tally.good)
    }

    /// What was bad.
    ///
    /// # Errors
    /// [`ReadError`] if a line was bad or there was none.
    pub fn finish(self) -> Result<(), ReadError> {
        if self.any && self.tally.is_clean() {
            return Ok(());
        }
        self.tally.finish_lines(&self.name).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;

    fn bad(line: u64) -> LineError {
        LineError { line, column: None, problem: Problem::Io }
    }

    #[test]
    fn chunks_are_the_rows_and_an_empty_file_is_an_error() {
        let mut chunks = Chunks::of(vec![1, 2, 3, 4, 5]);
        let all: Vec<Vec<i32>> = std::iter::from_fn(|| Some(chunks.next_chunk(2)).filter(|c| !c.is_empty())).collect();
        assert_eq!(all, [vec![1, 2], vec![3, 4], vec![5]]);
        assert!(chunks.finish().is_ok());
        let mut none = Chunks::of(Vec::<i32>::new());
        assert!(none.next_chunk(2).is_empty());
        assert!(matches!(none.finish(), Err(ReadError::NoRows { .. })));
    }

    #[test]
    fn nothing_comes_after_a_bad_line_and_all_bad_lines_are_told() {
        let rows = [Ok(1), Ok(2), Ok(3), Err(bad(5)), Ok(4), Ok(5), Err(bad(8))];
        let mut chunks = Chunks::new(rows.into_iter(), "brp.csv".into());
        assert_eq!(chunks.next_chunk(2), [1, 2]);
        assert!(chunks.next_chunk(2).is_empty() && chunks.next_chunk(2).is_empty());
        let Err(ReadError::Lines { lines, total, .. }) = chunks.finish() else { panic!("two lines are bad") };
        assert_eq!((lines, total), (vec![bad(5), bad(8)], 2));
    }
}
