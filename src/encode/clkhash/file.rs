//! A CSV file into `{"clks": ["base64", ...]}`: one thread reads, several encode, one writes, in the order of the
//! rows and in bounded memory.

use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::{InputError, LineError, Problem, RowError};
use super::rows::{Batch, Row, Rows};
use super::{Encoder, Worker};

/// Rows that a thread takes at a time.
const BATCH_ROWS: usize = 1024;
/// Batches that wait before and behind each thread.
const WAITING: usize = 2;
/// Bad lines that one report names; all are counted.
const MOST_LINES: usize = 20;

/// Whether the first line names the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It does, and must be the identifiers of the schema in their order.
    Checked,
    /// It is a row already.
    Absent,
}

/// What a thread made of a batch.
struct Done {
    /// CLKs as JSON texts with commas between.
    json: String,
    rows: u64,
    read: u64,
    errors: Vec<LineError>,
}

/// Writes the CLKs of a file and gives their number. `progress` is told the bytes that were read and the rows that
/// were encoded. What was written before an error is not to be kept.
///
/// # Errors
/// [`InputError`]: with all bad lines counted and the first twenty named, if any is bad.
pub fn encode_file(
    encoder: &Encoder,
    input: impl BufRead + Send,
    header: Header,
    threads: NonZeroUsize,
    output: &mut impl Write,
    progress: impl FnMut(u64, u64),
) -> Result<u64, InputError> {
    let mut rows = Rows::new(input).map_err(InputError::Read)?;
    if header == Header::Checked {
        check_header(encoder, rows.next(1).map_err(InputError::Read)?)?;
    }
    output.write_all(b"{\"clks\": [").map_err(InputError::Write)?;
    let mut sink = Sink { output, rows: 0, lines: Vec::new(), bad: 0, progress };
    run(encoder, rows, threads.get(), &mut sink)?;
    match sink.finish()? {
        0 if header == Header::Checked => Err(InputError::NoRows),
        0 => Err(InputError::Empty),
        rows => Ok(rows),
    }
}

fn check_header(encoder: &Encoder, batch: Option<Batch>) -> Result<(), InputError> {
    let batch = batch.ok_or(InputError::Empty)?;
    if let Some(broken) = batch.broken {
        return Err(InputError::HeaderRow(broken));
    }
    let columns = &encoder.columns;
    let row = batch.rows().next().ok_or(InputError::Empty)?;
    if row.len() != columns.len() {
        return Err(InputError::HeaderLength { want: columns.len(), got: row.len() });
    }
    match row.values().zip(columns).position(|(value, column)| value != column.identifier.as_bytes()) {
        Some(at) => Err(InputError::Header { column: at + 1 }),
        None => Ok(()),
    }
}

/// Batches go round the threads and come back in the same round, so that no order is lost.
fn run<R: BufRead + Send, W: Write, P: FnMut(u64, u64)>(
    encoder: &Encoder,
    mut rows: Rows<R>,
    threads: usize,
    sink: &mut Sink<W, P>,
) -> Result<(), InputError> {
    thread::scope(|scope| {
        let (mut to, mut from) = (Vec::new(), Vec::new());
        for _ in 0..threads {
            let (give, take) = sync_channel::<Batch>(WAITING);
            let (answer, answered) = sync_channel::<Done>(WAITING);
            to.push(give);
            from.push(answered);
            scope.spawn(move || work(encoder, &take, &answer));
        }
        let reader = scope.spawn(move || read(&mut rows, &to));
        let written = write(from, sink);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(read.map_err(InputError::Read))
    })
}

fn read<R: BufRead>(rows: &mut Rows<R>, to: &[SyncSender<Batch>]) -> std::io::Result<()> {
    for lane in to.iter().cycle() {
        let Some(batch) = rows.next(BATCH_ROWS)? else { break };
        let last = batch.broken.is_some();
        // A lane is closed when nobody wants its batches any more.
        if lane.send(batch).is_err() || last {
            break;
        }
    }
    Ok(())
}

fn work(encoder: &Encoder, take: &Receiver<Batch>, answer: &SyncSender<Done>) {
    let mut worker = encoder.worker();
    for batch in take {
        if answer.send(encode(&mut worker, &batch)).is_err() {
            break;
        }
    }
}

/// Takes what the threads made, in the order in which the batches were given.
fn write<W: Write, P: FnMut(u64, u64)>(from: Vec<Receiver<Done>>, sink: &mut Sink<W, P>) -> Result<(), InputError> {
    for lane in from.iter().cycle() {
        // The first lane that is closed and empty would have had the next batch.
        let Ok(done) = lane.recv() else { break };
        sink.take(done)?;
    }
    Ok(())
}

fn encode(worker: &mut Worker, batch: &Batch) -> Done {
    let mut done = Done { json: String::new(), rows: 0, read: batch.read, errors: Vec::new() };
    for row in batch.rows() {
        done.rows += 1;
        match clk(worker, row) {
            Ok(clk) => {
                done.json.push_str(if done.json.is_empty() { "\"" } else { ", \"" });
                STANDARD.encode_string(clk, &mut done.json);
                done.json.push('"');
            }
            Err(row_error) => done.errors.push(LineError { line: row.line, row: row_error }),
        }
    }
    done.errors.extend(batch.broken.clone());
    done
}

fn clk(worker: &mut Worker, row: Row) -> Result<Vec<u8>, RowError> {
    let mut values = Vec::with_capacity(row.len());
    for (at, value) in row.values().enumerate() {
        let text = std::str::from_utf8(value);
        values.push(text.map_err(|_| RowError { column: Some(at + 1), problem: Problem::Encoding })?);
    }
    worker.clk(values.into_iter())
}

struct Sink<'a, W, P> {
    output: &'a mut W,
    rows: u64,
    lines: Vec<LineError>,
    bad: u64,
    progress: P,
}

impl<W: Write, P: FnMut(u64, u64)> Sink<'_, W, P> {
    fn take(&mut self, done: Done) -> Result<(), InputError> {
        self.bad += done.errors.len() as u64;
        let room = MOST_LINES - self.lines.len();
        self.lines.extend(done.errors.into_iter().take(room));
        // After a bad line the rest is only looked through.
        if self.bad == 0 {
            let between: &[u8] = if self.rows == 0 { b"" } else { b", " };
            let all = self.output.write_all(between).and_then(|()| self.output.write_all(done.json.as_bytes()));
            all.map_err(InputError::Write)?;
        }
        self.rows += done.rows;
        (self.progress)(done.read, self.rows);
        Ok(())
    }

    fn finish(self) -> Result<u64, InputError> {
        if self.bad > 0 {
            return Err(InputError::Lines { lines: self.lines, total: self.bad });
        }
        self.output.write_all(b"]}\n").map_err(InputError::Write)?;
        Ok(self.rows)
    }
}
