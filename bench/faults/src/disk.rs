//! A disk of a node's own, small enough to be filled.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use lectern_bench_rig::proc::tool;

/// What fills it.
const FILLER: &str = "filler";

/// A mounted disk. Dropping this unmounts it.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Makes one of so many MB at `path`.
    pub(crate) fn make(path: PathBuf, size_mb: u32) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&path)?;
        let size = format!("size={size_mb}m");
        tool("mount", &["-t", "tmpfs", "-o", &size, "lectern-faults", text(&path)?])?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.path.join(FILLER))?;
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![0_u8; size];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// There is room again.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.path.join(FILLER)).context("nothing fills the disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Unmounts whatever is mounted below `dir`, which a run left behind that was killed.
pub(crate) fn unmount_below(dir: &Path) {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else { return };
    for line in mounts.lines() {
        let mounted = line.split(' ').nth(1).map(Path::new);
        if let Some(path) = mounted.filter(|path| path.starts_with(dir)) {
            unmount(path);
        }
    }
}

fn unmount(path: &Path) {
    // Lazily: a process that ends just now may still hold a file.
    let _ = Command::new("umount").arg("--lazy").arg(path).output();
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
