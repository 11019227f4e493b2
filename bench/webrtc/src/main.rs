//! The program of `make bench-webrtc`; what it does is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    lectern_bench_webrtc::main()
}
