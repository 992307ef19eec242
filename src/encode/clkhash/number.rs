//! Numbers as Python reads them: Unicode digits, spaces around, underscores between digits, integers of any size.

use num_bigint::BigInt;

/// Digits that Python 3.11 reads and writes at most.
pub(super) const MOST_DIGITS: usize = 4300;

/// The zero of every run of ten decimal digits in Unicode 14, which Python 3.11 has.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0,
    0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// The value of a decimal digit of any script.
fn digit(sign: char) -> Option<char> {
    let at = ZEROS.partition_point(|zero| *zero <= u32::from(sign)).checked_sub(1)?;
    char::from_digit(u32::from(sign) - ZEROS[at], 10)
}

/// What `str.strip` strips: Unicode's white space and four separators.
pub(super) fn is_space(sign: char) -> bool {
    sign.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&sign)
}

/// In ASCII, without spaces around; digits of all scripts become ASCII ones. Underscores stay. Unlike `str.strip`,
/// numbers take no separators for spaces.
fn ascii(text: &str) -> Option<String> {
    let plain = |sign: char| if sign.is_ascii() { Some(sign) } else { digit(sign) };
    text.trim().chars().map(plain).collect()
}

/// Without underscores, each of which must stand between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let good = |at: usize| at > 0 && is_digit(at - 1) && is_digit(at + 1);
    let all = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || good(at));
    all.then(|| text.replace('_', ""))
}

/// `int(text, 10)`.
pub(super) fn integer(text: &str) -> Option<BigInt> {
    let text = without_underscores(&ascii(text)?)?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: BigInt = digits.parse().ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// An integer that is written as it is hashed: at most 18 digits, and no 0 before others.
pub(super) fn plain(text: &str) -> Option<u64> {
    let normal = (1..=18).contains(&text.len()) && (text == "0" || !text.starts_with('0'));
    let digits = normal && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A group of digits that a date's expression found.
pub(super) fn small(text: &str) -> Option<i32> {
    text.trim_matches(is_space).chars().map(digit).collect::<Option<String>>()?.parse().ok()
}

/// `float(text)`, if it is finite.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = without_underscores(&ascii(text)?)?;
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A float without a fraction as an integer; none if it is not finite.
pub(super) fn from_float(value: f64) -> Option<BigInt> {
    value.is_finite().then(|| format!("{value:.0}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_what_python_reads() {
        for (text, value) in [("5", "5"), (" +007\u{a0}", "7"), ("-0", "0"), ("1_000", "1000"), ("١٢", "12")] {
            assert_eq!(integer(text).unwrap().to_string(), value);
        }
        assert_eq!(integer("\u{b}5\u{c}").unwrap().to_string(), "5");
        for text in [
            "\u{1f}5",
            "5\u{1c}",
            "\u{1f}5\u{a0}",
            "",
            " ",
            "+",
            "1.5",
            "1__0",
            "_1",
            "1_",
            "+ 1",
            "0x1",
            "½",
            "²",
            "--1",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert!(integer(&"9".repeat(MOST_DIGITS)).is_some());
        assert_eq!(integer(&"9".repeat(MOST_DIGITS + 1)), None);
    }

    #[test]
    fn a_plain_integer_is_its_own_normal_form() {
        for text in ["0", "7", "10", "999999999999999999"] {
            let value = BigInt::from(plain(text).unwrap());
            assert_eq!(Some(&value), integer(text).as_ref());
            assert_eq!(value.to_string(), text);
        }
        for text in ["", "00", "07", "+7", "-7", " 7", "7 ", "1_0", "\u{661}", "1000000000000000000"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn floats_are_what_python_reads_and_finite() {
        for (text, value) in [("1.5", 1.5), (" .5 ", 0.5), ("1e3", 1000.0), ("1_0.2_5", 10.25), ("٣.٥", 3.5)] {
            assert_eq!(float(text), Some(value), "{text}");
        }
        for text in ["\u{1e}5.0", "nan", "inf", "-Infinity", "1e999", "", ".", "e5", "1._5", "abc"] {
            assert_eq!(float(text), None, "{text}");
        }
    }
}
