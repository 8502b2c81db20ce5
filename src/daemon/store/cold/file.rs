//! The cold tier on disk: append-only CAR segments in one folder, a sidecar beside each closed one.
//!
//! Only the writer's lock is held while bytes are written; readers see a segment up to its
//! published length. What open finds damaged is named and left alone: new blocks then go to a
//! new segment.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Appended, Checked, ColdBackend, Extent, MAX_FAULTS, Recovered, Wanted,
    folder::{Folder, damage, foreign, index, read_any},
    frame,
    index::Index,
    segment,
};
use crate::{
    daemon::store::error::{Damage, StoreError},
    provenance::{block::Block, car},
};

/// A folder of segments.
pub struct FileCold {
    shared: Arc<Shared>,
}

struct Shared {
    folder: Folder,
    limit: u64,
    writer: Mutex<Writer>,
    view: RwLock<View>,
}

#[derive(Default)]
struct Writer {
    active: Option<Active>,
    next: u32,
    pending: Option<Pending>,
    broken: Option<String>,
}

struct Active {
    number: u32,
    file: Arc<File>,
    /// Published.
    length: u64,
}

struct Pending {
    length: u64,
    places: Vec<(u64, u32)>,
}

/// What readers see.
#[derive(Default)]
struct View {
    growing: Option<Growing>,
    /// Closed segments and their recorded lengths, those that are gone included.
    closed: BTreeMap<u32, u64>,
}

struct Growing {
    number: u32,
    file: Arc<File>,
    length: u64,
    index: Index,
}

impl FileCold {
    /// The folder `dir`, made if need be; a segment that reaches `limit` bytes is closed.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn new(dir: &Path, limit: u64) -> Result<Self, StoreError> {
        let shared = Shared {
            folder: Folder::new(dir)?,
            limit: limit.min(u64::from(u32::MAX) / 2),
            writer: Mutex::default(),
            view: RwLock::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .unwrap_or(Err(StoreError::Cancelled))
    }
}

#[async_trait]
impl ColdBackend for FileCold {
    async fn recover(
        &self,
        store: [u8; 16],
        recorded: Vec<Extent>,
    ) -> Result<Recovered, StoreError> {
        self.run(move |shared| shared.recover(store, &recorded)).await
    }

    async fn append(&self, blocks: Vec<Block>) -> Result<Appended, StoreError> {
        self.run(move |shared| shared.append(&blocks)).await
    }

    async fn publish(&self) -> Result<(), StoreError> {
        self.shared.publish();
        Ok(())
    }

    async fn revoke(&self) -> Result<(), StoreError> {
        self.run(Shared::revoke).await
    }

    async fn get(&self, wanted: Vec<Wanted>) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.run(move |shared| wanted.iter().map(|wanted| shared.get(wanted)).collect()).await
    }

    async fn segments(&self) -> Result<Vec<u32>, StoreError> {
        Ok(self.shared.extents().into_keys().collect())
    }

    async fn check(&self, segment: u32) -> Result<Checked, StoreError> {
        self.run(move |shared| match shared.extents().get(&segment) {
            Some(length) => shared.folder.check(segment, *length),
            None => {
                let faults = vec![damage(segment, None, "there is no such segment")];
                Ok(Checked { faults, ..Checked::default() })
            }
        })
        .await
    }

    async fn survey(&self) -> Result<Vec<Damage>, StoreError> {
        self.run(Shared::survey).await
    }
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All segments and their published lengths, those that are gone included.
    fn extents(&self) -> BTreeMap<u32, u64> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let growing = view.growing.as_ref().map(|growing| (growing.number, growing.length));
        view.closed.iter().map(|(number, length)| (*number, *length)).chain(growing).collect()
    }

    fn recover(&self, store: [u8; 16], recorded: &[Extent]) -> Result<Recovered, StoreError> {
        self.folder.belong_to(store);
        let mut place = self.writer();
        // Readers see what they saw until all is known.
        let (mut writer, mut view) = (Writer::default(), View::default());
        let mut found = Recovered::default();
        let last = recorded.iter().map(|extent| extent.segment).max().unwrap_or(0);
        for extent in recorded {
            let healthy = self.folder.recover(*extent, &mut found)?;
            view.closed.insert(extent.segment, extent.length);
            let Some(file) = healthy.filter(|_| extent.segment == last) else { continue };
            // The active one: its index has to be made anyway, so it is checked whole.
            let from = self.folder.header(last).len() as u64;
            let (index, checked, _) = index(&file, last, from, extent.length)
                .map_err(|error| StoreError::io("reading", &self.folder.path(last), error))?;
            if checked.faults.is_empty() {
                view.closed.remove(&last);
                let (number, length, file) = (last, extent.length, Arc::new(file));
                writer.active = Some(Active { number, file: Arc::clone(&file), length });
                view.growing = Some(Growing { number, file, length, index });
            }
            found.faults.extend(checked.faults);
        }
        let mut strangers = Vec::new();
        for name in self.folder.names()? {
            match segment::named(&name) {
                Some((number, _)) if recorded.iter().any(|known| known.segment == number) => {}
                Some((number, false)) => strangers.push((number, self.folder.unborn(number))),
                None if name.ends_with(".idx.tmp") => self.folder.remove_scrap(&name),
                _ => found.faults.push(foreign(name)),
            }
        }
        // At most one segment was being born: the last. Several are a mistake, such as a
        // database from an old backup, and stay.
        strangers.sort_unstable();
        if strangers.iter().filter(|(_, unborn)| unborn.is_some()).count() == 1
            && let Some((number, Some(size))) =
                strangers.pop_if(|(number, unborn)| *number > last && unborn.is_some())
        {
            self.folder.remove(number)?;
            found.cut += size;
        }
        let highest = strangers.last().map_or(last, |(number, _)| last.max(*number));
        let names = strangers.into_iter().map(|(number, _)| segment::file_name(number));
        found.faults.extend(names.map(foreign));
        self.folder.sync_dir()?;
        writer.next = highest + 1;
        *place = writer;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(found)
    }

    fn append(&self, blocks: &[Block]) -> Result<Appended, StoreError> {
        self.revoke()?;
        let mut writer = self.writer();
        if writer.active.as_ref().is_none_or(|active| active.length >= self.limit) {
            self.roll(&mut writer)?;
        }
        let Some(Active { number, ref file, length }) = writer.active else {
            return Err(StoreError::Broken("no segment takes blocks".to_owned()));
        };
        let file = Arc::clone(file);
        let size: usize = blocks.iter().map(|block| block.bytes.len() + 40).sum();
        let (mut out, mut places) = (Vec::with_capacity(size), Vec::with_capacity(blocks.len()));
        for block in blocks {
            let offset = u32::try_from(length + out.len() as u64);
            let Ok(offset) = offset else {
                let what = format!("block {} lies beyond what a segment holds", block.cid);
                return Err(StoreError::Exhausted { what });
            };
            places.push((frame::key(&block.cid), offset));
            car::append(&mut out, block);
        }
        let end = length + out.len() as u64;
        let written = file.write_all_at(&out, length);
        let synced = written.is_ok();
        if let Err(error) = written.and_then(|()| file.sync_data()) {
            let error = StoreError::io("writing", &self.folder.path(number), error);
            // After a failed sync nobody knows what the disk holds; a full one is no failure.
            if synced && !matches!(error, StoreError::Full { .. }) {
                writer.broken = Some(error.to_string());
            }
            self.cut(&mut writer)?;
            return Err(error);
        }
        writer.pending = Some(Pending { length: end, places });
        let extent = Extent { segment: number, length: end };
        Ok(Appended { extent, bytes: out.len() as u64 })
    }

    fn publish(&self) {
        let mut writer = self.writer();
        let Writer { active: Some(active), pending, .. } = &mut *writer else { return };
        let Some(pending) = pending.take() else { return };
        active.length = pending.length;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(growing) = &mut view.growing {
            growing.length = pending.length;
            for (key, offset) in pending.places {
                growing.index.insert(key, offset);
            }
        }
    }

    fn revoke(&self) -> Result<(), StoreError> {
        let mut writer = self.writer();
        if let Some(why) = &writer.broken {
            return Err(StoreError::Broken(why.clone()));
        }
        if writer.pending.take().is_some() { self.cut(&mut writer) } else { Ok(()) }
    }

    /// Cuts what was written behind the published length.
    fn cut(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let Some(active) = &writer.active else { return Ok(()) };
        let cut = active.file.set_len(active.length);
        cut.map_err(|error| {
            let error = StoreError::io("cutting", &self.folder.path(active.number), error);
            writer.broken = Some(error.to_string());
            error
        })
    }

    /// Closes the active segment, if there is one, and begins the next.
    fn roll(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(growing) = &view.growing {
            self.folder.write_sidecar(growing.number, &growing.index, growing.length)?;
            let (number, length) = (growing.number, growing.length);
            view.closed.insert(number, length);
            view.growing = None;
            writer.active = None;
        }
        let number = writer.next;
        let file = Arc::new(self.folder.begin(number)?);
        let length = self.folder.header(number).len() as u64;
        writer.next += 1;
        writer.active = Some(Active { number, file: Arc::clone(&file), length });
        view.growing = Some(Growing { number, file, length, index: Index::default() });
        Ok(())
    }

    fn get(&self, wanted: &Wanted) -> Result<Option<Bytes>, StoreError> {
        let key = frame::key(&wanted.cid);
        let (growing, closed) = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            let growing = view.growing.as_ref().map(|growing| {
                let places = growing.index.find(key);
                (growing.number, Arc::clone(&growing.file), growing.length, places)
            });
            let hinted = wanted.hint.and_then(|hint| view.closed.get_key_value(&hint));
            let rest = view.closed.iter().rev().filter(|(number, _)| Some(**number) != wanted.hint);
            let closed: Vec<_> = hinted.into_iter().chain(rest).map(|(n, l)| (*n, *l)).collect();
            (growing, closed)
        };
        if let Some((number, file, length, places)) = growing
            && let Some(bytes) = read_any(&file, number, length, &places, &wanted.cid)?
        {
            return Ok(Some(bytes));
        }
        let mut unsure = None;
        for (number, length) in closed {
            match self.folder.find(number, length, &wanted.cid) {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                Ok(None) => {}
                Err(StoreError::Corrupt(damage)) => drop(unsure.get_or_insert(damage)),
                Err(error) => return Err(error),
            }
        }
        // It may lie where nothing can be read: that is no "there is none".
        unsure.map_or(Ok(None), |damage| Err(StoreError::Corrupt(damage)))
    }

    fn survey(&self) -> Result<Vec<Damage>, StoreError> {
        let names = self.folder.names()?;
        let known = self.extents();
        let mut faults = Vec::new();
        for (number, length) in &known {
            match self.folder.size(*number) {
                Some(size) if size >= *length => {}
                Some(size) => {
                    let what = format!("the file ends before its recorded {length} bytes");
                    faults.push(damage(*number, Some(size), what));
                }
                None => faults.push(damage(*number, None, "the segment is missing")),
            }
        }
        for name in names {
            let ours = segment::named(&name).is_some_and(|(number, _)| known.contains_key(&number));
            if !ours && !name.ends_with(".idx.tmp") && faults.len() < MAX_FAULTS {
                faults.push(foreign(name));
            }
        }
        Ok(faults)
    }
}
