//! Line ends of one kind, so that errors name the line that an editor shows.

use std::io::{self, BufRead, BufReader, Read};

/// Gives what it reads with `\n` for `\r\n`. The CSV reader ends a row at the `\r` and would count the `\n` with the
/// next row: every row of a file from Windows would be named by the line above it.
pub(super) struct LineFeeds<R>(BufReader<R>);

impl<R: Read> LineFeeds<R> {
    pub(super) fn new(from: R) -> Self {
        Self(BufReader::with_capacity(1 << 16, from))
    }
}

impl<R: Read> Read for LineFeeds<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        if self.0.fill_buf()?.first() == Some(&b'\r') {
            self.0.consume(1);
            if self.0.fill_buf()?.first() != Some(&b'\n') {
                to[0] = b'\r';
                return Ok(1);
            }
        }
        let ready = self.0.fill_buf()?;
        let ready = &ready[..ready.len().min(to.len())];
        // `contains` looks at a word at a time.
        let any = ready.contains(&b'\r');
        let length = ready.iter().position(|byte| any && *byte == b'\r').unwrap_or(ready.len());
        to[..length].copy_from_slice(&ready[..length]);
        self.0.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_returns_before_line_feeds_go(text in "[a\r\n]{0,40}", step in 1..5_usize) {
            let mut got = Vec::new();
            let mut from = LineFeeds(BufReader::with_capacity(step, text.as_bytes()));
            let mut piece = vec![0; step];
            while let read @ 1.. = from.read(&mut piece).unwrap() {
                got.extend_from_slice(&piece[..read]);
            }
            prop_assert_eq!(got, text.replace("\r\n", "\n").into_bytes());
        }
    }
}
