//! What stands in a column, read back as what it is to be: nothing in the tables is believed to be as this program
//! wrote it.

use lectern_relay_proto::UtcTime;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Conflict, Error};

/// A change that touched one row, or else found none.
pub(super) fn one_row(rows: u64) -> Result<(), Conflict> {
    if rows == 1 { Ok(()) } else { Err(Conflict::Missing) }
}

pub(super) fn millis(at: UtcTime) -> i64 {
    number_of(at.as_millis())
}

/// Databases count no further.
pub(super) fn number_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn damaged(column: &'static str, value: impl ToString) -> Error {
    Error::Damaged { column, value: value.to_string() }
}

/// Reads what stands in a column as what it is to be.
pub(super) fn parsed<T: TryFrom<String>>(row: &AnyRow, column: &'static str) -> Result<T, Error> {
    let text: String = row.try_get(column)?;
    T::try_from(text.clone()).map_err(|_| damaged(column, text))
}

pub(super) fn number(row: &AnyRow, column: &'static str) -> Result<u64, Error> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| damaged(column, number))
}

pub(super) fn truth(row: &AnyRow, column: &'static str) -> Result<bool, Error> {
    match row.try_get::<i64, _>(column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(damaged(column, other)),
    }
}

pub(super) fn instant(row: &AnyRow, column: &'static str) -> Result<UtcTime, Error> {
    Ok(UtcTime::from_millis(number(row, column)?))
}

pub(super) fn maybe_instant(row: &AnyRow, column: &'static str) -> Result<Option<UtcTime>, Error> {
    let ms: Option<i64> = row.try_get(column)?;
    let ms = ms.map(|ms| u64::try_from(ms).map_err(|_| damaged(column, ms))).transpose()?;
    Ok(ms.map(UtcTime::from_millis))
}
