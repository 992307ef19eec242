//! CLKs of invented Dutch people, the same in each run: correlated as real ones are, for surnames, given names and
//! places are drawn as unevenly as in life, and bigrams of a language repeat.
//!
//! Every other record on the left is a copy of one on the right with one or two mistakes.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;

use voorrang::code::Code;
use voorrang::encode::clkhash::{Encoder, Header, Schema, encode_file};
use voorrang::link::join::Clks;

/// A file of CLKs of 1,024 bits on each side, as `voorrang clk` writes it. About 44 % of the bits are set.
pub fn files(left: usize, right: usize) -> [Vec<u8>; 2] {
    let mut draw = Draw(0x766f_6f72_7261_6e67);
    let register: Vec<Person> = (0..right).map(|_| Person::new(&mut draw)).collect();
    let asked = (0..left).map(|at| match register.get(at) {
        Some(person) if at % 2 == 0 => person.with_mistakes(&mut draw),
        _ => Person::new(&mut draw),
    });
    let asked: Vec<Person> = asked.collect();
    [clks(&asked), clks(&register)]
}

/// The CLKs of such a file.
pub fn parse(json: &[u8]) -> Clks {
    let file: BTreeMap<String, Vec<Code>> = serde_json::from_slice(json).expect("a file of CLKs");
    let mut clks = Clks::default();
    for code in &file["clks"] {
        clks.push(&code.to_bytes()).expect("all have one length");
    }
    clks
}

const SCHEMA: &str = include_str!("schema.json");

fn clks(people: &[Person]) -> Vec<u8> {
    let schema = Schema::parse(SCHEMA.as_bytes()).expect("the schema is sound");
    let encoder = Encoder::new(&schema, b"a secret of a benchmark, known to all").expect("the schema is sound");
    let mut csv = Vec::new();
    for person in people {
        writeln!(csv, "{}", person.0.join(",")).expect("memory takes all");
    }
    let mut json = Vec::new();
    encode_file(&encoder, &csv[..], Header::Absent, NonZeroUsize::MIN, &mut json, |_, _| ()).expect("rows fit");
    json
}

/// Given names, surname, day of birth, sex, postcode, place.
#[derive(Clone)]
struct Person([String; 6]);

impl Person {
    fn new(draw: &mut Draw) -> Self {
        let given = (0..=draw.below(2)).map(|_| word(draw, &GIVEN_STARTS, &GIVEN_ENDS)).collect::<Vec<_>>().join(" ");
        let surname = format!("{}{}", draw.uneven(&PREFIXES), word(draw, &SURNAME_STARTS, &SURNAME_ENDS));
        let born = format!("{:04}{:02}{:02}", 1930 + draw.below(78), 1 + draw.below(12), 1 + draw.below(28));
        let sex = ["M", "V"][draw.below(2)].to_owned();
        let place = draw.below_unevenly(PLACES.len());
        let street = |draw: &mut Draw| char::from(b'A' + draw.below(26) as u8);
        let postcode = format!("{}{}{}", 1000 + 97 * place + draw.below(60), street(draw), street(draw));
        Self([given, surname, born, sex, postcode, PLACES[place].to_owned()])
    }

    /// The same person, written down by somebody else.
    fn with_mistakes(&self, draw: &mut Draw) -> Self {
        let mut other = self.clone();
        for _ in 0..=draw.below(2) {
            match draw.below(4) {
                0 => other.0[0] = other.0[0].split(' ').next().unwrap_or_default().to_owned(),
                1 => {
                    let at = draw.below(other.0[1].len());
                    other.0[1].replace_range(at..=at, "e");
                }
                2 => other.0[4] = Self::new(draw).0[4].clone(),
                _ => other.0[2].replace_range(7..8, "0"),
            }
        }
        other
    }
}

fn word(draw: &mut Draw, starts: &[&str], ends: &[&str]) -> String {
    format!("{}{}", draw.uneven(starts), draw.uneven(ends))
}

/// splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    /// As in Zipf's law: the smaller the likelier.
    fn below_unevenly(&mut self, end: usize) -> usize {
        let uniform = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((end as f64 + 1.0).powf(uniform) - 1.0) as usize
    }

    fn uneven<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below_unevenly(words.len())]
    }
}

const PREFIXES: [&str; 8] = ["", "", "", "", "van ", "de ", "van der ", "ten "];
const GIVEN_STARTS: [&str; 36] = [
    "Jo", "Ma", "An", "Wil", "Hen", "Cor", "Pe", "El", "Ge", "Ja", "Mo", "Fa", "San", "Da", "Li", "Em", "Ro", "Tho",
    "Lu", "Se", "No", "Bra", "Ste", "Mi", "Kim", "Chan", "Yu", "Ay", "Ham", "Tes", "Fen", "Sie", "Dou", "Jel", "Re",
    "Wou",
];
const GIVEN_ENDS: [&str; 34] = [
    "hanna", "ria", "na", "helmus", "drik", "nelis", "ter", "isabeth", "rard", "cobus", "hammed", "tima", "dra", "vid",
    "sa", "ma", "bert", "mas", "cas", "bastiaan", "ah", "m", "fan", "chiel", "berly", "tal", "suf", "se", "za", "sel",
    "na", "ke", "we", "nate",
];
const SURNAME_STARTS: [&str; 44] = [
    "Jan", "Vries", "Berg", "Bak", "Dijk", "Vis", "Smi", "Mei", "Boe", "Mul", "Groo", "Bos", "Pe", "Hen", "Dek",
    "Brou", "Wit", "Dijk", "Ver", "Linde", "Kui", "Post", "Scho", "Hoek", "Koe", "Wal", "Hui", "Mol", "Blom", "Kok",
    "Jon", "Ha", "Schou", "Wes", "Oos", "Noor", "Zui", "El", "Yil", "Nguy", "Ste", "Rie", "Tui", "Maas",
];
const SURNAME_ENDS: [&str; 40] = [
    "sen", "", "huis", "ker", "stra", "ser", "ts", "jer", "ma", "der", "t", "man", "ters", "driks", "sma", "wer", "te",
    "graaf", "meulen", "n", "pers", "huma", "len", "kamp", "veld", "huizen", "dam", "brink", "horst", "laar", "gens",
    "verkort", "ten", "terhof", "sterling", "dmaz", "en", "geling", "nman", "kant",
];
const PLACES: [&str; 40] = [
    "Amsterdam",
    "Rotterdam",
    "Den Haag",
    "Utrecht",
    "Eindhoven",
    "Groningen",
    "Tilburg",
    "Almere",
    "Breda",
    "Nijmegen",
    "Apeldoorn",
    "Haarlem",
    "Arnhem",
    "Enschede",
    "Amersfoort",
    "Zaanstad",
    "Den Bosch",
    "Zwolle",
    "Leiden",
    "Leeuwarden",
    "Zoetermeer",
    "Maastricht",
    "Dordrecht",
    "Ede",
    "Alphen",
    "Alkmaar",
    "Delft",
    "Emmen",
    "Deventer",
    "Venlo",
    "Hilversum",
    "Oss",
    "Heerlen",
    "Sittard",
    "Gouda",
    "Purmerend",
    "Vlaardingen",
    "Schiedam",
    "Lelystad",
    "Roosendaal",
];
