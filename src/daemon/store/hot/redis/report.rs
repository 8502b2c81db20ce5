//! What is to be known of the servers: their versions, the way there, and settings by which more
//! would be lost than need be.

use std::collections::BTreeMap;

use redis::{Cmd, FromRedisValue as _};

use super::{
    Finding,
    node::{Node, Trouble},
    servers::Servers,
};

/// The settings that matter, each with what it should be.
const SETTINGS: [(&str, &str); 3] =
    [("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")];

/// Looks at each server that takes writes.
pub async fn findings(servers: &Servers) -> Vec<Finding> {
    let away = |why| {
        let hint = "runs go on; who watches them sees less until it is back".to_owned();
        Finding { about: "hot tier", found: Err((why, hint)) }
    };
    let masters = match servers.masters().await {
        Ok(masters) => masters,
        Err(trouble) => return vec![away(servers.error("looking", trouble).to_string())],
    };
    let mut all = Vec::new();
    let mut way = None;
    for node in masters {
        match version(&node).await {
            Ok(version) => {
                let found = Ok(format!("Redis {version} at {}", node.shown()));
                all.push(Finding { about: "hot tier", found });
                all.push(Finding { about: "hot tier: settings", found: settings(&node).await });
                way = Some(Ok("TLS 1.3, with a certificate of this daemon".to_owned()));
            }
            Err(why) => all.push(away(why)),
        }
    }
    if servers.address().is_plaintext() {
        let hint = "whoever can listen on this machine reads it: give `store.hot` certificates";
        way = Some(Err(("not encrypted, to this machine".to_owned(), hint.to_owned())));
    }
    all.extend(way.map(|found| Finding { about: "hot tier: way", found }));
    all
}

async fn text(node: &Node, command: &Cmd) -> Result<String, String> {
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
