//! Seen by strace from outside: no answer leaves before a sync has ended that began behind the write of its entry.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::*;

/// They ask at once, so that their entries share commits.
const CLIENTS: usize = 8;
/// Of each client.
const QUESTIONS: usize = 10;
/// The log's own file: a commit is in it first.
const LOG: &str = "/voorrang.db-wal>";
const SENDS: [&str; 4] = ["write", "writev", "sendto", "sendmsg"];

/// The trace with each send where it began: where another thread's call stands between, its end is a line of its own,
/// and a sync in between would seem to be before it.
fn sends_begun(trace: &str) -> Vec<String> {
    let (mut lines, mut under_way) = (Vec::new(), BTreeMap::new());
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default().to_owned();
        let end = SENDS.iter().find_map(|call| line.split_once(&format!(" {call} resumed>")));
        match end.and_then(|(_, end)| Some((under_way.remove(&thread)?, end))) {
            Some((at, end)) => {
                let begun: &mut String = &mut lines[at];
                *begun = begun.replace("<unfinished ...>", end);
            }
            None => {
                if line.contains("<unfinished") && is_send(line) {
                    under_way.insert(thread, lines.len());
                }
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

fn is_send(line: &str) -> bool {
    SENDS.iter().any(|call| line.contains(&format!(" {call}(")))
}

/// A trace as far as it was read. Commits are told by the size of the checkpoint that each writes.
#[derive(Default)]
struct Order {
    /// In the write-ahead log.
    written: u64,
    /// Behind which a sync has ended that began after the write.
    durable: u64,
    /// By thread, a write of the log under way, and a sync with what was written when it began: where another thread's
    /// call stands between, the line that ends them names no file.
    writing: BTreeMap<String, u64>,
    syncing: BTreeMap<String, u64>,
    /// Socket of each answer, and what was durable when it began to leave.
    sent: Vec<(u64, u64)>,
}

impl Order {
    fn of(trace: &str) -> Self {
        let mut order = Self::default();
        sends_begun(trace).iter().for_each(|line| order.line(line));
        order
    }

    fn line(&mut self, line: &str) {
        let thread = line.split_whitespace().next().unwrap_or_default().to_owned();
        let (of_the_log, begins, resumed) =
            (line.contains(LOG), line.contains("<unfinished"), line.contains("resumed>"));
        if line.contains(" pwrite64") {
            let size =
                if resumed { self.writing.remove(&thread) } else { checkpoint_size(line).filter(|_| of_the_log) };
            match size {
                Some(size) if begins => drop(self.writing.insert(thread, size)),
                Some(size) => self.written = self.written.max(size),
                None => {}
            }
        } else if line.contains(" fdatasync") || line.contains(" fsync") {
            let covers = if resumed { self.syncing.remove(&thread) } else { of_the_log.then_some(self.written) };
            match covers {
                Some(covers) if begins => drop(self.syncing.insert(thread, covers)),
                Some(covers) if line.replace(" (DELAYED)", "").trim_end().ends_with("= 0") => {
                    self.durable = self.durable.max(covers);
                }
                _ => {}
            }
        } else if is_send(line) {
            // An answer is 1,024 bytes and its head; nothing else of that length goes to a client's socket.
            let bytes = line.rsplit_once("= ").and_then(|(_, count)| count.trim().parse::<usize>().ok());
            let socket = line.split_once("[").and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
            self.sent.extend(socket.filter(|_| bytes.is_some_and(|count| count > 1024)).map(|at| (at, self.durable)));
        }
    }
}

/// Of the signed note in a page of the log.
fn checkpoint_size(line: &str) -> Option<u64> {
    let notes = line.split("/access-log\\n").skip(1);
    notes.filter_map(|note| note.split_once("\\n")?.0.parse().ok()).max()
}

#[test]
fn an_answer_leaves_behind_a_sync_that_began_after_its_write() {
    let write =
        "8 pwrite64(9</state/voorrang.db-wal>, \"x\\0a.example/access-log\\n41\\nAAA=\\n\\n\", 4096, 32) = 4096\n";
    let send = "7 write(12<TCP:[5]>, \"\"..., 1500) = 1500\n";
    let durable = |trace: &[&str]| Order::of(&trace.concat()).sent;
    let sync = "8 fdatasync(9</state/voorrang.db-wal>) = 0 (DELAYED)\n";
    assert_eq!(durable(&[write, sync, send]), [(5, 41)]);
    assert_eq!(durable(&[write, send, sync]), [(5, 0)]);
    assert_eq!(durable(&[sync, write, send]), [(5, 0)]);
    // One that began before covers nothing, nor does one of another file, or that failed.
    let (begun, ended) =
        ("8 fdatasync(9</state/voorrang.db-wal> <unfinished ...>\n", "8 <... fdatasync resumed>) = 0\n");
    let other = "6 pwrite64(9</state/voorrang.db-wal>, \"/access-log\\n41\\n\", 4096, 32) = 4096\n";
    assert_eq!(durable(&[begun, other, ended, send]), [(5, 0)]);
    assert_eq!(durable(&[other, begun, ended, send]), [(5, 41)]);
    assert_eq!(durable(&[write, "8 fdatasync(9</state/voorrang.db>) = 0\n", send]), [(5, 0)]);
    assert_eq!(durable(&[write, "8 fdatasync(9</state/voorrang.db-wal>) = -1 EIO (INJECTED)\n", send]), [(5, 0)]);
    assert_eq!(
        durable(&[write, "8 fsync(4</anchor> <unfinished ...>\n", "8 <... fsync resumed>) = 0\n", send]),
        [(5, 0)]
    );
    // It began to leave before the sync ended, though it had not left.
    let (leaves, left) = ("7 write(12<TCP:[5]>, \"\"..., 1500 <unfinished ...>\n", "7 <... write resumed>) = 1500\n");
    assert_eq!(durable(&[write, leaves, sync, left]), [(5, 0)]);
    // Its write had not ended when the sync began.
    let (writes, wrote) = (
        "6 pwrite64(9</state/voorrang.db-wal>, \"/access-log\\n41\\n\" <unfinished ...>\n",
        "6 <... pwrite64 resumed>) = 4096\n",
    );
    assert_eq!(durable(&[writes, begun, wrote, ended, send]), [(5, 0)]);
}

/// In the short form what cannot be traced is left out; the campaign wants it.
fn untraced(why: &str) {
    assert!(std::env::var(super::KILLS).is_err(), "{why}: the campaign traces the order of sync and answer");
    eprintln!("skipped: {why}, so the order of sync and answer was not traced");
}

/// Traces the service, each sync of which takes 10 ms more, so that several wait for one.
fn traced(house: &House) -> Result<Child, &'static str> {
    let strace = Command::new("strace")
        .args(["-f", "-y", "-s", "70000", "-e", "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg"])
        .args(["-e", "inject=fdatasync:delay_enter=10000", "-o"])
        .arg(house.file("trace"))
        .args(["-p", &house.process().to_string()])
        .stderr(Stdio::piped())
        .spawn();
    let mut strace = strace.map_err(|_| "there is no strace here")?;
    let until = Instant::now() + Duration::from_secs(5);
    while !house.file("trace").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    match strace.try_wait().unwrap() {
        Some(_) => Err("strace may not look into another process here"),
        None => Ok(strace),
    }
}

/// The service's socket of a connection, as strace names it.
fn socket(house: &House, line: &Line) -> u64 {
    let port = format!(":{:04X}", line.tls.get_ref().sock.local_addr().unwrap().port());
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", house.process())).unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.get(2).is_some_and(|remote| remote.ends_with(&port)));
    row.expect("the connection is in the table")[9].parse().unwrap()
}

#[test]
fn each_answer_of_eight_clients_leaves_after_the_sync_of_its_entry() {
    let house = House::outside();
    let encoder = house.encoder(EPOCH);
    let questions: Vec<Value> = contracts().iter().map(|contract| value(&encoder, contract)).collect();
    let mut lines: Vec<Line> = (0..CLIENTS).map(|_| house.line(CORPORATION)).collect();
    lines.iter_mut().for_each(|line| drop(line.get("/v1/service")));
    let sockets: Vec<u64> = lines.iter().map(|line| socket(&house, line)).collect();
    let mut strace = match traced(&house) {
        Ok(strace) => strace,
        Err(why) => return untraced(why),
    };
    let sizes: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let questions = &questions;
        let ask = |client: usize, mut line: Line| {
            let ours = questions.iter().cycle().skip(client * QUESTIONS).take(QUESTIONS);
            let size = |question| line.ask(question).answered().receipt.checkpoint.lines().nth(1)?.parse().ok();
            ours.map(size).collect::<Option<Vec<u64>>>().expect("a checkpoint says its size")
        };
        let clients = lines.into_iter().enumerate().map(|(client, line)| scope.spawn(move || ask(client, line)));
        clients.collect::<Vec<_>>().into_iter().map(|client| client.join().unwrap()).collect()
    });
    std::thread::sleep(Duration::from_millis(300));
    let told = Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
    assert!(told.success());
    strace.wait().unwrap();
    let order = Order::of(&String::from_utf8_lossy(&fs::read(house.file("trace")).unwrap()));
    for (socket, sizes) in sockets.iter().zip(&sizes) {
        let durable: Vec<u64> = order.sent.iter().filter(|(at, _)| at == socket).map(|(_, durable)| *durable).collect();
        assert_eq!(durable.len(), sizes.len(), "each answer was seen to leave");
        for (durable, size) in durable.iter().zip(sizes) {
            assert!(durable >= size, "an answer left at {durable} durable entries whose checkpoint has {size}");
        }
    }
    let mut commits: Vec<u64> = sizes.into_iter().flatten().collect();
    let answers = commits.len();
    commits.sort_unstable();
    commits.dedup();
    assert!(commits.len() < answers, "no two answers shared a commit");
    eprintln!("{answers} answers of {CLIENTS} clients, each behind the sync of its entry; {} commits", commits.len());
}
