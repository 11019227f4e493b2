//! An instant as people and JSON write it down.

use lectern_relay_proto::UtcTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// An instant in RFC 3339, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instant(UtcTime);

impl TryFrom<String> for Instant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "an instant is written like 2026-11-22T10:00:00+01:00";
        let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| wrong)?;
        let ms = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong)?;
        Ok(Self(UtcTime::from_millis(ms)))
    }
}

impl From<Instant> for UtcTime {
    fn from(at: Instant) -> Self {
        at.0
    }
}

impl From<UtcTime> for Instant {
    fn from(at: UtcTime) -> Self {
        Self(at)
    }
}

impl From<Instant> for String {
    fn from(at: Instant) -> Self {
        let nanos = i128::from(at.0.as_millis()) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
        // What is after the year 9999 cannot be written.
        let written = at.and_then(|at| at.format(&Rfc3339).ok());
        written.unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Instant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_utc() {
        let at = Instant::try_from("2026-11-22T10:00:00.250+01:00".to_owned()).expect("valid");
        assert_eq!(String::from(at), "2026-11-22T09:00:00.25Z");
        assert!(Instant::try_from("1969-01-01T00:00:00Z".to_owned()).is_err());
        assert!(Instant::try_from("tomorrow".to_owned()).is_err());
        assert_eq!(String::from(Instant(UtcTime::from_millis(u64::MAX))), "9999-12-31T23:59:59Z");
    }
}
