//! How a run looks while it goes on and when it has ended. Pure: words, no printing.

use crate::{
    domain::spec::{RunSpec, Stop},
    wire::v1::Run,
};

use super::{
    output::Tone,
    text::{bar, count, id, maybe, plain, plural, rate, score, short, span, spark},
};

/// The most points of a history that are kept; beyond, every other one is dropped.
const MAX_POINTS: usize = 256;
/// The width of the sparkline and of the budget's bar.
const WIDTH: usize = 24;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The best scores of a run over time.
#[derive(Debug, Default)]
pub struct History {
    points: Vec<f64>,
    every: u64,
    last: Option<u64>,
}

impl History {
    /// Takes note of the best of that generation.
    pub fn add(&mut self, run: &Run) {
        let Some(best) = run.best else { return };
        // Within one generation the newest counts.
        if self.last.is_some_and(|last| run.generation < last + self.every.max(1)) {
            if let Some(point) = self.points.last_mut() {
                *point = best;
            }
            return;
        }
        self.last = Some(run.generation);
        self.points.push(best);
        if self.points.len() > MAX_POINTS {
            let mut odd = false;
            self.points.retain(|_| {
                odd = !odd;
                odd
            });
            self.every = (self.every * 2).max(2);
        }
    }
}

/// What limits a run, from its specification.
#[derive(Debug, Default)]
pub struct Budget {
    stop: Stop,
}

impl Budget {
    /// The limits of that specification; none if it can't be read.
    pub fn of(spec_toml: &str) -> Self {
        let spec: Option<RunSpec> = toml::from_str(spec_toml).ok();
        Self { stop: spec.map(|spec| spec.stop).unwrap_or_default() }
    }

    /// How much of its tightest limit the run has used, from 0 to 1, and that limit.
    fn used(&self, run: &Run, elapsed_ms: u64) -> Option<(f64, String)> {
        let stop = &self.stop;
        let of = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
        let evaluations =
            stop.evaluations.map(|limit| (of(run.agents, limit), plural(limit, "evaluation")));
        let generations =
            stop.generations.map(|limit| (of(run.generation, limit), plural(limit, "generation")));
        let time = stop.time.map(|limit| {
            (elapsed_ms as f64 / 1000.0 / limit.max(1e-3), span((limit * 1000.0) as u64))
        });
        [evaluations, generations, time]
            .into_iter()
            .flatten()
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    /// All limits in words.
    pub fn words(&self) -> String {
        let stop = &self.stop;
        let mut rules = Vec::new();
        rules.extend(stop.evaluations.map(|limit| plural(limit, "evaluation")));
        rules.extend(stop.generations.map(|limit| plural(limit, "generation")));
        rules.extend(stop.time.map(|limit| span((limit * 1000.0) as u64)));
        rules.extend(stop.target.map(|target| format!("a score of {}", score(target))));
        if stop.tau.is_some() {
            let window = stop.window.unwrap_or(50);
            rules.push(format!("no gain in {}", plural(window, "generation")));
        }
        rules.join(" or ")
    }
}

/// The lines that show a run at work; `paint` colours.
pub fn frame(
    run: &Run,
    rate_now: f64,
    elapsed_ms: u64,
    history: &History,
    budget: &Budget,
    turn: usize,
    paint: &dyn Fn(Tone, &str) -> String,
) -> Vec<String> {
    let spinner = paint(Tone::Good, SPINNER[turn % SPINNER.len()]);
    let name = paint(Tone::Bold, &plain(&run.name));
    let state = if run.waiting.is_empty() {
        run.state.clone()
    } else {
        paint(Tone::Warn, &format!("waiting: {}", plain(&run.waiting)))
    };
    let failed = match run.failed {
        0 => String::new(),
        failed => format!(" ({} failed)", count(failed)),
    };
    let agents = plural(run.agents, "agent");
    let generation = count(run.generation);
    let speed = rate(rate_now);
    let first =
        format!("{spinner} {name}  {state} · generation {generation} · {agents}{failed} · {speed}");
    let best = paint(Tone::Bold, &maybe(run.best));
    let line = spark(&history.points, WIDTH);
    let line = paint(Tone::Good, &line);
    let objective = paint(Tone::Dim, &plain(&run.objective));
    let second = format!("  best {best} {objective} {line}");
    let elapsed = span(elapsed_ms);
    let third = match budget.used(run, elapsed_ms) {
        Some((share, limit)) => {
            let percent = (share.clamp(0.0, 1.0) * 100.0).floor();
            let bar = bar(share, WIDTH);
            format!("  {elapsed} {} {percent:.0}% of {limit}", paint(Tone::Dim, &bar))
        }
        None => match budget.words() {
            words if words.is_empty() => format!("  {elapsed}"),
            words => format!("  {elapsed} · until {words}"),
        },
    };
    vec![first, second, third]
}

/// One line on a new best, for a log.
pub fn news(run: &Run, elapsed_ms: u64) -> String {
    format!(
        "generation {}: best {} {} ({}, {})",
        count(run.generation),
        maybe(run.best),
        plain(&run.objective),
        plural(run.agents, "agent"),
        span(elapsed_ms)
    )
}

/// How it ended, in words.
pub fn ending(run: &Run) -> String {
    let reason = plain(&run.reason);
    match (run.state.as_str(), run.reason.as_str()) {
        ("finished", "generations") => "finished: all generations are done".to_owned(),
        ("finished", "evaluations") => "finished: all evaluations are used".to_owned(),
        ("finished", "time") => "finished: its time is used up".to_owned(),
        ("finished", "target") => "finished: the target is reached".to_owned(),
        ("finished", "stagnation") => "finished: it gains no more".to_owned(),
        (state, "") => plain(state),
        (state, reason) if reason.starts_with(state) => plain(reason),
        (state, _) => format!("{}: {reason}", plain(state)),
    }
}

/// A run in names and values: the summary, and what `runs show` tells.
pub fn summary(run: &Run) -> Vec<(&'static str, String)> {
    let goal = if run.maximize { "maximised" } else { "minimised" };
    let best = run
        .best
        .map(|best| format!("{} ({}, {goal})", score(best), plain(&run.objective)))
        .unwrap_or_default();
    let failed = match run.failed {
        0 => String::new(),
        failed => format!(", {} without a score", count(failed)),
    };
    let speed = match run.elapsed_ms {
        0 => String::new(),
        elapsed => format!(", {}", rate(run.agents as f64 * 1000.0 / elapsed as f64)),
    };
    let agents = format!("{} to generation {}", plural(run.agents, "agent"), count(run.generation));
    vec![
        ("run", id(&run.id)),
        ("name", plain(&run.name)),
        ("state", ending(run)),
        ("waiting", plain(&run.waiting)),
        ("best", best),
        ("agent", id(&run.best_agent)),
        ("evaluated", format!("{agents}{failed}{speed}")),
        ("elapsed", span(run.elapsed_ms)),
        ("seed", run.seed.to_string()),
    ]
}

/// What to type next, and why.
pub fn next_steps(run: &Run) -> Vec<(String, &'static str)> {
    // A run stands for its best agent.
    let me = short(&run.id);
    let mut steps = Vec::new();
    if !run.best_agent.is_empty() {
        let dir: String = run
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' })
            .collect();
        steps.push((format!("darwin agents export {me} best-{dir}"), "write the best agent"));
        steps.push((format!("darwin lineage verify {me}"), "check its signed ancestry"));
    }
    if run.failed > 0 {
        let command = format!("darwin journal {me} --only archived --limit 3");
        steps.push((command, "see why agents failed"));
    }
    match run.state.as_str() {
        "stopped" => steps.push((format!("darwin runs resume {me}"), "go on")),
        "finished" => {
            let flag = match run.reason.as_str() {
                "generations" => format!("--max-generations {}", run.generation * 2),
                "evaluations" => format!("--max-evaluations {}", run.agents * 2),
                "time" => format!("--max-time {}s", run.elapsed_ms.div_ceil(500)),
                // More of the same would not help: no limit is in the way.
                _ => return steps,
            };
            steps.push((format!("darwin runs resume {me} {flag}"), "go on for as long again"));
        }
        _ => {}
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            name: "circle-packing".to_owned(),
            state: "running".to_owned(),
            generation: 12,
            agents: 832,
            failed: 3,
            best: Some(2.5),
            objective: "sum".to_owned(),
            maximize: true,
            ..Run::default()
        }
    }

    fn shown(run: &Run, budget: &Budget) -> Vec<String> {
        let mut history = History::default();
        history.add(run);
        frame(run, 41.0, 65_000, &history, budget, 0, &|_, text| text.to_owned())
    }

    fn budget(stop: Stop) -> Budget {
        Budget { stop }
    }

    #[test]
    fn a_frame_shows_where_the_run_is_and_the_tightest_limit() {
        let stop = Stop { evaluations: Some(1664), generations: Some(1000), ..Stop::default() };
        let lines = shown(&run(), &budget(stop));
        assert_eq!(
            lines,
            [
                "⠋ circle-packing  running · generation 12 · 832 agents (3 failed) · 41/s",
                "  best 2.5 sum ▁",
                "  1m05s ━━━━━━━━━━━━──────────── 50% of 1,664 evaluations",
            ]
        );
    }

    #[test]
    fn a_run_that_waits_says_why_and_steers_no_terminal() {
        let run = Run { waiting: "the disk\x1b[2J is full".to_owned(), ..run() };
        let lines = shown(&run, &Budget::of("nonsense"));
        assert!(lines[0].contains("waiting: the disk [2J is full"), "{lines:?}");
        assert_eq!(lines[2], "  1m05s");
    }

    #[test]
    fn limits_read_as_words() {
        let stop = Stop { time: Some(300.0), tau: Some(1e-9), ..Stop::default() };
        assert_eq!(budget(stop).words(), "5m00s or no gain in 50 generations");
    }

    #[test]
    fn a_history_keeps_its_ends_within_its_bound() {
        let mut history = History::default();
        for generation in 0..100_000u32 {
            let best = Some(f64::from(generation));
            history.add(&Run { generation: generation.into(), best, ..run() });
        }
        assert!(history.points.len() <= MAX_POINTS && history.points.len() > MAX_POINTS / 4);
        assert_eq!(history.points[0].to_bits(), 0);
        assert_eq!(history.points.last().copied(), Some(99_999.0));
    }

    #[test]
    fn the_next_steps_fit_the_end() {
        let commands =
            |run: &Run| next_steps(run).into_iter().map(|step| step.0).collect::<Vec<_>>();
        let stopped = Run { state: "stopped".to_owned(), failed: 0, ..run() };
        assert_eq!(commands(&stopped), ["darwin runs resume "]);
        let best_agent = bytes::Bytes::from_static(&[1; 16]);
        let finished = Run {
            state: "finished".to_owned(),
            reason: "generations".to_owned(),
            name: "a b".to_owned(),
            best_agent,
            ..run()
        };
        let commands = commands(&finished);
        assert!(commands[0].ends_with(" best-a-b") && commands.len() == 4, "{commands:?}");
        assert!(commands[3].ends_with(" --max-generations 24"), "{commands:?}");
    }
}
