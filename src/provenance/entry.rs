//! Journal entries: a signed header in clear, and a sealed body.
//!
//! The block is DAG-CBOR `{sig, header}`, where `header` is itself DAG-CBOR as a byte
//! string: exactly the bytes that are signed. Links are CIDs as byte strings, so that the
//! chain is followed on purpose only. Signatures and links are checked without any key
//! that opens contents.

use bytes::Bytes;
use cid::Cid;

use crate::domain::{
    digest::Digest,
    id::{AgentId, SessionId},
    journal::{Event, EventKind},
};

use super::{
    blob::{BlobRef, NewBlob, Sink, blocks},
    block::{Block, DAG_CBOR, RAW, cid_bytes, read_cid, write_cid},
    body::{self, MAX_BODY},
    cbor::{Reader, Writer},
    error::{Error, Result},
    seal::{BlobKind, SealId, Sealer, chunks_of},
    sign::{KeyId, KeyRing, Purpose, SIGNATURE, Signer},
};

/// The number of this format.
pub const FORMAT: u64 = 1;
/// The most parents that an agent has.
pub const MAX_PARENTS: usize = 1024;
/// The most events of one entry.
pub const MAX_EVENTS: usize = 1024;
const WHAT: &str = "journal entry";

/// Whose keys write an entry.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// Signs it.
    pub signer: &'a Signer,
    /// Seals it, for its session.
    pub sealer: &'a Sealer,
}

/// Where an entry belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The agent whose journal it continues.
    pub agent: AgentId,
    /// Its place there, from 0.
    pub seq: u64,
    /// The entry before it; none on the first.
    pub prev: Option<Cid>,
    /// On the first: the parents' latest entries, in the order of `Proposed::parents`.
    pub parents: Vec<Cid>,
}

/// What a header says, in clear and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where it belongs.
    pub link: Link,
    /// The session whose key seals its contents.
    pub session: SessionId,
    /// Which key of the session that is.
    pub key: SealId,
    /// The kinds of its events, in order.
    pub kinds: Vec<EventKind>,
    /// The sealed body: the blocks of one object.
    pub body: Vec<Cid>,
    /// The fingerprint of the key that signed it.
    pub signer: KeyId,
}

/// An entry whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identifier, by which others link it.
    pub cid: Cid,
    /// What it says.
    pub header: Header,
}

/// An entry that was written, to be stored: the blobs first, then body and entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The entry.
    pub entry: Block,
    /// Its body: one block, or several of a body over 1 MiB.
    pub body: Vec<Block>,
    /// The contents that were not stored yet.
    pub blobs: Vec<NewBlob>,
    /// The digest of the genome that it proposes, if it does.
    pub genome: Option<Digest>,
}

impl Written {
    /// All its blocks, in the order in which they are to be stored.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        let blobs = self.blobs.iter().flat_map(|blob| &blob.blocks);
        blobs.chain(&self.body).chain([&self.entry])
    }
}

/// Writes an entry of `events`.
///
/// `salts` gives 32 fresh random bytes at each call. `known` gives the blocks of a content
/// that is stored already, by its keyed digest; what it gave in an earlier call it must be
/// able to give again.
///
/// # Errors
/// If a number is not finite, something is too large, or `link` contradicts itself.
pub fn write(
    keys: Keys<'_>,
    link: &Link,
    events: &[Event],
    salts: &mut dyn FnMut() -> [u8; 32],
    known: &mut dyn FnMut(&[u8; 32]) -> Option<Vec<Cid>>,
) -> Result<Written> {
    check_link(link, events.iter().map(Event::kind), events.len()).map_err(Error::Invalid)?;
    for event in events {
        let Event::Proposed(proposed) = event else { continue };
        if proposed.parents.len() != link.parents.len() {
            let why = "as many parents' entries as parents are needed";
            return Err(Error::Invalid(why.to_owned()));
        }
    }
    let mut sink = Sink { sealer: keys.sealer, salts, known, new: Vec::new() };
    let (plain, genome) = body::encode(events, &mut sink)?;
    let blobs = sink.new;
    let body = keys.sealer.seal_blocks(BlobKind::Body, &plain, salts())?;
    let header = Header {
        link: link.clone(),
        session: keys.sealer.session(),
        key: keys.sealer.id(),
        kinds: events.iter().map(Event::kind).collect(),
        body: body.iter().map(|block| block.cid).collect(),
        signer: keys.signer.id(),
    };
    let header = encode(&header);
    let signature = keys.signer.sign(Purpose::Entry, &header);
    let mut out = Writer::with_capacity(header.len() + SIGNATURE + 24);
    out.map(2);
    out.text("sig");
    out.bytes(&signature);
    out.text("header");
    out.bytes(&header);
    Ok(Written { entry: Block::dag_cbor(out.into_bytes()), body, blobs, genome })
}

/// Why an entry of these kinds cannot stand at that place.
fn check_link(
    link: &Link,
    kinds: impl Iterator<Item = EventKind>,
    count: usize,
) -> std::result::Result<(), String> {
    let first = link.seq == 0;
    let mut proposals = 0;
    for (at, kind) in kinds.enumerate() {
        if kind == EventKind::Proposed {
            proposals += 1;
            if at > 0 {
                return Err("an agent is proposed by the first event of its journal".to_owned());
            }
        }
    }
    let why = if count == 0 || count > MAX_EVENTS {
        "an entry has 1 to 1,024 events"
    } else if first != link.prev.is_none() {
        "the first entry of a journal has no entry before it, and each other has one"
    } else if !first && !link.parents.is_empty() {
        "only the first entry of a journal links the parents"
    } else if link.parents.len() > MAX_PARENTS {
        "an agent has at most 1,024 parents"
    } else if first != (proposals == 1) {
        "an agent is proposed by the first event of its journal"
    } else {
        return Ok(());
    };
    Err(why.to_owned())
}

fn encode(header: &Header) -> Vec<u8> {
    let Header { link, session, key, kinds, body, signer } = header;
    let mut out = Writer::with_capacity(256 + 40 * link.parents.len());
    out.map(10);
    out.text("v");
    out.uint(FORMAT);
    out.text("key");
    out.bytes(&key.0);
    out.text("seq");
    out.uint(link.seq);
    out.text("body");
    cids(&mut out, body);
    out.text("prev");
    match &link.prev {
        Some(prev) => write_cid(&mut out, prev),
        None => out.null(),
    }
    out.text("agent");
    out.bytes(link.agent.as_bytes());
    out.text("kinds");
    out.array(kinds.len());
    kinds.iter().for_each(|kind| out.text(kind.as_str()));
    out.text("signer");
    out.bytes(&signer.0);
    out.text("parents");
    cids(&mut out, &link.parents);
    out.text("session");
    out.bytes(session.as_bytes());
    out.into_bytes()
}

fn cids(out: &mut Writer, cids: &[Cid]) {
    out.array(cids.len());
    cids.iter().for_each(|cid| out.bytes(&cid_bytes(cid)));
}

/// Reads an entry and checks its signature: the first thing to do with one.
///
/// # Errors
/// If it is malformed, or not signed by a key that `trusted` trusts.
pub fn read(block: &Block, trusted: &KeyRing) -> Result<Entry> {
    let mut from = Reader::new(&block.bytes, WHAT);
    from.map_of(2)?;
    from.key("sig")?;
    let signature: [u8; SIGNATURE] = from.byte_array()?;
    from.key("header")?;
    let bytes = from.bytes()?;
    from.end()?;
    let header = decode(bytes)?;
    trusted.check(Purpose::Entry, &header.signer, bytes, &signature)?;
    Ok(Entry { cid: block.cid, header })
}

fn decode(bytes: &[u8]) -> Result<Header> {
    let mut from = Reader::new(bytes, "journal entry's header");
    let fields = from.map()?;
    from.key("v")?;
    match from.uint()? {
        FORMAT if fields == 10 => {}
        FORMAT => return Err(from.fault("fields are missing or unknown")),
        format => return Err(Error::Newer { what: WHAT, format }),
    }
    from.key("key")?;
    let key = SealId(from.byte_array()?);
    from.key("seq")?;
    let seq = from.uint()?;
    from.key("body")?;
    let body = read_cids(&mut from, 1, chunks_of(MAX_BODY) as usize, RAW)?;
    from.key("prev")?;
    let prev = from.option(|from| entry_cid(from))?;
    from.key("agent")?;
    let agent = AgentId::from_bytes(from.byte_array()?);
    from.key("kinds")?;
    let mut kinds = Vec::new();
    for _ in 0..from.array()? {
        let name = from.text()?;
        let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        kinds.push(kind.ok_or_else(|| from.fault("an event of unknown kind"))?);
    }
    from.key("signer")?;
    let signer = KeyId(from.byte_array()?);
    from.key("parents")?;
    let parents = read_cids(&mut from, 0, MAX_PARENTS, DAG_CBOR)?;
    from.key("session")?;
    let session = SessionId::from_bytes(from.byte_array()?);
    from.end()?;
    let link = Link { agent, seq, prev, parents };
    check_link(&link, kinds.iter().copied(), kinds.len()).map_err(Error::Mismatch)?;
    Ok(Header { link, session, key, kinds, body, signer })
}

fn entry_cid(from: &mut Reader<'_>) -> Result<Cid> {
    let cid = read_cid(from)?;
    if cid.codec() == DAG_CBOR {
        Ok(cid)
    } else {
        Err(from.fault("the CID of an entry is expected"))
    }
}

fn read_cids(from: &mut Reader<'_>, least: usize, most: usize, codec: u64) -> Result<Vec<Cid>> {
    let count = from.array()?;
    if !(least..=most).contains(&count) {
        return Err(from.fault("a number of CIDs that cannot be"));
    }
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let cid = read_cid(from)?;
        if cid.codec() != codec {
            return Err(from.fault("a CID of another kind of block"));
        }
        out.push(cid);
    }
    Ok(out)
}

/// The events of an entry, without contents that are stored beside its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The events. Each file and artefact that was not loaded is empty here.
    pub events: Vec<Event>,
    /// The contents stored beside the body.
    pub blobs: Vec<BlobRef>,
}

/// Opens an entry without loading its files and artefacts.
///
/// # Errors
/// Those of `get`, and if the body is missing, does not open, or contradicts the header.
pub fn outline<E: From<Error>>(
    entry: &Entry,
    sealer: &Sealer,
    get: &mut dyn FnMut(&Cid) -> std::result::Result<Option<Bytes>, E>,
) -> std::result::Result<Outline, E> {
    open_some(entry, sealer, &mut |_| false, get)
}

/// Opens an entry with those of its files and artefacts that are wanted.
///
/// # Errors
/// As [`outline`], and if such a content is missing or does not open.
pub fn open_some<E: From<Error>>(
    entry: &Entry,
    sealer: &Sealer,
    wanted: &mut dyn FnMut(&BlobRef) -> bool,
    get: &mut dyn FnMut(&Cid) -> std::result::Result<Option<Bytes>, E>,
) -> std::result::Result<Outline, E> {
    let plain = body(entry, sealer, get)?;
    let mut blobs = Vec::new();
    let events = body::decode(&plain, &mut |blob: &BlobRef| {
        blobs.push(blob.clone());
        // Without its space the parameters make no sense.
        let load = blob.kind == BlobKind::Space || wanted(blob);
        if load { blob.load(sealer, get).map(Some) } else { Ok(None) }
    })?;
    agrees(entry, &events)?;
    Ok(Outline { events, blobs })
}

/// Opens an entry with all its contents.
///
/// # Errors
/// As [`outline`], and if a content is missing or does not open.
pub fn open<E: From<Error>>(
    entry: &Entry,
    sealer: &Sealer,
    get: &mut dyn FnMut(&Cid) -> std::result::Result<Option<Bytes>, E>,
) -> std::result::Result<Vec<Event>, E> {
    Ok(open_some(entry, sealer, &mut |_| true, get)?.events)
}

fn body<E: From<Error>>(
    entry: &Entry,
    sealer: &Sealer,
    get: &mut dyn FnMut(&Cid) -> std::result::Result<Option<Bytes>, E>,
) -> std::result::Result<Vec<u8>, E> {
    let header = &entry.header;
    if header.session != sealer.session() || header.key != sealer.id() {
        return Err(Error::WrongKey { what: WHAT }.into());
    }
    Ok(sealer.open_blocks(BlobKind::Body, &blocks(&header.body, get)?)?)
}

fn agrees(entry: &Entry, events: &[Event]) -> Result<()> {
    if !events.iter().map(Event::kind).eq(entry.header.kinds.iter().copied()) {
        let why = "the events of an entry are not of the kinds that its header names";
        return Err(Error::Mismatch(why.to_owned()));
    }
    if let Some(Event::Proposed(proposed)) = events.first()
        && proposed.parents.len() != entry.header.link.parents.len()
    {
        let why = "an agent has another number of parents than its header links";
        return Err(Error::Mismatch(why.to_owned()));
    }
    Ok(())
}
