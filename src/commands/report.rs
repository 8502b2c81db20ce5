//! What `darwin eval` has found, for people, for programs, and for CI.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    code::Code,
    domain::{evaluation::remedy, objective::Goal, statistics::Mean, suite::Suite},
    wire::v1::Evaluation,
};

use super::{
    consistency,
    context::Context,
    error::Failure,
    json,
    output::{Side, Tone},
    text::{brief, maybe, plain, plural, score},
};

/// As many of a kind as GitHub shows of one step.
const MOST_ANNOTATIONS: usize = 10;

/// The evaluations of one agent by one suite.
pub struct Report<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// What the user calls the agent.
    pub what: &'a str,
    /// What its mean score must reach.
    pub bar: Option<f64>,
    /// The agent's id.
    pub agent: String,
    /// What the evaluations come to.
    pub whole: &'a Evaluation,
    /// One a repeat.
    pub evaluations: &'a [Evaluation],
}

impl Report<'_> {
    /// The score, which is the mean of all, and how far it can be trusted; none if one evaluation
    /// has none, or the mean misses a gate.
    fn mean(&self) -> Option<Mean> {
        let value = self.whole.fitness?;
        let scores: Option<Vec<f64>> = self.evaluations.iter().map(|it| it.fitness).collect();
        Some(Mean { value, ..Mean::of(&scores?)? })
    }

    /// The mean on the objective at that place; none if one evaluation has none.
    fn mean_of(&self, at: usize) -> Option<Mean> {
        let scores: Option<Vec<f64>> =
            self.evaluations.iter().map(|it| it.scores.get(at).copied()).collect();
        Mean::of(&scores?)
    }

    /// Whether a higher score is better: of one objective it is its own, of several the
    /// weighted sum, which is turned so.
    fn maximizes(&self) -> bool {
        !matches!(&self.suite.objectives()[..], [only] if only.goal == Goal::Minimize)
    }

    fn meets(&self, score: f64, bar: f64) -> bool {
        if self.maximizes() { score >= bar } else { score <= bar }
    }

    /// Prints it.
    pub fn show(&self, context: &mut Context) -> Result<(), Failure> {
        if context.out.json() {
            return context.out.document("evaluation", self.document());
        }
        let objectives = self.suite.objectives();
        let details = |it: &Evaluation| {
            if !it.failure.is_empty() {
                return format!("{}: {}", it.failure, plain(&it.reason));
            }
            let scores = objectives.iter().zip(&it.scores);
            let scores = scores.map(|(it, value)| format!("{}={}", plain(&it.name), score(*value)));
            scores.collect::<Vec<_>>().join(" ")
        };
        let row = |(at, it): (usize, &Evaluation)| {
            [(at + 1).to_string(), maybe(it.fitness), brief(it.wall_us), details(it)]
        };
        let rows: Vec<_> = self.evaluations.iter().enumerate().map(row).collect();
        let head = [
            ("#", Side::Right),
            ("SCORE", Side::Right),
            ("TIME", Side::Right),
            ("DETAIL", Side::Left),
        ];
        context.out.table(head, &rows)?;
        let Some(mean) = self.mean() else { return Ok(()) };
        if objectives.len() > 1 {
            let row = |(at, it): (usize, &crate::domain::objective::Objective)| {
                let mean = self.mean_of(at).map_or_else(String::new, shown);
                let gate = it.gate.map_or_else(String::new, score);
                [plain(&it.name), goal(it.goal).to_owned(), score(it.weight), gate, mean]
            };
            let rows: Vec<_> = objectives.iter().enumerate().map(row).collect();
            let head = [
                ("OBJECTIVE", Side::Left),
                ("GOAL", Side::Left),
                ("WEIGHT", Side::Right),
                ("GATE", Side::Right),
                ("MEAN", Side::Left),
            ];
            context.out.line("")?;
            context.out.table(head, &rows)?;
        }
        let tone = if self.verdict().is_ok() { Tone::Good } else { Tone::Bad };
        let line = context.out.paint(tone, &self.summary(mean));
        context.out.line(line)
    }

    /// The mean score, and the bar if there is one.
    fn summary(&self, mean: Mean) -> String {
        match self.bar {
            Some(bar) => format!("score {} (bar {})", shown(mean), score(bar)),
            None => format!("score {}", shown(mean)),
        }
    }

    fn document(&self) -> Value {
        let objectives = self.suite.objectives();
        let names: Vec<_> = objectives.iter().map(|it| it.name.clone()).collect();
        let evaluations = self.evaluations.iter().map(|it| json::evaluation(it, &names));
        let mean = self.mean();
        let means = objectives.iter().enumerate().map(|(at, it)| {
            let mean = self.mean_of(at);
            json!({
                "objective": it.name,
                "goal": goal(it.goal),
                "weight": it.weight,
                "gate": it.gate,
                "mean": mean.map(|mean| mean.value),
                "interval": mean.and_then(|mean| mean.interval),
            })
        });
        json!({
            "agent": self.agent,
            "suite": self.suite.name,
            "objectives": names,
            "score": mean.map(|mean| mean.value),
            "interval": mean.and_then(|mean| mean.interval),
            "means": means.collect::<Vec<_>>(),
            "goal": if self.maximizes() { "maximize" } else { "minimize" },
            "fail_under": self.bar,
            "passed": self.verdict().is_ok(),
            "inconsistent": consistency::words(self.whole).is_some(),
            "evaluations": evaluations.collect::<Vec<_>>(),
        })
    }

    /// Whether it is good enough.
    ///
    /// # Errors
    /// Tells why it is not.
    pub fn verdict(&self) -> Result<(), Failure> {
        let failed = self.evaluations.iter().filter(|it| !it.failure.is_empty()).count();
        let Some(Mean { value: mean, .. }) = self.mean() else {
            let message = match failed {
                0 => plain(&self.whole.reason),
                _ => format!("{} failed", plural(failed as u64, "evaluation")),
            };
            let remedy = self.evaluations.iter().find_map(|it| remedy(&it.reason));
            return Err(Failure::new(Code::BarMissed, message)
                .hint_if(remedy)
                .hint(format!("darwin journal {}", self.agent)));
        };
        match self.bar {
            Some(bar) if !self.meets(mean, bar) => {
                let side = if self.maximizes() { "below" } else { "above" };
                let message =
                    format!("the score {} is {side} the bar of {}", score(mean), score(bar));
                Err(Failure::new(Code::BarMissed, message))
            }
            _ => Ok(()),
        }
    }

    /// For GitHub: level, title and text of each annotation.
    pub fn annotations(&self) -> Vec<(&'static str, String, String)> {
        let title = format!("{} by {}", self.what, self.suite.name);
        let Some(mean) = self.mean() else {
            let failed = self.evaluations.iter().enumerate();
            let failed = failed.filter(|(_, it)| !it.failure.is_empty());
            let note = |(at, it): (usize, &Evaluation)| {
                let text = format!("evaluation {}: {}: {}", at + 1, it.failure, it.reason);
                ("error", title.clone(), text)
            };
            let notes: Vec<_> = failed.take(MOST_ANNOTATIONS).map(note).collect();
            let all = || vec![("error", title.clone(), self.whole.reason.clone())];
            return if notes.is_empty() { all() } else { notes };
        };
        match self.verdict() {
            Ok(()) => vec![("notice", title, self.summary(mean))],
            Err(missed) => vec![("error", title, missed.to_string())],
        }
    }

    /// As JUnit's XML: a test case for each objective of each evaluation, which fails if there is
    /// no score; and where there is a bar, one for the mean.
    pub fn junit(&self) -> String {
        let objectives = self.suite.objectives();
        let class = xml(&self.suite.name);
        let (mut cases, mut count) = (String::new(), [0; 3]);
        let mut case = |name: &str, seconds: f64, fault: Option<(&str, &str)>, said: &str| {
            count[0] += 1;
            let name = xml(&format!("{} {name}", self.what));
            let said = xml(said);
            let fault = fault.map_or_else(String::new, |(kind, reason)| {
                // What was measured and is not good enough failed; the rest are errors.
                let missed = matches!(kind, "gate-missed" | "bar-missed");
                count[if missed { 1 } else { 2 }] += 1;
                let tag = if missed { "failure" } else { "error" };
                format!("<{tag} type=\"{}\" message=\"{}\"/>", xml(kind), xml(reason))
            });
            let _ = writeln!(
                cases,
                "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.6}\">{fault}\
                 <system-out>{said}</system-out></testcase>"
            );
        };
        let mut total = 0.0;
        for (number, it) in (1..).zip(self.evaluations) {
            let seconds = it.wall_us as f64 / 1e6;
            total += seconds;
            let fault = (!it.failure.is_empty()).then_some((&*it.failure, &*it.reason));
            for (at, objective) in objectives.iter().enumerate() {
                let said = it.scores.get(at).map_or_else(String::new, f64::to_string);
                case(&format!("#{number} {}", objective.name), seconds, fault, &said);
            }
        }
        if self.bar.is_some() {
            let missed = self.verdict().err().map(|missed| missed.to_string());
            let said = self.mean().map_or_else(String::new, |mean| self.summary(mean));
            case("mean", 0.0, missed.as_deref().map(|why| ("bar-missed", why)), &said);
        }
        let [tests, failures, errors] = count;
        let counts = format!(
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{total:.6}\""
        );
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  \
             <testsuite name=\"{class}\" {counts}>\n{cases}  </testsuite>\n</testsuites>\n"
        )
    }
}

fn goal(goal: Goal) -> &'static str {
    match goal {
        Goal::Maximize => "maximize",
        Goal::Minimize => "minimize",
    }
}

/// A mean with its interval, if there is one.
fn shown(mean: Mean) -> String {
    let value = score(mean.value);
    mean.interval.map_or_else(
        || value.clone(),
        |(low, high)| format!("{value} (95 %: {} to {})", score(low), score(high)),
    )
}

/// `text` as XML holds it: escaped, without what XML 1.0 cannot hold.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{objective::Objective, suite::Method};

    fn suite(goals: &[(&str, Goal)]) -> Suite {
        let method = Method::Builtin { function: "sphere".to_owned(), dimensions: 2 };
        let objectives = goals.iter().map(|(name, goal)| Objective::new(name, *goal)).collect();
        Suite { objectives, ..Suite::new("a <suite>", method) }
    }

    fn evaluation(fitness: Option<f64>) -> Evaluation {
        let failure = if fitness.is_none() { "crashed" } else { "" };
        Evaluation {
            fitness,
            scores: fitness.into_iter().flat_map(|score| [score, 10.0 * score]).collect(),
            failure: failure.to_owned(),
            reason: "a \"b\"\x1b".to_owned(),
            ..Evaluation::default()
        }
    }

    fn with<T>(
        goals: &[(&str, Goal)],
        bar: Option<f64>,
        scores: &[Option<f64>],
        then: impl Fn(Report<'_>) -> T,
    ) -> T {
        let evaluations: Vec<_> = scores.iter().copied().map(evaluation).collect();
        let suite = suite(goals);
        let agent = String::new();
        let sum = scores.iter().copied().sum::<Option<f64>>();
        let whole = evaluation(sum.map(|sum| sum / scores.len() as f64));
        let evaluations = &evaluations;
        then(Report { suite: &suite, what: "a&b", bar, agent, whole: &whole, evaluations })
    }

    const UP: [(&str, Goal); 1] = [("x", Goal::Maximize)];
    const DOWN: [(&str, Goal); 1] = [("x", Goal::Minimize)];
    const BOTH: [(&str, Goal); 2] = [("x", Goal::Maximize), ("y", Goal::Minimize)];

    #[test]
    fn the_bar_lies_on_the_side_that_is_better() {
        let passes = |goals: &[(&str, Goal)], bar, scores: &[Option<f64>]| {
            with(goals, Some(bar), scores, |report| report.verdict().is_ok())
        };
        assert!(passes(&UP, 0.5, &[Some(0.4), Some(0.6)]));
        assert!(!passes(&UP, 0.6, &[Some(0.4), Some(0.6)]));
        assert!(passes(&DOWN, 0.5, &[Some(0.5)]));
        assert!(!passes(&DOWN, 0.5, &[Some(0.6)]));
        assert!(!passes(&UP, 0.5, &[Some(1.0), None]));
    }

    #[test]
    fn junit_has_a_case_for_each_objective_of_each_repeat_and_one_for_the_bar() {
        let xml = with(&BOTH, Some(0.5), &[Some(0.2), Some(0.4)], |report| report.junit());
        assert!(xml.contains("tests=\"5\" failures=\"1\" errors=\"0\""), "{xml}");
        assert!(xml.contains("name=\"a &lt;suite&gt;\""), "{xml}");
        for name in ["#1 x", "#1 y", "#2 x", "#2 y", "mean"] {
            assert!(xml.contains(&format!("name=\"a&amp;b {name}\"")), "{name}: {xml}");
        }
        assert!(xml.contains("<failure type=\"bar-missed\" message=\"the score 0.3 is"), "{xml}");
        let xml = with(&UP, None, &[Some(0.2), None], |report| report.junit());
        assert!(xml.contains("tests=\"2\" failures=\"0\" errors=\"1\""), "{xml}");
        let error = "<error type=\"crashed\" message=\"a &quot;b&quot;\u{fffd}\"/>";
        assert!(xml.contains(error), "{xml}");
    }

    #[test]
    fn means_come_with_their_intervals_and_not_where_one_evaluation_failed() {
        let found = with(&BOTH, None, &[Some(1.0), Some(2.0), Some(3.0)], |it| it.document());
        assert_eq!((&found["score"], &found["means"][1]["mean"]), (&json!(2.0), &json!(20.0)));
        let low = found["interval"][0].as_f64().unwrap();
        assert!((low - (2.0 - 4.302_652_730 / 3f64.sqrt())).abs() < 1e-8, "{found}");
        assert_eq!(found["means"][1]["goal"], "minimize");
        let alone = with(&UP, None, &[Some(1.0)], |it| it.document());
        assert_eq!((&alone["score"], &alone["interval"]), (&json!(1.0), &Value::Null));
        let failed = with(&UP, None, &[Some(1.0), None], |it| it.document());
        assert_eq!((&failed["score"], &failed["means"][0]["mean"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn github_is_told_of_what_failed_or_of_the_score() {
        let levels = |bar, scores: &[Option<f64>]| {
            let notes = with(&UP, bar, scores, |report| report.annotations());
            notes.into_iter().map(|(level, _, text)| format!("{level} {text}")).collect::<Vec<_>>()
        };
        assert_eq!(levels(Some(0.1), &[Some(0.5)]), ["notice score 0.5 (bar 0.1)"]);
        assert_eq!(
            levels(Some(0.9), &[Some(0.5)]),
            ["error the score 0.5 is below the bar of 0.9"]
        );
        let failed = levels(None, &[None; 20]);
        assert_eq!(failed.len(), MOST_ANNOTATIONS);
        assert_eq!(failed[1], "error evaluation 2: crashed: a \"b\"\x1b");
    }
}
