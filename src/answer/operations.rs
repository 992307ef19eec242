//! Every operation of the interface: its route, and what the document says of it. One table, so that nothing is served
//! that is not documented, and nothing documented that is not served.

mod asking;

use std::sync::LazyLock;

use actix_web::http::Method;

use super::json::BYTES;
use super::operation::{
    ADMINISTRATOR, CARE, CORPORATION, OFFICER, Operation, PARTIES, POPULATION, Shape, TEAM, delete, get, post, put,
};
use super::wire::law::{
    Activate, Confirmed, OpenTap, Pending, ProposalView, RegulationTexts, Standing, StepView, Withdrawn,
};
use super::wire::{
    Activation, BudgetView, Destruction, Ending, Envelope, EpochView, Expired, Fault, HoldView, LoadBegun, LoadCommit,
    LoadPlan, LoadReport, LoadView, LogPage, NewEpoch, NewExport, NewHold, ProcessingActivities, ProcessingQuery,
    RecordLine, Resealed, SealedShare, SourceReport, Stock, SubjectQuestion, SubjectView,
};
use super::{budgets, epochs, four_eyes, laws, loads, log, processing, proposals, retention, stock, subject};
use crate::audit::Receipt;

/// The body of a request under an `Idempotency-Key`.
#[derive(Clone, Copy)]
pub(super) struct Keyed {
    pub most_bytes: usize,
    /// All that is wrong with it.
    pub faults: fn(&[u8]) -> Vec<Fault>,
}

/// What stands under a key at this path, written as actix has it, with `/v1`; nothing where such a key means nothing, or
/// where it is looked at with the chunk that it came with.
pub(super) fn keyed(method: &Method, path: &str) -> Option<Keyed> {
    static KEYED: LazyLock<Vec<(Method, &str, Keyed)>> = LazyLock::new(|| {
        let keyed = operations().into_iter().filter(|operation| operation.keyed && !operation.takes_chunks());
        let body = |one: &Operation| Keyed {
            most_bytes: one.most_bytes.unwrap_or(BYTES),
            faults: one.takes.as_ref().map_or(|_| Vec::new(), |shape| shape.faults),
        };
        keyed.map(|one| (one.method.clone(), one.path, body(&one))).collect()
    });
    let path = path.strip_prefix("/v1").unwrap_or(path);
    KEYED.iter().find(|(keyed, at, _)| keyed == method && *at == path).map(|(_, _, body)| *body)
}

/// Whether what is granted at this path leaves something on the disk that no budget and no announcement bounds.
pub(super) fn is_recorded(method: &Method, path: &str) -> bool {
    static RECORDED: LazyLock<Vec<(Method, &str)>> = LazyLock::new(|| {
        operations().into_iter().filter(|one| one.recorded).map(|one| (one.method, one.path)).collect()
    });
    let path = path.strip_prefix("/v1").unwrap_or(path);
    RECORDED.iter().any(|(recorded, at)| recorded == method && *at == path)
}

/// Whether what is served at this path has no parameter behind a question mark.
pub(super) fn has_no_query(method: &Method, path: &str) -> bool {
    static WITHOUT: LazyLock<Vec<(Method, &str)>> = LazyLock::new(|| {
        operations().into_iter().filter(|one| one.query.is_none()).map(|one| (one.method, one.path)).collect()
    });
    let path = path.strip_prefix("/v1").unwrap_or(path);
    WITHOUT.iter().any(|(without, at)| without == method && *at == path)
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
            .by(&[POPULATION, CARE])
            .takes::<LoadPlan>()
            .creates("The load's name, and how large a chunk may be", Shape::of::<LoadBegun>())
            .refuses(&[404, 409]),
        get("/loads", loads::in_progress)
            .is("getLoads", TAG, "Loads in progress that the caller may go on with")
            .gives("One of each epoch and source at most", Shape::list::<LoadView>()),
        get("/loads/{load}", loads::view)
            .is("getLoad", TAG, "A load in progress: which of its chunks are there")
            .by(&[POPULATION, CARE])
            .gives("The load", Shape::of::<LoadView>())
            .refuses(&[409]),
        put("/loads/{load}/chunks/{number}", loads::put_chunk)
            .is("putChunk", TAG, "Sends a chunk of a load; the same one again replaces the first")
            .by(&[POPULATION, CARE])
            .takes_lines::<RecordLine>()
            .gives("The chunk is kept", Shape::of::<super::wire::ChunkKept>())
            .refuses(&[409]),
        post("/loads/{load}/commit", loads::commit)
            .is("commitLoad", TAG, "Makes a complete load the one that answers")
            .by(&[POPULATION, CARE])
            .takes::<LoadCommit>()
            .gives("What was loaded, and how well it can be linked", Shape::of::<LoadReport>())
            .refuses(&[409]),
        put("/stock", stock::register)
            .is("registerStock", TAG, "Proposes the addresses that a corporation lets")
            .by(&[CORPORATION])
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
            .by(&[ADMINISTRATOR])
            .takes::<NewEpoch>()
            .creates("The epoch", epoch())
            .refuses(&[404, 409]),
        get("/epochs/{epoch}", epochs::view).is("getEpoch", TAG, "One epoch").by(PARTIES).gives("The epoch", epoch()),
        get("/epochs/{epoch}/reports", epochs::reports)
            .is("getReports", TAG, "How well the loads that answer can be linked; reading it is recorded")
            .by(&[OFFICER])
            .gives("A report a source", Shape::list::<SourceReport>())
            .refuses(&[409]),
        put("/epochs/{epoch}/share", epochs::contribute)
            .is("contributeShare", TAG, "A custodian's sealed share of the salt")
            .by(&[POPULATION, CARE])
            .takes::<SealedShare>()
            .gives("The share is kept", Shape::of::<Receipt>())
            .refuses(&[409]),
        get("/epochs/{epoch}/shares", epochs::shares)
            .is("getShares", TAG, "All sealed shares, for a participant to open")
            .by(&[POPULATION, CARE, TEAM, CORPORATION])
            .gives("The shares by contributor", Shape::of::<Envelope>())
            .refuses(&[409]),
        put("/epochs/{epoch}/participants/{oin}", epochs::reseal)
            .is("putParticipant", TAG, "Every share, sealed again for a party that joins or has a new key")
            .by(&[POPULATION, CARE])
            .takes::<Resealed>()
            .gives("The shares are kept", Shape::of::<Receipt>())
            .refuses(&[409]),
        post("/epochs/{epoch}/activate", epochs::activate)
            .is("activateEpoch", TAG, "Cuts over to a loaded epoch")
            .by(&[ADMINISTRATOR])
            .takes::<Activation>()
            .gives("The epoch", epoch())
            .refuses(&[409]),
        post("/epochs/{epoch}/retire", epochs::retire)
            .is("retireEpoch", TAG, "Proposes to let an epoch answer no more")
            .by(&[ADMINISTRATOR])
            .gives("What a second person has to confirm", Shape::of::<Ending>())
            .refuses(&[409]),
        post("/epochs/{epoch}/abort", epochs::abort)
            .is("abortEpoch", TAG, "Proposes to end an epoch that never answered")
            .by(&[ADMINISTRATOR])
            .gives(
                "What a second person has to confirm, or the signed record of an end that came",
                Shape::of::<Ending>(),
            )
            .refuses(&[409]),
        post("/epochs/{epoch}/destroy", epochs::destroy)
            .is("destroyEpoch", TAG, "Proposes to destroy an epoch whose grace has ended")
            .by(&[ADMINISTRATOR])
            .takes::<Destruction>()
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
            .by(PARTIES)
            .gives("Texts, signatures and history", Shape::of::<RegulationTexts>())
            .refuses(&[409]),
        post("/regulations/{regulation}/activate", laws::activate)
            .is("activateRegulation", TAG, "Proposes to put the signed version into force")
            .by(&[ADMINISTRATOR])
            .takes::<Activate>()
            .gives("What a second person has to confirm", Shape::of::<Pending>())
            .refuses(&[409]),
        get("/regulations/{regulation}/steps", laws::steps)
            .is("getSteps", TAG, "The agreed steps of a stage and an answer; no person involved")
            .by(PARTIES)
            .asks::<Standing>()
            .gives("The steps", Shape::list::<StepView>())
            .refuses(&[409, 422]),
        post("/regulations/{regulation}/taps", four_eyes::open_tap)
            .is("openTap", TAG, "Proposes to open a tap that probing closed")
            .by(&[OFFICER])
            .takes::<OpenTap>()
            .gives("What a second person has to confirm", Shape::of::<Pending>())
            .refuses(&[409]),
        get("/proposals", four_eyes::waiting)
            .is("getProposals", TAG, "Acts that wait for a second person")
            .gives("Those of the caller's regulations", Shape::list::<ProposalView>()),
        delete("/proposals/{proposal}", proposals::withdraw)
            .is("withdrawProposal", TAG, "Takes back an act that waits, by the party that proposed it")
            .by(&[ADMINISTRATOR, CORPORATION, OFFICER])
            .gives("It waits no more", Shape::of::<Withdrawn>())
            .refuses(&[409, 410]),
        post("/proposals/{proposal}/confirm", four_eyes::confirm)
            .is("confirmProposal", TAG, "Confirms somebody else's act: then it is done")
            .by(&[ADMINISTRATOR, POPULATION, CARE, TEAM, OFFICER])
            .gives("It is done", Shape::of::<Confirmed>())
            .refuses(&[409, 410, 422]),
    ]
}

fn about_the_log() -> Vec<Operation> {
    const TAG: &str = "access-log";
    vec![
        post("/access-log/subjects", subject::pseudonym)
            .is("getSubject", TAG, "How the log calls the households of an address")
            .by(&[OFFICER])
            .takes::<SubjectQuestion>()
            .gives("The pseudonym", Shape::of::<SubjectView>())
            .refuses(&[404, 409]),
        get("/access-log/checkpoint", log::checkpoint)
            .is("getCheckpoint", TAG, "The newest checkpoint")
            .by(&[OFFICER])
            .gives_text("A signed note (C2SP)")
            .refuses(&[409]),
        get("/access-log/entries", log::entries)
            .is("getEntries", TAG, "A page of entries; reading it is recorded")
            .by(&[OFFICER])
            .asks::<log::From>()
            .gives("Up to 1,000 entries and a checkpoint that covers them", Shape::of::<LogPage>())
            .refuses(&[404, 409]),
        get("/access-log/budgets", budgets::view)
            .is("getBudgets", TAG, "How much each corporation may ask in a month")
            .by(&[OFFICER])
            .gives("The budgets of the epochs that answer", Shape::list::<BudgetView>())
            .refuses(&[409]),
        post("/access-log/exports", log::export)
            .is("announceExport", TAG, "Says that entries leave as files, before they do")
            .by(&[OFFICER])
            .takes::<NewExport>()
            .gives("The receipt of the entry that says so", Shape::of::<Receipt>())
            .refuses(&[409, 422]),
        get("/access-log/proofs/{index}", log::proof)
            .is("getProof", TAG, "Proof that an entry is in the log, for its party and who knows its leaf hash")
            .by(&[OFFICER])
            .asks::<log::Leaf>()
            .gives_text("c2sp.org/tlog-proof")
            .refuses(&[409]),
        get("/access-log/consistency", log::consistency)
            .is("getConsistency", TAG, "Proof that the log extends an older one")
            .by(&[OFFICER])
            .asks::<log::Old>()
            .gives_text("Proof lines, an empty line, the checkpoint (c2sp.org/tlog-witness)")
            .refuses(&[404, 409, 422]),
        get("/access-log/tile/{kind}/{place:.*}", log::tile)
            .is("getTile", TAG, "A tile of hashes, or a bundle of entries")
            .by(&[OFFICER])
            .gives_bytes("c2sp.org/tlog-tiles")
            .refuses(&[409, 410]),
        post("/processing-activities", processing::read)
            .is("readProcessing", TAG, "Records of the Logboek Dataverwerkingen (extension lezen 0.9)")
            .by(&[OFFICER])
            .takes::<ProcessingQuery>()
            .gives("Up to 1,000 records", Shape::of::<ProcessingActivities>())
            .reads()
            .refuses(&[409, 422]),
        post("/access-log/expire", retention::expire)
            .is("expireEntries", TAG, "Deletes contents that are due, now")
            .by(&[OFFICER])
            .gives("What was deleted", Shape::of::<Expired>())
            .refuses(&[409]),
        get("/access-log/holds", retention::holds)
            .is("getHolds", TAG, "Entries that keep their contents beyond their time")
            .by(&[OFFICER])
            .gives("The holds", Shape::list::<HoldView>())
            .refuses(&[409]),
        post("/access-log/holds", retention::hold)
            .is("hold", TAG, "Keeps contents beyond their time")
            .by(&[OFFICER])
            .takes::<NewHold>()
            .creates("The hold", Shape::of::<HoldView>())
            .refuses(&[409]),
        delete("/access-log/holds/{hold}", retention::release)
            .is("releaseHold", TAG, "Ends a hold of the caller's party")
            .by(&[OFFICER])
            .gives("The hold that ended", Shape::of::<HoldView>())
            .refuses(&[409]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_for_where_something_is_written_that_is_no_chunk() {
        let keyed = |method: &Method, path: &str| keyed(method, path).map(|body| body.most_bytes);
        assert_eq!(keyed(&Method::POST, "/v1/loads"), Some(BYTES));
        assert_eq!(keyed(&Method::DELETE, "/v1/access-log/holds/{hold}"), Some(BYTES));
        assert_eq!(keyed(&Method::POST, "/v1/priority-batches"), Some(super::super::batches::BYTES));
        for (method, path) in [
            (Method::PUT, "/v1/loads"),
            (Method::GET, "/v1/ping"),
            (Method::PUT, "/v1/loads/{load}/chunks/{number}"),
            (Method::POST, "/v1/nothing"),
        ] {
            assert_eq!(keyed(&method, path), None, "{method} {path}");
        }
    }
}
