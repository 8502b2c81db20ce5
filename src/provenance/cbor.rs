//! DAG-CBOR, written and read in its one canonical form.
//!
//! Every value has exactly one encoding: shortest heads, definite lengths, map keys in
//! order of length and then of bytes, floats of 64 bits, finite, zero without a sign.
//! The reader refuses everything else, so equal values have equal digests, and bytes that
//! were read are the bytes that would be written.

use super::error::{Error, Result};

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT: u8 = 0xfb;

/// Writes values one after another. Of a map, its caller writes the keys in order.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// How much was written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[expect(clippy::cast_possible_truncation, reason = "each arm bounds what it casts")]
    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        match value {
            0..24 => self.0.push(major | value as u8),
            24..0x100 => self.0.extend([major | 24, value as u8]),
            0x100..0x1_0000 => {
                self.0.push(major | 25);
                self.0.extend((value as u16).to_be_bytes());
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(major | 26);
                self.0.extend((value as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend(value.to_be_bytes());
            }
        }
    }

    /// Begins a map of `entries` keys with their values.
    pub fn map(&mut self, entries: usize) {
        self.head(MAP, entries as u64);
    }

    /// Begins an array of `items` values.
    pub fn array(&mut self, items: usize) {
        self.head(ARRAY, items as u64);
    }

    /// Writes a text; also the key of a map.
    pub fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// Writes a whole number ≥ 0.
    pub fn uint(&mut self, value: u64) {
        self.head(UINT, value);
    }

    /// Writes a whole number.
    pub fn int(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(UINT, value),
            // -1 - value, which does not overflow.
            Err(_) => self.head(NEGATIVE, (!value).cast_unsigned()),
        }
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.0.push(if value { TRUE } else { FALSE });
    }

    /// Writes nothing, as a value.
    pub fn null(&mut self) {
        self.0.push(NULL);
    }

    /// Writes a number; zero loses its sign, as DAG-CBOR asks.
    ///
    /// # Errors
    /// If it is infinite or not a number; `what` names it.
    pub fn float(&mut self, value: f64, what: impl FnOnce() -> String) -> Result<()> {
        if !value.is_finite() {
            return Err(Error::NotFinite { what: what() });
        }
        self.0.push(FLOAT);
        self.0.extend((value + 0.0).to_be_bytes());
        Ok(())
    }

    /// Writes bytes that are themselves one whole value, from another writer.
    pub fn embed(&mut self, value: &[u8]) {
        self.0.extend(value);
    }

    /// Writes the link to a block: tag 42 around the CID's bytes after a zero byte.
    pub fn link(&mut self, cid: &[u8; 36]) {
        self.0.extend([0xd8, 42]);
        self.head(BYTES, 37);
        self.0.push(0);
        self.0.extend(cid);
    }
}

/// The order of the keys of a map: by length, then by bytes.
#[must_use]
pub fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

/// Reads what [`Writer`] writes, and nothing else. Allocates no more than it is given.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; faults call them `what`.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    /// A fault at the present place.
    #[must_use]
    pub fn fault(&self, why: &'static str) -> Error {
        Error::Malformed { what: self.what, at: self.at as u64, why }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If something is left over.
    pub fn end(self) -> Result<()> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.fault("more than belongs here")) }
    }

    /// How much is left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.fault("it ends too early"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64)?);
        Ok(out)
    }

    /// The first byte of the next value.
    fn peek(&self) -> Result<u8> {
        self.bytes.get(self.at).copied().ok_or_else(|| self.fault("it ends too early"))
    }

    fn head(&mut self, major: u8, why: &'static str) -> Result<u64> {
        let first = self.peek()?;
        if first >> 5 != major {
            return Err(self.fault(why));
        }
        let start = self.at;
        self.at += 1;
        let (value, least) = match first & 0x1f {
            small @ 0..24 => (u64::from(small), 0),
            24 => (u64::from(self.fixed::<1>()?[0]), 24),
            25 => (u64::from(u16::from_be_bytes(self.fixed()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.fixed()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.fixed()?), 1 << 32),
            _ => {
                self.at = start;
                return Err(self.fault("a length without an end"));
            }
        };
        if value < least {
            self.at = start;
            return Err(self.fault("a number that is not as short as it can be"));
        }
        Ok(value)
    }

    /// Reads the head of a map and returns its entries' number.
    ///
    /// # Errors
    /// If another value stands there, or it cannot be that long.
    pub fn map(&mut self) -> Result<usize> {
        let count = self.head(MAP, "a map is expected")?;
        // An entry takes two bytes at least.
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.left() / 2)
            .ok_or_else(|| self.fault("it ends too early"))
    }

    /// Reads the head of a map of exactly `count` entries.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn map_of(&mut self, count: usize) -> Result<()> {
        let start = self.at;
        if self.map()? == count {
            return Ok(());
        }
        self.at = start;
        Err(self.fault("fields are missing or unknown"))
    }

    /// Reads the head of an array and returns its items' number.
    ///
    /// # Errors
    /// If another value stands there, or it cannot be that long.
    pub fn array(&mut self) -> Result<usize> {
        let count = self.head(ARRAY, "an array is expected")?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.left())
            .ok_or_else(|| self.fault("it ends too early"))
    }

    /// Reads the head of an array of exactly `count` items.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn array_of(&mut self, count: usize) -> Result<()> {
        let start = self.at;
        if self.array()? == count {
            return Ok(());
        }
        self.at = start;
        Err(self.fault("an array of another length is expected"))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// If another value stands there, or it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str> {
        let count = self.head(TEXT, "a text is expected")?;
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map_err(|_| self.fault("a text that is not UTF-8"))
    }

    /// Reads the key `name` of a map.
    ///
    /// # Errors
    /// If another stands there.
    pub fn key(&mut self, name: &str) -> Result<()> {
        let start = self.at;
        if self.text()? == name {
            return Ok(());
        }
        self.at = start;
        Err(self.fault("another field is expected here"))
    }

    /// Reads a map whose keys are free, each value with `value`.
    ///
    /// # Errors
    /// Those of `value`, and if the keys are out of order or not unique.
    pub fn entries(
        &mut self,
        mut value: impl FnMut(&mut Self, &'a str) -> Result<()>,
    ) -> Result<()> {
        let mut last: Option<&str> = None;
        for _ in 0..self.map()? {
            let start = self.at;
            let key = self.text()?;
            if last.is_some_and(|last| key_order(last, key).is_ge()) {
                self.at = start;
                return Err(self.fault("keys that are out of order"));
            }
            last = Some(key);
            value(self, key)?;
        }
        Ok(())
    }

    /// Reads a byte string.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.head(BYTES, "a byte string is expected")?;
        self.take(count)
    }

    /// Reads a byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn byte_array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let start = self.at;
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| {
            self.at = start;
            self.fault("a byte string of another length is expected")
        })
    }

    /// Reads a whole number ≥ 0.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn uint(&mut self) -> Result<u64> {
        self.head(UINT, "a whole number is expected")
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// If another value stands there, or it lies beyond 64 bits with a sign.
    pub fn int(&mut self) -> Result<i64> {
        let start = self.at;
        let negative = self.peek()? >> 5 == NEGATIVE;
        let value = if negative {
            self.head(NEGATIVE, "a whole number is expected")?
        } else {
            self.uint()?
        };
        match i64::try_from(value) {
            Ok(value) => Ok(if negative { !value } else { value }),
            Err(_) => {
                self.at = start;
                Err(self.fault("a number beyond 64 bits"))
            }
        }
    }

    /// Reads a truth value.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn bool(&mut self) -> Result<bool> {
        let value = match self.peek()? {
            TRUE => true,
            FALSE => false,
            _ => return Err(self.fault("true or false is expected")),
        };
        self.at += 1;
        Ok(value)
    }

    /// Whether nothing stands there; if so, it is read.
    ///
    /// # Errors
    /// If the bytes end here.
    pub fn null(&mut self) -> Result<bool> {
        let null = self.peek()? == NULL;
        self.at += usize::from(null);
        Ok(null)
    }

    /// Reads a number.
    ///
    /// # Errors
    /// If another value stands there, or it is not finite, or a zero with a sign.
    pub fn float(&mut self) -> Result<f64> {
        let start = self.at;
        if self.peek()? != FLOAT {
            return Err(self.fault("a number of 64 bits is expected"));
        }
        self.at += 1;
        let value = f64::from_be_bytes(self.fixed()?);
        if value.is_finite() && (value != 0.0 || value.is_sign_positive()) {
            return Ok(value);
        }
        self.at = start;
        Err(self.fault("a number that has no canonical form"))
    }

    /// Reads a value with `read`, or nothing.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.null()? { Ok(None) } else { read(self).map(Some) }
    }

    /// Reads the link to a block.
    ///
    /// # Errors
    /// If another value stands there.
    pub fn link(&mut self) -> Result<[u8; 36]> {
        if self.take(2)? != [0xd8, 42] {
            return Err(self.fault("a link is expected"));
        }
        let bytes: [u8; 37] = self.byte_array()?;
        match bytes {
            [0, cid @ ..] => Ok(cid),
            _ => Err(self.fault("a link is expected")),
        }
    }

    /// Which kind of value is next.
    ///
    /// # Errors
    /// If the bytes end here, or it is none of those.
    pub fn kind(&self) -> Result<Kind> {
        match self.peek()? {
            FLOAT => Ok(Kind::Float),
            TRUE | FALSE => Ok(Kind::Bool),
            first => match first >> 5 {
                UINT | NEGATIVE => Ok(Kind::Int),
                BYTES => Ok(Kind::Bytes),
                TEXT => Ok(Kind::Text),
                ARRAY => Ok(Kind::Array),
                MAP => Ok(Kind::Map),
                _ => Err(self.fault("a value of a known kind is expected")),
            },
        }
    }
}

/// The kinds of value that can stand where several may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// A number of 64 bits.
    Float,
    /// A truth value.
    Bool,
    /// A text.
    Text,
    /// A byte string.
    Bytes,
    /// An array.
    Array,
    /// A map.
    Map,
}
