//! What whoever signs sees in the two files beside keys and articles: the comments. They say what a number means and who
//! agreed on it, so that one that changed is told like a key.

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// How a file marks comments.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// What begins a comment; it ends with the line.
    pub comment: &'static str,
    /// What begins and ends a text.
    pub quotes: &'static [char],
}

pub(super) const TOML: Marks = Marks { comment: "#", quotes: &['"', '\''] };
pub(super) const CEDAR: Marks = Marks { comment: "//", quotes: &['"'] };

/// The comments that changed, in the files' order: those before, and those after. One that stands at another place, or beside
/// another key, is on both.
pub(super) fn changed_comments<'a>(before: &'a str, after: &'a str, marks: Marks) -> Vec<[Option<&'a str>; 2]> {
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(before).collect(), lines(after).collect());
    let mut all = Vec::new();
    for [gone, come] in hunks(&old, &new) {
        let comments = |lines: &[&'a str]| -> Vec<&'a str> {
            lines.iter().copied().filter_map(|line| marks.comment_of(line)).filter(|text| !text.is_empty()).collect()
        };
        let (gone, come) = (comments(gone), comments(come));
        let rows = gone.len().max(come.len());
        let rows = (0..rows).map(|at| [gone.get(at).copied(), come.get(at).copied()]);
        // A key that changed beside its comment is told as a key.
        all.extend(rows.filter(|[one, other]| one != other));
    }
    all
}

/// The first line that differs on each side, where white space is no difference.
pub(super) fn first_changed<'a>(before: &'a str, after: &'a str) -> Option<[Option<&'a str>; 2]> {
    let signs = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    if signs(before) == signs(after) {
        return None;
    }
    let (mut old, mut new) = (lines(before), lines(after));
    loop {
        match (old.next(), new.next()) {
            (None, None) => return None,
            (one, other) if one.map(signs) != other.map(signs) => return Some([one, other]),
            _ => {}
        }
    }
}

/// Lines that are not empty, without the white space around them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty())
}

impl Marks {
    /// The comment of a line, with its mark. A text that does not end in its line could hide one: then it is the whole line.
    fn comment_of(self, line: &str) -> Option<&str> {
        let mut open = None;
        let mut rest = line.char_indices();
        while let Some((at, sign)) = rest.next() {
            match open {
                Some('"') if sign == '\\' => drop(rest.next()),
                Some(quote) if sign == quote => open = None,
                Some(_) => {}
                None if line[at..].starts_with(self.comment) => return Some(line[at..].trim()),
                None if self.quotes.contains(&sign) => open = Some(sign),
                None => {}
            }
        }
        open.map(|_| line)
    }
}

/// Stretches in which the two differ: the lines of the one, and those of the other.
fn hunks<'a, 'b>(old: &'b [&'a str], new: &'b [&'a str]) -> Vec<[&'b [&'a str]; 2]> {
    let ops = capture_diff_slices(Algorithm::Myers, old, new);
    let stretches = ops.split(|op| op.tag() == DiffTag::Equal).filter_map(|ops| ops.first().zip(ops.last()));
    let lines = stretches.map(|(first, last)| {
        let (old_lines, new_lines) =
            (first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end);
        [&old[old_lines], &new[new_lines]]
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_come_go_change_or_move_are_told_and_no_others() {
        let before = "# one\na = 1 # of a\n\n# two\nb = 2\n";
        for (after, want) in [
            ("# one\na = 1 # of a\n# two\nb = 2", vec![]),
            ("  # one\r\na = 1 # of a\n# two\n\n\nb = 2\n\n", vec![]),
            ("# one\na = 7 # of a\n# two\nb = 2\n", vec![]),
            ("# one\na = 1 # of b\n# two\nb = 2\n", vec![[Some("# of a"), Some("# of b")]]),
            ("# one\na = 1\n# two\nb = 2\n", vec![[Some("# of a"), None]]),
            ("# one\na = 1 # of a\n# two\n# three\nb = 2\n", vec![[None, Some("# three")]]),
            ("a = 1 # of a\n# two\n# one\nb = 2\n", vec![[Some("# one"), None], [None, Some("# one")]]),
            (
                "# one\na = 2 # of a\n# three\nb = 3 # two",
                vec![[Some("# two"), Some("# three")], [None, Some("# two")]],
            ),
            ("", vec![[Some("# one"), None], [Some("# of a"), None], [Some("# two"), None]]),
        ] {
            assert_eq!(changed_comments(before, after, TOML), want, "{after}");
        }
    }

    #[test]
    fn a_mark_in_a_text_begins_no_comment_and_no_text_hides_one() {
        for (line, comment) in [
            ("a = \"x # y\"", None),
            ("a = \"x \\\" # y\" # z", Some("# z")),
            ("a = 'x \\' # z", Some("# z")),
            ("a = '''it's''' # z", Some("a = '''it's''' # z")),
            ("a = 1", None),
        ] {
            assert_eq!(TOML.comment_of(line), comment, "{line}");
        }
        assert_eq!(CEDAR.comment_of("a == \"//\" // b's"), Some("// b's"));
        assert_eq!(CEDAR.comment_of("@title(\"it's\") # no"), None);
    }

    #[test]
    fn only_what_is_no_layout_has_changed() {
        assert_eq!(first_changed("a = 1\nb = 2\n", "a=1\n\n  b = 2"), None);
        assert_eq!(first_changed("a = 1\nb = 2", "b = 2\na = 1"), Some([Some("a = 1"), Some("b = 2")]));
        assert_eq!(first_changed("a = 1\nb = 2", "a=1\nb = 2\nc = 3"), Some([None, Some("c = 3")]));
    }
}
