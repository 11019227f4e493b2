//! Tokens whose signature was checked, so that the next request with the same costs no such check: a
//! viewer over HTTP makes ten in a second. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};

use super::jwt::Verified;

/// Half of the tokens that are remembered, about 350 bytes each: those that were last used. Who is
/// forgotten costs a check of a signature.
const HALF_MAX: usize = 32_768;

/// A token, by which nobody gets in.
type Name = [u8; SHA256_OUTPUT_LEN];

/// The tokens: those used since the last time that so many had been, and those before. One that is used
/// goes over to the former, and the latter are forgotten as one.
#[derive(Default)]
pub(super) struct Known {
    young: HashMap<Name, Arc<Verified>>,
    old: HashMap<Name, Arc<Verified>>,
}

impl Known {
    pub(super) fn get(&mut self, token: &str) -> Option<Arc<Verified>> {
        let name = name(token);
        if let Some(known) = self.young.get(&name) {
            return Some(known.clone());
        }
        let known = self.old.remove(&name)?;
        self.insert(name, known.clone());
        Some(known)
    }

    pub(super) fn remember(&mut self, token: &str, verified: Arc<Verified>) {
        self.insert(name(token), verified);
    }

    fn insert(&mut self, name: Name, verified: Arc<Verified>) {
        if self.young.len() >= HALF_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, verified);
    }
}

fn name(token: &str) -> Name {
    let digest = digest::digest(&SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 is 32 bytes")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Issuer, NOW_S};
    use super::*;

    #[test]
    fn those_in_use_are_remembered_and_there_is_a_bound() {
        let issuer = Issuer::new("k");
        let token = issuer.sign(&json!({"broadcast": "talk", "exp": NOW_S}));
        let verified = Arc::new(Verified::read(&token, &[issuer.key()]).unwrap());
        let mut known = Known::default();
        assert!(known.get(&token).is_none());
        known.remember(&token, verified.clone());
        for number in 0..4 * HALF_MAX {
            known.remember(&number.to_string(), verified.clone());
            if number % 1_000 == 0 {
                assert!(known.get(&token).is_some(), "{number}");
            }
            assert!(known.young.len() + known.old.len() <= 2 * HALF_MAX);
        }
        assert!(known.get("0").is_none());
    }
}
