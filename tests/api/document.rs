//! Holds whatever the tests exchange with the service against its own OpenAPI document.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};
use voorrang::answer::openapi;
use voorrang::config::Documentation;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(openapi::document(&Documentation::default())).unwrap());

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<jsonschema::Validator>>>> = LazyLock::new(Mutex::default);

/// The document.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// Paths of the document, each with its methods in capitals.
pub fn paths() -> Vec<(&'static str, Vec<String>)> {
    let methods = |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    DOCUMENT["paths"].as_object().unwrap().iter().map(|(path, item)| (path.as_str(), methods(item))).collect()
}

/// The documented operation that a request is of.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.strip_prefix("/v1")?.split('?').next()?;
    let fits = |template: &str| {
        // The last part of a tile's path has slashes of its own.
        let parts: Vec<_> = template.split('/').collect();
        let most = if template.ends_with("/{place}") { parts.len() } else { usize::MAX };
        let given: Vec<_> = path.splitn(most, '/').collect();
        parts.len() == given.len()
            && parts.iter().zip(given).all(|(part, given)| part.starts_with('{') || *part == given)
    };
    let (_, item) = DOCUMENT["paths"].as_object()?.iter().find(|(template, _)| fits(template))?;
    item.get(method.to_lowercase())
}

/// Whether a value fits a schema of the document; why not.
pub fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let validator = {
        let mut known = VALIDATORS.lock().unwrap();
        let build = || {
            let root = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
            Arc::new(options.should_validate_formats(true).build(&root).unwrap())
        };
        known.entry(schema.to_string()).or_insert_with(build).clone()
    };
    validator.validate(value).map_err(|error| format!("{} at {}", error, error.instance_path()))
}

/// Fails where a response is not one that the document has, or a request that was accepted is none.
#[track_caller]
pub fn check(method: &str, path: &str, sent: &[u8], status: u16, media: Option<&str>, body: &[u8]) {
    let Some(operation) = operation(method, path) else { return };
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{method} {path}: the document has no {status}");
    let media = media.unwrap_or_default().split(';').next().unwrap();
    let content = response["content"].as_object().into_iter().flatten();
    let schema =
        content.filter(|(kind, _)| kind.split(';').next() == Some(media)).map(|(_, content)| &content["schema"]).next();
    match schema {
        Some(schema) if media == "application/x-ndjson" => {
            for line in body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let value = serde_json::from_slice(line).unwrap();
                fits(schema, &value).unwrap_or_else(|why| panic!("{method} {path} {status}: {why}"));
            }
        }
        Some(schema) if media.ends_with("json") => {
            let value = serde_json::from_slice(body).unwrap();
            fits(schema, &value).unwrap_or_else(|why| panic!("{method} {path} {status}: {why}"));
        }
        Some(_) => {}
        None => assert!(body.is_empty(), "{method} {path} {status}: the document has no body of {media}"),
    }
    let asked = &operation["requestBody"]["content"]["application/json"]["schema"];
    if status < 300 && asked.is_object() {
        // `null` stands for the defaults where a body has no member that must be there.
        let value: Value = serde_json::from_slice(sent).unwrap();
        let value = if value.is_null() { json!({}) } else { value };
        fits(asked, &value).unwrap_or_else(|why| panic!("{method} {path}: accepted, but {why}"));
    }
}
