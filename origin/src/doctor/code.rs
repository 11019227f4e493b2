//! The names of findings: stable, for translations, metrics and documentation.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*
        /// All of them.
        pub const ALL: &[&str] = &[$($code),*];
    };
}

codes! {
    /// Pictures are not shown in the order in which they are sent.
    B_FRAMES = "b-frames";
    /// Keyframes are too far apart.
    KEYFRAMES_FAR = "keyframes-far";
    /// Keyframes come at uneven intervals.
    KEYFRAMES_IRREGULAR = "keyframes-irregular";
    /// There are far fewer pictures a second than there were.
    FRAME_RATE_DROP = "frame-rate-drop";
    /// There is far less data in the picture than there was, and it shows.
    BITRATE_DROP = "bitrate-drop";
    /// Sound alone, from the beginning.
    VIDEO_MISSING = "video-missing";
    /// There was a picture.
    VIDEO_STOPPED = "video-stopped";
    /// A picture alone, from the beginning.
    AUDIO_MISSING = "audio-missing";
    /// There was sound.
    AUDIO_STOPPED = "audio-stopped";
    /// Connected, and nothing comes.
    NOTHING_ARRIVES = "nothing-arrives";
    /// Sound comes and nothing is to be heard in it.
    AUDIO_SILENT = "audio-silent";
    /// Sound is cut off at full scale.
    AUDIO_CLIPPING = "audio-clipping";
    /// Sound has more or fewer samples than its times have room for.
    AUDIO_DRIFT = "audio-drift";
    /// Sound and picture of one moment arrive far apart.
    AV_APART = "av-apart";
    /// The encoder's clock jumped.
    CLOCK_JUMP = "clock-jump";
    /// Media arrives in bursts.
    ARRIVAL_JITTER = "arrival-jitter";
    /// Media falls behind the wall clock.
    ENCODER_SLOW = "encoder-slow";
    /// Media runs ahead of the wall clock.
    ENCODER_FAST = "encoder-fast";
    /// An H.264 profile that viewers cannot play.
    VIDEO_PROFILE = "video-profile";
    /// Interlaced video.
    VIDEO_INTERLACED = "video-interlaced";
    /// More pixels or pictures a second than phones play.
    VIDEO_BEYOND_PHONES = "video-beyond-phones";
    /// HE-AAC, of which the treble is lost.
    AUDIO_HE_AAC = "audio-he-aac";
    /// More than two channels.
    AUDIO_SURROUND = "audio-surround";
    /// The encoder was sent away for its video.
    VIDEO_REFUSED = "video-refused";
    /// The encoder was sent away for its sound.
    AUDIO_REFUSED = "audio-refused";
    /// The encoder was sent away for how it sends.
    ENCODER_REFUSED = "encoder-refused";
}
