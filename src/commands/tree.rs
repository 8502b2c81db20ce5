//! Draws agents as a tree: each under its first parent. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::wire::v1::Agent;

use super::{
    output::Tone,
    text::{id, maybe, plain},
};

/// The deepest level that is drawn with its own indentation.
const MAX_DEPTH: usize = 30;

/// The lines of the tree of `agents`. One whose first parent isn't among them is a root; an only
/// child stands right below its parent, no deeper, so that a line of descent stays narrow.
pub fn draw(agents: &[Agent], paint: &dyn Fn(Tone, &str) -> String) -> Vec<String> {
    let place: HashMap<_, _> = agents.iter().enumerate().map(|(at, it)| (&it.id, at)).collect();
    let mut children = vec![Vec::new(); agents.len()];
    let mut stack = Vec::new();
    for (at, agent) in agents.iter().enumerate() {
        match agent.parents.first().and_then(|parent| place.get(parent)) {
            Some(parent) if *parent != at => children[*parent].push(at),
            _ => stack.push((at, String::new(), "", "")),
        }
    }
    stack.reverse();
    let mut lines = Vec::with_capacity(agents.len());
    // A stack of its own: a lineage may be deeper than the program's.
    while let Some((at, indent, branch, below)) = stack.pop() {
        lines.push(format!(
            "{}{}",
            paint(Tone::Dim, &format!("{indent}{branch}")),
            line(&agents[at], paint)
        ));
        let indent = if indent.chars().count() < MAX_DEPTH * 3 { indent + below } else { indent };
        if let [only] = children[at][..] {
            stack.push((only, indent, "↳ ", ""));
            continue;
        }
        let mut form = ("└─ ", "   ");
        for child in children[at].iter().rev() {
            stack.push((*child, indent.clone(), form.0, form.1));
            form = ("├─ ", "│  ");
        }
    }
    lines
}

/// Of `agents`, the oldest first, those that were the best in their time, each under the
/// nearest such one among its first parents, or under the initial agent that it comes from.
pub fn champions(agents: &[Agent], maximize: bool) -> Vec<Agent> {
    let place: HashMap<_, _> = agents.iter().enumerate().map(|(at, it)| (&it.id, at)).collect();
    let mut best = None;
    let champions: Vec<bool> = agents
        .iter()
        .map(|agent| {
            let better = |best: f64, own: f64| if maximize { own > best } else { own < best };
            let new = agent.score.filter(|own| best.is_none_or(|best| better(best, *own)));
            best = new.or(best);
            new.is_some()
        })
        .collect();
    let champion = |at: usize| champions[at];
    // A parent is older, so it stands before its children: that ends each walk.
    let parent = |at: usize| {
        let parent = agents[at].parents.first().and_then(|parent| place.get(parent).copied());
        parent.filter(|parent| *parent < at)
    };
    let mut kept = BTreeMap::new();
    for start in (0..agents.len()).filter(|at| champion(*at)) {
        let mut above = parent(start);
        while let Some(next) = above.filter(|at| !champion(*at)).and_then(parent) {
            above = Some(next);
        }
        kept.insert(start, above);
        if let Some(root) = above.filter(|at| !champion(*at)) {
            kept.entry(root).or_insert(None);
        }
    }
    kept.into_iter()
        .map(|(at, above)| {
            let parents = above.map(|above| agents[above].id.clone()).into_iter().collect();
            Agent { parents, ..agents[at].clone() }
        })
        .collect()
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
        assert_eq!(drawn(&agents), ["0.1", "├─ 0.2", "│  ↳ 0.4", "└─ 0.3", "0.5"]);
    }

    #[test]
    fn champions_stand_under_their_nearest_champion_or_their_root() {
        let mut agents = vec![agent(1, &[]), agent(2, &[]), agent(3, &[1]), agent(4, &[3])];
        agents.extend([agent(5, &[4]), agent(6, &[2]), agent(7, &[9])]);
        for (agent, score) in agents.iter_mut().zip([0.0, 2.0, 1.0, 3.0, 3.0, 4.0, 5.0]) {
            agent.score = Some(score);
        }
        let lines: Vec<_> = draw(&champions(&agents, true), &|_, text| text.to_owned());
        let lines: Vec<_> = lines.iter().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(lines, ["0.1", "↳ 0.4", "0.2", "↳ 0.6", "0.7"]);
        assert_eq!(champions(&agents, false).len(), 1);
    }

    #[test]
    fn a_deep_lineage_is_drawn_whole_and_not_wider_than_its_bound() {
        let mut agents = vec![agent(0, &[])];
        // Each even one has two children: a childless one, and the next even one.
        agents.extend((1..=200).map(|own| agent(own, &[own + own % 2 - 2])));
        let lines = drawn(&agents);
        assert_eq!(lines.len(), 201);
        assert!(lines.iter().all(|line| line.chars().count() < MAX_DEPTH * 3 + 12));
    }
}
