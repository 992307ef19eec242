//! Asks about households, one or several a request, and again where no answer came: under one key, so that it is
//! recorded and charged once.

use std::collections::BTreeSet;
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use ring::rand::SystemRandom;
use ring::{hmac, rand};
use time::Date;

use super::super::client::{Client, ComeAgain, LogDamaged, Refused, trace_of};
use super::super::interrupt;
use super::super::salt::{encoder, read_salt};
use super::files::remove;
use super::lost::Lost;
use super::proving::Prover;
use super::run::Run;
use super::{Household, QueryArgs, Row, standing, stated};
use crate::answer::wire::batches::{BatchPlan, ResultLine};
use crate::answer::wire::law::{Batch, BatchAnswer, BatchAnswers};
use crate::answer::wire::{self, Answered, EpochView, ProblemBody, Question, by_name};
use crate::audit::LogKeys;
use crate::code::{AddressToken, CodeHeader};
use crate::encode::{Encoder, Tenant};
use crate::ids::{EpochId, TraceId};
use crate::profile::Profile;
use crate::regulate::Answer;

/// The seed's file in the party's memory folder, behind which the run's name stands.
const SEED: &str = "query-seed";

/// Answers of a page of a batch whose receipts are proved: each takes the service a walk through its tree. Drawn at random,
/// eight a page find a service that gives false receipts to any part of its callers; the officer compares them all.
const PROVED_A_PAGE: usize = 8;

/// What a household's question came to.
pub(super) type Told = Result<Row, Refused>;

/// What one question of a request came to.
type Came = Result<Answered, ProblemBody>;

pub(super) struct Asker {
    client: Client,
    run: Run,
    encoder: Encoder,
    log: LogKeys,
    profile: Profile,
    purpose: Option<String>,
    day: Date,
    /// Makes the keys under which questions may be sent again.
    seed: hmac::Key,
    /// Salt file or variable that was given, of one epoch only.
    salt: Option<PathBuf>,
    /// The last request of a run that was cut.
    lost: Option<Lost>,
    /// The epoch of the answers that are being read, where it is not the one to ask in.
    reading: Option<EpochId>,
}

impl Asker {
    /// Fetches what the questions need: the epoch, its salt, the log's keys.
    pub(super) fn open(
        client: Client,
        profile: Profile,
        args: &QueryArgs,
        run: Run,
        day: Date,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            encoder: encoder_in_force(&client, &profile, args.salt_file.as_deref())?,
            log: client.log_keys()?,
            profile,
            purpose: args.purpose.clone().or_else(|| client.config.query.purpose.clone()),
            day,
            // A dry run takes no run's keys away.
            seed: seed(&client, &run, args.resume, args.dry_run)?,
            lost: Lost::of(&client, &run, args.resume)?,
            client,
            run,
            salt: args.salt_file.clone(),
            reading: None,
        })
    }

    /// The token of a household's address, if a tenant has a whole one.
    pub(super) fn address(&self, (_, tenants): &Household) -> Option<AddressToken> {
        tenants.iter().find_map(|tenant: &Tenant| self.encoder.address(tenant.person.address.as_ref()?))
    }

    /// The questions about households, with the codes of the epoch.
    pub(super) fn questions(&self, households: &[&Household]) -> Vec<Question> {
        let tenants: Vec<Tenant> = households.iter().flat_map(|(_, tenants)| tenants).cloned().collect();
        let mut encoded = self.encoder.tenants(&tenants).into_iter();
        let question = |(arrears, tenants): &&Household| {
            let (codes, tokens): (Vec<_>, Vec<_>) = encoded.by_ref().take(tenants.len()).unzip();
            let codes = codes.into_iter().map(|one| wire::Tenant { codes: by_name(one, &self.profile) });
            Question {
                header: self.encoder.header(),
                purpose: self.purpose.clone(),
                arrears: standing(arrears, self.day),
                conditions: stated(arrears, self.client.config.query.conditions),
                address: tokens.into_iter().flatten().next(),
                tenants: codes.collect(),
            }
        };
        households.iter().map(question).collect()
    }

    /// The question about one household.
    pub(super) fn question(&self, household: &Household) -> Question {
        self.questions(&[household]).remove(0)
    }

    /// What all questions of a batch say.
    pub(super) fn plan(&self, questions: u32) -> BatchPlan {
        BatchPlan { header: self.encoder.header(), purpose: self.purpose.clone(), questions }
    }

    /// The epoch in which to ask, and what it calls for.
    pub(super) fn header(&self) -> CodeHeader {
        self.encoder.header()
    }

    pub(super) fn epoch(&self) -> EpochId {
        self.encoder.header().epoch
    }

    /// From now on answers are those of this epoch.
    pub(super) fn reads_answers_of(&mut self, epoch: &EpochId) {
        self.reading = Some(epoch.clone());
    }

    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks about one household, and at a cut-over once more with the epoch that took over. The refused question was not
    /// counted.
    pub(super) fn ask(&mut self, household: &Household) -> anyhow::Result<Told> {
        let told = self.ask_some(&[household])?.remove(0);
        if !told.as_ref().is_err_and(Refused::is_cut_over) || !self.cut_over()? {
            return Ok(told);
        }
        Ok(self.ask_some(&[household])?.remove(0))
    }

    /// Asks about one household, or about several in one request, as a regulation with a minimum wants it.
    pub(super) fn ask_some(&self, households: &[&Household]) -> anyhow::Result<Vec<Told>> {
        interrupt::check()?;
        Lost::note(&self.client, &self.run, self.epoch(), self.day, contracts(households))?;
        self.send(households)
    }

    fn send(&self, households: &[&Household]) -> anyhow::Result<Vec<Told>> {
        if households.len() == 1 { self.ask_one(households) } else { self.ask_several(households) }
    }

    /// Sends the last request of the run that was cut once more as it was, unless all its answers are known; returns what
    /// was answered. Whom it did not come to is asked about anew.
    pub(super) fn ask_lost(
        &mut self,
        households: &[Household],
        is_known: impl Fn(&str) -> bool,
        ask_again: bool,
    ) -> anyhow::Result<Vec<(String, Row)>> {
        let Some(lost) = self.lost.take() else { return Ok(Vec::new()) };
        let find = |contract: &String| households.iter().find(|(arrears, _)| arrears.contract == *contract);
        let these: Option<Vec<&Household>> = lost.contracts.iter().map(find).collect();
        let (Some(these), Some(day)) = (these, lost.day()) else { return Ok(Vec::new()) };
        if these.is_empty() || lost.contracts.iter().all(|contract| is_known(contract)) {
            return Ok(Vec::new());
        }
        let mut other = None;
        if lost.epoch != self.epoch() {
            let before = match self.encoder_of(&lost.epoch) {
                Ok(before) => before,
                Err(error) if error.is::<ComeAgain>() || error.is::<LogDamaged>() => return Err(error),
                Err(_) if ask_again => return Ok(Vec::new()),
                // What may have been charged is not charged again unasked.
                Err(error) => bail!("{}: {error:#}", lost.is_unknown()),
            };
            other = Some(mem::replace(&mut self.encoder, before));
        }
        let today = mem::replace(&mut self.day, day);
        let told = self.send(&these);
        self.day = today;
        if let Some(now) = other {
            self.encoder = now;
        }
        Ok(lost.contracts.into_iter().zip(told?).filter_map(|(contract, told)| Some((contract, told.ok()?))).collect())
    }

    /// The encoder of an epoch in which was asked before: with the salt that was given if it is that one's, else with the
    /// one in the envelope.
    fn encoder_of(&self, epoch: &EpochId) -> anyhow::Result<Encoder> {
        let epochs = self.client.service()?.epochs;
        let epoch =
            epochs.into_iter().find(|one| one.id == *epoch).context("the service has no such epoch any more")?;
        let given = self.salt.as_deref().map(read_salt).transpose()?;
        let its = given.filter(|kept| kept.epoch.as_ref() == Some(&epoch.id));
        encoder(&self.client, &epoch, &self.profile, its)
    }

    /// Forgets the keys of this run: everything is answered.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub(super) fn forget(&self) -> anyhow::Result<()> {
        remove(&self.run.remembered(&self.client, SEED, ""))?;
        Lost::forget(&self.client, &self.run)
    }

    fn ask_one(&self, households: &[&Household]) -> anyhow::Result<Vec<Told>> {
        let (question, key) = (self.question(households[0]), self.key(households));
        let asked = self.client.patiently(|| self.client.post_once::<Answered>("priority-questions", &question, &key));
        Ok(vec![match asked.map_err(anyhow::Error::downcast::<Refused>) {
            Ok(answered) => {
                let proof = self.prover(trace_of(&key)).proof(&answered, true)?;
                Ok(self.row(households[0], answered, trace_of(&key))?.proved(&proof))
            }
            Err(Ok(refused)) => Err(refused),
            Err(Err(error)) => return Err(error),
        }])
    }

    fn ask_several(&self, households: &[&Household]) -> anyhow::Result<Vec<Told>> {
        let (batch, key) = (Batch { questions: self.questions(households) }, self.key(households));
        let asked = self.client.patiently(|| self.client.post_once("priority-batches", &batch, &key).and_then(each));
        let answers = match asked.map_err(anyhow::Error::downcast::<Refused>) {
            Ok(answers) => answers,
            Err(Ok(refused)) => return Ok(vec![Err(refused); households.len()]),
            Err(Err(error)) => return Err(error),
        };
        ensure!(
            answers.len() == households.len(),
            "the service answered another number of questions than it was asked"
        );
        self.rows(households, answers, trace_of(&key), usize::MAX)
    }

    /// What a page of the results of a batch, committed under this key, says of the households from number `first` on.
    pub(super) fn told(
        &self,
        households: &[&Household],
        first: usize,
        results: Vec<ResultLine>,
        key: &str,
    ) -> anyhow::Result<Vec<Told>> {
        let in_order = results.iter().map(|one| one.number as usize).eq(first..first + results.len());
        ensure!(in_order && results.len() <= households.len(), "the service's results are not those of the questions");
        let came = results.into_iter().map(|one| came(one.answered, one.problem)).collect::<Result<_, _>>()?;
        self.rows(households, came, trace_of(key), PROVED_A_PAGE)
    }

    /// Rows, with a proof for all answers, or for so many of them, drawn at random.
    fn rows(
        &self,
        households: &[&Household],
        came: Vec<Came>,
        trace: TraceId,
        proofs: usize,
    ) -> anyhow::Result<Vec<Told>> {
        let drawn = drawn(came.iter().filter(|one| one.is_ok()).count(), proofs)?;
        let (mut answers, mut prover) = (0.., self.prover(trace));
        let told = |(household, came): (&&Household, Came)| match came {
            Ok(answered) => {
                let is_drawn = answers.next().is_some_and(|at| drawn.contains(&at));
                let proof = prover.proof(&answered, is_drawn)?;
                Ok(Ok(self.row(household, answered, trace)?.proved(&proof)))
            }
            Err(problem) => Ok(Err(Refused::of(problem))),
        };
        households.iter().zip(came).map(told).collect()
    }

    fn prover(&self, trace: TraceId) -> Prover<'_, Client> {
        Prover::new(&self.client, self.log.clone(), trace)
    }

    /// Takes the epoch in which to ask now; whether it is another one. A salt that was given is of one epoch only.
    pub(super) fn cut_over(&mut self) -> anyhow::Result<bool> {
        if self.salt.is_some() {
            return Ok(false);
        }
        let answering = answering(&self.client)?;
        let Some(epoch) = to_ask(&self.client, &answering)? else { return Ok(false) };
        if epoch.id == self.encoder.header().epoch {
            return Ok(false);
        }
        self.encoder = encoder(&self.client, epoch, &self.profile, None)?;
        eprintln!("The epoch {} has taken over; going on with it.", epoch.id);
        Ok(true)
    }

    /// A household's answer, if it is one.
    fn row(&self, (arrears, _): &Household, answered: Answered, trace: TraceId) -> anyhow::Result<Row> {
        let epoch = self.reading.clone().unwrap_or_else(|| self.epoch());
        ensure!(Answer::from_word(&answered.answer).is_some(), "the service sent a word that is no answer");
        ensure!(answered.epoch == epoch, "the service answered from another epoch than it was asked");
        Ok(Row::new(&arrears.contract, answered, Some(trace)))
    }

    /// The key of a request: the same households of the same run and epoch have the same one.
    fn key(&self, households: &[&Household]) -> String {
        let contracts: Vec<&str> = contracts(households).collect();
        let place = format!("{}/{}", contracts.join("\n"), self.epoch());
        hex::encode(&hmac::sign(&self.seed, place.as_bytes()).as_ref()[..16])
    }
}

fn contracts<'a>(households: &[&'a Household]) -> impl Iterator<Item = &'a str> {
    households.iter().map(|(arrears, _)| arrears.contract.as_str())
}

/// So many of these positions, drawn anew each time: who answers cannot know which.
fn drawn(of: usize, most: usize) -> anyhow::Result<BTreeSet<usize>> {
    if of <= most {
        return Ok((0..of).collect());
    }
    let draw = || {
        let bytes: [u8; 8] = rand::generate(&SystemRandom::new()).ok()?.expose();
        Some(usize::try_from(u64::from_be_bytes(bytes) % of as u64).expect("below a position"))
    };
    let mut drawn = BTreeSet::new();
    while drawn.len() < most {
        drawn.insert(draw().context("the system gives no randomness")?);
    }
    Ok(drawn)
}

/// The encoder of the epoch in which to ask. A salt that was given is of one epoch, and says which.
fn encoder_in_force(client: &Client, profile: &Profile, salt: Option<&Path>) -> anyhow::Result<Encoder> {
    let answering = of_profile(answering(client)?, profile);
    let none =
        || format!("the regulation {} has no epoch that answers; see `voorrang epoch list`", client.config.regulation);
    let first = answering.first().with_context(none)?;
    if let Some(kept) = salt.map(read_salt).transpose()? {
        let its = answering.iter().find(|epoch| kept.epoch.as_ref() == Some(&epoch.id));
        return encoder(client, its.unwrap_or(first), profile, Some(kept));
    }
    let epoch = to_ask(client, &answering)?.unwrap_or(first);
    if epoch.id != first.id {
        eprintln!(
            "Our stock is not confirmed in the epoch {} yet; asking in {}, which still answers.",
            first.id, epoch.id
        );
    }
    encoder(client, epoch, profile, None)
}

/// The epochs of this profile, if any is: one that still answers is asked in until we have the profile of the next.
fn of_profile(all: Vec<EpochView>, profile: &Profile) -> Vec<EpochView> {
    let schema_hash = profile.schema_hash();
    let is_ours = |epoch: &EpochView| epoch.schema_hash == schema_hash;
    let newest_is_ours = all.first().is_none_or(is_ours);
    let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_ours);
    if ours.is_empty() {
        return others;
    }
    if !newest_is_ours {
        let (next, profile, old) = (&others[0].id, &others[0].profile, &ours[0].id);
        eprintln!(
            "The epoch {next} has the profile {profile}: give it with --profile; asking in {old}, which still answers."
        );
    }
    ours
}

/// The epochs of our regulation that answer: the active one, then those that retire, the newest first.
fn answering(client: &Client) -> anyhow::Result<Vec<EpochView>> {
    let mut epochs = client.service()?.epochs;
    epochs.retain(|epoch| epoch.regulation == client.config.regulation && epoch.answers);
    epochs.reverse();
    epochs.sort_by_key(|epoch| epoch.state != "active");
    Ok(epochs)
}

/// The first of these epochs in which our own stock is confirmed; where it is in none, the first: in the others nobody of
/// ours is answered. So no question is lost between a cut-over and the confirmation of a stock.
fn to_ask<'a>(client: &Client, answering: &'a [EpochView]) -> anyhow::Result<Option<&'a EpochView>> {
    let own = client.oin()?;
    Ok(answering.iter().find(|epoch| epoch.stocks.contains(&own)).or_else(|| answering.first()))
}

/// What each question came to. Where the service failed at one, the request is to be sent again: those that it answered
/// are answered alike.
fn each(answers: BatchAnswers) -> anyhow::Result<Vec<Came>> {
    let one = |answer: BatchAnswer| match came(answer.answered, answer.problem)? {
        Err(problem) if problem.status >= 500 || [408, 429].contains(&problem.status) => {
            Err(ComeAgain::failed(&problem, None).into())
        }
        came => Ok(came),
    };
    answers.answers.into_iter().map(one).collect()
}

/// An answer or a problem, and not both.
fn came(answered: Option<Answered>, problem: Option<ProblemBody>) -> anyhow::Result<Came> {
    match (answered, problem) {
        (Some(answered), None) => Ok(Ok(answered)),
        (None, Some(problem)) => Ok(Err(problem)),
        _ => anyhow::bail!("the service's answer is not what this version understands"),
    }
}

/// A fresh seed for a run, remembered so that one that goes on where another was cut uses the same keys.
fn seed(client: &Client, run: &Run, resume: bool, dry_run: bool) -> anyhow::Result<hmac::Key> {
    let path = run.remembered(client, SEED, "");
    // A run that was cut before it had one asked nothing.
    if !resume || !path.exists() {
        let bytes: [u8; 32] =
            rand::generate(&SystemRandom::new()).ok().context("the system gives no randomness")?.expose();
        if dry_run {
            return Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        }
        client.remember(&run.name(SEED, ""), &hex::encode(bytes))?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let bytes = hex::decode(text.trim()).with_context(|| format!("{} holds no seed", path.display()))?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}
