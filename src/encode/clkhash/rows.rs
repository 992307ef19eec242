//! CSV rows as Python's `csv.reader` reads them from a text file: line ends of all kinds are one, also inside quotes;
//! a quote counts at the start of a value only; an empty line is a row without values. The `csv` crate passes over
//! empty lines, which would move every later CLK one place up.

use std::io::{self, BufRead};

use super::batch::{Batch, FULL, RowAt};
use super::problem::{LineError, Problem};
use super::signs::Signs;

/// Longest value in bytes; Python's own limit.
const LONGEST: usize = 131_072;

/// Where in a row the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Row,
    Value,
    Plain,
    Quoted,
    /// Behind a quote inside quotes: the end, or the first of two.
    Quote,
}

/// Reads batches from a file.
pub(super) struct Rows<R> {
    input: R,
    scan: Scan,
    read: u64,
}

impl<R: BufRead> Rows<R> {
    /// A byte order mark at the start is passed over.
    pub(super) fn new(mut input: R) -> io::Result<Self> {
        let mark = input.fill_buf()?.starts_with(b"\xef\xbb\xbf");
        if mark {
            input.consume(3);
        }
        let scan = Scan { state: State::Row, after_return: false, line: 1, row_line: 1 };
        Ok(Self { input, scan, read: if mark { 3 } else { 0 } })
    }

    /// Fills a batch with the next rows, at least one and at most so many; whether there were any, or a fault.
    pub(super) fn next(&mut self, most: usize, batch: &mut Batch) -> io::Result<bool> {
        batch.clear();
        while !self.scan.is_done(most, batch) && batch.broken.is_none() {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                self.scan.end(batch);
                break;
            }
            let used = self.scan.stretch(bytes, most, batch);
            self.input.consume(used);
            self.read += used as u64;
        }
        batch.read = self.read;
        Ok(batch.len() > 0 || batch.broken.is_some())
    }
}

/// Where in the file the reader is.
struct Scan {
    state: State,
    /// Whether a line feed would belong to the line end before.
    after_return: bool,
    /// The line that is being read.
    line: u64,
    /// The line on which the row began.
    row_line: u64,
}

impl Scan {
    /// Takes rows until the bytes are used up or the batch is full; gives how many bytes that were.
    fn stretch(&mut self, bytes: &[u8], most: usize, batch: &mut Batch) -> usize {
        let mut used = 0;
        while used < bytes.len() && batch.broken.is_none() && !self.is_done(most, batch) {
            if self.state == State::Row && !self.after_return {
                used += self.plain_lines(&bytes[used..], most, batch);
            }
            if used < bytes.len() && !self.is_done(most, batch) {
                used += self.row(&bytes[used..], batch);
            }
        }
        used
    }

    /// Whether a row has ended and the batch is full.
    fn is_done(&self, most: usize, batch: &Batch) -> bool {
        self.state == State::Row && batch.is_full(most)
    }

    /// Takes the rest of a row, sign by sign.
    fn row(&mut self, bytes: &[u8], batch: &mut Batch) -> usize {
        let mut used = 0;
        while used < bytes.len() && batch.broken.is_none() {
            used += self.step(&bytes[used..], batch);
            if self.state == State::Row {
                break;
            }
        }
        used
    }

    /// Takes whole lines in one piece, up to the first that has a quote, an odd line end or a value too long; gives how
    /// many bytes that were.
    fn plain_lines(&mut self, bytes: &[u8], most: usize, batch: &mut Batch) -> usize {
        let base = batch.bytes.len();
        let (mut row, mut value) = (0, 0);
        for (at, sign) in Signs::new(bytes) {
            // The line feed of a line end of two signs.
            if at < row {
                continue;
            }
            let pair = sign == b'\r' && bytes.get(at + 1) == Some(&b'\n');
            if sign == b'"' || sign == b'\r' && !pair || at - value > LONGEST {
                break;
            }
            if sign == b',' || at > row {
                batch.ends.push(base + at);
            }
            value = at + 1;
            if sign != b',' {
                batch.rows.push(RowAt { line: self.line, start: base + row, values: batch.ends.len() });
                self.line += 1;
                row = at + if pair { 2 } else { 1 };
                value = row;
                if batch.rows.len() >= most || base + row >= FULL {
                    break;
                }
            }
        }
        batch.ends.truncate(batch.rows.last().map_or(0, |row| row.values));
        batch.bytes.extend_from_slice(&bytes[..row]);
        (batch.row_start, batch.value_start) = (batch.bytes.len(), batch.bytes.len());
        self.row_line = self.line;
        row
    }

    /// Takes one sign, or a stretch without meaning; gives how many bytes that was.
    fn step(&mut self, bytes: &[u8], batch: &mut Batch) -> usize {
        if self.state == State::Plain || self.state == State::Quoted {
            let plain = bytes.iter().take_while(|byte| !matches!(byte, b',' | b'"' | b'\n' | b'\r')).count();
            if plain > 0 {
                self.after_return = false;
                batch.bytes.extend_from_slice(&bytes[..plain]);
                self.check(batch);
                return plain;
            }
        }
        let byte = bytes[0];
        if std::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n' {
            return 1;
        }
        let sign = if byte == b'\r' { b'\n' } else { byte };
        self.take(sign, batch);
        self.line += u64::from(sign == b'\n');
        if self.state == State::Row {
            self.row_line = self.line;
        }
        1
    }

    fn take(&mut self, sign: u8, batch: &mut Batch) {
        self.state = match (self.state, sign) {
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, sign) => {
                batch.bytes.push(sign);
                self.check(batch);
                State::Quoted
            }
            (State::Row, b'\n') => {
                batch.end_row(self.row_line);
                State::Row
            }
            (_, b'\n') => {
                batch.end_value();
                batch.end_row(self.row_line);
                State::Row
            }
            (_, b',') => {
                batch.end_value();
                State::Value
            }
            (State::Row | State::Value, b'"') => State::Quoted,
            (State::Quote, b'"') => {
                batch.bytes.push(b'"');
                State::Quoted
            }
            (_, sign) => {
                batch.bytes.push(sign);
                State::Plain
            }
        };
    }

    /// The file has ended.
    fn end(&mut self, batch: &mut Batch) {
        match self.state {
            State::Row => return,
            State::Quoted => {
                batch.broken = Some(LineError { line: self.row_line, row: Problem::Unclosed.into() });
            }
            State::Value | State::Plain | State::Quote => {
                batch.end_value();
                batch.end_row(self.row_line);
            }
        }
        self.state = State::Row;
    }

    fn check(&self, batch: &mut Batch) {
        if batch.value_len() > LONGEST {
            batch.broken = Some(LineError { line: self.row_line, row: Problem::TooLong.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    /// Rows with their lines, read through a buffer of `size` bytes and in batches of `most` rows.
    fn read(text: &[u8], size: usize, most: usize) -> Vec<(u64, Vec<String>)> {
        let mut rows = Rows::new(io::BufReader::with_capacity(size, text)).unwrap();
        let mut all = Vec::new();
        let mut batch = Batch::default();
        while rows.next(most, &mut batch).unwrap() {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            all.extend(batch.rows().map(|row| (row.line, row.values().map(text).collect())));
            if batch.broken.is_some() {
                all.push((0, vec![]));
                break;
            }
        }
        all
    }

    fn same_in_all_sizes(text: &str) -> Vec<(u64, Vec<String>)> {
        let whole = read(text.as_bytes(), 8192, 100);
        for (size, most) in [(3, 1), (4, 2), (5, 100), (8192, 1)] {
            assert_eq!(read(text.as_bytes(), size, most), whole, "{size} {most}");
        }
        whole
    }

    fn row(line: u64, values: &[&str]) -> (u64, Vec<String>) {
        (line, values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn rows_are_those_of_python_s_reader() {
        let text = "a,b\r\n\"x\"\"y\",\"1\r\n2\"\n5\" disk,\"q\"r\n,\n\n\"\"\rlast,";
        assert_eq!(
            same_in_all_sizes(text),
            [
                row(1, &["a", "b"]),
                row(2, &["x\"y", "1\n2"]),
                row(4, &["5\" disk", "qr"]),
                row(5, &["", ""]),
                row(6, &[]),
                row(7, &[""]),
                row(8, &["last", ""]),
            ]
        );
    }

    /// As [`read`], sign by sign and in one batch.
    fn read_by_signs(text: &[u8]) -> Vec<(u64, Vec<String>)> {
        let mut scan = Scan { state: State::Row, after_return: false, line: 1, row_line: 1 };
        let (mut batch, mut used) = (Batch::default(), 0);
        while used < text.len() {
            used += scan.step(&text[used..], &mut batch);
        }
        scan.end(&mut batch);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut all: Vec<_> = batch.rows().map(|row| (row.line, row.values().map(text).collect())).collect();
        all.extend(batch.broken.is_some().then(|| (0, vec![])));
        all
    }

    proptest! {
        #[test]
        fn lines_taken_whole_are_those_taken_sign_by_sign(
            text in "([a-zé]{0,9}(,|,|\"|\n|\r|\r\n)){0,30}[a-z]{0,3}", size in 3..40_usize, most in 1..9_usize,
        ) {
            let want = read_by_signs(text.as_bytes());
            prop_assert_eq!(&read(text.as_bytes(), 8192, 1000), &want);
            prop_assert_eq!(&read(text.as_bytes(), size, most), &want);
        }
    }

    #[test]
    fn texts_are_the_values_and_there_are_none_if_any_is_not_utf_8() {
        let batch = |text: &[u8]| {
            let mut batch = Batch::default();
            assert!(Rows::new(text).unwrap().next(100, &mut batch).unwrap());
            batch
        };
        let good = batch("Zoë,\"é\"\n,\u{308}\r\n".as_bytes());
        let texts: Vec<Vec<&str>> = good.rows().map(|row| row.texts(good.text().unwrap()).collect()).collect();
        assert_eq!(texts, [["Zoë", "é"], ["", "\u{308}"]]);
        // Two halves of a sign are none, however near they stand.
        assert_eq!(batch(b"\xc3,\xab\n").text(), None);
        assert_eq!(batch(b"\"\xc3\",\"\xab\"\n").text(), None);
    }

    #[test]
    fn a_batch_of_long_rows_is_full_before_its_rows_are_many() {
        let text = format!("{},{}\n", "x".repeat(90_000), "\"y\"").repeat(100);
        let (mut rows, mut batch, mut all) = (Rows::new(text.as_bytes()).unwrap(), Batch::default(), 0);
        while rows.next(1000, &mut batch).unwrap() {
            assert!(batch.bytes.len() < FULL + 200_000);
            all += batch.len();
        }
        assert_eq!(all, 100);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_an_open_quote_ends_the_reading() {
        assert_eq!(read(b"\xef\xbb\xbfa\n", 8192, 9), [row(1, &["a"])]);
        assert_eq!(same_in_all_sizes("a\n\"b\nc"), [row(1, &["a"]), row(0, &[])]);
    }

    #[test]
    fn a_value_without_end_is_refused_before_it_fills_the_memory() {
        let endless = io::repeat(b'x').take(1 << 30);
        let mut rows = Rows::new(io::BufReader::new(endless)).unwrap();
        let mut batch = Batch::default();
        assert!(rows.next(10, &mut batch).unwrap());
        assert_eq!(batch.broken.as_ref().unwrap().row.problem, Problem::TooLong);
        assert!(batch.bytes.len() < LONGEST + 100_000);
    }
}
