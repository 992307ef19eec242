//! JSON bodies, queries and paths as handlers take them. What is not what the document says is refused with every fault
//! that it has.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Deref;
use std::pin::Pin;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::aside::aside;
use super::key::fault_of_key;
use super::problem::{Problem, json_fault, trace_of};
use super::shape;
use super::wire::Fault;

/// Most bytes of a JSON body, where its resource says nothing else.
pub(super) const BYTES: usize = 1 << 20;

/// A longer body is read beside the event loop, which others wait for.
const AT_ONCE: usize = 64 << 10;

/// Most bytes of the bodies of a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit(pub usize);

/// A JSON body of this shape, asked or answered.
#[derive(Clone, Debug)]
pub(super) struct Json<T>(pub T);

impl<T> Json<T> {
    /// What was read.
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Responder for Json<T> {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

/// What was made, and where it is.
pub(super) fn created(body: &impl Serialize, place: &str) -> HttpResponse {
    HttpResponse::Created().insert_header((LOCATION, format!("/v1/{place}"))).json(body)
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(&request.clone(), payload));
        Box::pin(async move {
            let read = async {
                check_type(&request)?;
                let payload = payload.await.map_err(|_| unread())?;
                let limit = request.app_data::<BodyLimit>().map_or(BYTES, |limit| limit.0);
                let body = whole_body(&request, payload, limit).await?;
                parse(body).await.map(Self).map_err(|problem| problem.and(fault_of_key(request.headers())))
            };
            read.await.map_err(|problem: Problem| problem.traced(trace_of(&request)))
        })
    }
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut parts = kind.split(';').map(|part| part.trim().to_ascii_lowercase());
    let json = parts.next().as_deref() == Some("application/json");
    if json && parts.all(|part| part == "charset=utf-8" || part == "charset=\"utf-8\"") {
        return Ok(());
    }
    let detail = "send Content-Type: application/json, in UTF-8";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail))
}

/// The body, within the bound of its resource.
pub(super) async fn whole_body(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Problem> {
    let large = || too_large(limit);
    let announced = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(large());
    }
    payload.to_bytes_limited(limit).await.map_err(|_| large())?.map_err(|_| unread())
}

pub(super) fn too_large(most: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body may have {most} bytes at most"))
}

fn unread() -> Problem {
    Problem::bad_request("body", "the body could not be read to its end")
}

async fn parse<T: DeserializeOwned + ToSchema + Send + 'static>(body: Bytes) -> Result<T, Problem> {
    if body.len() <= AT_ONCE
        && let Ok(read) = serde_json::from_slice(&body)
        && shape::fits::<T>(&body)
    {
        return Ok(read);
    }
    aside(move || read(&body)).await.map_err(|_| Problem::unavailable("the service is stopping"))?
}

/// What a body says; else what is wrong with it: where reading it ended, and every fault of it.
fn read<T: DeserializeOwned + ToSchema + 'static>(body: &[u8]) -> Result<T, Problem> {
    let (detail, faults) = match serde_json::from_slice(body) {
        Ok(read) if shape::fits::<T>(body) => return Ok(read),
        Ok(_) => ("the body is not what the document says".to_owned(), shape::faults_of_readable::<T>(body)),
        Err(cause) => {
            let detail = format!("the body is not the expected JSON: {}", json_fault(&cause));
            (detail, shape::faults_of_body::<T>(body))
        }
    };
    Err(Problem::bad_request("json", detail).with(faults))
}

/// A query string of this shape.
#[derive(Clone, Debug)]
pub(super) struct Query<T>(pub T);

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (text, detail) = (request.query_string(), "the query parameters are not those of this resource");
        let read = web::Query::<T>::from_query(text).map(|query| Self(query.into_inner()));
        let faults = query_faults::<T>(text);
        std::future::ready(
            read.ok()
                .filter(|_| faults.is_empty())
                .ok_or_else(|| Problem::bad_request("query", detail).with(faults).traced(trace_of(request))),
        )
    }
}

/// Every fault of a query: what looks like a number is one.
fn query_faults<T: ToSchema + 'static>(query: &str) -> Vec<Fault> {
    let Ok(pairs) = web::Query::<Vec<(String, String)>>::from_query(query) else { return Vec::new() };
    let number = |text: &str| text.parse().ok().map(Value::Number);
    let value = |text: String| number(&text).unwrap_or(Value::String(text));
    let (mut members, mut twice) = (Map::new(), BTreeSet::new());
    for (name, text) in pairs.into_inner() {
        if members.insert(name.clone(), value(text)).is_some() {
            twice.insert(name);
        }
    }
    let twice = twice.iter().filter_map(|name| shape::twice(name));
    twice.chain(shape::faults::<T>(&Value::Object(members), "query")).collect()
}

/// A number of a path in its one spelling: no sign, no zeros before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<T>(pub T);

impl<'de, T: FromStr + Display> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok().filter(|number: &T| number.to_string() == text);
        number.map(Self).ok_or_else(|| D::Error::custom("a number is written in digits, without zeros before it"))
    }
}

/// actix's own refusals of a path.
pub(super) fn path_error(_: actix_web::error::PathError, request: &HttpRequest) -> actix_web::Error {
    let detail =
        "a part of the path does not have its form, so nothing is there; the document says which form each has";
    Problem::not_found("path", detail).traced(trace_of(request)).into()
}
