//! Where each block of a segment lies: in memory while it grows, in a sorted sidecar once it
//! is closed.
//!
//! A sidecar is a cache: `DARWINIX`, version, the segment's length, the number of records
//! (each a big-endian u64), the records sorted (8 bytes of the digest, 4 of the offset), and
//! the SHA-256 of all that.

use std::{collections::HashMap, fs::File, io, os::unix::fs::FileExt};

use crate::provenance::digest::sha256;

const MAGIC: &[u8; 8] = b"DARWINIX";
const VERSION: u64 = 1;
const HEAD: u64 = 32;
const RECORD: u64 = 12;
const DIGEST: u64 = 32;
/// How many records one read takes.
const WINDOW: u64 = 340;

/// The index of a segment that still grows.
#[derive(Debug, Default)]
pub struct Index {
    /// The first offset of each key.
    first: HashMap<u64, u32>,
    /// Further offsets of a key: other blocks whose digests start alike.
    more: Vec<(u64, u32)>,
}

impl Index {
    /// Notes that a block of that key lies there.
    pub fn insert(&mut self, key: u64, offset: u32) {
        if let Some(first) = self.first.get(&key) {
            if *first != offset && !self.more.contains(&(key, offset)) {
                self.more.push((key, offset));
            }
        } else {
            self.first.insert(key, offset);
        }
    }

    /// Where blocks of that key lie.
    #[must_use]
    pub fn find(&self, key: u64) -> Vec<u32> {
        let more = self.more.iter().filter(|(other, _)| *other == key).map(|(_, offset)| *offset);
        self.first.get(&key).copied().into_iter().chain(more).collect()
    }

    /// The sidecar of a segment of that length.
    #[must_use]
    pub fn sidecar(&self, length: u64) -> Vec<u8> {
        let mut records: Vec<_> = self.first.iter().map(|(key, offset)| (*key, *offset)).collect();
        records.extend_from_slice(&self.more);
        records.sort_unstable();
        let mut out = Vec::with_capacity(records.len() * 12 + 64);
        out.extend_from_slice(MAGIC);
        for number in [VERSION, length, records.len() as u64] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for (key, offset) in records {
            out.extend_from_slice(&key.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
        }
        let digest = sha256(&out);
        out.extend_from_slice(&digest.0);
        out
    }
}

/// A sidecar on disk.
#[derive(Debug)]
pub struct Sidecar {
    file: File,
    count: u64,
}

impl Sidecar {
    /// Takes `file` as the sidecar of a segment of that length; `None` if it isn't.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn open(file: File, length: u64) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        let mut head = [0; HEAD as usize];
        if size < HEAD + DIGEST || file.read_exact_at(&mut head, 0).is_err() {
            return Ok(None);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        let count = number(24);
        let fits = head.starts_with(MAGIC)
            && number(8) == VERSION
            && number(16) == length
            && count.checked_mul(RECORD).and_then(|bytes| bytes.checked_add(HEAD + DIGEST))
                == Some(size);
        Ok(fits.then_some(Self { file, count }))
    }

    /// Whether its digest fits its content.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn intact(&self) -> io::Result<bool> {
        let mut content = vec![0; usize::try_from(HEAD + self.count * RECORD).unwrap_or(0)];
        let mut digest = [0; DIGEST as usize];
        self.file.read_exact_at(&mut content, 0)?;
        self.file.read_exact_at(&mut digest, content.len() as u64)?;
        Ok(sha256(&content).0 == digest)
    }

    /// Where blocks of that key lie. Digests are spread evenly, so that a guess by
    /// interpolation is nearly always within one window of the place.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn find(&self, key: u64) -> io::Result<Vec<u32>> {
        // The first record that is not below the key lies in [low, high].
        let (mut low, mut high) = (0, self.count);
        let mut guess = (u128::from(key) * u128::from(self.count)) >> 64;
        loop {
            let middle = u64::try_from(guess).unwrap_or(low).clamp(low, high);
            let from = middle.saturating_sub(WINDOW / 2).max(low);
            let to = (from + WINDOW).min(high);
            let window = self.read(from, to)?;
            let (Some(first), Some(last)) = (window.first(), window.last()) else {
                break;
            };
            if first.0 >= key && from > low {
                high = from;
            } else if last.0 < key && to < high {
                low = to;
            } else {
                low = from + window.partition_point(|record| record.0 < key) as u64;
                break;
            }
            guess = u128::midpoint(u128::from(low), u128::from(high));
        }
        let mut found = Vec::new();
        while low < self.count {
            let window = self.read(low, (low + 4).min(self.count))?;
            let alike = window.iter().take_while(|record| record.0 == key);
            let before = found.len();
            found.extend(alike.map(|record| record.1));
            if found.len() - before < 4 {
                break;
            }
            low += 4;
        }
        Ok(found)
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<(u64, u32)>> {
        let length = usize::try_from((to - from) * RECORD).unwrap_or(0);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, HEAD + from * RECORD)?;
        let record = |bytes: &[u8]| {
            let (mut key, mut offset) = ([0; 8], [0; 4]);
            key.copy_from_slice(&bytes[..8]);
            offset.copy_from_slice(&bytes[8..]);
            (u64::from_be_bytes(key), u32::from_be_bytes(offset))
        };
        Ok(bytes.chunks_exact(RECORD as usize).map(record).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn on_disk(index: &Index, length: u64) -> (File, Vec<u8>) {
        let bytes = index.sidecar(length);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_sidecar_finds_what_the_index_finds(
            spread in prop::collection::vec(any::<u64>(), 0..1500),
            dense in prop::collection::vec(0u64..40, 0..600),
        ) {
            let mut index = Index::default();
            for (at, key) in spread.iter().chain(&dense).enumerate() {
                index.insert(*key, u32::try_from(at).unwrap());
            }
            let (file, _) = on_disk(&index, 9);
            let sidecar = Sidecar::open(file, 9).unwrap().unwrap();
            prop_assert!(sidecar.intact().unwrap());
            for key in spread.iter().chain(&dense).copied().chain([0, 41, u64::MAX]) {
                let mut expected = index.find(key);
                expected.sort_unstable();
                prop_assert_eq!(sidecar.find(key).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_sidecar_of_another_length_or_version_or_size_is_not_taken() {
        let mut index = Index::default();
        index.insert(5, 6);
        let (file, bytes) = on_disk(&index, 100);
        assert!(Sidecar::open(file.try_clone().unwrap(), 101).unwrap().is_none());
        file.set_len(bytes.len() as u64 - 1).unwrap();
        assert!(Sidecar::open(file, 100).unwrap().is_none());
        let (file, mut bytes) = on_disk(&index, 100);
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            file.write_all_at(&bytes, 0).unwrap();
            let sidecar = Sidecar::open(file.try_clone().unwrap(), 100).unwrap();
            assert!(sidecar.is_none_or(|sidecar| !sidecar.intact().unwrap()), "byte {at}");
            bytes[at] ^= 1;
        }
    }
}
