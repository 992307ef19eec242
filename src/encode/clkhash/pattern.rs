//! Regular expressions of a schema. They are written for Python's `re` and must match the whole value.

use std::fmt::Write as _;

use fancy_regex::{Regex, escape};

#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// None if the expression cannot be read.
    pub(super) fn new(python: &str) -> Option<Self> {
        // A comment at the end of a verbose expression would take along what is put behind it.
        let end = if is_verbose(python) { "\n" } else { "" };
        Regex::new(&format!(r"\A(?:{}{end})\z", translate(python)?)).ok().map(Self)
    }

    /// Whether the whole value matches; none if that takes too long to find out.
    pub(super) fn matches(&self, value: &str) -> Option<bool> {
        self.0.is_match(value).ok()
    }
}

/// Whether the flags at the start have an x.
fn is_verbose(python: &str) -> bool {
    let flags = python.strip_prefix("(?").and_then(|rest| rest.split_once(')'));
    flags.is_some_and(|(flags, _)| flags.contains('x') && flags.chars().all(is_flag))
}

fn is_flag(sign: char) -> bool {
    "aiLmsux".contains(sign)
}

/// What Python writes otherwise, or means otherwise: `\Z`, `\w` (letters and numbers, no combining marks), `\s`,
/// octal numbers, escaped signs, and signs that mean something inside a class here and nothing there. None for what only
/// the engine here would read.
fn translate(python: &str) -> Option<String> {
    let signs: Vec<char> = python.chars().collect();
    let mut out = String::with_capacity(python.len() + 16);
    let mut at = 0;
    // Where in a class: none, or how many signs of it were read.
    let mut class: Option<usize> = None;
    // Whether what is before is a quantifier, or the dash of a range.
    let (mut repeated, mut dash) = (false, false);
    while let Some(&sign) = signs.get(at) {
        let rest = &signs[at + 1..];
        let (was_repeated, was_dash) = (std::mem::take(&mut repeated), std::mem::take(&mut dash));
        at += 1;
        class = match (class, sign) {
            (class, '\\') => {
                at += escaped(rest, class.is_some(), &mut out)?;
                class.map(|read| read + 1)
            }
            (None, '[') => {
                out.push('[');
                Some(0)
            }
            (None, '*' | '+' | '?' | '{') => {
                let Some(length) = quantifier(sign, rest, &mut out) else {
                    out.push_str("\\{");
                    continue;
                };
                if was_repeated {
                    return None;
                }
                at += length;
                repeated = true;
                None
            }
            (None, '(') if rest.first() == Some(&'?') && !is_group(&rest[1..], at == 1) => return None,
            (None, '(') if rest.first() == Some(&'?') => {
                // Not a quantifier.
                out.push_str("(?");
                at += 1;
                None
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
            (Some(read), '-') => {
                dash = read > 0 && !was_dash;
                out.push_str(if dash { "-" } else { "\\-" });
                Some(read + 1)
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

/// Writes a quantifier with the sign behind it that makes it lazy or possessive; how many signs it has behind its first.
/// None for a brace that is only a sign.
fn quantifier(sign: char, rest: &[char], out: &mut String) -> Option<usize> {
    let mut length = 0;
    if sign == '{' {
        length = rest.iter().position(|sign| *sign == '}')? + 1;
        let inner: String = rest[..length - 1].iter().collect();
        let (least, most) = inner.split_once(',').unwrap_or((&inner, "0"));
        if inner.is_empty() || !least.chars().chain(most.chars()).all(|sign| sign.is_ascii_digit()) {
            return None;
        }
        // Without a least number Python means 0.
        let zero = if least.is_empty() { "0" } else { "" };
        let _ = write!(out, "{{{zero}{inner}}}");
    } else {
        out.push(sign);
    }
    if let Some(&mode @ ('?' | '+')) = rest.get(length) {
        out.push(mode);
        length += 1;
    }
    Some(length)
}

/// Whether Python knows what stands behind `(?`. Flags for the whole stand at its beginning only.
fn is_group(rest: &[char], first: bool) -> bool {
    match rest {
        [':' | '=' | '!' | '#' | '>' | '(', ..] | ['<', '=' | '!', ..] | ['P', '=', ..] => true,
        ['P', '<', start, ..] => start.is_alphabetic() || *start == '_',
        _ => match rest.iter().find(|sign| !is_flag(**sign) && **sign != '-') {
            Some(':') => true,
            Some(')') => first,
            _ => false,
        },
    }
}

/// Writes what a backslash stands before; how many signs of it there are.
fn escaped(rest: &[char], in_class: bool, out: &mut String) -> Option<usize> {
    let class = |inner: &str| if in_class { inner.to_owned() } else { format!("[{inner}]") };
    let sign = *rest.first()?;
    match sign {
        'w' => out.push_str(&class(r"\p{L}\p{N}_")),
        'W' => out.push_str(r"[^\p{L}\p{N}_]"),
        's' => out.push_str(&class(r"\s\x1c-\x1f")),
        'S' => out.push_str(r"[^\s\x1c-\x1f]"),
        'Z' if !in_class => out.push_str(r"\z"),
        'b' if in_class => out.push_str(r"\x08"),
        'A' | 'b' | 'B' if !in_class => out.extend(['\\', sign]),
        'd' | 'D' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => out.extend(['\\', sign]),
        'x' => return number(&rest[1..], 2, 16, out).map(|length| 1 + length),
        'u' => return number(&rest[1..], 4, 16, out).map(|length| 1 + length),
        'U' => return number(&rest[1..], 8, 16, out).map(|length| 1 + length),
        '0'..='9' => return digits(rest, in_class, out),
        sign if sign.is_ascii_alphabetic() => return None,
        '-' | '&' | '~' | '^' | '[' | ']' => out.extend(['\\', sign]),
        sign => out.push_str(&escape(sign.encode_utf8(&mut [0; 4]))),
    }
    Some(1)
}

/// Writes the sign with the number that the first so many signs are.
fn number(digits: &[char], count: usize, radix: u32, out: &mut String) -> Option<usize> {
    let digits = digits.get(..count).filter(|digits| digits.iter().all(|digit| digit.is_digit(radix)))?;
    let code = u32::from_str_radix(&digits.iter().collect::<String>(), radix).ok()?;
    write!(out, "\\x{{{:x}}}", u32::from(char::from_u32(code)?)).ok()?;
    Some(count)
}

/// An octal number, or the group of that number: octal with a 0 before it, with three digits, and in a class.
fn digits(rest: &[char], in_class: bool, out: &mut String) -> Option<usize> {
    let octal = rest.iter().take(3).take_while(|digit| digit.is_digit(8)).count();
    if in_class || rest[0] == '0' || octal == 3 {
        let value = rest[..octal].iter().fold(0, |value, digit| value * 8 + digit.to_digit(8).unwrap_or(0));
        return if octal == 0 || value > 0o377 { None } else { number(&rest[..octal], octal, 8, out) };
    }
    let count = rest.iter().take(2).take_while(|digit| digit.is_ascii_digit()).count();
    out.push('\\');
    out.extend(&rest[..count]);
    Some(count)
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

    #[test]
    fn numbers_quantifiers_and_comments_are_python_s() {
        assert!(matches(r"\101\x42\u0043\U00000044\0", "ABCD\0"));
        assert!(matches(r"[\101-\103\b]+", "AC\u{8}"));
        assert!(matches(r"(a)(b)\2\1", "abba"));
        assert!(matches("(?x) a b # the rest", "ab"));
        assert!(matches("(?i)ab", "AB"));
        assert!(matches("a{,2}b{2}?c{x}", "aabbc{x}"));
        assert!(matches("[--/]+[+--]", "./,"));
        assert!(matches("a?+b*?c++", "abbcc"));
    }

    #[test]
    fn what_python_does_not_read_is_refused() {
        for pattern in [
            r"\p{L}",
            r"\h",
            r"\z",
            r"\G",
            r"a\K",
            r"\e",
            r"\x{41}",
            r"\x4",
            r"\400",
            r"[\8]",
            r"[\A]",
            "(?<n>a)",
            "(?P<1a>a)",
            "a(?i)",
            "(?a-)",
            "x{2}{3}",
            "x**",
            "x*?*",
            "[a--b]",
            r"\N{DIGIT ONE}",
        ] {
            assert!(Pattern::new(pattern).is_none(), "{pattern}");
        }
    }
}
