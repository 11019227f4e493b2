//! Reads AMF0 bodies of commands and data. The values are parsed by `rml_amf0`, which recurses as
//! deep as its input nests and trusts some counts; so a walk of our own comes first, which does
//! neither and lets nothing through that the parser does not survive.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rml_amf0::Amf0Value;

/// Bodies larger than this are refused; a `connect` with every codec map is some 2 KiB.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Metadata nests two deep, a `connect` with codec maps three.
pub const DEPTH_MAX: usize = 16;
/// Values in one body, at every depth together. Metadata has some thirty.
pub const VALUES_MAX: usize = 1024;

/// The properties of an object.
pub type Object = HashMap<String, Amf0Value>;

/// Why a body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("AMF0 body of {0} bytes; at most {BODY_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("AMF0 nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More than [`VALUES_MAX`] values.
    #[error("AMF0 with more than {VALUES_MAX} values")]
    TooManyValues,
    /// The body ends inside a value.
    #[error("AMF0 ends inside a value")]
    Truncated,
    /// An object end where a value should be.
    #[error("AMF0 object end outside an object")]
    StrayEnd,
    /// A kind of value that encoders do not send.
    #[error("AMF0 marker {0} is not supported")]
    Marker(u8),
    /// Text that is not UTF-8, or an object whose end marker is missing.
    #[error("AMF0 value is malformed")]
    Malformed,
    /// A command without name, transaction id and command object.
    #[error("AMF0 command without name, transaction id and object")]
    NotACommand,
    /// The parser panicked.
    #[error("AMF0 parser failed")]
    Panicked,
}

impl Error {
    /// Whether this is an attack on the parser and not a kind of value that it lacks.
    pub fn is_hostile(self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::TooDeep | Self::TooManyValues | Self::Panicked)
    }
}

/// A command message, RTMP 1.0 §7.2.
#[derive(Debug)]
pub struct Command {
    /// Such as `connect`.
    pub name: String,
    /// What the answer has to repeat; zero asks for none.
    pub transaction_id: f64,
    /// The properties of the command object; empty if it is null.
    pub object: Object,
    /// What follows the command object.
    pub arguments: Vec<Amf0Value>,
}

/// Reads the body of a command.
pub fn command(body: &[u8]) -> Result<Command, Error> {
    let mut values = values(body)?.into_iter();
    match (values.next(), values.next(), values.next()) {
        (
            Some(Amf0Value::Utf8String(name)),
            Some(Amf0Value::Number(transaction_id)),
            Some(object),
        ) => Ok(Command {
            name,
            transaction_id,
            object: object.get_object_properties().unwrap_or_default(),
            arguments: values.collect(),
        }),
        _ => Err(Error::NotACommand),
    }
}

/// Reads the values of a body.
pub fn values(body: &[u8]) -> Result<Vec<Amf0Value>, Error> {
    check(body)?;
    let mut rest = body;
    catch_unwind(AssertUnwindSafe(|| rml_amf0::deserialize(&mut rest)))
        .map_err(|_| Error::Panicked)?
        .map_err(|_| Error::Malformed)
}

mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
    pub(super) const STRICT_ARRAY: u8 = 10;
}

/// What a value inside another one belongs to.
enum Open {
    /// Properties follow until the end marker.
    Object,
    /// So many elements follow.
    Array(u32),
}

/// Walks a body without recursion (AMF 0 §2).
fn check(body: &[u8]) -> Result<(), Error> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge(body.len()));
    }
    let mut rest = body;
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0;
    loop {
        // Come to the next value: past a property's name, or out of what is complete.
        match open.last_mut() {
            None if rest.is_empty() => return Ok(()),
            None => {}
            Some(Open::Array(0)) => {
                open.pop();
                continue;
            }
            Some(Open::Array(left)) => *left -= 1,
            Some(Open::Object) => {
                let name_bytes = take_u16(&mut rest)?;
                if name_bytes == 0 {
                    match take(&mut rest, 1)? {
                        [marker::OBJECT_END] => open.pop(),
                        _ => return Err(Error::Malformed),
                    };
                    continue;
                }
                take(&mut rest, usize::from(name_bytes))?;
            }
        }
        values += 1;
        if values > VALUES_MAX {
            return Err(Error::TooManyValues);
        }
        match take(&mut rest, 1)?[0] {
            marker::NUMBER => drop(take(&mut rest, 8)?),
            marker::BOOLEAN => drop(take(&mut rest, 1)?),
            marker::STRING => {
                let bytes = take_u16(&mut rest)?;
                take(&mut rest, usize::from(bytes))?;
            }
            marker::NULL | marker::UNDEFINED => {}
            marker::OBJECT => open.push(Open::Object),
            marker::ECMA_ARRAY => {
                // The count is a hint; an end marker closes it as it does an object (§2.10).
                take(&mut rest, 4)?;
                open.push(Open::Object);
            }
            marker::STRICT_ARRAY => {
                let count = u32::from(take_u16(&mut rest)?) << 16 | u32::from(take_u16(&mut rest)?);
                open.push(Open::Array(count));
            }
            marker::OBJECT_END => return Err(Error::StrayEnd),
            other => return Err(Error::Marker(other)),
        }
        if open.len() > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], Error> {
    let (taken, left) = rest.split_at_checked(bytes).ok_or(Error::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn take_u16(rest: &mut &[u8]) -> Result<u16, Error> {
    let bytes = take(rest, 2)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> Vec<u8> {
        [&[marker::STRING, 0, text.len() as u8], text.as_bytes()].concat()
    }

    fn number(value: f64) -> Vec<u8> {
        [&[marker::NUMBER][..], &value.to_be_bytes()].concat()
    }

    #[test]
    fn a_command_is_read_whole() {
        let body = [
            string("connect"),
            number(1.0),
            vec![marker::OBJECT, 0, 3],
            b"app".to_vec(),
            string("live"),
            vec![0, 0, marker::OBJECT_END, marker::NULL],
        ]
        .concat();
        let command = command(&body).unwrap();
        assert_eq!(command.name, "connect");
        assert_eq!(command.transaction_id, 1.0);
        assert_eq!(command.object["app"], Amf0Value::Utf8String("live".into()));
        assert_eq!(command.arguments, [Amf0Value::Null]);
    }

    #[test]
    fn what_the_parser_would_panic_on_is_refused_by_name() {
        let check = |body: Vec<u8>, expect: Error| {
            assert_eq!(command(&body).unwrap_err(), expect);
        };
        check(vec![], Error::NotACommand);
        check(string("play"), Error::NotACommand);
        check([string("play"), number(0.0)].concat(), Error::NotACommand);
        check([string("@setDataFrame"), vec![marker::OBJECT_END]].concat(), Error::StrayEnd);
        check(vec![marker::STRING, 0xff, 0xff, b'x'], Error::Truncated);
        check(vec![marker::STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff], Error::Truncated);
        check(vec![0x0b], Error::Marker(0x0b));
        check([0; BODY_BYTES_MAX + 1].into(), Error::TooLarge(BODY_BYTES_MAX + 1));
    }

    #[test]
    fn nesting_is_bounded_before_anything_recurses() {
        let arrays: Vec<u8> = [marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(12_000);
        assert_eq!(values(&arrays).unwrap_err(), Error::TooDeep);
        let objects: Vec<u8> = [marker::OBJECT, 0, 1, b'a'].repeat(16_000);
        assert_eq!(values(&objects).unwrap_err(), Error::TooDeep);
        let nested: Vec<u8> = [marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(20_000);
        assert_eq!(values(&nested).unwrap_err(), Error::TooLarge(100_000));
        let allowed = [[marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(DEPTH_MAX), vec![marker::NULL]];
        assert!(values(&allowed.concat()).is_ok());
    }

    #[test]
    fn values_are_counted_wherever_they_stand() {
        assert!(values(&[marker::NULL; VALUES_MAX]).is_ok());
        assert_eq!(values(&[marker::NULL; VALUES_MAX + 1]).unwrap_err(), Error::TooManyValues);
    }

    proptest! {
        #[test]
        fn what_passes_the_walk_never_breaks_the_parser(
            body in prop::collection::vec(prop_oneof![0..12_u8, any::<u8>()], 0..400)
        ) {
            prop_assert_ne!(values(&body).err(), Some(Error::Panicked));
        }
    }
}
