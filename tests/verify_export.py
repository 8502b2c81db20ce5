#!/usr/bin/env python3
"""Checks an export of Darwin by its documentation alone (doc/formats.md).

Standard library only, and no code of Darwin's: if this and `darwin lineage verify`
agree, the documentation is complete. Slow on purpose: plain rather than quick.

    verify_export.py --trust FINGERPRINT FILE.car
"""

import argparse
import hashlib
import hmac
import struct
import sys


def require(fact, what):
    if not fact:
        raise SystemExit(f"fault: {what}")


def sha256(data):
    return hashlib.sha256(data).digest()


# --- DAG-CBOR, canonical form only ---------------------------------------------------

class Link(bytes):
    pass


def decode(data):
    value, end = item(data, 0)
    require(end == len(data), "bytes after a CBOR value")
    return value


def item(data, at):
    first = data[at]
    if first in (0xF4, 0xF5, 0xF6):
        return {0xF4: False, 0xF5: True, 0xF6: None}[first], at + 1
    if first == 0xFB:
        (value,) = struct.unpack(">d", data[at + 1:at + 9])
        require(abs(value) < float("inf") and data[at + 1:at + 9] != b"\x80" + bytes(7), "float")
        return value, at + 9
    major, info, at = first >> 5, first & 31, at + 1
    require(info < 28, "a length without an end")
    if info >= 24:
        size = 1 << (info - 24)
        value = int.from_bytes(data[at:at + size], "big")
        require(value >= (24 if size == 1 else 1 << (4 * size)), "a head that is not shortest")
        info, at = value, at + size
    if major == 0:
        return info, at
    if major == 1:
        return -1 - info, at
    if major in (2, 3):
        require(at + info <= len(data), "a string beyond the end")
        text = data[at:at + info]
        return (text if major == 2 else text.decode("utf-8")), at + info
    if major == 4:
        out = []
        for _ in range(info):
            value, at = item(data, at)
            out.append(value)
        return out, at
    if major == 5:
        out, last = {}, (-1, b"")
        for _ in range(info):
            key, at = item(data, at)
            order = (len(key.encode()), key.encode())
            require(order > last, "map keys out of order")
            last = order
            out[key], at = item(data, at)
        return out, at
    require(major == 6 and info == 42, "an unknown tag")
    value, at = item(data, at)
    require(isinstance(value, bytes) and value[:1] == b"\0", "a link")
    return Link(value[1:]), at


def encode_head(major, value):
    for info, size, limit in ((24, 1, 1 << 8), (25, 2, 1 << 16), (26, 4, 1 << 32), (27, 8, 1 << 64)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < limit:
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")


def encode(value):
    if value is None or value is True or value is False:
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value + 0.0)
    if isinstance(value, int):
        return encode_head(0, value) if value >= 0 else encode_head(1, -1 - value)
    if isinstance(value, bytes):
        return encode_head(2, len(value)) + value
    if isinstance(value, str):
        return encode_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return encode_head(4, len(value)) + b"".join(map(encode, value))
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    return encode_head(5, len(keys)) + b"".join(encode(key) + encode(value[key]) for key in keys)


# --- CAR version 1 -------------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def read_car(data):
    length, at = varint(data, 0)
    header = decode(data[at:at + length])
    require(header["version"] == 1 and len(header["roots"]) == 1, "the CAR header")
    at, blocks = at + length, []
    while at < len(data):
        length, at = varint(data, at)
        cid, content = data[at:at + 36], data[at + 36:at + length]
        require(len(content) == length - 36 and length <= 36 + (1 << 20), "a frame's length")
        require(cid[:4] in (b"\x01\x55\x12\x20", b"\x01\x71\x12\x20"), "a CID")
        require(cid[4:] == sha256(content), "a block's digest")
        blocks.append((cid, content))
        at += length
    return header["roots"][0], blocks


# --- Ed25519 (RFC 8032) and DSSE's encoding ------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
I = pow(2, (P - 1) // 4, P)


def add(a, b):
    x = (a[0] * b[1] + b[0] * a[1])
    y = (a[1] * b[1] + a[0] * b[0])
    t = D * a[0] * b[0] * a[1] * b[1] % P
    return x * pow(1 + t, -1, P) % P, y * pow(1 - t, -1, P) % P


def times(number, point):
    out = (0, 1)
    while number:
        if number & 1:
            out = add(out, point)
        point, number = add(point, point), number >> 1
    return out


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * I % P
    require((x * x - square) % P == 0, "a point of the curve")
    return (P - x if x & 1 != sign else x), y


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed(public, kind, payload, signature):
    pae = b"DSSEv1 %d %s %d " % (len(kind), kind, len(payload)) + payload
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + pae).digest(), "little") % L
    require(s < L, "a signature")
    require(times(s, BASE) == add(point(signature[:32]), times(h, point(public))), "a signature")


# --- HKDF and AES-256-GCM ------------------------------------------------------------

def hkdf(key, salt, info, length):
    prk = hmac.digest(salt or bytes(32), key, "sha256")
    out = last = b""
    for count in range(1, 256):
        if len(out) >= length:
            return out[:length]
        last = hmac.digest(prk, last + info + bytes([count]), "sha256")
        out += last


def xtime(a):
    return (a << 1 ^ 0x11B if a & 0x80 else a << 1) & 0xFF


def make_sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p = p ^ xtime(p)
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        box[p] = q ^ 0x63
        for shift in (1, 2, 3, 4):
            box[p] ^= (q << shift | q >> (8 - shift)) & 0xFF
        if p == 1:
            box[0] = 0x63
            return box


SBOX = make_sbox()


def expand(key):
    words, rcon = [key[i:i + 4] for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = bytes(SBOX[b] for b in word[1:] + word[:1])
            word, rcon = bytes([word[0] ^ rcon]) + word[1:], xtime(rcon)
        elif i % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return [b"".join(words[i:i + 4]) for i in range(0, 60, 4)]


def aes(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                col = state[c:c + 4]
                total = col[0] ^ col[1] ^ col[2] ^ col[3]
                mixed += [col[r] ^ total ^ xtime(col[r] ^ col[(r + 1) % 4]) for r in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[number])]
    return bytes(state)


def ghash(h, data):
    y = 0
    for at in range(0, len(data), 16):
        y ^= int.from_bytes(data[at:at + 16].ljust(16, b"\0"), "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y


def gcm_open(key, nonce, aad, sealed):
    keys, (text, tag) = expand(key), (sealed[:-16], sealed[-16:])
    pad = lambda data: data + bytes(-len(data) % 16)
    sizes = struct.pack(">QQ", 8 * len(aad), 8 * len(text))
    h = int.from_bytes(aes(keys, bytes(16)), "big")
    mask = int.from_bytes(aes(keys, nonce + struct.pack(">I", 1)), "big")
    require((ghash(h, pad(aad) + pad(text) + sizes) ^ mask).to_bytes(16, "big") == tag, "a tag")
    stream = b"".join(aes(keys, nonce + struct.pack(">I", 2 + i)) for i in range(-(-len(text) // 16)))
    return bytes(a ^ b for a, b in zip(text, stream))


# --- Sealed objects ------------------------------------------------------------------

def unseal(key, session, kind, chunks):
    out, same = b"", chunks[0][14:78]
    okm = hkdf(key, chunks[0][14:46], b"darwin sealed block 1", 64)
    require(okm[32:] == chunks[0][46:78], "the key commitment")
    for index, chunk in enumerate(chunks):
        head = b"DWNS\x01" + bytes([kind]) + struct.pack(">II", index, len(chunks)) + same
        require(chunk[:78] == head, "a sealed block's header")
        require(len(chunk) == 1 << 20 or index == len(chunks) - 1, "a chunk's length")
        out += gcm_open(okm[:32], bytes(8) + struct.pack(">I", index), head + session, chunk[78:])
    return out


# --- The export ----------------------------------------------------------------------

BODY, FILE, ARTIFACT, SPACE = 1, 2, 3, 4
ENTRY = b"application/vnd.darwin.journal-entry.v1+dag-cbor"
EXPORT = b"application/vnd.darwin.export.v1+dag-cbor"


def verify(data, trust):
    root, blocks = read_car(data)
    require(blocks[0][0] == root, "the root")
    outer = decode(blocks[0][1])
    statement = decode(outer["statement"])
    require(statement["v"] == 1, "the statement's format")
    public = {sha256(key): key for key, _since, _until in statement["keys"]}
    require(statement["signer"] == trust, "the export is signed by a key that is not trusted")
    signed(public[trust], EXPORT, outer["statement"], outer["sig"])

    pages = statement["heads"] + statement["blocks"]
    require([cid for cid, _ in blocks[1:1 + len(pages)]] == pages, "the pages")
    rows = [decode(content) for _, content in blocks[1:1 + len(pages)]]
    heads = {agent: cid for page in rows[:len(statement["heads"])] for agent, cid in page}
    listed = [cid for page in rows[len(statement["heads"]):] for cid in page]
    require([cid for cid, _ in blocks[1 + len(pages):]] == listed, "the list of blocks")
    store = dict(blocks[1 + len(pages):])
    keys = {session: key for session, key in statement["disclosed"]}

    entries, named, opened = {}, set(), 0
    for cid in listed:  # an entry comes after everything that it names
        if cid[1] != 0x71:
            continue
        outer = decode(store[cid])
        require(set(outer) == {"sig", "header"}, "an entry's fields")
        header = decode(outer["header"])
        require(header["v"] == 1, "an entry's format")
        signed(public[header["signer"]], ENTRY, outer["header"], outer["sig"])
        seq, prev = header["seq"], header["prev"]
        require((seq == 0) == (prev is None) and (seq == 0 or not header["parents"]), "a link")
        if prev is not None:
            before = entries[prev]
            require((before["agent"], before["seq"] + 1) == (header["agent"], seq), "a link")
        parents = [entries[parent]["agent"] for parent in header["parents"]]
        require(all(block in store for block in header["body"]), "a body")
        named.update([cid], header["body"])
        if header["session"] in keys:
            key = keys[header["session"]]
            require(hkdf(key, b"", b"darwin session key id 1", 16) == header["key"], "a key's id")
            contents(store, named, key, header, parents)
            opened += 1
        entries[cid] = header
    for agent, head in heads.items():
        last = max(e["seq"] for e in entries.values() if e["agent"] == agent)
        require((entries[head]["agent"], entries[head]["seq"]) == (agent, last), "a head")
    agents = {header["agent"] for header in entries.values()}
    require(agents == set(heads), "the agents")
    require(opened < len(entries) or named == set(store), "a block that nothing names")
    return f"{len(agents)} agents, {len(entries)} entries, {opened} opened, {len(store)} blocks"


def contents(store, named, key, header, parents):
    plain = unseal(key, header["session"], BODY, [store[cid] for cid in header["body"]])
    body = decode(plain)
    require(body["v"] == 1 and encode(body) == plain, "a body")
    require([next(iter(event)) for event in body["events"]] == header["kinds"], "the kinds")

    def content(kind, value):
        """A content's size and digest, checked if it is stored apart."""
        if isinstance(value, bytes):
            return len(value), sha256(value)
        named.update(value["cids"])
        found = unseal(key, header["session"], kind, [store[cid] for cid in value["cids"]])
        require((len(found), sha256(found)) == (value["size"], value["digest"]), "a content")
        return value["size"], value["digest"]

    for event in body["events"]:
        for artifact in event.get("evaluated", {}).get("artifacts", {}).values():
            content(ARTIFACT, artifact)
        made = event.get("proposed")
        if made is None:
            continue
        require(made["parents"] == parents, "the parents")
        genome, files, params = made["genome"], {}, {}
        for path, (executable, value) in genome["files"].items():
            size, digest = content(FILE, value)
            mode = 0o100755 if executable else 0o100644
            files[path] = {"mode": mode, "size": size, "digest": digest}
        for (name, kind, *rest), value in zip(made["space"], genome["params"]):
            choice = {"integer": int, "categorical": lambda v: rest[0][int(v)]}
            params[name] = choice.get(kind, float)(value)
        manifest = {"v": 1, "files": files, "model": genome["model"], "params": params,
                    "template": genome["template"]}
        require(sha256(encode(manifest)) == genome["digest"], "the genome's digest")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trust", required=True, type=bytes.fromhex)
    parser.add_argument("file")
    args = parser.parse_args()
    with open(args.file, "rb") as file:
        data = file.read()
    try:
        print(verify(data, args.trust))
    except (KeyError, IndexError, ValueError, TypeError, struct.error) as error:
        sys.exit(f"fault: malformed: {error!r}")
