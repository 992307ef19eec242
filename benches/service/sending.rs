//! Batches of questions, as the benches send them.

use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use voorrang::answer::wire::batches::{BatchBegun, BatchCommit, BatchPlan, BatchView};
use voorrang::answer::wire::{ChunkKept, Question};
use voorrang::audit::Hash;
use voorrang::cli::client::Client;

/// Lines of a batch, and those of its chunks.
pub fn chunks(questions: &[&Question], most_bytes: usize) -> Vec<Vec<u8>> {
    let mut chunks = vec![Vec::new()];
    for question in questions {
        let line = serde_json::to_vec(question).expect("plain data have a JSON form");
        if chunks.last().is_some_and(|chunk: &Vec<u8>| chunk.len() + line.len() >= most_bytes) {
            chunks.push(Vec::new());
        }
        let chunk = chunks.last_mut().expect("there is one");
        chunk.extend_from_slice(&line);
        chunk.push(b'\n');
    }
    chunks
}

/// Begins a batch that will have so many questions like this one: where it is, and how large a chunk may be.
pub fn begin(client: &Client, question: &Question, questions: usize) -> anyhow::Result<(String, usize)> {
    let plan = BatchPlan {
        header: question.header.clone(),
        purpose: question.purpose.clone(),
        questions: u32::try_from(questions)?,
    };
    let begun: BatchBegun = client.post("question-batches", &plan)?;
    Ok((format!("question-batches/{}", begun.batch), begun.chunk_bytes))
}

/// Sends a batch and has it answered; where it is.
pub fn send(client: &Client, questions: &[&Question]) -> anyhow::Result<String> {
    let (place, chunk_bytes) = begin(client, questions[0], questions.len())?;
    let chunks = chunks(questions, chunk_bytes);
    for (number, chunk) in chunks.iter().enumerate() {
        let sum: [u8; 32] = digest(&SHA256, chunk).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let _kept: ChunkKept = client.put_lines(&format!("{place}/chunks/{number}"), chunk, &Hash::from(sum))?;
    }
    let commit = BatchCommit { chunks: u32::try_from(chunks.len())? };
    let _view: BatchView = client.post(&format!("{place}/commit"), &commit)?;
    Ok(place)
}

/// Sends, waits, fetches; how long each took.
pub fn batch(client: &Client, questions: &[&Question]) -> anyhow::Result<[Duration; 3]> {
    let started = Instant::now();
    let place = send(client, questions)?;
    let mut view: BatchView = client.get(&place)?;
    let sent = started.elapsed();
    while view.state == "answering" {
        std::thread::sleep(Duration::from_millis(20));
        view = client.get(&place)?;
    }
    let answered = started.elapsed();
    anyhow::ensure!(
        view.answered as usize == questions.len(),
        "{} of {} were answered",
        view.answered,
        questions.len()
    );
    let mut fetched = 0;
    while fetched < questions.len() {
        fetched += client.get_text(&format!("{place}/results?from={fetched}"))?.lines().count();
    }
    Ok([sent, answered - sent, started.elapsed() - answered])
}
