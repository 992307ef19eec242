//! One form for the many spellings of a Dutch name, so that spelling alone costs no agreement. Part of what codes
//! are made of: changing it changes codes, so it needs a new [`crate::profile::NORMALISATION`].

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::letters;
use super::words::{AROUND, BEFORE, BEHIND, ELIDED, SOMETIMES, SPOUSE, STREETS, TITLES, TRADE};

/// The parts of a surname without infixes, forms of address and trade names: one, or more for a double surname. Empty
/// if there is no letter. Normalising them again changes nothing.
pub fn surname_parts(text: &str) -> Vec<String> {
    if is_plain(text) { vec![unglued(one_spelling(text.to_ascii_lowercase()))] } else { all_parts(text) }
}

fn all_parts(text: &str) -> Vec<String> {
    let repaired = letters::repair(text);
    let text = fold(&abbreviations(&unglue(&composed(&elided(&repaired)))));
    let is_none = |word| is_infix(word) || is_initial(word) || TITLES.contains(&word);
    let text = match text.split_once(',') {
        Some((name, behind)) if behind.split_whitespace().all(is_none) => name.to_owned(),
        _ => text.replace(',', " "),
    };
    let mut parts: Vec<String> = Vec::new();
    let mut before = String::new();
    for part in spouses(&text).split('-') {
        // The 't of 't-Hart is an infix as it is before a space.
        let infix = if before == "t" { "" } else { &before };
        let part = name_only(&one_spelling(infix.to_owned() + &name_only(part)));
        let short = part.chars().count() == 1;
        before = if short { part.clone() } else { String::new() };
        // The 's of 's-Gravendijk is no surname of its own.
        if !part.is_empty() && !short && !parts.contains(&part) {
            parts.push(part);
        }
    }
    if !before.is_empty() && parts.is_empty() {
        parts.push(before);
    }
    // "al" and "el" with a hyphen behind them are infixes too.
    if parts.len() > 1 && parts.iter().any(|part| !is_always_infix(part)) {
        parts.retain(|part| !is_always_infix(part));
    }
    parts
}

/// Whether a surname is one word of ASCII letters in which only the first is a capital: nine of ten are, and most of
/// the steps change nothing in them.
fn is_plain(text: &str) -> bool {
    let (first, rest) = text.as_bytes().split_first().unwrap_or((&b' ', &[]));
    first.is_ascii_alphabetic() && !rest.is_empty() && rest.iter().all(u8::is_ascii_lowercase)
}

/// The first letter of initials or given names, forms of address left out.
pub fn initial(text: &str) -> Option<char> {
    given_name(text)?.chars().next()
}

/// The first given name, or the initial that stands for it, forms of address left out.
pub(super) fn given_name(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let text = compatible(text);
    if text.is_ascii() {
        // Already folded but for the spelling of a word: no need to look at those behind the first.
        let words = || text.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        return first_name(words().map(|word| one_spelling(word.to_ascii_lowercase())));
    }
    let text = fold(&text);
    let words = text.split([' ', '-', ',']).filter(|word| !word.is_empty());
    first_name(words.map(str::to_owned))
}

/// The first word that is no form of address. "Ing" and "Fam" are given names too, if nothing follows.
fn first_name(words: impl Iterator<Item = String>) -> Option<String> {
    let mut words = words.peekable();
    let first = words.next()?;
    let is_title = TITLES.contains(&&*first) || (first == "de" && words.peek().is_some_and(|next| next == "heer"));
    if !is_title {
        return Some(first);
    }
    words.find(|word| !TITLES.contains(&&**word)).or(Some(first))
}

/// The name of a street as one word of letters and digits, its ending written out. Empty if there is none.
pub(super) fn street(text: &str) -> String {
    let whole: String = fold(&compatible(text)).chars().filter(|sign| sign.is_alphanumeric()).collect();
    let ending = STREETS.iter().find_map(|(short, long)| Some((whole.strip_suffix(short)?, *long)));
    match ending {
        Some((name, ending)) if name.chars().count() >= 3 => format!("{name}{ending}"),
        _ => whole,
    }
}

fn is_infix(word: &str) -> bool {
    is_always_infix(word) || SOMETIMES.contains(&word)
}

fn is_always_infix(word: &str) -> bool {
    AROUND.contains(&word) || BEFORE.contains(&word)
}

fn is_initial(word: &str) -> bool {
    word.chars().count() == 1
}

/// Text in compatibility form, without characters that nobody sees: for what is no name.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.chars().filter(|c| !is_unseen(*c)).nfkc().collect() }
}

/// A space in the place of an apostrophe behind an infix that lost its vowel: `d'Ancona`, `de l'Isle`. O'Neill stays.
fn elided(text: &str) -> Cow<'_, str> {
    if !text.contains(is_apostrophe) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        out.push(if is_apostrophe(c) && ELIDED.contains(&&*word) { ' ' } else { c });
        if c.is_alphabetic() {
            word.extend(c.nfkc().flat_map(char::to_lowercase));
        } else {
            word.clear();
        }
    }
    out.into()
}

/// Text in compatibility form, without apostrophes and without characters that nobody sees.
fn compatible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { composed(text) } else { composed(&letters::repair(text)).into_owned().into() }
}

/// The same of text that is no longer misread.
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        // Already compatible: the same in less time.
        let is_apostrophe = |byte| matches!(byte, b'\'' | b'`');
        return if text.bytes().any(is_apostrophe) { text.replace(['\'', '`'], "").into() } else { text.into() };
    }
    // Apostrophes go first: NFKC would turn some of them into a space and a mark. They go again behind it, because
    // it makes some (of `ŉ`) and a middle dot (of `ŀ`).
    let without = |c: &char| !is_apostrophe(*c) && !is_unseen(*c);
    text.chars().filter(without).nfkc().filter(|c| without(c) && *c != '·').collect()
}

fn is_apostrophe(c: char) -> bool {
    "'’‘`´ʼʹ′＇ʻʽʿʾ‛".contains(c)
}

/// Soft hyphens, joiners, direction marks, byte order marks: they come along when text is copied.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Lower case, with one word for each abbreviation that has dots or slashes in it, before those become spaces.
fn abbreviations(text: &str) -> String {
    let text = text.to_lowercase().replace("handelend onder", TRADE);
    let text = text.replace("gehuwd met", "gehuwd").replace("geh. met", "geh").replace(" / ", "/");
    let is_title = |word: &str| TITLES.contains(&word.trim_end_matches('.'));
    let word = |word| match word {
        "e/v" | "e.v." | "e.v" => "ev",
        "g/v" | "g.v." | "g.v" => "gv",
        "h/o" | "h.o.d.n." | "t.h.o.d.n." | "t/h/o/d/n" | "thodn" => TRADE,
        // and others, with theirs
        "&" | "en/of" => "en",
        // sir or madam
        word if word.contains('/') && word.split('/').all(is_title) => "dhr",
        "e.o." | "e.o" | "e.a." | "e.a" | "c.s." | "c.s" => "",
        _ => word,
    };
    let text = text.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    // A slash between two words is a hyphen; between letters (v/d) it is an abbreviation.
    match text.split_once('/') {
        Some((one, other)) if ends_in_word(one.chars().rev()) && ends_in_word(other.chars()) => {
            format!("{one}-{other}")
        }
        _ => text,
    }
}

/// The names of spouses as a double name; a trade name, and what comes behind it, left out.
fn spouses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split('-') {
        out.push('-');
        for (at, word) in part.split_whitespace().enumerate() {
            match word {
                TRADE if at > 0 => return out,
                word if at > 0 && SPOUSE.contains(&word) && !out.ends_with('-') => out.push('-'),
                word => {
                    out.push_str(word);
                    out.push(' ');
                }
            }
        }
    }
    out
}

/// Whether more than one letter stands at this end of a text.
fn ends_in_word(letters: impl Iterator<Item = char>) -> bool {
    letters.skip_while(|c| *c == ' ').take_while(|c| c.is_alphabetic()).count() > 1
}

/// Lower case, no marks, one form of ij and of ss; words apart by spaces, hyphens and commas kept.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        let plain =
            |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == ',' { c.to_ascii_lowercase() } else { ' ' };
        return one_spelling(text.chars().map(plain).collect());
    }
    let lower = text.chars().flat_map(char::to_lowercase);
    let mut out = String::with_capacity(text.len());
    for c in lower.nfd().filter(|c| !is_combining_mark(*c)) {
        match c {
            '-' | '‐' | '‑' | '‒' | '–' | '—' | '−' => out.push('-'),
            ',' | '،' => out.push(','),
            _ => match letters::plain(c) {
                Some(plain) => out.push_str(plain),
                None => out.push(if c.is_alphanumeric() { c } else { ' ' }),
            },
        }
    }
    one_spelling(out)
}

/// One form of ij and of ss.
fn one_spelling(mut text: String) -> String {
    let has = |text: &str, pair: &[u8; 2]| text.as_bytes().windows(2).any(|two| two == pair);
    if has(&text, b"ij") {
        text = text.replace("ij", "y");
    }
    while has(&text, b"ss") {
        text = text.replace("ss", "s");
    }
    text
}

/// A surname part without titles, infixes and what stands behind; at least one word stays.
fn name_only(part: &str) -> String {
    let words: Vec<&str> = part.split_whitespace().collect();
    let mut words = words.as_slice();
    loop {
        let fewer = without_ends(words);
        if fewer.len() == words.len() {
            break;
        }
        words = fewer;
    }
    unglued(words.join(" "))
}

/// A name without the infixes that are glued to it. Shorter rests are no surnames; shorter infixes (Dekker, Vank) begin
/// too many others.
fn unglued(name: String) -> String {
    let rest = |glued: &str| name.strip_prefix(glued).filter(|rest| rest.chars().count() >= 3);
    match ["vander", "vanden", "vande"].into_iter().find_map(rest) {
        Some(rest) => name_only(rest),
        None => name,
    }
}

/// Words without initials, titles and infixes in front, and infixes, junior and senior behind; at least one stays.
fn without_ends<'a, 'b>(words: &'a [&'b str]) -> &'a [&'b str] {
    let Some(most) = words.len().checked_sub(1) else { return words };
    // "de Heer J." is somebody of that name.
    let is_title = |at: usize| words[at] != "heer" || !words[at + 1..].iter().all(|word| is_initial(word));
    let leads = |(at, word): &(usize, &&str)| {
        let title = TITLES.contains(*word) && is_title(*at);
        is_infix(word) || is_initial(word) || title || SPOUSE.contains(*word)
    };
    let front = words[..most].iter().enumerate().take_while(leads).count();
    let rest = &words[front..];
    let follows = |at: &usize| {
        let word = rest[*at];
        // "la" is a name behind "Nguyen", and none behind "de".
        AROUND.contains(&word) || BEHIND.contains(&word) || (rest[at - 1] == "de" && is_infix(word))
    };
    let behind = (1..rest.len()).rev().take_while(follows).count();
    &rest[..rest.len() - behind]
}

/// Puts a space between a glued infix and the capital after it: `VanderBerg`, `DeJong`.
fn unglue(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    let mut word = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_uppercase() && before.is_lowercase() && is_glued(&word) {
            out.push(' ');
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        } else {
            word.clear();
        }
        out.push(c);
        before = c;
    }
    out
}

/// Whether letters are nothing but infixes; single letters do not count at the front (DJong is a typing error).
fn is_glued(letters: &str) -> bool {
    let whole = |word: &&&str| word.len() > 1 && letters.starts_with(**word);
    AROUND.iter().chain(&BEFORE).filter(whole).any(|word| {
        let rest = &letters[word.len()..];
        rest.is_empty() || rest == "t" || is_glued(rest)
    })
}

#[cfg(test)]
mod tests;
