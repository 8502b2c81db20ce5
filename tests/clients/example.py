#!/usr/bin/env python3
"""Makes the example of doc/messages.md, and compares each of its parts: example.py FILE.md"""

import re
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from darwin_messages import of, pae, raw, require, seal, sha256, unseal

text = open(sys.argv[1], encoding="utf-8").read().split("### An example")[1].split("\n## ")[0]
parts = {
    name: bytes.fromhex(digits)
    for name, digits in re.findall(r"^([a-z ]+):\n\n((?:    [0-9a-f]+\n)+)", text, re.M)
}
key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
payload = of("RunRef")(run="1").SerializeToString()
header = of("Header")(
    major=1,
    id=b"\x05" * 16,
    sender=sha256(raw(key.public_key())),
    cluster=b"\x03" * 32,
    service="darwin.v1.Runs",
    method="Show",
    session=b"\x04" * 32,
    stream=1,
    last=True,
    issued_ms=1_700_000_000_000,
    expires_ms=1_700_000_120_000,
    payload_type="darwin.v1.RunRef",
).SerializeToString()
body = header + sha256(payload)
made = {
    "payload": payload,
    "sender": sha256(raw(key.public_key())),
    "header": header,
    "what is signed": pae(body),
    "signature": key.sign(pae(body)),
    "envelope": seal(key, header, payload),
}
for name, expected in made.items():
    require(parts.get(name) == expected, f"{name} is {expected.hex()}")
require(unseal(key.public_key(), parts["envelope"])[1] == payload, "it does not open")
print("the example holds")
