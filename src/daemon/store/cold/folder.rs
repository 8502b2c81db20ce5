//! The folder of segments: opening, indexing, cutting and checking one file at a time.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use cid::Cid;

use super::{
    Checked, Extent, MAX_FAULTS, Recovered, frame,
    index::{Index, Sidecar},
    segment::{self, Found},
};
use crate::{
    daemon::store::error::{Damage, StoreError, sync_parent},
    provenance::block::DAG_CBOR,
};

/// How many closed segments are kept open for reading.
const OPEN: usize = 64;

/// A folder of segments of one store.
pub struct Folder {
    dir: PathBuf,
    store: OnceLock<[u8; 16]>,
    open: Mutex<VecDeque<(u32, Arc<Opened>)>>,
}

/// A closed segment, open for reading.
struct Opened {
    file: File,
    lookup: Lookup,
}

enum Lookup {
    Sidecar(Sidecar),
    /// The segment can't be read beyond a damage.
    Partial(Index, Damage),
}

/// Damage of a segment.
#[must_use]
pub fn damage(number: u32, offset: Option<u64>, what: impl Into<String>) -> Damage {
    Damage { place: segment::file_name(number), offset, what: what.into() }
}

/// Reads a segment's frames into an index and names what is wrong, at most [`MAX_FAULTS`];
/// also the damage behind which nothing could be read, if there is one.
///
/// # Errors
/// If the file can't be read.
pub fn index(
    file: &File,
    number: u32,
    from: u64,
    to: u64,
) -> io::Result<(Index, Checked, Option<Damage>)> {
    let (mut index, mut checked, mut end) = (Index::default(), Checked::default(), None);
    segment::scan(file, from, to, &mut |offset, found| {
        let fault = match found {
            Found::Block(cid) | Found::Damaged(cid) => {
                index.insert(frame::key(&cid), u32::try_from(offset).unwrap_or(u32::MAX));
                checked.blocks += 1;
                checked.entries += u64::from(cid.codec() == DAG_CBOR);
                matches!(found, Found::Damaged(_)).then(|| {
                    damage(number, Some(offset), format!("block {cid} does not have its digest"))
                })
            }
            Found::Unreadable(what) => {
                end = Some(damage(number, Some(offset), what));
                end.clone()
            }
        };
        if checked.faults.len() < MAX_FAULTS {
            checked.faults.extend(fault);
        }
    })?;
    checked.bytes = to;
    Ok((index, checked, end))
}

impl Folder {
    /// The folder `dir`, made if need be.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn new(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|error| StoreError::io("making", dir, error))?;
        sync_parent(dir)?;
        Ok(Self { dir: dir.to_owned(), store: OnceLock::new(), open: Mutex::default() })
    }

    /// Says whose segments these are; to be called once.
    pub fn belong_to(&self, store: [u8; 16]) {
        self.store.get_or_init(|| store);
    }

    /// The bytes with which a segment starts.
    #[must_use]
    pub fn header(&self, number: u32) -> Vec<u8> {
        segment::header(self.store.get().copied().unwrap_or_default(), number)
    }

    /// Begins a segment: its header is durable when this returns.
    ///
    /// # Errors
    /// If it can't be written; then there is none.
    pub fn begin(&self, number: u32) -> Result<File, StoreError> {
        let path = self.path(number);
        let make = || {
            let mut file =
                OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            file.write_all(&self.header(number))?;
            file.sync_all()?;
            Ok(file)
        };
        let made = make().map_err(|error| StoreError::io("beginning", &path, error));
        made.and_then(|file| self.sync_dir().map(|()| file)).inspect_err(|_| {
            drop(fs::remove_file(&path));
        })
    }

    /// Removes what an unfinished write left.
    pub fn remove_scrap(&self, name: &str) {
        drop(fs::remove_file(self.dir.join(name)));
    }

    /// Removes an unborn segment.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn remove(&self, number: u32) -> Result<(), StoreError> {
        let path = self.path(number);
        fs::remove_file(&path).map_err(|error| StoreError::io("removing", &path, error))
    }

    /// The size of a segment's file; `None` if it is gone.
    #[must_use]
    pub fn size(&self, number: u32) -> Option<u64> {
        fs::metadata(self.path(number)).ok().map(|found| found.len())
    }

    /// The block of that CID in a closed segment of that length.
    ///
    /// # Errors
    /// If it can't be read; corrupt also where it may lie behind a damage.
    pub fn find(&self, number: u32, length: u64, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let key = frame::key(cid);
        let opened = self.opened(number, length)?;
        let places = match &opened.lookup {
            Lookup::Sidecar(sidecar) => sidecar.find(key).map_err(|error| {
                StoreError::io("reading", &self.dir.join(segment::sidecar_name(number)), error)
            })?,
            Lookup::Partial(index, damage) => match index.find(key) {
                places if places.is_empty() => return Err(StoreError::Corrupt(damage.clone())),
                places => places,
            },
        };
        read_any(&opened.file, number, length, &places, cid)
    }

    /// Where a segment lies.
    #[must_use]
    pub fn path(&self, number: u32) -> PathBuf {
        self.dir.join(segment::file_name(number))
    }

    /// Makes new names in the folder durable.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn sync_dir(&self) -> Result<(), StoreError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| StoreError::io("syncing", &self.dir, error))
    }

    /// Cuts a recorded segment to its length; the file if it is what it should be so far.
    ///
    /// # Errors
    /// If it can't be read or cut.
    pub fn recover(
        &self,
        extent: Extent,
        found: &mut Recovered,
    ) -> Result<Option<File>, StoreError> {
        let (number, path) = (extent.segment, self.path(extent.segment));
        let at = |doing: &'static str| {
            let path = path.clone();
            move |error| StoreError::io(doing, &path, error)
        };
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                found.faults.push(damage(number, None, "the segment is missing"));
                return Ok(None);
            }
            Err(error) => return Err(at("opening")(error)),
        };
        let size = file.metadata().map_err(at("reading"))?.len();
        if size < extent.length {
            let what = format!("the file ends before its recorded {} bytes", extent.length);
            found.faults.push(damage(number, Some(size), what));
            return Ok(None);
        }
        let header = self.header(number);
        if !segment::starts_with(&file, &header).map_err(at("reading"))? {
            found.faults.push(damage(
                number,
                Some(0),
                "it does not start with this segment's header",
            ));
            return Ok(None);
        }
        if size > extent.length {
            file.set_len(extent.length).and_then(|()| file.sync_all()).map_err(at("cutting"))?;
            found.cut += size - extent.length;
        }
        Ok(Some(file))
    }

    /// The size of a segment that was being born: its header, or less, then unrecorded blocks.
    #[must_use]
    pub fn unborn(&self, number: u32) -> Option<u64> {
        let file = File::open(self.path(number)).ok()?;
        let size = file.metadata().ok()?.len();
        let mut header = self.header(number);
        header.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        segment::starts_with(&file, &header).ok()?.then_some(size)
    }

    /// The names of all files in the folder.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let read = |error| StoreError::io("listing", &self.dir, error);
        fs::read_dir(&self.dir)
            .map_err(read)?
            .map(|entry| Ok(entry.map_err(read)?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Writes the sidecar of a segment that is closed.
    ///
    /// # Errors
    /// If it can't be written; then there is none.
    pub fn write_sidecar(&self, number: u32, index: &Index, length: u64) -> Result<(), StoreError> {
        let path = self.dir.join(segment::sidecar_name(number));
        let fresh = path.with_extension("idx.tmp");
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(&index.sidecar(length))?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().map_err(|error| {
            drop(fs::remove_file(&fresh));
            StoreError::io("writing", &path, error)
        })
    }

    /// A closed segment, open for reading; its sidecar is made anew if it isn't there.
    fn opened(&self, number: u32, length: u64) -> Result<Arc<Opened>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().position(|(other, _)| *other == number);
        if let Some((number, opened)) = known.and_then(|at| open.remove(at)) {
            open.push_front((number, Arc::clone(&opened)));
            return Ok(opened);
        }
        let path = self.path(number);
        let file = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                StoreError::Corrupt(damage(number, None, "the segment is missing"))
            }
            _ => StoreError::io("opening", &path, error),
        })?;
        let read = |error| StoreError::io("reading", &path, error);
        let lookup = match self.sidecar(number, length)? {
            Some(sidecar) => Lookup::Sidecar(sidecar),
            None => {
                let from = self.header(number).len() as u64;
                let (index, _, end) = index(&file, number, from, length).map_err(read)?;
                if let Some(damage) = end {
                    Lookup::Partial(index, damage)
                } else {
                    self.write_sidecar(number, &index, length)?;
                    self.sidecar(number, length)?
                        .map(Lookup::Sidecar)
                        .ok_or_else(|| StoreError::Broken("a sidecar did not stay".to_owned()))?
                }
            }
        };
        let opened = Arc::new(Opened { file, lookup });
        open.push_front((number, Arc::clone(&opened)));
        open.truncate(OPEN);
        Ok(opened)
    }

    fn sidecar(&self, number: u32, length: u64) -> Result<Option<Sidecar>, StoreError> {
        let path = self.dir.join(segment::sidecar_name(number));
        match File::open(&path) {
            Ok(file) => {
                Sidecar::open(file, length).map_err(|error| StoreError::io("reading", &path, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("opening", &path, error)),
        }
    }

    /// Reads all of a segment and checks each block; its sidecar too, if it has one.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn check(&self, number: u32, length: u64) -> Result<Checked, StoreError> {
        let path = self.path(number);
        let read = |error| StoreError::io("reading", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let faults = vec![damage(number, None, "the segment is missing")];
                return Ok(Checked { faults, ..Checked::default() });
            }
            Err(error) => return Err(StoreError::io("opening", &path, error)),
        };
        let header = self.header(number);
        let whose = segment::starts_with(&file, &header).map_err(read)?;
        let (_, mut checked, _) =
            index(&file, number, header.len() as u64, length).map_err(read)?;
        if !whose {
            let what = "it does not start with this segment's header";
            checked.faults.insert(0, damage(number, Some(0), what));
        }
        if let Some(sidecar) = self.sidecar(number, length)?
            && !sidecar.intact().map_err(read)?
        {
            let what = "the index is damaged; remove it, and it is made anew".to_owned();
            let place = segment::sidecar_name(number);
            checked.faults.push(Damage { place, offset: None, what });
        }
        Ok(checked)
    }
}

/// A file that is no part of the store.
#[must_use]
pub fn foreign(place: String) -> Damage {
    let what = "this file does not belong here; move it elsewhere".to_owned();
    Damage { place, offset: None, what }
}

/// The block, if it lies at one of these places.
///
/// # Errors
/// If a place can't be read, or holds something else than the index says.
pub fn read_any(
    file: &File,
    number: u32,
    length: u64,
    places: &[u32],
    cid: &Cid,
) -> Result<Option<Bytes>, StoreError> {
    for offset in places.iter().map(|offset| u64::from(*offset)) {
        let fault = |what: &str| StoreError::Corrupt(damage(number, Some(offset), what));
        let path = PathBuf::from(segment::file_name(number));
        let read = segment::read(file, offset, length)
            .map_err(|error| StoreError::io("reading", &path, error))?;
        let (head, bytes) = read.map_err(fault)?;
        if head.cid == *cid {
            return Ok(Some(Bytes::from(bytes)));
        }
        if frame::key(&head.cid) != frame::key(cid) {
            return Err(fault("another block lies where the index has this one"));
        }
    }
    Ok(None)
}
