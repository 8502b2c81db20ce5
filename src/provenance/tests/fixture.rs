//! Agents and keys that are the same in every test.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    domain::{
        digest::Digest,
        evaluation::{Evaluation, Isolation, Metric, Usage},
        genome::{File, FilePath, Genome, Kind, Param, Space},
        id::{AgentId, RunId, SessionId, Slot},
        journal::{Evaluated, Event, Judged, Proposed},
        lifecycle::Verdict,
    },
    provenance::{
        entry::{self, Keys, Link, Written},
        error::Result,
        seal::{Sealer, SessionKey},
        sign::{KeyRing, Signer},
        verify::Source,
    },
};

pub fn run() -> RunId {
    RunId::new(1_700_000_000_000, [7; 10])
}

pub fn session() -> SessionId {
    SessionId::new(1_700_000_000_000, [9; 10])
}

pub fn agent(generation: u64, index: u32) -> AgentId {
    AgentId::in_run(run(), Slot { generation, index })
}

pub fn signer() -> Signer {
    Signer::from_seed(&[3; 32]).unwrap()
}

pub fn sealer() -> Sealer {
    Sealer::new(session(), &SessionKey::new([5; 32]))
}

pub fn ring() -> KeyRing {
    let mut ring = KeyRing::new();
    ring.trust(signer().public()).unwrap();
    ring
}

/// Salts that differ, the same in every run.
pub fn salts() -> impl FnMut() -> [u8; 32] {
    salts_from(0)
}

/// Salts that differ from those that begin elsewhere.
pub fn salts_from(mut next: u64) -> impl FnMut() -> [u8; 32] {
    move || {
        next += 1;
        let mut salt = [0xa5; 32];
        salt[..8].copy_from_slice(&next.to_be_bytes());
        salt
    }
}

pub fn space() -> Arc<Space> {
    let real = Kind::Real { min: -5.12, max: 5.12, log: false };
    let integer = Kind::Integer { min: -3, max: 1000, log: false };
    let choices = vec!["relu".to_owned(), "tanh".to_owned()];
    let param = |name: &str, kind, init| Param { name: name.to_owned(), kind, init };
    Arc::new(Space {
        params: vec![
            param("width", integer, Some(12.0)),
            param("rate", real, None),
            param("act", Kind::Categorical { choices }, Some(1.0)),
        ],
    })
}

pub fn file(bytes: impl Into<Bytes>) -> File {
    File { bytes: bytes.into(), executable: false }
}

pub fn genome() -> Genome {
    let files = BTreeMap::from([
        (FilePath::new("main.py").unwrap(), file("x = 1\n".repeat(100))),
        (FilePath::new("prompt/größe.txt").unwrap(), file("short")),
    ]);
    Genome {
        files: Arc::new(files),
        params: Arc::from([-2.0, 0.25, 1.0]),
        model: Some("small".into()),
        template: None,
    }
}

pub fn proposed(own: AgentId, parents: &[AgentId], genome: Genome, space: Arc<Space>) -> Event {
    let generation = own.millis() - run().millis();
    Event::Proposed(Proposed {
        run: Some(run()),
        generation,
        slot: 2,
        operators: vec!["uniform".to_owned()],
        seed: u64::MAX,
        parents: parents.to_vec(),
        genome,
        space,
    })
}

pub fn evaluated(fitness: f64) -> Event {
    let metrics = BTreeMap::from([
        ("combined_score".to_owned(), Metric::Number(fitness)),
        ("ok".to_owned(), Metric::Flag(true)),
        ("loss".to_owned(), Metric::Text("NaN".to_owned())),
    ]);
    let artifacts = BTreeMap::from([
        ("log".to_owned(), Bytes::from_static(b"fine\n")),
        ("trace".to_owned(), Bytes::from(vec![b'#'; 1000])),
    ]);
    let usage = Usage { wall_us: 1500, cpu_us: 1200, max_rss: 10 << 20 };
    let mut evaluation = Evaluation::of(vec![fitness]);
    evaluation = Evaluation { metrics, artifacts, usage, ..evaluation };
    evaluation.isolation = Isolation::Full;
    let suite = Digest([0x11; 32]);
    let at_ms = 1_700_000_000_500;
    Event::Evaluated(Evaluated { suite, seed: 42, evaluation, fitness: Some(fitness), at_ms })
}

pub fn judged(verdict: Verdict, delta: Option<f64>) -> Event {
    Event::Judged(Judged { verdict, delta })
}

/// The events of an agent's first entry.
pub fn life(own: AgentId, parents: &[AgentId], fitness: f64, delta: Option<f64>) -> Vec<Event> {
    vec![
        proposed(own, parents, genome(), space()),
        evaluated(fitness),
        judged(Verdict::Champion, delta),
    ]
}

pub fn first(agent: AgentId, parents: Vec<Cid>) -> Link {
    Link { agent, seq: 0, prev: None, parents }
}

/// Writes an entry of which no content is known.
pub fn write(link: &Link, events: &[Event]) -> Result<Written> {
    let (signer, sealer) = (signer(), sealer());
    let keys = Keys { signer: &signer, sealer: &sealer };
    entry::write(keys, link, events, &mut salts(), &mut |_| None)
}

/// Blocks and heads in memory.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub blocks: HashMap<Cid, Bytes>,
    pub heads: BTreeMap<AgentId, Cid>,
}

impl Source for World {
    type Error = std::convert::Infallible;

    fn get(&mut self, cid: &Cid) -> std::result::Result<Option<Bytes>, Self::Error> {
        Ok(self.blocks.get(cid).cloned())
    }

    fn head(&mut self, agent: AgentId) -> std::result::Result<Option<Cid>, Self::Error> {
        Ok(self.heads.get(&agent).copied())
    }
}

impl World {
    /// Writes an entry with these keys and stores it.
    pub fn commit(&mut self, keys: Keys<'_>, link: &Link, events: &[Event]) -> Cid {
        // Salts differ between entries, and are the same in every run.
        let mut salts = salts_from(self.blocks.len() as u64 * 1000);
        let written = entry::write(keys, link, events, &mut salts, &mut |_| None).unwrap();
        self.blocks.extend(written.blocks().map(|block| (block.cid, block.bytes.clone())));
        self.heads.insert(link.agent, written.entry.cid);
        written.entry.cid
    }

    /// Five entries of four agents in three generations, one journal of two entries.
    pub fn grow(keys: Keys<'_>) -> Self {
        let mut world = Self::default();
        let (a, b, c, d) = (agent(0, 0), agent(0, 1), agent(1, 0), agent(2, 0));
        let a0 =
            world.commit(keys, &first(a, vec![]), &small(a, &[], 1.0, Verdict::Champion, None));
        let b0 =
            world.commit(keys, &first(b, vec![]), &small(b, &[], 2.0, Verdict::Champion, None));
        let again = [plain(1.25), judged(Verdict::Scored, None)];
        let next = Link { agent: a, seq: 1, prev: Some(a0), parents: vec![] };
        let a1 = world.commit(keys, &next, &again);
        let events = small(c, &[a, b], 2.5, Verdict::Champion, Some(0.5));
        let c0 = world.commit(keys, &first(c, vec![a0, b0]), &events);
        let events = small(d, &[c, a], 1.5, Verdict::Scored, Some(-1.0));
        world.commit(keys, &first(d, vec![c0, a1]), &events);
        world
    }
}

/// An evaluation that reports nothing but its score.
pub fn plain(fitness: f64) -> Event {
    let evaluation = Evaluation::of(vec![fitness]);
    let suite = Digest([0x11; 32]);
    Event::Evaluated(Evaluated { suite, seed: 1, evaluation, fitness: Some(fitness), at_ms: 7 })
}

/// The events of a small agent: parameters, and one file that is stored beside the body.
pub fn small(
    own: AgentId,
    parents: &[AgentId],
    fitness: f64,
    verdict: Verdict,
    delta: Option<f64>,
) -> Vec<Event> {
    let files = BTreeMap::from([(FilePath::new("a.txt").unwrap(), file(vec![b'a'; 257]))]);
    let params = Arc::from([fitness]);
    let genome = Genome { files: Arc::new(files), params, ..Genome::default() };
    let kind = Kind::Real { min: 0.0, max: 9.0, log: false };
    let param = Param { name: "x".to_owned(), kind, init: None };
    let space = Arc::new(Space { params: vec![param] });
    vec![proposed(own, parents, genome, space), plain(fitness), judged(verdict, delta)]
}
