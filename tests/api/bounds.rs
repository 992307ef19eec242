//! Every constraint of every request body of the document, broken by a body of its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::{document, fits};
use super::interface::filled;
use super::support::*;

/// What `$ref` stands for.
fn resolved(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(place) => resolved(document().pointer(place.trim_start_matches('#')).unwrap()),
        None => schema,
    }
}

/// What a value that may be absent is where it is there.
fn there(schema: &Value) -> Option<&Value> {
    schema["oneOf"].as_array()?.iter().find(|branch| branch["type"] != "null")
}

fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")).unwrap(),
        kind => kind.as_str().unwrap_or_default(),
    }
}

/// A value that fits.
fn good(schema: &Value) -> Value {
    let schema = resolved(schema);
    if let Some(schema) = there(schema) {
        return good(schema);
    }
    let list = |one: &Value| Value::Array(vec![good(one); schema["minItems"].as_u64().unwrap_or(1) as usize]);
    match kind(schema) {
        "object" if schema["additionalProperties"].is_object() => {
            let names = ["00000099000000004001", "names"].map(Value::from);
            let name = names.iter().find(|name| fits(&schema["propertyNames"], name).is_ok()).unwrap();
            json!({ name.as_str().unwrap(): good(&schema["additionalProperties"]) })
        }
        "object" => {
            let members = schema["properties"].as_object().unwrap();
            Value::Object(members.iter().map(|(name, schema)| (name.clone(), good(schema))).collect())
        }
        "array" => list(&schema["items"]),
        "boolean" => json!(true),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(0)),
        _ => {
            let words = [json!("a"), json!("2026-01-01"), json!("0".repeat(32)), json!("0".repeat(64))];
            let given = schema["examples"].as_array().or(schema["enum"].as_array()).into_iter().flatten();
            let all = given.chain(schema.get("example")).chain(&words);
            all.into_iter().find(|word| fits(schema, word).is_ok()).unwrap_or_else(|| panic!("{schema}")).clone()
        }
    }
}

/// Values that break one constraint each: which one, the value, and the pointer that is to be told.
fn broken(schema: &Value, at: &str) -> Vec<(&'static str, Value, String)> {
    let schema = resolved(schema);
    if let Some(schema) = there(schema) {
        return broken(schema, at);
    }
    let here = |name, value| (name, value, at.to_owned());
    let wrong = if kind(schema) == "boolean" { json!("x") } else { json!(true) };
    let mut all = vec![here("type", wrong)];
    for (name, limit) in schema.as_object().unwrap() {
        let number = limit.as_f64().unwrap_or_default();
        let count = limit.as_u64().unwrap_or_default() as usize;
        all.extend(match name.as_str() {
            "minimum" => Some(here("minimum", json!(number - 1.0))),
            "maximum" => Some(here("maximum", json!(number + 1.0))),
            "minLength" => Some(here("minLength", json!("a".repeat(count - 1)))),
            "maxLength" => Some(here("maxLength", json!("a".repeat(count + 1)))),
            "pattern" => Some(here("pattern", json!("!"))),
            "format" if limit == "date" => Some(here("format", json!("2026-13-01"))),
            "enum" => Some(here("enum", json!("surprise"))),
            "minItems" => Some(here("minItems", json!(vec![good(&schema["items"]); count - 1]))),
            "maxItems" => Some(here("maxItems", json!(vec![good(&schema["items"]); count + 1]))),
            "minProperties" => Some(here("minProperties", json!({}))),
            _ => None,
        });
    }
    let whole = good(schema);
    let with = |member: &str, value: Option<Value>| {
        let mut object: Map<String, Value> = whole.as_object().unwrap().clone();
        match value {
            Some(value) => object.insert(member.into(), value),
            None => object.remove(member),
        };
        Value::Object(object)
    };
    if schema["additionalProperties"] == false {
        all.push(here("additionalProperties", with("surprise", Some(json!(1)))));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        all.push(("required", with(name, None), format!("{at}/{name}")));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let inner = broken(inner, &format!("{at}/{name}")).into_iter();
        all.extend(inner.map(|(which, value, pointer)| (which, with(name, Some(value)), pointer)));
    }
    if schema["items"].is_object() {
        let inner = broken(&schema["items"], &format!("{at}/0")).into_iter();
        all.extend(inner.map(|(which, value, pointer)| (which, json!([value]), pointer)));
    }
    if schema["additionalProperties"].is_object() {
        let name = whole.as_object().unwrap().keys().next().unwrap();
        // Names that the document does not have are not repeated.
        let inner = broken(&schema["additionalProperties"], at).into_iter();
        all.extend(inner.map(|(which, value, _)| (which, json!({ name: value }), at.to_owned())));
    }
    all
}

#[test]
fn whatever_constraint_a_body_breaks_it_is_told_by_its_place() {
    // What is refused before it is decided needs no register.
    let house = House::limited(&[("refusals_per_minute_each", 1_000_000)]);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut bodies = 0;
    for (template, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            bodies += 1;
            fits(schema, &good(schema)).unwrap_or_else(|why| panic!("{method} {template}: {why}"));
            let mut line = house.line(CORPORATION);
            for (which, body, pointer) in broken(schema, "") {
                assert!(fits(schema, &body).is_err(), "{method} {template} {which} {pointer}: nothing is broken");
                let reply = line.json(&method.to_uppercase(), &filled(template), &body);
                let told: Vec<_> = reply.is_problem(400, "json").errors.into_iter().map(|one| one.pointer).collect();
                assert!(told.contains(&pointer), "{method} {template} {which} {pointer}: {told:?}");
                *counts.entry(which).or_default() += 1;
            }
        }
    }
    println!("{bodies} bodies, constraints broken: {counts:?}");
    assert!(bodies >= 15 && counts.len() >= 12 && counts.values().sum::<usize>() > 200, "{bodies} {counts:?}");
}
