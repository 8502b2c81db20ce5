//! Where agents come from: lookups by id, pages over runs, ancestors and descendants.

use super::{Registry, error::RegistryError};
use crate::{
    daemon::store::warm::{
        FRONT, Named, PAGE,
        rows::{AgentRow, Direction, Node},
    },
    domain::id::{AgentId, RunId},
};

/// One page of agents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentPage {
    /// The agents.
    pub agents: Vec<AgentRow>,
    /// Where the next page starts; empty if this was the last.
    pub cursor: Vec<u8>,
}

impl Registry {
    /// An agent.
    ///
    /// # Errors
    /// If there is none, or it can't be read.
    pub async fn agent(&self, id: AgentId) -> Result<AgentRow, RegistryError> {
        let found = self.inner.stores.warm.rows().agents(vec![id]).await?.pop();
        found.ok_or_else(|| RegistryError::NotFound { what: "agent", text: id.to_string() })
    }

    /// How many agents are stored.
    ///
    /// # Errors
    /// If they can't be counted.
    pub async fn count_agents(&self) -> Result<u64, RegistryError> {
        Ok(self.inner.stores.warm.rows().count().await?)
    }

    /// The agent whose id is `text` or alone starts with it.
    ///
    /// # Errors
    /// If there is none, or several.
    pub async fn find_agent(&self, text: &str) -> Result<AgentId, RegistryError> {
        Ok(AgentId::from_bytes(self.find(Named::Agent, "agent", text).await?))
    }

    /// The run whose id is `text` or alone starts with it.
    ///
    /// # Errors
    /// If there is none, or several.
    pub async fn find_run(&self, text: &str) -> Result<RunId, RegistryError> {
        Ok(RunId::from_bytes(self.find(Named::Run, "run", text).await?))
    }

    pub(super) async fn find(
        &self,
        named: Named,
        what: &'static str,
        text: &str,
    ) -> Result<[u8; 16], RegistryError> {
        let text = text.trim();
        let missing = || RegistryError::NotFound { what, text: text.to_owned() };
        let (from, to) = range(text).ok_or_else(missing)?;
        match self.inner.stores.warm.rows().find(named, from, to, 2).await?.as_slice() {
            [] => Err(missing()),
            [only] => Ok(*only),
            _ => Err(RegistryError::Ambiguous { what, text: text.to_owned() }),
        }
    }

    /// The agents of a run, in the order of their commits: parents before children.
    ///
    /// # Errors
    /// If there is no such run, or the cursor is none of ours.
    pub async fn tree(
        &self,
        run: RunId,
        cursor: &[u8],
        limit: usize,
    ) -> Result<AgentPage, RegistryError> {
        self.running(run).await?;
        let limit = limit.clamp(1, PAGE);
        let after = decode(cursor)?.first().copied().unwrap_or(0);
        let rows = self.inner.stores.warm.rows();
        let agents = rows.agents_after(Some(run), after, limit).await?;
        let last = agents.last().filter(|_| agents.len() == limit).map(|agent| agent.node);
        let cursor = last.map_or_else(Vec::new, |node| encode(&[node]));
        Ok(AgentPage { agents, cursor })
    }

    /// An agent and all it descends from, the latest first; each once.
    ///
    /// # Errors
    /// If there is no such agent, or the cursor is none of ours.
    pub async fn ancestors(
        &self,
        of: AgentId,
        cursor: &[u8],
        limit: usize,
    ) -> Result<AgentPage, RegistryError> {
        self.walk(Direction::Up, of, cursor, limit).await
    }

    /// An agent and all that descend from it, the earliest first; each once.
    ///
    /// # Errors
    /// If there is no such agent, or the cursor is none of ours.
    pub async fn descendants(
        &self,
        of: AgentId,
        cursor: &[u8],
        limit: usize,
    ) -> Result<AgentPage, RegistryError> {
        self.walk(Direction::Down, of, cursor, limit).await
    }

    async fn walk(
        &self,
        direction: Direction,
        of: AgentId,
        cursor: &[u8],
        limit: usize,
    ) -> Result<AgentPage, RegistryError> {
        let frontier = match decode(cursor)? {
            frontier if frontier.is_empty() => vec![self.agent(of).await?.node],
            frontier => frontier,
        };
        let rows = self.inner.stores.warm.rows();
        let walked = rows.walk(direction, frontier, limit.clamp(1, PAGE)).await?;
        Ok(AgentPage { agents: walked.agents, cursor: encode(&walked.frontier) })
    }
}

/// The least and the greatest id that start with these hexadecimal digits.
fn range(text: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let mut range = ([0; 16], [0xff; 16]);
    for (at, digit) in digits.into_iter().enumerate() {
        let digit = u8::try_from(digit).ok()?;
        let (shift, mask) = if at % 2 == 0 { (4, 0x0f) } else { (0, 0xf0) };
        range.0[at / 2] |= digit << shift;
        range.1[at / 2] = (range.1[at / 2] & mask) | digit << shift;
    }
    Some(range)
}

/// The version of a cursor's format.
const CURSOR: u8 = 1;

/// A frontier as bytes: a version, then the differences of the rising numbers as varints.
pub(super) fn encode(frontier: &[Node]) -> Vec<u8> {
    if frontier.is_empty() {
        return Vec::new();
    }
    let mut out = vec![CURSOR];
    let mut buffer = unsigned_varint::encode::u64_buffer();
    let mut before = 0;
    for node in frontier {
        let step = u64::try_from(node - before).unwrap_or(0);
        out.extend_from_slice(unsigned_varint::encode::u64(step, &mut buffer));
        before = *node;
    }
    out
}

pub(super) fn decode(cursor: &[u8]) -> Result<Vec<Node>, RegistryError> {
    let odd = || RegistryError::Invalid("the cursor is not from a page before".to_owned());
    let Some((version, mut rest)) = cursor.split_first() else { return Ok(Vec::new()) };
    if *version != CURSOR {
        return Err(odd());
    }
    let (mut frontier, mut node) = (Vec::new(), 0_i64);
    while !rest.is_empty() {
        let (step, behind) = unsigned_varint::decode::u64(rest).map_err(|_| odd())?;
        node = i64::try_from(step).ok().and_then(|step| node.checked_add(step)).ok_or_else(odd)?;
        frontier.push(node);
        rest = behind;
        if frontier.len() > FRONT {
            return Err(odd());
        }
    }
    Ok(frontier)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(mut nodes in prop::collection::vec(0..i64::MAX, 0..50)) {
            nodes.sort_unstable();
            prop_assert_eq!(decode(&encode(&nodes)).unwrap(), nodes);
        }

        #[test]
        fn no_cursor_whatever_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            drop(decode(&bytes));
        }
    }

    #[test]
    fn a_start_of_an_id_is_a_range() {
        let (from, to) = range("0198c2a4-7f3").unwrap();
        assert_eq!(from[..6], [0x01, 0x98, 0xc2, 0xa4, 0x7f, 0x30]);
        assert_eq!(to[..6], [0x01, 0x98, 0xc2, 0xa4, 0x7f, 0x3f]);
        assert_eq!((from[15], to[15]), (0, 0xff));
        assert!(range("xyz").is_none() && range("").is_none() && range(&"0".repeat(33)).is_none());
    }
}
