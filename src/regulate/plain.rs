//! What may stand in texts that officers read and sign: nothing that moves a cursor or shows another text than the one
//! that is there, and no letters or spaces that look like others.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use unicode_normalization::is_nfkc;

use super::RegulationError;

/// Control and format characters (those that turn the direction among them), line and paragraph separators.
static HIDDEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]").expect("four classes of characters are a pattern"));

/// Spaces at an end, two in a row, or any but the plain one: they pad a row of the page into another one.
static SPACED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s|\s$|\s\s|[\s--\x20]").expect("four kinds of spaces are a pattern"));

/// Letters that are not Latin, and marks that stand on no letter: they make one name look like another.
static FOREIGN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[[\p{L}\p{M}]--\p{Latin}]").expect("letters but for one script are a pattern"));

/// Keys whose texts name somebody.
const NAMES: [&str; 2] = ["name", "organisation"];

/// Characters of a name at most.
const LONGEST_NAME: usize = 200;

/// Letters and digits of a legal basis at least, where there is one: `AVG art. 9` has seven.
const SHORTEST_BASIS: usize = 6;

/// What is wrong with a text that stands under this key, if something is.
pub(super) fn flaw(key: &str, text: &str) -> Option<&'static str> {
    let is_name = NAMES.contains(&key);
    let said = text.chars().filter(|c| c.is_alphanumeric()).count();
    let rules = [
        (SPACED.is_match(text), "a text has a space at an end, two in a row, or one that is no plain space"),
        (FOREIGN.is_match(text), "a text has a letter that is not Latin, or a mark without its letter"),
        (is_name && !is_nfkc(text), "a name has letters in another form than the plain one"),
        (is_name && text.chars().count() > LONGEST_NAME, "a name has more than 200 characters"),
        (key == "legal_basis" && !text.is_empty() && said < SHORTEST_BASIS, "a legal basis names law and article"),
    ];
    rules.into_iter().find_map(|(is_so, what)| is_so.then_some(what))
}

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

/// Refuses what is written in a text of TOML as an escape, or over several lines, and texts with a flaw.
pub(super) fn check_toml(file: &'static str, text: &str) -> Result<(), RegulationError> {
    let table = DeTable::parse(text).map_err(|error| RegulationError::Syntax(Box::new(error)))?;
    let mut texts = Vec::new();
    in_table(table.get_ref(), &mut texts);
    texts.into_iter().try_for_each(|(key, at, written)| match (HIDDEN.find(written), flaw(key, written)) {
        (Some(hidden), _) => Err(refused(file, text, at, hidden.as_str())),
        (None, Some(what)) => Err(RegulationError::Text { file, line: line_at(text, at), what }),
        (None, None) => Ok(()),
    })
}

/// Texts with their key and the byte at which they begin.
type Texts<'a> = Vec<(&'a str, usize, &'a str)>;

fn in_table<'a>(table: &'a DeTable<'_>, found: &mut Texts<'a>) {
    table.iter().for_each(|(key, value)| in_value(key.get_ref(), value, found));
}

fn in_value<'a>(key: &'a str, value: &'a Spanned<DeValue<'_>>, found: &mut Texts<'a>) {
    match value.get_ref() {
        DeValue::String(text) => found.push((key, value.span().start, text)),
        DeValue::Array(all) => all.iter().for_each(|value| in_value(key, value, found)),
        DeValue::Table(table) => in_table(table, found),
        _ => {}
    }
}

fn refused(file: &'static str, text: &str, at: usize, hidden: &str) -> RegulationError {
    let sign = hidden.chars().next().map_or(0, u32::from);
    RegulationError::Hidden { file, line: line_at(text, at), sign }
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
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
    fn no_name_or_text_looks_like_another_one() {
        let name = "name = \"Elan Wonen\"";
        let basis = TOML_TEXT.lines().find(|line| line.starts_with("legal_basis = \"EX")).unwrap();
        let long = format!("name = \"{}\"", "x".repeat(201));
        let padded = format!("name = \"Elan{}Wonen\"", " ".repeat(60));
        for (from, to, says) in [
            (name, "name = \"Ymere\u{a0}\"", "space"),
            (name, "name = \"Elan\u{a0}Wonen\"", "space"),
            (name, "name = \"Elan\\u2003Wonen\"", "space"),
            (name, "name = \" Elan Wonen\"", "space"),
            (name, "name = \"Elan Wonen \"", "space"),
            (name, padded.as_str(), "space"),
            (name, "name = \"\u{423}mere\"", "not Latin"),
            (name, "name = \"Elan\u{3164}Wonen\"", "not Latin"),
            (name, "name = \"Elan\u{336}Wonen\"", "mark"),
            (name, "name = \"\u{1d418}mere\"", "not Latin"),
            (name, "name = \"\u{ff39}mere\"", "plain one"),
            (name, "name = \"Pre\u{301} Wonen Noord\"", "mark"),
            (name, long.as_str(), "200"),
            ("organisation = \"Elan Wonen\"", "organisation = \"Elan Won\u{435}n\"", "not Latin"),
            ("name = \"Haarlem\"", "name = \"H\u{430}arlem\"", "not Latin"),
            ("nl = \"Huisuitzetting", "nl = \"  Huisuitzetting", "space"),
            (basis, "legal_basis = \"x\"", "law and article"),
            (basis, "legal_basis = \"n.v.t.\"", "law and article"),
            (basis, "legal_basis = \"   \"", "space"),
        ] {
            let toml = replaced(TOML_TEXT, from, to);
            let Err(RegulationError::Text { line, what, .. }) = read(&toml, CEDAR_TEXT) else { panic!("{to}") };
            assert!(what.contains(says) && line == line_of(&toml, to), "{to}: {line} {what}");
        }
        for (from, to) in
            [(name, "name = \"Pré Wonen & Zonen, 's-Hertogenbosch (ÆØß)\""), (basis, "legal_basis = \"AVG art. 9\"")]
        {
            assert!(read(&replaced(TOML_TEXT, from, to), CEDAR_TEXT).is_ok(), "{to}");
        }
        for (key, spelled) in [("name", "ymere"), ("organisation", "YMERE"), ("organisation", "gemeente Haarlem")] {
            let toml = replaced(TOML_TEXT, &format!("{key} = \"Elan Wonen\""), &format!("{key} = \"{spelled}\""));
            assert!(read(&toml, CEDAR_TEXT).is_err_and(|error| error.to_string().contains("capitals")), "{spelled}");
        }
        let title = replaced(
            CEDAR_TEXT,
            "@title(\"The tenant objects",
            &format!("@title(\"{}The tenant objects", " ".repeat(200)),
        );
        assert!(matches!(read(TOML_TEXT, &title), Err(RegulationError::Article { .. })));
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
