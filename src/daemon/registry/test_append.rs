//! Journals that go on after their agents were stored.

use std::{io::Cursor, path::Path};

use bytes::Bytes;
use futures_util::future::join_all;
use rusqlite::Connection;

use super::{
    Registry,
    fixture::{
        IN_MEMORY, ON_DISK, family, id, measured, open, run_id, session_id, shred, store, with_run,
    },
    journal::{Filter, JournalEntry, JournalPage, Of},
};
use crate::{
    code::Code,
    domain::{
        id::AgentId,
        journal::{Evaluated, Event, EventKind},
    },
    provenance::export::Export,
};

/// The places of an agent's entries, each with the seeds of its evaluations.
async fn seeds(registry: &Registry, of: AgentId) -> Vec<(u64, Vec<u64>)> {
    let page = registry.journal(Of::Agent(of), Filter::default(), &[], 1000).await.unwrap();
    page.entries.iter().map(seeds_of).collect()
}

fn seeds_of(entry: &JournalEntry) -> (u64, Vec<u64>) {
    let seed = |event: &Event| match event {
        Event::Evaluated(evaluated) => Some(evaluated.seed),
        _ => None,
    };
    let events = entry.events.as_ref().unwrap();
    (entry.entry.header.link.seq, events.iter().filter_map(seed).collect())
}

async fn is_sound(registry: &Registry, entries: u64) {
    let all = registry.verify_all().await.unwrap();
    assert_eq!((all.faults, all.entries), (vec![], entries));
}

#[tokio::test]
async fn evaluations_are_appended_and_the_score_stays() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(3, 4)).await;
    let of = id((1, 2));
    let before = registry.agent(of).await.unwrap();
    registry.append(of, vec![measured(5, 1.0), measured(6, 2.0)]).await.unwrap();
    registry.append(of, vec![measured(7, 3.0)]).await.unwrap();
    registry.append(of, Vec::new()).await.unwrap();
    let expected = [(0, vec![11]), (1, vec![5, 6]), (2, vec![7])];
    let check = async |registry: &Registry| {
        assert_eq!(seeds(registry, of).await, expected);
        let after = registry.agent(of).await.unwrap();
        assert_eq!((after.seq, after.fitness, after.verdict), (2, before.fitness, before.verdict));
        assert_eq!((after.delta, after.at_ms), (before.delta, before.at_ms));
        assert_eq!(registry.run(run_id(9)).await.unwrap().unwrap().agents, 12);
        // Its children link the entry that was its last when they were made.
        for checked in [of, id((2, 1)), id((2, 2))] {
            let checked = registry.verify_agent(checked).await.unwrap();
            assert_eq!((checked.faults.len(), checked.contents), (0, true), "{checked:?}");
            assert_eq!(checked.entries, checked.agents + 2);
        }
        is_sound(registry, 14).await;
    };
    check(&registry).await;
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    assert_eq!(registry.faults(), []);
    check(&registry).await;
    registry.append(of, vec![measured(8, 4.0)]).await.unwrap();
    assert_eq!(seeds(&registry, of).await[3], (3, vec![8]));
}

#[tokio::test]
async fn a_child_links_what_is_the_last_entry_when_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = Some(with_run(&registry).await);
    let mut batches = family(3, 2).into_iter();
    store(&registry, vec![batches.next().unwrap()]).await;
    // A score by another suite is none that a child is compared with.
    registry.append(id((0, 0)), vec![measured(1, 1e6)]).await.unwrap();
    let heads = registry.agent(id((0, 0))).await.unwrap().head;
    let second = registry.submit(run, session_id(), batches.next().unwrap()).await.unwrap();
    registry.append(id((0, 0)), vec![measured(2, 1e6)]).await.unwrap();
    second.await.unwrap();
    store(&registry, batches.collect()).await;
    let journal = registry.journal(Of::Agent(id((1, 0))), Filter::default(), &[], 9).await.unwrap();
    assert_eq!(journal.entries[0].entry.header.link.parents[0], heads);
    is_sound(&registry, 8).await;
    let checked = registry.verify_agent(id((2, 1))).await.unwrap();
    assert_eq!((checked.faults.len(), checked.agents, checked.entries), (0, 5, 7), "{checked:?}");
}

#[tokio::test]
async fn appends_at_once_all_end_up_in_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    let mut batches = family(40, 5).into_iter();
    store(&registry, vec![batches.next().unwrap()]).await;
    let of = id((0, 3));
    let append = |seed| registry.append(of, vec![measured(seed, 0.5)]);
    let appends = join_all((0..30).map(append));
    let (done, ()) = tokio::join!(appends, store(&registry, batches.collect()));
    done.into_iter().for_each(|done| done.unwrap());
    let found = seeds(&registry, of).await;
    let places: Vec<_> = found.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(places, (0..=30).collect::<Vec<_>>());
    let mut seen: Vec<_> = found.into_iter().skip(1).flat_map(|(_, seeds)| seeds).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    is_sound(&registry, 230).await;
}

#[tokio::test]
async fn an_export_holds_the_newest_heads() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(3, 2)).await;
    for of in [id((0, 1)), id((2, 0))] {
        registry.append(of, vec![measured(1, 0.5)]).await.unwrap();
    }
    let mut pieces = registry.export(id((2, 0)), true).await.unwrap();
    let mut file = Vec::new();
    while let Some(piece) = pieces.recv().await {
        file.extend_from_slice(&piece.unwrap());
    }
    let mut export = Export::open(Cursor::new(file), registry.ring()).unwrap();
    let report = export.verify(&mut |_| None).unwrap();
    assert_eq!((report.agents, report.entries, report.opened), (5, 7, 7));
    for of in [id((0, 1)), id((2, 0))] {
        assert_eq!(export.heads()[&of], registry.agent(of).await.unwrap().head);
    }
}

#[tokio::test]
async fn long_journals_come_in_pages_and_by_the_time_of_their_entries() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    let run = with_run(&registry).await;
    store(&registry, family(2, 3)).await;
    for seed in 0..5 {
        registry.append(id((0, 1)), vec![measured(seed, 0.5)]).await.unwrap();
    }
    registry.append(id((1, 2)), vec![measured(9, 0.5)]).await.unwrap();
    let pages = async |of, filter: Filter, limit| {
        let (mut found, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let page: JournalPage =
                registry.journal(of, filter.clone(), &cursor, limit).await.unwrap();
            assert!(page.entries.len() <= limit);
            found.extend(
                page.entries
                    .iter()
                    .map(|one| (one.entry.header.link.agent, one.entry.header.link.seq)),
            );
            cursor = page.cursor;
            if cursor.is_empty() {
                return found;
            }
        }
    };
    let whole = |slot, last: u64| (0..=last).map(move |seq| (id(slot), seq));
    let first = whole((0, 0), 0).chain(whole((0, 1), 5)).chain(whole((0, 2), 0));
    let second = whole((1, 0), 0).chain(whole((1, 1), 0)).chain(whole((1, 2), 1));
    let all: Vec<_> = first.chain(second).collect();
    let late = Filter { since_ms: 1_700_000_100_003, ..Filter::default() };
    let proposed = Filter { kinds: vec![EventKind::Proposed], ..Filter::default() };
    for limit in [1, 2, 5, 100] {
        assert_eq!(pages(Of::Run(run), Filter::default(), limit).await, all);
        let own: Vec<_> = whole((0, 1), 5).collect();
        assert_eq!(pages(Of::Agent(id((0, 1))), Filter::default(), limit).await, own);
        let found = pages(Of::Run(run), late.clone(), limit).await;
        assert_eq!(found, [(id((0, 1)), 4), (id((0, 1)), 5), (id((1, 2)), 1)]);
        assert_eq!(pages(Of::Run(run), proposed.clone(), limit).await.len(), 6);
    }
}

#[tokio::test]
async fn artefacts_of_the_same_name_stay_with_their_evaluations() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(1, 1)).await;
    let with_log = |seed, log: Vec<u8>| {
        let mut evaluated = measured(seed, 0.5);
        evaluated.evaluation.artifacts.insert("log".to_owned(), Bytes::from(log));
        evaluated
    };
    let all: Vec<Evaluated> =
        vec![with_log(1, vec![1; 1000]), with_log(2, vec![2; 5]), with_log(3, vec![3; 2000])];
    registry.append(id((0, 0)), all.clone()).await.unwrap();
    let page = registry.journal(Of::Agent(id((0, 0))), Filter::default(), &[], 9).await.unwrap();
    let expected: Vec<_> = all.into_iter().map(Event::Evaluated).collect();
    assert_eq!(page.entries[1].events.as_ref().unwrap(), &expected);
}

#[tokio::test]
async fn nothing_is_appended_to_what_is_not_there_or_cannot_be_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(1, 2)).await;
    let refused = registry.append(id((9, 9)), vec![measured(1, 0.5)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let mut endless = measured(1, 0.5);
    endless.fitness = Some(f64::INFINITY);
    let refused = registry.append(id((0, 0)), vec![endless]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidInput, "{refused}");
    registry.append(id((0, 0)), vec![measured(2, 0.5)]).await.unwrap();
    assert_eq!(seeds(&registry, id((0, 0))).await.len(), 2);
    shred(&registry).await;
    let refused = registry.append(id((0, 0)), vec![measured(3, 0.5)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Denied);
    // The chain still holds without its key.
    is_sound(&registry, 3).await;
}

/// A closed store whose first agent has a journal of three entries, the second of which is the
/// last that a child links.
async fn closed(dir: &Path) -> [cid::Cid; 3] {
    let registry = open(dir, &ON_DISK).await.unwrap();
    with_run(&registry).await;
    let mut batches = family(2, 2).into_iter();
    store(&registry, vec![batches.next().unwrap()]).await;
    let of = id((0, 0));
    let mut heads = vec![registry.agent(of).await.unwrap().head];
    for seed in [1, 2] {
        registry.append(of, vec![measured(seed, 0.5)]).await.unwrap();
        heads.push(registry.agent(of).await.unwrap().head);
        store(&registry, batches.next().into_iter().collect()).await;
    }
    is_sound(&registry, 6).await;
    registry.close().await;
    heads.try_into().unwrap()
}

#[tokio::test]
async fn a_journal_without_its_tail_is_found_whether_a_child_links_it_or_not() {
    for last in 0..2_usize {
        let dir = tempfile::tempdir().unwrap();
        let heads = closed(dir.path()).await;
        let head = crate::provenance::block::cid_bytes(&heads[last]);
        let sql = "UPDATE agent SET head = ?1, seq = ?2 WHERE node = 1";
        let warm = Connection::open(dir.path().join("warm.db")).unwrap();
        assert_eq!(warm.execute(sql, (head, last as i64)).unwrap(), 1);
        let registry = open(dir.path(), &ON_DISK).await.unwrap();
        let all = registry.verify_all().await.unwrap();
        let linked = last == 0;
        let expected = if linked { "does not link entries" } else { "belong to no agent" };
        assert!(all.faults[0].contains(expected), "{last}: {all:?}");
        let child = registry.verify_agent(id((1, 0))).await.unwrap();
        assert_eq!(!child.faults.is_empty(), linked, "{child:?}");
    }
}

#[tokio::test]
async fn an_appended_entry_that_is_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let heads = closed(dir.path()).await;
    let path = dir.path().join("cold/segment-000001.car");
    let sound = std::fs::read(&path).unwrap();
    for head in &heads[1..] {
        let mut bytes = sound.clone();
        let frame = crate::provenance::block::cid_bytes(head);
        // Its own frame; where others name it, the CID is inside of theirs.
        let frames = bytes.windows(frame.len()).enumerate().filter(|(_, part)| *part == frame);
        let at = frames.map(|(at, _)| at).min().unwrap();
        bytes[at + frame.len() + 20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let registry = open(dir.path(), &ON_DISK).await.unwrap();
        let one = registry.verify_agent(id((0, 0))).await.unwrap();
        assert!(one.faults[0].contains(&id((0, 0)).to_string()), "{one:?}");
        let all = registry.verify_all().await.unwrap();
        let name = id((0, 0)).to_string();
        assert!(all.faults.iter().any(|fault| fault.contains(&name)), "{all:?}");
        registry.close().await;
    }
}
