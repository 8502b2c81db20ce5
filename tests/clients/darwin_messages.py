"""Darwin's messages by their documentation alone (doc/messages.md): no code of Darwin's.

Debian: python3-cryptography, python3-openssl, python3-protobuf.
"""

import hashlib
import os
import pathlib
import socket
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf import descriptor_pb2, message_factory
from OpenSSL import SSL

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPE = b"application/vnd.darwin.envelope+protobuf"


def require(fact, what):
    if not fact:
        raise SystemExit(f"fault: {what}")


def schema():
    """What makes a message of the schema by its short name."""
    files = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "proto/descriptor.bin").read_bytes())
    made = message_factory.GetMessages(files.file)
    return lambda name: made[f"darwin.v1.{name}"]


of = schema()


def sha256(data):
    return hashlib.sha256(data).digest()


def pae(body):
    return b"DSSEv1 %d %s %d " % (len(TYPE), TYPE, len(body)) + body


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            require(varint(number) == data[at - shift // 7 : at], "a length is not the shortest")
            return number, at


def raw(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def seal(key, header, payload):
    """The envelope of a payload, with the bytes of its header."""
    signature = key.sign(pae(header + sha256(payload)))
    out = b"\x0a" + varint(len(header)) + header + b"\x12\x40" + signature
    return out + (b"\x1a" + varint(len(payload)) + payload if payload else b"")


def unseal(public, envelope):
    """Header and payload of an envelope, verified before they are looked at."""
    fields, at = {}, 0
    for tag in (0x0A, 0x12, 0x1A):
        if at < len(envelope) and envelope[at] == tag:
            size, at = read_varint(envelope, at + 1)
            require(size > 0, "an empty field of an envelope")
            fields[tag], at = envelope[at : at + size], at + size
    require(at == len(envelope) and 0x0A in fields and 0x12 in fields, "no envelope")
    header, payload = fields[0x0A], fields.get(0x1A, b"")
    public.verify(fields[0x12], pae(header + sha256(payload)))
    return of("Header").FromString(header), payload


class Connection:
    """TLS to the daemon, and what ties messages to it."""

    def __init__(self, address, identity, protocol):
        identity = pathlib.Path(identity)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.use_certificate_file(str(identity / "client.pem"))
        context.use_privatekey_file(str(identity / "client.key"))
        context.load_verify_locations(str(identity / "ca.pem"))
        context.set_verify(SSL.VERIFY_PEER, lambda *found: bool(found[-1]))
        context.set_alpn_protos([protocol])
        host, _, port = address.rpartition(":")
        self.tls = SSL.Connection(context, socket.create_connection((host, int(port)), 30))
        # Its library takes a timeout for a lack of bytes.
        self.tls.setblocking(True)
        self.tls.set_tlsext_host_name(b"darwind")
        self.tls.set_connect_state()
        self.tls.do_handshake()
        require(self.tls.get_protocol_version_name() == "TLSv1.3", "not TLS 1.3")
        require(self.tls.get_alpn_proto_negotiated() == protocol, "another protocol")
        shown = self.tls.get_peer_certificate().to_cryptography()
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        require("darwind" in names.get_values_for_type(x509.DNSName), "another's certificate")
        self.peer = shown.public_key()
        require(isinstance(self.peer, Ed25519PublicKey), "the daemon's key is not Ed25519")
        self.session = self.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32)
        key = (identity / "client.key").read_bytes()
        self.key = serialization.load_pem_private_key(key, None)
        authority = x509.load_pem_x509_certificate((identity / "ca.pem").read_bytes())
        self.cluster = sha256(authority.public_bytes(serialization.Encoding.DER))
        self.streams = 0

    def begin(self, service, method, request, answer):
        self.streams += 1
        return Stream(self, self.streams, (service, method), (request, answer))


class Stream:
    """Seals the requests of a call, and opens its answers."""

    def __init__(self, connection, number, method, types):
        self.connection, self.number, self.method, self.types = connection, number, method, types
        self.first, self.sent, self.came, self.ended = None, 0, 0, False

    def seal(self, payload, last=True, key=b""):
        own, now = self.connection, int(time.time() * 1000)
        identity = os.urandom(16)
        self.first = self.first or identity
        header = of("Header")(
            major=1,
            minor=0,
            id=identity,
            sender=sha256(raw(own.key.public_key())),
            cluster=own.cluster,
            service=self.method[0],
            method=self.method[1],
            session=own.session,
            stream=self.number,
            sequence=self.sent,
            last=last,
            issued_ms=now,
            expires_ms=now + 120_000,
            idempotency_key=key,
            payload_type=self.types[0],
        )
        self.sent += 1
        return seal(own.key, header.SerializeToString(), payload)

    def open(self, envelope, kind=None):
        own = self.connection
        header, payload = unseal(own.peer, envelope)
        require(not self.ended, "something comes after the last answer")
        for found, expected, what in [
            (header.major, 1, "version"),
            (header.sender, sha256(raw(own.peer)), "sender"),
            (header.cluster, own.cluster, "cluster"),
            ((header.service, header.method), self.method, "method"),
            (header.session, own.session, "session"),
            ((header.stream, header.sequence), (self.number, self.came), "place"),
            (header.payload_type, kind or self.types[1], "payload"),
            (header.answers, self.first, "request"),
        ]:
            require(found == expected, f"an answer of another {what}: {found!r}, not {expected!r}")
        now = time.time() * 1000
        require(header.expires_ms - header.issued_ms <= 3_600_000, "an answer that lasts too long")
        require(header.issued_ms - 30_000 <= now <= header.expires_ms + 30_000, "an old answer")
        self.came, self.ended = self.came + 1, header.last
        return payload
