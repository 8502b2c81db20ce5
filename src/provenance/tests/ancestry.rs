//! Whole ancestries and exports: what is sound passes, everything else is named.

use std::{io::Cursor, sync::Arc};

use bytes::Bytes;
use cid::Cid;

use crate::{
    domain::{
        genome::Genome,
        id::{AgentId, SessionId},
        lifecycle::Verdict,
    },
    provenance::{
        block::Block,
        car::{self, CarError, CarReader},
        entry::{self, Keys, Link},
        error::Error,
        export::{self, Export, ImportError, Request},
        seal::{Sealer, SessionKey},
        sign::{KeyRing, Signer},
        statement::SigningKey,
        verify::{Fault, Report, VerifyError, verify},
    },
};

use super::fixture::*;

fn with_keys<T>(run: impl FnOnce(Keys<'_>) -> T) -> T {
    let (signer, sealer) = (signer(), sealer());
    run(Keys { signer: &signer, sealer: &sealer })
}

fn ours(session_: SessionId) -> Option<Arc<Sealer>> {
    (session_ == session()).then(|| Arc::new(sealer()))
}

fn nobody(_: SessionId) -> Option<Arc<Sealer>> {
    None
}

fn check(world: &World, of: AgentId) -> Result<Report, Box<Fault>> {
    let mut world = world.clone();
    verify(&mut world, &ring(), &mut ours, &[of], &mut |_| ()).map_err(|error| match error {
        VerifyError::Fault(fault) => fault,
        VerifyError::Source(never) => match never {},
    })
}

fn key(public: &Signer) -> SigningKey {
    SigningKey { public: public.public(), since_ms: 5, until_ms: None }
}

/// An export of the last agent's ancestry.
fn exported(world: &World, signer: &Signer, trusted: &KeyRing, disclose: bool) -> Vec<u8> {
    let disclosed = [(session(), SessionKey::new([5; 32]))];
    let keys = [key(signer)];
    let request = Request {
        agents: &[agent(2, 0)],
        at_ms: 1_700_000_009_000,
        keys: &keys,
        disclosed: if disclose { &disclosed } else { &[] },
    };
    let mut file = Vec::new();
    let mut out = |piece: Vec<u8>| {
        file.extend(piece);
        Ok::<_, std::convert::Infallible>(())
    };
    let mut world = world.clone();
    export::export(&mut world, trusted, &mut ours, signer, request, &mut out).unwrap();
    file
}

fn import(file: &[u8], pinned: &KeyRing) -> Result<Report, ImportError> {
    Export::open(Cursor::new(file), pinned)?.verify(&mut nobody)
}

fn pinned() -> KeyRing {
    let mut ring = KeyRing::new();
    ring.pin(signer().id());
    ring
}

#[test]
fn a_sound_ancestry_passes() {
    let world = with_keys(World::grow);
    let report = check(&world, agent(2, 0)).unwrap();
    assert_eq!((report.agents, report.entries, report.opened), (4, 5, 5));
    assert_eq!(report.blocks, world.blocks.len() as u64);
    let bytes = world.blocks.values().map(Bytes::len).sum::<usize>();
    assert_eq!(report.bytes, bytes as u64);
    let report = check(&world, agent(0, 0)).unwrap();
    assert_eq!((report.agents, report.entries), (1, 2));

    let mut sealed = world.clone();
    let report = verify(&mut sealed, &ring(), &mut nobody, &[agent(2, 0)], &mut |_| ()).unwrap();
    assert_eq!((report.entries, report.opened), (5, 0));
}

#[test]
fn blocks_are_visited_after_all_that_they_name() {
    let world = with_keys(World::grow);
    let mut order: Vec<Cid> = Vec::new();
    let visit = &mut |cid: &Cid| order.push(*cid);
    verify(&mut world.clone(), &ring(), &mut ours, &[agent(2, 0)], visit).unwrap();
    let mut known = World::default();
    for cid in order {
        assert!(known.blocks.insert(cid, world.blocks[&cid].clone()).is_none());
        if let Some((agent, _)) = world.heads.iter().find(|(_, head)| **head == cid) {
            known.heads.insert(*agent, cid);
            // Journals that grow later are not followed beyond what is known.
            if *agent != self::agent(1, 0) {
                check(&known, *agent).unwrap();
            }
        }
    }
}

#[test]
fn every_missing_or_changed_block_is_found() {
    let world = with_keys(World::grow);
    for cid in world.blocks.keys() {
        let mut less = world.clone();
        less.blocks.remove(cid);
        let fault = check(&less, agent(2, 0)).unwrap_err();
        assert_eq!(fault.error, Error::Missing(cid.to_string()));

        let mut other = world.clone();
        let mut bytes = other.blocks[cid].to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        other.blocks.insert(*cid, bytes.into());
        let fault = check(&other, agent(2, 0)).unwrap_err();
        assert!(matches!(fault.error, Error::Digest { .. }), "{fault}");
    }
}

#[test]
fn a_fault_names_agent_and_entry() {
    let mut world = with_keys(World::grow);
    let body = |world: &World| {
        let block = world.blocks[&world.heads[&agent(1, 0)]].clone();
        let found = Block::dag_cbor(block);
        entry::read(&found, &ring()).unwrap().header.body[0]
    };
    let cid = body(&world);
    world.blocks.remove(&cid);
    let fault = check(&world, agent(2, 0)).unwrap_err();
    assert_eq!((fault.agent, fault.seq), (Some(agent(1, 0)), Some(0)));
    let text = format!("agent {}, entry 0: the block {cid} is missing", agent(1, 0));
    assert_eq!(fault.to_string(), text);
}

#[test]
fn a_journal_that_lost_its_tail_is_refused() {
    let mut world = with_keys(World::grow);
    // The head goes back to the first entry, while a child links the second.
    let first = world.blocks.keys().find(|cid| {
        let block = Block::found(**cid, world.blocks[*cid].clone());
        entry::read(&block.unwrap(), &ring())
            .is_ok_and(|entry| entry.header.link == super::fixture::first(agent(0, 0), vec![]))
    });
    world.heads.insert(agent(0, 0), *first.unwrap());
    let fault = check(&world, agent(2, 0)).unwrap_err();
    assert_eq!((fault.agent, fault.seq), (Some(agent(0, 0)), Some(1)));
    assert!(fault.to_string().contains("goes on after"), "{fault}");

    world.heads.remove(&agent(0, 0));
    let fault = check(&world, agent(2, 0)).unwrap_err();
    assert!(fault.to_string().contains("is missing"), "{fault}");

    world.heads.insert(agent(0, 0), world.heads[&agent(0, 1)]);
    let fault = check(&world, agent(2, 0)).unwrap_err();
    assert!(fault.to_string().contains("another's"), "{fault}");
}

#[test]
fn contradictions_signed_by_the_right_key_are_refused() {
    type Change = fn(&mut World, Keys<'_>);
    let changes: [(&str, Change); 9] = [
        ("forks", |world, keys| {
            let first = first(agent(0, 0), vec![]);
            let head = world.heads[&agent(0, 0)];
            let events = small(agent(0, 0), &[], 3.0, Verdict::Champion, None);
            let fork = world.commit(keys, &first, &events);
            world.heads.insert(agent(0, 0), head);
            child(world, keys, &[(agent(0, 0), fork)], 3.5, Some(0.5));
        }),
        ("not the agents whose entries", |world, keys| {
            let head = world.heads[&agent(0, 1)];
            child(world, keys, &[(agent(0, 0), head)], 1.0, None);
        }),
        ("does not follow", |world, keys| {
            let prev = Some(world.heads[&agent(0, 1)]);
            let link = Link { agent: agent(2, 0), seq: 1, prev, parents: vec![] };
            world.commit(keys, &link, &[plain(1.0)]);
        }),
        ("does not follow", |world, keys| {
            let prev = Some(world.heads[&agent(2, 0)]);
            let link = Link { agent: agent(2, 0), seq: 2, prev, parents: vec![] };
            world.commit(keys, &link, &[plain(1.0)]);
        }),
        // Its own parent: that takes a second first entry.
        ("forks", |world, keys| {
            let head = world.heads[&agent(2, 0)];
            let events = small(agent(2, 0), &[agent(2, 0)], 1.0, Verdict::Champion, Some(-0.5));
            world.commit(keys, &first(agent(2, 0), vec![head]), &events);
        }),
        ("recorded difference", |world, keys| {
            let head = world.heads[&agent(0, 1)];
            child(world, keys, &[(agent(0, 1), head)], 2.5, Some(0.25));
        }),
        ("recorded difference", |world, keys| {
            let head = world.heads[&agent(0, 1)];
            child(world, keys, &[(agent(0, 1), head)], 2.5, None);
        }),
        ("verdict does not fit", |world, keys| {
            let head = world.heads[&agent(0, 1)];
            let events = small(agent(2, 0), &[agent(0, 1)], 2.5, Verdict::Scored, Some(0.5));
            world.commit(keys, &first(agent(2, 0), vec![head]), &events);
        }),
        ("as if it had a score", |world, keys| {
            let events = small(agent(2, 0), &[], 2.5, Verdict::Archived, None);
            world.commit(keys, &first(agent(2, 0), vec![]), &events);
        }),
    ];
    for (expected, change) in changes {
        let mut world = with_keys(World::grow);
        with_keys(|keys| change(&mut world, keys));
        let fault = check(&world, agent(2, 0)).unwrap_err();
        let text = fault.to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

/// Writes the last agent anew, as a child of these.
fn child(
    world: &mut World,
    keys: Keys<'_>,
    parents: &[(AgentId, Cid)],
    fitness: f64,
    delta: Option<f64>,
) {
    let (agents, heads): (Vec<_>, Vec<_>) = parents.iter().copied().unzip();
    let events = small(agent(2, 0), &agents, fitness, Verdict::Champion, delta);
    world.commit(keys, &first(agent(2, 0), heads), &events);
}

#[test]
fn a_chain_signed_by_a_stranger_is_refused() {
    let (stranger, sealer) = (Signer::from_seed(&[4; 32]).unwrap(), sealer());
    let forged = World::grow(Keys { signer: &stranger, sealer: &sealer });
    let fault = check(&forged, agent(2, 0)).unwrap_err();
    let signer = stranger.id().to_string();
    assert_eq!(fault.error, Error::Untrusted { what: "journal entry", signer: signer.clone() });

    let mut theirs = KeyRing::new();
    theirs.trust(stranger.public()).unwrap();
    let file = exported(&forged, &stranger, &theirs, true);
    assert_eq!(import(&file, &theirs).unwrap().opened, 5);
    let error = import(&file, &pinned()).unwrap_err();
    assert!(error.to_string().contains(&signer), "{error}");
}

#[test]
fn a_journal_cut_by_a_stranger_is_refused_though_its_entries_are_genuine() {
    // The second entry of agent(0, 0) is left out; every signature of an entry is ours.
    let mut world = with_keys(World::grow);
    let block = |cid: &Cid| Block::found(*cid, world.blocks[cid].clone()).unwrap();
    let last = entry::read(&block(&world.heads[&agent(0, 0)]), &ring()).unwrap();
    world.heads.insert(agent(0, 0), last.header.link.prev.unwrap());
    let stranger = Signer::from_seed(&[4; 32]).unwrap();
    let keys = [key(&signer()), key(&stranger)];
    let agents = &[agent(1, 0)];
    let request = Request { agents, at_ms: 1, keys: &keys, disclosed: &[] };
    let mut file = Vec::new();
    let out = &mut |piece: Vec<u8>| {
        file.extend(piece);
        Ok::<_, std::convert::Infallible>(())
    };
    export::export(&mut world, &ring(), &mut ours, &stranger, request, out).unwrap();
    let error = import(&file, &pinned()).unwrap_err();
    assert!(error.to_string().contains(&stranger.id().to_string()), "{error}");
}

#[test]
fn an_export_is_checked_offline() {
    let world = with_keys(World::grow);
    let file = exported(&world, &signer(), &ring(), true);
    let report = import(&file, &pinned()).unwrap();
    assert_eq!((report.agents, report.entries, report.opened), (4, 5, 5));
    // Without the session's key: “content not checked”.
    let file = exported(&world, &signer(), &ring(), false);
    let report = import(&file, &pinned()).unwrap();
    assert_eq!((report.agents, report.entries, report.opened), (4, 5, 0));
    let mut export = Export::open(Cursor::new(&file), &pinned()).unwrap();
    assert_eq!(export.verify(&mut ours).unwrap().opened, 5);
    assert_eq!(export.statement().agents, [agent(2, 0)]);
    assert_eq!(export.heads(), &world.heads);
    let error = import(&file, &KeyRing::new()).unwrap_err();
    assert!(error.to_string().contains("not trusted"), "{error}");
}

#[test]
fn an_earlier_key_counts_where_a_pinned_one_vouches_for_it() {
    let world = with_keys(World::grow);
    let later = Signer::from_seed(&[8; 32]).unwrap();
    let old = SigningKey { until_ms: Some(9), ..key(&signer()) };
    let mut pinned = KeyRing::new();
    pinned.pin(later.id());
    for (keys, fine) in [(vec![old, key(&later)], true), (vec![key(&later)], false)] {
        let mut file = Vec::new();
        let out = &mut |piece: Vec<u8>| {
            file.extend(piece);
            Ok::<_, std::convert::Infallible>(())
        };
        let agents = &[agent(2, 0)];
        let request = Request { agents, at_ms: 1, keys: &keys, disclosed: &[] };
        let mut world = world.clone();
        export::export(&mut world, &ring(), &mut ours, &later, request, out).unwrap();
        assert_eq!(import(&file, &pinned).is_ok(), fine);
        // The old key alone does not vouch for the new one.
        assert!(import(&file, &self::pinned()).is_err());
    }
}

#[test]
fn every_changed_byte_of_an_export_is_found() {
    let world = with_keys(World::grow);
    for disclose in [true, false] {
        let file = exported(&world, &signer(), &ring(), disclose);
        import(&file, &pinned()).unwrap();
        for at in 0..file.len() {
            for bits in [1 << (at % 8), 0xff] {
                let mut bad = file.clone();
                bad[at] ^= bits;
                let error = import(&bad, &pinned());
                assert!(error.is_err(), "byte {at} changed by {bits:#x} passes");
            }
        }
        for end in 0..file.len() {
            assert!(import(&file[..end], &pinned()).is_err(), "cut at {end} passes");
        }
        for more in [&b"\0"[..], b"\x01", &file[..], &file[59..]] {
            assert!(import(&[&file, more].concat(), &pinned()).is_err());
        }
    }
}

#[test]
fn a_block_left_out_or_moved_is_found_and_its_place_named() {
    let world = with_keys(World::grow);
    let file = exported(&world, &signer(), &ring(), false);
    let (mut reader, roots) = CarReader::new(&file[..]).unwrap();
    let mut framed = Vec::new();
    while let Some(next) = reader.next().unwrap() {
        framed.push(next);
    }
    let rebuilt = |order: &[usize]| {
        let mut out = car::header(&roots);
        for at in order {
            car::append(&mut out, &framed[*at].block);
        }
        out
    };
    let all: Vec<usize> = (0..framed.len()).collect();
    assert_eq!(rebuilt(&all), file);
    for at in 0..framed.len() {
        let mut order = all.clone();
        order.remove(at);
        let error = import(&rebuilt(&order), &pinned()).unwrap_err();
        let ImportError::Car(CarError::Fault { at: place, .. }) = error else { panic!("{error}") };
        assert_eq!(place, framed[at].at);
        let mut order = all.clone();
        order.swap(at, (at + 1) % framed.len());
        assert!(import(&rebuilt(&order), &pinned()).is_err());
    }
}

#[test]
fn an_export_of_something_damaged_is_not_made() {
    let mut world = with_keys(World::grow);
    let cid = *world.blocks.keys().min().unwrap();
    world.blocks.remove(&cid);
    let keys = [key(&signer())];
    let request = Request { agents: &[agent(2, 0)], at_ms: 1, keys: &keys, disclosed: &[] };
    let mut written = 0;
    let out = &mut |piece: Vec<u8>| {
        written += piece.len();
        Ok::<_, std::convert::Infallible>(())
    };
    export::export(&mut world, &ring(), &mut ours, &signer(), request, out).unwrap_err();
    assert_eq!(written, 0);
}

#[test]
fn deep_ancestries_need_no_deep_stack() {
    with_keys(|keys| {
        let mut world = World::default();
        let mut parent: Option<(AgentId, Cid)> = None;
        for generation in 0..3000 {
            let own = agent(generation, 0);
            let (parents, heads): (Vec<_>, Vec<_>) = parent.into_iter().unzip();
            let event = proposed(own, &parents, Genome::default(), Arc::default());
            parent = Some((own, world.commit(keys, &first(own, heads), &[event])));
        }
        assert_eq!(check(&world, agent(2999, 0)).unwrap().entries, 3000);
    });
}
