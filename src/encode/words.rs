//! Words around a name that are none of it, as normalisation meets them: in lower case, dots and slashes made spaces,
//! apostrophes gone, `ij` made `y`. Part of what codes are made of, as all of [`super::normalize`].

/// Infixes (tussenvoegsels; table 36 of the register) that stand before a surname or, in sorted lists, behind it.
/// Single letters are their abbreviations, or what an apostrophe left.
pub(super) const AROUND: [&str; 54] = [
    "van", "de", "der", "den", "het", "t", "ter", "ten", "te", "op", "in", "uit", "aan", "bij", "by", "onder", "over",
    "voor", "tot", "von", "v", "vd", "d", "vt", "vdn", "vander", "vanden", "vande", "vant", "af", "auf", "aus",
    "boven", "dalla", "dall", "degli", "dell", "della", "dello", "dem", "gen", "l", "s", "tho", "thoe", "toe", "unter",
    "uyt", "ver", "vom", "voorin", "vor", "zum", "zur",
];
/// Infixes from elsewhere: only before a surname, for behind it they are names (Nguyen Le).
pub(super) const BEFORE: [&str; 24] = [
    "el", "al", "ben", "bin", "ait", "la", "le", "les", "da", "das", "dos", "do", "di", "del", "du", "des", "zu",
    "las", "dei", "deca", "dela", "delle", "ibn", "ould",
];
/// Infixes that are surnames as often: only before a surname, and neither glued to it nor with a hyphen behind them.
pub(super) const SOMETIMES: [&str; 11] = ["abu", "am", "dal", "die", "don", "im", "lo", "los", "lou", "met", "to"];
/// Infixes that lose their vowel before one, and what stands there for "des" and "het" with a misplaced apostrophe.
pub(super) const ELIDED: [&str; 7] = ["d", "l", "s", "t", "dal", "dall", "dell"];
/// Forms of address and titles before a name. Single letters are none of them: they are initials.
pub(super) const TITLES: [&str; 18] = [
    "dhr", "mw", "mevr", "mevrouw", "mej", "hr", "heer", "fam", "familie", "erven", "drs", "dr", "ir", "ing", "prof",
    "jhr", "jkvr", "mr",
];
/// Words behind a name that are none of it: also "and others", degrees, "deceased".
pub(super) const BEHIND: [&str; 9] = ["jr", "sr", "junior", "senior", "eo", "bsc", "msc", "llm", "overleden"];
/// Between the names of spouses or of two tenants, or before one: "married to", "born", "widow of", "and". The infix
/// behind some of them goes as infixes do.
pub(super) const SPOUSE: [&str; 13] =
    ["en", "ev", "gv", "geb", "geboren", "geh", "gehuwd", "echtg", "echtgenote", "wed", "weduwe", "weduwnaar", "wwe"];
/// Before the trade name of a sole trader, "trading as".
pub(super) const TRADE: &str = "hodn";
/// Endings of street names that files abbreviate.
pub(super) const STREETS: [(&str, &str); 6] =
    [("str", "straat"), ("ln", "laan"), ("pln", "plein"), ("wg", "weg"), ("gr", "gracht"), ("kd", "kade")];
