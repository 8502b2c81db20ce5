//! What is to be known of the servers: their versions, the way there, and settings by which more
//! would be lost than need be.

use std::collections::BTreeMap;

use redis::{Cmd, FromRedisValue as _};

use super::{node::Node, servers::Servers};
use crate::daemon::store::hot::Finding;

/// The settings that matter, each with what it should be.
const SETTINGS: [(&str, &str); 3] =
    [("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")];

/// Looks at each server that takes writes.
pub async fn findings(servers: &Servers) -> Vec<Finding> {
    let address = servers.address();
    let mut all = Vec::new();
    let way = if address.is_plaintext() {
        Err((
            "not encrypted, to this machine".to_owned(),
            "see `store.hot`: give it TLS".to_owned(),
        ))
    } else {
        Ok("TLS 1.3, with a certificate of this daemon".to_owned())
    };
    let masters = match servers.masters().await {
        Ok(masters) => masters,
        Err(trouble) => {
            let error = servers.error("looking at it", trouble).to_string();
            let hint = "runs go on; who watches them sees less until it is back".to_owned();
            return vec![Finding { about: "hot tier", found: Err((error, hint)) }];
        }
    };
    for node in masters {
        let found =
            version(&node).await.map(|version| format!("Redis {version} at {}", node.shown()));
        let answers = found.is_ok();
        let hint = "runs go on; who watches them sees less until it is back".to_owned();
        all.push(Finding { about: "hot tier", found: found.map_err(|why| (why, hint)) });
        if answers {
            all.push(Finding { about: "hot tier: settings", found: settings(&node).await });
        }
    }
    all.push(Finding { about: "hot tier: way", found: way });
    all
}

async fn text(node: &Node, command: &Cmd) -> Result<String, String> {
    use super::node::Trouble;
    let answer = node.ask(command, false).await.map_err(|trouble| match trouble {
        Trouble::Away(why) => why,
        Trouble::Broken(error) | Trouble::Said(error) => format!("{}: {error}", node.shown()),
        Trouble::Wrong(error) => error.to_string(),
    })?;
    String::from_redis_value(answer).map_err(|error| error.to_string())
}

async fn version(node: &Node) -> Result<String, String> {
    let mut command = redis::cmd("INFO");
    command.arg("server");
    let text = text(node, &command).await?;
    let version = text.lines().find_map(|line| line.strip_prefix("redis_version:"));
    Ok(version.unwrap_or("of an unknown version").trim().to_owned())
}

/// Whether it keeps what it can, and never throws away what still has its time.
async fn settings(node: &Node) -> Result<String, (String, String)> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(SETTINGS.map(|(name, _)| name).as_slice());
    let shown = node.shown();
    let answer = node.ask(&command, false).await.ok();
    let set = answer.and_then(|answer| BTreeMap::<String, String>::from_redis_value(answer).ok());
    let Some(set) = set else {
        let hint = format!("{} should be {}; see to it by hand", names(), values());
        return Err((format!("{shown} does not tell its settings"), hint));
    };
    let other = SETTINGS.iter().find(|(name, value)| set.get(*name).is_none_or(|is| is != value));
    match other {
        None => Ok(SETTINGS.map(|(name, value)| format!("{name} {value}")).join(", ")),
        Some((name, value)) => {
            let is = set.get(*name).map_or("not set", String::as_str);
            Err((format!("{shown} has {name} {is}"), format!("set {name} {value} there")))
        }
    }
}

fn names() -> String {
    SETTINGS.map(|(name, _)| name).join(", ")
}

fn values() -> String {
    SETTINGS.map(|(_, value)| value).join(", ")
}
