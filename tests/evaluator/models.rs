//! Models: who may ask them does so by one Unix socket, and reaches nothing else by it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::PermissionsExt as _,
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    thread,
};

use darwin::{code::Code, config::suite as config};

use super::{cases::log, machines, *};

/// A proxy: HTTP over a Unix socket, which answers with the reverse of what it is asked.
struct Proxy {
    dir: TempDir,
}

impl Proxy {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("proxy.sock")).unwrap();
        let open = fs::Permissions::from_mode(0o666);
        fs::set_permissions(dir.path().join("proxy.sock"), open).unwrap();
        thread::spawn(move || listener.incoming().flatten().for_each(|one| answer(&one)));
        Self { dir }
    }

    fn world(&self) -> World {
        World::of("python3", Path::new(DARWIND), Some(self.dir.path().join("proxy.sock")))
    }
}

/// Answers one request. A caller that says something else is not answered.
fn answer(mut stream: &UnixStream) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some((_, value)) = line.to_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_ok() && length > 0 {
        body.reverse();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    }
}

/// What asks a model, as any HTTP client would.
const ASK: &str = "
import http.client, os, socket
class Proxy(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ['DARWIN_MODEL_SOCKET'])
def ask(words):
    proxy = Proxy('model')
    proxy.request('POST', '/v1/chat/completions', words)
    return proxy.getresponse().read().decode()
";

/// Fails if there is a way to a model.
const NONE: &str = "
import os, socket
assert 'DARWIN_MODEL_SOCKET' not in os.environ
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    with socket.socket(socket.AF_UNIX, kind) as there:
        try: there.connect('/run/model.sock')
        except OSError: pass
        else: raise SystemExit('it can ask')
";

/// The suite that `text` describes, which lets agents ask models.
fn asking(text: &str) -> Suite {
    let suite = config::parse(&format!("models = true\n{text}")).unwrap();
    Suite { limits: limits(), ..suite }
}

const PYTHON: &str = "kind = \"python\"\nevaluator = \"evaluator.py\"\n";

#[tokio::test]
async fn the_agents_of_every_kind_of_suite_ask_by_the_socket() {
    let proxy = Proxy::start();
    let world = proxy.world();

    let suite = asking(PYTHON);
    let agent = program(&format!("{ASK}\nscore = float(ask('2.5')[::-1])"));
    let bench = world.open(&suite, &[("evaluator.py", RUN)]).await.unwrap();
    let evaluation = bench.evaluate(&agent, 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![2.5]), "{evaluation:?}");
    bench.close().await;

    let suite = Suite { models: true, ..shinka::shinka(limits(), &[]) };
    let script = shinka::script();
    let agent = program(&format!("{}\n{ASK}\nassert ask('ab') == 'ba'", shinka::FINE));
    let bench = world.open(&suite, &[("evaluate.py", &script)]).await.unwrap();
    let evaluation = bench.evaluate(&agent, 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![2.5]), "{evaluation:?}");
    bench.close().await;

    for (protocol, main) in [
        ("stdio", "import sys\nprint(ask(sys.stdin.read()))"),
        (
            "json-rpc",
            "import json\nwhile True:
    one = json.loads(input())
    print(json.dumps({'jsonrpc': '2.0', 'id': one['id'], 'result': ask(one['params']['input'])}),
          flush=True)",
        ),
    ] {
        let text = format!(
            "kind = \"cases\"\nargv = [\"python3\", \"main.py\"]\ncases = \"c\"\n\
             protocol = {protocol:?}\n"
        );
        let case = "{\"input\": \"desserts\", \"expected\": \"stressed\"}";
        let bench = world.open(&asking(&text), &[("c", case)]).await.unwrap();
        let agent = genome(&[("main.py", &format!("{ASK}\n{main}"))]);
        let evaluation = bench.evaluate(&agent, 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{protocol}: {:?}", log(&evaluation));
        bench.close().await;
    }

    let suite = asking("kind = \"command\"\nargv = [\"python3\", \"{suite}/score.py\"]\n");
    let suite = Suite { objectives: vec![objective("score")], ..suite };
    // The scorer itself may not.
    let score = format!(
        "{NONE}
import subprocess
done = subprocess.run(['darwin-run', 'python3', 'agent.py'], capture_output=True, text=True)
print('{{\"score\": %d}}' % (done.stdout == 'ba\\n'), done.stderr)"
    );
    let bench = world.open(&suite, &[("score.py", &score)]).await.unwrap();
    let agent = program(&format!("{ASK}\nprint(ask('ab'))"));
    let evaluation = bench.evaluate(&agent, 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn nobody_else_can_ask() {
    let proxy = Proxy::start();
    let world = proxy.world();

    // The control: the same search does find the way where there is one.
    let bench = world.open(&asking(PYTHON), &[("evaluator.py", RUN)]).await.unwrap();
    let found = bench.evaluate(&program(&format!("{NONE}\nscore = 1")), 0).await.unwrap();
    assert_failed(found, FailureKind::Crashed, "AssertionError");
    bench.close().await;

    // Not where the suite does not say so, whatever is configured.
    let bench = world.python(RUN).await.unwrap();
    let agent = program(&format!(
        "{NONE}\nimport os\nscore = float(not os.path.exists('/run/model.sock'))"
    ));
    let evaluation = bench.evaluate(&agent, 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    bench.close().await;

    // Neither a build, whose result is kept, nor a program that judges.
    let text = "kind = \"cases\"\nargv = [\"cat\", \"made\"]\ncases = \"c\"\n\
                scorer = { kind = \"command\", argv = [\"python3\", \"{suite}/judge.py\"] }\n\
                [build]\nargv = [\"python3\", \"build.py\"]\n";
    let judge = format!("{NONE}\nprint('{{\"pass\": true}}')");
    let build = format!("{NONE}\nopen('made', 'w').write('x')");
    let files = [("c", "{\"input\": 1}"), ("judge.py", &judge)];
    let bench = world.open(&asking(text), &files).await.unwrap();
    let evaluation = bench.evaluate(&genome(&[("build.py", &build)]), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    bench.close().await;
}

/// What else there is to reach for who may ask: `worked` is what was reached.
const ELSEWHERE: &str = "
import os, socket
worked = []
def tried(name, function):
    try:
        function()
        worked.append(name)
    except OSError: pass
def connect(family, kind, address):
    with socket.socket(family, kind) as there:
        there.settimeout(5)
        there.connect(address)
tried('the daemon', lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, HOME + '/darwind.sock'))
tried('abstract', lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, '\\0' + NAME))
tried('tcp', lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', PORT)))
tried('beside', lambda: os.listdir(HOME))
tried('mode', lambda: os.chmod(SOCKET, 0o700))
tried('attributes', lambda: os.utime(SOCKET))
tried('name', lambda: os.rename(SOCKET, SOCKET + '~'))
";

#[tokio::test]
async fn by_the_socket_nothing_else_comes_into_reach() {
    let proxy = Proxy::start();
    let home = proxy.dir.path();
    let name = format!("abstract-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let _daemon = UnixListener::bind(home.join("darwind.sock")).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let facts = format!(
        "HOME, NAME, PORT = {:?}, {name:?}, {}",
        home.display().to_string(),
        tcp.local_addr().unwrap().port()
    );

    // The control: a plain process reaches all of it.
    let socket = home.join("other.sock");
    let _other = UnixListener::bind(&socket).unwrap();
    let text = format!("{facts}\nSOCKET = {socket:?}\n{ELSEWHERE}\nprint(len(worked), worked)");
    let plain = std::process::Command::new("python3").args(["-c", &text]).output().unwrap();
    let said = String::from_utf8_lossy(&plain.stdout);
    assert!(said.starts_with("7 "), "{plain:?}");

    let world = proxy.world();
    let bench = world.open(&asking(PYTHON), &[("evaluator.py", RUN)]).await.unwrap();
    let inside = format!(
        "{ASK}\n{facts}\nSOCKET = os.environ['DARWIN_MODEL_SOCKET']\nassert ask('ab') == 'ba'
assert SOCKET == '/run/model.sock'\n{ELSEWHERE}\nassert not worked, worked
assert ask('ab') == 'ba'\nscore = 1"
    );
    let evaluation = bench.evaluate(&program(&inside), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn a_suite_that_wants_models_is_refused_where_there_is_no_way_to_one_alone() {
    let files = [("evaluator.py", RUN)];
    let error = World::new().open(&asking(PYTHON), &files).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::Config);
    assert!(error.to_string().contains("set evaluator.model_socket"), "{error}");

    // Without namespaces, a socket to one would be a socket to all.
    let proxy = Proxy::start();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(proxy.dir.path(), open).unwrap();
    let (world, _dir) = machines::lesser_with(false, Some(proxy.dir.path().join("proxy.sock")));
    let space = Arc::new(Space::default());
    let opened =
        world.evaluator.open(&asking(PYTHON), &bundle(&files), space, Profile::Reduced, 1).await;
    let error = opened.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::Sandbox);
    assert!(error.to_string().contains("model access"), "{error}");
}
