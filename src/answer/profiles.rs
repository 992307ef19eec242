//! The profiles that the service reads codes with. Each epoch has its own for its whole life, so that the next one can have
//! another while this one answers.

use time::OffsetDateTime;

use super::problem::Problem;
use super::questions::check_header;
use super::wire::{Question, in_order};
use super::{App, StartError, open_profile};
use crate::code::CodeHeader;
use crate::config::Config;
use crate::epoch::{Epoch, State};
use crate::link::HouseholdQuestion;
use crate::profile::Profile;

/// By schema hash, which holds the name as well.
pub(super) struct Profiles(Vec<(String, Profile)>);

impl Profiles {
    /// Those of the configuration.
    ///
    /// # Errors
    /// [`StartError`] if one cannot be used, or is there twice.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let mut all: Vec<(String, Profile)> = Vec::new();
        for place in [&config.profile].into_iter().chain(&config.other_profiles) {
            let next = open_profile(place)?;
            let schema_hash = next.schema_hash();
            if all.iter().any(|(known, _)| *known == schema_hash) {
                return Err(StartError::ProfileTwice(next.id));
            }
            all.push((schema_hash, next));
        }
        Ok(Self(all))
    }

    /// What they are called.
    pub(super) fn names(&self) -> String {
        self.0.iter().map(|(_, one)| one.id.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The one of this schema, if it is configured.
    pub(super) fn find(&self, schema_hash: &str) -> Option<&Profile> {
        self.0.iter().find(|(known, _)| known == schema_hash).map(|(_, profile)| profile)
    }

    /// The epoch's.
    pub(super) fn of(&self, epoch: &Epoch) -> Option<&Profile> {
        self.find(&epoch.schema_hash)
    }

    /// Whether an epoch that answers, or that is being prepared, can be read.
    ///
    /// # Errors
    /// [`StartError::OtherProfile`]: else every question and load of it would be refused as if it was at fault.
    pub(super) fn check(&self, epoch: &Epoch, now: OffsetDateTime) -> Result<(), StartError> {
        let is_over = match epoch.state {
            State::Destroyed => true,
            State::Retiring => epoch.answers(now).is_err(),
            State::Announced | State::Loading | State::Active => false,
        };
        if is_over || self.of(epoch).is_some() {
            return Ok(());
        }
        let Epoch { id, state, profile, schema_hash, .. } = epoch.clone();
        Err(StartError::OtherProfile { epoch: id, state, profile, schema_hash })
    }
}

impl App {
    /// Whether codes with this header are compared now.
    ///
    /// # Errors
    /// As of a single question: the epoch is none, or silent, or another profile's or salt's.
    pub(super) fn check_fit(&self, header: &CodeHeader) -> Result<(), Problem> {
        let in_force = self.epoch(&header.epoch)?;
        self.check_state(&in_force, self.latest())?;
        check_header(&in_force, header)
    }

    /// What is asked, read with the profile that its header names.
    pub(super) fn household(&self, question: &Question) -> Result<HouseholdQuestion, Problem> {
        let unfit = |code, detail: &str| Problem::unprocessable(code, detail).at("/tenants");
        let Some(profile) = self.profiles.find(&question.header.schema_hash) else {
            // Of an epoch that answers the profile is there.
            self.check_fit(&question.header)?;
            return Err(unfit("code_shape", "the service has no such profile"));
        };
        let tenants = question.tenants.iter().map(|tenant| in_order(tenant.codes.clone(), profile));
        let tenants = tenants.collect::<Result<_, _>>().map_err(|other| unfit("code_shape", &other.to_string()))?;
        HouseholdQuestion::new(profile, question.address, tenants)
            .map_err(|error| unfit(error.code(), &error.to_string()))
    }
}
