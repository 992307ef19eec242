//! The parties' signatures under a regulation: one signed note (c2sp.org/signed-note) whose text names the digest,
//! with a signature line a party. The keys stand in `regulation.toml`, so the digest covers them.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Party, Regulation, RegulationError};
use crate::audit::{NoteSigner, NoteVerifier};

/// First line of what is signed: a signature under a regulation is no signature under anything else.
const PURPOSE: &str = "voorrang/regulation/v1";

/// Most lines of a note, a key each: as `audit` reads notes.
pub(super) const MOST_LINES: usize = 64;

/// What a party's signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureState {
    Valid,
    Missing,
    /// By the party's key, and not under this text: a byte of the regulation changed, or the line did.
    False,
    /// The regulation names no key of the party.
    NoKey,
}

impl SignatureState {
    /// For tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "signed",
            Self::Missing => "missing",
            Self::False => "void",
            Self::NoKey => "no key",
        }
    }
}

/// The note beside a regulation, `signatures.note`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// Signature lines, without their line feeds.
    lines: Vec<String>,
}

impl Signatures {
    /// Reads a note; its text is not looked at, because each line must hold for the regulation as it is now.
    ///
    /// # Errors
    /// [`RegulationError::Signatures`] if it is no signed note.
    pub fn from_note(note: &str) -> Result<Self, RegulationError> {
        let broken = || RegulationError::Signatures("is no signed note".into());
        let (_, lines) = note.rsplit_once("\n\n").ok_or_else(broken)?;
        let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        if lines.is_empty() || lines.len() > MOST_LINES || lines.iter().any(|line| signer_of(line).is_none()) {
            return Err(broken());
        }
        Ok(Self { lines })
    }

    /// Adds a party's signature under the regulation, in place of an earlier one by the same key.
    ///
    /// # Errors
    /// [`RegulationError::Signatures`] if the key is no party's.
    pub fn sign(&mut self, regulation: &Regulation, signer: &NoteSigner) -> Result<(), RegulationError> {
        let vkey = signer.verifier().vkey();
        if !regulation.parties().iter().flat_map(Party::keys).any(|key| key == vkey) {
            let what = "can be signed with the key of a party only; regulation.toml names no party with this key";
            return Err(RegulationError::Signatures(what.into()));
        }
        let note = signer.sign(&text(regulation));
        let (_, line) = note.trim_end().rsplit_once("\n\n").expect("a signed note has a signature line");
        self.lines.retain(|known| signer_of(known) != signer_of(line));
        self.lines.push(line.to_owned());
        Ok(())
    }

    /// The note: the regulation's text and all lines.
    pub fn to_note(&self, regulation: &Regulation) -> String {
        let lines: String = self.lines.iter().flat_map(|line| [line, "\n"]).collect();
        format!("{}\n{lines}", text(regulation))
    }

    /// What each party's signature is worth, in the regulation's order.
    ///
    /// # Errors
    /// [`RegulationError::Signatures`] if somebody signed who is no party: then the note is not what it seems.
    pub fn state<'a>(&self, regulation: &'a Regulation) -> Result<Vec<(&'a Party, SignatureState)>, RegulationError> {
        let keys: Vec<_> = regulation.parties().iter().flat_map(Party::keys).map(name_and_id).collect();
        if let Some(at) = self.lines.iter().position(|line| !keys.contains(&signer_of(line))) {
            let what = format!("has a signature of a stranger, line {} of the signatures; take it out", at + 1);
            return Err(RegulationError::Signatures(what));
        }
        Ok(regulation.parties().iter().map(|party| (party, self.state_of(regulation, party))).collect())
    }

    /// Whether every party signed the regulation as it is.
    ///
    /// # Errors
    /// [`RegulationError::Signatures`], naming who did not.
    pub fn check(&self, regulation: &Regulation) -> Result<(), RegulationError> {
        let states = self.state(regulation)?;
        let open = states.iter().filter(|(_, state)| *state != SignatureState::Valid);
        let open: Vec<_> = open.map(|(party, state)| format!("{} ({})", party.name, state.as_str())).collect();
        if open.is_empty() {
            return Ok(());
        }
        Err(RegulationError::Signatures(format!("lacks signatures: {}", open.join(", "))))
    }

    fn state_of(&self, regulation: &Regulation, party: &Party) -> SignatureState {
        if party.key.is_none() {
            return SignatureState::NoKey;
        }
        let mut states = party.keys().map(|key| self.state_under(regulation, key));
        states.find(|state| *state != SignatureState::Valid).unwrap_or(SignatureState::Valid)
    }

    fn state_under(&self, regulation: &Regulation, key: &str) -> SignatureState {
        let Ok(verifier) = NoteVerifier::from_vkey(key) else { return SignatureState::NoKey };
        match self.lines.iter().find(|line| signer_of(line) == name_and_id(key)) {
            None => SignatureState::Missing,
            Some(line) => match verifier.verify(&format!("{}\n{line}\n", text(regulation))) {
                Ok(_) => SignatureState::Valid,
                Err(_) => SignatureState::False,
            },
        }
    }
}

/// What is signed.
fn text(regulation: &Regulation) -> String {
    let (from, until) = regulation.validity();
    format!("{PURPOSE}\n{}\n{}\n{from} {until}\n", regulation.id(), regulation.digest())
}

/// Key name and key id of a signature line.
fn signer_of(line: &str) -> Option<(String, String)> {
    let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(signature).ok().filter(|bytes| bytes.len() > 4)?;
    Some((name.to_owned(), hex::encode(&bytes[..4])))
}

/// The same of a verifier key, `name+id+key`.
fn name_and_id(vkey: &str) -> Option<(String, String)> {
    let mut parts = vkey.splitn(3, '+');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, read};

    /// Haarlem with a key for each party, and the keys.
    fn keyed() -> (String, Vec<NoteSigner>) {
        let mut text = TOML_TEXT.to_owned();
        let parties = read(TOML_TEXT, CEDAR_TEXT).unwrap();
        let signers = parties.parties().iter().map(|party| {
            let (signer, _) = NoteSigner::generate(&format!("party.example/{}", party.oin)).unwrap();
            let oin = format!("oin = \"{}\"\n", party.oin);
            text = text.replacen(&oin, &format!("{oin}key = \"{}\"\n", signer.verifier().vkey()), 1);
            signer
        });
        let signers = signers.collect();
        (text, signers)
    }

    fn signed(regulation: &Regulation, signers: &[NoteSigner]) -> Signatures {
        let mut signatures = Signatures::default();
        signers.iter().for_each(|signer| signatures.sign(regulation, signer).unwrap());
        signatures
    }

    #[test]
    fn all_parties_sign_one_note_and_one_less_is_refused() {
        let (text, signers) = keyed();
        let regulation = read(&text, CEDAR_TEXT).unwrap();
        let all = signed(&regulation, &signers);
        let read_back = Signatures::from_note(&all.to_note(&regulation)).unwrap();
        assert_eq!(read_back, all);
        assert!(read_back.check(&regulation).is_ok());
        for missing in 0..signers.len() {
            let mut fewer = all.clone();
            fewer.lines.remove(missing);
            let error = fewer.check(&regulation).unwrap_err().to_string();
            assert!(error.contains(&regulation.parties()[missing].name) && error.contains("missing"), "{error}");
        }
        let mut again = all.clone();
        again.sign(&regulation, &signers[0]).unwrap();
        assert_eq!(again.lines.len(), signers.len(), "who signs twice signed once");
    }

    #[test]
    fn more_keys_than_a_note_has_lines_are_refused_before_anybody_signs() {
        let (text, signers) = keyed();
        let former = |toml: &str, party: usize| {
            let vkey = signers[party].verifier().vkey();
            let (signer, _) = NoteSigner::generate(&format!("party.example/former-{party}")).unwrap();
            let line = format!("key = \"{vkey}\"\n");
            toml.replacen(&line, &format!("{line}former_key = \"{}\"\n", signer.verifier().vkey()), 1)
        };
        // Teams, until there are as many parties as lines; each has a key to come.
        let teams: String = (signers.len()..MOST_LINES)
            .map(|n| {
                let oin = format!("000000990000009{n:05}");
                let party = format!("oin = \"{oin}\"\nname = \"Team {n}\"\norganisation = \"Team {n}\"");
                format!("[[party]]\n{party}\nrole = \"district-team\"\n\n")
            })
            .collect();
        let full = text.replacen("[[party]]", &format!("{teams}[[party]]"), 1);
        assert!(read(&full, CEDAR_TEXT).is_ok());
        let error = read(&former(&full, 0), CEDAR_TEXT).unwrap_err().to_string();
        assert!(error.contains("more than 64 keys"), "{error}");
        assert!(read(&former(&text, 0), CEDAR_TEXT).is_ok());
    }

    #[test]
    fn one_changed_byte_in_either_file_makes_every_signature_void() {
        let (text, signers) = keyed();
        let all = signed(&read(&text, CEDAR_TEXT).unwrap(), &signers);
        for (toml, cedar) in [
            (format!("{text} "), CEDAR_TEXT.to_owned()),
            (text.clone(), CEDAR_TEXT.replacen("what each", "What each", 1)),
        ] {
            let changed = read(&toml, &cedar).unwrap();
            assert!(all.state(&changed).unwrap().iter().all(|(_, state)| *state == SignatureState::False));
            assert!(all.check(&changed).is_err());
        }
    }

    #[test]
    fn a_stranger_neither_signs_nor_passes() {
        let (text, signers) = keyed();
        let regulation = read(&text, CEDAR_TEXT).unwrap();
        let (stranger, _) = NoteSigner::generate("party.example/00000099000000004001").unwrap();
        let mut all = signed(&regulation, &signers);
        assert!(all.clone().sign(&regulation, &stranger).is_err());
        let line = stranger.sign(&super::text(&regulation)).trim_end().rsplit_once('\n').unwrap().1.to_owned();
        all.lines.push(line);
        assert!(all.check(&regulation).unwrap_err().to_string().contains("stranger"));
    }

    #[test]
    fn a_regulation_without_keys_cannot_be_signed_and_what_is_no_note_is_refused() {
        let shipped = read(TOML_TEXT, CEDAR_TEXT).unwrap();
        let states = Signatures::default();
        assert!(states.state(&shipped).unwrap().iter().all(|(_, state)| *state == SignatureState::NoKey));
        assert!(states.check(&shipped).is_err());
        for bad in ["", "x", "x\n\n", "x\n\ny\n", "x\n\n— a b\n"] {
            assert!(matches!(Signatures::from_note(bad), Err(RegulationError::Signatures(_))), "{bad:?}");
        }
    }
}
