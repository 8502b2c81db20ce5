"""Imports an evaluator once, then forks for each candidate: the warm harness of `python` suites.

Runs inside the sandbox. Descriptor 3 is the daemon's end of a socket; what goes over it is
described in plan.rs and frame.rs. Each candidate's process has its own pid, mount and ipc
namespaces and its own tmpfs, no capabilities, and the strict system call filter. It reports in
records, over a pipe of its own: a tag of one byte, a length of four, and the record. What they
say is checked by the daemon, not here.
"""

import ctypes
import errno
import importlib.machinery
import importlib.util
import inspect
import json
import os
import random
import select
import signal
import sys
import time
import traceback
import types

CONTROL = 3
NEWNS, NEWIPC, NEWPID = 0x20000, 0x8000000, 0x20000000
NOSUID, NODEV, NOEXEC = 2, 4, 8
SYS_ADMIN = 1 << 21
SET_PDEATHSIG, DUMPABLE, SET_SECCOMP, SUBREAPER, AMBIENT = 1, 4, 22, 36, 47
PIDFD_OPEN, LANDLOCK = 434, 444

MAX_TEXT = 4096
MAX_TRACE = 16384
MAX_METRICS = 1000
KEPT_OUTPUT = 65536
CHUNK = 65536

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))
    return result


class CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def set_capabilities(effective, permitted):
    header = CapHeader(0x20080522, 0)
    data = (CapData * 2)()
    data[0].effective, data[0].permitted = effective, permitted
    check(libc.capset(ctypes.byref(header), data), "capset")


def read_exactly(fd, length):
    parts = bytearray()
    while len(parts) < length:
        part = os.read(fd, min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def read_frame():
    rest = read_exactly(CONTROL, int.from_bytes(read_exactly(CONTROL, 4), "big"))
    length = int.from_bytes(rest[:4], "big")
    return json.loads(rest[4 : 4 + length]), memoryview(rest)[4 + length :]


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_frame(header, *blobs):
    header = json.dumps(header).encode()
    size = 4 + len(header) + sum(len(blob) for blob in blobs)
    write_all(CONTROL, b"".join((size.to_bytes(4, "big"), len(header).to_bytes(4, "big"), header, *blobs)))


# In the candidate's process


def metric(value):
    """The value with its type, as text where it is no finite number."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return ["flag", value]
    if isinstance(value, (int, float)) or type(value).__name__ in ("Fraction", "Decimal"):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf") if value > 0 else float("-inf")
        text = repr(number)
        return ["number" if number - number == 0 else "text", text]
    if isinstance(value, str):
        return ["text", clean(value)]
    try:
        text = json.dumps(value, default=repr)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return ["text", clean(text)]


def clean(text):
    """The text without what no UTF-8 can hold, shortened."""
    return str(text)[:MAX_TEXT].encode("utf-8", "replace").decode()


def encode(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str):
        try:
            value = json.dumps(value, default=repr)
        except (TypeError, ValueError, RecursionError):
            value = repr(value)
    return value.encode("utf-8", "replace")


def passes(metrics, threshold):
    """OpenEvolve's rule: the combined score, else the mean of all numbers but `error`."""
    score = metrics.get("combined_score")
    if score is None or metric(score)[0] == "text":
        numbers = []
        for name, value in metrics.items():
            kind, text = metric(value)
            if name != "error" and (kind != "text" or text in ("inf", "-inf")):
                numbers.append(float(value))
        if not numbers:
            return False
        score = sum(numbers) / len(numbers)
    return float(score) >= threshold


class Candidate:
    """One evaluation, in a process of its own."""

    def __init__(self, task, module, stages, pipe):
        self.task, self.module, self.stages, self.pipe = task, module, stages, pipe
        self.room = task["output"]
        self.pid = os.getpid()

    def record(self, tag, header, *blobs):
        if os.getpid() != self.pid:
            os._exit(0)  # a fork of the candidate came back here: it has nothing to say
        header = json.dumps(header).encode()
        size = 4 + len(header) + sum(len(blob) for blob in blobs)
        parts = (tag, size.to_bytes(4, "big"), len(header).to_bytes(4, "big"), header, *blobs)
        write_all(self.pipe, b"".join(parts))

    def run(self, path):
        merged = {}
        for number, name in enumerate(self.stages, 1):
            self.record(b"S", {"stage": number})
            try:
                result = getattr(self.module, name)(path)
                if inspect.isawaitable(result):
                    result = wait_for(result)
                metrics, artifacts = self.parts(result, name)
                self.report(number, metrics, artifacts)
            except BaseException as error:  # SystemExit and KeyboardInterrupt, too
                self.fail(number, error)
                return
            merged.update(metrics)
            if number < len(self.stages):
                thresholds = self.task["thresholds"]
                if number > len(thresholds) or not passes(merged, thresholds[number - 1]):
                    return

    def parts(self, result, name):
        if isinstance(result, dict):
            return result, {}
        metrics, artifacts = getattr(result, "metrics", None), getattr(result, "artifacts", None)
        if isinstance(metrics, dict):
            return metrics, artifacts if isinstance(artifacts, dict) else {}
        kind = type(result).__name__
        raise Unusable("%s returned %s instead of a dict or an EvaluationResult" % (name, kind))

    def report(self, stage, metrics, artifacts):
        if len(metrics) > MAX_METRICS:
            raise Unusable("more than %d metrics" % MAX_METRICS)
        metrics = {clean(name): metric(value) for name, value in metrics.items()}
        names, blobs = [], []
        for name, value in artifacts.items():
            blob = encode(value)[: self.room]
            self.room -= len(blob)
            names.append([clean(name), len(blob)])
            blobs.append(blob)
        self.record(b"R", {"stage": stage, "metrics": metrics, "artifacts": names}, *blobs)

    def fail(self, stage, error):
        try:
            text = clean(error)
        except Exception:
            text = "an exception whose text cannot be had"
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        header = {
            "stage": stage,
            "kind": type(error).__name__,
            "text": text,
            "unusable": isinstance(error, Unusable),
            "over": "disk" if full else "memory" if isinstance(error, MemoryError) else "",
        }
        self.record(b"E", header, trace.encode("utf-8", "replace")[-MAX_TRACE:])


class Unusable(Exception):
    """An answer that cannot be used."""


def wait_for(awaitable):
    import asyncio

    async def main():
        return await awaitable

    return asyncio.run(main())


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


def confine(task, directory):
    """Namespaces and a tmpfs of its own, no capabilities, the strict filter."""
    os.setsid()
    check(libc.prctl(DUMPABLE, 1, 0, 0, 0), "prctl")
    check(libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if task["namespaces"]:
        check(libc.unshare(NEWNS | NEWIPC), "unshare")
        options = task["tmp_options"].encode()
        check(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", NOSUID | NODEV, options), "mount /tmp")
        # As in the sandbox around it: where it is refused there is none.
        libc.mount(b"proc", b"/proc", b"proc", NOSUID | NODEV | NOEXEC, None)
        set_capabilities(0, 0)
    else:
        os.mkdir(directory, 0o700)
        os.environ["TMPDIR"] = os.environ["HOME"] = directory
    if task["reach"]:
        bound(task["reach"], directory)
    steps = task["filter"]
    program = Filter(len(steps) // 8, steps)
    check(libc.prctl(SET_SECCOMP, 2, ctypes.byref(program), 0, 0), "seccomp")


def bound(reach, directory):
    """By Landlock, to what reach.rs lists and to a directory of its own."""
    bounded = b"".join(bits.to_bytes(8, sys.byteorder) for bits in reach["bounded"])
    rules = check(libc.syscall(LANDLOCK, bounded, len(bounded), 0), "landlock")
    for path, rights in [*reach["rules"], (directory, reach["own"])]:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + fd.to_bytes(4, sys.byteorder)
        check(libc.syscall(LANDLOCK + 1, rules, 1, rule, 0), "landlock")
        os.close(fd)
    check(libc.syscall(LANDLOCK + 2, rules, 0), "landlock")
    os.close(rules)


def candidate(task, module, stages, request, body, fds, directory):
    result, out, err = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    try:
        confine(task, directory)
        agent = os.path.join(directory, "agent")
        lay(agent, request["files"], body)
        os.chdir(agent)
        path = os.path.join(agent, request["program"]) if request["program"] else agent
    except BaseException as error:
        header = json.dumps({"text": repr(error)[:MAX_TEXT]}).encode()
        size = (4 + len(header)).to_bytes(4, "big")
        write_all(result, b"X" + size + len(header).to_bytes(4, "big") + header)
        return
    seed = request["seed"]
    os.environ["DARWIN_SEED"] = str(seed)
    random.seed(seed)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed & 0xFFFFFFFF)
    Candidate(task, module, stages, result).run(path)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


# In the harness


class Tail:
    """The end of what is written to a pipe."""

    def __init__(self, fd):
        self.fd, self.kept, self.cut = fd, b"", False

    def take(self, data):
        self.kept += data
        if len(self.kept) > 2 * KEPT_OUTPUT:
            self.kept, self.cut = self.kept[-KEPT_OUTPUT:], True

    def end(self):
        return self.kept[-KEPT_OUTPUT:]


class Records:
    """The records of a candidate, and when its present stage must end."""

    def __init__(self, fd, task, stages):
        self.fd, self.data, self.at = fd, bytearray(), 0
        self.time, self.stages, self.stage = task["time"], len(stages), 0
        self.most = 2 * task["output"] + (4 << 20)
        self.deadline = time.monotonic() + self.time

    def take(self, data):
        self.data += data
        while len(self.data) >= self.at + 5:
            tag, size = self.data[self.at], int.from_bytes(self.data[self.at + 1 : self.at + 5], "big")
            if len(self.data) < self.at + 5 + size:
                break
            self.at += 5 + size
            if tag == ord("S") and self.stage < self.stages:
                self.stage += 1
                self.deadline = time.monotonic() + self.time

    def flooded(self):
        return len(self.data) > self.most


class Harness:
    """The warm process."""

    def __init__(self, task):
        self.task = task
        self.count = 0
        self.self_fd = check(libc.syscall(PIDFD_OPEN, os.getpid(), 0), "pidfd_open")
        if task["namespaces"]:
            # What the evaluator starts while it is imported gets no capabilities.
            check(libc.prctl(AMBIENT, 4, 0, 0, 0), "prctl")
            set_capabilities(0, SYS_ADMIN)
        else:
            check(libc.prctl(SUBREAPER, 1, 0, 0, 0), "prctl")

    def load(self):
        task = self.task
        sys.path[:] = task["path"]
        supply("openevolve.evaluation_result", task["ours"])
        path = os.path.join(task["suite"], task["evaluator"])
        os.chdir(task["suite"])
        sys.path.insert(0, os.path.dirname(path))
        sys.argv[:] = [path]
        spec = importlib.util.spec_from_file_location("evaluation_module", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["evaluation_module"] = module
        spec.loader.exec_module(module)
        names = ["evaluate_stage1", "evaluate_stage2", "evaluate_stage3"]
        there = [callable(getattr(module, name, None)) for name in names] + [False]
        if task["cascade"] and there[0]:
            return module, names[: there.index(False)]
        if not callable(getattr(module, "evaluate", None)):
            raise Unusable("%s defines no function evaluate(program_path)" % task["evaluator"])
        return module, ["evaluate"]

    def fork(self):
        if not self.task["namespaces"]:
            return os.fork()
        set_capabilities(SYS_ADMIN, SYS_ADMIN)
        check(libc.unshare(NEWPID), "unshare")
        pid = os.fork()
        if pid:
            check(libc.setns(self.self_fd, NEWPID), "setns")
            set_capabilities(0, SYS_ADMIN)
        return pid

    def evaluate(self, module, stages, request, body):
        self.count += 1
        directory = self.task["tmp"]
        if not self.task["namespaces"]:
            directory = os.path.join(directory, str(self.count))
        pipes = [os.pipe() for _ in range(3)]
        started = time.monotonic()
        pid = self.fork()
        if pid == 0:
            status = 1
            try:
                os.close(CONTROL)
                os.close(self.self_fd)
                for read, _ in pipes:
                    os.close(read)
                fds = [write for _, write in pipes]
                candidate(self.task, module, stages, request, body, fds, directory)
                status = 0
            finally:
                os._exit(status)
        for _, write in pipes:
            os.close(write)
        records = Records(pipes[0][0], self.task, stages)
        out, err = Tail(pipes[1][0]), Tail(pipes[2][0])
        timed_out = self.watch(pid, records, [out, err])
        _, status, usage = os.wait4(pid, 0)
        if not self.task["namespaces"]:
            kill_orphans()
        for sink in (records, out, err):
            drain(sink)
            os.close(sink.fd)
        if not self.task["namespaces"]:
            import shutil

            shutil.rmtree(directory, ignore_errors=True)
        killed = os.WIFSIGNALED(status)
        code = os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
        kept = bytes(records.data[: records.most])
        reply = {
            "status": {"killed" if killed else "exited": code},
            "timed_out": timed_out,
            "flooded": records.flooded(),
            "wall_us": int((time.monotonic() - started) * 1e6),
            "cpu_us": int((usage.ru_utime + usage.ru_stime) * 1e6),
            "max_rss": usage.ru_maxrss * 1024,
            "records": len(kept),
            "stdout": len(out.end()),
            "stderr": len(err.end()),
            "stdout_cut": out.cut,
        }
        write_frame(reply, kept, out.end(), err.end())

    def watch(self, pid, records, tails):
        """Takes what the candidate says until it is gone; kills it when its time is over."""
        pidfd = check(libc.syscall(PIDFD_OPEN, pid, 0), "pidfd_open")
        poll = select.poll()
        sinks = {sink.fd: sink for sink in [records, *tails]}
        for fd in [pidfd, *sinks]:
            poll.register(fd, select.POLLIN)
        try:
            while True:
                left = records.deadline - time.monotonic()
                if left <= 0 or records.flooded():
                    os.kill(pid, signal.SIGKILL)
                    return not records.flooded()
                for fd, _ in poll.poll(min(left * 1000 + 1, 1 << 30)):
                    if fd == pidfd:
                        return False
                    data = os.read(fd, CHUNK)
                    if data:
                        sinks[fd].take(data)
                    else:
                        poll.unregister(fd)
        finally:
            os.close(pidfd)


def drain(sink):
    """Takes what still lies in a pipe, up to what one can hold; a writer may have survived."""
    os.set_blocking(sink.fd, False)
    for _ in range(64):
        try:
            data = os.read(sink.fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            return
        sink.take(data)


def kill_orphans():
    """Without namespaces: kills what a candidate left, which is this process's child now."""
    own = "/proc/self/task/%d/children" % os.getpid()
    while True:
        with open(own) as children:
            pids = [int(pid) for pid in children.read().split()]
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def supply(name, ours):
    """Puts our own `openevolve.evaluation_result` before all others."""
    package, _, child = name.partition(".")
    parent = types.ModuleType(package)
    found = importlib.machinery.PathFinder.find_spec(package)
    # What else it has, where it is installed, is found as usual.
    parent.__path__ = list(found.submodule_search_locations or []) if found else []
    spec = importlib.util.spec_from_file_location(name, os.path.join(ours, child + ".py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[package], sys.modules[name] = parent, module
    spec.loader.exec_module(module)
    setattr(parent, child, module)


def main():
    ours = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(ours, "task.json"), encoding="utf-8") as file:
        task = json.load(file)
    with open(os.path.join(ours, "filter"), "rb") as file:
        task["filter"] = file.read()
    task["ours"] = ours
    harness = Harness(task)
    try:
        module, stages = harness.load()
    except BaseException as error:
        trace = traceback.format_exception(type(error), error, error.__traceback__)
        text = str(error) if isinstance(error, Unusable) else "".join(trace)
        write_frame({"import": text[-MAX_TRACE:]})
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(0, 1)
    os.dup2(0, 2)
    # Candidates that see this process, where the kernel gives them no /proc of their own, may
    # not look into it.
    check(libc.prctl(DUMPABLE, 0, 0, 0, 0), "prctl")
    import gc

    gc.collect()
    gc.freeze()  # what is there already stays shared with the forks
    write_frame({"ready": {"stages": len(stages), "staged": stages[0] != "evaluate"}})
    while True:
        try:
            request, body = read_frame()
        except EOFError:
            return
        harness.evaluate(module, stages, request, body)


if __name__ == "__main__":
    main()
