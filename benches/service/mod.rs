//! A running service with a loaded register of invented people, for the benches that ask it.

use std::fs;
use std::path::PathBuf;

use premises::{Asked, CARE, CORPORATION, HOUSEHOLDS, Premises, TOWER};
use voorrang::answer::server::{self, Running};
use voorrang::answer::wire::{Answered, Question};
use voorrang::cli::client::Client;
use voorrang::clock::Clock;
use voorrang::config::Config;

mod premises;

/// A running service with a loaded register, and everything to ask it with.
pub struct Bench {
    _premises: Premises,
    pub service: Running,
    pub asker: Client,
    /// Of tenants who live at their address.
    pub at_home: Vec<Question>,
    /// Of tenants who are not in the register: the whole of it is searched.
    pub unknown: Vec<Question>,
}

impl Bench {
    /// With so many people, or as many as `VOORRANG_BENCH_PERSONS` says, of whom one in `care_every` is on the care list;
    /// the folder of its state; and the care network, which asks for its own group.
    pub fn set_up(persons: usize, care_every: usize) -> anyhow::Result<(Self, PathBuf, Client)> {
        let persons = std::env::var("VOORRANG_BENCH_PERSONS").ok().and_then(|n| n.parse().ok()).unwrap_or(persons);
        let premises = Premises::new()?;
        let config = fs::read_to_string(premises.keys.join("voorrang.toml"))?;
        let mut config = Config::from_parts(&config, "voorrang.toml", &premises.keys, std::iter::empty())?;
        let state = premises.state.clone();
        config.state.clone_from(&state);
        let service = server::start(config, Clock::System)?;
        let port = service.address.port();
        let Asked { at_home, unknown } = premises.fill(port, persons, care_every, TOWER, HOUSEHOLDS)?;
        let asker = Client::open(&premises.party(CORPORATION))?;
        let care = Client::open(&premises.party(CARE))?;
        Ok((Self { _premises: premises, service, asker, at_home, unknown }, state, care))
    }

    pub fn ask(&self, question: &Question) -> Answered {
        self.asker.post("priority-questions", question).expect("the question is answered")
    }
}
