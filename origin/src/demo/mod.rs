//! The demo pattern: a live source that needs no camera, and that programs can measure by.
//!
//! [`pattern`] draws it and reads it back, purely; [`feed`] has an `ffmpeg` process encode it and
//! push it over RTMP, as a host's encoder would. Between them stand the beep (`tone`) and the
//! container of the pipe to ffmpeg (`matroska`). `docs/pattern-clock.md` is the layout that other
//! readers, such as the benches' in JavaScript, are written from.

mod canvas;
pub mod feed;
mod font;
pub mod pattern;
mod strip;
mod tone;

pub use feed::{Error, FeedConfig, run};
