//! The report before it has a form.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::input::{CodeFiles, Person};
use crate::code::CodeHeader;
use crate::encode::token_kinds;
use crate::privacy::{Entropy, Gate, PassStatistics, Score};
use crate::profile::Profile;

/// Everything that is reported.
pub struct Report<'a> {
    pub header: &'a CodeHeader,
    pub files: &'a CodeFiles,
    pub names: Vec<String>,
    /// Kind of token and how much it tells; empty without people.
    pub tokens: Vec<(&'static str, Entropy)>,
    pub sample: Option<SampleFacts>,
    pub attacks: Vec<Attack>,
    /// What a reader must know, in sentences.
    pub notes: Vec<String>,
}

/// Who was attacked.
pub struct SampleFacts {
    pub people: usize,
    pub addresses: usize,
    pub seed: u64,
    pub keys: u8,
}

/// One attack and its result.
pub struct Attack {
    pub title: String,
    /// What was attacked: the name of a pass, or all.
    pub codes: String,
    pub known: Option<usize>,
    pub score: Score,
    pub gate: Option<Gate>,
    /// Against filters before diffusion: it must succeed, or the attack proves nothing.
    pub is_control: bool,
}

impl Attack {
    pub fn new(title: &str, codes: &str, known: Option<usize>, score: Score, gate: Option<Gate>) -> Self {
        Self { title: title.to_owned(), codes: codes.to_owned(), known, score, gate, is_control: false }
    }

    /// The same as a control.
    pub fn control(self) -> Self {
        Self { codes: format!("plain CLK ({})", self.codes), is_control: true, ..self }
    }

    /// Whether the gate holds; nothing where there is none.
    pub fn holds(&self) -> Option<bool> {
        self.gate.map(|gate| gate.holds(&self.score))
    }

    /// The gate in words.
    pub fn gate_text(&self) -> String {
        match self.gate {
            Some(Gate::AtMost(rate)) => format!("at most {}", percent(rate)),
            Some(Gate::TimesChance(times)) => format!("at most {times} x chance"),
            Some(Gate::Chance) => "chance".into(),
            Some(Gate::AtLeast(rate)) => format!("at least {}", percent(rate)),
            None => String::new(),
        }
    }

    /// The highest rate that the gate allows, or for a control the lowest.
    pub fn limit(&self) -> Option<f64> {
        match self.gate? {
            Gate::AtMost(rate) | Gate::AtLeast(rate) => Some(rate),
            Gate::TimesChance(times) => Some(times * self.score.chance()),
            Gate::Chance => Some(self.score.chance()),
        }
    }

    /// Whether the gate holds only because samples differ.
    fn is_above(&self) -> bool {
        !self.is_control && self.holds() == Some(true) && self.limit().is_some_and(|limit| self.score.rate() > limit)
    }

    pub fn verdict(&self) -> &'static str {
        match (self.holds(), self.is_control) {
            (Some(true), true) => "broken, as it must be",
            (Some(false), true) => "FAILS: not broken, so the attack proves nothing",
            (Some(true), false) if self.is_above() => "above it, within what samples differ",
            (Some(true), false) => "holds",
            (Some(false), false) => "FAILS",
            (None, _) => "",
        }
    }
}

/// A share as percent, with as many digits as say something.
pub fn percent(share: f64) -> String {
    let text =
        if share == 0.0 || share >= 0.1 { format!("{:.1}", 100.0 * share) } else { format!("{:.2}", 100.0 * share) };
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{} %", if short.is_empty() { "0" } else { short })
}

impl<'a> Report<'a> {
    /// The statistics of the codes; the rest is added.
    pub fn new(files: &'a CodeFiles, profile: &Profile) -> Self {
        Self {
            header: &files.header,
            files,
            names: profile.passes.iter().map(|pass| pass.name.clone()).collect(),
            tokens: Vec::new(),
            sample: None,
            attacks: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Counts the tokens of all people with codes.
    pub fn count_tokens(&mut self, people: &[Person]) {
        let mut counts: BTreeMap<usize, (&'static str, Entropy)> = BTreeMap::new();
        for person in people {
            for (at, (kind, values)) in token_kinds(&person.resident.person).into_iter().enumerate() {
                let (_, entropy) = counts.entry(at).or_insert_with(|| (kind, Entropy::default()));
                values.iter().for_each(|value| entropy.count(value.as_deref()));
            }
        }
        self.tokens = counts.into_values().collect();
    }

    pub fn sampled(&mut self, people: usize, addresses: usize, seed: u64, keys: u8) {
        self.sample = Some(SampleFacts { people, addresses, seed, keys });
    }

    /// Gates that do not hold, and all gates.
    pub fn gates(&self) -> (usize, usize) {
        let held: Vec<bool> = self.attacks.iter().filter_map(Attack::holds).collect();
        (held.iter().filter(|held| !**held).count(), held.len())
    }

    /// Gates that hold only because samples differ.
    fn above(&self) -> usize {
        self.attacks.iter().filter(|attack| attack.is_above()).count()
    }

    /// The verdict in a sentence.
    pub fn verdict(&self) -> String {
        sentence(self.gates(), self.above())
    }

    pub fn passes(&self) -> impl Iterator<Item = (&str, &PassStatistics)> {
        self.names.iter().map(String::as_str).zip(&self.files.statistics.passes)
    }

    /// The report as data. Names of keys are stable.
    pub fn to_json(&self) -> Value {
        let statistics = &self.files.statistics;
        let (addresses, largest) = statistics.addresses();
        let files: Vec<_> =
            self.files.files.iter().map(|(name, records)| json!({"name": name, "records": records})).collect();
        json!({
            "header": self.header,
            "files": files,
            "records": {"encoded": statistics.encoded, "withoutCodes": statistics.without_codes},
            "addresses": {"different": addresses, "mostPeople": largest, "peopleAtUniqueSizes": statistics.at_unique_sizes()},
            "passes": self.passes().map(|(name, pass)| pass_json(name, pass)).collect::<Vec<_>>(),
            "tokens": self.tokens.iter().map(token_json).collect::<Vec<_>>(),
            "sample": self.sample.as_ref().map(|sample| json!({
                "people": sample.people, "addresses": sample.addresses, "seed": sample.seed, "keys": sample.keys})),
            "attacks": self.attacks.iter().map(attack_json).collect::<Vec<_>>(),
            "notes": self.notes,
            "gatesHold": (self.gates().1 > 0).then(|| self.gates().0 == 0),
            "gatesAbove": self.above(),
        })
    }
}

fn sentence((failed, gates): (usize, usize), above: usize) -> String {
    match (failed, gates, above) {
        (_, 0, _) => "No verdict: no attack was tried.".into(),
        (0, gates, 0) => format!("All {gates} gates hold."),
        (0, gates, above) => format!("None of {gates} gates is surely broken; {above} found more than theirs allows."),
        (failed, gates, _) => format!("{failed} of {gates} gates FAIL."),
    }
}

fn pass_json(name: &str, pass: &PassStatistics) -> Value {
    let pair = |(seen, fair): (f64, f64)| json!({"seen": seen, "fairCoins": fair});
    let ((least, most), (fewest, largest)) = (pass.frequency_range(), pass.set_range());
    json!({
        "name": name, "codeBits": pass.bits(), "codes": pass.codes(), "fill": pass.fill(),
        "bitFrequency": {"least": least, "most": most, "spread": pair(pass.frequency_spread())},
        "setBits": {"mean": pass.set_mean(), "least": fewest, "most": largest, "spread": pair(pass.set_spread()),
                    "histogram": pass.histogram()},
        "equalCodes": pass.equal(), "dimensions": pass.dimensions(),
    })
}

fn token_json((kind, entropy): &(&str, Entropy)) -> Value {
    json!({"kind": kind, "values": entropy.values(), "missing": entropy.missing(), "distinct": entropy.distinct(),
           "unique": entropy.unique(), "entropyBits": entropy.bits(), "commonestShare": entropy.commonest()})
}

fn attack_json(attack: &Attack) -> Value {
    let score = &attack.score;
    json!({"attack": attack.title, "codes": attack.codes, "known": attack.known, "control": attack.is_control,
           "people": score.people, "hits": score.hits, "reidentified": score.rate(), "chance": score.chance(),
           "gate": attack.gate.map(|_| attack.gate_text()), "holds": attack.holds()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_have_the_digits_that_say_something() {
        let texts = [0.0, 0.0005, 0.005, 0.01, 0.0325, 0.99, 1.0].map(percent);
        assert_eq!(texts, ["0 %", "0.05 %", "0.5 %", "1 %", "3.25 %", "99 %", "100 %"]);
    }

    #[test]
    fn a_control_that_is_not_broken_says_that_the_attack_proves_nothing() {
        let score = Score { hits: 1, people: 100, by_chance: 1.0 };
        let attack = Attack::new("graph matching", "names", None, score, Some(Gate::AtLeast(0.99))).control();
        assert!(attack.verdict().contains("proves nothing") && attack.holds() == Some(false));
        assert_eq!(attack.codes, "plain CLK (names)");
    }

    #[test]
    fn a_rate_above_a_multiple_of_chance_is_told_from_one_below_it_and_from_one_that_fails() {
        let verdict = |hits| {
            let score = Score { hits, people: 1_000, by_chance: 5.0 };
            Attack::new("household signature", "home", None, score, Some(Gate::TimesChance(3.0))).verdict()
        };
        assert_eq!([15, 16, 26].map(verdict), ["holds", "above it, within what samples differ", "FAILS"]);
    }

    #[test]
    fn gates_that_hold_only_because_samples_differ_are_no_all() {
        assert_eq!(sentence((0, 18), 0), "All 18 gates hold.");
        assert!(sentence((0, 18), 3).starts_with("None of 18 gates is surely broken; 3 "));
        assert_eq!(sentence((2, 18), 3), "2 of 18 gates FAIL.");
    }
}
