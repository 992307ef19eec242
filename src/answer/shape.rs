//! What is wrong with a body, all of it at once: held against the document's own schema, told by place and reason,
//! never by value. Only bodies that could not be read come here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::error::TypeKind;
use jsonschema::{Draft, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use utoipa::ToSchema;

use super::openapi;
use super::wire::Fault;

/// Faults that are told of one body; who has more mends these first.
const MOST: usize = 50;

/// Values of a body of which all faults are looked for. The validator collects every fault before it tells the first,
/// some 2 KB each; of a larger body only the place is told where reading it ended.
const MOST_VALUES: usize = 20_000;
static ALONE: Mutex<()> = Mutex::new(());

/// The document, and the names of its members: no other text of a body is repeated.
static DOCUMENT: LazyLock<(Value, BTreeSet<String>)> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi::document()).expect("the document has a JSON form");
    let mut names = BTreeSet::new();
    members(&document["components"]["schemas"], &mut names);
    members(&document["paths"], &mut names);
    (document, names)
});

fn members(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            // A parameter is a member of its query.
            into.extend(map.get("in").and(map.get("name")).and_then(Value::as_str).map(str::to_owned));
            into.extend(
                map.get("properties").and_then(Value::as_object).into_iter().flat_map(|all| all.keys().cloned()),
            );
            map.values().for_each(|inner| members(inner, into));
        }
        Value::Array(list) => list.iter().for_each(|inner| members(inner, into)),
        _ => {}
    }
}

/// Schemas that were needed before.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Option<Arc<Validator>>>>> = LazyLock::new(Mutex::default);

fn validator<T: ToSchema>() -> Option<Arc<Validator>> {
    let mut known = VALIDATORS.lock().unwrap_or_else(|broken| broken.into_inner());
    let build = || {
        let root = serde_json::json!({ "allOf": [T::schema()], "components": DOCUMENT.0["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&root).ok().map(Arc::new)
    };
    known.entry(T::name().into_owned()).or_insert_with(build).clone()
}

/// Everything that is wrong with a body, where it is JSON at all and not too large for that.
pub(super) fn faults_of_body<T: ToSchema>(body: &[u8]) -> Vec<Fault> {
    // In front of every value but the first stands one of these, so there are no more values than this.
    let values = body.iter().filter(|byte| b"[{:,".contains(byte)).count();
    if values > MOST_VALUES {
        return Vec::new();
    }
    // Another one waits, so that many bad bodies at once are no more than one.
    let _alone = ALONE.lock().unwrap_or_else(|broken| broken.into_inner());
    serde_json::from_slice(body).map(|value| faults::<T>(&value, "body")).unwrap_or_default()
}

/// That a parameter is there more than once, if the document knows it.
pub(super) fn twice(parameter: &str) -> Option<Fault> {
    let known = DOCUMENT.1.contains(parameter);
    let pointer = format!("/{parameter}");
    known.then(|| Fault { within: "query".into(), pointer, detail: "is there more than once".into() })
}

/// Everything in which a JSON value differs from the documented shape; `within` is the part of the request.
pub(super) fn faults<T: ToSchema>(value: &Value, within: &str) -> Vec<Fault> {
    let Some(validator) = validator::<T>() else { return Vec::new() };
    let mut faults: Vec<Fault> = validator.iter_errors(value).take(MOST).map(|error| fault(&error, within)).collect();
    faults.dedup();
    faults
}

fn fault(error: &ValidationError<'_>, within: &str) -> Fault {
    let mut pointer = known_part(error.instance_path().as_str());
    if let ValidationErrorKind::Required { property: Value::String(name) } = error.kind() {
        pointer = format!("{pointer}/{name}");
    }
    Fault { within: within.to_owned(), pointer, detail: reason(error.kind()) }
}

/// The pointer as far as it is made of members that the document names, and of positions.
fn known_part(pointer: &str) -> String {
    let known = |part: &&str| DOCUMENT.1.contains(*part) || part.bytes().all(|b| b.is_ascii_digit());
    pointer.split('/').skip(1).take_while(known).map(|part| format!("/{part}")).collect()
}

/// The reason, out of the schema alone.
fn reason(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Required { .. } => "is missing".into(),
        ValidationErrorKind::AdditionalProperties { .. } => "has a member that does not belong there".into(),
        ValidationErrorKind::Type { kind: TypeKind::Single(one) } => format!("is not of the type {one}"),
        ValidationErrorKind::Type { kind: TypeKind::Multiple(all) } => {
            let all: Vec<String> = all.iter().map(|one| one.to_string()).collect();
            format!("is not of the types {}", all.join(", "))
        }
        ValidationErrorKind::Pattern { pattern } => format!("does not have the form {pattern}"),
        ValidationErrorKind::Format { format } => format!("is no {format}"),
        ValidationErrorKind::Enum { options } => format!("is none of {options}"),
        ValidationErrorKind::Minimum { limit } => format!("is less than {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("is more than {limit}"),
        ValidationErrorKind::MinLength { limit } => format!("is shorter than {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("is longer than {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("has fewer than {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("has more than {limit} items"),
        _ => "is not what the document says".into(),
    }
}
