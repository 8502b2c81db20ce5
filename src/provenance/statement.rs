//! The signed statement of an export: what is in it, and whose keys signed it over time.
//!
//! The root block is DAG-CBOR `{sig, statement}` like a journal entry. Its lists of heads
//! and of blocks stand in pages, blocks of their own, which the statement names: so that a
//! journal without its tail, a block left out, and one put in are found without any key.

use cid::Cid;

use crate::domain::id::{AgentId, SessionId};

use super::{
    block::{Block, CID_LEN, DAG_CBOR, MAX_BLOCK, read_cid, write_cid},
    cbor::{Reader, Writer},
    error::{Error, Result},
    seal::SessionKey,
    sign::{KeyId, KeyRing, PublicKey, Purpose, SIGNATURE, Signer},
};

/// The number of this format.
pub const FORMAT: u64 = 1;
/// The most items of a page, so that it stays below a block's size.
const PAGE: usize = 16_384;
/// The most pages of a list: its names fill at most a third of the statement's block.
const MAX_PAGES: usize = 8_192;
/// The most agents, keys or sessions that a statement names.
const MAX_NAMED: usize = 1_024;
const WHAT: &str = "export's statement";

/// A signing key, and when it was in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningKey {
    /// The key.
    pub public: PublicKey,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Until when; none for the one in use.
    pub until_ms: Option<u64>,
}

/// What the exporter states and signs.
#[derive(Debug, Clone)]
pub struct Statement {
    /// When it was made, in milliseconds since the Unix epoch. It orders nothing.
    pub at_ms: u64,
    /// The signing keys, past and present, that the signer vouches for.
    pub keys: Vec<SigningKey>,
    /// The pages of the heads.
    heads: Vec<Cid>,
    /// The agents that were asked for; empty: all whose heads are in it.
    pub agents: Vec<AgentId>,
    /// The pages of the blocks.
    blocks: Vec<Cid>,
    /// The fingerprint of the key that signed it.
    pub signer: KeyId,
    /// The keys of the sessions that the user chose to disclose.
    pub disclosed: Vec<(SessionId, SessionKey)>,
}

/// What a new statement says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub at_ms: u64,
    pub keys: &'a [SigningKey],
    pub agents: &'a [AgentId],
    pub disclosed: &'a [(SessionId, SessionKey)],
    pub heads: &'a [(AgentId, Cid)],
    pub blocks: &'a [Cid],
}

/// Writes a statement and its pages, the statement first.
pub(super) fn write(signer: &Signer, content: &Content<'_>) -> Result<Vec<Block>> {
    if !vouches(content.keys, &signer.id()) {
        let why = "the signer's own key is not among the signing keys that it vouches for";
        return Err(Error::Invalid(why.to_owned()));
    }
    let heads = content.heads.chunks(PAGE).map(|page| {
        page_of(page, |out, (agent, cid)| {
            out.array(2);
            out.bytes(agent.as_bytes());
            write_cid(out, cid);
        })
    });
    let heads: Vec<_> = heads.collect();
    let blocks = content.blocks.chunks(PAGE).map(|page| page_of(page, write_cid));
    let blocks: Vec<_> = blocks.collect();
    for (what, count, limit) in [
        ("the list of pages of heads", heads.len(), MAX_PAGES),
        ("the list of pages of blocks", blocks.len(), MAX_PAGES),
        ("the list of agents asked for", content.agents.len(), MAX_NAMED),
        ("the list of signing keys", content.keys.len(), MAX_NAMED),
        ("the list of disclosed keys", content.disclosed.len(), MAX_NAMED),
    ] {
        if count > limit {
            return Err(Error::TooLarge { what, size: count as u64, limit: limit as u64 });
        }
    }
    let own = encode(content, signer.id(), &heads, &blocks);
    let signature = signer.sign(Purpose::Export, &own);
    let mut out = Writer::with_capacity(own.len() + SIGNATURE + 32);
    out.map(2);
    out.text("sig");
    out.bytes(&signature);
    out.text("statement");
    out.bytes(&own);
    let mut all = vec![Block::dag_cbor(out.into_bytes())];
    all.extend(heads.into_iter().chain(blocks));
    Ok(all)
}

fn vouches(keys: &[SigningKey], signer: &KeyId) -> bool {
    keys.iter().any(|key| key.public.id() == *signer)
}

fn page_of<T>(items: &[T], mut item: impl FnMut(&mut Writer, &T)) -> Block {
    let mut out = Writer::with_capacity(64 * items.len() + 8);
    out.array(items.len());
    items.iter().for_each(|each| item(&mut out, each));
    Block::dag_cbor(out.into_bytes())
}

fn encode(content: &Content<'_>, signer: KeyId, heads: &[Block], blocks: &[Block]) -> Vec<u8> {
    let mut out = Writer::with_capacity(512);
    let cids = |out: &mut Writer, pages: &[Block]| {
        out.array(pages.len());
        pages.iter().for_each(|page| write_cid(out, &page.cid));
    };
    out.map(8);
    out.text("v");
    out.uint(FORMAT);
    out.text("at");
    out.uint(content.at_ms);
    out.text("keys");
    out.array(content.keys.len());
    for key in content.keys {
        out.array(3);
        out.bytes(&key.public.0);
        out.uint(key.since_ms);
        match key.until_ms {
            Some(until) => out.uint(until),
            None => out.null(),
        }
    }
    out.text("heads");
    cids(&mut out, heads);
    out.text("agents");
    out.array(content.agents.len());
    content.agents.iter().for_each(|agent| out.bytes(agent.as_bytes()));
    out.text("blocks");
    cids(&mut out, blocks);
    out.text("signer");
    out.bytes(&signer.0);
    out.text("disclosed");
    out.array(content.disclosed.len());
    for (session, key) in content.disclosed {
        out.array(2);
        out.bytes(session.as_bytes());
        out.bytes(key.disclose());
    }
    out.into_bytes()
}

impl Statement {
    /// Reads the root block of an export and checks its signature. The keys that a trusted
    /// signer vouches for are added to `trusted`; the keys of any other are not.
    ///
    /// # Errors
    /// If it is malformed, or not signed by a key that `trusted` pins.
    pub fn read(block: &Block, trusted: &mut KeyRing) -> Result<Self> {
        let mut from = Reader::new(&block.bytes, WHAT);
        from.map_of(2)?;
        from.key("sig")?;
        let signature: [u8; SIGNATURE] = from.byte_array()?;
        from.key("statement")?;
        let own = from.bytes()?;
        from.end()?;
        let statement = decode(own)?;
        if !vouches(&statement.keys, &statement.signer) {
            let why = "the export's signer is not among the keys that it vouches for";
            return Err(Error::Mismatch(why.to_owned()));
        }
        for key in &statement.keys {
            trusted.learn(key.public)?;
        }
        trusted.check(Purpose::Export, &statement.signer, own, &signature)?;
        for key in &statement.keys {
            trusted.trust(key.public)?;
        }
        Ok(statement)
    }

    /// The pages that follow the statement, in order.
    pub(super) fn pages(&self) -> impl Iterator<Item = &Cid> {
        self.heads.iter().chain(&self.blocks)
    }

    /// The heads in the pages that [`Statement::pages`] names.
    pub(super) fn heads(&self, pages: &[Block]) -> Result<Vec<(AgentId, Cid)>> {
        let pages = &pages[..self.heads.len().min(pages.len())];
        let heads = items(pages, "page of heads", |from| {
            from.array_of(2)?;
            let agent = AgentId::from_bytes(from.byte_array()?);
            Ok((agent, read_cid(from)?))
        })?;
        if heads.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return Ok(heads);
        }
        Err(Error::Mismatch("the agents of an export are out of order".to_owned()))
    }

    /// The blocks in the pages that [`Statement::pages`] names.
    pub(super) fn blocks(&self, pages: &[Block]) -> Result<Vec<Cid>> {
        items(&pages[self.heads.len().min(pages.len())..], "page of blocks", read_cid)
    }
}

fn items<T>(
    pages: &[Block],
    what: &'static str,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut out = Vec::new();
    for (at, page) in pages.iter().enumerate() {
        let mut from = Reader::new(&page.bytes, what);
        let count = from.array()?;
        let last = at + 1 == pages.len();
        if count == 0 || count > PAGE || (count < PAGE && !last) {
            return Err(from.fault("a page that is not full"));
        }
        for _ in 0..count {
            out.push(item(&mut from)?);
        }
        from.end()?;
    }
    Ok(out)
}

fn decode(bytes: &[u8]) -> Result<Statement> {
    let mut from = Reader::new(bytes, WHAT);
    let fields = from.map()?;
    from.key("v")?;
    match from.uint()? {
        FORMAT if fields == 8 => {}
        FORMAT => return Err(from.fault("fields are missing or unknown")),
        format => return Err(Error::Newer { what: WHAT, format }),
    }
    from.key("at")?;
    let at_ms = from.uint()?;
    from.key("keys")?;
    let keys = list(&mut from, MAX_NAMED, |from| {
        from.array_of(3)?;
        let public = PublicKey(from.byte_array()?);
        Ok(SigningKey { public, since_ms: from.uint()?, until_ms: from.option(Reader::uint)? })
    })?;
    from.key("heads")?;
    let heads = list(&mut from, MAX_PAGES, page_cid)?;
    from.key("agents")?;
    let agents = list(&mut from, MAX_NAMED, |from| from.byte_array().map(AgentId::from_bytes))?;
    from.key("blocks")?;
    let blocks = list(&mut from, MAX_PAGES, page_cid)?;
    from.key("signer")?;
    let signer = KeyId(from.byte_array()?);
    from.key("disclosed")?;
    let disclosed = list(&mut from, MAX_NAMED, |from| {
        from.array_of(2)?;
        let session = SessionId::from_bytes(from.byte_array()?);
        Ok((session, SessionKey::new(from.byte_array()?)))
    })?;
    from.end()?;
    Ok(Statement { at_ms, keys, heads, agents, blocks, signer, disclosed })
}

fn page_cid(from: &mut Reader<'_>) -> Result<Cid> {
    let cid = read_cid(from)?;
    if cid.codec() == DAG_CBOR { Ok(cid) } else { Err(from.fault("the CID of a page is expected")) }
}

fn list<'a, T>(
    from: &mut Reader<'a>,
    most: usize,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = from.array()?;
    if count > most {
        return Err(from.fault("a list that is too long"));
    }
    (0..count).map(|_| item(from)).collect()
}

// A page fits a block, and a statement of the most of everything does.
const _: () = assert!(PAGE * (1 + 17 + 2 + CID_LEN) < MAX_BLOCK);
const _: () = assert!(2 * MAX_PAGES * (2 + CID_LEN) + MAX_NAMED * (53 + 17 + 52) + 512 < MAX_BLOCK);
