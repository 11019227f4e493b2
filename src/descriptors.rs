//! The process's limit of file descriptors. Every connection is one, and the limit that a process is
//! usually given, 1,024, is there for programs of old that cannot count further: a single client
//! could use it up, and nobody else would get in.

use lectern_edge::config::Config;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for all but viewers' connections: sockets, threads, files, a transcoder's pipes.
const OTHERS: u64 = 256;

/// Raises the limit as far as the system lets us, and says if that is too little for `edge`.
pub(crate) fn raise(edge: Option<&Config>) {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(error) => {
                tracing::warn!(%error, soft, hard, "the limit of file descriptors stays");
                soft
            }
        },
        Ok((soft, _)) => soft,
        Err(error) => {
            tracing::warn!(%error, "the limit of file descriptors is not known");
            return;
        }
    };
    let wanted = edge.map_or(0, needs);
    if limit < wanted {
        tracing::warn!(
            limit,
            wanted,
            "fewer file descriptors than connections may be (ulimit -n): some will find none"
        );
    }
}

fn needs(edge: &Config) -> u64 {
    let connections = edge.http_connections_max.get().saturating_add(edge.media_tcp_max);
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_the_system_allows() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(512), hard).expect("a lower limit");
        raise(Some(&Config::default()));
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
    }

    #[test]
    fn an_edge_needs_one_for_each_connection() {
        assert_eq!(needs(&Config::default()), 16_384 + 1_000 + OTHERS);
    }
}
