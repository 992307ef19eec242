//! A CSV file into `{"clks": ["base64", ...]}`: one thread reads, several encode, one writes, in the order of the
//! rows and in bounded memory.

use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::batch::{Batch, Row};
use super::problem::{InputError, LineError, Problem, RowError};
use super::rows::Rows;
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
#[derive(Default)]
struct Done {
    /// CLKs as JSON texts with commas between.
    json: Vec<u8>,
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
        let mut first = Batch::default();
        rows.next(1, &mut first).map_err(InputError::Read)?;
        check_header(encoder, &first)?;
    }
    output.write_all(b"{\"clks\": [").map_err(InputError::Write)?;
    let mut sink = Sink { output, rows: 0, lines: Vec::new(), bad: 0, progress };
    match threads.get() {
        1 => run_alone(encoder, rows, &mut sink)?,
        threads => run(encoder, rows, threads, &mut sink)?,
    }
    match sink.finish()? {
        0 if header == Header::Checked => Err(InputError::NoRows),
        0 => Err(InputError::Empty),
        rows => Ok(rows),
    }
}

fn check_header(encoder: &Encoder, batch: &Batch) -> Result<(), InputError> {
    if let Some(broken) = &batch.broken {
        return Err(InputError::HeaderRow(broken.clone()));
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

/// One batch after the other on this thread, in the same memory.
fn run_alone<R: BufRead, W: Write, P: FnMut(u64, u64)>(
    encoder: &Encoder,
    mut rows: Rows<R>,
    sink: &mut Sink<W, P>,
) -> Result<(), InputError> {
    let (mut worker, mut batch, mut done) = (encoder.worker(), Batch::default(), Done::default());
    while rows.next(BATCH_ROWS, &mut batch).map_err(InputError::Read)? {
        encode(&mut worker, &batch, &mut done);
        sink.take(&mut done)?;
        if batch.broken.is_some() {
            break;
        }
    }
    Ok(())
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
        let mut batch = Batch::default();
        if !rows.next(BATCH_ROWS, &mut batch)? {
            break;
        }
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
        let mut done = Done::default();
        encode(&mut worker, &batch, &mut done);
        if answer.send(done).is_err() {
            break;
        }
    }
}

/// Takes what the threads made, in the order in which the batches were given.
fn write<W: Write, P: FnMut(u64, u64)>(from: Vec<Receiver<Done>>, sink: &mut Sink<W, P>) -> Result<(), InputError> {
    for lane in from.iter().cycle() {
        // The first lane that is closed and empty would have had the next batch.
        let Ok(mut done) = lane.recv() else { break };
        sink.take(&mut done)?;
    }
    Ok(())
}

/// Makes the CLKs of a batch in memory that was used before.
fn encode(worker: &mut Worker, batch: &Batch, done: &mut Done) {
    done.json.clear();
    (done.rows, done.read) = (batch.len() as u64, batch.read);
    let text = batch.text();
    for row in batch.rows() {
        match clk(worker, row, text) {
            Ok(clk) => write_json(clk, &mut done.json),
            Err(row_error) => done.errors.push(LineError { line: row.line, row: row_error }),
        }
    }
    done.errors.extend(batch.broken.clone());
}

/// `text` is the batch's, if all of it is UTF-8.
fn clk<'w>(worker: &'w mut Worker, row: Row, text: Option<&str>) -> Result<&'w [u8], RowError> {
    if let Some(text) = text {
        return worker.encode(row.texts(text));
    }
    let mut values = Vec::with_capacity(row.len());
    for (at, value) in row.values().enumerate() {
        let text = std::str::from_utf8(value);
        values.push(text.map_err(|_| RowError { column: Some(at + 1), problem: Problem::Encoding })?);
    }
    worker.encode(values.into_iter())
}

/// Adds a CLK to others.
fn write_json(clk: &[u8], json: &mut Vec<u8>) {
    json.extend_from_slice(if json.is_empty() { b"\"" } else { b", \"" });
    let start = json.len();
    json.resize(start + clk.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(clk, &mut json[start..]).expect("base64 makes four signs of each three bytes");
    json.push(b'"');
}

struct Sink<'a, W, P> {
    output: &'a mut W,
    rows: u64,
    lines: Vec<LineError>,
    bad: u64,
    progress: P,
}

impl<W: Write, P: FnMut(u64, u64)> Sink<'_, W, P> {
    fn take(&mut self, done: &mut Done) -> Result<(), InputError> {
        self.bad += done.errors.len() as u64;
        let room = MOST_LINES - self.lines.len();
        self.lines.extend(done.errors.drain(..).take(room));
        // After a bad line the rest is only looked through.
        if self.bad == 0 {
            let between: &[u8] = if self.rows == 0 { b"" } else { b", " };
            let all = self.output.write_all(between).and_then(|()| self.output.write_all(&done.json));
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
