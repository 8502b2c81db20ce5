//! The first process inside: builds the view, gives up what it has, becomes the harness.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs, io,
    os::{
        fd::AsFd as _,
        unix::{
            fs::{PermissionsExt as _, chown},
            net::UnixStream,
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::{
    confine, filter,
    place::Place,
    process,
    reach::{self, Reach},
    run, serve, tell, view,
};
use crate::daemon::evaluator::plan::{Contract, Fault, Plan, Start, Task, USER};

/// The warm Python harness, and what evaluators may import.
const HARNESS: [(&str, &[u8]); 6] = [
    ("harness.py", include_bytes!("../harness.py")),
    ("harness_base.py", include_bytes!("../harness_base.py")),
    ("harness_candidate.py", include_bytes!("../harness_candidate.py")),
    ("harness_contract.py", include_bytes!("../harness_contract.py")),
    ("evaluation_result.py", include_bytes!("../evaluation_result.py")),
    ("shinka_core.py", include_bytes!("../shinka_core.py")),
];
/// Where programs are found inside.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Held by our own files: which descriptor the harness has its socket at.
const CONTROL: i32 = 3;

/// Becomes the harness; `user` is who to become where there are no namespaces.
/// Returns only if it cannot.
pub fn become_inner(plan: &Plan, control: &UnixStream, user: Option<u32>, spaces: bool) -> Fault {
    match prepare(plan, control, user, spaces) {
        Ok(never) => match never {},
        Err(fault) => fault,
    }
}

fn prepare(
    plan: &Plan,
    control: &UnixStream,
    user: Option<u32>,
    spaces: bool,
) -> Result<Infallible, Fault> {
    let layer = |name: &'static str| move |error: io::Error| Fault::new(name, &error);
    let program = filter::candidate().map_err(layer("system call filter"))?;
    let steps = filter::bytes(&program);
    let inside = if spaces {
        Inside { ours: view::OURS.into(), suite: view::SUITE.into(), tmp: view::TMP.into() }
    } else {
        let (ours, tmp) = (plan.room.join("ours"), plan.room.join("tmp"));
        Inside { ours, suite: plan.suite.clone(), tmp }
    };
    if !spaces {
        if plan.models.is_some() {
            return Err(no_models());
        }
        make_room(plan, &inside).map_err(layer("scratch directory"))?;
    }
    let reach = reach(plan, &inside, spaces);
    let task = task(plan, &inside, spaces, reach.as_ref());
    let own: [(&str, &[u8]); 2] = [("task.json", task.as_bytes()), ("filter", &steps)];
    let files = [&HARNESS[..], &own].concat();
    let programs = matches!(plan.task, Task::Programs { .. });
    let listener;
    if spaces {
        process::name_host("darwin");
        let parts = view::Parts::open(&plan.binds, &plan.suite, plan.models.as_deref(), programs)
            .map_err(layer("mounts"))?;
        confine::become_user(USER).map_err(layer("own user"))?;
        let options = view::tmp_options(plan.limits.disk_mib);
        parts.enter(&files, &options).map_err(layer("mounts"))?;
        listener = programs.then(|| run::listen(&inside.ours)).transpose();
        view::seal().map_err(layer("mounts"))?;
    } else {
        furnish(&inside, &files, user).map_err(layer("scratch directory"))?;
        listener = programs.then(|| run::listen(&inside.ours)).transpose();
        if let Some(user) = user {
            confine::become_user(user).map_err(layer("own user"))?;
        }
    }
    let listener = listener.map_err(layer("socket"))?;
    confine::die_with_parent().map_err(layer("parent's death"))?;
    confine::limit(&plan.limits, &plan.group, plan.task.own()).map_err(layer("resource limits"))?;
    if spaces {
        confine::keep_only_namespaces().map_err(layer("privileges"))?;
    } else {
        confine::drop_privileges().map_err(layer("privileges"))?;
    }
    reach::be_quiet().map_err(layer("Landlock"))?;
    match &reach {
        Some(reach) if !spaces => reach.enter(&inside.tmp, &[]).map_err(layer("Landlock"))?,
        _ => {}
    }
    let outer = filter::program(spaces).map_err(layer("system call filter"))?;
    seccompiler::apply_filter(&outer)
        .map_err(|error| Fault::new("system call filter", &io::Error::other(error)))?;
    let ready = |stages| Start::Ready { stages, staged: false, contained: spaces };
    match (&plan.task, listener) {
        (Task::Python { python, .. }, _) => {
            let error = become_python(python, &inside, plan.models.is_some(), control);
            Err(Fault::new("the interpreter's start", &error))
        }
        (Task::Programs { bin }, Some(listener)) => {
            let place = Place {
                suite: &inside.suite,
                tmp: &inside.tmp,
                ours: &inside.ours,
                environment: environment(&inside.tmp, bin.as_deref()),
                models: plan.models.is_some(),
                filter: &program,
                reach: reach.as_ref(),
                limits: &plan.limits,
                namespaces: spaces,
            };
            tell(control, &ready(1));
            serve::serve(&place, &listener, control);
            std::process::exit(0);
        }
        (Task::Probe | Task::Programs { .. }, _) => {
            tell(control, &ready(0));
            std::process::exit(0);
        }
    }
}

/// That there is no way to open one socket and no other.
fn no_models() -> Fault {
    let reason = "without namespaces, who may connect to one socket may to all of this machine";
    let hint = "allow namespaces (see `darwin doctor`), or take a suite without models";
    Fault { layer: "model access".into(), reason: reason.into(), hint: hint.into() }
}

/// Where things are, seen from inside.
struct Inside {
    ours: PathBuf,
    suite: PathBuf,
    tmp: PathBuf,
}

/// What candidates may reach at most: all of the view, or where there is none what it would
/// show.
fn reach(plan: &Plan, inside: &Inside, spaces: bool) -> Option<Reach> {
    if spaces {
        return Reach::new(&["/".into()], &["/dev".into()]);
    }
    let (mut readable, devices) = view::without();
    readable.extend_from_slice(&plan.binds);
    readable.extend([inside.suite.clone(), inside.ours.clone()]);
    // Our own program, as which `darwin-run` starts.
    readable.extend(std::env::current_exe().ok());
    Reach::new(&readable, &devices)
}

fn task(plan: &Plan, inside: &Inside, spaces: bool, reach: Option<&Reach>) -> String {
    let Task::Python { path, evaluator, contract, .. } = &plan.task else {
        return String::new();
    };
    let (args, cascade, thresholds, times) = match contract {
        Contract::Functions { cascade, thresholds, times } => {
            (None, *cascade, thresholds.as_slice(), times.as_slice())
        }
        Contract::Script { args } => (Some(args), false, &[][..], &[][..]),
    };
    json!({
        "suite": inside.suite,
        "tmp": inside.tmp,
        "path": path,
        "evaluator": evaluator,
        "args": args,
        "cascade": cascade,
        "thresholds": thresholds,
        "time": plan.limits.time,
        "times": times,
        "output": plan.limits.output_kib.saturating_mul(1 << 10),
        "namespaces": spaces,
        "tmp_options": view::tmp_options(plan.limits.disk_mib),
        "reach": reach.map(Reach::numbers),
    })
    .to_string()
}

/// Without mount namespaces: a directory outside takes the place of the tmpfs.
fn make_room(plan: &Plan, inside: &Inside) -> io::Result<()> {
    for dir in [&plan.room, &inside.ours, &inside.tmp] {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Puts our files there; the rest becomes the user's.
fn furnish(inside: &Inside, files: &[(&str, &[u8])], user: Option<u32>) -> io::Result<()> {
    for (name, content) in files {
        fs::write(inside.ours.join(name), content)?;
    }
    std::os::unix::fs::symlink(std::env::current_exe()?, inside.ours.join(view::RUN))?;
    if let Some(user) = user {
        chown(&inside.tmp, Some(user), Some(user))?;
    }
    Ok(())
}

fn environment(tmp: &Path, bin: Option<&Path>) -> Vec<(&'static str, OsString)> {
    let mut path = OsString::new();
    if let Some(bin) = bin {
        path.push(bin);
        path.push(":");
    }
    path.push(PATH);
    let mut list: Vec<(&str, OsString)> = vec![
        ("PATH", path),
        ("HOME", tmp.into()),
        ("TMPDIR", tmp.into()),
        ("MPLCONFIGDIR", tmp.into()),
    ];
    list.extend(
        [
            ("LANG", "C.UTF-8"),
            ("ENABLE_ARTIFACTS", "true"),
            // A worker has one processor's share: more threads would only wait for each other.
            ("OMP_NUM_THREADS", "1"),
            ("OPENBLAS_NUM_THREADS", "1"),
            ("MKL_NUM_THREADS", "1"),
            ("MPLBACKEND", "Agg"),
            // The order of sets is the same each time.
            ("PYTHONHASHSEED", "0"),
            ("PYTHONUTF8", "1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ]
        .map(|(name, value)| (name, value.into())),
    );
    list
}

/// Replaces this process by the interpreter. Returns only if it cannot.
fn become_python(python: &Path, inside: &Inside, models: bool, control: &UnixStream) -> io::Error {
    let start = || -> io::Result<Infallible> {
        let held = control.as_fd().try_clone_to_owned()?;
        // SAFETY: no object owns descriptor 3 here: all from there on were closed at the
        // start, and what was opened since is closed on exec.
        unsafe { process::place(&held, CONTROL)? };
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // SAFETY: descriptor 0 is the socket, which lives on as 3; its owner never returns.
        unsafe { process::place(&null, 0)? };
        let mut command = Command::new(python);
        // Without the modules that `site` imports for its own use: each fork would copy pages
        // of theirs. Where modules are found, the harness is told.
        command.args(["-s", "-S", "-B"]).arg(inside.ours.join("harness.py"));
        command.env_clear().envs(environment(&inside.tmp, python.parent()));
        // Else each fork resolves the same symbols again.
        command.env("LD_BIND_NOW", "1");
        if models {
            command.env(view::MODELS_VARIABLE, view::MODELS);
        }
        Err(command.exec())
    };
    match start() {
        Ok(never) => match never {},
        Err(error) => io::Error::new(error.kind(), format!("{}: {error}", python.display())),
    }
}
