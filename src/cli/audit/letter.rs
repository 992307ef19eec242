//! The answer to a person who asks under article 15 of the GDPR who asked about the household, and what was told: a
//! Markdown text for the officer to send, Dutch with English beside it.

use std::collections::BTreeMap;

use super::list::name;
use super::reading::{Found, Reading};
use super::spans::Spans;
use super::subject::Why;
use crate::audit::Action;
use crate::cli::client::PartyBook;
use crate::ids::EpochId;

/// In how much of the log was looked.
pub struct Looked {
    pub entries: u64,
    pub expired: Spans,
    pub malformed: Spans,
}

impl Looked {
    /// Of a whole copy.
    pub fn in_all(reading: &Reading) -> Self {
        let (expired, malformed) = (reading.index.expired(), reading.index.malformed());
        Self { entries: reading.copy.size(), expired, malformed }
    }

    /// Entries that could be read.
    pub fn searched(&self) -> u64 {
        self.entries - self.expired.count() - self.malformed.count()
    }
}

/// The letter. It names organisations and says what they were told; it has no name of a person, because the log has
/// none.
pub fn letter(
    found: &[Found],
    pseudonyms: &BTreeMap<String, Vec<String>>,
    not_searched: &BTreeMap<EpochId, Why>,
    parties: &PartyBook,
    looked: &Looked,
) -> String {
    let (questions, others): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.entry.action == Action::Ask);
    let (care, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|f| f.entry.action == Action::AskGroups);
    let mut text = String::from(HEAD);
    text += "\n## Vragen over dit adres · Questions about this address\n\n";
    text += match (questions.is_empty(), not_searched.is_empty() && looked.searched() == looked.entries) {
        (false, _) => COLUMNS,
        (true, true) => "Geen. · None.\n",
        (true, false) => "Geen in wat is doorzocht. · None in what was searched.\n",
    };
    for found in questions {
        text += &format!("| {} |\n", cells(found, parties).join(" | "));
    }
    if !care.is_empty() {
        text += "\n## Vragen van de zorg over dit adres · Questions of the care side about this address\n\n";
        text += CARE_COLUMNS;
    }
    for found in care {
        text += &format!("| {} |\n", care_cells(found, parties).join(" | "));
    }
    if !others.is_empty() {
        text += "\n## Inzage in het logboek over dit adres · Look-ups of this address in the log\n\n";
    }
    for found in others {
        text += &format!("- {} {}, {} (nr {})\n", found.entry.time, who(found, parties), name(found), found.position);
    }
    text += "\n## Waar is gezocht · Where was looked\n\n";
    let (read, entries) = (looked.searched(), looked.entries);
    text += &format!(
        "In {read} van de {entries} regels van het logboek · in {read} of the {entries} entries of the log.\n\n"
    );
    let kinds = [
        (&looked.expired, "de inhoud is vervallen", "their contents have expired"),
        (&looked.malformed, "ze zijn niet te lezen", "they cannot be read"),
    ];
    for (spans, dutch, english) in kinds.into_iter().filter(|(spans, ..)| !spans.is_empty()) {
        text += &format!("- **niet doorzocht · not searched: {} ({spans}), {dutch} · {english}**\n", spans.count());
    }
    for (epoch, objects) in pseudonyms {
        text += &format!("- {epoch}: {}\n", objects.join(", "));
    }
    for (epoch, why) in not_searched {
        text += &format!("- **{epoch}: {} · {}**\n", why.dutch(), why.english());
    }
    text + FOOT
}

const COLUMNS: &str = "\
| nr | moment (UTC) | wie · who | doel · purpose | maanden achterstand · months of arrears | uitkomst · outcome | \
antwoord · answer | regel · rule |
|---|---|---|---|---|---|---|---|
";

const CARE_COLUMNS: &str = "\
| nr | moment (UTC) | wie · who | doel · purpose | uitkomst · outcome | groepen · groups | regel · rule |
|---|---|---|---|---|---|---|
";

/// A row of the table: [`COLUMNS`].
fn cells(found: &Found, parties: &PartyBook) -> [String; 8] {
    let entry = &found.entry;
    [
        found.position.to_string(),
        entry.time.clone(),
        who(found, parties),
        entry.purpose.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.stage.map(|months| months.to_string()).unwrap_or_default(),
        entry.result.to_string(),
        dutch(found.told.word()).to_owned(),
        rule(found),
    ]
}

/// A row of the table: [`CARE_COLUMNS`].
fn care_cells(found: &Found, parties: &PartyBook) -> [String; 7] {
    let entry = &found.entry;
    let told = match found.told.word() {
        word @ ("sealed" | "unsealed") => dutch(word).to_owned(),
        _ => found.told.groups().iter().map(|told| group(told)).collect::<Vec<_>>().join("; "),
    };
    [
        found.position.to_string(),
        entry.time.clone(),
        who(found, parties),
        entry.purpose.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.result.to_string(),
        told,
        rule(found),
    ]
}

/// The regulation and its articles that decided.
fn rule(found: &Found) -> String {
    let regulation = found.entry.regulation.as_ref().map(|regulation| format!("{}: ", regulation.id));
    regulation.unwrap_or_default() + &found.entry.articles.join(", ")
}

/// What was told of a group: `minor-y`.
fn group(told: &str) -> String {
    let (name, answer) = told.rsplit_once('-').unwrap_or((told, ""));
    let name = match name {
        "minor" => "minderjarig · minor",
        "senior" => "oudere · senior",
        "oggz" => "zorgnetwerk · care network",
        other => other,
    };
    let answer = match answer {
        "y" => "ja · yes",
        "n" => "nee · no",
        _ => "onbepaald · undetermined",
    };
    format!("{name}: {answer}")
}

/// An organisation by its name, where parties.toml has it.
fn who(found: &Found, parties: &PartyBook) -> String {
    let actor = &found.entry.actor;
    let known = actor.oin.as_ref().map(|oin| match parties.find(oin) {
        // A bar would begin another cell.
        Some(party) => format!("{} (OIN {oin})", party.name.replace('|', "/")),
        None => format!("OIN {oin}"),
    });
    known.unwrap_or_else(|| actor.role.clone())
}

/// What an answer means.
fn dutch(word: &str) -> &str {
    match word {
        "priority" => "voorrang · priority",
        "no_priority" => "geen voorrang · no priority",
        "undetermined" => "onbepaald: vraag het wijkteam · undetermined: consult the team",
        "unsealed" => "niet te openen, geen antwoord vastgelegd · does not open, no answer is recorded",
        "sealed" => "verzegeld voor een andere functionaris · sealed for another officer",
        other => other,
    }
}

const HEAD: &str = "\
# Wie vroeg iets over uw huishouden · Who asked about your household

Antwoord op uw verzoek om inzage (AVG artikel 15). · Reply to your request for access (GDPR article 15).

- **Wat er gebeurt.** Een verhuurder met een huurachterstand mag vragen of een huishouden voorrang krijgt bij hulp. Hij \
krijgt één woord terug, nooit de reden. Daarna mag de zorg vragen tot welke groep het huishouden hoort, als de regeling haar \
daar een grond voor geeft. · A landlord with rent arrears may ask whether a household gets priority care. It is told one \
word, never the reason. Then the care side may ask which group the household is in, where the regulation gives it a \
ground.
- **Welke gegevens.** Versleutelde codes van naam, geboortedatum en adres, en of iemand in het huishouden tot een groep \
van de regeling hoort. · Keyed codes of name, date of birth and address, and whether somebody of the household is in \
one of the regulation's groups.
- **Vandaan.** De Basisregistratie Personen en de zorgpartij van de regeling. · From the population register and the \
regulation's care party.
- **Uw rechten.** Rectificatie, beperking, bezwaar, en een klacht bij de Autoriteit Persoonsgegevens. · Rectification, \
restriction, objection, and a complaint to the Autoriteit Persoonsgegevens.
";

const FOOT: &str = "
Wat dit overzicht niet kan tonen · what this overview cannot show:

- Het logboek kent een adres, geen persoon: postcode en huisnummer zonder toevoeging. Regels kunnen over medebewoners, \
eerdere bewoners of buren met hetzelfde nummer gaan. Laat weg wat niet over de aanvrager gaat. · The log knows an \
address, no person: postcode and number without the suffix. Entries can be about others who live or lived there, or \
neighbours of the same number. Leave out what is not about who asks.
- Wat er is gevraagd in een periode die hierboven niet doorzocht heet, staat hier niet bij. · What was asked in an epoch \
that is named above as not searched is not in here.
- Vragen zonder volledig adres staan onder een ander pseudoniem; die worden geweigerd voordat er iets wordt vergeleken. \
· Questions without a whole address have another pseudonym; they are refused before anything is compared.
- De inhoud van regels vervalt na de bewaartermijn van de regeling: wat in een vervallen regel stond, staat hier niet bij. · \
Contents of entries expire after the regulation's retention period: what stood in an expired entry is not in here.
";
