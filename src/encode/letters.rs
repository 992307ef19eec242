//! Letters that canonical decomposition leaves whole, and what stands for each, as data.
//!
//! Sources: Latin letters as ICAO Doc 9303 part 3 section 6 A (which passports and so most registers follow), but
//! where Dutch files write another letter the Dutch one: `ø` is `o` and not `oe`, `ä` and its like lose their mark.
//! Cyrillic as Doc 9303 section 6 B, Greek as ELOT 743. The population register itself has Latin letters only (the
//! Teletex repertoire); Cyrillic and Greek come from files that were typed from a foreign document.
//! `docs/normalisation.md` says which spellings this brings together and which not.

/// A lower-case letter and its plain form.
const LETTERS: [(char, &str); 104] = [
    // Latin
    ('ß', "ss"),
    ('æ', "ae"),
    ('ð', "d"),
    ('ø', "o"),
    ('þ', "th"),
    ('đ', "d"),
    ('ħ', "h"),
    ('ı', "i"),
    ('ĸ', "k"),
    ('ł', "l"),
    ('ŋ', "n"),
    ('œ', "oe"),
    ('ŧ', "t"),
    ('ƀ', "b"),
    ('ƒ', "f"),
    ('ƙ', "k"),
    ('ƴ', "y"),
    ('ǝ', "e"),
    ('ȷ', "j"),
    ('ɓ', "b"),
    ('ɔ', "o"),
    ('ɖ', "d"),
    ('ɗ', "d"),
    ('ə', "e"),
    ('ɛ', "e"),
    ('ɣ', "g"),
    ('ɨ', "i"),
    ('ɩ', "i"),
    ('ʋ', "v"),
    // Cyrillic; what decomposes into one of these and a mark (й, ё, ї) loses the mark
    ('а', "a"),
    ('б', "b"),
    ('в', "v"),
    ('г', "g"),
    ('д', "d"),
    ('е', "e"),
    ('ж', "zh"),
    ('з', "z"),
    ('и', "i"),
    ('к', "k"),
    ('л', "l"),
    ('м', "m"),
    ('н', "n"),
    ('о', "o"),
    ('п', "p"),
    ('р', "r"),
    ('с', "s"),
    ('т', "t"),
    ('у', "u"),
    ('ф', "f"),
    ('х', "kh"),
    ('ц', "ts"),
    ('ч', "ch"),
    ('ш', "sh"),
    ('щ', "shch"),
    ('ъ', "ie"),
    ('ы', "y"),
    ('ь', ""),
    ('э', "e"),
    ('ю', "iu"),
    ('я', "ia"),
    ('ђ', "d"),
    ('є', "ie"),
    ('ѕ', "dz"),
    ('і', "i"),
    ('ј', "j"),
    ('љ', "lj"),
    ('њ', "nj"),
    ('ћ', "c"),
    ('џ', "dz"),
    ('ґ', "g"),
    ('ѣ', "ie"),
    ('ѳ', "f"),
    ('ѵ', "y"),
    ('ғ', "g"),
    ('қ', "k"),
    ('ң', "n"),
    ('ү', "u"),
    ('ұ', "u"),
    ('һ', "h"),
    // Greek
    ('α', "a"),
    ('β', "v"),
    ('γ', "g"),
    ('δ', "d"),
    ('ε', "e"),
    ('ζ', "z"),
    ('η', "i"),
    ('θ', "th"),
    ('ι', "i"),
    ('κ', "k"),
    ('λ', "l"),
    ('μ', "m"),
    ('ν', "n"),
    ('ξ', "x"),
    ('ο', "o"),
    ('π', "p"),
    ('ρ', "r"),
    ('σ', "s"),
    ('ς', "s"),
    ('τ', "t"),
    ('υ', "y"),
    ('φ', "f"),
    ('χ', "ch"),
    ('ψ', "ps"),
    ('ω', "o"),
];

/// What stands for a lower-case letter, if it is in the table.
pub(super) fn plain(letter: char) -> Option<&'static str> {
    if letter.is_ascii() {
        return None;
    }
    LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, plain)| *plain)
}

/// Windows-1252 at 0x80 to 0x9F, where it differs from Latin-1.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// Undoes UTF-8 that was read as Latin-1 or Windows-1252, if the whole text is that and nothing else.
pub(super) fn repair(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(single_byte).collect();
    match bytes.map(String::from_utf8) {
        Some(Ok(repaired)) => repaired,
        _ => text.to_owned(),
    }
}

fn single_byte(c: char) -> Option<u8> {
    let high = || WINDOWS_1252.chars().position(|high| high == c).map(|at| at + 0x80);
    u8::try_from(c as u32).ok().or_else(|| u8::try_from(high()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plain_form_is_lower_case_ascii_and_every_letter_stands_once() {
        for (at, (letter, plain)) in LETTERS.iter().enumerate() {
            assert!(plain.bytes().all(|byte| byte.is_ascii_lowercase()), "{letter}");
            assert!(!LETTERS[..at].iter().any(|(earlier, _)| earlier == letter), "{letter}");
            assert!(letter.is_lowercase() || !letter.is_ascii(), "{letter}");
        }
    }
}
