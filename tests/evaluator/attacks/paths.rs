//! What Python's path would bring into reach: a sandbox has the directories of PYTHONPATH, but
//! none that would show the installation's files or its user's credentials.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{super::machines, *};

/// A home with credentials, an installation and modules in it; not below `/tmp`, which every
/// sandbox has for itself.
struct Planted {
    dir: TempDir,
    /// What none may learn.
    secret: String,
}

impl Planted {
    /// Where the secret lies.
    const FILES: [&str; 4] =
        ["home/.ssh/id_ed25519", "home/darwin/keys/master.key", "home/.netrc", "link/id_ed25519"];

    fn new() -> Self {
        let dir = TempDir::new_in("/var/tmp").unwrap();
        let secret = format!("planted-{}", std::process::id());
        let at = |name: &str| dir.path().join(name);
        for name in ["home/.ssh", "home/darwin/keys", "home/lib"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        symlink("home/.ssh", at("link")).unwrap();
        for file in Self::FILES {
            fs::write(at(file), &secret).unwrap();
        }
        // Whoever the sandbox is outside, only its walls are in the way.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, secret }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn private(&self) -> Private {
        Private::new([self.at("home/darwin")], [self.at("home")])
    }

    /// Python as a user has it who told it to look for modules in `entry`, too.
    fn python(&self, entry: &str) -> PathBuf {
        let (home, lib, entry) = (self.at("home"), self.at("home/lib"), self.at(entry));
        let [home, lib, entry] = [&home, &lib, &entry].map(|path| path.display());
        let script = format!(
            "#!/bin/sh\nHOME={home} PYTHONPATH={lib}:{entry} exec /usr/bin/python3 \"$@\"\n"
        );
        let path = self.at("python");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// An agent that looks for the secret, and for the modules, which it does need.
    fn attack(&self) -> Genome {
        let files = Self::FILES.map(|name| self.at(name));
        program(&format!(
            "
import os
def finds(path):
    try: return open(path).read() == {:?}
    except OSError: return False
assert os.path.isdir('{}'), 'the modules are not there'
score = float(any(map(finds, {files:?})))
if __name__ == '__main__': print('{{\"score\": %s}}' % score)",
            self.secret,
            self.at("home/lib").display(),
        ))
    }

    /// What the agent scores in suites of two kinds.
    async fn scores(&self, private: Private, entry: &str, helper: &Path) -> [f64; 2] {
        let python = self.python(entry);
        let world = World::hiding(private, python.to_str().unwrap(), helper, None);
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(world.scratch.path(), open).unwrap();
        let benches =
            [world.python(RUN).await.unwrap(), world.shell("python3 agent.py", limits()).await];
        let mut scores = [f64::NAN; 2];
        for (bench, score) in benches.into_iter().zip(&mut scores) {
            let evaluation = bench.evaluate(&self.attack(), 0).await.unwrap();
            *score = evaluation
                .scores
                .as_ref()
                .map_or_else(|failure| panic!("{entry}: {failure:?}"), |scores| scores[0]);
            bench.close().await;
        }
        scores
    }

    async fn is_out_of_reach(&self, helper: &Path) {
        let entries =
            ["home", "", "home/.ssh", "home/darwin", "home/darwin/keys", "link", "home/.ssh/."];
        for entry in entries {
            let found = self.scores(self.private(), entry, helper).await;
            assert_eq!(found, [0.0; 2], "by way of “{entry}”");
            // The control: where nothing is said to be private, the same path brings it in.
            let found = self.scores(Private::default(), entry, helper).await;
            assert_eq!(found, [1.0; 2], "the control, by way of “{entry}”");
        }
    }
}

#[tokio::test]
async fn pythonpath_brings_no_private_place_into_a_sandbox() {
    Planted::new().is_out_of_reach(Path::new(DARWIND)).await;
}

#[tokio::test]
async fn nor_does_it_for_an_ordinary_user() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Planted::new().is_out_of_reach(&machines::helper(dir.path(), true)).await;
}

#[tokio::test]
async fn an_interpreter_that_is_a_whole_home_is_refused_with_what_to_do() {
    let planted = Planted::new();
    let home = planted.at("home");
    let made = Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&home)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let python = home.join("bin/python3");
    let open = async |private: Private| {
        let world = World::hiding(private, python.to_str().unwrap(), Path::new(DARWIND), None);
        let bench = world.python(RUN).await?;
        let evaluation = bench.evaluate(&planted.attack(), 0).await?;
        bench.close().await;
        Ok::<_, EvaluatorError>(evaluation.scores)
    };
    let error = open(planted.private()).await.unwrap_err();
    assert_eq!(error.code(), darwin::code::Code::Config);
    let said = error.to_string();
    assert!(said.contains("no agent may read") && said.contains("evaluator.python"), "{said}");
    assert!(said.contains(home.to_str().unwrap()), "{said}");
    // The control: were it not, all of the home would be there.
    assert_eq!(open(Private::default()).await, Ok(Ok(vec![1.0])));
}
