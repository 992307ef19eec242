//! JSON files of records: one after the other out of a long list, and values by their path.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::value::check_text;
use super::{Problem, ReadError};

/// Gives every record of a file to `each`: `{"<list>": [..]}`, `[..]`, one record, or several of these one after the
/// other, as in a file of a document a line. Memory: one record.
pub(super) fn records<R: Read>(from: R, name: &str, list: &str, mut each: impl FnMut(Value)) -> Result<(), ReadError> {
    let mut from = BufReader::new(from);
    let start = from.fill_buf().map_err(|source| ReadError::Io { name: name.to_owned(), source })?;
    if start.starts_with(b"\xef\xbb\xbf") {
        from.consume(3);
    }
    let mut json = serde_json::Deserializer::from_reader(from);
    let failed = |error: serde_json::Error| failure(name, &error);
    while json.end().is_err() {
        Document { list, each: &mut each }.deserialize(&mut json).map_err(failed)?;
    }
    Ok(())
}

/// Without the parser's own message: it could repeat what stands there.
fn failure(name: &str, error: &serde_json::Error) -> ReadError {
    let name = name.to_owned();
    match error.io_error_kind() {
        Some(kind) => ReadError::Io { name, source: kind.into() },
        None => ReadError::Json { name, line: error.line(), column: error.column() },
    }
}

struct Document<'a, F> {
    list: &'a str,
    each: &'a mut F,
}

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for Document<'_, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records or one record")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(record) = list.next_element()? {
            (self.each)(record);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut record, mut is_list) = (Map::new(), false);
        while let Some(key) = map.next_key::<String>()? {
            if key == self.list {
                is_list = true;
                map.next_value_seed(Document { list: self.list, each: &mut *self.each })?;
            } else if is_list {
                map.next_value::<IgnoredAny>()?;
            } else {
                record.insert(key, map.next_value()?);
            }
        }
        if !is_list {
            (self.each)(Value::Object(record));
        }
        Ok(())
    }
}

/// What is wrong in a record, and where: names of elements only, never what stands there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) path: String,
    pub(super) problem: Problem,
}

/// A value inside a record, and the way to it.
#[derive(Clone)]
pub(super) struct Node<'a> {
    value: &'a Value,
    path: String,
}

/// The way only.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.path)
    }
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// Any value, at a path that the caller knows.
    pub(super) fn at(value: &'a Value, path: String) -> Self {
        Self { value, path }
    }

    pub(super) fn bad(&self, problem: Problem) -> Bad {
        Bad { path: self.path.clone(), problem }
    }

    /// A member by its path with dots; `null` if something on the way is missing.
    ///
    /// # Errors
    /// If something on the way is there and is no object.
    pub(super) fn get(&self, path: &str) -> Result<Self, Bad> {
        let mut node = self.clone();
        for key in path.split('.') {
            node = match node.value {
                Value::Null => node,
                Value::Object(members) => Self { value: members.get(key).unwrap_or(&Value::Null), path: node.path },
                _ => return Err(node.bad(Problem::Shape("an object"))),
            };
            node.path = if node.path.is_empty() { key.to_owned() } else { format!("{}.{key}", node.path) };
        }
        Ok(node)
    }

    /// Names of members and numbers of elements from the record on.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    /// Text or a number, without surrounding spaces; empty for `null`. Of a code with its description, the code.
    pub(super) fn text(&self) -> Result<String, Bad> {
        let text = match self.value {
            Value::Null => String::new(),
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Object(_) => {
                let code = self.get("code")?;
                if code.is_object() {
                    return Err(code.bad(Problem::Shape("text")));
                }
                return code.text();
            }
            Value::Bool(_) | Value::Array(_) => return Err(self.bad(Problem::Shape("text"))),
        };
        check_text(&text).map_err(|problem| self.bad(problem))?;
        Ok(text)
    }

    /// The elements of a list; none for `null`.
    pub(super) fn list(&self) -> Result<Vec<Self>, Bad> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Array(elements) => {
                let at = |(number, value)| Self { value, path: format!("{}[{number}]", self.path) };
                Ok(elements.iter().enumerate().map(at).collect())
            }
            _ => Err(self.bad(Problem::Shape("a list"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(text: &str) -> Result<Vec<Value>, ReadError> {
        let mut found = Vec::new();
        records(text.as_bytes(), "brp.json", "personen", |record| found.push(record))?;
        Ok(found)
    }

    #[test]
    fn records_come_out_of_every_shape_of_file() {
        let want = [json!({"a": 1}), json!({"a": 2})];
        for text in [
            r#"{"type": "X", "personen": [{"a": 1}, {"a": 2}], "more": [3]}"#,
            r#"[{"a": 1}, {"a": 2}]"#,
            "{\"a\": 1}\n{\"a\": 2}\n",
            "\u{feff}{\"personen\": [{\"a\": 1}]}\n{\"personen\": [{\"a\": 2}]}",
        ] {
            assert_eq!(all(text).unwrap(), want, "{text}");
        }
        assert!(all("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_and_not_repeated() {
        for text in ["[{\"a\": 1},\n \"Geheim\" Geheim]", "{\"personen\":\n [{\"a\": \"Geheim", "Geheim", "3"] {
            let error = all(text).unwrap_err();
            assert!(matches!(error, ReadError::Json { line: 1..=2, .. }), "{text}");
            assert!(!error.to_string().contains("Geheim"));
        }
    }

    #[test]
    fn values_are_found_by_path_and_refused_by_path() {
        let value = json!({"naam": {"delen": [{"text": " Jan "}], "code": {"code": "E"}}, "nummer": 5, "ja": true});
        let root = Node::root(&value);
        let parts = root.get("naam.delen").unwrap().list().unwrap();
        assert_eq!(parts[0].get("text").unwrap().text().unwrap(), "Jan");
        assert_eq!(root.get("naam.code").unwrap().text().unwrap(), "E");
        assert_eq!(root.get("nummer").unwrap().text().unwrap(), "5");
        assert_eq!(root.get("nergens.ook.niet").unwrap().text().unwrap(), "");
        let problem = |bad: Bad| (bad.path, bad.problem);
        assert_eq!(problem(root.get("nummer.x").unwrap_err()), ("nummer".into(), Problem::Shape("an object")));
        assert_eq!(problem(root.get("ja").unwrap().text().unwrap_err()), ("ja".into(), Problem::Shape("text")));
        let not_text = parts[0].get("text").unwrap().list().unwrap_err();
        assert_eq!(problem(not_text), ("naam.delen[0].text".into(), Problem::Shape("a list")));
    }
}
