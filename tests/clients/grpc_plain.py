#!/usr/bin/env python3
"""gRPC's own library, as any other program would use it: without envelopes it may read, if the operator says
so, and change nothing. grpc_plain.py ADDRESS IDENTITY allowed|forbidden

Debian: python3-grpcio, and those of darwin_messages.py.
"""

import pathlib
import sys

import grpc

from darwin_messages import of, require


def main():
    address, identity, allowed = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] == "allowed"
    files = [(identity / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
    named = [("grpc.ssl_target_name_override", "darwind")]
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(*files), named) as channel:

        def call(path, request, answer):
            encode, decode = type(request).SerializeToString, answer.FromString
            method = channel.unary_unary(path, encode, decode)
            try:
                return method(request, timeout=30, wait_for_ready=True)
            except grpc.RpcError as error:
                return error.code()

        status = call("/darwin.v1.Operations/Status", of("StatusRequest")(), of("StatusResponse"))
        denied = grpc.StatusCode.PERMISSION_DENIED
        require((status != denied and status.pid > 0) if allowed else status == denied, status)
        new = of("CreateSessionRequest")(session_id=b"\x07" * 16, name="never")
        found = call("/darwin.v1.Sessions/Create", new, of("Session"))
        require(found == denied, f"a change without an envelope: {found}")
        health = call("/grpc.health.v1.Health/Check", of("StatusRequest")(), of("StatusRequest"))
        require(health == of("StatusRequest")() or health.ByteSize() > 0, f"health: {health}")
    print("plain over gRPC")


if __name__ == "__main__":
    main()
