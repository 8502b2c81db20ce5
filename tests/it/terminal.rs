//! What a person sees on a terminal, and what a pipe gets in its place.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    process::Stdio,
};

use regex::Regex;
use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::shell::Shell;

const SPHERE: &str = "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 3\n";
/// Long enough for some frames.
const EVOLVE: &str = "evolve spec.toml --max-time 700ms --max-generations 1000000000";

/// The end of a terminal at which the person sits, and the one at which the program writes.
pub fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&person, size).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(OsStr::from_bytes(name.as_bytes()))
        .unwrap();
    (person.into(), program)
}

/// What a person sees of the command, and its stdout if that is a pipe.
fn seen(shell: &Shell, env: &[(&str, &str)], line: &str, piped: bool) -> (String, String) {
    let (mut person, program) = terminal();
    let mut command = shell.command(line.split_whitespace());
    command.envs(env.iter().copied()).stdin(program.try_clone().unwrap());
    let out = if piped { Stdio::piped() } else { program.try_clone().unwrap().into() };
    let mut child = command.stdout(out).stderr(program).spawn().unwrap();
    // Its own copies of the terminal would keep it open.
    drop(command);
    let mut screen = Vec::new();
    // When the last program has closed it, reading from it is an error.
    let _ = person.read_to_end(&mut screen);
    let mut data = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut data).unwrap();
    }
    let screen = String::from_utf8(screen).unwrap();
    assert!(child.wait().unwrap().success(), "{screen}");
    (screen, data)
}

/// What a person sees who types `answer`, and how the command ends.
fn asked(shell: &Shell, line: &str, answer: &str) -> (i32, String) {
    let (mut person, program) = terminal();
    let mut command = shell.command(line.split_whitespace());
    command.stdin(program.try_clone().unwrap()).stdout(Stdio::null()).stderr(program);
    let mut child = command.spawn().unwrap();
    drop(command);
    person.write_all(format!("{answer}\n").as_bytes()).unwrap();
    let mut screen = Vec::new();
    let _ = person.read_to_end(&mut screen);
    (child.wait().unwrap().code().unwrap(), String::from_utf8(screen).unwrap())
}

fn colours(text: &str) -> usize {
    Regex::new("\x1b\\[[0-9;]*m").unwrap().find_iter(text).count()
}

/// How often lines were drawn over those before.
fn redrawn(text: &str) -> usize {
    text.matches("\x1b[2K").count()
}

fn shell() -> Shell {
    let shell = Shell::new();
    shell.write("spec.toml", SPHERE);
    shell.good("up");
    shell
}

#[test]
fn a_run_is_drawn_in_place_and_in_colour() {
    let shell = shell();
    let (screen, _) = seen(&shell, &[("TERM", "xterm-256color")], EVOLVE, false);
    assert!(redrawn(&screen) > 3 && colours(&screen) > 10, "{screen:?}");
    assert!(screen.contains("running · generation ") && screen.contains("% of 0.7s"), "{screen:?}");
    // What is left at the end is the summary, in place of what was drawn.
    let end = screen.rsplit("\x1b[2K").next().unwrap();
    assert!(end.contains("finished: its time is used up"), "{end:?}");
    assert!(!end.contains("running") && end.contains("next:\r\n  darwin agents export"), "{end:?}");
    let (list, _) = seen(&shell, &[("TERM", "xterm")], "runs list", false);
    assert!(colours(&list) > 0 && redrawn(&list) == 0, "{list:?}");
}

#[test]
fn no_color_leaves_the_colour_out_and_nothing_else() {
    let shell = shell();
    let env = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
    let (screen, _) = seen(&shell, &env, EVOLVE, false);
    assert!(redrawn(&screen) > 3 && colours(&screen) == 0, "{screen:?}");
    let (list, _) = seen(&shell, &env, "runs list", false);
    assert!(list.contains("STATE") && !list.contains('\x1b'), "{list:?}");
    // Set but empty it counts as not set, as no-color.org has it.
    let env = [("TERM", "xterm-256color"), ("NO_COLOR", "")];
    assert!(colours(&seen(&shell, &env, "runs list", false).0) > 0);
}

#[test]
fn a_terminal_that_can_do_nothing_gets_lines() {
    let shell = shell();
    for env in [&[("TERM", "dumb")][..], &[("TERM", "")], &[]] {
        let (screen, _) = seen(&shell, env, EVOLVE, false);
        assert!(!screen.contains('\x1b'), "{env:?}: {screen:?}");
        assert!(screen.contains("\ngeneration "), "{env:?}: {screen:?}");
        assert!(screen.contains("finished: its time is used up"), "{env:?}: {screen:?}");
    }
}

#[test]
fn a_pipe_gets_neither_colour_nor_progress() {
    let shell = shell();
    let said = shell.run_with(&[("TERM", "xterm-256color")], EVOLVE);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(!said.out.contains('\x1b') && !said.err.contains('\x1b'), "{}{}", said.out, said.err);
    assert!(said.err.contains("\ngeneration ") && said.out.starts_with("run "), "{}", said.err);
    // Data in a pipe is plain, while the person still sees the run.
    let (screen, data) = seen(&shell, &[("TERM", "xterm")], EVOLVE, true);
    assert!(redrawn(&screen) > 3 && colours(&screen) > 0, "{screen:?}");
    assert!(data.contains("finished") && !data.contains('\x1b'), "{data:?}");
    let (screen, data) = seen(&shell, &[("TERM", "xterm")], &format!("{EVOLVE} --json"), true);
    assert_eq!(redrawn(&screen), 0, "{screen:?}");
    serde_json::from_str::<serde_json::Value>(&data).unwrap();
}

#[test]
fn what_is_quiet_or_binary_is_not_for_a_terminal() {
    let shell = shell();
    let (screen, _) = seen(&shell, &[("TERM", "xterm")], &format!("{EVOLVE} -q"), false);
    assert!(redrawn(&screen) == 0 && !screen.contains("next:"), "{screen:?}");
    assert!(screen.contains("its time is used up"), "{screen:?}");
    let (person, program) = terminal();
    let run = shell.json("evolve spec.toml --max-generations 1")["id"].clone();
    let mut command = shell.command(["lineage", "export", run.as_str().unwrap(), "-q"]);
    let said = command.stdout(program).output().unwrap();
    drop(person);
    assert_eq!(said.status.code(), Some(64));
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(text.contains("a CAR file is binary") && text.contains("-o lineage.car"), "{text}");
}

#[test]
fn who_shreds_a_session_types_its_name() {
    let shell = shell();
    let session = shell.good("session new packing");
    shell.good("session close packing");
    let line = format!("session shred {}", &session[..13]);
    for wrong in ["", "y", "Packing", &session[..13]] {
        let (status, screen) = asked(&shell, &line, wrong);
        assert_eq!(status, 64, "{screen}");
        for part in ["there is no way back", "type its name", "nothing was destroyed"] {
            assert!(screen.contains(part), "{part}: {screen}");
        }
        assert_eq!(shell.json("session list --all")["sessions"][0]["shredded"], false);
    }
    let (status, screen) = asked(&shell, &line, "packing");
    assert!(status == 0 && screen.contains("its key is destroyed"), "{screen}");
    assert_eq!(shell.json("session list --all")["sessions"][0]["shredded"], true);
    // There is nothing left to be asked about.
    let (status, screen) = asked(&shell, &line, "");
    assert!(status == 0 && !screen.contains("type its name"), "{screen}");
}
