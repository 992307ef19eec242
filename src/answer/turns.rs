//! Whose turn it is. Questions that wait together are looked for in one pass over a register, and whoever comes then
//! waits for its end: so of one party a pass has a few, however many it asks at once, and another party waits for no
//! more than that. What is no question, a chunk or a page of results, has turns of its own: of one party it leaves half
//! of the cores to others.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::aside::aside;
use super::problem::Problem;
use crate::ids::Oin;

/// Questions of one party at once, for each core: more fill a core no better, and make every pass longer.
const QUESTIONS: usize = 2;

/// What is under way, by party.
#[derive(Debug)]
pub(super) struct Turns {
    each: usize,
    of: Mutex<HashMap<Oin, Arc<Semaphore>>>,
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

impl Turns {
    /// For questions that are decided.
    pub(super) fn of_questions() -> Self {
        Self::of(QUESTIONS * cores())
    }

    /// For work that reads or seals what is no question.
    pub(super) fn of_work() -> Self {
        Self::of((cores() / 2).max(1))
    }

    /// So many of one party at once.
    pub(super) fn of(each: usize) -> Self {
        Self { each, of: Mutex::default() }
    }

    /// A party's turn, which ends when this is dropped. Those of one party go in the order in which they came.
    pub(super) async fn take(&self, party: &Oin) -> OwnedSemaphorePermit {
        let own = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            // Who has nothing under way is forgotten.
            of.retain(|_, own| Arc::strong_count(own) > 1);
            of.entry(party.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
        };
        own.acquire_owned().await.expect("nobody closes it")
    }
}

impl App {
    /// Does work of a party off the threads that answer, when its turn has come.
    ///
    /// # Errors
    /// The service is stopping.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        party: &Oin,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.working.take(party).await;
        aside(work).await.map_err(|_| Problem::unavailable("the service is stopping"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[actix_web::test]
    async fn a_party_waits_for_its_own_turns_only_and_is_forgotten_behind_them() {
        let turns = Turns::of(2);
        let [greedy, other] = ["00000099000000004001", "00000099000000004002"].map(|oin| oin.parse::<Oin>().unwrap());
        let first = turns.take(&greedy).await;
        let _second = turns.take(&greedy).await;
        let soon = Duration::from_millis(50);
        assert!(timeout(soon, turns.take(&greedy)).await.is_err(), "it has both");
        assert!(timeout(soon, turns.take(&other)).await.is_ok(), "another party");
        drop(first);
        assert!(timeout(soon, turns.take(&greedy)).await.is_ok());
        assert_eq!(turns.of.lock().unwrap().len(), 1, "who has none is forgotten");
    }
}
