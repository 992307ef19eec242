//! What an operation of the interface is: its path and handler, and what the document says of it.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::shape;
use super::wire::Fault;

/// One method of one path.
pub(super) struct Operation {
    /// Below `/v1`, as actix takes it.
    pub path: &'static str,
    pub method: Method,
    pub route: Route,
    /// Name for generated clients; never reworded.
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// Whom an article of the shipped regulation lets do it; nobody named: whoever has a certificate.
    pub by: &'static [&'static str],
    pub query: Option<Shape>,
    pub takes: Option<Shape>,
    /// Most bytes of its body, where it is not the usual number.
    pub most_bytes: Option<usize>,
    pub gives: Answers,
    /// Statuses of refusals besides those that every operation of its kind has.
    pub refuses: &'static [u16],
    /// Whether an `Idempotency-Key` makes it safe to send again.
    pub keyed: bool,
    /// Whether it counts among what one party has written and recorded a minute.
    pub recorded: bool,
}

pub(super) const ADMINISTRATOR: &str = "administrator";
pub(super) const POPULATION: &str = "population custodian";
pub(super) const CARE: &str = "care custodian";
pub(super) const TEAM: &str = "district team";
pub(super) const CORPORATION: &str = "corporation";
pub(super) const OFFICER: &str = "privacy officer";

/// All of them.
pub(super) const PARTIES: &[&str] = &[ADMINISTRATOR, POPULATION, CARE, TEAM, CORPORATION, OFFICER];

/// A type of the interface, as the document shows it.
pub(super) struct Shape {
    pub media: &'static str,
    /// Of a component of the document; others are written where they are used.
    name: Option<String>,
    pub schema: fn() -> RefOr<Schema>,
    /// All components that it needs, itself included.
    pub all: fn() -> Vec<(String, RefOr<Schema>)>,
    /// All that is wrong with a body that is to be one.
    pub faults: fn(&[u8]) -> Vec<Fault>,
    list: bool,
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

impl Shape {
    pub(super) fn of<T: ToSchema + 'static>() -> Self {
        let all = || {
            let mut all = vec![(T::name().into_owned(), T::schema())];
            T::schemas(&mut all);
            all
        };
        let (name, faults) = (Some(T::name().into_owned()), shape::faults_of_body::<T>);
        Self { media: JSON, name, schema: T::schema, all, faults, list: false }
    }

    /// A list of these.
    pub(super) fn list<T: ToSchema + 'static>() -> Self {
        Self { list: true, ..Self::of::<T>() }
    }

    /// One of these a line.
    pub(super) fn lines<T: ToSchema + 'static>() -> Self {
        Self { media: LINES, ..Self::of::<T>() }
    }

    /// A form that has no name in the document.
    pub(super) fn plain<T: PartialSchema>() -> Self {
        Self { media: JSON, name: None, schema: T::schema, all: Vec::new, faults: |_| Vec::new(), list: false }
    }

    /// As it stands where it is used.
    pub(super) fn place(&self) -> RefOr<Schema> {
        let one = match &self.name {
            Some(name) => Ref::from_schema_name(name).into(),
            None => (self.schema)(),
        };
        if self.list { Schema::from(ArrayBuilder::new().items(one).build()).into() } else { one }
    }
}

/// Text, and bytes that are no text.
pub(super) struct Text;
pub(super) struct Bytes;

impl PartialSchema for Text {
    fn schema() -> RefOr<Schema> {
        Schema::from(ObjectBuilder::new().schema_type(Type::String).build()).into()
    }
}

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        Schema::from(ObjectBuilder::new().schema_type(SchemaType::AnyValue).build()).into()
    }
}

/// What a success answers.
pub(super) struct Answers {
    status: u16,
    about: &'static str,
    shape: Option<Shape>,
}

impl Answers {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn about(&self) -> &'static str {
        self.about
    }

    pub(super) fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }
}

impl Operation {
    fn new(path: &'static str, method: Method, route: Route) -> Self {
        let (keyed, recorded) = (method != Method::GET, method != Method::GET);
        let gives = Answers { status: 204, about: "Done", shape: None };
        let (id, tag, summary, by) = ("", "", "", &[][..]);
        let (query, takes, most_bytes, refuses) = (None, None, None, &[][..]);
        Self { path, method, route, id, tag, summary, by, query, takes, most_bytes, gives, refuses, keyed, recorded }
    }

    pub(super) fn is(self, id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self { id, tag, summary, ..self }
    }

    pub(super) fn by(self, by: &'static [&'static str]) -> Self {
        Self { by, ..self }
    }

    pub(super) fn takes<T: ToSchema + 'static>(self) -> Self {
        Self { takes: Some(Shape::of::<T>()), ..self }
    }

    pub(super) fn takes_lines<T: ToSchema + 'static>(self) -> Self {
        // A part that is sent again replaces the first; all parts have as much as was announced.
        Self { takes: Some(Shape::lines::<T>()), recorded: false, ..self }
    }

    /// Whether its handler looks at the key itself, behind the right to send anything.
    pub(super) fn takes_chunks(&self) -> bool {
        self.takes.as_ref().is_some_and(|shape| shape.media == LINES)
    }

    pub(super) fn asks<T: ToSchema + 'static>(self) -> Self {
        Self { query: Some(Shape { name: None, all: Vec::new, ..Shape::of::<T>() }), ..self }
    }

    pub(super) fn gives(self, about: &'static str, shape: Shape) -> Self {
        Self { gives: Answers { status: 200, about, shape: Some(shape) }, ..self }
    }

    /// Something is there that was not, at the `Location`.
    pub(super) fn creates(self, about: &'static str, shape: Shape) -> Self {
        Self { gives: Answers { status: 201, about, shape: Some(shape) }, ..self }
    }

    /// It is taken, and done behind the answer.
    pub(super) fn accepts(self, about: &'static str, shape: Shape) -> Self {
        Self { gives: Answers { status: 202, about, shape: Some(shape) }, ..self }
    }

    pub(super) fn gives_text(self, about: &'static str) -> Self {
        self.gives(about, Shape { media: "text/plain; charset=utf-8", ..Shape::plain::<Text>() })
    }

    pub(super) fn gives_bytes(self, about: &'static str) -> Self {
        self.gives(about, Shape { media: "application/octet-stream", ..Shape::plain::<Bytes>() })
    }

    pub(super) fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }

    /// A body that asks and changes nothing.
    pub(super) fn reads(self) -> Self {
        Self { keyed: false, recorded: false, ..self }
    }

    /// A question, of which the regulation says how many there may be.
    pub(super) fn budgeted(self) -> Self {
        Self { recorded: false, ..self }
    }

    /// A reading of which each is an entry.
    pub(super) fn recorded(self) -> Self {
        Self { recorded: true, ..self }
    }

    pub(super) fn bytes(self, most: usize) -> Self {
        Self { most_bytes: Some(most), ..self }
    }
}

/// HEAD is GET, recorded and counted as one, and actix leaves the body out of the answer (RFC 9110, 9.3.2).
pub(super) fn head_is_get(request: &mut ServiceRequest) {
    if *request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
}

pub(super) fn get<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::GET, web::get().to(handler))
}

pub(super) fn post<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::POST, web::post().to(handler))
}

pub(super) fn put<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::PUT, web::put().to(handler))
}

pub(super) fn delete<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::DELETE, web::delete().to(handler))
}
