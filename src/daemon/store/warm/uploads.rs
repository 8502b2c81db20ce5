//! Blobs that come in parts: the rows, in memory and in SQL.

use bytes::Bytes;
use cid::Cid;
use rusqlite::{Connection, Error, OptionalExtension, Row, params, types::Type};

use crate::{
    domain::id::SessionId,
    provenance::block::{cid_bytes, cid_from_bytes},
};

/// A blob to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// The keyed digest of its content.
    pub id: [u8; 32],
    /// Whose it is.
    pub session: SessionId,
    /// Its size in bytes.
    pub size: u64,
    /// Its name and digest, sealed.
    pub sealed: Bytes,
    /// When it is begun, in milliseconds since the Unix epoch.
    pub begun_ms: u64,
}

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// What it was begun with.
    pub begun: NewUpload,
    /// How many of its parts are stored.
    pub parts: u64,
    /// Whether all are, and are its content.
    pub done: bool,
}

/// A part of a blob: the blob's id, the part's number from 0, and its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// The blob.
    pub of: [u8; 32],
    /// Its number, from 0.
    pub number: u64,
    /// Its sealed block.
    pub cid: Cid,
}

/// What is wrong with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// There is one of that id.
    There,
    /// There is none of that id, or it is done, or the part is not its next one.
    Missing,
}

/// Blobs in memory, in the order of their beginnings.
#[derive(Debug, Clone, Default)]
pub struct Uploads {
    all: Vec<(UploadRow, Vec<Cid>)>,
}

impl Uploads {
    /// Begins one.
    ///
    /// # Errors
    /// If it is there.
    pub fn begin(&mut self, new: NewUpload) -> Result<(), Wrong> {
        if self.find(new.id).is_some() {
            return Err(Wrong::There);
        }
        self.all.push((UploadRow { begun: new, parts: 0, done: false }, Vec::new()));
        Ok(())
    }

    /// Adds the next part of one.
    ///
    /// # Errors
    /// If it is not the next one.
    pub fn add(&mut self, part: &NewPart) -> Result<(), Wrong> {
        let (row, cids) = self.open(part.of)?;
        if row.parts != part.number {
            return Err(Wrong::Missing);
        }
        row.parts += 1;
        cids.push(part.cid);
        Ok(())
    }

    /// Marks one as done, or forgets it and its parts.
    ///
    /// # Errors
    /// If there is none, or it is done.
    pub fn end(&mut self, id: [u8; 32], whole: bool) -> Result<(), Wrong> {
        self.open(id)?.0.done = true;
        if !whole {
            self.all.retain(|(row, _)| row.begun.id != id);
        }
        Ok(())
    }

    fn open(&mut self, id: [u8; 32]) -> Result<&mut (UploadRow, Vec<Cid>), Wrong> {
        let mut all = self.all.iter_mut();
        all.find(|(row, _)| row.begun.id == id && !row.done).ok_or(Wrong::Missing)
    }

    /// The one of that id.
    #[must_use]
    pub fn find(&self, id: [u8; 32]) -> Option<&UploadRow> {
        self.all.iter().map(|(row, _)| row).find(|row| row.begun.id == id)
    }

    /// At most `limit` of a session, the last begun first.
    #[must_use]
    pub fn of(&self, session: SessionId, limit: usize) -> Vec<UploadRow> {
        let rows = self.all.iter().rev().map(|(row, _)| row);
        rows.filter(|row| row.begun.session == session).take(limit).cloned().collect()
    }

    /// At most `limit` of the parts of one, from number `from` on.
    #[must_use]
    pub fn parts(&self, id: [u8; 32], from: u64, limit: usize) -> Vec<Cid> {
        let parts = self.all.iter().find(|(row, _)| row.begun.id == id).map(|(_, parts)| parts);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        parts.into_iter().flatten().skip(from).take(limit).copied().collect()
    }
}

#[expect(clippy::cast_possible_wrap, reason = "read back by the same cast; see the schema")]
fn int(number: u64) -> i64 {
    number as i64
}

#[expect(clippy::cast_sign_loss, reason = "written by the same cast; see the schema")]
fn number(row: &Row<'_>, column: usize) -> Result<u64, Error> {
    Ok(row.get::<_, i64>(column)? as u64)
}

/// That exactly one row was changed.
fn one(changed: usize) -> Result<(), Error> {
    if changed == 1 { Ok(()) } else { Err(Error::QueryReturnedNoRows) }
}

/// Begins one in the table.
///
/// # Errors
/// If it is there, its session is not, or the database refuses; the same for the others here.
pub fn begin(open: &Connection, new: &NewUpload) -> Result<(), Error> {
    one(open.execute(
        "INSERT INTO upload (id, session, size, sealed, begun_ms)
         SELECT ?1, node, ?3, ?4, ?5 FROM session WHERE id = ?2",
        params![new.id, new.session.as_bytes(), int(new.size), &new.sealed[..], int(new.begun_ms)],
    )?)
}

/// Adds parts to the table, in their order.
///
/// # Errors
/// If one is not the next one of its blob.
pub fn add(open: &Connection, parts: &[NewPart]) -> Result<(), Error> {
    let mut insert = open.prepare_cached(
        "INSERT INTO upload_part (upload, number, cid) SELECT node, ?2, ?3 FROM upload u
         WHERE id = ?1 AND NOT done AND ?2 = (SELECT coalesce(max(number), -1) + 1
             FROM upload_part WHERE upload = u.node)",
    )?;
    parts.iter().try_for_each(|part| {
        one(insert.execute((part.of, int(part.number), cid_bytes(&part.cid)))?)
    })
}

/// Marks one as done in the table, or deletes it with its parts.
///
/// # Errors
/// If there is none, or it is done.
pub fn end(open: &Connection, id: [u8; 32], whole: bool) -> Result<(), Error> {
    let sql = if whole {
        "UPDATE upload SET done = 1 WHERE id = ?1 AND NOT done"
    } else {
        "DELETE FROM upload WHERE id = ?1 AND NOT done"
    };
    one(open.execute(sql, [id])?)
}

const ROWS: &str = "SELECT u.id, s.id, u.size, u.sealed, u.begun_ms, u.done,
        (SELECT coalesce(max(number), -1) + 1 FROM upload_part WHERE upload = u.node)
    FROM upload u JOIN session s ON s.node = u.session";

fn row(row: &Row<'_>) -> Result<UploadRow, Error> {
    let begun = NewUpload {
        id: row.get(0)?,
        session: SessionId::from_bytes(row.get(1)?),
        size: number(row, 2)?,
        sealed: row.get::<_, Vec<u8>>(3)?.into(),
        begun_ms: number(row, 4)?,
    };
    Ok(UploadRow { begun, done: row.get(5)?, parts: number(row, 6)? })
}

/// Finds one in the table.
///
/// # Errors
/// If the database refuses.
pub fn find(open: &Connection, id: [u8; 32]) -> Result<Option<UploadRow>, Error> {
    open.prepare_cached(&format!("{ROWS} WHERE u.id = ?1"))?.query_row([id], row).optional()
}

/// As [`Uploads::of`].
///
/// # Errors
/// If the database refuses.
pub fn of(open: &Connection, session: SessionId, limit: usize) -> Result<Vec<UploadRow>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    open.prepare_cached(&format!("{ROWS} WHERE s.id = ?1 ORDER BY u.node DESC LIMIT ?2"))?
        .query_map((session.as_bytes(), limit), row)?
        .collect()
}

/// As [`Uploads::parts`].
///
/// # Errors
/// If the database refuses, or a row holds no CID.
pub fn parts(open: &Connection, id: [u8; 32], from: u64, limit: usize) -> Result<Vec<Cid>, Error> {
    let odd = || Error::FromSqlConversionFailure(0, Type::Blob, "no CID that Darwin writes".into());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    open.prepare_cached(
        "SELECT cid FROM upload_part WHERE upload = (SELECT node FROM upload WHERE id = ?1)
             AND number >= ?2 ORDER BY number LIMIT ?3",
    )?
    .query_map((id, int(from), limit), |row| {
        cid_from_bytes(&row.get::<_, Vec<u8>>(0)?).ok_or_else(odd)
    })?
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::block::Block;

    fn session() -> SessionId {
        SessionId::new(1, [1; 10])
    }

    fn new(id: u8) -> NewUpload {
        let sealed = Bytes::from(vec![id]);
        NewUpload { id: [id; 32], session: session(), size: 1 << 40, sealed, begun_ms: id.into() }
    }

    fn part(of: u8, number: u64) -> NewPart {
        NewPart { of: [of; 32], number, cid: Block::raw(vec![of, number as u8]).cid }
    }

    fn table() -> Connection {
        let open = Connection::open_in_memory().unwrap();
        open.execute_batch(
            "PRAGMA foreign_keys = ON; CREATE TABLE session (node INTEGER PRIMARY KEY, id BLOB)",
        )
        .unwrap();
        open.execute_batch(include_str!("../../../../migrations/sqlite/0006_uploads.sql")).unwrap();
        open.execute("INSERT INTO session (id) VALUES (?1)", [session().as_bytes()]).unwrap();
        open
    }

    /// Both are asked the same, and must answer the same.
    fn same(open: &Connection, memory: &Uploads, id: u8) -> Option<UploadRow> {
        let found = find(open, [id; 32]).unwrap();
        assert_eq!(found.as_ref(), memory.find([id; 32]));
        for (from, limit) in [(0, 9), (1, 1), (5, 9)] {
            let there = parts(open, [id; 32], from, limit).unwrap();
            assert_eq!(there, memory.parts([id; 32], from, limit));
        }
        for limit in [0, 1, 9] {
            assert_eq!(of(open, session(), limit).unwrap(), memory.of(session(), limit));
        }
        found
    }

    #[test]
    fn parts_come_one_after_the_other_until_a_blob_is_done() {
        let (open, mut memory) = (table(), Uploads::default());
        assert_eq!(same(&open, &memory, 1), None);
        for id in [1, 2] {
            begin(&open, &new(id)).unwrap();
            memory.begin(new(id)).unwrap();
        }
        assert!(begin(&open, &new(1)).is_err());
        assert_eq!(memory.begin(new(1)), Err(Wrong::There));
        for (number, fits) in [(1, false), (0, true), (0, false), (2, false), (1, true)] {
            assert_eq!(add(&open, &[part(1, number)]).is_ok(), fits, "{number}");
            assert_eq!(memory.add(&part(1, number)).is_ok(), fits, "{number}");
        }
        let row = same(&open, &memory, 1).unwrap();
        assert_eq!((row.begun, row.parts, row.done), (new(1), 2, false));
        end(&open, [1; 32], true).unwrap();
        memory.end([1; 32], true).unwrap();
        assert!(same(&open, &memory, 1).unwrap().done);
        // What is done stays as it is.
        assert!(add(&open, &[part(1, 2)]).is_err() && memory.add(&part(1, 2)).is_err());
        for whole in [true, false] {
            assert!(end(&open, [1; 32], whole).is_err());
            assert_eq!(memory.end([1; 32], whole), Err(Wrong::Missing));
        }
        assert_eq!(same(&open, &memory, 1).unwrap().parts, 2);
    }

    #[test]
    fn what_is_not_what_it_should_be_is_forgotten_with_its_parts() {
        let (open, mut memory) = (table(), Uploads::default());
        for _ in 0..2 {
            begin(&open, &new(1)).unwrap();
            memory.begin(new(1)).unwrap();
            add(&open, &[part(1, 0), part(1, 1)]).unwrap();
            for number in 0..2 {
                memory.add(&part(1, number)).unwrap();
            }
            end(&open, [1; 32], false).unwrap();
            memory.end([1; 32], false).unwrap();
            assert_eq!(same(&open, &memory, 1), None);
        }
        assert!(add(&open, &[part(1, 0)]).is_err() && memory.add(&part(1, 0)).is_err());
        let strange = NewUpload { session: SessionId::new(2, [2; 10]), ..new(3) };
        assert!(begin(&open, &strange).is_err());
    }
}
