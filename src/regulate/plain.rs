//! What may stand in texts that officers read and sign: nothing that moves a cursor, and nothing that shows another text
//! than the one that is there.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::RegulationError;

/// Control and format characters (those that turn the direction among them), line and paragraph separators.
static HIDDEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]").expect("four classes of characters are a pattern"));

/// A text as it may be shown in one line of a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    HIDDEN.replace_all(text, "\u{fffd}")
}

/// Whether a text of one line is seen as it is.
pub(super) fn is_plain(text: &str) -> bool {
    !HIDDEN.is_match(text)
}

/// Refuses what nobody sees in a file, but for its lines and tabs.
pub(super) fn check_file(file: &'static str, text: &str) -> Result<(), RegulationError> {
    let layout = |at: usize| text[at..].starts_with(['\n', '\t']) || text[at..].starts_with("\r\n");
    let hidden = HIDDEN.find_iter(text).find(|found| !layout(found.start()));
    hidden.map_or(Ok(()), |found| Err(refused(file, text, found.start(), found.as_str())))
}

/// Refuses what is written in a text of TOML as an escape, or over several lines.
pub(super) fn check_toml(file: &'static str, text: &str) -> Result<(), RegulationError> {
    let table = DeTable::parse(text).map_err(|error| RegulationError::Syntax(Box::new(error)))?;
    match in_table(table.get_ref()) {
        None => Ok(()),
        Some((at, hidden)) => Err(refused(file, text, at, &hidden)),
    }
}

fn in_table(table: &DeTable<'_>) -> Option<(usize, String)> {
    table.iter().find_map(|(_, value)| in_value(value))
}

fn in_value(value: &Spanned<DeValue<'_>>) -> Option<(usize, String)> {
    match value.get_ref() {
        DeValue::String(text) => HIDDEN.find(text).map(|found| (value.span().start, found.as_str().to_owned())),
        DeValue::Array(all) => all.iter().find_map(in_value),
        DeValue::Table(table) => in_table(table),
        _ => None,
    }
}

fn refused(file: &'static str, text: &str, at: usize, hidden: &str) -> RegulationError {
    let line = 1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
    let sign = hidden.chars().next().map_or(0, u32::from);
    RegulationError::Hidden { file, line, sign }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CEDAR_TEXT, TOML_TEXT, read, replaced};
    use super::*;

    /// A row of a party that there is not, a line that is wiped out, and a name that reads from behind.
    const SIGNS: [char; 7] = ['\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2028}', '\u{200b}'];

    /// The line at which a regulation of these texts is refused.
    fn line(toml: &str, cedar: &str) -> Option<(&'static str, usize, u32)> {
        match read(toml, cedar) {
            Err(RegulationError::Hidden { file, line, sign }) => Some((file, line, sign)),
            Err(RegulationError::Article { line, what }) => {
                assert!(what.contains("not seen"), "{what}");
                Some(("articles.cedar", line, 0))
            }
            _ => None,
        }
    }

    fn line_of(text: &str, part: &str) -> usize {
        1 + text[..text.find(part).unwrap()].matches('\n').count()
    }

    #[test]
    fn no_name_or_text_of_a_regulation_has_signs_that_nobody_sees() {
        for sign in SIGNS {
            let escaped = format!("\\u{:04X}", u32::from(sign));
            for (from, part) in [
                ("name = \"Elan Wonen\"", "Elan"),
                ("organisation = \"Ymere\"", "Ymere"),
                ("title]\nnl = \"W", "W"),
                ("name = \"Haarlem\"", "Haarlem"),
                ("en = \"Prevent an eviction", "Prevent"),
            ] {
                let to = from.replacen(part, &format!("{part}{escaped}"), 1);
                let toml = replaced(TOML_TEXT, from, &to);
                let at = line_of(&toml, &to) + from[..from.find(part).unwrap()].matches('\n').count();
                assert_eq!(line(&toml, CEDAR_TEXT), Some(("regulation.toml", at, sign.into())), "{to}");
            }
        }
        let lines = replaced(TOML_TEXT, "name = \"Elan Wonen\"", "name = \"\"\"Elan\nWonen\"\"\"");
        assert!(matches!(line(&lines, CEDAR_TEXT), Some(("regulation.toml", _, 10))));
    }

    #[test]
    fn no_title_of_an_article_has_signs_that_nobody_sees() {
        for sign in SIGNS {
            for key in ["@title(\"The corporation has used", "@remedy(\"Wait until next month", "@id(\"budget"] {
                let to = format!("{key}\\u{{{:x}}}", u32::from(sign));
                let cedar = replaced(CEDAR_TEXT, key, &to);
                assert_eq!(line(TOML_TEXT, &cedar).unwrap().1, line_of(&cedar, "@id(\"budget"), "{to}");
            }
        }
    }

    #[test]
    fn no_file_has_them_as_they_are() {
        for sign in SIGNS.into_iter().filter(|sign| *sign != '\n') {
            let hidden = format!("# a remark{sign}\n");
            let (toml, cedar) = (format!("{hidden}{TOML_TEXT}"), format!("{CEDAR_TEXT}//{hidden}"));
            assert_eq!(line(&toml, CEDAR_TEXT), Some(("regulation.toml", 1, sign.into())));
            let last = CEDAR_TEXT.matches('\n').count() + 1;
            assert_eq!(line(TOML_TEXT, &cedar), Some(("articles.cedar", last, sign.into())));
        }
        let windows = [TOML_TEXT, CEDAR_TEXT].map(|text| text.replace('\n', "\r\n\t"));
        assert!(read(&windows[0], &windows[1]).is_ok());
        assert_eq!(printable("a\u{1b}[2K\n\u{202e}b"), "a\u{fffd}[2K\u{fffd}\u{fffd}b");
    }
}
