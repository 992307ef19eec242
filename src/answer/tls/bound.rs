//! Who may come with which key: a root vouches for many, and a name in a certificate is only as good as whoever wrote
//! it there.

use std::collections::BTreeMap;

use super::TlsError;
use crate::ids::Oin;
use crate::regulate::Role;

/// The keys of a certificate, SHA-256 of each SubjectPublicKeyInfo, hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::answer) struct Pins {
    pub(in crate::answer) key: String,
    /// That of the authority that signed it, where it is at hand.
    pub(in crate::answer) issuer: Option<String>,
}

impl Pins {
    fn is(&self, pin: &str) -> bool {
        let issuer = |wanted| self.issuer.as_deref() == Some(wanted);
        pin.strip_prefix("key:").is_some_and(|wanted| wanted == self.key)
            || pin.strip_prefix("issuer:").is_some_and(issuer)
    }
}

/// `[tls.bound]` of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Bound(BTreeMap<String, Vec<String>>);

impl Bound {
    /// # Errors
    /// [`TlsError::Bound`] for a line that is about nobody: it would be taken for a protection.
    pub(super) fn new(lines: &BTreeMap<String, Vec<String>>) -> Result<Self, TlsError> {
        let is_role = |name: &str| Role::ALL.iter().any(|role| role.as_str() == name);
        match lines.keys().find(|name| !is_role(name) && name.parse::<Oin>().is_err()) {
            Some(nobody) => Err(TlsError::Bound(nobody.clone())),
            None => Ok(Self(lines.clone())),
        }
    }

    /// Whether somebody of this OIN, who has these roles, may come with these keys. Every line about it must agree.
    pub(super) fn admits(&self, oin: &Oin, roles: &[Role], pins: &Pins) -> bool {
        let names = roles.iter().map(|role| role.as_str()).chain([oin.as_str()]);
        names.filter_map(|name| self.0.get(name)).all(|allowed| allowed.iter().any(|pin| pins.is(pin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_about_a_party_must_agree_and_one_pin_of_a_line_is_enough() {
        let (ymere, other): (Oin, Oin) =
            ("00000099000000004001".parse().unwrap(), "00000099000000004002".parse().unwrap());
        let lines = BTreeMap::from([
            ("corporation".to_owned(), vec!["issuer:aa".to_owned(), "issuer:bb".to_owned()]),
            (ymere.to_string(), vec!["key:cc".to_owned()]),
        ]);
        let bound = Bound::new(&lines).unwrap();
        let pins = |key: &str, issuer: Option<&str>| Pins { key: key.into(), issuer: issuer.map(str::to_owned) };
        let roles = [Role::Corporation];
        assert!(bound.admits(&ymere, &roles, &pins("cc", Some("bb"))));
        assert!(!bound.admits(&ymere, &roles, &pins("dd", Some("bb"))), "another key");
        assert!(!bound.admits(&ymere, &roles, &pins("cc", Some("cc"))), "another issuer");
        assert!(!bound.admits(&ymere, &roles, &pins("cc", None)), "nobody knows the issuer");
        assert!(bound.admits(&other, &roles, &pins("dd", Some("aa"))), "no line of its own");
        assert!(!bound.admits(&ymere, &[], &pins("aa", Some("aa"))), "a line of its own, without a role");
        assert!(bound.admits(&other, &[Role::PrivacyOfficer], &pins("dd", None)));
    }

    #[test]
    fn a_line_about_nobody_is_refused() {
        for nobody in ["corporations", "0000009900000000400", "Ymere"] {
            let lines = BTreeMap::from([(nobody.to_owned(), vec!["key:aa".to_owned()])]);
            assert!(matches!(Bound::new(&lines), Err(TlsError::Bound(_))), "{nobody}");
        }
    }
}
