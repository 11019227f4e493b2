//! Passwords: Argon2id with the parameters that its library recommends, on threads of their own, a few at
//! once.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Characters of a password (NIST SP 800-63B §5.1.1.2 asks for 8 at least).
pub const CHARS_MIN: usize = 10;
/// Nobody types more; each costs time before it can be refused.
pub const CHARS_MAX: usize = 200;
/// Each takes 19 MiB and some tens of milliseconds of one core.
const AT_ONCE_MAX: usize = 2;
/// Whoever has waited so long is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Hashes passwords, and checks them.
#[derive(Clone)]
pub struct Passwords(Arc<Semaphore>);

/// Too many passwords are being checked.
#[derive(Debug, thiserror::Error)]
#[error("too many people sign in at once")]
pub struct Busy;

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

impl Passwords {
    /// What is kept of a password.
    pub async fn hash(&self, password: String) -> Result<String, Busy> {
        self.run(move || hash(&password)).await
    }

    /// Whether `password` is the one of which `kept` was kept. Takes as long where there is none.
    pub async fn verify(&self, password: String, kept: Option<String>) -> Result<bool, Busy> {
        self.run(move || {
            let known = kept.is_some();
            let kept = kept.unwrap_or_else(|| NOBODYS.clone());
            let Ok(kept) = PasswordHash::new(&kept) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &kept).is_ok() && known
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = timeout(WAIT_MAX, self.0.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let working = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        working.await.map_err(|_| Busy)
    }
}

/// Of a password that nobody has.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash(&super::secret::generate("")));

fn hash(password: &str) -> String {
    // With the library's own parameters and salt it does not fail.
    let hash = Argon2::default().hash_password(password.as_bytes()).expect("hashes");
    hash.to_string()
}

/// What is wrong with a new password, for people.
pub fn check(password: &str, login: &str) -> Result<(), String> {
    let chars = password.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&chars) {
        return Err(format!("a password has {CHARS_MIN} to {CHARS_MAX} characters"));
    }
    let mut distinct: Vec<char> = password.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || password.eq_ignore_ascii_case(login) {
        return Err("this password is too easy to guess".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let passwords = Passwords::default();
        let kept = passwords.hash("correct horse".to_owned()).await.expect("hashed");
        assert!(kept.starts_with("$argon2id$"));
        let verify = |password: &str, kept: Option<&str>| {
            passwords.verify(password.to_owned(), kept.map(str::to_owned))
        };
        assert!(verify("correct horse", Some(&kept)).await.expect("checked"));
        assert!(!verify("wrong horse", Some(&kept)).await.expect("checked"));
        assert!(!verify("correct horse", None).await.expect("checked"));
        assert!(!verify("correct horse", Some("damaged")).await.expect("checked"));
    }

    #[test]
    fn what_is_easy_to_guess_is_refused() {
        for password in ["short", "aaaaaaaaaaaa", "ada@example.org", &"x1y2z".repeat(50)] {
            assert!(check(password, "Ada@example.org").is_err(), "{password}");
        }
        assert_eq!(check("correct horse", "ada"), Ok(()));
    }
}
