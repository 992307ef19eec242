//! What holds for a value of any file: its length and characters, whether it is a citizen service number, whether a
//! key was there before.

use foldhash::HashMap;
use time::Date;
use unicode_normalization::UnicodeNormalization;

use super::Problem;
use crate::clock::Clock;
use crate::encode::keys::digest;

/// Longest value in characters: what the population register allows for a name.
const LONGEST: usize = 200;

/// The day after which nobody was born yet.
pub(super) fn today() -> Date {
    Clock::System.today()
}

/// Whether values one behind the other are short and without control characters.
pub(super) fn is_plain(values: &str) -> bool {
    values.len() <= LONGEST && !values.bytes().fold(false, |any, byte| any | byte.is_ascii_control())
}

/// Whether a value can be one.
pub(super) fn check_text(text: &str) -> Result<(), Problem> {
    // C1 controls are let through: misread names have them, and normalisation repairs those.
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Problem::Control);
    }
    if text.len() > LONGEST && text.chars().count() > LONGEST { Err(Problem::TooLong) } else { Ok(()) }
}

/// Keys that were there, with where they were first. Memory: 16 bytes and a number per key.
#[derive(Default)]
pub(super) struct Keys(HashMap<[u8; 16], u64>);

impl Keys {
    /// Adds a key; tells where it was before.
    pub(super) fn add<'a>(&mut self, key: impl IntoIterator<Item = &'a str>, place: u64) -> Result<(), u64> {
        // A digest, so that memory does not depend on how long the custodian's ids are.
        let hash = digest(key.into_iter().map(str::as_bytes));
        let short: [u8; 16] = hash.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes");
        match self.0.insert(short, place) {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }
}

/// Whether a text is a citizen service number and nothing else: nine digits that pass the eleven test, in any width,
/// with spaces, dots and hyphens among them and a label (`BSN:`) before them.
///
/// One in eleven numbers of nine digits passes: a contract or telephone number that lost its leading zero can be
/// taken for one, and wants a letter or a `+` before it. A number inside other text is not found, nor one that lost
/// its own leading zero: eight digits are too often a date.
pub(super) fn is_bsn(text: &str) -> bool {
    let text: String = text.nfkc().filter(|c| !c.is_whitespace() && !".-‐‑‒–—".contains(*c)).collect();
    let lower = text.to_ascii_lowercase();
    let labels = ["burgerservicenummer", "sofinummer", "sofinr", "sofi", "bsnnummer", "bsnnr", "bsn"];
    let number = labels.iter().find_map(|label| lower.strip_prefix(label)).unwrap_or(&lower);
    passes_eleven_test(number.trim_start_matches(':').as_bytes())
}

fn passes_eleven_test(digits: &[u8]) -> bool {
    if digits.len() != 9 || !digits.iter().all(u8::is_ascii_digit) || digits == b"000000000" {
        return false;
    }
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let sum: i32 = digits.iter().zip(weights).map(|(digit, weight)| i32::from(digit - b'0') * weight).sum();
    sum % 11 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citizen_service_number_is_found_in_every_spelling() {
        for text in [
            "123456782",
            " 123456782 ",
            "1234.56.782",
            "123 456 782",
            "123-456-782",
            "123\u{a0}456\u{a0}782",
            "１２３４５６７８２",
            "BSN: 1234.56.782",
            "sofi-nr 123456782",
            "12345678–2",
            "0.1.0.0.8.2.4.2.6",
        ] {
            assert!(is_bsn(text), "{text}");
        }
    }

    #[test]
    fn telephone_numbers_dates_and_contract_numbers_are_none() {
        for text in [
            "0612345678",
            "06-12345678",
            "+31 6 12345678",
            "020 123 4567",
            "1980-03-05",
            "19800305",
            "K123456782",
            "123456782/1",
            "2024/123456782",
            "123456789",
            "000000000",
            "12345678",
            "1234567820",
            "",
        ] {
            assert!(!is_bsn(text), "{text}");
        }
    }
}
