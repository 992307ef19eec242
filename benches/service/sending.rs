//! Batches of questions, as the benches send them.

use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use voorrang::answer::wire::batches::{BatchBegun, BatchCommit, BatchPlan, BatchView};
use voorrang::answer::wire::{ChunkKept, Question};
use voorrang::audit::Hash;
use voorrang::cli::client::Client;

/// Lines of a batch, a chunk at a time: those of a large one are gigabytes.
pub fn chunks(questions: &[&Question], most_bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let lines = questions.iter().map(|question| serde_json::to_vec(question).expect("plain data have a JSON form"));
    let mut lines = lines.peekable();
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        while let Some(line) = lines.next_if(|line| chunk.is_empty() || chunk.len() + line.len() < most_bytes) {
            chunk.extend_from_slice(&line);
            chunk.push(b'\n');
        }
        (!chunk.is_empty()).then_some(chunk)
    })
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
    let mut sent = 0;
    for chunk in chunks(questions, chunk_bytes) {
        let sum: [u8; 32] = digest(&SHA256, &chunk).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let _kept: ChunkKept = client.put_lines(&format!("{place}/chunks/{sent}"), &chunk, &Hash::from(sum))?;
        sent += 1;
    }
    let commit = BatchCommit { chunks: sent };
    let _view: BatchView = client.post(&format!("{place}/commit"), &commit)?;
    Ok(place)
}

/// Waits until so many of a committed batch are answered, or it is done; how many are.
pub fn wait(client: &Client, place: &str, until: usize) -> anyhow::Result<usize> {
    loop {
        let view: BatchView = client.get(place)?;
        let answered = view.answered as usize;
        if view.state != "answering" || answered >= until {
            anyhow::ensure!(answered >= until, "{answered} of {until} were answered");
            return Ok(answered);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fetches the results, each once and in order.
pub fn fetch(client: &Client, place: &str, questions: usize) -> anyhow::Result<()> {
    let mut fetched = 0;
    while fetched < questions {
        let page = client.get_text(&format!("{place}/results?from={fetched}"))?;
        anyhow::ensure!(!page.is_empty(), "{fetched} of {questions} have results");
        for line in page.lines() {
            let number = line.strip_prefix(&format!("{{\"number\":{fetched},"));
            anyhow::ensure!(number.is_some(), "the result of number {fetched} is not in its place");
            fetched += 1;
        }
    }
    Ok(())
}

/// Sends, waits, fetches; how long each took.
pub fn batch(client: &Client, questions: &[&Question]) -> anyhow::Result<[Duration; 3]> {
    let started = Instant::now();
    let place = send(client, questions)?;
    let sent = started.elapsed();
    wait(client, &place, questions.len())?;
    let answered = started.elapsed();
    fetch(client, &place, questions.len())?;
    Ok([sent, answered - sent, started.elapsed() - answered])
}
