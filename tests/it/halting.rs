//! The kill switch, and the way back to an earlier generation.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{home::until, shell::Shell};

/// From the kill to the last process dead.
const AT_ONCE: Duration = Duration::from_millis(250);

/// How many processes have this mark in their command line.
fn marked(mark: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let line = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    entries.filter_map(line).filter(|line| line.contains(mark)).count()
}

/// A project whose candidates, once `slow` is there, start a tree of processes and sleep.
fn stubborn(shell: &Shell, mark: &str) {
    shell.write("stubborn/program.py", "X = 1.0\n");
    shell.write(
        "stubborn/darwin.toml",
        "name = \"stubborn\"\n[agent]\nfiles = [\"program.py\"]\n[search]\npopulation = 4\n\
         [stop]\ngenerations = 1000000\n\
         [suite]\nname = \"stubborn\"\nkind = \"python\"\nevaluator = \"evaluator.py\"\n\
         [suite.limits]\ntime = 600\n",
    );
    shell.write(
        "stubborn/evaluator.py",
        format!(
            "import os, runpy, signal, subprocess, time\n\
             def evaluate(path):\n\
             \x20   x = runpy.run_path(path)['X']\n\
             \x20   if int(os.environ['DARWIN_SEED']) % 3 == 0 or x != 1.0:\n\
             \x20       signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
             \x20       child = 'trap \"\" TERM HUP INT; setsid sleep {mark} & sleep {mark}'\n\
             \x20       subprocess.run(['sh', '-c', child])\n\
             \x20   return {{'combined_score': x}}\n"
        ),
    );
}

#[test]
fn what_a_run_executes_is_dead_at_once_when_it_is_killed() {
    let shell = Shell::new();
    shell.good("up");
    for (mark, line) in [("93617", "runs stop {run} --now"), ("93618", "runs stop --all --now")] {
        stubborn(&shell, mark);
        let run = shell.good("evolve stubborn --detach --workers 2");
        let run = run.trim();
        until("its candidates are at work", || (marked(mark) >= 2).then_some(()));
        let before = shell.json(&format!("runs show {run}"));
        let begun = Instant::now();
        let said = shell.run(&line.replace("{run}", run));
        until("they are dead", || (marked(mark) == 0).then_some(()));
        // The command itself starts and connects within that time.
        assert!(begun.elapsed() < AT_ONCE + Duration::from_millis(250), "{:?}", begun.elapsed());
        assert_eq!(said.status, 0, "{}", said.err);
        assert!(said.err.contains("is stopped; `darwin runs resume"), "{}", said.err);
        let after = shell.json(&format!("runs show {run}"));
        assert_eq!(after["reason"], "killed by the user");
        // Nothing came of what was killed.
        assert_eq!((&before["failed"], &after["failed"]), (&0.into(), &0.into()));
        // Nobody is there to be killed any more, and it can go on.
        shell.fails(&format!("runs stop {run} --now"), 1, &["cannot be stopped"]);
        shell.good(&format!("runs resume {run} --detach"));
        until("they are at work again", || (marked(mark) >= 2).then_some(()));
        shell.good(&format!("runs stop {run} --now"));
        until("they are dead", || (marked(mark) == 0).then_some(()));
    }
    let said = shell.run("runs stop --all");
    assert_eq!((said.status, said.err.trim()), (0, "no run is at work"));
}

#[test]
fn a_run_goes_back_and_on_from_there() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 7 --max-generations 20");
    let id = run["id"].as_str().unwrap();
    let said = shell.run(&format!("runs rollback {id} --to 12"));
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("goes on from generation 12 of run"), "{}", said.err);
    assert!(said.out.contains("goes on from"), "{}", said.out);

    let back = shell.json(&format!("runs rollback {id} --before {}", best_of(&shell, id)));
    assert_eq!((&back["state"], &back["origin"]), (&"stopped".into(), &run["id"]));
    assert!(back["best"].as_f64() > run["best"].as_f64(), "a sphere is minimised: {back}");
    let new = back["id"].as_str().unwrap();
    let went_on = shell.json(&format!("runs resume {new} --max-generations 25"));
    assert_eq!((&went_on["state"], &went_on["generation"]), (&"finished".into(), &25.into()));

    // Its agents descend from those before them, across the runs, and all of it verifies.
    let best = went_on["best_agent"].as_str().unwrap();
    let ancestors = shell.json(&format!("lineage ancestors {best} --limit 1000"));
    let ancestors = ancestors["agents"].as_array().unwrap();
    assert_eq!(shell.json(&format!("agents show {best}"))["run"], went_on["id"]);
    assert!(ancestors.iter().any(|agent| agent["run"] == run["id"]), "{ancestors:?}");
    let set_aside = |agent: &&serde_json::Value| {
        agent["run"] == run["id"]
            && agent["generation"].as_u64() > back["origin_generation"].as_u64()
    };
    assert_eq!(ancestors.iter().filter(set_aside).count(), 0);
    shell.good(&format!("lineage verify {best}"));
    shell.good(&format!("lineage export {best} -o kept.car"));
    shell.good("lineage verify kept.car");
    shell.good("store verify");
}

fn best_of(shell: &Shell, run: &str) -> String {
    let run = shell.json(&format!("runs show {run}"));
    run["best_agent"].as_str().unwrap().to_owned()
}

#[test]
fn a_way_back_that_is_not_there_is_told_with_what_to_do() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 7 --max-generations 3");
    let id = run["id"].as_str().unwrap();
    shell.fails(&format!("runs rollback {id} --to 9"), 1, &["no whole generation 9", "earlier"]);
    shell.fails(&format!("runs rollback {id} --before 0198c2a4"), 1, &["0198c2a4"]);
    shell.fails("runs rollback 0198c2a4", 1, &["0198c2a4"]);
    shell.fails(&format!("runs rollback {id} --to 1 --before x"), 64, &["cannot be used"]);
    shell.fails("runs stop", 64, &["--all"]);
    assert_eq!(shell.json("runs list")["runs"].as_array().unwrap().len(), 1);
}
