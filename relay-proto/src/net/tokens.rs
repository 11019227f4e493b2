//! The tokens that are good at a time, and how they change while sessions are open.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::watch;

use super::token::{InvalidToken, Token};
use super::{Error, renew};

/// Tokens of one file.
const TOKENS_MAX: usize = 16;

/// The tokens by which nodes know each other, in order: the first is presented to others, and each of them is
/// accepted from others. Clones share them.
#[derive(Clone)]
pub struct Tokens {
    good: Arc<watch::Sender<Vec<Token>>>,
    file: Option<PathBuf>,
}

impl Tokens {
    /// Those in a file, one in a line; empty lines, and lines that begin with `#`, are passed over. The file
    /// is read again every few seconds: to change tokens without a stop, add the new one below the old
    /// everywhere, then put it first, then take the old one out. Sessions that were opened with one that is
    /// no longer there are ended.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no token or what is not one.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let good = Arc::new(watch::Sender::new(read(path)?));
        Ok(Self { good, file: Some(path.to_owned()) })
    }

    /// A digest of `text` that only those can make who have the first token (HMAC-SHA-256, RFC 2104).
    pub fn digest(&self, text: &str) -> [u8; 32] {
        self.presented().digest(text)
    }

    /// What is presented.
    pub(super) fn presented(&self) -> Token {
        // There is always one.
        self.good.borrow()[0].clone()
    }

    /// The token that `path`, as a stranger sent it, presents, if it is good.
    pub(super) fn presented_by(&self, path: &str) -> Option<Token> {
        // Each is compared, so that the time says nothing about which of them it is.
        let good = self.good.borrow();
        let presented = |found: Option<Token>, token: &Token| {
            if token.is_presented_by(path) { Some(token.clone()) } else { found }
        };
        good.iter().fold(None, presented)
    }

    /// Once `token` is good no longer.
    pub(super) async fn revoked(&self, token: &Token) {
        let mut good = self.good.subscribe();
        if good.wait_for(|good| !good.contains(token)).await.is_err() {
            std::future::pending().await
        }
    }

    /// Reads the file again for as long as this runs; ends at once if there is none.
    pub(super) async fn follow(self) {
        let Self { good, file: Some(file) } = self else { return };
        renew::follow(move || match read(&file) {
            Ok(now) if now == *good.borrow() => renew::Look::Same,
            Ok(now) => {
                tracing::info!(file = %file.display(), tokens = now.len(), "relay tokens changed");
                good.send_replace(now);
                renew::Look::Changed
            }
            Err(error) => renew::Look::Failed(error),
        })
        .await;
    }
}

fn read(path: &Path) -> Result<Vec<Token>, Error> {
    let wrong = |path, reason| Error::Tokens { path, reason };
    renew::list(path, TOKENS_MAX, ("token", "tokens"), wrong)
}

impl From<Token> for Tokens {
    fn from(token: Token) -> Self {
        Self { good: Arc::new(watch::Sender::new(vec![token])), file: None }
    }
}

impl FromStr for Tokens {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, Self::Err> {
        token.parse::<Token>().map(Self::from)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_token_in_each_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tokens");
        let check = |text: &str, expect: Result<&[&str], &str>| {
            std::fs::write(&path, text).expect("written");
            match (Tokens::from_file(&path), expect) {
                (Ok(tokens), Ok(expect)) => {
                    let expect: Vec<Token> =
                        expect.iter().map(|token| token.parse().expect("valid")).collect();
                    assert_eq!(*tokens.good.borrow(), expect);
                    assert_eq!(tokens.presented(), expect[0]);
                }
                (Err(error), Err(expect)) => {
                    assert!(error.to_string().contains(expect), "{error}");
                }
                (got, expect) => panic!("{got:?}, not {expect:?}"),
            }
        };
        check("one", Ok(&["one"]));
        check("# new\n two \n\none\n", Ok(&["two", "one"]));
        check("", Err("no token"));
        check("# only this", Err("no token"));
        check("one two", Err("1 to 256"));
        check(&"x\n".repeat(17), Err("more than 16"));
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(Tokens::from_file(&path), Err(Error::File { .. })));
    }
}
