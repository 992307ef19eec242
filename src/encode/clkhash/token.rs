//! Values to tokens: n-grams of code points, the whole value, or the neighbourhood of a number. Tokens are bytes in
//! the feature's encoding.

use num_bigint::BigInt;

use super::number;
use super::problem::Problem;
use super::schema::{Comparison, Distance, Encoding};

/// How a feature's values are cut.
#[derive(Clone, Debug)]
pub(super) enum Tokenizer {
    NGram { n: usize, positional: bool },
    Exact,
    Numeric(Grid),
}

/// Numbers on a grid: near ones share tokens. Vatsalan and Christen 2016, doi:10.1016/j.jbi.2015.11.004.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// `thresholdDistance` in units of the precision; above 0.
    distance: BigInt,
    /// Tokens to either side.
    resolution: u32,
    /// Digits behind the point.
    precision: u32,
}

/// The tokens of one value. It is used again and again, so that no memory is asked for per token.
#[derive(Default)]
pub(super) struct Tokens {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    padded: String,
    starts: Vec<usize>,
    /// `"1 "`, `"2 "` and so on, as far as they were needed.
    positions: Vec<String>,
}

impl Tokenizer {
    /// None if the grid's distance rounds to nothing or to more than a number.
    pub(super) fn new(comparison: &Comparison) -> Option<Self> {
        Some(match comparison {
            Comparison::NGram { n, positional } => Self::NGram { n: *n, positional: *positional },
            Comparison::Exact => Self::Exact,
            Comparison::Numeric { distance, resolution, precision } => Self::Numeric(Grid {
                distance: units(distance, *precision).filter(|units| *units != BigInt::ZERO)?,
                resolution: *resolution,
                precision: *precision,
            }),
        })
    }
}

fn ten_to(precision: u32) -> BigInt {
    BigInt::from(10).pow(precision)
}

/// `round(distance * 10 ** precision)`: integers exactly, others as floats, half to even.
fn units(distance: &Distance, precision: u32) -> Option<BigInt> {
    match distance {
        Distance::Whole(whole) => Some(whole * ten_to(precision)),
        Distance::Float(value) => scaled(*value, precision),
    }
}

fn scaled(value: f64, precision: u32) -> Option<BigInt> {
    // Parsing rounds 10^p correctly, `powi` does not.
    let scale: f64 = format!("1e{precision}").parse().ok()?;
    number::from_float((value * scale).round_ties_even())
}

impl Grid {
    /// The neighbourhood's tokens as numbers, from the lowest; none if the value is no number.
    fn neighbourhood(&self, value: &str) -> Option<impl Iterator<Item = String> + use<'_>> {
        let at = match number::integer(value) {
            Some(whole) => whole * ten_to(self.precision),
            None if self.precision > 0 => scaled(number::float(value)?, self.precision)?,
            None => number::from_float(number::float(value)?.trunc())?,
        };
        let at = at * (2 * u64::from(self.resolution));
        let residue = ((&at % &self.distance) + &self.distance) % &self.distance;
        let below = &residue * 2 < self.distance;
        let middle = if below || residue == BigInt::ZERO { at - residue } else { at + (&self.distance - residue) };
        let resolution = i64::from(self.resolution);
        let texts = (-resolution..=resolution).map(move |step| (&middle + &self.distance * step).to_string());
        Some(texts)
    }
}

impl Tokens {
    /// The tokens of a value; an empty value has none.
    ///
    /// # Errors
    /// [`Problem`] if it is no number where one is needed, or cannot be written in the encoding.
    pub(super) fn cut(&mut self, tokenizer: &Tokenizer, value: &str, encoding: Encoding) -> Result<(), Problem> {
        self.bytes.clear();
        self.ends.clear();
        if value.is_empty() {
            return Ok(());
        }
        if encoding == Encoding::Ascii && !value.is_ascii() {
            return Err(Problem::NotAscii);
        }
        match tokenizer {
            Tokenizer::NGram { n, positional } => self.n_grams(*n, *positional, value, encoding),
            Tokenizer::Exact => self.push(encoding, "", value),
            Tokenizer::Numeric(grid) => {
                for text in grid.neighbourhood(value).ok_or(Problem::Number)? {
                    // Python refuses to write more digits than it reads.
                    if text.len() > number::MOST_DIGITS {
                        return Err(Problem::Number);
                    }
                    self.push(encoding, "", &text);
                }
            }
        }
        Ok(())
    }

    fn n_grams(&mut self, n: usize, positional: bool, value: &str, encoding: Encoding) {
        let mut padded = std::mem::take(&mut self.padded);
        let mut starts = std::mem::take(&mut self.starts);
        padded.clear();
        padded.extend(std::iter::repeat_n(' ', n - 1));
        padded.push_str(value);
        padded.extend(std::iter::repeat_n(' ', n - 1));
        starts.clear();
        starts.extend(padded.char_indices().map(|(at, _)| at));
        starts.push(padded.len());
        for at in 0..starts.len().saturating_sub(n) {
            let gram = &padded[starts[at]..starts[at + n]];
            if positional {
                self.push_at(encoding, at, gram);
            } else {
                self.push(encoding, "", gram);
            }
        }
        (self.padded, self.starts) = (padded, starts);
    }

    fn push_at(&mut self, encoding: Encoding, at: usize, gram: &str) {
        while self.positions.len() <= at {
            self.positions.push(format!("{} ", self.positions.len() + 1));
        }
        let positions = std::mem::take(&mut self.positions);
        self.push(encoding, &positions[at], gram);
        self.positions = positions;
    }

    /// One token, whose text comes in two parts.
    fn push(&mut self, encoding: Encoding, before: &str, text: &str) {
        match encoding {
            Encoding::Ascii | Encoding::Utf8 => {
                self.bytes.extend_from_slice(before.as_bytes());
                self.bytes.extend_from_slice(text.as_bytes());
            }
            Encoding::Utf16 => {
                self.bytes.extend_from_slice(&[0xff, 0xfe]);
                let units = before.encode_utf16().chain(text.encode_utf16());
                self.bytes.extend(units.flat_map(u16::to_le_bytes));
            }
            Encoding::Utf32 => {
                self.bytes.extend_from_slice(&[0xff, 0xfe, 0, 0]);
                let units = before.chars().chain(text.chars()).map(u32::from);
                self.bytes.extend(units.flat_map(u32::to_le_bytes));
            }
        }
        self.ends.push(self.bytes.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(comparison: &Comparison, value: &str) -> Vec<String> {
        let mut tokens = Tokens::default();
        tokens.cut(&Tokenizer::new(comparison).unwrap(), value, Encoding::Utf8).unwrap();
        tokens.iter().map(|token| String::from_utf8(token.to_vec()).unwrap()).collect()
    }

    fn numeric(distance: Distance, resolution: u32, precision: u32) -> Comparison {
        Comparison::Numeric { distance, resolution, precision }
    }

    fn whole(distance: i32) -> Distance {
        Distance::Whole(BigInt::from(distance))
    }

    #[test]
    fn n_grams_are_of_code_points_and_padded() {
        let bigrams = |positional| Comparison::NGram { n: 2, positional };
        assert_eq!(tokens(&bigrams(true), "ab"), ["1  a", "2 ab", "3 b "]);
        assert_eq!(tokens(&bigrams(false), "é"), [" é", "é "]);
        assert_eq!(tokens(&Comparison::NGram { n: 1, positional: false }, "aa"), ["a", "a"]);
        assert!(tokens(&bigrams(false), "").is_empty());
        assert!(tokens(&Comparison::Exact, "").is_empty());
    }

    #[test]
    fn numbers_lie_on_a_grid_and_ties_go_up() {
        assert_eq!(tokens(&numeric(whole(8), 2, 0), "25"), ["88", "96", "104", "112", "120"]);
        assert_eq!(tokens(&numeric(whole(8), 1, 0), "2"), ["0", "8", "16"]);
        assert_eq!(tokens(&numeric(whole(8), 1, 0), "-2"), ["-8", "0", "8"]);
        // Without precision a float is truncated, with precision it is rounded to even.
        assert_eq!(tokens(&numeric(whole(1), 1, 0), "-1.9"), ["-3", "-2", "-1"]);
        assert_eq!(tokens(&numeric(Distance::Float(0.5), 1, 1), "0.25"), ["0", "5", "10"]);
    }

    #[test]
    fn a_distance_that_rounds_to_nothing_makes_no_grid() {
        assert!(Tokenizer::new(&numeric(Distance::Float(0.04), 1, 1)).is_none());
        assert!(Tokenizer::new(&numeric(Distance::Float(0.05), 1, 1)).is_none());
        assert!(Tokenizer::new(&numeric(Distance::Float(0.06), 1, 1)).is_some());
    }

    #[test]
    fn every_wide_token_begins_with_a_byte_order_mark() {
        let mut tokens = Tokens::default();
        let cut = Tokenizer::NGram { n: 1, positional: false };
        tokens.cut(&cut, "ab", Encoding::Utf16).unwrap();
        assert_eq!(tokens.iter().collect::<Vec<_>>(), [b"\xff\xfea\0", b"\xff\xfeb\0"]);
        tokens.cut(&cut, "a", Encoding::Utf32).unwrap();
        assert_eq!(tokens.iter().collect::<Vec<_>>(), [b"\xff\xfe\0\0a\0\0\0"]);
    }
}
