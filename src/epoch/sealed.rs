//! What a sealed share looks like from outside: exactly one age file (<https://age-encryption.org/v1>) for as many keys of
//! each kind as there are participants, and as long as a share is. Nothing is opened, and what is inside nobody here can
//! know: it keeps a program's mistake, a share that was never sealed, out of the store, not a custodian's own will.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::ids::{EpochId, Oin};

/// The first line of a share.
pub(super) const TITLE: &str = "voorrang share v1";

/// Most bytes of a sealed share: an age file for 50 recipients with ssh-rsa keys of 4,096 bits is under 50 KiB.
const MOST_BYTES: usize = 64 << 10;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// Characters of a whole line of base64, in the armor and in a stanza.
const LINE: usize = 64;

/// Bytes of a share's secret in base64, with the line's end.
const SECRET: usize = 45;

/// Bytes of a signature line but for the name: an empty line before it, dash, spaces, 68 bytes in base64, line's end.
const SIGNATURE: usize = 99;

/// Of the name in a signature line.
const NAME: RangeInclusive<usize> = 1..=100;

/// Bytes before and behind what is sealed: the nonce of the payload, and the tag of its only chunk.
const AROUND: usize = 16 + 16;

/// Why something is no sealed share. It never repeats what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    #[error("a share is one armored age file of at most 64 KiB and nothing beside it")]
    Armor,
    #[error("what is in the armor is no age file: was it sealed at all?")]
    Age,
    #[error("it is not sealed for exactly the keys of the epoch's participants")]
    Recipients,
    #[error("what is sealed has not the length of a signed share of this epoch")]
    Length,
}

/// Whether this is the sealed share of a contributor, for these public keys.
///
/// # Errors
/// [`NotSealed`].
pub fn check<'a>(
    sealed: &str,
    epoch: &EpochId,
    from: &Oin,
    recipients: impl Iterator<Item = &'a str>,
) -> Result<(), NotSealed> {
    let bytes = unarmored(sealed).ok_or(NotSealed::Armor)?;
    let (kinds, payload) = header(&bytes).ok_or(NotSealed::Age)?;
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for key in recipients {
        let kind = key.split(' ').next().filter(|kind| kind.starts_with("ssh-")).unwrap_or("X25519");
        *wanted.entry(kind).or_default() += 1;
    }
    if kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).ne(wanted) {
        return Err(NotSealed::Recipients);
    }
    let text = format!("{TITLE}\nepoch {epoch}\nfrom {from}\n").len() + SECRET;
    let name = payload.len().checked_sub(AROUND + text + SIGNATURE);
    if name.is_some_and(|length| NAME.contains(&length)) { Ok(()) } else { Err(NotSealed::Length) }
}

/// What the armor holds, if nothing stands beside it and it is spelled in the only way.
fn unarmored(sealed: &str) -> Option<Vec<u8>> {
    if sealed.len() > MOST_BYTES {
        return None;
    }
    let body = sealed.strip_prefix(BEGIN)?.strip_prefix('\n')?;
    let body = body.strip_suffix('\n').unwrap_or(body).strip_suffix(END)?.strip_suffix('\n')?;
    let (last, whole) =
        body.split('\n').collect::<Vec<_>>().split_last().map(|(last, whole)| (*last, whole.to_vec()))?;
    if whole.iter().any(|line| line.len() != LINE) || !(1..=LINE).contains(&last.len()) {
        return None;
    }
    STANDARD.decode(whole.concat() + last).ok()
}

/// How many stanzas there are of each kind, and the payload. One stanza of the sealing program's own, that no key opens
/// and that keeps readers used to unknown ones, is left out ("grease").
fn header(bytes: &[u8]) -> Option<(BTreeMap<String, usize>, &[u8])> {
    let mut rest = bytes;
    let mut line = || -> Option<&str> {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, behind) = rest.split_at(end);
        rest = &behind[1..];
        std::str::from_utf8(line).ok().filter(|line| line.is_ascii())
    };
    if line()? != "age-encryption.org/v1" {
        return None;
    }
    let (mut kinds, mut greased) = (BTreeMap::new(), false);
    let mut next = line()?;
    while let Some(stanza) = next.strip_prefix("-> ") {
        let (mut body, mut is_last) = (String::new(), false);
        next = line()?;
        while !next.starts_with("->") && !next.starts_with("---") {
            if is_last || next.len() > LINE {
                return None;
            }
            is_last = next.len() < LINE;
            body += next;
            next = line()?;
        }
        let body = STANDARD_NO_PAD.decode(body).ok()?;
        let arguments: Vec<&str> = stanza.split(' ').collect();
        let fits = match (arguments[0], arguments.len(), body.len()) {
            ("X25519", 2, 32) | ("ssh-ed25519", 3, 32) | ("ssh-rsa", 2, 256..=2048) => true,
            (kind, ..) if kind.ends_with("-grease") && !greased => {
                greased = true;
                continue;
            }
            _ => false,
        };
        if !fits {
            return None;
        }
        *kinds.entry(arguments[0].to_owned()).or_default() += 1;
    }
    let mac = STANDARD_NO_PAD.decode(next.strip_prefix("--- ")?).ok()?;
    (mac.len() == 32).then_some((kinds, rest))
}

#[cfg(test)]
mod tests {
    use super::super::share::{draw, generate_identity, seal};
    use super::*;
    use crate::audit::NoteSigner;

    fn oin(n: u8) -> Oin {
        format!("000000990000000000{n:02}").parse().unwrap()
    }

    struct Sealed {
        epoch: EpochId,
        keys: BTreeMap<Oin, String>,
        note: String,
        text: String,
    }

    fn sealed(participants: u8) -> Sealed {
        let epoch: EpochId = "haarlem-1".parse().unwrap();
        let keys: BTreeMap<Oin, String> = (1..=participants).map(|n| (oin(n), generate_identity().1)).collect();
        let (signer, _) = NoteSigner::generate("gemeente").unwrap();
        let note = signer.sign(&draw(&epoch, &oin(1)));
        Sealed { text: seal(&note, &keys).unwrap(), epoch, keys, note }
    }

    fn armored(bytes: &[u8]) -> String {
        let text = STANDARD.encode(bytes);
        let lines: Vec<&str> = text.as_bytes().chunks(LINE).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))
    }

    impl Sealed {
        fn check(&self, text: &str) -> Result<(), NotSealed> {
            check(text, &self.epoch, &oin(1), self.keys.values().map(String::as_str))
        }
    }

    #[test]
    fn a_sealed_share_passes_however_many_open_it_and_whatever_its_grease_is() {
        for participants in [1, 2, 6, 20] {
            for _ in 0..20 {
                let one = sealed(participants);
                assert_eq!(one.check(&one.text), Ok(()));
                assert_eq!(one.check(one.text.trim_end()), Ok(()));
            }
        }
    }

    #[test]
    fn a_share_that_was_not_sealed_is_none() {
        let one = sealed(3);
        let plain = &one.note;
        assert_eq!(one.check(plain), Err(NotSealed::Armor));
        assert_eq!(one.check(&format!("{BEGIN}\n{plain}\n{END}\n")), Err(NotSealed::Armor));
        assert_eq!(one.check(&armored(plain.as_bytes())), Err(NotSealed::Age));
        // Beside, before and behind a good one.
        for wrong in [
            format!("{}{plain}", one.text),
            format!("{plain}{}", one.text),
            format!("{}\n{}", one.text, one.text),
            one.text.replacen('\n', &format!("\n{}\n", &plain[..17]), 1),
            one.text.replace('\n', "\r\n"),
            format!("{BEGIN}\n{END}\n"),
            format!("{BEGIN}\n{}\n{END}\n", "A".repeat(MOST_BYTES)),
        ] {
            assert_eq!(one.check(&wrong), Err(NotSealed::Armor), "{wrong}");
        }
        let bytes = unarmored(&one.text).unwrap();
        let header_end = bytes.windows(5).position(|five| five == b"\n--- ").unwrap();
        let payload = header_end + 5 + 43 + 1;
        let in_header = [&bytes[..header_end + 1], b"-> plain\n", plain.as_bytes(), &bytes[header_end..]].concat();
        assert_eq!(one.check(&armored(&in_header)), Err(NotSealed::Age));
        let in_payload = [&bytes[..payload], plain.as_bytes()].concat();
        assert_eq!(one.check(&armored(&in_payload)), Err(NotSealed::Length));
        assert_eq!(one.check(&armored(&bytes[..payload])), Err(NotSealed::Length));
    }

    #[test]
    fn a_share_for_fewer_or_more_keys_or_of_another_length_is_none() {
        let one = sealed(3);
        for other in [2, 4] {
            assert_eq!(one.check(&sealed(other).text), Err(NotSealed::Recipients));
        }
        for text in ["short".to_owned(), one.note.clone() + &one.note, one.note.lines().next().unwrap().to_owned()] {
            assert_eq!(one.check(&seal(&text, &one.keys).unwrap()), Err(NotSealed::Length), "{text}");
        }
        let unsigned = draw(&one.epoch, &oin(1));
        assert_eq!(one.check(&seal(&unsigned, &one.keys).unwrap()), Err(NotSealed::Length));
    }
}
