//! What every back end of the warm tier does, case by case: in memory, in a file, on a server.

use bytes::Bytes;

use super::{
    FRONT, Named, PAGE, Runs,
    fixture::{STORE, agent, each, going_on, group, id, new_run, new_session, run, session},
    rows::{
        BlobRow, Change, Direction, Group, NewAgent, NewHead, NewResult, NewSession, StopOverride,
    },
};
use crate::{
    code::Code,
    daemon::store::cold::Extent,
    domain::{
        id::{AgentId, RunId, SessionId},
        lifecycle::RunState,
    },
    provenance::block::Block,
};

#[tokio::test]
async fn agents_come_back_as_they_were_stored_and_the_run_counts_them() {
    each(async |warm| {
        let agents =
            vec![agent(1, &[], Some(-2.0)), agent(2, &[1], None), agent(13, &[2, 1], Some(3.5))];
        let extent = Extent { segment: 4, length: 1234 };
        warm.write(vec![group(agents.clone(), extent)]).await.unwrap();
        let rows = warm.rows();
        let mut found = rows.agents(vec![id(13), id(99), id(1)]).await.unwrap();
        found.sort_by_key(|row| row.node);
        assert_eq!(found.len(), 2);
        let (row, new) = (&found[1], &agents[2]);
        assert_eq!((row.node, row.id, row.session, row.run), (13, id(13), session(), Some(run())));
        assert_eq!((row.generation, row.slot, row.fitness), (1, 3, Some(3.5)));
        assert_eq!((row.head, row.segment, row.at_ms), (new.head, 4, 1013));
        assert_eq!((row.parents.clone(), row.genome), (vec![id(2), id(1)], new.genome));
        assert_eq!(row.operators, ["gaussian", "uniform"]);
        let row = rows.run(run()).await.unwrap().unwrap();
        assert_eq!(
            (row.agents, row.failed, row.generation, row.best),
            (3, 1, 1, Some((3.5, id(13))))
        );
        assert_eq!((row.seed, row.divisor, row.shown(3.0)), (u64::MAX, -0.5, -6.0));
        assert_eq!(rows.count().await.unwrap(), 3);
        let opened = rows.open([0; 16], 2).await.unwrap();
        assert_eq!((opened.store, opened.extents, opened.last), (STORE, vec![extent], 13));
    })
    .await;
}

#[tokio::test]
async fn changes_are_made_whole_or_not_at_all() {
    each(async |warm| {
        let extent = Extent { segment: 1, length: 10 };
        warm.write(vec![group(vec![agent(1, &[], Some(1.0))], extent)]).await.unwrap();
        let twice = vec![agent(2, &[1], Some(9.0)), agent(1, &[], Some(1.0))];
        let bad = vec![
            Change::SetRun(run(), RunState::Finished, "target".to_owned(), 5, None),
            group(twice, Extent { segment: 1, length: 20 }),
        ];
        assert_eq!(warm.write(bad).await.unwrap_err().code(), Code::Conflict);
        let rows = warm.rows();
        assert_eq!(rows.agents(vec![id(2)]).await.unwrap(), []);
        let row = rows.run(run()).await.unwrap().unwrap();
        assert_eq!((row.state, row.agents, row.best), (RunState::Running, 1, Some((1.0, id(1)))));
        assert_eq!(rows.open(STORE, 2).await.unwrap().extents, [extent]);
        // And the next one is made.
        let good = vec![agent(2, &[1], Some(9.0))];
        warm.write(vec![group(good, Extent { segment: 1, length: 20 })]).await.unwrap();
        assert_eq!(rows.agents(vec![id(2)]).await.unwrap()[0].operators.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn journals_go_on_one_entry_at_a_time() {
    each(async |warm| {
        let extent = |segment| Some(Extent { segment, length: 10 });
        let cid = |n: u8| Block::dag_cbor(vec![n]).cid;
        let next = |node, seq| NewHead { node, head: cid(seq), seq: seq.into() };
        let head = async || {
            let row = warm.rows().agents(vec![id(1)]).await.unwrap().pop().unwrap();
            (row.head, row.seq, row.segment, row.fitness)
        };
        // In the group of the agent itself, and twice.
        let agents = vec![agent(1, &[], Some(1.0)), agent(2, &[], None)];
        let appended = vec![next(1, 1), next(1, 2)];
        let group = Group { agents, appended, extent: extent(1), ..Group::default() };
        warm.write(vec![Change::Agents(group)]).await.unwrap();
        assert_eq!(head().await, (cid(2), 2, 1, Some(1.0)));
        // Nothing is left out, and nothing is replaced.
        for wrong in [next(1, 2), next(1, 4), next(3, 1)] {
            let appended = vec![next(2, 1), wrong];
            let group = Group { appended, extent: extent(2), ..Group::default() };
            let refused = warm.write(vec![Change::Agents(group)]).await.unwrap_err();
            assert_eq!(refused.code(), Code::Conflict);
        }
        assert_eq!(head().await, (cid(2), 2, 1, Some(1.0)));
        let group = Group { appended: vec![next(1, 3)], extent: extent(2), ..Group::default() };
        warm.write(vec![Change::Agents(group)]).await.unwrap();
        assert_eq!(head().await, (cid(3), 3, 2, Some(1.0)));
        assert_eq!(warm.rows().run(run()).await.unwrap().unwrap().agents, 2);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_what_is_not_there_is_refused() {
    each(async |warm| {
        let (no_run, nobody) = (RunId::new(9, [9; 10]), SessionId::new(9, [9; 10]));
        let changes = [
            Change::SetRun(no_run, RunState::Failed, String::new(), 0, None),
            Change::Checkpoint(no_run, 1, Bytes::new()),
            Change::Touch(nobody, 1),
            Change::Close(nobody, true, 1),
            Change::Context(nobody, Bytes::new()),
            Change::Shred(nobody),
            new_session(session(), 1),
            new_run(),
            going_on(no_run),
        ];
        for change in changes {
            let refused = warm.write(vec![change.clone()]).await.unwrap_err();
            assert_eq!(refused.code(), Code::Conflict, "{change:?}");
        }
        assert_eq!(warm.rows().run(no_run).await.unwrap(), None);
        assert_eq!(warm.rows().checkpoint(run()).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_agent_refers_only_to_what_is_there() {
    each(async |warm| {
        let one = Extent { segment: 1, length: 10 };
        warm.write(vec![group(vec![agent(5, &[], None)], one)]).await.unwrap();
        let wrong = [
            NewAgent { session: 2, ..agent(6, &[], None) },
            NewAgent { session: 2, run: None, ..agent(6, &[], None) },
            NewAgent { run: Some(2), ..agent(6, &[], None) },
            agent(7, &[5, 6], None),
            agent(7, &[7], None),
            agent(4, &[5], None),
            agent(5, &[], None),
            NewAgent { node: 8, ..agent(5, &[], None) },
        ];
        for agent in wrong {
            let two = Extent { segment: 1, length: 20 };
            let refused = warm.write(vec![group(vec![agent.clone()], two)]).await.unwrap_err();
            assert_eq!(refused.code(), Code::Conflict, "{agent:?}");
        }
        assert_eq!(warm.rows().count().await.unwrap(), 1);
        let opened = warm.rows().open(STORE, 2).await.unwrap();
        assert_eq!((opened.extents, opened.last), (vec![one], 5));
        let apart = NewAgent { run: None, ..agent(6, &[5], None) };
        warm.write(vec![group(vec![apart, agent(7, &[6], None)], one)]).await.unwrap();
        assert_eq!(warm.rows().count().await.unwrap(), 3);
        assert_eq!(warm.rows().run(run()).await.unwrap().unwrap().agents, 2);
    })
    .await;
}

#[tokio::test]
async fn no_page_is_longer_than_the_longest() {
    each(async |warm| {
        let count = PAGE as u64 + 2;
        let agent = |n| {
            let id = AgentId::new(n as u64, [7; 10]);
            NewAgent { id, ..agent(n, &[], None) }
        };
        let agents = (1..=count as i64).map(agent).collect();
        let mut changes = vec![group(agents, Extent { segment: 1, length: 1 })];
        for n in 100..100 + count {
            changes.push(new_session(SessionId::new(n, [1; 10]), n));
        }
        warm.write(changes).await.unwrap();
        let (rows, all) = (warm.rows(), usize::MAX);
        assert_eq!(rows.sessions(true, all).await.unwrap().len(), PAGE);
        assert_eq!(rows.agents_after(None, 0, all).await.unwrap().len(), PAGE);
        assert_eq!(rows.agents_after(Some(run()), 0, all).await.unwrap().len(), PAGE);
        for named in [Named::Agent, Named::Session] {
            assert_eq!(rows.find(named, [0; 16], [255; 16], all).await.unwrap().len(), PAGE);
        }
        let front = (1..=count as i64).collect();
        let walked = rows.walk(Direction::Down, front, all).await.unwrap();
        assert_eq!((walked.agents.len(), walked.frontier.len()), (PAGE, 2));
        // A replay says itself how many it takes at once.
        assert_eq!(rows.results(run(), 0, all).await.unwrap().len() as u64, count);
    })
    .await;
}

#[tokio::test]
async fn a_front_that_is_too_wide_is_refused() {
    each(async |warm| {
        let agents = vec![agent(1, &[], None), agent(2, &[1], None), agent(3, &[1], None)];
        warm.write(vec![group(agents, Extent { segment: 1, length: 1 })]).await.unwrap();
        let front = |from: usize, width: usize| (from..from + width).map(|n| n as i64).collect();
        // One is taken, and its children are there already; or they come.
        let taken = warm.rows().walk(Direction::Down, front(1, FRONT + 1), 1).await.unwrap();
        assert_eq!((taken.agents.len(), taken.frontier.len()), (1, FRONT));
        let mut wide: Vec<i64> = front(4, FRONT - 1);
        wide.push(1);
        let refused = warm.rows().walk(Direction::Down, wide, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::Exhausted);
        let up = (2 - FRONT as i64..=2).collect();
        assert_eq!(warm.rows().walk(Direction::Up, up, 1).await.unwrap().frontier.len(), FRONT);
        let up = (1 - FRONT as i64..=2).collect();
        let refused = warm.rows().walk(Direction::Up, up, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::Exhausted);
    })
    .await;
}

#[tokio::test]
async fn pages_rise_and_end() {
    each(async |warm| {
        let agents = (1..=25).map(|n| agent(n, &[], Some(n as f64))).collect();
        warm.write(vec![group(agents, Extent { segment: 1, length: 1 })]).await.unwrap();
        for of in [None, Some(run())] {
            let (mut found, mut after) = (Vec::new(), 0);
            loop {
                let page = warm.rows().agents_after(of, after, 7).await.unwrap();
                let Some(last) = page.last() else { break };
                after = last.node;
                found.extend(page.iter().map(|row| row.node));
            }
            assert_eq!(found, (1..=25).collect::<Vec<_>>());
        }
        let other = RunId::new(7, [7; 10]);
        assert_eq!(warm.rows().agents_after(Some(other), 0, 10).await.unwrap(), []);
        let results = warm.rows().results(run(), 20, 100).await.unwrap();
        let slots: Vec<_> =
            results.iter().map(|row| (row.slot.generation, row.slot.index)).collect();
        assert_eq!(slots, [(2, 1), (2, 2), (2, 3), (2, 4), (2, 5)]);
    })
    .await;
}

#[tokio::test]
async fn the_tree_is_walked_in_the_order_of_numbers() {
    each(async |warm| {
        let edges: [(i64, &[i64]); 6] =
            [(1, &[]), (2, &[1]), (3, &[1, 1]), (4, &[2, 3]), (5, &[1]), (6, &[4, 5])];
        let agents = edges.iter().map(|(n, parents)| agent(*n, parents, None)).collect();
        warm.write(vec![group(agents, Extent { segment: 1, length: 1 })]).await.unwrap();
        let walk = async |direction, from: i64, limit| {
            let (mut found, mut front) = (Vec::new(), vec![from]);
            while !front.is_empty() {
                let page = warm.rows().walk(direction, front, limit).await.unwrap();
                found.extend(page.agents.iter().map(|row| row.node));
                front = page.frontier;
            }
            found
        };
        for limit in [1, 2, 100] {
            assert_eq!(walk(Direction::Up, 6, limit).await, [6, 5, 4, 3, 2, 1]);
            assert_eq!(walk(Direction::Up, 4, limit).await, [4, 3, 2, 1]);
            assert_eq!(walk(Direction::Down, 2, limit).await, [2, 4, 6]);
            assert_eq!(walk(Direction::Down, 1, limit).await, [1, 2, 3, 4, 5, 6]);
        }
        let twins = warm.rows().agents(vec![id(3)]).await.unwrap();
        assert_eq!(twins[0].parents, [id(1), id(1)]);
    })
    .await;
}

#[tokio::test]
async fn sessions_runs_checkpoints_and_blobs_are_kept() {
    each(async |warm| {
        let rows = warm.rows();
        let other = SessionId::new(8, [8; 10]);
        warm.write(vec![
            new_session(other, 20),
            Change::Touch(session(), 30),
            Change::Context(other, Bytes::from_static(b"new")),
            Change::Close(other, true, 5),
        ])
        .await
        .unwrap();
        let list = rows.sessions(true, 10).await.unwrap();
        assert!(list.iter().all(|row| row.context.is_empty()), "{list:?}");
        let list: Vec<_> = list.iter().map(|row| (row.id, row.closed, row.used_ms)).collect();
        assert_eq!(list, [(session(), false, 30), (other, true, 20)]);
        assert_eq!(rows.sessions(false, 10).await.unwrap().len(), 1);
        assert_eq!(rows.sessions(true, 1).await.unwrap().len(), 1);
        assert_eq!(rows.session(other).await.unwrap().unwrap().context, "new");
        for _ in 0..2 {
            warm.write(vec![Change::Shred(other)]).await.unwrap();
        }
        assert_eq!(rows.session_key(other).await.unwrap(), None);
        assert!(rows.session_key(session()).await.unwrap().is_some());
        let list = rows.sessions(true, 10).await.unwrap();
        assert_eq!(list.iter().map(|row| row.shredded).collect::<Vec<_>>(), [false, true]);
        assert_eq!(rows.open(STORE, 2).await.unwrap().masters, [[4; 16]]);

        let stop = StopOverride { evaluations: Some(u64::MAX), ..StopOverride::default() };
        let set = Change::SetRun(run(), RunState::Stopped, "by hand".to_owned(), 9, Some(stop));
        let later = StopOverride { time: Some(1.5), ..StopOverride::default() };
        let resumed = Change::SetRun(run(), RunState::Running, String::new(), 9, Some(later));
        warm.write(vec![set, resumed]).await.unwrap();
        let row = rows.run(run()).await.unwrap().unwrap();
        assert_eq!((row.state, row.elapsed_ms, row.started_ms), (RunState::Running, 9, 77));
        assert_eq!((row.stop.evaluations, row.stop.time), (Some(u64::MAX), Some(1.5)));
        assert_eq!(rows.run_content(run()).await.unwrap().unwrap(), "sealed content");
        assert_eq!(rows.runs(Runs::Of(session()), 5).await.unwrap(), std::slice::from_ref(&row));
        assert_eq!(rows.runs(Runs::All, 5).await.unwrap(), [row]);
        assert_eq!(rows.runs(Runs::Of(other), 5).await.unwrap(), []);
        assert_eq!(rows.runs(Runs::AtWork, 5).await.unwrap().len(), 1);
        let done = Change::SetRun(run(), RunState::Finished, "target".to_owned(), 9, None);
        warm.write(vec![done]).await.unwrap();
        assert_eq!(rows.runs(Runs::AtWork, 5).await.unwrap(), []);

        let agents = vec![agent(3, &[], None)];
        let group = Change::Agents(Group {
            agents,
            appended: Vec::new(),
            blobs: vec![BlobRow { mac: [5; 32], cids: vec![Block::raw(vec![1]).cid; 3] }],
            results: vec![NewResult { key: [7; 32], agent: 3 }],
            ..Group::default()
        });
        warm.write(vec![group, Change::Checkpoint(run(), 7, Bytes::from_static(b"one"))])
            .await
            .unwrap();
        warm.write(vec![Change::Checkpoint(run(), 8, Bytes::from_static(b"two"))]).await.unwrap();
        let checkpoint = rows.checkpoint(run()).await.unwrap().unwrap();
        assert_eq!((checkpoint.generation, checkpoint.after), (8, 3));
        assert_eq!((checkpoint.session, &checkpoint.sealed[..]), (session(), &b"two"[..]));
        assert_eq!(rows.blob([5; 32]).await.unwrap().unwrap().len(), 3);
        assert_eq!(rows.blob([6; 32]).await.unwrap(), None);
        assert_eq!(rows.result([7; 32]).await.unwrap(), Some(id(3)));
        assert_eq!(rows.result([6; 32]).await.unwrap(), None);
        assert_eq!(rows.check().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_run_that_goes_on_from_another_begins_with_its_past() {
    each(async |warm| {
        let made = group(vec![agent(3, &[], Some(2.5))], Extent { segment: 0, length: 1 });
        warm.write(vec![made, going_on(run())]).await.unwrap();
        let row = warm.rows().runs(Runs::All, 1).await.unwrap().remove(0);
        assert_eq!((row.origin, row.best), (Some((run(), 1)), Some((2.5, id(3)))));
    })
    .await;
}

#[tokio::test]
async fn sessions_are_found_by_name_the_open_ones_first() {
    each(async |warm| {
        let id = |n| SessionId::new(100 + n, [1; 10]);
        let named = |n, name: &str, user: &str| match new_session(id(n), n) {
            Change::NewSession(new) => {
                let (name, user) = (name.to_owned(), user.to_owned());
                Change::NewSession(NewSession { name, user, ..new })
            }
            other => other,
        };
        // Used later than the one that is sought, and more than a list has.
        let others = (0..=PAGE as u64).map(|n| new_session(SessionId::new(n, [9; 10]), 1000 + n));
        let mut changes: Vec<_> = others.collect();
        changes.extend([named(1, "a", "ann"), named(2, "a", "bob"), named(3, "a", "ann")]);
        changes.extend([named(4, "b", "ann"), named(5, "A", "ann"), Change::Close(id(3), true, 0)]);
        warm.write(changes).await.unwrap();
        let found = async |user, name, limit| {
            let rows = warm.rows().sessions_named(user, name, limit).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(found(None, "a", 9).await, [id(2), id(1), id(3)]);
        assert_eq!(found(Some("ann"), "a", 9).await, [id(1), id(3)]);
        assert_eq!(found(Some("ann"), "a", 1).await, [id(1)]);
        assert_eq!(found(Some("bob"), "b", 9).await, []);
        assert_eq!(found(None, "", 9).await, []);
        assert_eq!(found(None, "mine", usize::MAX).await.len(), PAGE);
    })
    .await;
}

#[tokio::test]
async fn ids_are_found_in_a_range() {
    each(async |warm| {
        let agents = (1..=3).map(|n| agent(n, &[], None)).collect();
        warm.write(vec![group(agents, Extent { segment: 1, length: 1 })]).await.unwrap();
        let rows = warm.rows();
        assert_eq!(rows.find(Named::Agent, [0; 16], [255; 16], 2).await.unwrap().len(), 2);
        let exact = *id(2).as_bytes();
        assert_eq!(rows.find(Named::Agent, exact, exact, 2).await.unwrap(), [exact]);
        let exact = *run().as_bytes();
        assert_eq!(rows.find(Named::Run, exact, exact, 2).await.unwrap(), [exact]);
        assert_eq!(rows.find(Named::Session, [0; 16], [255; 16], 2).await.unwrap().len(), 1);
        assert_eq!(rows.find(Named::Session, exact, exact, 2).await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn signing_keys_keep_their_first_time() {
    each(async |warm| {
        let key = |n: u8, ms| Change::SigningKey([n; 32], [n + 1; 32], ms);
        warm.write(vec![key(1, 50), key(7, 10), key(1, 90)]).await.unwrap();
        assert_eq!(warm.rows().signing_keys().await.unwrap(), [([8; 32], 10), ([2; 32], 50)]);
    })
    .await;
}
