//! Walks of the tree of life in PostgreSQL. Their order is that of the numbers, one agent after the
//! other; what comes next is read ahead, so that a page costs a few statements, not one an agent.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::{Error, PgConnection, Row as _};

use super::{FRONT, read};
use crate::daemon::store::warm::rows::{Direction, Node, Walked};

/// The agents that are read ahead at the most.
const AHEAD: usize = 4096;
/// And the edges: as many as make a front too wide.
const EDGES: usize = FRONT + 2;

/// Walks at most `limit` steps, as SQLite does; nothing if the front grows too wide.
///
/// # Errors
/// If the database refuses.
pub async fn walk(
    open: &mut PgConnection,
    direction: Direction,
    frontier: &[Node],
    limit: usize,
) -> Result<Option<Walked>, Error> {
    let mut front: BTreeSet<Node> = frontier.iter().copied().collect();
    let mut visited = Vec::new();
    let mut ahead = Ahead::default();
    while visited.len() < limit {
        let next = match direction {
            Direction::Up => front.last(),
            Direction::Down => front.first(),
        };
        let Some(node) = next.copied() else { break };
        if !ahead.looked.contains(&node) {
            ahead.read(open, direction, &front, limit - visited.len()).await?;
            continue;
        }
        front.remove(&node);
        // A number that is none of an agent comes from a cursor that was tampered with.
        let Some(beside) = ahead.edges.remove(&node) else { continue };
        front.extend(beside);
        if front.len() > FRONT {
            return Ok(None);
        }
        visited.push(node);
    }
    let mut found: HashMap<Node, _> = read::agents_at(open, &visited)
        .await?
        .into_iter()
        .map(|agent| (agent.node, agent))
        .collect();
    let agents = visited.iter().filter_map(|node| found.remove(node)).collect();
    Ok(Some(Walked { agents, frontier: front.into_iter().collect() }))
}

/// What was read ahead.
#[derive(Default)]
struct Ahead {
    /// The numbers that were looked at.
    looked: HashSet<Node>,
    /// Of each that is an agent's, the parents or children.
    edges: HashMap<Node, Vec<Node>>,
}

impl Ahead {
    /// Reads on from those that come first, by as many agents as are wanted.
    async fn read(
        &mut self,
        open: &mut PgConnection,
        direction: Direction,
        front: &BTreeSet<Node>,
        wanted: usize,
    ) -> Result<(), Error> {
        let wanted = wanted.min(AHEAD);
        let first: Vec<Node> = match direction {
            Direction::Up => front.iter().rev().take(wanted).copied().collect(),
            Direction::Down => front.iter().take(wanted).copied().collect(),
        };
        // The server finds no more of them than the limit asks for.
        let near = sqlx::query(match direction {
            Direction::Up => {
                "WITH RECURSIVE near AS (
                     SELECT * FROM unnest($1::bigint[]) AS f (node)
                     UNION SELECT e.parent FROM near JOIN edge e ON e.child = near.node)
                 SELECT near.node, a.node IS NOT NULL
                 FROM near LEFT JOIN agent a ON a.node = near.node LIMIT $2"
            }
            Direction::Down => {
                "WITH RECURSIVE near AS (
                     SELECT * FROM unnest($1::bigint[]) AS f (node)
                     UNION SELECT e.child FROM near JOIN edge e ON e.parent = near.node)
                 SELECT near.node, a.node IS NOT NULL
                 FROM near LEFT JOIN agent a ON a.node = near.node LIMIT $2"
            }
        });
        let near = near.bind(first).bind(wanted as i64).fetch_all(&mut *open).await?;
        let mut nodes = Vec::with_capacity(near.len());
        for row in &near {
            let (node, there): (Node, bool) = (row.try_get(0)?, row.try_get(1)?);
            if !there {
                self.looked.insert(node);
            } else if !self.looked.contains(&node) {
                nodes.push(node);
            }
        }
        let edges = sqlx::query(match direction {
            Direction::Up => {
                "SELECT child, parent FROM edge WHERE child = ANY($1)
                 ORDER BY child DESC LIMIT $2"
            }
            Direction::Down => {
                "SELECT parent, child FROM edge WHERE parent = ANY($1) ORDER BY parent LIMIT $2"
            }
        });
        let edges = edges.bind(nodes.clone()).bind(EDGES as i64).fetch_all(open).await?;
        let mut read: HashMap<Node, Vec<Node>> = HashMap::new();
        let mut last = None;
        for row in &edges {
            let (node, beside): (Node, Node) = (row.try_get(0)?, row.try_get(1)?);
            read.entry(node).or_default().push(beside);
            last = Some(node);
        }
        // If these were not all, those behind the last one are left for another time. The last
        // one's own may be cut: then it is the only one, and makes the front too wide as it is.
        let cut = last.filter(|_| edges.len() == EDGES);
        for node in nodes {
            let behind = cut.is_some_and(|last| match direction {
                Direction::Up => node < last,
                Direction::Down => node > last,
            });
            if behind || (cut == Some(node) && read.len() > 1) {
                continue;
            }
            self.looked.insert(node);
            self.edges.insert(node, read.remove(&node).unwrap_or_default());
        }
        Ok(())
    }
}
