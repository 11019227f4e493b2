//! Says which commit is built: what `LECTERN_COMMIT` says, as where sources come without their history, or what
//! git says of this directory. Without either the commit is `unknown`, and the build goes on.

use std::env;
use std::path::Path;
use std::process::Command;

/// Digits of a commit that tell it from others.
const DIGITS: &str = "--short=12";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LECTERN_COMMIT");
    let told = env::var("LECTERN_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    let commit = told.or_else(of_git).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=LECTERN_COMMIT={}", commit.trim());
}

/// The commit that is checked out, if this directory is the top of a repository: not, if it is unpacked
/// somewhere in another one.
fn of_git() -> Option<String> {
    let here = env::var("CARGO_MANIFEST_DIR").ok()?;
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // It is written with each commit and checkout; this package alone is built again then.
    if let Some(log) =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists())
    {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", DIGITS, "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
