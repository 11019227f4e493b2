//! What an ffmpeg process says of itself, which is as much as a stranger's pictures make it say: the first
//! lines of it are logged, the last are kept, and the rest is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Lines of one run that are logged.
const LOGGED_MAX: usize = 50;
/// Lines that an error quotes, and the most of each.
const LAST_LINES: usize = 6;
const LINE_BYTES_MAX: usize = 300;

/// The last lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    /// Listens until the process is silent for ever.
    pub(super) async fn listen(self, mut stderr: impl AsyncRead + Unpin) {
        let mut buffer = [0; 4096];
        let mut line = Vec::new();
        let mut logged = 0;
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            for byte in &buffer[..count] {
                match byte {
                    b'\n' | b'\r' => {
                        self.line(&line, &mut logged);
                        line.clear();
                    }
                    // What is longer is cut.
                    byte if line.len() < LINE_BYTES_MAX => line.push(*byte),
                    _ => {}
                }
            }
        }
        self.line(&line, &mut logged);
    }

    /// For an error.
    pub(super) fn last(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }

    fn line(&self, line: &[u8], logged: &mut usize) {
        let line: String =
            String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
        if line.is_empty() {
            return;
        }
        *logged += 1;
        if *logged <= LOGGED_MAX {
            tracing::debug!(line, "ffmpeg");
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_cut() {
        let said = Said::default();
        let long = "x".repeat(5_000);
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect::<String>() + &long;
        said.clone().listen(text.as_bytes()).await;
        let last = said.last();
        assert!(last.starts_with("line 95 | line 96 |"), "{last}");
        assert!(last.len() < 500 && last.ends_with("xxx"));
    }
}
