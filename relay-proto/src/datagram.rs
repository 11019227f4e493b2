//! What a datagram on a media port is, told before any library reads it: a connectivity check of ICE and
//! for whom, or DTLS and whether a client has a reason to send it. Pure, and allocates nothing; the ports
//! are those of edges (viewers) and origins (publishers).

/// Of a STUN message, before its attributes: RFC 8489 §5.
const STUN_HEADER: usize = 20;
/// The longest handshake message that a client may announce.
const MESSAGE_BYTES_MAX: u32 = 16 * 1024;
/// Handshake messages of a client: eight at most, with a second ClientHello for the cookie.
const MESSAGE_SEQ_MAX: u16 = 16;
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

/// Whether a datagram is STUN, by its first byte (RFC 7983 §7) and cookie.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= STUN_HEADER && datagram[0] < 4 && datagram[4..8] == [0x21, 0x12, 0xa4, 0x42]
}

/// The ufrag that a connectivity check is meant for, read without allocating: what datagrams from
/// unknown addresses are told apart by.
pub fn addressee(datagram: &[u8]) -> Option<&str> {
    const USERNAME: u16 = 6;
    let mut rest = datagram.get(STUN_HEADER..)?;
    while let Some((header, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if u16::from_be_bytes([header[0], header[1]]) == USERNAME {
            let username = std::str::from_utf8(tail.get(..length)?).ok()?;
            return username.split_once(':').map(|(ours, _)| ours);
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Whether a datagram is DTLS, by its first byte (RFC 7983 §7).
pub fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..=63).contains(first))
}

/// Whether a datagram of DTLS is one that a client has a reason to send. It is not with plaintext alerts,
/// records and messages whose lengths do not add up, and messages that only a server sends: until a
/// handshake is done, anyone who can forge the client's address could end it with one of those.
pub fn is_from_dtls_client(datagram: &[u8]) -> bool {
    admit(datagram).is_some()
}

fn admit(datagram: &[u8]) -> Option<()> {
    const CHANGE_CIPHER_SPEC: u8 = 20;
    const HANDSHAKE: u8 = 22;
    const APPLICATION_DATA: u8 = 23;
    let mut rest = datagram;
    while !rest.is_empty() {
        let header = rest.get(..RECORD_HEADER)?;
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let end = RECORD_HEADER + length;
        let body = rest.get(RECORD_HEADER..end)?;
        let version_known = matches!(header[1..3], [0xfe, 0xff] | [0xfe, 0xfd]);
        if !version_known || body.is_empty() {
            return None;
        }
        match (epoch, header[0]) {
            (0, HANDSHAKE) => admit_messages(body)?,
            (0, CHANGE_CIPHER_SPEC) if body == [1] => {}
            (1, CHANGE_CIPHER_SPEC..=APPLICATION_DATA) => {}
            _ => return None,
        }
        rest = &rest[end..];
    }
    Some(())
}

fn admit_messages(mut rest: &[u8]) -> Option<()> {
    const CLIENT_HELLO: u8 = 1;
    const CERTIFICATE: u8 = 11;
    const CERTIFICATE_VERIFY: u8 = 15;
    const CLIENT_KEY_EXCHANGE: u8 = 16;
    while !rest.is_empty() {
        let header = rest.get(..MESSAGE_HEADER)?;
        let from_client = matches!(
            header[0],
            CLIENT_HELLO | CERTIFICATE | CERTIFICATE_VERIFY | CLIENT_KEY_EXCHANGE
        );
        let be24 = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let (length, offset, fragment) = (be24(1), be24(6), be24(9));
        let sequence = u16::from_be_bytes([header[4], header[5]]);
        let end = MESSAGE_HEADER + fragment as usize;
        if !from_client
            || sequence > MESSAGE_SEQ_MAX
            || fragment == 0
            || length > MESSAGE_BYTES_MAX
            || offset + fragment > length
            || end > rest.len()
        {
            return None;
        }
        rest = &rest[end..];
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd];
        record.extend(epoch.to_be_bytes());
        record.extend([0; 6]);
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    fn message(kind: u8, length: u32, sequence: u16, offset: u32, fragment: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend(&length.to_be_bytes()[1..]);
        message.extend(sequence.to_be_bytes());
        message.extend(&offset.to_be_bytes()[1..]);
        message.extend(&(fragment.len() as u32).to_be_bytes()[1..]);
        message.extend(fragment);
        message
    }

    #[test]
    fn the_guard_lets_a_client_through_and_nobody_else() {
        let check = |datagram: &[u8], expect: bool| {
            assert_eq!(is_from_dtls_client(datagram), expect, "{datagram:?}");
        };
        let hello = record(22, 0, &message(1, 60, 0, 0, &[0; 60]));
        check(&hello, true);
        check(&[hello.clone(), record(20, 0, &[1]), record(22, 1, &[9; 40])].concat(), true);
        check(&record(21, 0, &[2, 40]), false);
        check(&record(21, 1, &[9; 30]), true);
        check(&record(23, 0, b"data"), false);
        check(&record(22, 0, &message(2, 60, 0, 0, &[0; 60])), false);
        check(&record(22, 0, &message(1, 60, 0, 0, &[])), false);
        check(&record(22, 0, &message(1, 60, 0, 50, &[0; 20])), false);
        check(&record(22, 0, &message(1, 60, 900, 0, &[0; 60])), false);
        check(&record(22, 0, &[]), false);
        check(&record(22, 2, &[1; 40]), false);
        check(&hello[..hello.len() - 1], false);
        check(&[&hello[..], &[22]].concat(), false);
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for datagram in [&bytes, &record(22, 0, &bytes)] {
                let _ = (is_stun(datagram), is_dtls(datagram), is_from_dtls_client(datagram));
                let _ = addressee(datagram);
            }
        }
    }
}
