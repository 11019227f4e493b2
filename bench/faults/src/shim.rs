//! The library that is preloaded into nodes, so that the clock of one of them can step and its disk can be slow
//! while the machine's own are as they were: `shim.c`, which the system's compiler makes of it.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lectern_bench_rig::proc::tool;

const SOURCE: &str = include_str!("shim.c");

/// Compiles the library into `dir`.
pub(crate) fn compile(dir: &Path) -> anyhow::Result<PathBuf> {
    let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
    std::fs::write(&source, SOURCE)?;
    let (from, to) = (path(&source)?, path(&library)?);
    tool("cc", &["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", to, from, "-ldl"])?;
    Ok(library)
}

/// What one node's library is told.
#[derive(Debug)]
pub(crate) struct Shim {
    library: PathBuf,
    file: PathBuf,
}

impl Shim {
    /// That of `node`, which is told nothing yet.
    pub(crate) fn new(library: &Path, dir: &Path, node: &str) -> anyhow::Result<Self> {
        let file = dir.join(format!("{node}.shim"));
        std::fs::write(&file, [0; 16])?;
        Ok(Self { library: library.to_owned(), file })
    }

    /// What the node's environment is to have.
    pub(crate) fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("FAULTS_SHIM", &self.file)]
    }

    /// The clock is so many seconds off.
    pub(crate) fn shift(&self, seconds: i64) -> anyhow::Result<()> {
        self.tell(0, seconds * 1_000)
    }

    /// Each sync takes so long, and each write a tenth of it.
    pub(crate) fn slow(&self, ms: i64) -> anyhow::Result<()> {
        self.tell(8, ms)
    }

    fn tell(&self, at: u64, value: i64) -> anyhow::Result<()> {
        // The library has mapped the file, so it must stay the same one.
        let file = std::fs::OpenOptions::new().write(true).open(&self.file)?;
        Ok(file.write_all_at(&value.to_ne_bytes(), at)?)
    }
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn clocks_step_and_disks_are_slow_in_one_program() {
        let dir = tempfile::tempdir().unwrap();
        let library = compile(dir.path()).unwrap();
        let shim = Shim::new(&library, dir.path(), "node").unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).envs(shim.environment()).current_dir(dir.path());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let seconds = || run("date", &["+%s"]).trim().parse::<i64>().unwrap();
        let off = || seconds() - lectern_bench_rig::unix_us() as i64 / 1_000_000;
        assert!(off().abs() <= 1);
        shim.shift(-30).unwrap();
        assert!((off() + 30).abs() <= 1);
        shim.shift(0).unwrap();
        shim.slow(500).unwrap();
        let began = Instant::now();
        run("dd", &["if=/dev/zero", "of=file", "bs=1", "count=1", "conv=fsync"]);
        assert!(began.elapsed().as_millis() >= 500);
    }
}
