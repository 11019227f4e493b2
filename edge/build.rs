//! Checks that the pages which `pages.rs` embeds have been built, and says what to do if not.

use std::path::Path;

const DIST: &str = "../web/dist";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DIST}");
    if !Path::new(DIST).join("watch.html").is_file() {
        println!("cargo::error=web/dist is missing: run `make web` first");
    }
}
