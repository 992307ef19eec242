//! The interface's OpenAPI document, built from the table of operations that the service routes by and from the types
//! that it reads and writes.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web::Bytes;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::Header;
use utoipa::openapi::info::{ContactBuilder, InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Content, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::codes::CODES;
use super::operation::{Answers, Operation, Shape};
use super::operations::operations;
use super::wire::ProblemBody;
use crate::config::Documentation;
use crate::ids::{BatchId, EpochId, LoadId, Oin, ProposalId, RegulationId};

/// Groups of operations, as the document's pages show them.
const TAGS: [(&str, &str); 5] = [
    ("questions", "Does this household get priority care?"),
    ("loads", "What the answers rest on: registers, care lists, housing stocks"),
    ("epochs", "Salts, from their announcement to their destruction"),
    ("regulations", "What the parties agreed, and acts that need two people"),
    ("access-log", "What was asked and answered, for privacy officers"),
];

/// What every request can meet with; what a body, a path or an operation can meet with besides.
const ALWAYS: [u16; 9] = [400, 403, 406, 414, 417, 429, 431, 500, 503];
const OF_A_BODY: [u16; 4] = [408, 413, 415, 422];
const OF_A_KEY: [u16; 3] = [409, 413, 422];

/// The document, OpenAPI 3.1, as this service is reached and by whom it is run.
#[must_use]
pub fn document(of: &Documentation) -> OpenApi {
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    let mut of_type = |shape: &Shape| schemas.extend((shape.all)());
    of_type(&Shape::of::<ProblemBody>());
    let mut paths = PathsBuilder::new();
    for operation in operations() {
        let shapes = operation.takes.iter().chain(&operation.query).chain(operation.gives.shape());
        shapes.for_each(&mut of_type);
        let item = utoipa::openapi::PathItem::new(method(&operation.method), describe(&operation));
        paths = paths.path(template(operation.path), item);
    }
    for shape in path_types() {
        of_type(&shape.1);
    }
    name_codes(&mut schemas);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme(
        "clientCertificate",
        SecurityScheme::MutualTls { description: Some(TLS.into()), deprecated: None, extensions: None },
    );
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    OpenApiBuilder::new()
        .info(info(of))
        .servers(Some([ServerBuilder::new().url(or(&of.server, "https://voorrang.example:8443/v1")).build()]))
        .paths(paths.build())
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new("clientCertificate", Vec::<String>::new())]))
        .tags(Some(tags))
        .build()
}

/// The document's text. It is the same for everybody, and no answer holds a copy.
#[derive(Clone)]
pub(super) struct Published(pub Bytes);

impl Published {
    pub(super) fn new(of: &Documentation) -> Self {
        Self(document(of).to_json().expect("the document has a JSON form").into())
    }
}

/// What was configured, else an example.
fn or<'a>(given: &'a str, example: &'a str) -> &'a str {
    if given.is_empty() { example } else { given }
}

/// The codes that a problem may have. It is no closed list: a client takes one that it does not know by its status.
fn name_codes(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let Some(RefOr::T(Schema::Object(problem))) = schemas.get_mut(&*ProblemBody::name()) else { return };
    let Some(RefOr::T(Schema::Object(code))) = problem.properties.get_mut("code") else { return };
    let codes: Vec<&str> = CODES.iter().map(|one| one.code).collect();
    code.extensions = Some(ExtensionsBuilder::new().add("x-extensible-enum", codes).build());
}

const TLS: &str =
    "Mutual TLS. The caller is the organisation whose OIN stands in the certificate's subject.serialNumber.";

const ABOUT: &str = "Does a household in rent arrears get priority care? Custodians and corporations send codes, made on \
their own machines with a salt that this service never has; it answers one word, and every decision is in a verifiable \
access log before the answer leaves.\n\nErrors are problem documents (RFC 9457) with a stable `code`. Times are UTC. \
Changes and what becomes of old versions: docs/api.md of the project.";

fn info(of: &Documentation) -> utoipa::openapi::Info {
    let contact = ContactBuilder::new()
        .name(Some(or(&of.contact_name, "Whoever runs this service")))
        .url(Some(or(&of.contact_url, "https://example.org/voorrang")))
        .email(Some(or(&of.contact_email, "voorrang@example.org")));
    let licence = LicenseBuilder::new().name("EUPL-1.2").identifier(Some("EUPL-1.2"));
    InfoBuilder::new()
        .title("Voorrang")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .contact(Some(contact.build()))
        .license(Some(licence.build()))
        .build()
}

fn describe(operation: &Operation) -> utoipa::openapi::path::Operation {
    let mut about = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .tag(operation.tag)
        .summary(Some(operation.summary))
        .description(Some(in_words(operation)))
        .extensions(Some(ExtensionsBuilder::new().add("x-roles", operation.by).build()));
    let mut statuses: Vec<u16> = ALWAYS.iter().chain(operation.refuses).copied().collect();
    for (name, shape) in path_parameters(operation.path) {
        about = about.parameter(parameter(name, ParameterIn::Path, Required::True, shape.place()));
        statuses.push(404);
    }
    for (name, required, schema) in operation.query.iter().flat_map(query_parameters) {
        about = about.parameter(parameter(&name, ParameterIn::Query, required, schema));
    }
    if operation.keyed {
        about = about.parameter(idempotency_key());
        statuses.extend(OF_A_KEY);
    }
    if let Some(shape) = &operation.takes {
        let body = RequestBodyBuilder::new().required(Some(Required::True));
        about = about.request_body(Some(body.content(shape.media, Content::new(Some(shape.place()))).build()));
        statuses.extend(OF_A_BODY);
    }
    statuses.sort_unstable();
    statuses.dedup();
    about = about.response(operation.gives.status().to_string(), success(&operation.gives));
    for status in statuses {
        about = about.response(status.to_string(), refusal(status));
    }
    about.build()
}

/// Who does it, what they get, and whether it can be sent again.
fn in_words(operation: &Operation) -> String {
    let who = match operation.by {
        [] => "Whoever has a certificate of this service's parties, or of others that it admits.".to_owned(),
        by => format!(
            "In the shipped regulation: {}. An article can refuse, as 403 or as if nothing was there.",
            by.join(", ")
        ),
    };
    let again = if operation.keyed { " Safe to send again under its `Idempotency-Key`." } else { "" };
    format!("{}. {who}{again}", operation.gives.about())
}

fn success(answers: &Answers) -> Response {
    let mut response = ResponseBuilder::new().description(answers.about()).header("API-Version", version());
    if let Some(shape) = answers.shape() {
        response = response.content(shape.media, Content::new(Some(shape.place())));
    }
    let place = match answers.status() {
        201 => Some("Where it is"),
        202 => Some("Where its progress is told"),
        _ => None,
    };
    if let Some(place) = place {
        response = response.header("Location", Header::new(text(place)));
    }
    response.build()
}

fn refusal(status: u16) -> Response {
    let reason = actix_web::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let schema = Ref::from_schema_name(ProblemBody::name());
    let mut response = ResponseBuilder::new()
        .description(reason.unwrap_or_default())
        .header("API-Version", version())
        .content("application/problem+json", Content::new(Some(schema)));
    if [429, 503].contains(&status) {
        response = response.header("Retry-After", Header::new(Schema::from(integer("Seconds to wait"))));
    }
    response.build()
}

fn version() -> Header {
    Header::new(text("Version of the interface that answers"))
}

fn text(about: &str) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).description(Some(about)).into()
}

fn integer(about: &str) -> utoipa::openapi::Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some(about)).build()
}

fn parameter(name: &str, place: ParameterIn, required: Required, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).build()
}

fn idempotency_key() -> Parameter {
    let about = "The same key with the same body is done once and answered alike, for a day, also when an answer was \
                 lost; with another body it is refused.";
    let form = ObjectBuilder::new().schema_type(Type::String).pattern(Some(super::key::FORM));
    let built = parameter("Idempotency-Key", ParameterIn::Header, Required::False, Schema::from(form.build()).into());
    ParameterBuilder::from(built).description(Some(about)).build()
}

/// The members of a query's shape, as parameters.
fn query_parameters(shape: &Shape) -> Vec<(String, Required, RefOr<Schema>)> {
    let RefOr::T(Schema::Object(object)) = (shape.schema)() else { return Vec::new() };
    let required = |name: &String| if object.required.contains(name) { Required::True } else { Required::False };
    object.properties.iter().map(|(name, schema)| (name.clone(), required(name), schema.clone())).collect()
}

/// What the parts of paths are, by name.
fn path_types() -> [(&'static str, Shape); 11] {
    [
        ("batch", Shape::of::<BatchId>()),
        ("epoch", Shape::of::<EpochId>()),
        ("load", Shape::of::<LoadId>()),
        ("regulation", Shape::of::<RegulationId>()),
        ("proposal", Shape::of::<ProposalId>()),
        ("oin", Shape::of::<Oin>()),
        ("number", Shape::plain::<Chunk>()),
        ("index", Shape::plain::<Index>()),
        ("hold", Shape::plain::<Index>()),
        ("kind", Shape::plain::<TileKind>()),
        ("place", Shape::plain::<TilePlace>()),
    ]
}

fn path_parameters(path: &'static str) -> Vec<(&'static str, Shape)> {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let named = named.map(|name| name.split(':').next().unwrap_or(name));
    let shape = |name| path_types().into_iter().find(|(known, _)| *known == name);
    named.map(|name| shape(name).expect("the table of path types has every name of a path")).collect()
}

macro_rules! path_word {
    ($name:ident, $schema:expr) => {
        struct $name;
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Schema::from($schema).into()
            }
        }
    };
}

path_word!(Chunk, ObjectBuilder::from(integer("Number of a chunk, from 0")).maximum(Some(u32::MAX)).build());
path_word!(
    Index,
    ObjectBuilder::from(integer("Number of an entry or a hold")).maximum(Some(9_007_199_254_740_991_u64)).build()
);
path_word!(TileKind, ObjectBuilder::new().schema_type(Type::String).pattern(Some("^([0-7]|entries)$")).build());
path_word!(
    TilePlace,
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r"^(x[0-9]{3}/){0,4}[0-9]{3}(\.p/[1-9][0-9]{0,2})?$"))
        .description(Some("Tile number of c2sp.org/tlog-tiles; its slashes are not encoded"))
        .build()
);

/// A path as the document writes it: without what a part must look like.
fn template(path: &str) -> String {
    let part = |part: &str| {
        if part.starts_with('{') {
            format!("{}}}", part.trim_end_matches('}').split(':').next().unwrap_or(part))
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}
