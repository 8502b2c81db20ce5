//! Suites of matches: who wins, who plays whom, and what players try.

use std::time::{Duration, Instant};

use darwin::{config::suite as config, domain::evaluation::Metric};
use serde_json::Value;

use super::*;

/// Who says the higher number wins; who says none has said -1.
const REFEREE: &str = "
import json, sys
def hear():
    return json.loads(sys.stdin.readline())
def say(**line):
    print(json.dumps(line), flush=True)
players = [str(seat) for seat in range(hear()['players'])]
for player in players:
    say(to=player, message='number?', within=2)
said = {}
while len(said) < len(players):
    line = hear()
    number = line.get('message')
    who = line.get('from') or line.get('left') or line.get('late')
    said.setdefault(who, number if isinstance(number, (int, float)) else -1)
if 666 in said.values():
    raise SystemExit('that is no number')
say(scores=[said[player] for player in players])
";

/// A player that says `number`.
fn player(number: &str) -> String {
    format!(
        "import json, sys\nfor line in sys.stdin:\n    \
         print(json.dumps({{'message': {number}}}), flush=True)\n"
    )
}

/// A suite with as many opponents, who say 1, 2, …
fn suite(opponents: usize, more: &str) -> (Suite, Vec<(String, String)>) {
    let names: Vec<_> = (1..=opponents).map(|number| format!("\"all/p{number}\"")).collect();
    let text = format!(
        "kind = \"arena\"\nargv = [\"python3\", \"-IS\", \"play.py\"]\n\
         referee = [\"python3\", \"-IS\", \"{{suite}}/referee.py\"]\nopponents = [{}]\n{more}",
        names.join(", ")
    );
    let mut suite = config::parse(&text).unwrap();
    suite.limits = limits();
    let file = |number: usize| (format!("all/p{number}/play.py"), player(&number.to_string()));
    let mut files: Vec<_> = (1..=opponents).map(file).collect();
    files.push(("referee.py".to_owned(), REFEREE.to_owned()));
    (suite, files)
}

async fn open(world: &World, (suite, files): (Suite, Vec<(String, String)>)) -> Bench {
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    world.open(&suite, &files).await.unwrap()
}

async fn play(bench: &Bench, text: &str) -> Evaluation {
    bench.evaluate(&genome(&[("play.py", text)]), 5).await.unwrap()
}

fn number(evaluation: &Evaluation, name: &str) -> f64 {
    match evaluation.metrics.get(name) {
        Some(Metric::Number(number)) => *number,
        other => panic!("{name}: {other:?} in {evaluation:?}"),
    }
}

/// What an evaluation says of each match.
fn log(evaluation: &Evaluation) -> Vec<Value> {
    let text = std::str::from_utf8(&evaluation.artifacts["matches.jsonl"]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn who_is_better_wins_more_and_is_rated_higher() {
    let world = World::new();
    let bench = open(&world, suite(3, "")).await;
    let two = play(&bench, &player("2")).await;
    assert_eq!(two.scores, Ok(vec![0.5]), "{two:?}");
    for (name, expected) in [
        ("win_rate", 0.5),
        ("win_rate.p1", 1.0),
        ("win_rate.p2", 0.5),
        ("win_rate.p3", 0.0),
        ("points", 2.0),
        ("matches", 6.0),
    ] {
        assert_eq!(number(&two, name).to_bits(), f64::to_bits(expected), "{name}");
    }
    assert!((number(&two, "elo") - 1500.0).abs() < 1e-6, "{two:?}");
    assert!(!two.in_process && two.usage.cpu_us > 0 && two.usage.max_rss > 0);
    let log = log(&two);
    let scores: Vec<_> = log.iter().map(|line| line["scores"].to_string()).collect();
    // The agent's first, whatever its seat.
    assert_eq!(
        scores,
        ["[2.0,1.0]", "[2.0,1.0]", "[2.0,2.0]", "[2.0,2.0]", "[2.0,3.0]", "[2.0,3.0]"]
    );
    assert_eq!(log[4]["players"], serde_json::json!(["agent", "p3"]));
    let (worst, best) = (play(&bench, &player("0")).await, play(&bench, &player("9")).await);
    assert_eq!((worst.scores.clone(), best.scores.clone()), (Ok(vec![0.0]), Ok(vec![1.0])));
    assert!(number(&worst, "elo") < 1300.0 && number(&best, "elo") > 1700.0);
    bench.close().await;
}

#[tokio::test]
async fn seats_change_and_all_have_the_same_seed() {
    let world = World::new();
    let (suite, mut files) = suite(1, "matches = 4");
    let last = files.last_mut().unwrap();
    // The first seat begins; the seed is that of the match.
    last.1 = "
import json, sys
opening = json.loads(sys.stdin.readline())
print(json.dumps({'to': '0', 'message': None}), flush=True)
said = json.loads(sys.stdin.readline())['message']
assert said['seed'] == str(opening['seed']), said
print(json.dumps({'scores': [opening['seed'], said['own']]}), flush=True)
"
    .to_owned();
    let seeded = |own: i32| {
        player(&format!("{{'seed': __import__('os').environ['DARWIN_SEED'], 'own': {own}}}"))
    };
    files[0].1 = seeded(1);
    let bench = open(&world, (suite, files)).await;
    let evaluation = play(&bench, &seeded(2)).await;
    let scores: Vec<_> = log(&evaluation).iter().map(|line| line["scores"].to_string()).collect();
    assert_eq!(scores, ["[5.0,2.0]", "[1.0,6.0]", "[7.0,2.0]", "[1.0,8.0]"]);
    bench.close().await;
}

#[tokio::test]
async fn in_a_swiss_system_equals_meet_and_nobody_twice() {
    let world = World::new();
    let bench = open(&world, suite(7, "schedule = \"swiss\"\nrounds = 3\nmatches = 1")).await;
    let met = |evaluation: &Evaluation| {
        let name = |line: &Value| line["players"][1].as_str().unwrap().to_owned();
        log(evaluation).iter().map(name).collect::<Vec<_>>()
    };
    let best = play(&bench, &player("9")).await;
    let worst = play(&bench, &player("0")).await;
    // The first round is by place; then winners meet winners, and losers losers.
    assert_eq!(met(&best), ["p1", "p3", "p7"]);
    assert_eq!(met(&worst), ["p1", "p2", "p4"]);
    assert_eq!((number(&best, "win_rate"), number(&worst, "win_rate")), (1.0, 0.0));
    assert_eq!(number(&best, "matches"), 3.0);
    assert!(number(&best, "elo") > number(&worst, "elo") + 300.0);
    bench.close().await;
}

#[tokio::test]
async fn more_than_two_play_a_match_and_each_counts_against_each() {
    let world = World::new();
    let bench = open(&world, suite(3, "players = 3\nmatches = 1")).await;
    let evaluation = play(&bench, &player("2")).await;
    let log = log(&evaluation);
    assert_eq!(log.len(), 3);
    assert_eq!(log[2]["players"], serde_json::json!(["agent", "p3", "p1"]));
    assert_eq!(number(&evaluation, "win_rate.p1"), 1.0);
    assert_eq!(number(&evaluation, "win_rate"), 0.5);
    bench.close().await;
}

#[tokio::test]
async fn a_player_that_does_not_play_loses_and_is_told_why() {
    let world = World::new();
    let bench = open(&world, suite(1, "")).await;
    for (what, text, kind, said) in [
        ("does not start", "x(".to_owned(), FailureKind::Crashed, "SyntaxError"),
        ("ends", "raise SystemExit(3)".to_owned(), FailureKind::Crashed, "ended with status 3"),
        ("leaves at once", String::new(), FailureKind::Crashed, "ended without a result"),
        (
            "talks rubbish",
            "print('hi', flush=True)\ninput()".to_owned(),
            FailureKind::Crashed,
            "not what a program may say",
        ),
        (
            "says scores",
            "print('{\"scores\": [9, 0]}', flush=True)\ninput()".to_owned(),
            FailureKind::Crashed,
            "as only the referee may",
        ),
        (
            "talks to the other one",
            "print('{\"to\": \"1\", \"message\": 0}', flush=True)\n\
             print('{\"to\": \"0\", \"message\": 0}', flush=True)\ninput()"
                .to_owned(),
            FailureKind::Crashed,
            "may talk to the referee only",
        ),
        ("floods", "while True: print('x' * 1000)".to_owned(), FailureKind::Crashed, ""),
        (
            "is no number",
            player("666"),
            FailureKind::BadMetrics,
            "the referee failed: it ended with status 1: that is no number",
        ),
    ] {
        let evaluation = play(&bench, &text).await;
        assert_failed(evaluation.clone(), kind, said);
        assert!(
            !evaluation.metrics.contains_key("elo") || number(&evaluation, "win_rate") == 0.0,
            "{what}"
        );
    }
    // Who is late loses, but has played.
    let begun = Instant::now();
    let late = play(&bench, "import time\ntime.sleep(60)").await;
    assert_eq!(late.scores, Ok(vec![0.0]), "{late:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // Who plays once and then leaves has played too.
    let once = "
import json, os
if int(os.environ['DARWIN_SEED']) % 2: raise SystemExit('not today')
input()
print(json.dumps({'message': 5}), flush=True)
input()
";
    let once = play(&bench, once).await;
    assert_eq!(once.scores, Ok(vec![0.5]), "{once:?}");
    assert!(log(&once)[0]["left"]["agent"].as_str().unwrap().contains("not today"));
    // And it plays on with who behaves.
    assert_eq!(play(&bench, &player("2")).await.scores, Ok(vec![1.0]));
    bench.close().await;
}

#[tokio::test]
async fn who_ends_after_its_last_move_has_played_however_it_ends() {
    let world = World::new();
    let bench = open(&world, suite(1, "matches = 6")).await;
    for end in ["", "raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"] {
        let once = "import json\ninput()\nprint(json.dumps({'message': 5}), flush=True)\n";
        // Whether it goes before or after the match is over is chance: so it must not matter.
        for _ in 0..4 {
            let evaluation = play(&bench, &format!("{once}{end}")).await;
            assert_eq!(evaluation.scores, Ok(vec![1.0]), "{end}: {evaluation:?}");
            let left = log(&evaluation).iter().any(|line| line.get("left").is_some());
            assert!(!left || !end.is_empty(), "{evaluation:?}");
        }
    }
    bench.close().await;
}

#[tokio::test]
async fn who_floods_the_referee_is_put_out_and_crowds_out_nobody() {
    let world = World::new();
    let (mut suite, mut files) = suite(1, "matches = 2");
    suite.limits.output_kib = 4096;
    // It looks away for a while, as one that thinks long does.
    files.last_mut().unwrap().1 =
        REFEREE.replace("said = {}", "said = {}\nimport time\ntime.sleep(.5)");
    // It takes time to answer, too.
    files[0].1 = player("__import__('time').sleep(1) or 1");
    let bench = open(&world, (suite, files)).await;
    let flood = "
import json, sys
input()
for number in range(20000):
    print(json.dumps({'message': [number] * 10}), flush=True)
sys.stdin.read()
";
    let evaluation = play(&bench, flood).await;
    assert_eq!(evaluation.scores, Ok(vec![0.0]), "{evaluation:?}");
    for line in log(&evaluation) {
        // What the other one says is heard.
        assert_eq!(line["scores"], serde_json::json!([-1.0, 1.0]), "{evaluation:?}");
        let left = line["left"]["agent"].as_str().unwrap_or_default();
        assert!(left.contains("more than the referee takes off"), "{evaluation:?}");
    }
    bench.close().await;
}

#[tokio::test]
async fn players_see_neither_the_referee_nor_each_other() {
    let world = World::new();
    let bench = open(&world, suite(1, "matches = 2")).await;
    let spy = "
import json, os, sys
input()
found = [path for top in ('/suite', '/tmp', '/run', '/home', '/root')
         for path, _, files in os.walk(top) if 'referee.py' in files or path.endswith('all/p1')]
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        line = open('/proc/%s/cmdline' % pid).read()
    except OSError:
        continue
    if 'referee' in line or pid != str(os.getpid()) and 'play.py' in line:
        found.append(line)
print(json.dumps({'message': -5 if found else 2}), flush=True)
input()
";
    let evaluation = play(&bench, spy).await;
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn players_talk_to_each_other_where_they_may() {
    let world = World::new();
    let (suite, mut files) = suite(1, "talk = true\nmatches = 1");
    // It tells the agent a secret, which the agent says to the referee.
    files[0].1 = "import json\ninput()\n\
                  print(json.dumps({'to': '0', 'message': {'secret': 41}}), flush=True)\n\
                  print(json.dumps({'message': 1}), flush=True)\ninput()\n"
        .to_owned();
    let agent = "
import json, sys
for line in sys.stdin:
    line = json.loads(line)
    if line['from'] == '1':
        print(json.dumps({'message': line['message']['secret'] + 1}), flush=True)
";
    let bench = open(&world, (suite, files)).await;
    let evaluation = play(&bench, agent).await;
    assert_eq!(log(&evaluation)[0]["scores"], serde_json::json!([42.0, 1.0]), "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn a_referee_that_fails_without_the_agent_is_a_mistake_of_the_suite() {
    let world = World::new();
    for (referee, said) in [
        ("raise SystemExit('no game today')", "no game today"),
        ("print('{\"scores\": [1]}', flush=True)\ninput()\ninput()", "1 scores for 2 players"),
        ("print('hello', flush=True)\ninput()\ninput()", "not what a program may say"),
    ] {
        let (suite, mut files) = suite(2, "");
        files.last_mut().unwrap().1 = referee.to_owned();
        let bench = open(&world, (suite, files)).await;
        let error = bench.evaluate(&genome(&[("play.py", &player("1"))]), 1).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("between p1 and p2") && text.contains(said), "{text}");
        bench.close().await;
    }
}

#[tokio::test]
async fn a_match_that_nobody_waits_for_is_ended() {
    let world = World::new();
    let (mut suite, mut files) = suite(1, "");
    files.last_mut().unwrap().1 = "import time\ntime.sleep(60)".to_owned();
    let Method::Arena(arena) = &mut suite.method else { panic!("{suite:?}") };
    // So that they are known among those of other tests.
    arena.argv.push("match-4711".to_owned());
    arena.referee.push("match-4711".to_owned());
    let bench = open(&world, (suite, files)).await;
    let own = genome(&[("play.py", "import time\ntime.sleep(61)")]);
    let sleeps = || {
        processes().into_iter().filter(|(pid, _)| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("match-4711")
        })
    };
    let begun = Instant::now();
    let at_work = async {
        while sleeps().count() < 3 {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{:?}",
                sleeps().collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = bench.evaluate(&own, 1) => panic!("it ended"),
        () = at_work => {}
    }
    let begun = Instant::now();
    while sleeps().count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", sleeps().collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.close().await;
}
