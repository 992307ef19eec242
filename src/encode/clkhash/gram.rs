//! The n-grams of a short value in Latin letters: told apart without being written, because a token that was met before
//! is only looked up.

use std::io::Write as _;

use super::memory::GramKey;
use super::schema::Encoding;
use super::token::Tokenizer;

/// Longest value, in bytes.
const MOST_VALUE: usize = 64;
/// Longest n-gram, which fits into a word.
const MOST_N: usize = 4;

/// Most n-grams of a value.
pub(super) const MOST: usize = MOST_VALUE + MOST_N - 1;

/// The n-grams of one value, in memory for one after the other.
pub(super) struct Grams {
    /// The value between spaces, a byte for each code point.
    text: [u8; MOST_VALUE + 2 * MOST_N],
    n: usize,
    positional: bool,
    count: usize,
}

impl Default for Grams {
    fn default() -> Self {
        Self { text: [b' '; MOST_VALUE + 2 * MOST_N], n: 1, positional: false, count: 0 }
    }
}

impl Grams {
    /// Takes a value; false if it is empty or has to be cut otherwise.
    pub(super) fn take(&mut self, tokenizer: &Tokenizer, value: &str, encoding: Encoding) -> bool {
        let Tokenizer::NGram { n, positional } = *tokenizer else { return false };
        let encodes = match encoding {
            Encoding::Ascii => value.is_ascii(),
            Encoding::Utf8 => true,
            Encoding::Utf16 | Encoding::Utf32 => false,
        };
        if !encodes || value.is_empty() || value.len() > MOST_VALUE || n > MOST_N {
            return false;
        }
        let (before, text) = self.text.split_at_mut(n - 1);
        let Some(length) = latin(value, text) else { return false };
        before.fill(b' ');
        text[length..length + n - 1].fill(b' ');
        (self.n, self.positional, self.count) = (n, positional, length + n - 1);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The key of a token and its first so many positions.
    pub(super) fn key(&self, at: usize, insertions: usize) -> GramKey {
        let word = self.text[at..].first_chunk().expect("as many bytes as a token may have stand behind the last one");
        let token = u32::from_le_bytes(*word) & (u32::MAX >> (8 * (MOST_N - self.n)));
        GramKey::new(token, if self.positional { at } else { 0 }, insertions)
    }

    /// Writes the token as it is hashed.
    pub(super) fn write(&self, at: usize, token: &mut Vec<u8>) {
        token.clear();
        if self.positional {
            // Writing to memory cannot fail.
            let _ = write!(token, "{} ", at + 1);
        }
        for byte in &self.text[at..at + self.n] {
            let sign = char::from(*byte);
            token.extend_from_slice(sign.encode_utf8(&mut [0; 2]).as_bytes());
        }
    }
}

/// Writes a byte for each code point and gives their number; none if one is above U+00FF.
fn latin(value: &str, text: &mut [u8]) -> Option<usize> {
    if value.is_ascii() {
        text[..value.len()].copy_from_slice(value.as_bytes());
        return Some(value.len());
    }
    let mut length = 0;
    for (sign, to) in value.chars().zip(text) {
        *to = u8::try_from(sign).ok()?;
        length += 1;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::clkhash::token::Tokens;

    fn grams(n: usize, positional: bool, value: &str, encoding: Encoding) -> Option<Grams> {
        let mut grams = Grams::default();
        grams.take(&Tokenizer::NGram { n, positional }, value, encoding).then_some(grams)
    }

    #[test]
    fn they_are_the_tokens_that_are_cut_otherwise() {
        let (mut tokens, mut grams) = (Tokens::default(), Grams::default());
        for (n, positional) in (1..=MOST_N).flat_map(|n| [(n, false), (n, true)]) {
            // ASCII, and all of Latin-1 in two bytes each.
            for (length, signs) in (1..=MOST_VALUE).flat_map(|length| [(length, 95), (length / 2 + 1, 224)]) {
                let value: String = (0..length).map(|at| char::from(b' ' + (at * 7 % signs) as u8)).collect();
                if value.len() > MOST_VALUE {
                    continue;
                }
                assert!(grams.take(&Tokenizer::NGram { n, positional }, &value, Encoding::Utf8));
                tokens.cut(&Tokenizer::NGram { n, positional }, &value, Encoding::Utf8).unwrap();
                let mut token = Vec::new();
                assert_eq!(grams.len(), tokens.len());
                for (at, want) in tokens.iter().enumerate() {
                    grams.write(at, &mut token);
                    assert_eq!(token, want, "{n} {positional} {length} {at}");
                }
            }
        }
    }

    #[test]
    fn keys_are_equal_where_token_and_insertions_are() {
        let bigrams = grams(2, false, "abab", Encoding::Ascii).unwrap();
        assert_eq!(bigrams.key(1, 9), bigrams.key(3, 9));
        assert_ne!(bigrams.key(1, 9), bigrams.key(2, 9));
        assert_ne!(bigrams.key(1, 9), bigrams.key(1, 8));
        let placed = grams(2, true, "abab", Encoding::Ascii).unwrap();
        assert_ne!(placed.key(1, 9), placed.key(3, 9));
    }

    #[test]
    fn other_values_are_cut_otherwise() {
        assert!(grams(2, false, "", Encoding::Utf8).is_none());
        assert!(grams(2, false, "Zoe\u{308}", Encoding::Utf8).is_none());
        assert!(grams(2, false, "Zoë", Encoding::Ascii).is_none());
        assert!(grams(2, false, "Zoe", Encoding::Utf16).is_none());
        assert!(grams(MOST_N + 1, false, "Zoe", Encoding::Utf8).is_none());
        assert!(grams(2, false, &"x".repeat(MOST_VALUE + 1), Encoding::Utf8).is_none());
        assert!(!Grams::default().take(&Tokenizer::Exact, "Zoe", Encoding::Utf8));
    }
}
