//! What a custodian remembers of the load that answers, so that the next one can be what changed: per record its keyed
//! reference and a digest of its codes, under 40 bytes. Neither says anything without the epoch's salt: the reference is
//! an HMAC of the record's number, and what is digested is codes that nobody can make, or test a guess against, without
//! it. Who has the salt and this file could test whether a person is registered; so could who has the salt and the upload.
//! A new epoch replaces the file.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Write as _};

use anyhow::Context;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::super::client::Client;
use super::super::output::Output;
use crate::answer::wire::Source;
use crate::code::{CodeHeader, RecordRef};
use crate::ids::LoadId;

/// Bytes of a reference, and of what is kept of a digest.
const HALF: usize = 16;

/// A record as it was sent: its reference, and the beginning of the SHA-256 of its line.
pub(super) type Stamp = (RecordRef, [u8; HALF]);

/// The stamp of a record's line.
pub(super) fn stamp(id: RecordRef, line: &[u8]) -> Stamp {
    let all = digest(&SHA256, line);
    (id, all.as_ref()[..HALF].try_into().expect("SHA-256 is longer"))
}

/// The first line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    load: LoadId,
    header: CodeHeader,
}

/// The records of the load that answers, as this party sent them.
pub(super) struct Known {
    pub load: LoadId,
    pub records: HashMap<RecordRef, [u8; HALF]>,
}

impl Known {
    /// What is remembered of a source, if it was sent with this header. A file that cannot be read is none.
    pub(super) fn read(client: &Client, source: Source, header: &CodeHeader) -> anyhow::Result<Option<Self>> {
        let path = client.remembered(&file_of(source));
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let (head, rest) = (serde_json::from_slice::<Head>(&bytes[..end]).ok(), &bytes[end + 1..]);
        let Some(head) = head.filter(|head| head.header == *header && rest.len() % (2 * HALF) == 0) else {
            return Ok(None);
        };
        let (halves, _) = rest.as_chunks::<HALF>();
        let records = halves.chunks_exact(2).map(|pair| (RecordRef(pair[0]), pair[1])).collect();
        Ok(Some(Self { load: head.load, records }))
    }
}

/// Remembers what a load that now answers holds.
pub(super) fn remember(
    client: &Client,
    source: Source,
    header: CodeHeader,
    load: LoadId,
    stamps: &[Stamp],
) -> anyhow::Result<()> {
    fs::create_dir_all(&client.config.memory)
        .with_context(|| format!("cannot make {}", client.config.memory.display()))?;
    let mut file = Output::create(&client.remembered(&file_of(source)))?;
    writeln!(file, "{}", serde_json::to_string(&Head { load, header })?)?;
    for (id, digest) in stamps {
        file.write_all(&id.0)?;
        file.write_all(digest)?;
    }
    file.finish()
}

fn file_of(source: Source) -> String {
    format!("loaded-{}.state", source.as_str())
}
