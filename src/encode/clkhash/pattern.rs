//! Regular expressions of a schema. They are written for Python's `re` and must match the whole value.

use std::fmt::Write as _;

use fancy_regex::{Regex, escape};

#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// None if the expression cannot be read.
    pub(super) fn new(python: &str) -> Option<Self> {
        Regex::new(&format!(r"\A(?:{})\z", translate(python)?)).ok().map(Self)
    }

    /// Whether the whole value matches; none if that takes too long to find out.
    pub(super) fn matches(&self, value: &str) -> Option<bool> {
        self.0.is_match(value).ok()
    }
}

/// What Python writes otherwise, or means otherwise: `\Z`, `\w` (letters and numbers, no combining marks), `\s`,
/// escaped signs, and signs that mean something inside a class here and nothing there.
fn translate(python: &str) -> Option<String> {
    let mut out = String::with_capacity(python.len() + 16);
    let mut chars = python.chars();
    // Where in a class: none, or how many signs of it were read.
    let mut class: Option<usize> = None;
    while let Some(sign) = chars.next() {
        class = match (class, sign) {
            (class, '\\') => {
                escaped(chars.next()?, class.is_some(), &mut out);
                class.map(|read| read + 1)
            }
            (None, '[') => {
                out.push('[');
                Some(0)
            }
            (Some(0), '^') if out.ends_with('[') => {
                out.push('^');
                Some(0)
            }
            (Some(0), ']') => {
                out.push_str("\\]");
                Some(1)
            }
            (Some(_), ']') => {
                out.push(']');
                None
            }
            (Some(read), '[' | '&' | '~') => {
                out.push('\\');
                out.push(sign);
                Some(read + 1)
            }
            (class, sign) => {
                out.push(sign);
                class.map(|read| read + 1)
            }
        };
    }
    Some(out)
}

fn escaped(sign: char, in_class: bool, out: &mut String) {
    let class = |inner: &str| if in_class { inner.to_owned() } else { format!("[{inner}]") };
    match sign {
        'w' => out.push_str(&class(r"\p{L}\p{N}_")),
        'W' => out.push_str(r"[^\p{L}\p{N}_]"),
        's' => out.push_str(&class(r"\s\x1c-\x1f")),
        'S' => out.push_str(r"[^\s\x1c-\x1f]"),
        'Z' if !in_class => out.push_str(r"\z"),
        sign if sign.is_ascii_alphanumeric() => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\{sign}");
        }
        '-' | '&' | '~' | '^' | '[' | ']' => {
            let _ = write!(out, "\\{sign}");
        }
        sign => out.push_str(&escape(sign.encode_utf8(&mut [0; 4]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(value).unwrap()
    }

    #[test]
    fn the_whole_value_must_match() {
        assert!(matches("[a-z]+", "abc"));
        assert!(!matches("[a-z]+", "abc1"));
        assert!(!matches("a|ab", "abc"));
        assert!(matches("a|ab", "ab"));
    }

    #[test]
    fn what_python_means_is_meant() {
        assert!(matches(r"\w+\Z", "Zoë"));
        // A combining mark is no letter to Python.
        assert!(!matches(r"\w+", "Zoe\u{308}"));
        assert!(matches(r"[\w']+", "d'Arc"));
        assert!(matches(r"\'\ \-\/\@", "' -/@"));
        assert!(matches(r"[[&&~]+", "[&~"));
        assert!(matches(r"[]a]+", "]a"));
        assert!(matches(r"[^]a]+", "bc"));
        assert!(matches(r"(?P<x>a)(?P=x)", "aa"));
        assert!(matches(r"(?!00)\d{2}", "01"));
        assert!(!matches(r"(?!00)\d{2}", "00"));
        assert!(matches("\\s", "\u{1c}"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for pattern in ["(", "[a", "*", "\\"] {
            assert!(Pattern::new(pattern).is_none(), "{pattern}");
        }
    }
}
