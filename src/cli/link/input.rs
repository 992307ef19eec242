//! Reads a file of CLKs as a stream: only the codes are kept.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::link::join::{Clks, JoinError};

/// Why a file of CLKs cannot be read. It never repeats what the file says.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("{name}: cannot be opened or read")]
    Io { name: String, source: std::io::Error },
    #[error("{name}: is empty; a file of CLKs is {{\"clks\": [\"base64\", ...]}}")]
    Nothing { name: String },
    #[error("{name}: ends at line {line}, column {column}, in the middle; was it written to the end?")]
    Cut { name: String, line: usize, column: usize },
    #[error("{name}, line {line}, column {column}: not of the form {{\"clks\": [\"base64\", ...]}}")]
    Form { name: String, line: usize, column: usize },
    #[error("{name}: has no \"clks\"; a file of CLKs is {{\"clks\": [\"base64\", ...]}}")]
    NoClks { name: String },
    #[error("{name}: has \"clks\" twice")]
    Twice { name: String },
    #[error("{name}, /clks/{position}: not base64 in the standard alphabet with padding")]
    Base64 { name: String, position: usize },
    // The source tells what is wrong, and stands behind the name in the chain.
    #[error("{name}")]
    Clk { name: String, source: JoinError },
    #[error(transparent)]
    Join(JoinError),
}

/// Reads all CLKs of a file.
///
/// # Errors
/// [`InputError`] with the file's name and the position of the first CLK that is wrong, from 0.
pub fn read(path: &Path) -> Result<Clks, InputError> {
    let name = path.display().to_string();
    let io = |source| InputError::Io { name: name.clone(), source };
    let mut file = File::open(path).map_err(io)?;
    let mut first = [0];
    if file.read(&mut first).map_err(io)? == 0 {
        return Err(InputError::Nothing { name });
    }
    parse(first.chain(BufReader::with_capacity(1 << 16, file)), name)
}

fn parse(json: impl Read, name: String) -> Result<Clks, InputError> {
    let mut reading = Reading::default();
    let mut deserializer = serde_json::Deserializer::from_reader(json);
    let parsed = reading.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (parsed, reading.problem) {
        (_, Some(Problem::Base64)) => Err(InputError::Base64 { name, position: reading.clks.len() }),
        (_, Some(Problem::Clk(source))) => Err(InputError::Clk { name, source }),
        (_, Some(Problem::Twice)) => Err(InputError::Twice { name }),
        (Ok(()), None) if !reading.found => Err(InputError::NoClks { name }),
        (Ok(()), None) if reading.clks.is_empty() => Err(InputError::Clk { name, source: JoinError::Empty }),
        (Ok(()), None) => Ok(reading.clks),
        (Err(error), None) => Err(match error.classify() {
            Category::Io => InputError::Io { name, source: error.into() },
            Category::Eof => InputError::Cut { name, line: error.line(), column: error.column() },
            Category::Syntax | Category::Data => InputError::Form { name, line: error.line(), column: error.column() },
        }),
    }
}

/// What has been read so far, and what was wrong: serde's own messages would repeat content.
#[derive(Default)]
struct Reading {
    clks: Clks,
    bytes: Vec<u8>,
    found: bool,
    problem: Option<Problem>,
}

enum Problem {
    Base64,
    Clk(JoinError),
    Twice,
}

impl Reading {
    fn fail<E: de::Error>(&mut self, problem: Problem) -> E {
        self.problem = Some(problem);
        E::custom("")
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reading {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

/// The file.
impl<'de> Visitor<'de> for &mut Reading {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with CLKs")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key != "clks" {
                map.next_value::<IgnoredAny>()?;
            } else if self.found {
                return Err(self.fail(Problem::Twice));
            } else {
                self.found = true;
                map.next_value_seed(List(self))?;
            }
        }
        Ok(())
    }
}

/// The list of CLKs.
struct List<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of CLKs")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(One(self.0))?.is_some() {}
        Ok(())
    }
}

/// One CLK.
struct One<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for One<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CLK in base64")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let reading = self.0;
        reading.bytes.clear();
        if STANDARD.decode_vec(text, &mut reading.bytes).is_err() {
            return Err(reading.fail(Problem::Base64));
        }
        reading.clks.push(&reading.bytes).map_err(|error| reading.fail(Problem::Clk(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        format!("{:#}", anyhow::Error::from(parse(json.as_bytes(), "left.json".to_owned()).unwrap_err()))
    }

    #[test]
    fn clks_are_read_in_order_and_other_keys_are_passed_over() {
        let json = r#"{"project": {"clks": 1}, "clks": ["AQAAAAAAAAA=", "//8AAAAAAAA="], "n": [2]}"#;
        let clks = parse(json.as_bytes(), String::new()).unwrap();
        assert_eq!((clks.len(), clks.bits(), clks.ones()), (2, 64, &[1, 16][..]));
    }

    #[test]
    fn what_is_wrong_is_named_by_position_without_repeating_it() {
        for (json, want) in [
            (r#"{"clks": ["AQAAAAAAAAA=", "geheim!"]}"#, "left.json, /clks/1: not base64"),
            (r#"{"clks": ["AQAAAAAAAAA=", "AQAAAAAAAAA"]}"#, "left.json, /clks/1: not base64"),
            (r#"{"clks": ["AQAAAAAAAAA=", "AQA="]}"#, "left.json: the CLK at position 1 has 16 bits where"),
            (r#"{"clks": ["AQA="]}"#, "left.json: the CLK at position 0 has 16 bits; CLKs of 64"),
            (r#"{"clks": []}"#, "left.json: there is no CLK"),
            (r#"{"clknblocks": []}"#, "left.json: has no \"clks\""),
            (r#"{"clks": ["AQAAAAAAAAA="], "clks": []}"#, "left.json: has \"clks\" twice"),
            ("{\"clks\":\n [\"AQAAAAAAAAA=\", 7]}", "left.json, line 2, column 20: not of the form"),
            (r#"["AQAAAAAAAAA="]"#, "left.json, line 1, column "),
            (r#"{"clks": ["AQAAAAAAAAA="]} {}"#, "left.json, line 1, column 2"),
            (r#"{"clks": ["AQAAAAAA"#, "left.json: ends at line 1"),
        ] {
            let error = error(json);
            assert!(error.starts_with(want), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
