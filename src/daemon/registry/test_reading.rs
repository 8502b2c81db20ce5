//! Pages of lineage, journals, genomes, checks and exports.

use std::{collections::BTreeSet, io::Cursor as Bytes, sync::Arc};

use bytes::Bytes as Content;

use super::{
    Registry,
    fixture::{
        IN_MEMORY, ON_DISK, agent, family, id, open, run_id, session_id, shred, space, store,
        with_run,
    },
    journal::{Filter, Of},
    model::Finished,
};
use crate::{
    code::Code,
    domain::{
        genome::{File, FilePath, Genome},
        id::AgentId,
        journal::{Event, EventKind},
        lifecycle::Verdict,
    },
    provenance::{digest::sha256, export::Export},
};

/// All pages of a walk.
async fn walk(registry: &Registry, of: AgentId, up: bool, limit: usize) -> Vec<AgentId> {
    let (mut found, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let page = if up {
            registry.ancestors(of, &cursor, limit).await.unwrap()
        } else {
            registry.descendants(of, &cursor, limit).await.unwrap()
        };
        assert!(page.agents.len() <= limit);
        found.extend(page.agents.iter().map(|agent| agent.id));
        cursor = page.cursor;
        if cursor.is_empty() {
            return found;
        }
    }
}

/// An agent of some generation with a file, an artefact and a failed evaluation.
fn with_files(slot: (u64, u32), content: &[u8]) -> Finished {
    let mut finished = agent(slot, &[], None);
    let file = File { bytes: Content::copy_from_slice(content), executable: true };
    let files = [(FilePath::new("src/main.py").unwrap(), file)].into_iter().collect();
    finished.proposed.genome =
        Genome { files: Arc::new(files), params: Arc::from([0.5, 0.5]), ..Genome::default() };
    let artifacts = &mut finished.evaluated.evaluation.artifacts;
    artifacts.insert("stderr".to_owned(), Content::from(vec![b'e'; 1000]));
    finished
}

#[tokio::test]
async fn ancestors_and_descendants_come_once_each_whatever_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(30, 7)).await;
    let of = (12, 3);
    let mut up = BTreeSet::from([of]);
    let mut down = BTreeSet::from([of]);
    for one in family(30, 7).into_iter().flatten().rev() {
        let slot = (one.proposed.generation, one.proposed.slot);
        if up.contains(&slot) {
            let parents = one.proposed.parents.iter();
            up.extend(parents.map(|p| {
                (0..7)
                    .find_map(|i| {
                        let slot = (slot.0 - 1, i);
                        (id(slot) == *p).then_some(slot)
                    })
                    .unwrap()
            }));
        }
    }
    for one in family(30, 7).into_iter().flatten() {
        let known = |parent: &AgentId| down.iter().any(|slot| id(*slot) == *parent);
        if one.proposed.parents.iter().any(known) {
            down.insert((one.proposed.generation, one.proposed.slot));
        }
    }
    for limit in [1, 3, 10, 1000] {
        for (is_up, expected) in [(true, &up), (false, &down)] {
            let found = walk(&registry, id(of), is_up, limit).await;
            assert_eq!(found.len(), expected.len(), "each once");
            assert_eq!(found[0], id(of));
            let found: BTreeSet<_> = found.into_iter().collect();
            assert_eq!(found, expected.iter().map(|slot| id(*slot)).collect());
        }
    }
    let page = registry.tree(run_id(9), &[], 50).await.unwrap();
    let rest = registry.tree(run_id(9), &page.cursor, 1000).await.unwrap();
    assert_eq!((page.agents.len(), rest.agents.len(), rest.cursor.len()), (50, 160, 0));
    let odd = registry.ancestors(id(of), &[9, 9], 10).await.unwrap_err();
    assert_eq!(odd.code(), Code::InvalidInput);
    let none = registry.ancestors(id((99, 0)), &[], 10).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
}

#[tokio::test]
async fn a_genome_comes_back_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    let run = Some(with_run(&registry).await);
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let batch = vec![with_files((0, 0), &large), with_files((0, 1), &large)];
    let genome = batch[0].proposed.genome.clone();
    registry.submit(run, session_id(), batch).await.unwrap().await.unwrap();
    let (found, found_space) = registry.genome(id((0, 1))).await.unwrap();
    assert_eq!((found, found_space), (genome, space()));
    // Equal files are stored once.
    let blocks = registry.stores().cold.check(1).await.unwrap();
    assert!(blocks.bytes < 3_200_000, "{blocks:?}");
    assert_eq!(registry.verify_all().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn journals_are_filtered_by_kind_verdict_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = with_run(&registry).await;
    let mut batches = family(5, 6);
    batches.push(vec![with_files((5, 0), b"print(1)")]);
    batches[2][4].judged.verdict = Verdict::Champion;
    batches[2][4].evaluated.at_ms += 10_000;
    store(&registry, batches).await;
    let all = registry.journal(Of::Run(run), Filter::default(), &[], 1000).await.unwrap();
    assert_eq!((all.entries.len(), all.cursor.len()), (31, 0));

    let champions = Filter { verdicts: vec![Verdict::Champion], ..Filter::default() };
    let found = registry.journal(Of::Run(run), champions, &[], 1000).await.unwrap();
    let agents: Vec<_> = found.entries.iter().map(|one| one.entry.header.link.agent).collect();
    assert_eq!(agents, [id((2, 4))]);

    let late = Filter { since_ms: 1_700_000_001_000, ..Filter::default() };
    let found = registry.journal(Of::Run(run), late, &[], 1000).await.unwrap();
    assert_eq!(found.entries.len(), 1);

    let kind = Filter { kinds: vec![EventKind::Evaluated], ..Filter::default() };
    let (mut seen, mut cursor) = (0, Vec::new());
    loop {
        let page = registry.journal(Of::Run(run), kind.clone(), &cursor, 4).await.unwrap();
        seen += page.entries.len();
        for entry in &page.entries {
            let events = entry.events.as_ref().unwrap();
            assert!(matches!(events.as_slice(), [Event::Evaluated(_)]), "{events:?}");
        }
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 31);

    let one = registry.journal(Of::Agent(id((5, 0))), Filter::default(), &[], 1).await.unwrap();
    let events = one.entries[0].events.as_ref().unwrap();
    let expected = with_files((5, 0), b"print(1)");
    assert_eq!(events[1], Event::Evaluated(expected.evaluated));
}

#[tokio::test]
async fn what_is_sound_verifies_and_an_export_verifies_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(10, 4)).await;
    let of = id((9, 2));
    let checked = registry.verify_agent(of).await.unwrap();
    assert_eq!((checked.faults.len(), checked.contents), (0, true), "{checked:?}");
    assert_eq!(checked.agents, walk(&registry, of, true, 100).await.len() as u64);
    let all = registry.verify_all().await.unwrap();
    assert_eq!((all.agents, all.entries, all.contents), (40, 40, true));
    assert_eq!(all.faults, Vec::<String>::new());

    for disclose in [false, true] {
        let mut pieces = registry.export(of, disclose).await.unwrap();
        let mut file = Vec::new();
        while let Some(piece) = pieces.recv().await {
            file.extend_from_slice(&piece.unwrap());
        }
        let mut export = Export::open(Bytes::new(file), registry.ring()).unwrap();
        let disclosed: Option<_> = export.sealer(session_id());
        assert_eq!(disclosed.is_some(), disclose);
        let report = export.verify(&mut |_| disclosed.clone()).unwrap();
        assert_eq!(report.agents, checked.agents);
        assert_eq!(report.opened == report.entries, disclose);
    }
}

#[tokio::test]
async fn without_its_key_nothing_of_a_session_can_be_read_but_its_chain_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = with_run(&registry).await;
    store(&registry, family(3, 4)).await;
    shred(&registry).await;
    assert_eq!(registry.load_run(run).await.unwrap_err().code(), Code::Denied);
    assert_eq!(registry.genome(id((1, 1))).await.unwrap_err().code(), Code::Denied);
    let page = registry.journal(Of::Run(run), Filter::default(), &[], 10).await.unwrap();
    assert!(page.entries.iter().all(|entry| entry.events.is_none()));
    let checked = registry.verify_agent(id((2, 0))).await.unwrap();
    let checked = (checked.faults, checked.contents, checked.shredded);
    assert_eq!(checked, (vec![], false, 1));
    let all = registry.verify_all().await.unwrap();
    assert_eq!((all.faults.len(), all.contents, all.agents), (0, false, 12), "{all:?}");
    assert_eq!(all.shredded, 1);
}

#[tokio::test]
async fn nothing_secret_stands_in_clear_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = with_run(&registry).await;
    let secret = b"a very secret prompt";
    let batch = vec![with_files((0, 0), secret)];
    registry.submit(Some(run), session_id(), batch).await.unwrap().await.unwrap();
    registry.save_checkpoint(run, 1, b"a very secret state").await.unwrap();
    registry.set_context(session_id(), "a very secret note").await.unwrap();
    let mut blob = registry
        .store_blob(session_id(), sha256(secret), secret.len() as u64, "very secret weights")
        .await
        .unwrap();
    blob.write(secret).await.unwrap();
    blob.finish().await.unwrap();
    registry.close().await;
    let (mut folders, mut files) = (vec![dir.path().to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in ["very secret", "secret spec", "main.py", "stderr"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "“{secret}” is in {}", path.display());
            }
        }
    }
    assert!(files >= 4);
}
