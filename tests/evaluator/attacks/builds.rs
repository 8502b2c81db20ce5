//! What a build leaves, of which files are taken: whatever it is, nobody waits for it, and nothing
//! comes in from elsewhere.

use std::time::{Duration, Instant};

use super::{super::cases, results::SWAP, *};

/// A suite whose agents are built by `agent.py` and answer with the file `out`, or what it says.
fn suite(answer: &str) -> Suite {
    let text = format!(
        "kind = \"cases\"\nargv = [\"sh\", \"-c\", {answer:?}]\ncases = \"c\"\n\
         [build]\nargv = [\"python3\", \"agent.py\"]\n[build.limits]\ntime = 20\n"
    );
    Suite { limits: limits(), ..darwin::config::suite::parse(&text).unwrap() }
}

const CASE: (&str, &str) = ("c", "{\"input\": \"\", \"expected\": \"fine\"}");

#[tokio::test]
async fn whatever_a_build_leaves_in_the_place_of_a_file_holds_nobody_up_and_shows_nothing() {
    let bait = Bait::new();
    let note = "os.path.join(FACTS['home'], 'note')";
    let left = bait.home.path().join("outside");
    let world = World::new();
    let bench = world.open(&suite("cat out"), &[CASE]).await.unwrap();
    // What is made; what a shell says of reading it naively, which shows that it is there; and
    // why it is refused. Where an attack can make none, it says so and is refused for that.
    for (make, naively, refused) in [
        ("os.mkfifo('out')", "timeout 0.2 cat out; test $? = 124", "neither a file"),
        ("socket.socket(socket.AF_UNIX).bind('out')", "test -S out && ! cat out", "neither a file"),
        (
            "os.symlink('/dev/zero', 'out')",
            "test $(timeout 5 head -c 1000000 out | wc -c) = 1000000",
            "is a link",
        ),
        (&*format!("os.symlink({note}, 'out')"), "grep -q secret out", "is a link"),
        (&*format!("os.link({note}, 'out')"), "grep -q secret out", "its build failed"),
        ("os.symlink('/etc', 'out')", "grep -q root out/passwd", "is a link"),
        ("os.symlink('/proc/self/environ', 'out')", "grep -q PATH out", "is a link"),
        ("os.symlink('out', 'out')", "! cat out", "is a link"),
    ] {
        let code = format!("{make}\nworked = True");
        let (worked, said) = bait.works_outside(&code);
        assert!(worked, "the control of {make}: {said}");
        let read = plain(&left, &["sh", "-c", naively]);
        assert!(read.status.success(), "the control of {make}: {read:?}");
        fs::remove_file(left.join("out")).unwrap();

        let begun = Instant::now();
        let program = program(&format!("{}\nassert worked, said", bait.program(&code)));
        let evaluation = bench.evaluate(&program, 0).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "{make} held up");
        let all = format!("{evaluation:?}");
        assert!(!all.contains(&bait.secret), "{make}: {all}");
        let failure = failure(evaluation);
        assert!(failure.reason.contains(refused), "{make}: {failure:?}");
    }
    // Root's devices no build can make.
    let device = "os.mknod('out', 0o20666, os.makedev(1, 5))\nworked = True";
    let (worked, said) = bait.works_outside(device);
    assert_eq!(worked, Who::Root.can(), "the control: {said}");
    let attack = format!("{}\nassert worked, said", bait.program(device));
    let failed = failure(bench.evaluate(&program(&attack), 0).await.unwrap());
    assert!(failed.reason.contains("its build failed"), "{failed:?}");
    // And the next build is as it should be.
    let honest = program("open('out', 'w').write('fine')");
    let evaluation = bench.evaluate(&honest, 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn who_swaps_what_was_built_for_links_wins_no_race() {
    results::loses_to_a_swap(&[("out", "fine", "stolen")], "stolen");
    let world = World::new();
    let bench = world.open(&suite("cat sub/out"), &[CASE]).await.unwrap();
    let (mut read, mut refused) = (0, 0);
    for turn in 0..40 {
        // What the link leads to is not the agent's, though the build can read it.
        let swap = ["swap_files", "swap_directories"][turn % 2];
        let text = format!(
            "# {turn}
TARGET, FINE = '/tmp/target', {{'out': 'fine'}}
{SWAP}
import time
for at, text in ((TARGET, 'stolen'), (os.path.join(os.getcwd(), 'sub'), 'fine')):
    os.mkdir(at)
    with open(at + '/out', 'w') as file: file.write(text)
os.chdir('sub')
if os.fork() == 0:
    os.setsid()
    {swap}()
time.sleep(0.02)"
        );
        let evaluation = bench.evaluate(&program(&text), 0).await.unwrap();
        match &evaluation.scores {
            Ok(scores) => {
                let output = cases::log(&evaluation)[0]["output"].to_string();
                assert!(!output.contains("stolen"), "{evaluation:?}");
                read += usize::from(scores == &[1.0]);
            }
            Err(failure) => {
                assert!(failure.reason.contains("is a link"), "{failure:?}");
                refused += 1;
            }
        }
    }
    assert!(read > 0 && refused > 0, "it was at work: {read} read, {refused} refused");
    bench.close().await;
}
