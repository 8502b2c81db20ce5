//! What every program that a suite names has in common: arguments, limits, a build before it.

use toml::{Table, Value};

use super::{error::SpecError, table};
use crate::domain::suite::{Build, Bundle, Limits};

/// The keys of limits.
const LIMITS: [&str; 5] = ["time", "memory_mib", "processes", "disk_mib", "output_kib"];

/// Refuses unknown keys and wrong types in the table of limits below `place`, if it is there.
///
/// # Errors
/// Names the field.
pub fn known_limits(limits: Option<&Value>, place: &str) -> Result<(), SpecError> {
    let Some(Value::Table(limits)) = limits else { return Ok(()) };
    table::known(limits, place, &LIMITS)?;
    table::typed::<Limits>(limits, place).map(drop)
}

/// The same for a build.
///
/// # Errors
/// Names the field.
pub fn known_build(build: Option<&Value>, place: &str) -> Result<(), SpecError> {
    let Some(build) = build else { return Ok(()) };
    let build: Table = table::as_table(build.clone(), place)?;
    table::known(&build, place, &["argv", "limits"])?;
    known_limits(build.get("limits"), &table::below(place, "limits"))?;
    table::typed::<Build>(&build, place).map(drop)
}

/// What a limit of time may be, in words.
pub const TIME: &str = "must lie above 0 and not beyond 86400 seconds";

/// Whether a limit of time may be so long.
#[must_use]
pub fn is_time(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= 86_400.0
}

/// Whether `limits` are in their bounds.
///
/// # Errors
/// Names the field and what it may be.
pub fn check_limits(limits: &Limits, place: &str) -> Result<(), SpecError> {
    let fault = |key: &str, what: String| Err(SpecError::new(table::below(place, key), what));
    if !is_time(limits.time) {
        return fault("time", TIME.to_owned());
    }
    let bounds = [
        ("memory_mib", limits.memory_mib, 16, 1 << 20),
        ("processes", u64::from(limits.processes), 1, 4096),
        ("disk_mib", limits.disk_mib, 1, 1 << 16),
        ("output_kib", limits.output_kib, 1, 1 << 16),
    ];
    for (key, value, min, max) in bounds {
        if value < min || value > max {
            return fault(key, format!("{value} is out of bounds; give {min} to {max}"));
        }
    }
    Ok(())
}

/// Whether a build can be run.
///
/// # Errors
/// Names the field and what to do.
pub fn check_build(build: Option<&Build>, place: &str) -> Result<(), SpecError> {
    let Some(build) = build else { return Ok(()) };
    check_argv(&build.argv, &table::below(place, "argv"))?;
    without_suite(&build.argv, &table::below(place, "argv"))?;
    check_limits(&build.limits, &table::below(place, "limits"))
}

/// Whether `argv` names a program and is not too long.
///
/// # Errors
/// Names the field and what to do.
pub fn check_argv(argv: &[String], place: &str) -> Result<(), SpecError> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(SpecError::new(place, "is empty; give a program and its arguments"));
    }
    if argv.len() > 256 || argv.iter().any(|arg| arg.len() > 4096 || arg.contains('\0')) {
        return Err(SpecError::new(place, "give at most 256 arguments of at most 4096 bytes"));
    }
    Ok(())
}

/// Whether a program that runs where the suite's files are not does without them.
///
/// # Errors
/// Names the field and what to do.
pub fn without_suite(argv: &[String], place: &str) -> Result<(), SpecError> {
    if argv.iter().any(|argument| argument.contains("{suite}")) {
        let what = "names {suite}, which is not there where the agent's program runs; \
                    use files of the agent, in {agent}";
        return Err(SpecError::new(place, what));
    }
    Ok(())
}

/// Whether the files of the suite that `argv` names are among `files`.
///
/// # Errors
/// Names the field and the file that is missing.
pub fn check_files(argv: &[String], place: &str, files: &Bundle) -> Result<(), SpecError> {
    let missing =
        argv.iter().filter_map(|arg| arg.strip_prefix("{suite}/")).find(|name| !has(files, name));
    match missing {
        None => Ok(()),
        Some(name) => Err(absent(place, name)),
    }
}

/// Whether there is a file or a directory of that name.
#[must_use]
pub fn has(files: &Bundle, name: &str) -> bool {
    let inside = format!("{name}/");
    files.keys().any(|path| path.as_str() == name || path.as_str().starts_with(&inside))
}

/// That a suite lacks a file which it names.
#[must_use]
pub fn absent(place: &str, name: &str) -> SpecError {
    SpecError::new(place, format!("there is no file “{name}” in the suite's directory"))
}
