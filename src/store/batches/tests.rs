use super::super::fixture::{NOW, entry, epoch_id, folder, insert_epoch, oin, open, open_in};
use super::*;
use time::Duration;

fn begin(store: &Store, questions: u32) -> BatchId {
    let new = NewBatch {
        epoch: epoch_id(),
        oin: oin(),
        plan: "{}".into(),
        questions,
        begun_at: NOW,
        expires_at: NOW + Duration::DAY,
    };
    store.write(move |tx| tx.begin_batch(&new)).unwrap().value
}

fn put(store: &Store, id: BatchId, n: u32, questions: u32, plain: &[u8]) -> Result<(), StoreError> {
    let chunk = store.seal_questions(&store.batch(&id).unwrap(), n, questions, plain).unwrap();
    store.write(move |tx| tx.put_questions(&id, &chunk)).map(|written| written.value)
}

fn commit(store: &Store, id: BatchId) -> Result<(), StoreError> {
    let batch = store.batch(&id).unwrap();
    store.write(move |tx| tx.commit_batch(&batch, 2, "{}")).map(|written| written.value)
}

/// Records that question `n` was answered.
fn answer(store: &Store, id: BatchId, n: u32) -> Result<Appended, StoreError> {
    let result = store.result_sealer(&store.batch(&id).unwrap()).unwrap().seal(n, &format!("answer-{n}"), n != 1);
    let written = store.write(move |tx| {
        let appended = tx.append(&entry())?;
        tx.put_result(&id, &result, appended).map(|()| appended)
    });
    written.map(|written| written.value)
}

/// A batch of three questions in two chunks that is being answered.
fn answering(store: &Store) -> BatchId {
    insert_epoch(store);
    let id = begin(store, 3);
    put(store, id, 0, 2, b"one\ntwo\n").unwrap();
    put(store, id, 1, 1, b"three\n").unwrap();
    commit(store, id).unwrap();
    id
}

#[test]
fn an_incomplete_batch_is_not_committed_and_a_committed_one_takes_no_chunk() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = begin(&store, 3);
    put(&store, id, 1, 1, b"three\n").unwrap();
    assert!(matches!(commit(&store, id), Err(StoreError::LoadIncomplete { expected: 3, got: 1 })));
    assert!(matches!(put(&store, id, 0, 3, b"x"), Err(StoreError::LoadOverfull { expected: 3 })));
    put(&store, id, 0, 2, b"one\ntwo\n").unwrap();
    let read = store.batch(&id).unwrap();
    put(&store, id, 0, 2, b"ONE\ntwo\n").unwrap();
    let stale = store.write(move |tx| tx.commit_batch(&read, 2, "{}"));
    assert!(matches!(stale, Err(StoreError::Conflict(_))), "a chunk that came behind the reading was not read");
    commit(&store, id).unwrap();
    assert!(matches!(put(&store, id, 0, 2, b"x"), Err(StoreError::Conflict(_))));
    assert!(matches!(commit(&store, id), Err(StoreError::Conflict(_))));
    let chunks: Vec<_> = store.question_chunks(&store.batch(&id).unwrap()).unwrap().map(Result::unwrap).collect();
    assert_eq!(chunks, [b"ONE\ntwo\n".to_vec(), b"three\n".to_vec()]);
}

#[test]
fn a_question_is_recorded_once_and_survives_a_restart_and_results_come_without_a_gap() {
    let home = folder();
    let store = open(&home);
    let id = answering(&store);
    let first = answer(&store, id, 0).unwrap();
    answer(&store, id, 2).unwrap();
    assert!(matches!(answer(&store, id, 0), Err(StoreError::Conflict(_))));
    assert_eq!(store.entries(0..9).unwrap().len(), 2, "the second time left no entry");
    drop(store);
    let store = open_in(home.path());
    assert_eq!(store.batches_under_way().unwrap(), [id]);
    assert_eq!(store.questions_with_result(&id, 0, 9).unwrap(), [0, 2]);
    let batch = store.batch(&id).unwrap();
    assert_eq!((batch.answered, batch.refused, batch.chunks, batch.households), (2, 0, 2, 2));
    assert_eq!(store.results(&batch, 0, 9).unwrap(), [BatchResult { n: 0, kept: "answer-0".into(), entry: first }]);
    answer(&store, id, 1).unwrap();
    let kept = |from, most| store.results(&batch, from, most).unwrap().into_iter().map(|one| one.n).collect::<Vec<_>>();
    assert_eq!((kept(0, 2), kept(1, 9), kept(3, 9)), (vec![0, 1], vec![1, 2], vec![]));
    assert_eq!((store.batch(&id).unwrap().answered, store.batch(&id).unwrap().refused), (2, 1));
}

#[test]
fn behind_its_end_nothing_is_asked_and_results_stay_until_they_expire() {
    let home = folder();
    let store = open(&home);
    let id = answering(&store);
    answer(&store, id, 0).unwrap();
    let end = |state| store.write(move |tx| tx.end_batch(&id, state, NOW, NOW + Duration::DAY)).unwrap().value;
    assert!(end(BatchState::Cancelled) && !end(BatchState::Done), "an end is one");
    assert!(matches!(answer(&store, id, 1), Err(StoreError::Conflict(_))));
    let sweep = |now| while store.write(move |tx| tx.sweep_batches(now, 1, 1)).unwrap().value {};
    sweep(NOW);
    let batch = store.batch(&id).unwrap();
    assert_eq!((batch.chunks, batch.state, store.results(&batch, 0, 9).unwrap().len()), (0, BatchState::Cancelled, 1));
    sweep(NOW + Duration::DAY);
    assert!(matches!(store.batch(&id), Err(StoreError::NotFound(_))));
    assert_eq!(store.unfinished_batches(&oin()).unwrap(), 0);
}

#[test]
fn a_batch_counts_as_unread_until_it_is_handed_out_without_a_gap_or_expires() {
    let home = folder();
    let store = open(&home);
    let id = answering(&store);
    let unread = |now| store.unread(&epoch_id(), now).unwrap();
    let one = |until| Some(Unread { batches: 1, parties: 1, until });
    assert_eq!(unread(NOW), one(None), "while it is answered");
    for n in 0..3 {
        answer(&store, id, n).unwrap();
    }
    let end = NOW + Duration::DAY;
    store.write(move |tx| tx.end_batch(&id, BatchState::Done, NOW, end)).unwrap();
    assert_eq!((unread(NOW), unread(end)), (one(Some(end)), None));
    for (from, count, left) in [(1, 2, one(Some(end))), (0, 2, one(Some(end))), (2, 1, None), (0, 1, None)] {
        store.write(move |tx| tx.note_read(&id, from, count)).unwrap();
        assert_eq!(unread(NOW), left, "{from} {count}");
    }
    begin(&store, 1);
    assert_eq!(unread(NOW), None, "of what is open nothing is lost");
}

#[test]
fn a_batch_that_is_never_committed_goes_when_its_time_is_over() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = begin(&store, 3);
    put(&store, id, 0, 2, b"one\ntwo\n").unwrap();
    assert_eq!(store.unfinished_batches(&oin()).unwrap(), 1);
    while store.write(move |tx| tx.sweep_batches(NOW + Duration::DAY, 1, 1)).unwrap().value {}
    assert!(matches!(store.batch(&id), Err(StoreError::NotFound(_))));
}

#[test]
fn neither_questions_nor_results_are_on_the_disk_and_none_opens_in_anothers_place() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let ids = [begin(&store, 1), begin(&store, 1)];
    for id in ids {
        put(&store, id, 0, 1, b"a question in the clear").unwrap();
        commit(&store, id).unwrap();
        answer(&store, id, 0).unwrap();
    }
    let [one, two] = ids.map(|id| id.to_string());
    store
        .write(move |tx| {
            tx.db.execute(
                "UPDATE result SET sealed = (SELECT sealed FROM result WHERE batch = ?2) WHERE batch = ?1",
                [&one, &two],
            )?;
            tx.db.execute(
                "UPDATE chunk SET sealed = (SELECT sealed FROM chunk WHERE upload = ?2) WHERE upload = ?1",
                [&one, &two],
            )?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let batch = store.batch(&ids[0]).unwrap();
    assert!(matches!(store.results(&batch, 0, 9), Err(StoreError::Damaged { .. })));
    let chunk = store.question_chunks(&batch).unwrap().next().unwrap();
    assert!(matches!(chunk, Err(StoreError::Damaged { .. })));
    drop(store);
    let bytes = std::fs::read(home.path().join("voorrang.db")).unwrap();
    for secret in ["question in the clear", "answer-0"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}
