"""In a candidate's process: confines itself, lays out the agent, and reports.

It reports in records, over a pipe of its own: a tag of one byte, a length of four, and the record.
What they say is checked by the daemon, not here.
"""

import ctypes
import importlib.util
import json
import os
import random
import signal
import struct
import sys

from harness_base import (
    DUMPABLE,
    LANDLOCK,
    MAX_TEXT,
    NEWIPC,
    NEWNS,
    NODEV,
    NOEXEC,
    NOSUID,
    SET_PDEATHSIG,
    SET_SECCOMP,
    check,
    libc,
    write_all,
)


class Reports:
    """What the process says, a record at a time."""

    def __init__(self, pipe):
        self.pipe, self.pid = pipe, os.getpid()

    def write(self, tag, header, *blobs):
        if os.getpid() != self.pid:
            os._exit(0)  # a fork of the candidate came back here: it has nothing to say
        header = json.dumps(header).encode()
        size = 4 + len(header) + sum(len(blob) for blob in blobs)
        parts = (tag, size.to_bytes(4, "big"), len(header).to_bytes(4, "big"), header, *blobs)
        write_all(self.pipe, b"".join(parts))


def lay(directory, files, body):
    """Writes the agent's files."""
    os.mkdir(directory)
    at = 0
    for file in files:
        path = os.path.join(directory, file["path"])
        parent = os.path.dirname(path)
        if parent != directory:
            os.makedirs(parent, exist_ok=True)
        mode = 0o755 if file["executable"] else 0o644
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        write_all(fd, body[at : at + file["size"]])
        os.close(fd)
        at += file["size"]


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


class Walls:
    """What confines a candidate, made ready in the warm process.

    Whatever a fork builds anew costs it copies of pages that it shares with that process.
    """

    def __init__(self, task):
        self.namespaces = task["namespaces"]
        self.tmp_options = task["tmp_options"].encode()
        # The header says version 3 and this process; then twice effective, permitted, inheritable.
        self.no_capabilities = struct.pack("Ii", 0x20080522, 0), bytes(24)
        self.reach = task["reach"]
        if self.reach:
            self.bounded = struct.pack("3Q", *self.reach["bounded"])
            self.rules = [(path, struct.pack("Q", rights)) for path, rights in self.reach["rules"]]
            self.own = struct.pack("Q", self.reach["own"])
        self.filter = ctypes.byref(Filter(len(task["filter"]) // 8, task["filter"]))

    def close(self, directory):
        """Namespaces and a tmpfs of its own, no capabilities, the strict filter."""
        os.setsid()
        check(libc.prctl(DUMPABLE, 1, 0, 0, 0), "prctl")
        check(libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        if self.namespaces:
            check(libc.unshare(NEWNS | NEWIPC), "unshare")
            check(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", NOSUID | NODEV, self.tmp_options), "mount /tmp")
            # As in the sandbox around it: where it is refused there is none.
            libc.mount(b"proc", b"/proc", b"proc", NOSUID | NODEV | NOEXEC, None)
            check(libc.capset(*self.no_capabilities), "capset")
        else:
            os.mkdir(directory, 0o700)
            os.environ["TMPDIR"] = os.environ["HOME"] = directory
        if self.reach:
            self.bound(directory)
        check(libc.prctl(SET_SECCOMP, 2, self.filter, 0, 0), "seccomp")

    def bound(self, directory):
        """By Landlock, to what reach.rs lists and to a directory of its own."""
        rules = check(libc.syscall(LANDLOCK, self.bounded, len(self.bounded), 0), "landlock")
        for path, rights in [*self.rules, (directory, self.own)]:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = rights + fd.to_bytes(4, sys.byteorder)
            check(libc.syscall(LANDLOCK + 1, rules, 1, rule, 0), "landlock")
            os.close(fd)
        check(libc.syscall(LANDLOCK + 2, rules, 0), "landlock")
        os.close(rules)


def candidate(walls, contract, request, body, fds, directory):
    result, out, err = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    reports = Reports(result)
    try:
        walls.close(directory)
        agent = os.path.join(directory, "agent")
        lay(agent, request["files"], body)
        os.chdir(agent)
        path = os.path.join(agent, request["program"]) if request["program"] else agent
    except BaseException as error:
        reports.write(b"X", {"text": repr(error)[:MAX_TEXT]})
        return
    seed = request["seed"]
    os.environ["DARWIN_SEED"] = str(seed)
    random.seed(seed)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed & 0xFFFFFFFF)
    else:
        sys.meta_path.insert(0, SeededNumPy(seed & 0xFFFFFFFF))
    contract.run(reports, path, directory)
    flush()


class SeededNumPy:
    """Seeds NumPy's global generator when it is first imported."""

    def __init__(self, seed):
        self.seed = seed

    def find_spec(self, name, _path=None, _target=None):
        if name != "numpy.random":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def load_and_seed(module):
                load(module)
                module.seed(self.seed)

            spec.loader.exec_module = load_and_seed
        return spec


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
