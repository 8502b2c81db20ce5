//! Suites of matches: their settings, and the directories of the opponents.

use super::{error::SpecError, program, table};
use crate::domain::{
    genome::{File, FilePath, Files},
    suite::{Arena, Bundle, Schedule},
};

/// The keys of such a suite, beside those of all suites.
pub(super) const KEYS: [&str; 9] =
    ["argv", "referee", "opponents", "players", "schedule", "rounds", "matches", "talk", "build"];
/// The most opponents.
const MAX_OPPONENTS: usize = 64;
/// The most players of a match.
const MAX_PLAYERS: u32 = 8;
/// The most matches of the same players.
const MAX_MATCHES: u32 = 100;

/// Whether all settings are in their bounds.
pub(super) fn check(arena: &Arena, place: &str) -> Result<(), SpecError> {
    let at = |key: &str| table::below(place, key);
    let fault = |key: &str, what: String| Err(SpecError::new(at(key), what));
    program::check_argv(&arena.argv, &at("argv"))?;
    program::without_suite(&arena.argv, &at("argv"))?;
    program::check_argv(&arena.referee, &at("referee"))?;
    program::check_build(arena.build.as_ref(), &at("build"))?;
    let Arena { opponents, players, .. } = arena;
    if !(2..=MAX_PLAYERS).contains(players) {
        return fault("players", format!("give 2 to {MAX_PLAYERS}"));
    }
    let least = *players as usize - 1;
    if !(least..=MAX_OPPONENTS).contains(&opponents.len()) {
        let what = format!("give {least} to {MAX_OPPONENTS} directories of agents to play against");
        return fault("opponents", what);
    }
    for (at, opponent) in opponents.iter().enumerate() {
        let key = format!("opponents[{at}]");
        if let Err(error) = FilePath::new(opponent) {
            return fault(&key, error.to_string());
        }
        if opponents[..at].iter().any(|other| name(other) == name(opponent)) {
            return fault(&key, "has the name of another one; rename its directory".to_owned());
        }
    }
    if !(1..=MAX_MATCHES).contains(&arena.matches) {
        return fault("matches", format!("give 1 to {MAX_MATCHES}"));
    }
    let most_rounds = (opponents.len() + 1).div_ceil(2);
    match (arena.schedule, arena.rounds) {
        (Schedule::RoundRobin, None) => Ok(()),
        (Schedule::RoundRobin, Some(_)) => {
            fault("rounds", "belongs to schedule = \"swiss\"; leave it out".to_owned())
        }
        (Schedule::Swiss, _) if *players != 2 => {
            fault("schedule", "a Swiss system is for two players a match".to_owned())
        }
        (Schedule::Swiss, Some(rounds)) if (1..=most_rounds).contains(&(rounds as usize)) => Ok(()),
        (Schedule::Swiss, _) => {
            let what = "with more than half as many rounds as players some would meet again";
            fault("rounds", format!("give 1 to {most_rounds}: {what}"))
        }
    }
}

/// Whether the files that it names are among `files`.
pub(super) fn check_files(arena: &Arena, place: &str, files: &Bundle) -> Result<(), SpecError> {
    program::check_files(&arena.referee, &table::below(place, "referee"), files)?;
    for (at, opponent) in arena.opponents.iter().enumerate() {
        if agent(opponent, files).is_empty() {
            let place = table::below(place, &format!("opponents[{at}]"));
            let what = format!("there is no directory {opponent} with files in the suite");
            return Err(SpecError::new(place, what));
        }
    }
    Ok(())
}

/// What results call the opponent in a directory.
#[must_use]
pub fn name(opponent: &str) -> &str {
    opponent.rsplit('/').next().unwrap_or(opponent)
}

/// The files of the opponent in that directory of the suite.
#[must_use]
pub fn agent(opponent: &str, files: &Bundle) -> Files {
    let inside = |(path, file): (&FilePath, &File)| {
        let path = path.as_str().strip_prefix(opponent)?.strip_prefix('/')?;
        Some((FilePath::new(path).ok()?, file.clone()))
    };
    std::sync::Arc::new(files.iter().filter_map(inside).collect())
}
