//! What the store keeps: the log, regulations that were activated, epochs with their keys and loads.

use time::OffsetDateTime;

use super::{Area, Finding, chain, clock_leapt, epoch_key, of_age, of_answering, of_laws, unusable};
use crate::answer::epochs::ageing;
use crate::answer::laws::Laws;
use crate::answer::profiles::Profiles;
use crate::answer::steady::{Hands, Moment, Steady};
use crate::answer::{setup, wire};
use crate::clock::Clock;
use crate::config::Config;
use crate::epoch::State;
use crate::ids::Oin;
use crate::store::{self, Inspection, Seen};

/// Whether a service has the store open.
pub(super) fn runs(config: &Config) -> bool {
    store::in_use(&setup(config))
}

/// The store as it is.
pub(super) fn look(config: &Config, clock: &Clock) -> Vec<Finding> {
    let mut there = None;
    // By the log's times, as the service.
    let steady = Steady::of(
        |time| {
            there = store::inspect(&setup(config), time)?;
            Ok(())
        },
        config.clock_right_on(),
        clock,
    );
    match (steady, there) {
        (Ok(steady), Some(there)) => of_inspection(config, steady.at(clock), there),
        (Ok(_), None) => {
            vec![Finding::fine(Area::Store, "store_new", "there is no database yet; the first start makes one")]
        }
        (Err(error), _) => {
            let about = if error.is_about_the_log() { Area::Log } else { Area::Store };
            vec![Finding::error(about, error.code(), chain(&error))]
        }
    }
}

fn of_inspection(config: &Config, moment: Moment, there: Inspection) -> Vec<Finding> {
    let witnesses = config.access_log.witnessed.iter().filter(|path| path.exists()).count();
    let log = format!(
        "entries that fit their hashes: {}; the tree fits its signed checkpoint, the anchor and {witnesses} files of \
         witnesses",
        there.entries
    );
    let mut found = vec![
        Finding::fine(Area::Store, "store", "SQLite finds the database whole"),
        Finding::fine(Area::Log, "log", log),
    ];
    found.push(match moment.hands {
        Hands::Back => {
            let detail =
                "the clock is behind the log: regulations and budgets go by the latest time that it has; set the clock";
            Finding::error(Area::Clock, "clock_back", detail)
        }
        Hands::Ahead => clock_leapt(),
        Hands::Right => Finding::fine(Area::Clock, "clock", "the clock goes on from the log"),
    });
    let now = moment.at;
    let living: Vec<&Seen> = there.epochs.iter().filter(|seen| seen.epoch.state != State::Destroyed).collect();
    match Laws::open(&config.regulations, there.regulations) {
        Ok(laws) => {
            found.extend(of_laws(&laws, now.date()));
            found.extend(of_ages(&laws, &living, now));
        }
        Err(error) => found.push(unusable(&error)),
    }
    let answering = living.iter().map(|seen| &seen.epoch).filter(|epoch| epoch.answers(now).is_ok());
    found.extend(of_answering(answering));
    // One that cannot be used is told of itself.
    if let Ok(profiles) = Profiles::open(config) {
        let unread = living.iter().filter_map(|seen| profiles.check(&seen.epoch, now).err());
        found.extend(unread.map(|error| Finding::error(Area::Epoch, "epoch_profile", chain(&error))));
    }
    found.extend(living.into_iter().map(|seen| of_epoch(seen, moment)));
    let undead = there.epochs.iter().filter(|seen| seen.epoch.state == State::Destroyed && seen.key);
    found.extend(undead.map(|seen| {
        let detail =
            format!("{} is destroyed and its key is there: restart the service, which removes it", seen.epoch.id);
        Finding::error(Area::Epoch, "epoch_key_left", detail)
    }));
    found
}

/// Registers of the epochs that answer which are to be loaded anew.
fn of_ages(laws: &Laws, living: &[&Seen], now: OffsetDateTime) -> Vec<Finding> {
    let (mut found, today) = (Vec::new(), now.date());
    let answering = || living.iter().filter(|seen| seen.epoch.answers(now).is_ok());
    for seen in answering() {
        let epoch = &seen.epoch;
        let Ok(regulation) = laws.find(&epoch.regulation, today) else { continue };
        let others = answering().filter(|one| one.epoch.id != epoch.id && one.epoch.regulation == epoch.regulation);
        let can_ask_elsewhere = |oin: &Oin| others.clone().any(|other| other.stocks.contains(oin));
        let only_here = seen.stocks.iter().any(|oin| regulation.party(oin).is_some() && !can_ask_elsewhere(oin));
        let load = |source: wire::Source| seen.loaded.iter().find(|load| load.source == source.as_str());
        let ageing = ageing(laws, &regulation, epoch, load, only_here, today);
        found.extend(ageing.iter().map(|old| of_age(&epoch.id, old, today)));
    }
    found
}

/// What should be done about an epoch now.
fn of_epoch(seen: &Seen, moment: Moment) -> Finding {
    let now = moment.at;
    let (id, epoch, today) = (&seen.epoch.id, &seen.epoch, now.date());
    let warn = |code, what: String| Finding::warning(Area::Epoch, code, format!("{id} {what}"));
    if seen.buried {
        return warn(
            "epoch_restored",
            "was destroyed, and the database is from before: the next start destroys it".into(),
        );
    }
    let is_over = epoch.state == State::Retiring && epoch.answers(now).is_err();
    if !seen.key && !is_over {
        return epoch_key(id);
    }
    let missing = |source: wire::Source| !seen.loaded.iter().any(|load| load.source == source.as_str());
    match epoch.state {
        State::Announced if epoch.contribute_by < today => warn(
            "epoch_late",
            format!("waits for shares since {}: remind its custodians, or abort it", epoch.contribute_by),
        ),
        State::Loading if epoch.load_by < today => {
            warn("epoch_late", format!("waits for loads since {}: remind its custodians, or abort it", epoch.load_by))
        }
        State::Active if missing(wire::Source::Population) => {
            warn("epoch_unloaded", "has no population: every answer is undetermined; have it loaded".into())
        }
        State::Active if missing(wire::Source::Care) => {
            warn("epoch_unloaded", "has no care list: nobody in it is found; have it loaded".into())
        }
        State::Retiring if is_over => {
            let key = if seen.key { "" } else { ", and its key is gone" };
            let not_yet = epoch.answers_until.and_then(|until| moment.unsettled(until));
            let not_yet = not_yet.map_or_else(String::new, |why| format!(" ({why})"));
            warn("epoch_over", format!("has stopped answering{key}: destroy it with `voorrang epoch destroy`{not_yet}"))
        }
        state => Finding::fine(Area::Epoch, "epoch", format!("{id} is {}, its key opens", state.as_str())),
    }
}
