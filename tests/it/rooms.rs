//! Talk in the rooms of a session.

use std::{
    fs,
    io::Write as _,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    home::until,
    shell::{Said, Shell},
};

/// Somebody in a room: types into a pipe, and what is heard goes to a file.
struct Talker<'a> {
    shell: &'a Shell,
    child: Child,
    name: &'a str,
}

impl<'a> Talker<'a> {
    fn enter(shell: &'a Shell, name: &'a str, line: &str) -> Self {
        let file = |end: &str| fs::File::create(shell.path(&format!("{name}.{end}"))).unwrap();
        let line = format!("session join {line} --as {name} --json");
        let mut command: Command = shell.command(line.split_whitespace());
        command.stdin(Stdio::piped()).stdout(file("out")).stderr(file("err"));
        let talker = Self { shell, child: command.spawn().unwrap(), name };
        talker.hears("entered", |event| event["event"] == "entered");
        talker
    }

    fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn heard(&self) -> Vec<Value> {
        let out = fs::read_to_string(self.shell.path(&format!("{}.out", self.name))).unwrap();
        let whole = out.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn hears(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{} hears {what}", self.name);
        until(&what, || self.heard().into_iter().find(&is))
    }

    fn hears_of(&self, from: &str, content: &str) {
        self.hears(content, |event| event["from"] == from && event["content"] == content);
    }

    /// Leaves by the end of the input, or waits for another end.
    fn ends(mut self, leaves: bool) -> Said {
        if leaves {
            drop(self.child.stdin.take());
        }
        let status = until("it ends", || self.child.try_wait().unwrap());
        let read = |end| fs::read_to_string(self.shell.path(&format!("{}.{end}", self.name)));
        let (out, err) = (read("out").unwrap(), read("err").unwrap());
        Said { status: status.code().unwrap_or(-1), out, err }
    }
}

#[test]
fn people_in_a_room_hear_each_other_and_nobody_else_does() {
    let shell = Shell::new();
    shell.good("session new packing");
    let none = shell.run("session rooms packing");
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    assert!(none.err.contains("darwin session join ROOM"), "{}", none.err);

    let mut bob = Talker::enter(&shell, "bob", "plan --session packing");
    let mut ann = Talker::enter(&shell, "ann", "plan --session packing");
    let elsewhere = Talker::enter(&shell, "eve", "plan");
    let other = Talker::enter(&shell, "joe", "other --session packing");
    let there = &ann.heard()[0]["members"];
    assert_eq!((&there[0]["name"], there.as_array().unwrap().len()), (&json!("bob"), 1));
    bob.hears("ann came", |event| event["member"]["name"] == "ann");
    ann.types("hello");
    ann.types("@bob for you: é");
    ann.types("@nobody there?");
    bob.types("good day");
    bob.hears_of("ann", "hello");
    bob.hears_of("ann", "for you: é");
    ann.hears_of("bob", "good day");
    let lost = ann.hears("that nobody got it", |event| event["event"] == "undelivered");
    assert_eq!((&lost["to"], &lost["kind"]), (&json!("nobody"), &json!("talk")));
    assert!(lost["reason"].as_str().unwrap().contains("nobody in the room is called nobody"));

    let rooms = shell.json("session rooms packing");
    let names = |room: usize| {
        let members = rooms["rooms"][room]["members"].as_array().unwrap();
        members.iter().map(|member| member["name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((names(0), names(1)), (vec!["joe"], vec!["ann", "bob"]));
    let shown = shell.good("session rooms packing");
    assert!(shown.contains("plan   ann, bob"), "{shown}");

    shell.fails(
        "session join plan --session packing --as ann",
        1,
        &["called ann already", "--as NAME"],
    );
    shell.fails("session join no/name", 64, &["“no/name” is no name"]);
    shell.fails("session join plan --session nobody", 1, &["there is no session “nobody”"]);

    // Who leaves, and who does by Ctrl-C.
    assert_eq!(ann.ends(true).status, 0);
    bob.hears("ann left", |event| event["event"] == "left" && event["name"] == "ann");
    let mut zoe = Talker::enter(&shell, "zoe", "plan --session packing");
    let pid = Pid::from_child(&zoe.child);
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(zoe.child.wait().unwrap().code(), Some(130));
    bob.hears("zoe left", |event| event["event"] == "left" && event["name"] == "zoe");
    for quiet in [&elsewhere, &other] {
        assert_eq!(quiet.heard().len(), 1, "{:?}", quiet.heard());
    }
    // A daemon that ends says so to who stays.
    shell.good("down");
    let said = bob.ends(false);
    assert_eq!(said.status, 69, "{}\n{}", said.out, said.err);
    elsewhere.ends(false);
    other.ends(false);
}

#[test]
fn what_is_said_comes_whole_and_in_order_however_much_it_is() {
    let shell = Shell::new();
    let bob = Talker::enter(&shell, "bob", "plan");
    let mut ann = Talker::enter(&shell, "ann", "plan");
    let long = "x".repeat(200_000);
    for n in 0..40 {
        ann.types(&format!("@bob {n} {}", &long[..n * 5000]));
        // Not faster than it is read: what is too much is told, and not kept.
        bob.hears(&format!("message {n}"), |event| {
            event["content"].as_str().is_some_and(|text| text.starts_with(&format!("{n} ")))
        });
    }
    assert_eq!(ann.ends(true).status, 0);
    let heard = bob.heard();
    let sizes = heard.iter().filter_map(|event| event["content"].as_str()).map(str::len);
    let sent = (0..40).map(|n| format!("{n} ").len() + n * 5000);
    assert_eq!(sizes.collect::<Vec<_>>(), sent.collect::<Vec<_>>());
    let over = shell.path("over");
    fs::write(&over, "x".repeat(300_000)).unwrap();
    let mut command = shell.command(["session", "join", "plan", "--as", "joe"]);
    let said = Said::of(command.stdin(fs::File::open(over).unwrap()).output().unwrap());
    said.failed("join", 64, &["a line is longer than 256 KiB"]);
    assert_eq!(bob.ends(true).status, 0);
}

/// An agent that says back what it hears, and knows one riddle.
const PARROT: &str = r#"
import json, sys
for line in sys.stdin:
    heard = json.loads(line)
    if heard["message"] == "bye":
        sys.exit("it had enough")
    answer = {"message": {"you": heard["from"], "said": heard["message"]}}
    if heard["message"] == "alone":
        answer["to"] = heard["from"]
    print(json.dumps(answer), flush=True)
"#;

#[test]
fn an_agent_in_a_room_talks_with_who_is_there_until_it_leaves() {
    let shell = Shell::new();
    shell.write("agent/parrot.py", PARROT);
    shell.write(
        "agent/suite.toml",
        "kind = \"command\"\nargv = [\"echo\", \"{\\\"combined_score\\\": 1}\"]\n",
    );
    shell.write(
        "agent/darwin.toml",
        "name = \"parrot\"\nsuite = \"suite.toml\"\n[agent]\nfiles = [\"parrot.py\"]\n",
    );
    let agent = shell.json("eval agent")["agent"].as_str().unwrap().to_owned();
    shell.fails(&format!("session invite cage {agent}"), 64, &["no suite says how", "-- PROGRAM"]);
    let line = format!("session invite cage {agent} --as polly -- python3 parrot.py");
    let cage = shell.start(&line);
    cage.waits_for("polly is in cage");
    let mut ann = Talker::enter(&shell, "ann", "cage");
    let mut bob = Talker::enter(&shell, "bob", "cage");
    ann.types("hello");
    for who in [&ann, &bob] {
        who.hears_of("polly", r#"{"said":"hello","you":"ann"}"#);
    }
    bob.types("@polly alone");
    bob.hears_of("polly", r#"{"said":"alone","you":"bob"}"#);
    bob.types("@polly {\"sum\": [1, 2]}");
    ann.hears_of("polly", r#"{"said":{"sum":[1,2]},"you":"bob"}"#);
    assert!(!ann.heard().iter().any(|event| event.to_string().contains("alone")));
    shell.fails(&line, 1, &["called polly already"]);
    ann.types("@polly bye");
    bob.hears("polly left", |event| event["event"] == "left" && event["name"] == "polly");
    cage.end().failed("invite", 1, &["polly has left", "it had enough"]);
    // Who invited it takes it along; and it stays no longer than it may.
    let cage = shell.start(&line);
    bob.hears("it again", |event| event["event"] == "joined" && event["member"]["name"] == "polly");
    cage.interrupt();
    assert_eq!(cage.end().status, 130);
    until("it is gone", || {
        let rooms = shell.json("session rooms").to_string();
        (!rooms.contains("polly")).then_some(())
    });
    let line = line.replace(" -- ", " --time 500ms -- ");
    shell.start(&line).end().failed("invite", 1, &["did not end within 0.5 s"]);
    ann.ends(true);
    bob.ends(true);
}
