//! Questions that wait for a register at the same time are looked for together, in one pass over it.
//!
//! Whoever comes while a pass is running waits for its end; then one of those who wait takes all of them along. A pass
//! is bound by how fast memory is read, so that company costs next to nothing.

use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard};

/// Those of whom a pass looks for at most so many; one question has no more than [`super::MAX_TENANTS`].
const MOST: usize = 256;

/// Where questions wait. `Q` is somebody who is looked for, `A` what was found of him.
pub(super) struct Desk<Q, A> {
    waiting: Mutex<Vec<Waiting<Q, A>>>,
    turn: Mutex<()>,
}

struct Waiting<Q, A> {
    asked: Vec<Q>,
    tell: Sender<Vec<A>>,
}

impl<Q, A> Desk<Q, A> {
    pub fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()), turn: Mutex::new(()) }
    }

    /// What `pass` finds of each, together with whoever waits as well. Every caller brings the same pass: an answer a
    /// person, in their order.
    ///
    /// # Panics
    /// If a pass panics, everybody whom it looked for does.
    pub fn ask(&self, asked: Vec<Q>, pass: impl Fn(&[&Q]) -> Vec<A>) -> Vec<A> {
        let (tell, told) = channel();
        held(&self.waiting).push(Waiting { asked, tell });
        let _turn = held(&self.turn);
        loop {
            match told.try_recv() {
                Ok(found) => return found,
                Err(TryRecvError::Disconnected) => panic!("the pass that looked for this question failed"),
                Err(TryRecvError::Empty) => serve(self.next(), &pass),
            }
        }
    }

    /// As if a pass were running.
    #[cfg(test)]
    pub fn busy(&self) -> MutexGuard<'_, ()> {
        held(&self.turn)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        held(&self.waiting).is_empty()
    }

    /// The questions of the next pass, those that came first.
    fn next(&self) -> Vec<Waiting<Q, A>> {
        let mut waiting = held(&self.waiting);
        let mut people = 0;
        let fit = waiting.iter().take_while(|one| {
            people += one.asked.len();
            people <= MOST
        });
        let count = fit.count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }
}

fn serve<Q, A>(batch: Vec<Waiting<Q, A>>, pass: impl Fn(&[&Q]) -> Vec<A>) {
    let all: Vec<&Q> = batch.iter().flat_map(|one| &one.asked).collect();
    let mut found = pass(&all).into_iter();
    for one in &batch {
        let own = found.by_ref().take(one.asked.len()).collect();
        // Whoever asked waits for it; nobody is there only if that thread was killed.
        let _ = one.tell.send(own);
    }
}

/// A lock that a panic elsewhere does not take away: what it guards is whole between two statements.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(|broken| broken.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn double(numbers: &[&usize]) -> Vec<usize> {
        numbers.iter().map(|number| *number * 2).collect()
    }

    #[test]
    fn questions_that_wait_together_are_served_in_one_pass_each_with_its_own_answer() {
        const ASKERS: usize = 12;
        let desk = Desk::new();
        let passes = AtomicUsize::new(0);
        thread::scope(|scope| {
            // The first pass ends when all others wait.
            let gate = held(&desk.turn);
            for asker in 0..ASKERS {
                let (desk, passes) = (&desk, &passes);
                scope.spawn(move || {
                    let found = desk.ask(vec![asker, 100 + asker], |all| {
                        passes.fetch_add(1, Ordering::Relaxed);
                        double(all)
                    });
                    assert_eq!(found, [2 * asker, 200 + 2 * asker]);
                });
            }
            while held(&desk.waiting).len() < ASKERS {
                thread::yield_now();
            }
            drop(gate);
        });
        assert_eq!(passes.into_inner(), 1);
    }

    #[test]
    fn a_pass_takes_no_more_people_than_it_may() {
        let desk: Desk<usize, usize> = Desk::new();
        for _ in 0..5 {
            held(&desk.waiting).push(Waiting { asked: vec![0; MOST / 2 - 1], tell: channel().0 });
        }
        assert_eq!([desk.next().len(), desk.next().len(), desk.next().len()], [2, 2, 1]);
    }

    #[test]
    fn a_pass_that_fails_fails_those_whom_it_looked_for_and_nobody_after_them() {
        let desk = Desk::new();
        let failed = thread::scope(|scope| scope.spawn(|| desk.ask(vec![1], |_| panic!("broken"))).join());
        assert!(failed.is_err());
        assert_eq!(desk.ask(vec![2], double), [4]);
    }
}
