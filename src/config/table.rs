//! Typed reading of TOML tables, with errors that name the field.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{error::SpecError, layers, text};

/// Parses a whole file.
///
/// # Errors
/// With the line of a syntax error as its place.
pub fn parse(text: &str) -> Result<Table, SpecError> {
    text.parse().map_err(|error: toml::de::Error| {
        SpecError::new(format!("line {}", layers::line(text, &error)), error.message())
    })
}

/// Refuses keys of `table` that are not `known`.
///
/// # Errors
/// Names the key and the nearest known one.
pub fn known(table: &Table, place: &str, known: &[&str]) -> Result<(), SpecError> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(SpecError::new(
            below(place, key),
            format!("no such key; {}", text::hint(key, known)),
        )),
    }
}

/// Reads `table` as a `T`.
///
/// # Errors
/// Names the field that is missing or of a wrong type.
pub fn typed<T: DeserializeOwned>(table: &Table, place: &str) -> Result<T, SpecError> {
    T::deserialize(table.clone()).map_err(|error| {
        // The error itself names the field only where no enum is in between: the field to
        // blame is the one without which the error is another.
        let blamed = table.keys().find(|key| {
            let mut rest = table.clone();
            rest.remove(key.as_str());
            T::deserialize(rest).err().is_none_or(|other| other.message() != error.message())
        });
        let place = blamed.map_or_else(|| place.to_owned(), |key| below(place, key));
        SpecError::new(place, error.message().to_owned())
    })
}

/// Takes the table of that name out of `table`; an empty one if it isn't there.
///
/// # Errors
/// If it is no table.
pub fn section(table: &mut Table, name: &str, place: &str) -> Result<Table, SpecError> {
    match table.remove(name) {
        None => Ok(Table::new()),
        Some(value) => as_table(value, &below(place, name)),
    }
}

/// `value` as a table.
///
/// # Errors
/// If it is none.
pub fn as_table(value: Value, place: &str) -> Result<Table, SpecError> {
    match value {
        Value::Table(table) => Ok(table),
        other => Err(SpecError::new(
            place,
            format!("is of type {}; write a table: [{place}]", other.type_str()),
        )),
    }
}

/// The place of `key` in `place`.
#[must_use]
pub fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}
