//! The operations of those who ask.

use super::super::operation::{Bytes, CARE, CORPORATION, Operation, Shape, TEAM, delete, get, post, put};
use super::super::wire::batches::{BatchBegun, BatchCommit, BatchPlan, BatchView, ResultLine};
use super::super::wire::law::{Batch, BatchAnswers, GroupQuestion, GroupsTold};
use super::super::wire::{Answered, ChunkKept, Question, ServiceView};
use super::super::{batches, documentation, groups, question_batches, questions, service};

const TAG: &str = "questions";

pub(super) fn questions() -> Vec<Operation> {
    vec![
        get("/ping", service::ping).is("ping", TAG, "Nothing but the connection and the certificate"),
        get("/openapi.json", documentation::document)
            .is("getDocument", TAG, "This document")
            .gives("OpenAPI 3.1", Shape::plain::<Bytes>()),
        get("/service", service::view)
            .is("getService", TAG, "What a client needs before its first question")
            .gives("Regulations and epochs of the caller, and the key of the access log", Shape::of::<ServiceView>()),
        post("/priority-questions", questions::ask)
            .is("askPriority", TAG, "Asks about one household")
            .budgeted()
            .by(&[CORPORATION])
            .takes::<Question>()
            .gives("The answer, always equally long, and its receipt", Shape::of::<Answered>())
            .refuses(&[404, 409, 410]),
        post("/priority-batches", batches::ask)
            .is("askPriorities", TAG, "Asks about up to 100 households, answered at once")
            .budgeted()
            .by(&[CORPORATION])
            .takes::<Batch>()
            .bytes(batches::BYTES)
            .gives("The answers, in the order of the questions", Shape::of::<BatchAnswers>())
            .refuses(&[404, 409, 410]),
        post("/group-questions", groups::ask)
            .is("askGroups", TAG, "The care side asks for the groups of a household of a case")
            .budgeted()
            .by(&[CARE, TEAM])
            .takes::<GroupQuestion>()
            .gives("The groups that the caller has a ground for", Shape::of::<GroupsTold>())
            .refuses(&[404, 409, 410]),
    ]
}

pub(super) fn batches() -> Vec<Operation> {
    let batch = || Shape::of::<BatchView>();
    vec![
        post("/question-batches", question_batches::begin)
            .is("beginBatch", TAG, "Begins a batch of up to 500,000 questions, answered in the background")
            .by(&[CORPORATION])
            .takes::<BatchPlan>()
            .accepts("The batch's name, and how large a chunk may be", Shape::of::<BatchBegun>())
            .refuses(&[404, 409, 410]),
        get("/question-batches", question_batches::list)
            .is("getBatches", TAG, "The caller's batches: unfinished ones first, then the newest")
            .gives("Up to 100 batches, without their chunks", Shape::list::<BatchView>()),
        get("/question-batches/{batch}", question_batches::view)
            .is("getBatch", TAG, "How far a batch is")
            .by(&[CORPORATION])
            .gives("The batch", batch())
            .refuses(&[410]),
        put("/question-batches/{batch}/chunks/{number}", question_batches::put_chunk)
            .is("putQuestions", TAG, "Sends a chunk of questions; the same one again replaces the first")
            .by(&[CORPORATION])
            .takes_lines::<Question>()
            .gives("The chunk is kept", Shape::of::<ChunkKept>())
            .refuses(&[409, 410]),
        post("/question-batches/{batch}/commit", question_batches::commit)
            .is("commitBatch", TAG, "Has a complete batch answered")
            .by(&[CORPORATION])
            .takes::<BatchCommit>()
            .gives("The batch", batch())
            .refuses(&[409, 410]),
        get("/question-batches/{batch}/results", question_batches::results)
            .is("getResults", TAG, "What became of the questions so far, in their order")
            .recorded()
            .by(&[CORPORATION])
            .asks::<question_batches::From>()
            .gives("Up to 1,000 lines, each equally long where it is an answer", Shape::lines::<ResultLine>())
            .refuses(&[410]),
        delete("/question-batches/{batch}", question_batches::cancel)
            .is("cancelBatch", TAG, "Ends a batch: what is not asked yet never is, what is answered stays")
            .by(&[CORPORATION])
            .gives("The batch", batch())
            .refuses(&[410]),
    ]
}
