//! RTMP ingest over loopback TCP: a real server, and encoders that are a library's client, ffmpeg,
//! or bytes written by hand.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod encoders;
mod ffmpeg;
mod hostile;
mod media;
mod publishing;
mod support;
