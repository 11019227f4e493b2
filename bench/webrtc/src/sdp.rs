//! The offer of a viewer, and what it needs of the answer.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};

/// The offer: H.264 and Opus to receive, on one transport, with the feedback that Chromium gives.
///
/// Transport-wide feedback is not offered: it would have to be given.
pub(crate) fn offer(ufrag: &str, password: &str, fingerprint: &str) -> String {
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
         a=ice-options:trickle\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n\
         a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a=extmap:13 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time\r\n\
         a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
    );
    let mut video = String::new();
    for (payload_type, profile) in [(102, "42001f"), (108, "42e01f"), (112, "64001f")] {
        let rtx = payload_type + 1;
        video += &format!("a=rtpmap:{payload_type} H264/90000\r\n");
        for feedback in ["goog-remb", "ccm fir", "nack", "nack pli"] {
            video += &format!("a=rtcp-fb:{payload_type} {feedback}\r\n");
        }
        video += &format!(
            "a=fmtp:{payload_type} level-asymmetry-allowed=1;packetization-mode=1;\
             profile-level-id={profile}\r\na=rtpmap:{rtx} rtx/90000\r\n\
             a=fmtp:{rtx} apt={payload_type}\r\n"
        );
    }
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 102 103 108 109 112 113\r\n{transport}a=mid:0\r\n{video}\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport}a=mid:1\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 minptime=10;useinbandfec=1\r\n"
    )
}

/// A stream of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    /// The stream that lost packets come again on.
    pub(crate) rtx_ssrc: Option<u32>,
}

/// What the answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    /// As SDP writes it.
    pub(crate) fingerprint: String,
    pub(crate) server: SocketAddr,
    pub(crate) video: Stream,
    pub(crate) audio: Stream,
}

impl Answer {
    /// Reads an answer to [`offer`].
    pub(crate) fn read(answer: &str) -> anyhow::Result<Self> {
        let line = |start: &str| {
            let found = answer.lines().find_map(|line| line.strip_prefix(start));
            found.map(str::to_owned).with_context(|| format!("the answer has no {start}"))
        };
        let server = answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
        let server = server.filter_map(candidate).next();
        let [video, audio] = ["m=video", "m=audio"].map(|start| stream(answer, start));
        Ok(Self {
            ufrag: line("a=ice-ufrag:")?,
            password: line("a=ice-pwd:")?,
            fingerprint: line("a=fingerprint:sha-256 ")?,
            server: server.context("the answer has no candidate that UDP over IPv4 reaches")?,
            video: video?,
            audio: audio?,
        })
    }
}

/// The address of a candidate for UDP over IPv4, RFC 8839 §5.1.
fn candidate(text: &str) -> Option<SocketAddr> {
    let mut words = text.split_ascii_whitespace().skip(2);
    let udp = words.next()?.eq_ignore_ascii_case("udp");
    let ip: IpAddr = words.nth(1)?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    (udp && ip.is_ipv4()).then_some(SocketAddr::new(ip, port))
}

fn stream(answer: &str, start: &str) -> anyhow::Result<Stream> {
    let begin = answer.find(start).with_context(|| format!("the answer has no {start}"))?;
    let lines = answer[begin..].lines();
    let mut lines = lines.enumerate().take_while(|(n, line)| *n == 0 || !line.starts_with("m="));
    let head = lines.next().map_or("", |(_, line)| line);
    ensure!(!head.starts_with(&format!("{start} 0 ")), "the answer declines {start}");
    let (mut ssrc, mut group) = (None, None);
    for (_, line) in lines {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
        if let Some(text) = line.strip_prefix("a=ssrc-group:FID ") {
            let mut words = text.split(' ');
            group = number(words.next()).zip(number(words.next()));
        } else if let Some(text) = line.strip_prefix("a=ssrc:") {
            ssrc = ssrc.or(number(text.split(' ').next()));
        }
    }
    match (group, ssrc) {
        (Some((ssrc, rtx)), _) => Ok(Stream { ssrc, rtx_ssrc: Some(rtx) }),
        (None, Some(ssrc)) => Ok(Stream { ssrc, rtx_ssrc: None }),
        (None, None) => anyhow::bail!("the answer names no SSRC for {start}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\na=ice-lite\r\nm=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n\
        a=ice-ufrag:abc\r\na=ice-pwd:def\r\na=fingerprint:sha-256 AB:CD\r\n\
        a=rtpmap:109 rtx/90000\r\na=ssrc-group:FID 7 8\r\na=ssrc:7 cname:x\r\na=ssrc:8 cname:x\r\n\
        a=candidate:1 1 tcp 5 10.0.0.1 8189 typ host tcptype passive\r\n\
        a=candidate:2 1 udp 4 ::1 8189 typ host\r\n\
        a=candidate:3 1 udp 3 127.0.0.1 8189 typ host\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ssrc:9 cname:x\r\n";

    #[test]
    fn an_answer_is_read() {
        let answer = Answer::read(ANSWER).unwrap();
        assert_eq!(answer.server, "127.0.0.1:8189".parse().unwrap());
        assert_eq!(answer.video, Stream { ssrc: 7, rtx_ssrc: Some(8) });
        assert_eq!(answer.audio, Stream { ssrc: 9, rtx_ssrc: None });
        assert_eq!((&*answer.ufrag, &*answer.fingerprint), ("abc", "AB:CD"));
    }

    #[test]
    fn what_an_answer_lacks_is_named() {
        let check = |answer: &str, expect: &str| {
            let error = Answer::read(answer).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(&ANSWER.replace("m=video 9", "m=video 0"), "declines m=video");
        check(&ANSWER.replace("a=ssrc:9", "a=x:9"), "no SSRC for m=audio");
        check(&ANSWER.replace(" udp 3 ", " tcp 3 "), "no candidate");
        check("", "no a=ice-ufrag");
    }
}
