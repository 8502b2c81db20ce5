//! What agents write reaches a terminal harmless, and a pipe or a file byte for byte.

use std::{io::Read as _, process::Stdio};

use serde_json::Value;

use crate::{problems::event, shell::Shell, terminal::terminal};

/// Colour, a title, a bell, the same of C1 in UTF-8, a return to the start of the line, DEL.
const EVIL: &str = "\x1b[31mA\x1b]0;B\x07C\u{9b}31mD\u{85}E\rF\x7fG";
const NOT_TEXT: &[u8] = b"\xff\x1b[31m\xfe\x9b\x00";

/// What it reports where a candidate asks for it, and how it fails else.
const EVALUATOR: &str = r"
import os, re
EVIL = '\x1b[31mA\x1b]0;B\x07C\x9b31mD\x85E\rF\x7fG'
def evaluate(path):
    text = open(os.path.join(path, 'program.py'), newline='').read()
    x = float(re.search('X = (.*)', text)[1])
    if os.path.exists(os.path.join(path, 'fails')):
        print(EVIL)
        raise ValueError(EVIL)
    return {'combined_score': -abs(x - 3), 'evil ' + EVIL: 1.0, 'text': EVIL,
            'artifacts': {'log ' + EVIL: 'log ' + EVIL, 'bytes': b'\xff\x1b[31m\xfe\x9b\x00'}}
";

const SPEC: &str = "
name = \"hostile\"
[agent]
files = [\"program.py\", \"data.bin\"]
[search]
population = 4
[suite]
name = \"hostile\"
kind = \"python\"
evaluator = \"evaluator.py\"
";

/// What the command shows on a terminal, both streams, whatever its status.
fn shown(shell: &Shell, line: &str) -> Vec<u8> {
    let (mut person, program) = terminal();
    let mut command = shell.command(line.split_whitespace());
    // Where we ourselves neither colour nor redraw, every escape is somebody else's.
    command.env("TERM", "dumb").stdin(Stdio::null());
    let mut child = command.stdout(program.try_clone().unwrap()).stderr(program).spawn().unwrap();
    drop(command);
    let mut screen = Vec::new();
    let _ = person.read_to_end(&mut screen);
    child.wait().unwrap();
    screen
}

fn assert_harmless(line: &str, screen: &[u8]) {
    let text =
        str::from_utf8(screen).unwrap_or_else(|_| panic!("{line}: {}", screen.escape_ascii()));
    // The terminal itself makes a newline a return and a newline.
    let text = text.replace("\r\n", "\n");
    let bad = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    assert_eq!(text.chars().find(bad), None, "darwin {line}: {text:?}");
}

fn piped(shell: &Shell, line: &str) -> Vec<u8> {
    let said = shell.command(line.split_whitespace()).output().unwrap();
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
    said.stdout
}

#[test]
fn whatever_agents_write_steers_no_terminal_and_is_exact_in_a_pipe() {
    let shell = Shell::new();
    let program =
        format!("# {EVIL}\n# EVOLVE-BLOCK-START\nX = 1.0\n# EVOLVE-BLOCK-END\n# {EVIL}\n");
    for dir in ["hostile", "failing"] {
        shell.write(&format!("{dir}/program.py"), &program);
        shell.write(&format!("{dir}/data.bin"), NOT_TEXT);
    }
    shell.write("failing/fails", "");
    shell.write("hostile/evaluator.py", EVALUATOR);
    shell.write("hostile/darwin.toml", SPEC);
    shell.write("notes", EVIL);
    shell.good("session new notes");
    shell.good("session context notes --set notes");

    let ran = shell.json("evolve hostile --session notes --max-evaluations 24");
    let run = ran["id"].as_str().unwrap();
    let tree = shell.json(&format!("lineage tree {run} --all"));
    let agents = tree["agents"].as_array().unwrap();
    let initial = agents.iter().find(|it| it["generation"] == 0 && it["slot"] == 0).unwrap();
    let first = initial["id"].as_str().unwrap().to_owned();
    let failed = shell.run("eval failing --suite hostile --json");
    assert_eq!(failed.status, 1, "{}", failed.err);
    let failed: Value = serde_json::from_str(failed.out.lines().next().unwrap()).unwrap();
    let failed = failed["agent"].as_str().unwrap();
    // The attack arrived: it is in the record of both.
    let entry = |agent: &str| -> Value {
        serde_json::from_str(&shell.good(&format!("journal {agent} --json"))).unwrap()
    };
    let recorded = event(&entry(&first), "evaluated").clone();
    assert_eq!(recorded["metrics"]["text"], EVIL);
    assert_eq!(recorded["metrics"][format!("evil {EVIL}")], 1.0);
    assert_eq!(recorded["artifacts"][format!("log {EVIL}")], format!("log {EVIL}"));
    assert_eq!(recorded["artifacts"]["bytes"]["base64"], "/xtbMzFt/psA");
    let fault = event(&entry(failed), "evaluated").clone();
    assert!(fault["artifacts"]["traceback"].as_str().unwrap().contains(EVIL), "{fault}");

    let mut lines = vec![
        format!("eval {first} --suite hostile"),
        "eval failing --suite hostile".to_owned(),
        format!("agents files {run} program.py"),
        format!("agents files {run} data.bin"),
        format!("agents files {run} \x1b[31m\u{9b}31m"),
        format!("agents artifacts {run} bytes"),
        format!("agents artifacts {run} \x1b[31m\u{9b}31m"),
        format!("agents artifacts {failed} traceback"),
        format!("agents artifacts {failed} stdout"),
        format!("journal {run} --format markdown"),
        format!("journal {failed} --format markdown"),
        format!("runs show {run} --spec"),
        format!("evolve hostile --max-evaluations 4"),
    ];
    let both = [
        format!("agents show {run}"),
        format!("agents files {run}"),
        format!("agents artifacts {run}"),
        format!("agents artifacts {failed}"),
        format!("journal {run}"),
        format!("journal {failed}"),
        format!("lineage diff {first} {run}"),
        format!("lineage tree {run} --all"),
        format!("lineage ancestors {run}"),
        format!("lineage descendants {first}"),
        format!("runs show {run}"),
        "runs list".to_owned(),
        "session context notes".to_owned(),
        "session resume notes".to_owned(),
        "session list".to_owned(),
    ];
    lines.extend(both.iter().cloned());
    lines.extend(both.iter().map(|line| format!("{line} --json")));
    for line in lines {
        let screen = shown(&shell, &line);
        assert!(screen.len() > 10, "{line}: {screen:?}");
        assert_harmless(&line, &screen);
    }

    let best = format!("agents files {run} data.bin");
    assert_eq!(piped(&shell, &best), NOT_TEXT);
    assert_eq!(piped(&shell, &format!("agents files {first} program.py")), program.as_bytes());
    assert_eq!(piped(&shell, &format!("agents artifacts {run} bytes")), NOT_TEXT);
    assert_eq!(piped(&shell, "session context notes"), EVIL.as_bytes());
}

#[test]
fn artefacts_are_listed_by_evaluation_and_given_out_byte_for_byte() {
    let shell = Shell::new();
    let program = "# EVOLVE-BLOCK-START\nX = 1.0\n# EVOLVE-BLOCK-END\n";
    shell.write("agent/program.py", program);
    let suite = |bytes: &str| {
        format!(
            "def evaluate(path):\n    return {{'combined_score': 1.0, 'artifacts': {{'plot': {bytes}, \
             'log': 'é'}}}}\n"
        )
    };
    let toml = "name = \"s\"\nkind = \"python\"\nevaluator = \"evaluator.py\"\n";
    for (dir, bytes) in [("one", r"b'\xff\x00one'"), ("two", r"b'\xff\x00two'")] {
        shell.write(&format!("{dir}/evaluator.py"), suite(bytes));
        shell.write(&format!("{dir}/suite.toml"), toml);
    }
    let first = shell.json("eval agent --suite one");
    let agent = first["agent"].as_str().unwrap();
    assert_eq!(first["evaluations"][0]["artifacts"]["plot"]["base64"], "/wBvbmU=");
    assert_eq!(first["evaluations"][0]["artifacts"]["log"], "é");
    shell.good(&format!("eval {agent} --suite two"));

    let rows = shell.good(&format!("agents artifacts {agent}"));
    let rows: Vec<Vec<_>> = rows.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["EVALUATION", "ARTIFACT", "SIZE"]);
    assert_eq!(rows[1..3], [["1", "log", "2", "B"], ["1", "plot", "5", "B"]]);
    assert_eq!(rows[3..], [["2", "log", "2", "B"], ["2", "plot", "5", "B"]]);
    let given = |rest: &str| piped(&shell, &format!("agents artifacts {agent} {rest}"));
    assert_eq!(given("plot"), b"\xff\x00two", "the last one counts");
    assert_eq!(given("plot --evaluation 1"), b"\xff\x00one");
    let json = shell.json(&format!("agents artifacts {agent} plot --evaluation 1"));
    assert_eq!((&json["kind"], &json["size"]), (&"artifact".into(), &5.into()));
    assert_eq!(json["content"]["base64"], "/wBvbmU=");
    let json = shell.json(&format!("agents artifacts {agent} --evaluation 2"));
    assert_eq!(json["artifacts"].as_array().unwrap().len(), 2);
    assert_eq!(
        json["artifacts"][1],
        serde_json::json!({"evaluation": 2, "name": "plot", "size": 5})
    );
    let line = format!("agents artifacts {agent} none");
    shell.fails(&line, 1, &["left an artefact “none”", "darwin agents artifacts"]);
    shell.fails(&format!("agents artifacts {agent} plot --evaluation 3"), 1, &["“plot”"]);
}
