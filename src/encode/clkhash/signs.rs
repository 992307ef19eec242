//! What means something to a reader of CSV, found in eight bytes at a time: commas, quotes and line ends.

/// The signs of a text and their places.
pub(super) struct Signs<'a> {
    bytes: &'a [u8],
    /// The highest bit of every byte of a word that is such a sign.
    found: u64,
    /// Where the word is, and where the next one.
    word: usize,
    next: usize,
}

impl<'a> Signs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, found: 0, word: 0, next: 0 }
    }
}

impl Iterator for Signs<'_> {
    type Item = (usize, u8);

    fn next(&mut self) -> Option<(usize, u8)> {
        while self.found == 0 {
            let rest = self.bytes.get(self.next..).filter(|rest| !rest.is_empty())?;
            let word = rest.first_chunk().copied().unwrap_or_else(|| {
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                last
            });
            self.found = signs(u64::from_le_bytes(word));
            (self.word, self.next) = (self.next, self.next + 8);
        }
        let at = self.word + self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some((at, self.bytes[at]))
    }
}

/// The highest bit of every byte that is a comma, a quote or a line end.
fn signs(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let others = |sign: u8| {
        let differs = word ^ u64::from_ne_bytes([sign; 8]);
        ((differs & LOW) + LOW) | differs
    };
    !(others(b',') & others(b'"') & others(b'\n') & others(b'\r') | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_is_found_wherever_it_stands_and_nothing_else() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut text = vec![b'x'; length];
                    text[at] = byte;
                    let found: Vec<_> = Signs::new(&text).collect();
                    let is_sign = matches!(byte, b',' | b'"' | b'\n' | b'\r');
                    assert_eq!(found, if is_sign { vec![(at, byte)] } else { vec![] }, "{byte} {length} {at}");
                }
            }
        }
    }

    #[test]
    fn signs_come_in_their_order() {
        let text = b",\n\r\",,a,bcd\"efghij,klm\n";
        let want: Vec<_> = text.iter().copied().enumerate().filter(|(_, sign)| !sign.is_ascii_lowercase()).collect();
        assert_eq!(Signs::new(text).collect::<Vec<_>>(), want);
    }
}
