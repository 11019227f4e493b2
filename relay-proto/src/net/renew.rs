//! Files that change while a process runs: certificates and tokens that are renewed.
//!
//! They are read again every few seconds rather than watched: Kubernetes renews a secret by turning a
//! symbolic link two directories up, of which a watch on the file hears nothing, and a network file system
//! tells no watcher anything.

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Error;

/// How often the files are looked at: soon enough for whoever waits for a renewal to be seen.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The most that is read of a file: chains are a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a look at files came to.
pub(super) enum Look {
    /// What they held before.
    Same,
    /// Something else, which is used from now on.
    Changed,
    /// Something that cannot be used; what was before stays.
    Failed(Error),
}

/// Looks again and again, for as long as this runs. What failed is said once, and when it changes.
pub(super) async fn follow(look: impl FnMut() -> Look + Send + 'static) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut look, mut said) = (look, None);
    loop {
        looks.tick().await;
        // Reading may take as long as a network file system likes.
        let looked = tokio::task::spawn_blocking(move || {
            let result = look();
            (look, result)
        });
        let Ok((returned, result)) = looked.await else {
            tracing::error!("files of the relay's are not looked at any more");
            return;
        };
        look = returned;
        let failure = match result {
            Look::Same | Look::Changed => None,
            Look::Failed(error) => Some(error.to_string()),
        };
        if let Some(error) = failure.as_ref().filter(|_| failure != said) {
            tracing::warn!(error, "not renewed; what was before stays");
        }
        said = failure;
    }
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// What stands in a file, one in a line, at most `max` of them; empty lines, and lines that begin with `#`, are passed
/// over. `names` are what one and several are called, and `wrong` is the error of a file that holds something else.
pub(super) fn list<T: FromStr<Err: Display>>(
    path: &Path,
    max: usize,
    (one, several): (&str, &str),
    wrong: impl FnOnce(PathBuf, String) -> Error,
) -> Result<Vec<T>, Error> {
    let text = read(path)?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let reason = match lines.map(str::parse).collect::<Result<Vec<T>, _>>() {
        Err(invalid) => invalid.to_string(),
        Ok(all) if all.is_empty() => format!("there is no {one} in it"),
        Ok(all) if all.len() > max => format!("there are more than {max} {several} in it"),
        Ok(all) => return Ok(all),
    };
    Err(wrong(path.to_owned(), reason))
}
