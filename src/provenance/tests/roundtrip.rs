//! What is written is read again, and shared contents are stored once.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cid::Cid;

use crate::{
    domain::{
        genome::{Genome, Kind, Param, Space},
        journal::Event,
        lifecycle::Verdict,
    },
    provenance::{
        block::MAX_BLOCK,
        entry::{self, Keys},
        error::Error,
        manifest::genome_digest,
    },
};

use super::fixture::*;

type Store = HashMap<Cid, Bytes>;

fn store(written: &entry::Written) -> Store {
    written.blocks().map(|block| (block.cid, block.bytes.clone())).collect()
}

fn getter(store: &Store) -> impl FnMut(&Cid) -> Result<Option<Bytes>, Error> {
    |cid| Ok(store.get(cid).cloned())
}

#[test]
fn an_entry_reads_as_it_was_written() {
    let parents = [agent(0, 1), agent(0, 2)];
    let heads: Vec<_> = parents
        .iter()
        .map(|parent| write(&first(*parent, vec![]), &life(*parent, &[], 1.0, None)).unwrap())
        .map(|written| written.entry.cid)
        .collect();
    let events = life(agent(1, 2), &parents, 1.5, Some(0.5));
    let link = first(agent(1, 2), heads);
    let written = write(&link, &events).unwrap();
    assert_eq!(written.genome, Some(genome_digest(&genome(), &space()).unwrap()));
    let store = store(&written);
    assert!(store.values().all(|bytes| bytes.len() <= MAX_BLOCK));

    let entry = entry::read(&written.entry, &ring()).unwrap();
    assert_eq!(entry.header.link, link);
    assert_eq!(entry::open(&entry, &sealer(), &mut getter(&store)).unwrap(), events);

    let outline = entry::outline(&entry, &sealer(), &mut getter(&store)).unwrap();
    let names: Vec<_> = outline.blobs.iter().map(|blob| blob.name.as_str()).collect();
    assert_eq!(names, ["main.py", "trace"]);
    let loaded = outline.blobs[0].load(&sealer(), &mut getter(&store)).unwrap();
    assert_eq!(loaded, "x = 1\n".repeat(100));
}

#[test]
fn later_entries_follow_the_first() {
    let own = agent(0, 0);
    let written = write(&first(own, vec![]), &life(own, &[], 1.0, None)).unwrap();
    let link = entry::Link { agent: own, seq: 1, prev: Some(written.entry.cid), parents: vec![] };
    let events = [evaluated(1.25), judged(Verdict::Scored, None)];
    let next = write(&link, &events).unwrap();
    let entry = entry::read(&next.entry, &ring()).unwrap();
    assert_eq!(entry.header.link, link);
    assert_eq!(entry::open(&entry, &sealer(), &mut getter(&store(&next))).unwrap(), events);
}

#[test]
fn an_agent_of_parameters_alone_is_two_blocks() {
    let own = agent(0, 0);
    let genome = Genome { params: Arc::from([1.0, -0.0, 0.0]), ..Genome::default() };
    let written = write(&first(own, vec![]), &[proposed(own, &[], genome, space())]).unwrap();
    assert_eq!(written.blocks().count(), 2);
}

#[test]
fn equal_contents_are_stored_once() {
    let (signer, sealer) = (signer(), sealer());
    let keys = Keys { signer: &signer, sealer: &sealer };
    let own = agent(0, 0);
    let once = write(&first(own, vec![]), &life(own, &[], 1.0, None)).unwrap();
    assert_eq!(once.blobs.len(), 2);
    let index: HashMap<_, Vec<_>> = once
        .blobs
        .iter()
        .map(|blob| (blob.mac, blob.blocks.iter().map(|block| block.cid).collect()))
        .collect();
    let own = agent(0, 1);
    let events = life(own, &[], 1.0, None);
    let known = &mut |mac: &[u8; 32]| index.get(mac).cloned();
    let again = entry::write(keys, &first(own, vec![]), &events, &mut salts(), known).unwrap();
    assert!(again.blobs.is_empty());
    let mut all = store(&once);
    all.extend(store(&again));
    let entry = entry::read(&again.entry, &ring()).unwrap();
    assert_eq!(entry::open(&entry, &sealer, &mut getter(&all)).unwrap(), events);
}

#[test]
fn a_large_space_and_a_large_body_take_as_many_blocks_as_they_need() {
    let param = |i| Param {
        name: format!("x{i}"),
        kind: Kind::Real { min: 0.0, max: 1.0, log: false },
        init: None,
    };
    let space = Arc::new(Space { params: (0..120_000).map(param).collect() });
    let genome = Genome { params: vec![0.5; 120_000].into(), ..Genome::default() };
    let own = agent(0, 0);
    let events = [proposed(own, &[], genome, space)];
    let written = write(&first(own, vec![]), &events).unwrap();
    assert_eq!((written.body.len(), written.blobs.len()), (2, 1));
    assert!(written.blobs[0].blocks.len() > 1);
    let entry = entry::read(&written.entry, &ring()).unwrap();
    let store = store(&written);
    assert_eq!(entry::open(&entry, &sealer(), &mut getter(&store)).unwrap(), events);
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let own = agent(0, 0);
    let link = first(own, vec![]);
    let events = |bad: f64| life(own, &[], bad, None);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(write(&link, &events(bad)), Err(Error::NotFinite { .. })));
        let genome = Genome { params: Arc::from([1.0, bad, 0.0]), ..genome() };
        let event = proposed(own, &[], genome, space());
        assert!(matches!(write(&link, &[event]), Err(Error::NotFinite { .. })));
    }
    for params in [&[1.5, 0.0, 0.0][..], &[1.0, 0.0, 2.0], &[1.0, 0.0, -1.0], &[1.0, 0.0]] {
        let genome = Genome { params: params.into(), ..genome() };
        let event = proposed(own, &[], genome, space());
        assert!(matches!(write(&link, &[event]), Err(Error::Invalid(_))));
    }
    let later = entry::Link { seq: 1, ..link.clone() };
    assert!(matches!(write(&later, &[evaluated(1.0)]), Err(Error::Invalid(_))));
    assert!(matches!(write(&link, &[evaluated(1.0)]), Err(Error::Invalid(_))));
    assert!(matches!(write(&link, &[]), Err(Error::Invalid(_))));
    let orphan = [proposed(own, &[agent(0, 5)], genome(), space())];
    assert!(matches!(write(&link, &orphan), Err(Error::Invalid(_))));
    let many: Vec<Event> = life(own, &[], 1.0, None);
    let twice = [many.clone(), many].concat();
    assert!(matches!(write(&link, &twice), Err(Error::Invalid(_))));
}
