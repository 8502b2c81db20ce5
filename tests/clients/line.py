#!/usr/bin/env python3
"""A client of the WebSocket, after doc/messages.md: many calls on one line, a change, large answers as there is
room for them, a connection that breaks and one that breaks the rules. line.py ADDRESS IDENTITY

Debian: python3-websockets, and those of darwin_messages.py.
"""

import os
import sys

from websockets.frames import OP_BINARY, OP_CLOSE, OP_PING, OP_PONG
from websockets.http11 import Response
from websockets.uri import parse_uri

try:
    from websockets.client import ClientProtocol
except ImportError:
    from websockets.client import ClientConnection as ClientProtocol

from OpenSSL import SSL

from darwin_messages import Connection, of, require

FRAMES = "darwin.v1.Frames"


class Socket:
    """A WebSocket on a connection of our own making, as its exporter value is needed."""

    def __init__(self, address, identity):
        self.own = Connection(address, identity, b"http/1.1")
        uri = parse_uri("ws://darwind/v1/stream")
        self.ws = ClientProtocol(uri, subprotocols=["darwin.v1"], max_size=1 << 20)
        self.events = []
        self.ws.send_request(self.ws.connect())
        self.flush()
        answer = self.event()
        require(isinstance(answer, Response) and answer.status_code == 101, f"{answer}")
        self.stream = self.own.begin("darwin.v1.Stream", "Line", FRAMES, FRAMES)

    def flush(self):
        for data in self.ws.data_to_send():
            if data:
                self.own.tls.sendall(data)

    def event(self):
        while not self.events:
            self.ws.receive_data(self.own.tls.recv(65536))
            self.flush()
            self.events = list(self.ws.events_received())
        return self.events.pop(0)

    def send(self, frames):
        self.ws.send_binary(self.stream.seal(frames.SerializeToString(), last=False))
        self.flush()

    def receive(self):
        while True:
            frame = self.event()
            if frame.opcode == OP_BINARY:
                require(frame.fin, "a message in pieces")
                return of("Frames").FromString(self.stream.open(bytes(frame.data)))
            if frame.opcode == OP_CLOSE:
                raise Closed(int.from_bytes(frame.data[:2], "big"), frame.data[2:].decode())
            require(frame.opcode in (OP_PING, OP_PONG), f"{frame}")

    def cut(self):
        """As a network does it."""
        self.own.tls.sock_shutdown(2)


class Closed(Exception):
    pass


class Line:
    def __init__(self, address, identity):
        self.where = (address, identity)
        self.token, self.number, self.seen, self.channel = b"", 0, 0, 0
        self.kept, self.came = [], {}
        self.connect()

    def connect(self):
        """A new connection; what the other end has not seen goes out again."""
        self.socket = Socket(*self.where)
        frames = of("Frames")(seen=self.seen)
        frames.frames.add(channel=0).hello.CopyFrom(of("Hello")(major=1, token=self.token))
        self.socket.send(frames)
        answer = self.socket.receive()
        hello = answer.frames[0].hello
        require((answer.number, hello.major, len(hello.token)) == (0, 1, 32), f"{answer}")
        require(self.token in (b"", hello.token), "the line is lost")
        self.token = hello.token
        self.kept = [frames for frames in self.kept if frames.number > answer.seen]
        for frames in self.kept:
            self.socket.send(frames)

    def send(self, **what):
        self.number += 1
        frames = of("Frames")(number=self.number, seen=self.seen)
        frames.frames.add(**what)
        self.kept.append(frames)
        self.socket.send(frames)

    def open(self, path, request, key=b""):
        self.channel += 1
        self.came[self.channel] = []
        message = request.SerializeToString()
        call = of("Open")(method=path, message=message, idempotency_key=key, timeout_ms=30_000)
        self.send(channel=self.channel, open=call)
        return self.channel

    def take(self):
        """Takes one message of the line, and tells the daemon."""
        frames = self.socket.receive()
        self.kept = [kept for kept in self.kept if kept.number > frames.seen]
        if frames.number == 0:
            require(not frames.frames, "frames without a number")
            return
        if frames.number <= self.seen:
            return
        require(frames.number == self.seen + 1, "a gap")
        self.seen = frames.number
        for frame in frames.frames:
            self.came[frame.channel].append(frame)
        self.socket.send(of("Frames")(seen=self.seen))

    def answers(self, channel, kind, credit=True):
        """The answers on a channel, and its end."""
        found, parts, at, size = [], b"", 0, 0
        while True:
            while at == len(self.came[channel]):
                self.take()
            frame, at = self.came[channel][at], at + 1
            what = frame.WhichOneof("what")
            if what == "end":
                return found, frame.end
            require(what in ("message", "part"), f"{frame}")
            content = getattr(frame, what)
            parts, size = parts + content, size + max(1, len(content))
            if what == "message":
                found, parts = found + [of(kind).FromString(parts)], b""
            if credit and size >= 128 << 10:
                self.send(channel=channel, credit=size)
                size = 0

    def call(self, path, request, kind, key=b""):
        found, end = self.answers(self.open(path, request, key), kind)
        require(end.code == 0, f"{path}: {end}")
        return found


def main():
    address, identity = sys.argv[1:]
    line = Line(address, identity)
    # Several calls at once, the last one asked for first.
    asked = [line.open("/darwin.v1.Operations/Status", of("StatusRequest")()) for _ in range(5)]
    for channel in reversed(asked):
        (status,), end = line.answers(channel, "StatusResponse")
        require(status.pid > 0 and end.code == 0, f"{status} {end}")

    # A change, whose connection breaks before its answer came: asked for once, made once.
    own = os.urandom(6) + b"\x70" + os.urandom(1) + b"\x80" + os.urandom(7)
    new = of("CreateSessionRequest")(session_id=own, name="from-outside")
    channel = line.open("/darwin.v1.Sessions/Create", new, own)
    line.socket.cut()
    token = line.token
    line.connect()
    require(line.token == token, "another line")
    (session,), end = line.answers(channel, "Session")
    require((session.id, end.code) == (own, 0), f"{session} {end}")
    asked = of("ListSessionsRequest")()
    (listed,) = line.call("/darwin.v1.Sessions/List", asked, "ListSessionsResponse")
    require([it.name for it in listed.sessions].count("from-outside") == 1, f"{listed}")

    # A text of a megabyte comes in parts, as far as there is room, and holds up nobody.
    for count in range(2):
        text = of("SetContextRequest")(session="from-outside", text="é" * (250_000 * count))
        line.call("/darwin.v1.Sessions/SetContext", text, "Session", os.urandom(16))
    large = line.open("/darwin.v1.Sessions/Show", of("SessionRef")(session="from-outside"))
    line.call("/darwin.v1.Operations/Status", of("StatusRequest")(), "StatusResponse")
    held = sum(len(frame.part) + len(frame.message) for frame in line.came[large])
    require(held <= 256 << 10, f"{held} bytes came without credit")
    (shown,), end = line.answers(large, "Session")
    require((len(shown.context["text"]), end.code) == (250_000, 0), "another text")

    # Without its key a change is refused; what is unknown has an end too.
    end = line.answers(line.open("/darwin.v1.Sessions/Create", new), "Session")[1]
    require((end.code, b"invalid-input" in end.details) == (3, True), f"{end}")
    end = line.answers(line.open("/darwin.v1.Nothing/Such", new), "Session")[1]
    require(end.code == 12, f"{end}")

    # A number that was used before ends the connection, and so does what is not signed; before
    # the greeting it is said why.
    line.channel -= 1
    line.open("/darwin.v1.Operations/Status", of("StatusRequest")())
    require(closed(line.take) is None, "a reason that is not signed")
    line = Line(address, identity)
    line.socket.ws.send_binary(b"rubbish")
    line.socket.flush()
    require(closed(line.take) is None, "a reason that is not signed")
    socket = Socket(address, identity)
    socket.ws.send_binary(b"rubbish")
    socket.flush()
    code, reason = closed(socket.receive)
    require(code == 1008 and reason, f"{code} {reason}")
    print("signed over a line")


def closed(take):
    """Takes until the connection is closed; tells the reason, if there is one."""
    try:
        while True:
            take()
    except Closed as found:
        return found.args
    except (OSError, EOFError, SSL.Error):
        return None


if __name__ == "__main__":
    main()
