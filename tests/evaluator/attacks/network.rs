//! Ways out over a network, and to servers of this machine.

use super::attacks;

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
