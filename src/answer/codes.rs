//! Every code that a problem has, what it means and what whoever gets it does. None is ever reworded: docs/errors.md is
//! this table, and a test holds both against each other and against the source.

use Next::{Again, Mend, Stop, Wait};

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Sends the same again, later, and not before the moment in `Retry-After`.
    Again,
    /// Sends it again once it is mended.
    Mend,
    /// Sends it again once others did what it waits for.
    Wait,
    /// Gives up: somebody looks at it.
    Stop,
}

impl Next {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Again => "again",
            Mend => "mend",
            Wait => "wait",
            Stop => "stop",
        }
    }
}

/// One code.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub code: &'static str,
    pub statuses: &'static [u16],
    pub next: Next,
    pub meaning: &'static str,
}

const fn code(code: &'static str, statuses: &'static [u16], next: Next, meaning: &'static str) -> Code {
    Code { code, statuses, next, meaning }
}

/// All of them, by name.
pub const CODES: &[Code] = &[
    code("absolute_uri", &[400], Mend, "the request begins with a whole address instead of its path"),
    code("administrator_is_custodian", &[422], Mend, "the administrator's organisation would contribute a share"),
    code(
        "answers_destroyed",
        &[410],
        Stop,
        "the batch's epoch is destroyed, and its answers, which were charged, with it; to ask anew is charged again",
    ),
    code(
        "answers_unread",
        &[409],
        Wait,
        "answers of batches would be lost with the epoch: they are read or expire first, or the loss is accepted",
    ),
    code("batch_below_minimum", &[409], Wait, "cancelling now would single somebody out"),
    code("batch_incomplete", &[409], Mend, "something of the batch is missing; send it, then commit"),
    code("batch_mixed", &[422], Mend, "questions of one batch differ in epoch, profile, salt or purpose"),
    code("batch_not_open", &[409], Stop, "the batch takes nothing more"),
    code("batches_under_way", &[409], Wait, "as many of your batches as may be at once"),
    code("body", &[400], Again, "the body ended before its end"),
    code(
        "budget_spent",
        &[403],
        Stop,
        "the month's questions are spent: the care side's, or by one that came at the same time",
    ),
    code("busy", &[503], Again, "the service has too much to do"),
    code("case_epoch", &[409], Mend, "the case is of another epoch than the codes"),
    code("certificate_refused", &[403], Stop, "the certificate is revoked, unknown or not the one of its party"),
    code(
        "clock_leapt",
        &[503],
        Wait,
        "the service's clock has leapt ahead, and nobody knows yet whether that is right",
    ),
    code("code_shape", &[422], Mend, "codes are not those of the profile"),
    code("code_weight", &[422], Mend, "a code has another number of bits than codes of the profile have"),
    code("content_coding", &[415], Mend, "the body is compressed"),
    code("content_length", &[400], Mend, "the length is no number, or stands there twice"),
    code("custodian_left_out", &[422], Mend, "a register that answers rest on would have no custodian in the epoch"),
    code("digest", &[400], Again, "the chunk is not the one of its `Content-Digest`"),
    code("epoch_active", &[409], Stop, "the epoch answers already"),
    code("epoch_answers", &[409], Wait, "the epoch still answers"),
    code("epoch_complete", &[409], Stop, "all shares are there"),
    code("epoch_dates", &[422], Mend, "the dates of an epoch are out of order, or its grace is too long or too short"),
    code("epoch_destroyed", &[409, 410], Stop, "the epoch is destroyed"),
    code("epoch_incomplete", &[409], Wait, "shares are missing"),
    code("epoch_not_active", &[409], Wait, "the epoch does not answer yet, or no more"),
    code("epoch_not_loading", &[409], Stop, "the epoch takes no loads"),
    code("epoch_not_retiring", &[409], Stop, "the epoch is not retiring"),
    code("epoch_outdated", &[409], Stop, "an epoch that was announced later has taken over"),
    code("epoch_retired", &[410], Stop, "the epoch answers no more; ask in the one that took over"),
    code(
        "epoch_unsettled",
        &[409],
        Wait,
        "the epoch is silent, and by a clock that is not sure yet: nothing ends by it",
    ),
    code("escape", &[400], Mend, "a letter of the path is written with a percent sign"),
    code("expectation", &[417], Mend, "the request expects something else than 100-continue"),
    code("expired", &[410], Stop, "contents of the log that were asked for are deleted"),
    code("export", &[422], Mend, "the range of an export has no entries"),
    code("fsc_transaction_id", &[400], Mend, "the transaction id is no UUID of version 7"),
    code("group_unwanted", &[422], Mend, "a record names a group that its source does not have"),
    code("header_twice", &[400], Mend, "a header that says one thing stands there twice"),
    code("headers_too_large", &[431], Mend, "the head of the request is too long"),
    code("hold", &[422], Mend, "the range of a hold has no entries"),
    code("host", &[400], Mend, "not one `Host` with the service's name"),
    code("household_limit", &[403], Stop, "this case was asked about too often this month"),
    code("household_missing", &[422], Mend, "a record of the population has no household"),
    code("household_unwanted", &[422], Mend, "a record of the care list has a household"),
    code("idempotency_key", &[400], Mend, "the key does not have its form, or stands there twice"),
    code("idempotency_key_reused", &[422], Mend, "the key came with another request before"),
    code("internal", &[500], Again, "the service failed at this request"),
    code("json", &[400], Mend, "the body is not what the document says; `errors` has every fault"),
    code(
        "load_base",
        &[409],
        Mend,
        "another load answers now than the one that was to be changed, or it was made by other ages",
    ),
    code("load_incomplete", &[409], Mend, "chunks are missing; send them, then commit"),
    code("load_limit", &[403], Stop, "this party loaded too often today into an epoch that answers"),
    code("load_parts", &[409], Mend, "too many loads build on each other; send the whole register"),
    code("load_records", &[422], Mend, "too few or too many records"),
    code("load_spent", &[409], Mend, "this load was refused too often; begin another one"),
    code("log_level", &[400], Mend, "no such level"),
    code("malformed", &[400], Mend, "this is no request of HTTP/1.1"),
    code("media_type", &[415], Mend, "the body is not of the type that is taken here"),
    code("no_corporation", &[422], Mend, "a tap that is to be opened is none of a corporation of the regulation"),
    code("no_identity", &[403], Stop, "the certificate names no organisation"),
    code("no_key_check", &[422], Mend, "the codes do not say of which salt they are"),
    code("no_such_entry", &[404], Stop, "the log has no such entry"),
    code("no_such_method", &[405], Mend, "the path does not have this method; `Allow` says which"),
    code("no_such_path", &[404], Stop, "nothing is at this path"),
    code("no_such_tile", &[404], Stop, "the log has no such tile"),
    code("not_a_contributor", &[403], Stop, "only who contributed to the epoch seals its shares again"),
    code("not_acceptable", &[406], Mend, "`Accept` leaves no room for what is answered"),
    code("not_the_holder", &[403], Stop, "only the party that holds entries ends that"),
    code("not_the_proposer", &[403], Stop, "only the party that proposed an act withdraws it"),
    code("officer_key_missing", &[409], Stop, "the regulation names no key of a privacy officer"),
    code("old_size", &[422], Mend, "the log never had that many entries"),
    code(
        "other_ages",
        &[422],
        Mend,
        "groups were made by other ages than the regulation has, or it is not said by which",
    ),
    code("other_profile", &[422], Mend, "the profile is not the epoch's"),
    code("other_salt", &[422], Stop, "the codes are of another salt; fetch the envelope again"),
    code("other_schema", &[422], Mend, "the linkage schema is not the epoch's"),
    code("participant", &[422], Mend, "a participant is none of the regulation, or stands there twice"),
    code("participant_left_out", &[422], Mend, "somebody who encodes would take no part, and nobody said so"),
    code("path", &[404], Mend, "a part of the path does not have its form"),
    code("posterior_bound", &[409], Stop, "answers from this register would tell more than was agreed"),
    code("proposal_withdrawn", &[410], Stop, "the party that proposed the act withdrew it"),
    code("purpose_missing", &[422], Mend, "a question without a purpose"),
    code("query", &[400], Mend, "the query is not what the document says; `errors` has every fault"),
    code("question", &[422], Mend, "a line of a batch cannot be read"),
    code("recipient", &[422], Mend, "a participant's key is no public key"),
    code("record", &[422], Mend, "a line of a load cannot be read"),
    code("record_duplicate", &[422], Mend, "two records have one reference"),
    code("record_not_there", &[422], Mend, "a record that was to be removed is not there"),
    code("reference_date", &[422], Mend, "the reference date lies in the future"),
    code("refused", &[403], Stop, "an article of the regulation refused; `article` names it"),
    code("regulation_active", &[409], Stop, "this version was activated already"),
    code("regulation_differs", &[409], Mend, "the service has another version of the regulation than was named"),
    code("regulation_ended", &[403], Stop, "the regulation does not hold today"),
    code("regulation_keys", &[409], Stop, "the regulation names keys that cannot be used"),
    code("regulation_not_active", &[409], Wait, "the regulation is not in force"),
    code("regulation_overlap", &[409], Stop, "another version is in force on the same days"),
    code("regulation_unreadable", &[409], Stop, "the service cannot read the regulation"),
    code("regulation_unsigned", &[409], Wait, "not all parties signed the regulation"),
    code("share", &[422], Mend, "the share is no file that was sealed for the participants"),
    code("slow", &[408], Again, "the chunk took more than a minute"),
    code("slow_body", &[408], Again, "the body came too slowly"),
    code("slow_head", &[408], Again, "the head came too slowly"),
    code("source_changed", &[409], Mend, "a register has many more or fewer records than the one before"),
    code("source_missing", &[409], Wait, "a register is not loaded yet"),
    code(
        "source_stale",
        &[409],
        Wait,
        "a register is too old to answer from, or made by other ages than the regulation has",
    ),
    code("stock_addresses", &[422], Mend, "the addresses of a stock are none, too many or too few"),
    code("stock_missing", &[409], Wait, "no stock was loaded"),
    code(
        "store_conflict",
        &[409],
        Stop,
        "it was done already, or something else was in its place: the detail says which",
    ),
    code(
        "store_damaged",
        &[503],
        Stop,
        "the access log was changed outside the service, which does nothing until its operator puts a backup back",
    ),
    code(
        "store_epoch_credential",
        &[409],
        Stop,
        "the key of the epoch lies in the system's credentials, and its operator deletes it",
    ),
    code("store_epoch_key", &[409], Stop, "the service has lost the key of the epoch"),
    code("store_load_incomplete", &[409], Mend, "fewer records or questions came than were announced"),
    code("store_load_overfull", &[409], Mend, "more records or questions came than were announced"),
    code(
        "store_not_durable",
        &[503],
        Wait,
        "the service could not write its log, and does nothing until its operator restarts it",
    ),
    code("store_not_found", &[404], Stop, "what the request names is not there"),
    code("store_upload_too_long", &[413], Mend, "the chunks are longer together than an upload may be"),
    code("tenant_count", &[422], Mend, "a household has no tenant, or too many"),
    code("too_few_custodians", &[422], Mend, "a salt needs two custodians of different organisations"),
    code("too_large", &[413], Mend, "the body is longer than it may be"),
    code("too_many_at_once", &[429], Again, "too many of your requests are being worked on"),
    code("too_many_batches", &[429], Again, "too many of your batches are being worked on"),
    code("too_many_bytes", &[429], Again, "you send more bytes a second than your share"),
    code("too_many_bytes_at_once", &[429], Again, "your requests under way are too large together"),
    code("too_many_connections", &[429], Again, "you have too many connections open"),
    code("too_many_records", &[422], Mend, "more entries fit the query than are shown"),
    code("too_many_refusals", &[429], Again, "too many of your requests were refused; mend them"),
    code("too_many_requests", &[429], Again, "you send more requests a second than your share"),
    code("too_many_writes", &[429], Again, "more was written and recorded than one party may have in a minute"),
    code("unavailable", &[503], Again, "the service cannot record what it does, or is stopping"),
    code("unknown_batch", &[404], Stop, "you have no such batch"),
    code("unknown_epoch", &[404], Stop, "there is no such epoch"),
    code("unknown_load", &[404], Stop, "you have no such load in progress"),
    code("unknown_proposal", &[404], Stop, "no such act waits"),
    code("unknown_regulation", &[404], Stop, "there is no such regulation"),
    code("unread", &[400], Mend, "the request was refused before it was read"),
    code("upgrade", &[400], Mend, "the connection was to change to another protocol"),
    code("uri_too_long", &[414], Mend, "the path and query are too long"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use regex::Regex;

    use super::*;

    const PAGE: &str = include_str!("../../docs/errors.md");

    #[test]
    fn the_page_is_the_table() {
        let row = |one: &Code| {
            let statuses: Vec<String> = one.statuses.iter().map(u16::to_string).collect();
            format!("| `{}` | {} | {} | {} |", one.code, statuses.join(", "), one.next.word(), one.meaning)
        };
        let told: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(told, CODES.iter().map(row).collect::<Vec<_>>());
        assert!(CODES.is_sorted_by(|one, next| one.code < next.code));
    }

    /// Files in which a word behind an arrow is a code that callers see.
    const NAMED: [&str; 4] = ["src/answer/limits.rs", "src/epoch/life.rs", "src/epoch/mod.rs", "src/link/mod.rs"];

    #[test]
    fn every_code_in_the_source_is_in_the_table() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = r#"Problem::(?:new|bad_request|unprocessable|not_found|conflict)\(\s*(?:[\w:.()]+,\s*)?"([a-z_]+)""#;
        let (made, named) = (Regex::new(made).unwrap(), Regex::new(r#"=> "([a-z_]+)""#).unwrap());
        let known: BTreeSet<&str> = CODES.iter().map(|one| one.code).collect();
        let (mut folders, mut found) = (vec![root.join("src/answer")], BTreeSet::new());
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    found.extend(made.captures_iter(&text).map(|one| one[1].to_owned()));
                }
            }
        }
        for path in NAMED {
            let text = fs::read_to_string(root.join(path)).unwrap();
            let (_, codes) = text.split_once("fn code(").expect("codes");
            found.extend(named.captures_iter(codes).map(|one| one[1].to_owned()));
        }
        let missing: Vec<&String> = found.iter().filter(|code| !known.contains(code.as_str())).collect();
        assert!(found.len() > 70 && missing.is_empty(), "{} codes, not in the table: {missing:?}", found.len());
    }
}
