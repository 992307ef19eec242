//! A load that changes another one: records by their reference, added, replaced, removed. It is read with all that it
//! builds on, the newest first: what a later load says of a record counts.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::super::EpochInForce;
use super::super::chunks::{BadLine, Line, each, each_line};
use super::super::decision::store_problem;
use super::super::problem::Problem;
use super::super::wire::{Changes, LoadPlan, RecordLine, Source};
use super::packed::{self, Packed, Said};
use super::source_of;
use crate::code::{RecordRef, leaving_nothing};
use crate::link::{LinkError, Register, RegisterBuilder};
use crate::profile::Profile;
use crate::store::{Load, Store, StoreError};

/// Most loads that are read one behind the other. With a change a day the whole register is sent once a month.
const MOST_PARTS: usize = 32;

/// Why stored records are no register.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Line(#[from] BadLine),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(
        "records that are to be removed are not in the load that this one changes ({0} of them); nothing was changed, \
         send the whole register"
    )]
    NotThere(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A load, read with all that it builds on.
pub(super) struct Read {
    pub register: Register,
    /// Lines of the load itself.
    pub lines: u64,
    /// Of a load of changes.
    pub changes: Option<Changes>,
}

/// Whether a load of changes builds on the load that answers.
pub(super) fn check_base(store: &Store, in_force: &EpochInForce, plan: &LoadPlan) -> Result<(), Problem> {
    let Some(base) = &plan.base else { return Ok(()) };
    let current = if plan.source == Source::Population { &in_force.population } else { &in_force.care };
    if current.as_ref().is_none_or(|current| current.id != *base) {
        let detail = "the load that it changes is not the one that answers: another came in between, or the epoch is \
                      another one; send the whole register";
        return Err(Problem::conflict("load_base", detail));
    }
    if store.parts(base).map_err(|error| store_problem(&error))?.len() >= MOST_PARTS {
        let detail = format!("{MOST_PARTS} loads build on each other; send the whole register once");
        return Err(Problem::conflict("load_parts", detail));
    }
    Ok(())
}

/// Checks a chunk by itself; returns how many lines it has, and how it is kept.
pub(super) fn check(chunk: &[u8], number: usize, profile: &Profile, load: &Load) -> Result<(u32, Vec<u8>), LoadError> {
    let mut builder = RegisterBuilder::new(profile, source_of(load).into());
    let mut kept = Packed::with_room(chunk.len());
    let count = each_line(chunk, number, |line: RecordLine| {
        match (line.removed, load.base) {
            (true, None) => return Err("only a load of changes removes a record".into()),
            (true, Some(_)) if !line.is_bare() => {
                return Err("a record that is removed has nothing but its reference".into());
            }
            _ => {}
        }
        let said = Said::of(line, profile)?;
        kept.push(&said);
        push(said, &mut builder)
    })?;
    Ok((count, kept.into_bytes()))
}

/// What the newest load says of a record, and whether the loads before it have it.
struct Newest {
    removed: bool,
    was_there: Option<bool>,
}

/// Reads a load and all that it builds on.
pub(super) fn read(store: &Store, profile: &Profile, load: &Load) -> Result<Read, LoadError> {
    let mut builder = RegisterBuilder::new(profile, source_of(load).into());
    let (mut newest, mut lines): (HashMap<RecordRef, Newest>, u64) = (HashMap::new(), 0);
    // Records of which a later load than the one that is being read has spoken.
    let mut decided: HashSet<RecordRef> = HashSet::new();
    let parts = store.parts(&load.id)?;
    builder.reserve(parts.iter().map(|part| most_people(store, part, profile)).sum::<Result<_, _>>()?);
    for part in parts {
        let (is_newest, is_whole) = (part.id == load.id, part.base.is_none());
        let mut own = HashSet::new();
        each_chunk(store, &part, profile, |number, chunk| {
            let count = each(chunk, number, |said: Said| {
                let (id, removed) = (said.id(), matches!(said, Said::Gone(_)));
                // In a whole load the builder sees it.
                if !is_whole && !own.insert(id) {
                    return Err("repeats the reference of an earlier record; send each record once".into());
                }
                if is_newest && !is_whole {
                    newest.insert(id, Newest { removed, was_there: None });
                } else if let Some(said) = newest.get_mut(&id) {
                    said.was_there.get_or_insert(!removed);
                }
                if decided.contains(&id) { Ok(()) } else { push(said, &mut builder) }
            })?;
            lines += if is_newest { u64::from(count) } else { 0 };
            Ok(())
        })?;
        decided.extend(own);
    }
    let changes = load.base.map(|_| changes(&newest)).transpose()?;
    Ok(Read { register: builder.finish(), lines, changes })
}

/// People with codes that a load has at most: those of its lines that its chunks have room for.
fn most_people(store: &Store, load: &Load, profile: &Profile) -> Result<usize, StoreError> {
    let bits: usize = profile.passes.iter().map(|pass| pass.code_bits * pass.held(profile)).sum();
    Ok(load.lines.min(store.chunk_bytes(&load.id)? / (bits as u64 / 8).max(1)) as usize)
}

/// The lines of each chunk of a load, in order. All cores open and read them, a chunk or two ahead of whoever takes them.
fn each_chunk(
    store: &Store,
    load: &Load,
    profile: &Profile,
    mut take: impl FnMut(usize, Vec<Line<Said>>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let chunks = store.chunks(&load.id)?;
    let (chunks, count) = (&chunks, chunks.total());
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(count as usize);
    let lines = |number: u32| {
        let lines = packed::read(&chunks.open(number)?, profile);
        lines.ok_or(LoadError::Store(StoreError::Damaged { what: "a chunk" }))
    };
    thread::scope(|scope| {
        let worker = |first: u32| {
            let (sender, receiver) = sync_channel(1);
            // Whoever takes them may have had enough.
            let send = move |number| sender.send(lines(number)).is_ok();
            scope.spawn(move || leaving_nothing(|| (first..count).step_by(cores).all(send)));
            receiver
        };
        let workers: Vec<_> = (0..count).take(cores).map(worker).collect();
        let mut all = (0..count as usize).zip(workers.iter().cycle());
        all.try_for_each(|(number, worker)| take(number, worker.recv().expect("a chunk or an error")?))
    })
}

fn push(said: Said, into: &mut RegisterBuilder) -> Result<(), String> {
    match said {
        Said::There(record) => into.push(record).map_err(|error| error.to_string()),
        Said::Gone(_) => Ok(()),
    }
}

/// What the newest load changes.
///
/// # Errors
/// [`LoadError::NotThere`] if it removes what is not there: then it was made for another register.
fn changes(newest: &HashMap<RecordRef, Newest>) -> Result<Changes, LoadError> {
    let count = |removed: bool, was_there: bool| {
        newest.values().filter(|said| (said.removed, said.was_there == Some(true)) == (removed, was_there)).count()
    };
    match count(true, false) {
        0 => Ok(Changes { added: count(false, false), replaced: count(false, true), removed: count(true, true) }),
        missing => Err(LoadError::NotThere(missing)),
    }
}
