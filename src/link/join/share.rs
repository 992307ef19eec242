//! Work in pieces that threads take without waiting for each other.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::Match;

/// How a piece of work gives matches away; it ends when nobody takes them any more.
pub(super) type Give<'a> = &'a mut dyn FnMut(Vec<Match>) -> ControlFlow<()>;

/// Does all pieces on so many threads, each with something of its own that it keeps between them, and takes what they
/// give on this one. Stops at the first error of `take`.
pub(super) fn share<P: Sync, S: Default, E>(
    pieces: &[P],
    threads: usize,
    work: impl Fn(&mut S, &P, Give<'_>) -> ControlFlow<()> + Sync,
    mut take: impl FnMut(Vec<Match>) -> Result<(), E>,
) -> Result<(), E> {
    if threads == 1 || pieces.len() <= 1 {
        let mut result = Ok(());
        let mut give = |found| {
            result = take(found);
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let mut own = S::default();
        // A break has its reason in the result.
        let _ = pieces.iter().try_for_each(|piece| work(&mut own, piece, &mut give));
        return result;
    }
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (give, given) = sync_channel(2 * threads);
        for _ in 0..threads.min(pieces.len()) {
            let (give, next, work) = (give.clone(), &next, &work);
            scope.spawn(move || {
                let mut give = |found| match give.send(found) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                };
                let mut own = S::default();
                while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if work(&mut own, piece, &mut give).is_break() {
                        return;
                    }
                }
            });
        }
        drop(give);
        // At an error the receiver goes, and with it every thread that still has something to give.
        given.into_iter().try_for_each(take)
    })
}
