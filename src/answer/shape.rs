//! Whether a request is what the document says, and what is wrong with it, all of it at once: held against the document's
//! own schema, told by place and reason, never by value.

use std::any::TypeId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, JsonType, PatternOptions, ValidationError, Validator};
use serde_json::Value;
use utoipa::ToSchema;

use super::openapi;
use super::wire::{Fault, Question};
use crate::config::Documentation;

/// Faults that are told of one body; who has more mends these first.
pub(super) const MOST: usize = 50;

/// Values of a body of which all faults are looked for. The validator collects every fault before it tells the first,
/// some 2 KB each; of a larger body that could be read the first is told, of another the place where reading it ended.
const MOST_VALUES: usize = 20_000;

/// A longer body is looked at alone: its values take many times its bytes. Others wait, so that many are no more than one.
const SHORT: usize = 64 << 10;
static ALONE: Mutex<()> = Mutex::new(());

/// The document, and the names of its members: no other text of a body is repeated.
static DOCUMENT: LazyLock<(Value, BTreeSet<String>)> = LazyLock::new(|| {
    let document =
        serde_json::to_value(openapi::document(&Documentation::default())).expect("the document has a JSON form");
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
static VALIDATORS: LazyLock<Mutex<HashMap<TypeId, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn validator<T: ToSchema + 'static>() -> Arc<Validator> {
    let mut known = VALIDATORS.lock().unwrap_or_else(|broken| broken.into_inner());
    let build = || {
        let root = serde_json::json!({ "allOf": [T::schema()], "components": DOCUMENT.0["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        // None of the patterns needs more, and this engine's time is bounded.
        let options = options.with_pattern_options(PatternOptions::regex());
        Arc::new(options.build(&root).expect("the document's schemas are schemas"))
    };
    known.entry(TypeId::of::<T>()).or_insert_with(build).clone()
}

/// Makes ready what the first question would have to wait for.
pub(super) fn prepare() {
    validator::<Question>();
}

/// Whether a body that could be read is what the document says.
pub(super) fn fits<T: ToSchema + 'static>(body: &[u8]) -> bool {
    let _alone = alone(body);
    serde_json::from_slice(body).is_ok_and(|value| validator::<T>().is_valid(&value))
}

/// Everything that is wrong with a body, where it is JSON at all and not too large for that.
pub(super) fn faults_of_body<T: ToSchema + 'static>(body: &[u8]) -> Vec<Fault> {
    if is_large(body) {
        return Vec::new();
    }
    let _alone = alone(body);
    serde_json::from_slice(body).map(|value| faults::<T>(&value, "body")).unwrap_or_default()
}

/// The same of a body that could be read; of a large one the first fault.
pub(super) fn faults_of_readable<T: ToSchema + 'static>(body: &[u8]) -> Vec<Fault> {
    if !is_large(body) {
        return faults_of_body::<T>(body);
    }
    let _alone = alone(body);
    let first = |value| validator::<T>().validate(&value).map_err(|error| told(&error, "body")).err();
    serde_json::from_slice(body).ok().and_then(first).unwrap_or_default()
}

fn is_large(body: &[u8]) -> bool {
    // In front of every value but the first stands one of these, so there are no more values than this.
    body.iter().filter(|byte| b"[{:,".contains(byte)).count() > MOST_VALUES
}

fn alone(body: &[u8]) -> Option<MutexGuard<'static, ()>> {
    (body.len() > SHORT).then(|| ALONE.lock().unwrap_or_else(|broken| broken.into_inner()))
}

/// That a parameter is there more than once, if the document knows it.
pub(super) fn twice(parameter: &str) -> Option<Fault> {
    DOCUMENT.1.contains(parameter).then(|| Fault::of("query", &format!("/{parameter}"), "is there more than once"))
}

/// Everything in which a JSON value differs from the documented shape; `within` is the part of the request.
pub(super) fn faults<T: ToSchema + 'static>(value: &Value, within: &str) -> Vec<Fault> {
    let validator = validator::<T>();
    let mut faults: Vec<Fault> =
        validator.iter_errors(value).flat_map(|error| told(&error, within)).take(MOST).collect();
    faults.dedup();
    faults
}

/// An error as it is told. Of a value that may be absent, what is wrong with the one that is there.
fn told(error: &ValidationError<'_>, within: &str) -> Vec<Fault> {
    let is_null = |error: &ValidationError<'_>| {
        matches!(error.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::Null) })
    };
    if let ValidationErrorKind::OneOfNotValid { context } = error.kind()
        && let [branch] = context.iter().filter(|branch| !branch.iter().any(is_null)).collect::<Vec<_>>()[..]
    {
        return branch.iter().flat_map(|error| told(error, within)).collect();
    }
    let mut pointer = known_part(error.instance_path().as_str());
    if let ValidationErrorKind::Required { property: Value::String(name) } = error.kind() {
        pointer = format!("{pointer}/{name}");
    }
    vec![Fault::of(within, &pointer, &reason(error.kind()))]
}

/// The pointer as far as it is made of members that the document names, and of positions, which are short: a longer number
/// may be somebody's, written as a member.
fn known_part(pointer: &str) -> String {
    let is_position = |part: &str| part.len() <= 6 && part.bytes().all(|b| b.is_ascii_digit());
    let known = |part: &&str| DOCUMENT.1.contains(*part) || is_position(part);
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
        ValidationErrorKind::MinProperties { limit } => format!("has fewer than {limit} members"),
        _ => "is not what the document says".into(),
    }
}
