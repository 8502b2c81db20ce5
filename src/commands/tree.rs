//! Draws agents as a tree: each under its first parent. Pure.

use std::collections::HashMap;

use crate::wire::v1::Agent;

use super::{
    output::Tone,
    text::{id, maybe, plain},
};

/// The deepest level that is drawn with its own indentation.
const MAX_DEPTH: usize = 30;

/// The lines of the tree of `agents`. One whose first parent isn't among them is a root.
pub fn draw(agents: &[Agent], paint: &dyn Fn(Tone, &str) -> String) -> Vec<String> {
    let place: HashMap<_, _> = agents.iter().enumerate().map(|(at, it)| (&it.id, at)).collect();
    let mut children = vec![Vec::new(); agents.len()];
    let mut stack = Vec::new();
    for (at, agent) in agents.iter().enumerate() {
        match agent.parents.first().and_then(|parent| place.get(parent)) {
            Some(parent) if *parent != at => children[*parent].push(at),
            _ => stack.push((at, String::new(), None)),
        }
    }
    stack.reverse();
    let mut lines = Vec::with_capacity(agents.len());
    // A stack of its own: a lineage may be deeper than the program's.
    while let Some((at, indent, last)) = stack.pop() {
        let (branch, below) = match last {
            None => ("", ""),
            Some(false) => ("├─ ", "│  "),
            Some(true) => ("└─ ", "   "),
        };
        lines.push(format!(
            "{}{}",
            paint(Tone::Dim, &format!("{indent}{branch}")),
            line(&agents[at], paint)
        ));
        let indent = if indent.chars().count() < MAX_DEPTH * 3 { indent + below } else { indent };
        let count = children[at].len();
        for (number, child) in children[at].iter().enumerate().rev() {
            stack.push((*child, indent.clone(), Some(number + 1 == count)));
        }
    }
    lines
}

fn line(agent: &Agent, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let tone = match agent.verdict.as_str() {
        "champion" => Tone::Good,
        "archived" => Tone::Dim,
        "improved" => Tone::Bold,
        _ => return words(agent),
    };
    paint(tone, &words(agent))
}

fn words(agent: &Agent) -> String {
    let operators = match plain(&agent.operators.join("+")) {
        none if none.is_empty() => String::new(),
        operators => format!("  {operators}"),
    };
    format!(
        "{}.{}  {}  {}{operators}  {}",
        agent.generation,
        agent.slot,
        maybe(agent.score),
        plain(&agent.verdict),
        id(&agent.id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(own: u8, parents: &[u8]) -> Agent {
        let id = |byte: u8| bytes::Bytes::from(vec![byte; 16]);
        Agent {
            id: id(own),
            parents: parents.iter().copied().map(id).collect(),
            slot: own.into(),
            verdict: "scored".to_owned(),
            ..Agent::default()
        }
    }

    fn drawn(agents: &[Agent]) -> Vec<String> {
        let lines = draw(agents, &|_, text| text.to_owned());
        lines.into_iter().map(|line| line.split("  –").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn children_stand_under_their_first_parent() {
        let agents =
            [agent(1, &[]), agent(2, &[1]), agent(3, &[1, 2]), agent(4, &[2]), agent(5, &[9])];
        assert_eq!(drawn(&agents), ["0.1", "├─ 0.2", "│  └─ 0.4", "└─ 0.3", "0.5"]);
    }

    #[test]
    fn a_deep_lineage_is_drawn_whole_and_not_wider_than_its_bound() {
        let mut agents = vec![agent(0, &[])];
        agents.extend((1..=200).map(|own| agent(own, &[own - 1])));
        let lines = drawn(&agents);
        assert_eq!(lines.len(), 201);
        assert!(lines.iter().all(|line| line.chars().count() < MAX_DEPTH * 3 + 12));
    }
}
