//! Which server has a key: the slots of a cluster, and what several servers agree on.

use std::{collections::HashMap, future::Future, hash::Hash};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::Value;

/// How many slots a cluster has.
const SLOTS: u16 = 16384;

/// A server's host and port.
pub type Place = (String, u16);

/// The servers of a cluster: up to which slot each master goes, and the replicas.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slots {
    /// The last slot of each range, and its master, in order.
    pub ranges: Vec<(u16, Place)>,
    /// Those who only follow.
    pub replicas: Vec<Place>,
}

/// The slot of a key: that of what stands in its first braces, if there is something in them.
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|byte| *byte == b'}').map(|close| &rest[..close])
    });
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

impl Slots {
    /// What `CLUSTER SLOTS` told; a server without an address is the one at `host` that was asked.
    /// None if that is no answer, or slots have no server.
    #[must_use]
    pub fn read(answer: Value, host: &str) -> Option<Self> {
        let Value::Array(rows) = answer else { return None };
        let mut ranges = Vec::new();
        let mut replicas = Vec::new();
        for row in rows {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), servers @ ..] = &row[..] else { return None };
            let mut servers = servers.iter().map(|server| place(server, host));
            ranges.push((*first, u16::try_from(*last).ok()?, servers.next()??));
            replicas.extend(servers.collect::<Option<Vec<_>>>()?);
        }
        ranges.sort();
        replicas.sort();
        replicas.dedup();
        let mut next = 0;
        for (first, last, _) in &ranges {
            if *first != next {
                return None;
            }
            next = i64::from(*last) + 1;
        }
        let ranges = ranges.into_iter().map(|(_, last, place)| (last, place)).collect();
        (next == i64::from(SLOTS)).then_some(Self { ranges, replicas })
    }
}

/// A server in the answer.
fn place(server: &Value, asked: &str) -> Option<Place> {
    let Value::Array(parts) = server else { return None };
    let [host, Value::Int(port), ..] = &parts[..] else { return None };
    let host = text(host).filter(|host| !host.is_empty());
    Some((host.unwrap_or_else(|| asked.to_owned()), u16::try_from(*port).ok()?))
}

/// A text in an answer.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// The server that a redirection (`SLOT HOST:PORT`) names.
#[must_use]
pub fn redirection(detail: &str, asked: &str) -> Option<Place> {
    let (host, port) = detail.split_whitespace().nth(1)?.rsplit_once(':')?;
    let host = if host.is_empty() { asked } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}

/// What most of them say: as soon as more than a half do, else when all have said something, or
/// nothing. Whoever is cut off from the others may tell what was so before; it is outvoted.
pub async fn most<T: Eq + Hash>(
    voices: impl IntoIterator<Item = impl Future<Output = Option<T>>>,
) -> Option<T> {
    let mut voices: FuturesUnordered<_> = voices.into_iter().collect();
    let all = voices.len();
    let mut said: HashMap<T, usize> = HashMap::new();
    while let Some(voice) = voices.next().await {
        let Some(voice) = voice else { continue };
        let count = said.entry(voice).or_default();
        *count += 1;
        if *count * 2 > all {
            break;
        }
    }
    said.into_iter().max_by_key(|(_, count)| *count).map(|(what, _)| what)
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[test]
    fn keys_with_the_same_braces_share_a_slot() {
        // The examples of the specification.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"foo{bar"), crc16(b"foo{bar") % SLOTS);
    }

    fn row(first: i64, last: i64, servers: &[(&str, i64)]) -> Value {
        let server = |(host, port): &(&str, i64)| {
            let host = Value::BulkString(host.as_bytes().to_vec());
            Value::Array(vec![host, Value::Int(*port), Value::SimpleString("id".to_owned())])
        };
        let row = [Value::Int(first), Value::Int(last)].into_iter();
        Value::Array(row.chain(servers.iter().map(server)).collect())
    }

    #[test]
    fn a_table_is_taken_only_if_every_slot_has_a_server() {
        let high = row(8000, 16383, &[("b", 2), ("c", 3)]);
        let answer = Value::Array(vec![high.clone(), row(0, 7999, &[("", 1), ("c", 3)])]);
        let slots = Slots::read(answer, "asked").unwrap();
        let place = |host: &str, port| (host.to_owned(), port);
        assert_eq!(slots.ranges, [(7999, place("asked", 1)), (16383, place("b", 2))]);
        assert_eq!(slots.replicas, [place("c", 3)]);
        for wrong in [
            vec![high.clone()],
            vec![row(0, 7998, &[("a", 1)]), high.clone()],
            vec![row(0, 7999, &[]), high],
            vec![row(0, 99_999, &[("a", 1)])],
            vec![],
        ] {
            assert_eq!(Slots::read(Value::Array(wrong), "asked"), None);
        }
        assert_eq!(Slots::read(Value::Nil, "asked"), None);
        assert_eq!(redirection("3999 ::1:6381", "x"), Some(place("::1", 6381)));
        assert_eq!(redirection("3999 :6381", "x"), Some(place("x", 6381)));
        assert_eq!(redirection("3999", "x"), None);
    }

    #[tokio::test]
    async fn who_is_cut_off_is_outvoted() {
        let said = [Some(1), None, Some(2), Some(2), None];
        assert_eq!(most(said.map(ready)).await, Some(2));
        assert_eq!(most([None::<u8>, None].map(ready)).await, None);
        // Nobody waits for who does not answer once most agree.
        let voices = [Some(3), Some(3), None].map(|voice| async move {
            if voice.is_none() {
                std::future::pending::<()>().await;
            }
            voice
        });
        assert_eq!(most(voices).await, Some(3));
    }
}
