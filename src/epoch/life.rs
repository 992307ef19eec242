//! The life of an epoch: its states, the steps between them, and which step is possible where.

use std::fmt;
use std::str::FromStr;

/// Where an epoch is in its life. The order is the only one possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Known to all; shares of the salt are being contributed.
    Announced,
    /// The salt is complete; custodians encode and load.
    Loading,
    /// Answers questions.
    Active,
    /// Still answers, until its grace ends.
    Retiring,
    /// Its wrapping key is gone, and with it every copy of its data.
    Destroyed,
}

impl State {
    const ALL: [Self; 5] = [Self::Announced, Self::Loading, Self::Active, Self::Retiring, Self::Destroyed];

    /// The word in the interface and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Loading => "loading",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether stocks are registered and parties let in: where it retires, the next one has them.
    pub fn takes_stocks(self) -> bool {
        matches!(self, Self::Loading | Self::Active)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = NoState;
    fn from_str(text: &str) -> Result<Self, NoState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(NoState)
    }
}

/// A word that is no state of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no state of an epoch")]
pub struct NoState;

/// What can be done to an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The last missing share has come.
    Complete,
    /// It begins to answer.
    Activate,
    /// It stops answering at the end of its grace; once more, and it stops at once.
    Retire,
    /// Its grace has ended: it answers no more.
    FallSilent,
    /// It ends before it ever answered.
    Abort,
    /// It ends after it has answered.
    Destroy,
    /// A tombstone says that it ended, whatever a restored database says.
    Bury,
}

/// A step that is possible. Only [`Step::from`] makes one, so the store can record no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    from: State,
    to: State,
}

impl Move {
    /// The state in which the epoch must still be.
    pub fn from(self) -> State {
        self.from
    }

    /// The state in which it is afterwards.
    pub fn to(self) -> State {
        self.to
    }
}

impl Step {
    /// This step, of an epoch in state `from`.
    ///
    /// # Errors
    /// [`IllegalStep`]: why not, and what to do.
    pub fn from(self, from: State) -> Result<Move, IllegalStep> {
        use State::{Active, Announced, Destroyed, Loading, Retiring};
        let to = match (self, from) {
            (Self::Complete, Announced) => Loading,
            (Self::Activate, Loading) => Active,
            (Self::Retire, Active | Retiring) | (Self::FallSilent, Retiring) => Retiring,
            (Self::Abort, Announced | Loading) | (Self::Destroy, Retiring) => Destroyed,
            (Self::Bury, Announced | Loading | Active | Retiring) => Destroyed,
            (_, Destroyed) => return Err(IllegalStep::Destroyed),
            (Self::Activate, Active) => return Err(IllegalStep::Active),
            (Self::Activate, _) => return Err(IllegalStep::NotLoading(from)),
            (Self::Retire | Self::FallSilent, _) => return Err(IllegalStep::NotActive(from)),
            (Self::Abort, _) => return Err(IllegalStep::Answers(from)),
            (Self::Destroy, _) => return Err(IllegalStep::NotRetiring(from)),
            (Self::Complete, _) => return Err(IllegalStep::SaltComplete(from)),
        };
        Ok(Move { from, to })
    }
}

/// Why a step cannot be taken, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalStep {
    #[error("the epoch is destroyed; announce a new one under another name")]
    Destroyed,
    #[error("the epoch is active already")]
    Active,
    #[error("the epoch is {0}; only one whose custodians have loaded can be activated")]
    NotLoading(State),
    #[error("the epoch is {0} and does not answer; abort it instead")]
    NotActive(State),
    #[error("the epoch is {0}; one that has answered is retired, then destroyed")]
    Answers(State),
    #[error("the epoch is {0}; activate the next one or retire it first, or abort it if it never answered")]
    NotRetiring(State),
    #[error("the epoch is {0}; its salt is complete, and whoever contributed is done: see the epoch's `contributed`")]
    SaltComplete(State),
}

impl IllegalStep {
    /// Stable code for clients and the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Destroyed => "epoch_destroyed",
            Self::Active => "epoch_active",
            Self::NotLoading(_) => "epoch_not_loading",
            Self::NotActive(_) => "epoch_not_active",
            Self::Answers(_) => "epoch_answers",
            Self::NotRetiring(_) => "epoch_not_retiring",
            Self::SaltComplete(_) => "epoch_complete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_their_words() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("sleeping".parse::<State>().is_err());
        assert!(State::Active.takes_stocks() && !State::Retiring.takes_stocks());
    }

    #[test]
    fn no_step_leads_back_and_none_leaves_the_end() {
        for step in
            [Step::Complete, Step::Activate, Step::Retire, Step::FallSilent, Step::Abort, Step::Destroy, Step::Bury]
        {
            for state in State::ALL {
                match step.from(state) {
                    Ok(taken) => assert!(taken.to() >= state && taken.from() == state, "{step:?} {state}"),
                    Err(error) => assert!(!error.to_string().is_empty() && !error.code().is_empty()),
                }
            }
            assert_eq!(step.from(State::Destroyed), Err(IllegalStep::Destroyed));
        }
    }

    #[test]
    fn what_answers_is_destroyed_only_by_way_of_retiring() {
        assert_eq!(Step::Destroy.from(State::Active), Err(IllegalStep::NotRetiring(State::Active)));
        assert_eq!(Step::Abort.from(State::Active), Err(IllegalStep::Answers(State::Active)));
        assert_eq!(Step::Destroy.from(State::Loading), Err(IllegalStep::NotRetiring(State::Loading)));
        assert_eq!(Step::Abort.from(State::Loading).map(Move::to), Ok(State::Destroyed));
        assert_eq!(Step::Activate.from(State::Announced), Err(IllegalStep::NotLoading(State::Announced)));
    }
}
