//! The numbers of RTMP: message type ids (RTMP 1.0 §5.4 and §7.1) and user control events (§7.1.7).

/// Set Chunk Size.
pub(super) const SET_CHUNK_SIZE: u8 = 1;
/// Abort Message.
pub(super) const ABORT: u8 = 2;
/// User Control.
pub(super) const USER_CONTROL: u8 = 4;
/// Window Acknowledgement Size.
pub(super) const WINDOW_ACK_SIZE: u8 = 5;
/// Audio.
pub(super) const AUDIO: u8 = 8;
/// Video.
pub(super) const VIDEO: u8 = 9;
/// Data, in what claims to be AMF3.
pub(super) const DATA_AMF3: u8 = 15;
/// Command, in what claims to be AMF3.
pub(super) const COMMAND_AMF3: u8 = 17;
/// Data, in AMF0.
pub(super) const DATA_AMF0: u8 = 18;
/// Command, in AMF0.
pub(super) const COMMAND_AMF0: u8 = 20;

/// User Control: the peer asks whether we are there.
pub(super) const PING_REQUEST: u16 = 6;
