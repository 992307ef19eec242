//! Every operation of the interface: its route, and what the document says of it. One table, so that nothing is served
//! that is not documented, and nothing documented that is not served.

mod asking;

use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::wire::law::{Activate, Confirmed, OpenTap, Pending, ProposalView, RegulationTexts, StepView};
use super::wire::{
    Activation, Ending, Envelope, EpochView, Expired, HoldView, LoadBegun, LoadCommit, LoadPlan, LoadReport, LoadView,
    LogPage, NewEpoch, NewHold, RecordLine, Resealed, SealedShare, SourceReport, Stock, SubjectQuestion, SubjectView,
};
use super::{epochs, four_eyes, laws, loads, log, retention, stock, subject};
use crate::audit::Receipt;

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
    pub query: Option<Shape>,
    pub takes: Option<Shape>,
    /// Most bytes of its body, where it is not the usual number.
    pub most_bytes: Option<usize>,
    pub gives: Answers,
    /// Statuses of refusals besides those that every operation of its kind has.
    pub refuses: &'static [u16],
    /// Whether an `Idempotency-Key` makes it safe to send again.
    pub keyed: bool,
}

/// A type of the interface, as the document shows it.
pub(super) struct Shape {
    pub media: &'static str,
    /// Of a component of the document; others are written where they are used.
    name: Option<String>,
    pub schema: fn() -> RefOr<Schema>,
    /// All components that it needs, itself included.
    pub all: fn() -> Vec<(String, RefOr<Schema>)>,
    list: bool,
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

impl Shape {
    pub(super) fn of<T: ToSchema>() -> Self {
        let all = || {
            let mut all = vec![(T::name().into_owned(), T::schema())];
            T::schemas(&mut all);
            all
        };
        Self { media: JSON, name: Some(T::name().into_owned()), schema: T::schema, all, list: false }
    }

    /// A list of these.
    fn list<T: ToSchema>() -> Self {
        Self { list: true, ..Self::of::<T>() }
    }

    /// One of these a line.
    fn lines<T: ToSchema>() -> Self {
        Self { media: LINES, ..Self::of::<T>() }
    }

    /// A form that has no name in the document.
    pub(super) fn plain<T: PartialSchema>() -> Self {
        Self { media: JSON, name: None, schema: T::schema, all: Vec::new, list: false }
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
struct Text;
struct Bytes;

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
        let keyed = method != Method::GET;
        let gives = Answers { status: 204, about: "Done", shape: None };
        let (id, tag, summary) = ("", "", "");
        let (query, takes, most_bytes, refuses) = (None, None, None, &[][..]);
        Self { path, method, route, id, tag, summary, query, takes, most_bytes, gives, refuses, keyed }
    }

    fn is(self, id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self { id, tag, summary, ..self }
    }

    fn takes<T: ToSchema>(self) -> Self {
        Self { takes: Some(Shape::of::<T>()), ..self }
    }

    fn takes_lines<T: ToSchema>(self) -> Self {
        // A part that is sent again replaces the first, without a key.
        Self { takes: Some(Shape::lines::<T>()), keyed: false, ..self }
    }

    fn asks<T: ToSchema>(self) -> Self {
        Self { query: Some(Shape { name: None, all: Vec::new, ..Shape::of::<T>() }), ..self }
    }

    fn gives(self, about: &'static str, shape: Shape) -> Self {
        Self { gives: Answers { status: 200, about, shape: Some(shape) }, ..self }
    }

    /// It is taken, and done behind the answer.
    fn accepts(self, about: &'static str, shape: Shape) -> Self {
        Self { gives: Answers { status: 202, about, shape: Some(shape) }, ..self }
    }

    fn gives_text(self, about: &'static str) -> Self {
        self.gives(about, Shape { media: "text/plain; charset=utf-8", ..Shape::plain::<Text>() })
    }

    fn gives_bytes(self, about: &'static str) -> Self {
        self.gives(about, Shape { media: "application/octet-stream", ..Shape::plain::<Bytes>() })
    }

    fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }

    fn bytes(self, most: usize) -> Self {
        Self { most_bytes: Some(most), ..self }
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

fn post<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::POST, web::post().to(handler))
}

fn put<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::PUT, web::put().to(handler))
}

fn delete<F, Args>(path: &'static str, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Operation::new(path, Method::DELETE, web::delete().to(handler))
}

/// Whether an `Idempotency-Key` means something at this path, written as actix has it, with `/v1`.
pub(super) fn is_keyed(method: &Method, path: &str) -> bool {
    static KEYED: LazyLock<Vec<(Method, &str)>> = LazyLock::new(|| {
        operations().into_iter().filter(|operation| operation.keyed).map(|one| (one.method, one.path)).collect()
    });
    let path = path.strip_prefix("/v1").unwrap_or(path);
    KEYED.iter().any(|(keyed, at)| keyed == method && *at == path)
}

/// The table.
pub(super) fn operations() -> Vec<Operation> {
    [asking::questions(), asking::batches(), about_loads(), about_epochs(), about_regulations(), about_the_log()]
        .into_iter()
        .flatten()
        .collect()
}

fn about_loads() -> Vec<Operation> {
    const TAG: &str = "loads";
    vec![
        post("/loads", loads::begin)
            .is("beginLoad", TAG, "Begins a load: what is going to be loaded")
            .takes::<LoadPlan>()
            .gives("The load's name, and how large a chunk may be", Shape::of::<LoadBegun>())
            .refuses(&[404, 409]),
        get("/loads/{load}", loads::view)
            .is("getLoad", TAG, "A load in progress: which of its chunks are there")
            .gives("The load", Shape::of::<LoadView>())
            .refuses(&[409]),
        put("/loads/{load}/chunks/{number}", loads::put_chunk)
            .is("putChunk", TAG, "Sends a chunk of a load; the same one again replaces the first")
            .takes_lines::<RecordLine>()
            .gives("The chunk is kept", Shape::of::<super::wire::ChunkKept>())
            .refuses(&[409]),
        post("/loads/{load}/commit", loads::commit)
            .is("commitLoad", TAG, "Makes a complete load the one that answers")
            .takes::<LoadCommit>()
            .gives("What was loaded, and how well it can be linked", Shape::of::<LoadReport>())
            .refuses(&[409]),
        put("/stock", stock::register)
            .is("registerStock", TAG, "Proposes the addresses that a corporation lets")
            .takes::<Stock>()
            .gives("What the municipality's privacy officer has to confirm", Shape::of::<Pending>())
            .refuses(&[404, 409]),
    ]
}

fn about_epochs() -> Vec<Operation> {
    const TAG: &str = "epochs";
    let epoch = || Shape::of::<EpochView>();
    vec![
        post("/epochs", epochs::announce)
            .is("announceEpoch", TAG, "Announces an epoch")
            .takes::<NewEpoch>()
            .gives("The epoch", epoch())
            .refuses(&[404, 409]),
        get("/epochs/{epoch}", epochs::view).is("getEpoch", TAG, "One epoch").gives("The epoch", epoch()),
        get("/epochs/{epoch}/reports", epochs::reports)
            .is("getReports", TAG, "How well the loads that answer can be linked; reading it is recorded")
            .gives("A report a source", Shape::list::<SourceReport>())
            .refuses(&[409]),
        put("/epochs/{epoch}/share", epochs::contribute)
            .is("contributeShare", TAG, "A custodian's sealed share of the salt")
            .takes::<SealedShare>()
            .gives("The share is kept", Shape::of::<Receipt>())
            .refuses(&[409]),
        get("/epochs/{epoch}/shares", epochs::shares)
            .is("getShares", TAG, "All sealed shares, for a participant to open")
            .gives("The shares by contributor", Shape::of::<Envelope>())
            .refuses(&[409]),
        put("/epochs/{epoch}/participants/{oin}", epochs::reseal)
            .is("putParticipant", TAG, "Every share, sealed again for a party that joins or has a new key")
            .takes::<Resealed>()
            .gives("The shares are kept", Shape::of::<Receipt>())
            .refuses(&[409]),
        post("/epochs/{epoch}/activate", epochs::activate)
            .is("activateEpoch", TAG, "Cuts over to a loaded epoch")
            .takes::<Activation>()
            .gives("The epoch", epoch())
            .refuses(&[409]),
        post("/epochs/{epoch}/retire", epochs::retire)
            .is("retireEpoch", TAG, "Proposes to let an epoch answer no more")
            .gives("What a second person has to confirm", Shape::of::<Ending>())
            .refuses(&[409]),
        post("/epochs/{epoch}/abort", epochs::abort)
            .is("abortEpoch", TAG, "Proposes to end an epoch that never answered")
            .gives(
                "What a second person has to confirm, or the signed record of an end that came",
                Shape::of::<Ending>(),
            )
            .refuses(&[409]),
        post("/epochs/{epoch}/destroy", epochs::destroy)
            .is("destroyEpoch", TAG, "Proposes to destroy an epoch whose grace has ended")
            .gives(
                "What a second person has to confirm, or the signed record of an end that came",
                Shape::of::<Ending>(),
            )
            .refuses(&[409]),
    ]
}

fn about_regulations() -> Vec<Operation> {
    const TAG: &str = "regulations";
    vec![
        get("/regulations/{regulation}", laws::view)
            .is("getRegulation", TAG, "The version in force, and all before it")
            .gives("Texts, signatures and history", Shape::of::<RegulationTexts>())
            .refuses(&[409]),
        post("/regulations/{regulation}/activate", laws::activate)
            .is("activateRegulation", TAG, "Proposes to put the signed version into force")
            .takes::<Activate>()
            .gives("What a second person has to confirm", Shape::of::<Pending>())
            .refuses(&[409]),
        get("/regulations/{regulation}/steps", laws::steps)
            .is("getSteps", TAG, "The agreed steps of a stage and an answer; no person involved")
            .asks::<laws::Standing>()
            .gives("The steps", Shape::list::<StepView>())
            .refuses(&[409, 422]),
        post("/regulations/{regulation}/taps", four_eyes::open_tap)
            .is("openTap", TAG, "Proposes to open a tap that probing closed")
            .takes::<OpenTap>()
            .gives("What a second person has to confirm", Shape::of::<Pending>())
            .refuses(&[409]),
        get("/proposals", four_eyes::waiting)
            .is("getProposals", TAG, "Acts that wait for a second person")
            .gives("Those of the caller's regulations", Shape::list::<ProposalView>()),
        post("/proposals/{proposal}/confirm", four_eyes::confirm)
            .is("confirmProposal", TAG, "Confirms somebody else's act: then it is done")
            .gives("It is done", Shape::of::<Confirmed>())
            .refuses(&[409, 422]),
    ]
}

fn about_the_log() -> Vec<Operation> {
    const TAG: &str = "access-log";
    vec![
        post("/access-log/subjects", subject::pseudonym)
            .is("getSubject", TAG, "How the log calls the households of an address")
            .takes::<SubjectQuestion>()
            .gives("The pseudonym", Shape::of::<SubjectView>())
            .refuses(&[404, 409]),
        get("/access-log/checkpoint", log::checkpoint)
            .is("getCheckpoint", TAG, "The newest checkpoint")
            .gives_text("A signed note (C2SP)")
            .refuses(&[409]),
        get("/access-log/entries", log::entries)
            .is("getEntries", TAG, "A page of entries; reading it is recorded")
            .asks::<log::From>()
            .gives("Up to 1,000 entries and a checkpoint that covers them", Shape::of::<LogPage>())
            .refuses(&[404, 409]),
        get("/access-log/proofs/{index}", log::proof)
            .is("getProof", TAG, "Proof that an entry is in the log")
            .gives_text("c2sp.org/tlog-proof")
            .refuses(&[409]),
        get("/access-log/consistency", log::consistency)
            .is("getConsistency", TAG, "Proof that the log extends an older one")
            .asks::<log::Old>()
            .gives_text("Proof lines, an empty line, the checkpoint (c2sp.org/tlog-witness)")
            .refuses(&[404, 409, 422]),
        get("/access-log/tile/{kind}/{place:.*}", log::tile)
            .is("getTile", TAG, "A tile of hashes, or a bundle of entries")
            .gives_bytes("c2sp.org/tlog-tiles")
            .refuses(&[409, 410]),
        post("/access-log/expire", retention::expire)
            .is("expireEntries", TAG, "Deletes contents that are due, now")
            .gives("What was deleted", Shape::of::<Expired>())
            .refuses(&[409]),
        get("/access-log/holds", retention::holds)
            .is("getHolds", TAG, "Entries that keep their contents beyond their time")
            .gives("The holds", Shape::list::<HoldView>())
            .refuses(&[409]),
        post("/access-log/holds", retention::hold)
            .is("hold", TAG, "Keeps contents beyond their time")
            .takes::<NewHold>()
            .gives("The hold", Shape::of::<HoldView>())
            .refuses(&[409]),
        delete("/access-log/holds/{hold}", retention::release)
            .is("releaseHold", TAG, "Ends a hold")
            .gives("The hold that ended", Shape::of::<HoldView>())
            .refuses(&[409]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_something_where_something_is_written_and_nowhere_else() {
        assert!(is_keyed(&Method::POST, "/v1/loads") && is_keyed(&Method::DELETE, "/v1/access-log/holds/{hold}"));
        for (method, path) in [
            (Method::PUT, "/v1/loads"),
            (Method::GET, "/v1/ping"),
            (Method::PUT, "/v1/loads/{load}/chunks/{number}"),
            (Method::POST, "/v1/nothing"),
        ] {
            assert!(!is_keyed(&method, path), "{method} {path}");
        }
    }
}
