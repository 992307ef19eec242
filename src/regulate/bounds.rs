//! How large an article may be. Cedar's parser and validator recurse, and an article nested deep enough would end
//! the whole service with a stack overflow, which nothing catches. So the text is measured before it is parsed.

/// Characters of one article, without its words in quotes and its comments. The longest shipped one has about 200.
const MOST_CHARACTERS: usize = 1_500;
/// Brackets open at once.
const MOST_DEEP: usize = 16;
/// Bytes of the whole file.
const MOST_FILE_BYTES: usize = 256 * 1024;

/// The first offset, in bytes, at which the text grows beyond a bound, and which.
pub(super) fn exceeded(text: &str) -> Option<(usize, &'static str)> {
    if text.len() > MOST_FILE_BYTES {
        return Some((MOST_FILE_BYTES, "the file is longer than 256 KiB"));
    }
    let (mut length, mut deep) = (0_usize, 0_usize);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let offset = text.len() - rest.len();
        let taken = match next {
            '"' => quoted(rest),
            '/' if rest.starts_with("//") => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            _ => next.len_utf8(),
        };
        rest = &rest[taken..];
        length += 1;
        match next {
            ';' => (length, deep) = (0, 0),
            '(' | '[' | '{' => deep += 1,
            ')' | ']' | '}' => deep = deep.saturating_sub(1),
            _ => {}
        }
        if deep > MOST_DEEP {
            return Some((offset, "more than 16 brackets are open at once"));
        }
        if length > MOST_CHARACTERS {
            return Some((offset, "the article is longer than 1500 characters; make it several"));
        }
    }
    None
}

/// Bytes of the quoted words at the start of the text, with both quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return i + 1,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_semicolons_in_words_and_comments_do_not_count() {
        let brackets = "(".repeat(100);
        assert_eq!(exceeded(&format!("\"{brackets}\" // {brackets}\n;")), None);
        assert_eq!(exceeded(&format!("\"\\\"{brackets}\"")), None);
        assert_eq!(exceeded(&brackets).map(|(offset, _)| offset), Some(MOST_DEEP));
        let long = "a".repeat(MOST_CHARACTERS - 1);
        assert_eq!(exceeded(&format!("{long};{long};")), None);
        assert!(exceeded(&format!("{long}\";\"{long};")).is_some());
        assert!(exceeded(&" ".repeat(MOST_FILE_BYTES + 1)).is_some());
    }
}
