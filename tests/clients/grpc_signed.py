#!/usr/bin/env python3
"""A client of gRPC that signs, after doc/messages.md: reads, makes a change, follows a run, and sees that what
is repeated or changed on its way is refused. grpc_signed.py ADDRESS IDENTITY

Debian: python3-h2, python3-lz4, and those of darwin_messages.py. (gRPC's own library does not
give out the connection's exporter value.)
"""

import base64
import os
import sys

import h2.config
import h2.connection
import h2.events
import lz4.block
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from darwin_messages import Connection, of, require

TYPE = "application/grpc+envelope"


class Grpc:
    def __init__(self, address, identity):
        self.own = Connection(address, identity, b"h2")
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()
        self.packed = 0

    def flush(self):
        self.own.tls.sendall(self.http.data_to_send())

    def post(self, path, body, kind=TYPE, packed=False):
        """Headers, messages and trailers of a call's answer."""
        number = self.http.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "https"), (":authority", "darwind")]
        headers += [(":path", path), ("te", "trailers"), ("content-type", kind)]
        headers += [("grpc-accept-encoding", "lz4")] + [("grpc-encoding", "lz4")] * packed
        self.http.send_headers(number, headers)
        self.http.send_data(number, body, end_stream=True)
        self.flush()
        found, data, ended = {}, b"", False
        while not ended:
            for event in self.http.receive_data(self.own.tls.recv(65536)):
                if getattr(event, "stream_id", number) != number:
                    continue
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    found.update(event.headers)
                if isinstance(event, h2.events.DataReceived):
                    data += event.data
                    size = event.flow_controlled_length
                    self.http.acknowledge_received_data(size, number)
                if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    ended = True
            self.flush()
        messages = []
        while data:
            flag, size = data[0], int.from_bytes(data[1:5], "big")
            message, data = data[5 : 5 + size], data[5 + size :]
            if flag == 1:
                require(found.get("grpc-encoding") == "lz4", "compressed in no named way")
                # Its own format is the same: the size in four bytes, then a block.
                message = lz4.block.decompress(message)
                self.packed += 1
            messages.append(message)
        return found, messages

    def call(self, service, method, request, answer, payload, key=b"", streams=False, packed=False):
        """The answers to a call that goes well."""
        stream = self.own.begin(
            f"darwin.v1.{service}", method, f"darwin.v1.{request}", f"darwin.v1.{answer}"
        )
        envelope = stream.seal(payload.SerializeToString(), key=key)
        if packed:
            envelope = lz4.block.compress(envelope)
        self.sent = (f"/darwin.v1.{service}/{method}", framed(envelope, packed))
        found, messages = self.post(*self.sent, packed=packed)
        require(found.get("grpc-status") == "0", f"{method}: {found}")
        require(found["content-type"] == TYPE, "an answer without envelopes")
        payloads = [stream.open(message) for message in messages]
        require(stream.ended, "the last answer did not come")
        if streams:
            require(payloads.pop() == b"", "the mark of the end is not empty")
        return [of(answer).FromString(payload) for payload in payloads]

    def fails(self, service, method, request, answer, payload):
        """The code that a call signedly ends with."""
        stream = self.own.begin(
            f"darwin.v1.{service}", method, f"darwin.v1.{request}", f"darwin.v1.{answer}"
        )
        body = framed(stream.seal(payload.SerializeToString()))
        found, messages = self.post(f"/darwin.v1.{service}/{method}", body)
        require(not messages, f"{method} went well")
        sealed = binary(found["darwin-error-bin"])
        end = of("End").FromString(stream.open(sealed, "darwin.v1.End"))
        require(stream.ended, "an error that is not the end")
        require(end.code == int(found["grpc-status"]), "a signed code and another one")
        require(end.details == binary(found["grpc-status-details-bin"]), "other details")
        return ErrorInfo.FromString(Status.FromString(end.details).details[0].value).reason

    def refused(self, path, body, kind=TYPE):
        """The code of a call that is refused."""
        found, messages = self.post(path, body, kind)
        require(found.get("grpc-status") != "0" and not messages, f"{path} went well: {found}")
        status = Status.FromString(binary(found["grpc-status-details-bin"]))
        info = [any.value for any in status.details if any.type_url.endswith(".ErrorInfo")]
        info = ErrorInfo.FromString(info[0])
        require((info.domain, status.code) == ("darwin", int(found["grpc-status"])), "its details")
        return info.reason


def binary(text):
    """What a binary header of gRPC holds."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def framed(message, packed=False):
    return bytes([packed]) + len(message).to_bytes(4, "big") + message


def standard():
    """google.rpc.Status and ErrorInfo, as far as they are looked at."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="rpc.proto", package="rpc", syntax="proto3")
    text = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    number = descriptor_pb2.FieldDescriptorProto.TYPE_INT32
    octets = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    nested = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    for name, fields in [
        ("Any", [("type_url", text, 1), ("value", octets, 2)]),
        ("ErrorInfo", [("reason", text, 1), ("domain", text, 2)]),
        ("Status", [("code", number, 1), ("message", text, 2), ("details", nested, 3)]),
    ]:
        message = file.message_type.add(name=name)
        for field, kind, at in fields:
            added = message.field.add(name=field, type=kind, number=at, label=1)
            if kind == nested:
                added.label, added.type_name = 3, ".rpc.Any"
    pool.Add(file)
    made = message_factory.MessageFactory(pool)
    types = [pool.FindMessageTypeByName(f"rpc.{name}") for name in ("Status", "ErrorInfo")]
    return [made.GetPrototype(type) for type in types]


Status, ErrorInfo = standard()

SPEC = """name = "bowl"
seed = 7
[stop]
evaluations = 400
[suite]
kind = "builtin"
function = "sphere"
dimensions = 4
"""


def main():
    grpc = Grpc(sys.argv[1], sys.argv[2])
    # Reads.
    (status,) = grpc.call("Operations", "Status", "StatusRequest", "StatusResponse", of("StatusRequest")())
    require(status.pid > 0, "a status without a process")

    # A change, asked for twice: it is one. The request is compressed.
    run = os.urandom(6) + b"\x70" + os.urandom(1) + b"\x80" + os.urandom(7)
    start = of("StartRequest")(run_id=run, spec_toml=SPEC + "# " + "x" * 2000)
    for _ in range(2):
        (made,) = grpc.call("Runs", "Start", "StartRequest", "Run", start, key=run, packed=True)
        require(made.id == run, "another run")
    (listed,) = grpc.call("Runs", "List", "ListRunsRequest", "ListRunsResponse", of("ListRunsRequest")())
    require([it.id for it in listed.runs] == [run], "not one run")

    # A stream of answers, to its signed end.
    watched = of("RunRef")(run=run_name(run))
    seen = grpc.call("Runs", "Watch", "RunRef", "Progress", watched, streams=True)
    require((seen[-1].run.state, seen[-1].run.agents) == ("finished", 400), f"{seen[-1]}")
    page = of("PageRequest")(of=watched.run, limit=200)
    (tree,) = grpc.call("Lineage", "Tree", "PageRequest", "AgentPage", page)
    require(len(tree.agents) == 200 and grpc.packed > 0, "nothing large came compressed")

    # What is not there: an error, signed.
    none = of("RunRef")(run=run_name(os.urandom(16)))
    require(grpc.fails("Runs", "Show", "RunRef", "Run", none) == "not-found", "an unknown run")

    # The same bytes again; with one bit turned; without an envelope; without a key.
    path, body = grpc.sent
    require(grpc.refused(path, body) == "denied", "a replay")
    stream = grpc.own.begin("darwin.v1.Lineage", "Tree", "darwin.v1.PageRequest", "darwin.v1.AgentPage")
    turned = bytearray(stream.seal(page.SerializeToString()))
    turned[-1] ^= 1
    require(grpc.refused(path, framed(bytes(turned))) == "corrupt", "a turned bit")
    bare = framed(start.SerializeToString())
    require(grpc.refused("/darwin.v1.Runs/Start", bare, "application/grpc") == "denied", "unsigned")
    stream = grpc.own.begin("darwin.v1.Runs", "Start", "darwin.v1.StartRequest", "darwin.v1.Run")
    keyless = framed(stream.seal(start.SerializeToString()))
    require(grpc.refused("/darwin.v1.Runs/Start", keyless) == "invalid-input", "keyless")
    print("signed over gRPC")


def run_name(run):
    digits = run.hex()
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


if __name__ == "__main__":
    main()
