//! Ways out over a network, and to servers of this machine.

use super::*;

attacks! {
    Anyone tcp: r"
with socket.create_connection(('127.0.0.1', FACTS['tcp']), timeout=5): worked = True";
    Anyone serving_tcp: r"
with socket.create_server(('127.0.0.1', 0)) as server:
    with socket.create_connection(server.getsockname(), timeout=5): worked = True";
    Anyone udp_as_to_a_name_server: r"
query = b'\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06secret\x04test\0\0\x01\0\x01'
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
    asker.settimeout(5)
    asker.sendto(query, ('127.0.0.1', FACTS['udp']))
    worked = asker.recv(512) == query";
    Anyone abstract_sockets: r"
with socket.socket(socket.AF_UNIX) as s:
    s.connect('\0' + FACTS['secret'])
    worked = True";
    Anyone the_daemons_socket: r"
with socket.socket(socket.AF_UNIX) as s:
    s.connect(os.path.join(FACTS['home'], 'darwind.sock'))
    worked = True";
    Anyone vsock: "worked = is_known(40, socket.SOCK_STREAM)";
    Anyone netlink: "worked = is_known(socket.AF_NETLINK, socket.SOCK_RAW)";
    Anyone multipath_tcp: "worked = is_known(socket.AF_INET, socket.SOCK_STREAM, 262)";
    Anyone the_kernels_ciphers: "worked = is_known(38, socket.SOCK_SEQPACKET)";
    Root packets: "worked = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)";
    Root raw_addresses: "worked = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)";
    Anyone who_else_is_connected: r"
worked = '0100007F:%04X' % FACTS['tcp'] in open('/proc/net/tcp').read()";
}

#[tokio::test]
async fn vsock_to_the_host_and_to_this_machine() {
    // By binding, since what listens there is nobody's business; the second needs a kernel with
    // a loopback of that kind.
    let serve = "
with socket.socket(40, socket.SOCK_STREAM) as server:
    server.bind((0xffffffff, 0xffffffff))
    server.listen()
    worked = True";
    contained_unless("vsock", "Address family not supported", serve).await;
    let here = "
with socket.socket(40, socket.SOCK_STREAM) as server:
    server.bind((1, 0xffffffff))
    server.listen()
    with socket.socket(40, socket.SOCK_STREAM) as there:
        there.settimeout(5)
        there.connect(server.getsockname())
        worked = True";
    contained_unless("vsock", "Cannot assign requested address", here).await;
}

/// Binds an abstract name and waits, or tries for as long to connect to it.
const MEET: &str = "
import os, socket, time
end, score = time.monotonic() + SECONDS, 0.0
with socket.socket(socket.AF_UNIX) as one:
    if SERVES:
        one.bind(NAME)
        one.listen()
        one.settimeout(SECONDS)
        try: score = float(one.accept() is not None)
        except OSError: pass
    while not SERVES and not score and time.monotonic() < end:
        try: score = float(one.connect(NAME) is None)
        except OSError: pass
";

#[tokio::test]
async fn agents_do_not_meet_at_an_abstract_socket() {
    let name = format!("meeting-{}", std::process::id());
    let agent = |serves: &str, seconds| {
        let name = format!("'\\0' + {name:?}");
        format!("SECONDS, SERVES, NAME = {seconds}, {serves}, {name}\n{MEET}")
    };
    // The control: plain processes do.
    let dir = TempDir::new().unwrap();
    for (file, serves) in [("one.py", "True"), ("other.py", "False")] {
        fs::write(dir.path().join(file), agent(serves, 30) + "\nprint(score)").unwrap();
    }
    let both = plain(dir.path(), &["sh", "-c", "python3 one.py & python3 other.py; wait"]);
    let met = String::from_utf8_lossy(&both.stdout).matches("1.0").count();
    assert_eq!(met, 2, "{both:?}");
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    let (one, other) = (program(&agent("True", 4)), program(&agent("False", 4)));
    let (one, other) = tokio::join!(bench.evaluate(&one, 0), bench.evaluate(&other, 0));
    assert_eq!(one.unwrap().scores, Ok(vec![0.0]));
    assert_eq!(other.unwrap().scores, Ok(vec![0.0]));
    bench.close().await;
}
