//! A place in a JSON document: its value and the path that leads there, so that every message can name it.

use std::collections::HashMap;

use num_bigint::BigInt;
use serde_json::Value;
use serde_json::value::RawValue;

use super::number::from_float;
use super::schema::{Flaw, SchemaError};

/// A value and where it stands, as a JSON pointer (RFC 6901).
#[derive(Clone)]
pub(super) struct Node<'a> {
    value: &'a Value,
    path: String,
    /// The whole document as it was written: it has the digits of integers that no machine word holds.
    text: &'a [u8],
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, text: &'a [u8]) -> Self {
        Self { value, path: String::new(), text }
    }

    pub(super) fn flaw(&self, flaw: Flaw) -> SchemaError {
        SchemaError::At { path: self.path.clone(), flaw }
    }

    fn below(&self, key: &str, value: &'a Value) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        Self { value, path: format!("{}/{key}", self.path), text: self.text }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some()
    }

    /// What stands under a key that may be absent.
    pub(super) fn at(&self, key: &str) -> Option<Self> {
        self.value.get(key).map(|value| self.below(key, value))
    }

    /// What stands under a key that must be there.
    pub(super) fn need(&self, key: &'static str) -> Result<Self, SchemaError> {
        self.object()?;
        self.at(key).ok_or_else(|| self.flaw(Flaw::Missing(key)))
    }

    pub(super) fn object(&self) -> Result<(), SchemaError> {
        if self.value.is_object() { Ok(()) } else { Err(self.flaw(Flaw::Kind("an object"))) }
    }

    /// Refuses keys that the specification does not know here.
    pub(super) fn only(&self, known: &'static [&'static str]) -> Result<(), SchemaError> {
        self.object()?;
        let keys = self.value.as_object().into_iter().flatten();
        match keys.into_iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, value)) => Err(self.below(key, value).flaw(Flaw::Unknown(known))),
            None => Ok(()),
        }
    }

    pub(super) fn items(&self) -> Result<Vec<Self>, SchemaError> {
        let items = self.value.as_array().ok_or_else(|| self.flaw(Flaw::Kind("a list")))?;
        Ok(items.iter().enumerate().map(|(at, value)| self.below(&at.to_string(), value)).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, SchemaError> {
        self.value.as_str().ok_or_else(|| self.flaw(Flaw::Kind("a text")))
    }

    pub(super) fn boolean(&self) -> Result<bool, SchemaError> {
        self.value.as_bool().ok_or_else(|| self.flaw(Flaw::Kind("true or false")))
    }

    pub(super) fn is_true(&self) -> bool {
        self.value.as_bool() == Some(true)
    }

    pub(super) fn number(&self) -> Result<&'a serde_json::Number, SchemaError> {
        self.value.as_number().ok_or_else(|| self.flaw(Flaw::Kind("a number")))
    }

    /// An integer within bounds, both included.
    pub(super) fn integer(&self, least: u64, most: u64) -> Result<u64, SchemaError> {
        let number = self.number()?;
        let bad = || self.flaw(Flaw::Range { least, most });
        let found = number.as_u64().or_else(|| whole(number).and_then(|value| u64::try_from(value).ok()));
        found.filter(|value| (least..=most).contains(value)).ok_or_else(bad)
    }

    /// Where it stands, if it is a number that was written with a point or an exponent: a float to Python.
    pub(super) fn float(&self) -> Option<&str> {
        self.value.is_f64().then_some(&self.path)
    }

    /// An integer of any size; none if it was written as a fraction or with an exponent, which Python reads as floats.
    pub(super) fn exact(&self) -> Option<BigInt> {
        let number = self.value.as_number()?;
        let word = number.as_i64().map(BigInt::from).or_else(|| number.as_u64().map(BigInt::from));
        word.or_else(|| self.written()?.get().parse().ok())
    }

    /// An integer of any size and sign, also as a float without a fraction.
    pub(super) fn any_integer(&self) -> Result<BigInt, SchemaError> {
        let float = |value: f64| Some(value).filter(|value| value.fract() == 0.0).and_then(from_float);
        let found = self.exact().or_else(|| self.value.as_f64().and_then(float));
        found.ok_or_else(|| self.flaw(Flaw::Kind("an integer")))
    }

    /// This place as it is written in the document.
    fn written(&self) -> Option<Box<RawValue>> {
        let mut at: Box<RawValue> = serde_json::from_slice(self.text).ok()?;
        for key in self.path.split('/').skip(1) {
            at = if at.get().starts_with('[') {
                let mut items: Vec<Box<RawValue>> = serde_json::from_str(at.get()).ok()?;
                let index: usize = key.parse().ok()?;
                (index < items.len()).then(|| items.swap_remove(index))?
            } else {
                let mut items: HashMap<String, Box<RawValue>> = serde_json::from_str(at.get()).ok()?;
                items.remove(&key.replace("~1", "/").replace("~0", "~"))?
            };
        }
        Some(at)
    }

    /// One of the words that the specification lists.
    pub(super) fn word(&self, known: &'static [&'static str]) -> Result<&'static str, SchemaError> {
        let found = self.text()?;
        known.iter().find(|word| **word == found).copied().ok_or_else(|| self.flaw(Flaw::Choice(known)))
    }
}

/// JSON Schema, since draft 6, calls 3.0 an integer.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let value = number.as_f64()?;
    // Below 2^53 every integer has its own float; beyond, a float stands for several.
    (number.is_f64() && value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i64)
}
