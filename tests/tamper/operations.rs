//! What whoever runs a service can do to its log, and where. The log's own tests have it in memory, and those of the
//! service in its database.

use time::macros::datetime;
use voorrang::audit::{Action, Actor, Entry, Line, Outcome};

/// What was there when the officer last looked.
pub const REMEMBERED: usize = 600;
/// What is there when she looks again.
pub const NOW: usize = 700;
/// First, middle and last, and both sides of the edge of a tile.
pub const PLACES: [usize; 6] = [0, REMEMBERED / 2, REMEMBERED - 1, 255, 256, 257];

pub type Lines = Vec<Line>;
pub type Operation = (&'static str, fn(&mut Lines, usize));

pub const OPERATIONS: [Operation; 9] = [
    ("edit", |log, at| log[at] = forged(at)),
    ("delete", |log, at| {
        log.remove(at);
    }),
    ("swap", |log, at| log.swap(at, (at + 1) % REMEMBERED)),
    ("swap far", |log, at| log.swap(at, (at + 256) % REMEMBERED)),
    ("insert", |log, at| log.insert(at, forged(at))),
    // Of its neighbour: of itself, the last one remembered would only be appended again.
    ("duplicate", |log, at| log.insert(at, log[at ^ 1].clone())),
    ("cut", |log, at| log.truncate(at)),
    // The same number of entries, others from here on.
    ("fork", |log, at| (at..log.len()).for_each(|later| log[later] = forged(later))),
    // Rolled back, and grown again until nobody misses any.
    ("rollback", |log, at| {
        log.truncate(at);
        (at..NOW).for_each(|later| log.push(forged(later)));
    }),
];

pub fn honest(at: usize) -> Line {
    line(at, Action::Ask)
}

pub fn forged(at: usize) -> Line {
    line(at, Action::Load)
}

fn line(at: usize, action: Action) -> Line {
    let trace = "00112233445566778899aabbccddeeff".parse().unwrap();
    let entry = Entry::new(datetime!(2026-01-15 9:00 UTC), trace, Actor::service(), action, Outcome::Done);
    Line::Entry(Entry { salt: format!("{at:032x}"), ..entry }.to_bytes())
}
