//! Calls that were made, by their idempotency keys.

use rusqlite::{Connection, Error, OptionalExtension, params};

/// The most marks that are kept, and for how long, in milliseconds.
pub const MARKS: u32 = 100_000;
pub const MARK_MS: u64 = 24 * 60 * 60 * 1000;
/// How many of the oldest are looked at with each new one, and dropped if their time is over.
pub const AT_ONCE: u32 = 8;

/// That a call was made which carried an idempotency key: written with what it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The fingerprint of its sender's key.
    pub sender: [u8; 32],
    /// Its idempotency key.
    pub key: [u8; 16],
    /// The keyed digest of its method and request.
    pub request: [u8; 32],
    /// The id of what it is about.
    pub subject: [u8; 16],
    /// When it came, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Marks in memory, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// Adds one; says whether it was not there.
    pub fn add(&mut self, mark: Mark) -> bool {
        if self.find(mark.sender, mark.key).is_some() {
            return false;
        }
        let over = (self.0.len() + 1).saturating_sub(MARKS as usize);
        let ended = |old: &&Mark| old.at_ms < mark.at_ms.saturating_sub(MARK_MS);
        let ended = self.0.iter().take(AT_ONCE as usize).take_while(ended).count();
        self.0.drain(..ended.max(over));
        self.0.push(mark);
        true
    }

    /// The one of that sender and key.
    #[must_use]
    pub fn find(&self, sender: [u8; 32], key: [u8; 16]) -> Option<Mark> {
        self.0.iter().find(|mark| (mark.sender, mark.key) == (sender, key)).copied()
    }
}

#[expect(clippy::cast_possible_wrap, reason = "read back by the same cast; see the schema")]
fn int(number: u64) -> i64 {
    number as i64
}

/// Adds a mark to the table.
///
/// # Errors
/// If it is there, or the database refuses.
pub fn add(open: &Connection, mark: &Mark) -> Result<(), Error> {
    open.prepare_cached(
        "DELETE FROM once WHERE node <= (SELECT max(node) FROM once) + 1 - ?1
             OR node IN (SELECT node FROM once ORDER BY node LIMIT ?2) AND at_ms < ?3",
    )?
    .execute(params![MARKS, AT_ONCE, int(mark.at_ms.saturating_sub(MARK_MS))])?;
    let Mark { sender, key, request, subject, at_ms } = *mark;
    open.prepare_cached(
        "INSERT INTO once (sender, key, request, subject, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((sender, key, request, subject, int(at_ms)))
    .map(drop)
}

/// Finds a mark in the table.
///
/// # Errors
/// If the database refuses.
#[expect(clippy::cast_sign_loss, reason = "written by the same cast; see the schema")]
pub fn find(open: &Connection, sender: [u8; 32], key: [u8; 16]) -> Result<Option<Mark>, Error> {
    open.prepare_cached("SELECT request, subject, at_ms FROM once WHERE sender = ?1 AND key = ?2")?
        .query_row((sender, key), |row| {
            let at_ms = row.get::<_, i64>(2)? as u64;
            Ok(Mark { sender, key, request: row.get(0)?, subject: row.get(1)?, at_ms })
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u32, at_ms: u64) -> Mark {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        Mark { sender: [1; 32], key, request: [2; 32], subject: [3; 16], at_ms }
    }

    fn table() -> Connection {
        let open = Connection::open_in_memory().unwrap();
        open.execute_batch(include_str!("../../../../migrations/sqlite/0005_once.sql")).unwrap();
        open
    }

    #[test]
    fn a_mark_is_found_by_its_sender_and_key_and_comes_once() {
        let (open, mut marks) = (table(), Marks::default());
        for one in [mark(1, 5), mark(2, 6), Mark { sender: [9; 32], ..mark(1, 7) }] {
            assert_eq!(find(&open, one.sender, one.key).unwrap(), None);
            assert_eq!(marks.find(one.sender, one.key), None);
            add(&open, &one).unwrap();
            assert!(marks.add(one));
            let again = Mark { request: [7; 32], ..one };
            assert!(add(&open, &again).is_err() && !marks.add(again));
            assert_eq!(find(&open, one.sender, one.key).unwrap(), Some(one));
            assert_eq!(marks.find(one.sender, one.key), Some(one));
        }
    }

    #[test]
    fn marks_are_kept_for_a_day_and_then_make_room() {
        let (open, mut marks) = (table(), Marks::default());
        let times = (0..20).map(|n| (n, u64::from(n))).chain([(20, MARK_MS), (21, MARK_MS + 15)]);
        for (number, at_ms) in times {
            add(&open, &mark(number, at_ms)).unwrap();
            marks.add(mark(number, at_ms));
        }
        // The last one dropped those of before 15, but no more than eight at once.
        for number in 0..22 {
            let key = mark(number, 0).key;
            let there = number >= 8;
            assert_eq!(find(&open, [1; 32], key).unwrap().is_some(), there, "{number}");
            assert_eq!(marks.find([1; 32], key).is_some(), there, "{number}");
        }
    }

    #[test]
    fn no_more_than_the_last_are_kept() {
        let (mut open, mut marks) = (table(), Marks::default());
        let begun = open.transaction().unwrap();
        let past = MARKS + 2;
        // What is there already is filled in at once: adding looks at all that memory has.
        marks.0.extend((1..=past - 2).map(|number| mark(number, 1)));
        for number in 1..=past {
            add(&begun, &mark(number, 1)).unwrap();
        }
        assert!(marks.add(mark(past - 1, 1)) && marks.add(mark(past, 1)));
        for (number, there) in [(1, false), (2, false), (3, true), (past, true)] {
            let key = mark(number, 0).key;
            assert_eq!(find(&begun, [1; 32], key).unwrap().is_some(), there, "{number}");
            assert_eq!(marks.find([1; 32], key).is_some(), there, "{number}");
        }
    }
}
