//! What the end of an epoch brings about, in words: for who proposes it, who confirms it, and who reads the list.

use time::format_description::well_known::Rfc3339;

use super::super::decision::store_problem;
use super::super::problem::Problem;
use super::super::{App, EpochInForce};
use super::End;
use crate::ids::{EpochId, Oin};
use crate::store::Unread;

impl App {
    /// What comes of this end, if it comes now.
    pub(in super::super) fn effect(&self, in_force: &EpochInForce, end: End) -> Result<String, Problem> {
        let (id, regulation) = (&in_force.epoch.id, &in_force.epoch.regulation);
        Ok(match end {
            End::Retire => {
                let all = self.all_epochs();
                let answers = |one: &&std::sync::Arc<EpochInForce>| {
                    one.epoch.id != *id
                        && one.epoch.regulation == *regulation
                        && one.epoch.answers(self.latest()).is_ok()
                };
                let others: Vec<_> = all.iter().filter(answers).map(|one| one.epoch.id.as_str()).collect();
                if others.is_empty() {
                    format!(
                        "{id} stops answering at once, and NO OTHER EPOCH ANSWERS: no question is answered until the next one is activated"
                    )
                } else {
                    let others = others.join(", ");
                    let only = self.only_told(in_force, &others)?.unwrap_or_default();
                    format!("{id} stops answering at once; {others} goes on answering{only}")
                }
            }
            End::Abort => format!("{id} ends for good before it ever answered, and its shares and loads with it"),
            End::Destroy => {
                let lost = self.unread(id)?.map(|unread| format!("; WITH IT GO {}", told(&unread)));
                format!(
                    "{id} ends for good, and no backup brings it back{}; unless the register holder keeps its salt before \
                     (voorrang epoch fetch {id} --salt-file {id}.salt), nobody can say any more who asked about a person \
                     in it",
                    lost.unwrap_or_default()
                )
            }
        })
    }

    /// Who is answered nowhere else, in words.
    fn only_told(&self, in_force: &EpochInForce, others: &str) -> Result<Option<String>, Problem> {
        let regulation = self.regulation_last_seen(&in_force.epoch.regulation)?;
        let only = self.only_here(&in_force.epoch, &regulation).map_err(|error| store_problem(&error))?;
        let name = |oin: &Oin| Some(format!("{} ({oin})", regulation.party(oin)?.name));
        let names: Vec<_> = only.iter().filter_map(name).collect();
        Ok((!names.is_empty()).then(|| {
            format!(
                ", BUT NOT FOR {}: no stock of theirs is confirmed there, and until one is every question of theirs is \
                 refused (load stock, into {others})",
                names.join(", ")
            )
        }))
    }

    /// What stands in the way of a destruction, in words.
    pub(super) fn in_the_way(&self, id: &EpochId) -> Result<Option<String>, Problem> {
        let wait = |unread| {
            format!(
                "{}, would be lost with it: wait until they are read or have expired, or accept with --accept-unread that \
                 they are lost, which is logged",
                told(&unread)
            )
        };
        Ok(self.unread(id)?.map(wait))
    }

    /// Whether nothing is lost with an end that somebody was charged for, or that is accepted.
    pub(in super::super) fn check_unread(&self, id: &EpochId, end: End, accepted: bool) -> Result<(), Problem> {
        if end != End::Destroy || accepted {
            return Ok(());
        }
        let refused = |detail| Err(Problem::conflict("answers_unread", detail));
        self.in_the_way(id)?.map_or(Ok(()), refused)
    }

    fn unread(&self, id: &EpochId) -> Result<Option<Unread>, Problem> {
        self.store.unread(id, self.settled()).map_err(|error| store_problem(&error))
    }
}

/// How many, of how many, until when.
fn told(unread: &Unread) -> String {
    let Unread { batches, parties, until } = unread;
    let until = match until.map(|until| until.format(&Rfc3339).expect("a year of four digits has this form")) {
        Some(until) => format!("kept until {until}"),
        None => "still being answered".into(),
    };
    let count = |n: u32, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
    let (batches, parties) = (count(*batches, "batch", "batches"), count(*parties, "party", "parties"));
    format!("answers that were charged and nobody has read, of {batches} of {parties}, {until}")
}
