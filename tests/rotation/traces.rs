//! What is left of an epoch: its known records, keys, salt and shares are looked for byte by byte, on the disk, in a
//! backup and in the memory of the service; before the end, to show that the search finds them, and after it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac::{self, HMAC_SHA256};
use voorrang::cli::client::open_shares;
use voorrang::code::Record;
use voorrang::encode::Ages;
use voorrang::profile::Profile;
use voorrang::regulate::Role;

use super::driver::Driver;
use super::model::Epoch;
use super::town::{Town, today};

/// Known records that are looked for.
const RECORDS: usize = 1000;

/// Bytes that are unlikely to stand anywhere by chance.
struct Needles {
    /// Of records: raw as in a load, as words of this machine, and in base64.
    records: Vec<Vec<u8>>,
    /// How many records these are spellings of.
    known: usize,
    /// Wrapping key and data key of the epoch.
    keys: Vec<Vec<u8>>,
    /// Salt, shares and field keys: never at the service.
    secrets: Vec<Vec<u8>>,
    /// Beginnings of sealed chunks, which do lie on the disk while the epoch lives: they show that the search finds what
    /// is there.
    sealed: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Default)]
struct Found {
    records: usize,
    keys: usize,
    secrets: usize,
    sealed: usize,
}

pub fn destroy_and_search(town: &mut Town, image: Option<&Path>, memory: bool) -> String {
    let driver = Driver::new(town);
    driver.until_active(1);
    let epoch = driver.current().expect("an epoch is active");
    let needles = needles(town, &epoch);
    let backup = town.file("backup");
    copy(town.state(), &backup);
    let before = if memory { in_memory(town.pid(), &needles) } else { Found::default() };
    assert!(
        !memory || before.records > 0 && before.keys > 0,
        "memory holds no record or no key: this search shows nothing"
    );
    assert_eq!(before.secrets, 0, "the service holds a salt, a share or a field key");
    // What lies on the disk before: chunks sealed, the wrapping key in the clear, nothing else.
    let on_disk = |needles: &Needles| {
        let mut files = in_files(town.state(), needles);
        files.add(in_files(town.epoch_keys(), needles));
        // The image is what lies on the disk, not what the kernel still holds.
        assert!(Command::new("sync").status().unwrap().success());
        (files, image.map(|image| in_file(image, needles)))
    };
    let (files, raw) = on_disk(&needles);
    for (place, found) in [("files", Some(files)), ("raw image", raw)] {
        let Some(found) = found else { continue };
        assert!(found.sealed > 0 && found.keys > 0, "{place}: no chunk or no wrapping key: this search shows nothing");
        assert_eq!((found.records, found.secrets), (0, 0), "{place}, while the epoch answers");
    }
    driver.retire(&epoch.name).unwrap();
    driver.end(&epoch.name).unwrap();
    let after = if memory { in_memory(town.pid(), &needles) } else { Found::default() };
    let (files, raw) = on_disk(&needles);
    let mut places = vec![("memory", after), ("files", files), ("backup", in_files(&backup, &needles))];
    places.extend(raw.map(|raw| ("raw image", raw)));
    for (place, found) in places {
        assert_eq!((found.records, found.keys, found.secrets), (0, 0, 0), "{place}");
    }
    format!(
        "destroyed {}: of {} known records, {} keys, {} secrets: {} copies of records and {} of keys in memory before; 0 in \
         memory{}, 0 in the state's files, 0 in a backup from before{}",
        epoch.name,
        needles.known,
        needles.keys.len(),
        needles.secrets.len(),
        before.records,
        before.keys,
        if memory { "" } else { " (not searched)" },
        if raw.is_some() { ", 0 in the raw disk image" } else { "" }
    )
}

impl Found {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.keys += other.keys;
        self.secrets += other.secrets;
        self.sealed += other.sealed;
    }
}

fn needles(town: &Town, epoch: &Epoch) -> Needles {
    let (minor_below, senior_from) = town.regulation.ages();
    let ages = Ages { minor_below, senior_from };
    let some: Vec<_> = town.residents.iter().take(RECORDS).cloned().collect();
    let (mut records, known) = (Vec::new(), some.len());
    let asked = asked(epoch);
    for record in epoch.encoder.residents(&some, today(), &ages) {
        spellings(&record, &asked, &mut records);
    }
    let wrapping = fs::read(town.epoch_keys().join(format!("epoch-{}.key", epoch.name))).unwrap();
    let keys = vec![data_key(town, &epoch.name, &wrapping), wrapping];
    let mut secrets = vec![epoch.salt.clone(), hex::encode(&epoch.salt).into_bytes()];
    let client = town.client(Role::Corporation);
    let envelope = client.envelope(&epoch.name.parse().unwrap()).unwrap();
    for share in open_shares(&envelope, &client.identity().unwrap(), &client.parties().unwrap()).unwrap().into_values()
    {
        let secret = share.note.lines().nth(3).unwrap().to_owned();
        secrets.push(STANDARD.decode(&secret).unwrap());
        secrets.push(secret.into_bytes());
    }
    secrets.extend(field_keys(epoch));
    Needles { records, known, keys, secrets, sealed: sealed(town, &epoch.name) }
}

/// Bytes of a code that are looked for.
const CODE: usize = 24;

/// What questions bring as well, and what lies in the buffers of connections that are open: it is no trace of a register.
fn asked(epoch: &Epoch) -> BTreeSet<Vec<u8>> {
    let questions = || epoch.questions.iter().map(|(_, question, _)| question);
    let tenants = questions().flat_map(|question| &question.tenants);
    let codes = tenants.flat_map(|tenant| tenant.codes.values().flatten());
    let addresses = questions().filter_map(|question| question.address);
    codes.map(|code| code.to_bytes()[..CODE].to_vec()).chain(addresses.map(|it| it.0.to_vec())).collect()
}

/// A record as it may lie somewhere: its reference, its tokens, and the first words of each of its codes.
fn spellings(record: &Record, asked: &BTreeSet<Vec<u8>>, into: &mut Vec<Vec<u8>>) {
    let mut look_for = |bytes: &[u8]| {
        let is_new = !asked.contains(bytes);
        into.extend(is_new.then(|| [bytes.to_vec(), STANDARD.encode(bytes).into_bytes()]).into_iter().flatten());
        is_new
    };
    let tokens = [Some(record.id.0), record.address.map(|token| token.0), record.household.map(|token| token.0)];
    for token in tokens.iter().flatten() {
        look_for(token);
    }
    let mut words = Vec::new();
    for code in record.codes.passes.iter().flatten() {
        if look_for(&code.to_bytes()[..CODE]) {
            words.push(code.words().iter().take(CODE / 8).flat_map(|word| word.to_ne_bytes()).collect());
        }
    }
    into.append(&mut words);
}

/// As `store` wraps it: nonce, ciphertext and tag under the wrapping key, bound to the epoch.
fn data_key(town: &Town, epoch: &str, wrapping: &[u8]) -> Vec<u8> {
    let db = rusqlite::Connection::open(town.state().join("voorrang.db")).unwrap();
    let wrapped: Vec<u8> = db.query_row("SELECT data_key FROM epoch WHERE id = ?1", [epoch], |row| row.get(0)).unwrap();
    let (nonce, body) = wrapped.split_first_chunk::<NONCE_LEN>().unwrap();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, wrapping).unwrap());
    let place = format!("voorrang epoch data key 1 {epoch}");
    let mut body = body.to_vec();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.as_bytes()), &mut body);
    opened.unwrap().to_vec()
}

/// Bytes of the epoch's sealed chunks as they lie in the database.
fn sealed(town: &Town, epoch: &str) -> Vec<Vec<u8>> {
    let db = rusqlite::Connection::open(town.state().join("voorrang.db")).unwrap();
    let sql = "SELECT substr(sealed, 1, 24) FROM chunk JOIN load ON load.id = chunk.upload WHERE epoch = ?1";
    let mut query = db.prepare(sql).unwrap();
    query.query_map([epoch], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The keys that belong to no pass, as `encode` names them.
const KEYS: [&str; 11] = [
    "check",
    "address-token",
    "household-token",
    "token",
    "record",
    "file",
    "filler",
    "everywhere",
    "place/address",
    "place/postcode",
    "place/street",
];

/// As `encode` expands them from the salt; what it calls them must not drift away from what is looked for.
fn field_keys(epoch: &Epoch) -> Vec<Vec<u8>> {
    let source = include_str!("../../src/encode/keys.rs").split("#[cfg(test)]").next().unwrap();
    let named = ["self.key(\"", "self.numbers(\""].iter().flat_map(|call| source.split(call).skip(1));
    let named: BTreeSet<&str> = named.filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    assert_eq!(named, KEYS.into(), "the keys of encode are others than those looked for");
    let profile = Profile::built_in();
    let root = Salt::new(HKDF_SHA256, epoch.name.as_bytes()).extract(&epoch.salt);
    let key = |what: &str| {
        let (info, mut key) = (format!("voorrang/v5/{}/{what}", profile.schema_hash()), vec![0; 32]);
        root.expand(&[info.as_bytes()], HKDF_SHA256).unwrap().fill(&mut key).unwrap();
        key
    };
    let check = hmac::sign(&hmac::Key::new(HMAC_SHA256, &key("check")), b"voorrang key check v1");
    assert_eq!(hex::encode(&check.as_ref()[..16]), epoch.encoder.header().key_check, "these are not the epoch's keys");
    let of_passes = profile.passes.iter().map(|pass| format!("pass/{}/diffusion", pass.name));
    KEYS.map(str::to_owned).into_iter().chain(of_passes).map(|what| key(&what)).collect()
}

/// Every place in the memory of a process where a needle stands. Only its owner and root may look.
fn in_memory(pid: u32, needles: &Needles) -> Found {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Found::default();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // A mapping may be gone by now.
        if memory.seek(SeekFrom::Start(from)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            found.add(needles.count(&bytes));
        }
    }
    found
}

fn in_files(folder: &Path, needles: &Needles) -> Found {
    let mut found = Found::default();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.add(if path.is_dir() { in_files(&path, needles) } else { in_file(&path, needles) });
    }
    found
}

/// In blocks, which overlap by more than a needle.
fn in_file(path: &Path, needles: &Needles) -> Found {
    const OVERLAP: usize = 256;
    let (mut file, mut found) = (fs::File::open(path).unwrap(), Found::default());
    let (mut block, mut kept) = (vec![0; 64 << 20], 0);
    loop {
        let read = file.read(&mut block[kept..]).unwrap();
        if read == 0 {
            return found;
        }
        let end = kept + read;
        found.add(needles.count(&block[..end]));
        kept = end.min(OVERLAP);
        block.copy_within(end - kept..end, 0);
    }
}

impl Needles {
    fn count(&self, bytes: &[u8]) -> Found {
        let index = Index::of(&[&self.records, &self.keys, &self.secrets, &self.sealed]);
        let [records, keys, secrets, sealed] = index.count(bytes);
        Found { records, keys, secrets, sealed }
    }
}

/// Needles by their first 8 bytes, so that a gigabyte is searched for thousands of them at once.
struct Index<'a>(HashMap<[u8; 8], Vec<(usize, &'a [u8])>>);

impl<'a> Index<'a> {
    fn of(kinds: &[&'a Vec<Vec<u8>>; 4]) -> Self {
        let mut index: HashMap<[u8; 8], Vec<(usize, &[u8])>> = HashMap::new();
        for (kind, needles) in kinds.iter().enumerate() {
            for needle in *needles {
                index.entry(needle[..8].try_into().unwrap()).or_default().push((kind, needle));
            }
        }
        Self(index)
    }

    fn count(&self, bytes: &[u8]) -> [usize; 4] {
        // Two bytes first: a table of 65,536 flags keeps nearly every place away from the map.
        let mut starts = vec![false; 1 << 16];
        self.0.keys().for_each(|key| starts[usize::from(u16::from_le_bytes([key[0], key[1]]))] = true);
        let mut counts = [0; 4];
        for at in 0..bytes.len().saturating_sub(8) {
            if starts[usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))] {
                let head: &[u8; 8] = bytes[at..at + 8].try_into().unwrap();
                for (kind, needle) in self.0.get(head).into_iter().flatten() {
                    counts[*kind] += usize::from(bytes[at..].starts_with(needle));
                }
            }
        }
        counts
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
