//! The n-grams of a short ASCII value: told apart without being written, because a token that was met before is only
//! looked up.

use super::memory::Key;
use super::schema::Encoding;
use super::token::Tokenizer;

/// Longest value in bytes.
const MOST_VALUE: usize = 64;
/// Longest n-gram, which fits into a word.
const MOST_N: usize = 8;

/// The n-grams of one value.
pub(super) struct Grams {
    /// The value between spaces.
    text: [u8; MOST_VALUE + 2 * MOST_N],
    n: usize,
    positional: bool,
    count: usize,
}

impl Grams {
    /// None if the value is empty or has to be cut otherwise.
    pub(super) fn new(tokenizer: &Tokenizer, value: &str, encoding: Encoding) -> Option<Self> {
        let Tokenizer::NGram { n, positional } = *tokenizer else { return None };
        let narrow = matches!(encoding, Encoding::Ascii | Encoding::Utf8) && value.is_ascii();
        if value.is_empty() || value.len() > MOST_VALUE || n > MOST_N || !narrow {
            return None;
        }
        let mut text = [b' '; MOST_VALUE + 2 * MOST_N];
        text[n - 1..n - 1 + value.len()].copy_from_slice(value.as_bytes());
        Some(Self { text, n, positional, count: value.len() + n - 1 })
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The key of a token and its first so many positions.
    pub(super) fn key(&self, at: usize, insertions: u32) -> Key {
        let word = self.text[at..].first_chunk().expect("eight more bytes than the last token begins at");
        let token = u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * self.n));
        Key::of_token(token, if self.positional { at as u32 } else { 0 }, insertions)
    }

    /// The token as it is hashed.
    pub(super) fn token(&self, at: usize) -> Vec<u8> {
        let place = if self.positional { format!("{} ", at + 1) } else { String::new() };
        [place.as_bytes(), &self.text[at..at + self.n]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::clkhash::token::Tokens;

    fn grams(n: usize, positional: bool, value: &str, encoding: Encoding) -> Option<Grams> {
        Grams::new(&Tokenizer::NGram { n, positional }, value, encoding)
    }

    #[test]
    fn they_are_the_tokens_that_are_cut_otherwise() {
        let mut tokens = Tokens::default();
        for (n, positional) in (1..=MOST_N).flat_map(|n| [(n, false), (n, true)]) {
            for length in 1..=MOST_VALUE {
                let value: String = (0..length).map(|at| char::from(b' ' + (at * 7 % 95) as u8)).collect();
                let grams = grams(n, positional, &value, Encoding::Utf8).unwrap();
                tokens.cut(&Tokenizer::NGram { n, positional }, &value, Encoding::Utf8).unwrap();
                let found: Vec<_> = (0..grams.len()).map(|at| grams.token(at)).collect();
                assert_eq!(found, tokens.iter().collect::<Vec<_>>(), "{n} {positional} {length}");
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
        assert!(grams(2, false, "Zoë", Encoding::Utf8).is_none());
        assert!(grams(2, false, "Zoe", Encoding::Utf16).is_none());
        assert!(grams(MOST_N + 1, false, "Zoe", Encoding::Utf8).is_none());
        assert!(grams(2, false, &"x".repeat(MOST_VALUE + 1), Encoding::Utf8).is_none());
        assert!(Grams::new(&Tokenizer::Exact, "Zoe", Encoding::Utf8).is_none());
    }
}
