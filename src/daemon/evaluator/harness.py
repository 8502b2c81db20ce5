"""Imports an evaluator once, then forks for each candidate: the warm harness of Python suites.

Runs inside the sandbox. Descriptor 3 is the daemon's end of a socket; what goes over it is
described in plan.rs and frame.rs. Each candidate's process has its own pid, mount and ipc
namespaces and its own tmpfs, no capabilities, and the strict system call filter.
"""

import fcntl
import json
import os
import select
import signal
import site
import sys
import time
import traceback

from harness_base import (
    AMBIENT,
    CONTROL,
    DUMPABLE,
    MAX_TRACE,
    NEWPID,
    PIDFD_OPEN,
    SUBREAPER,
    check,
    libc,
    read_frame,
    remove,
    write_frame,
)
from harness_candidate import Walls, candidate
from harness_contract import Unusable, load

KEPT_OUTPUT = 65536
# How long a candidate is left to itself at first, in milliseconds.
PROMPT = 5
CHUNK = 65536


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

    def __init__(self, fd, task, contract):
        self.fd, self.data, self.at = fd, bytearray(), 0
        own = task["times"] if contract.staged else []
        self.times = [*own, *[task["time"]] * len(contract.stages)][: len(contract.stages)]
        self.stage, self.most = 0, 2 * task["output"] + (4 << 20)
        self.deadline = time.monotonic() + self.times[0]

    def take(self, data):
        self.data += data
        while len(self.data) >= self.at + 5:
            tag, size = self.data[self.at], int.from_bytes(self.data[self.at + 1 : self.at + 5], "big")
            if len(self.data) < self.at + 5 + size:
                break
            self.at += 5 + size
            if tag == ord("S") and self.stage < len(self.times):
                self.deadline = time.monotonic() + self.times[self.stage]
                self.stage += 1

    def flooded(self):
        return len(self.data) > self.most


class Harness:
    """The warm process."""

    def __init__(self, task):
        self.task, self.walls = task, Walls(task)
        self.count = 0
        self.held = []
        self.self_fd = check(libc.syscall(PIDFD_OPEN, os.getpid(), 0), "pidfd_open")
        if task["namespaces"]:
            # Programs that the evaluator starts while it is imported get no capabilities.
            check(libc.prctl(AMBIENT, 4, 0, 0, 0), "prctl")
        else:
            check(libc.prctl(SUBREAPER, 1, 0, 0, 0), "prctl")

    def fork(self):
        if not self.task["namespaces"]:
            return os.fork()
        check(libc.unshare(NEWPID), "unshare")
        pid = os.fork()
        if pid:
            check(libc.setns(self.self_fd, NEWPID), "setns")
        return pid

    def evaluate(self, contract, request, body):
        self.count += 1
        for fd, at, flags in self.held:
            os.lseek(fd, at, os.SEEK_SET)
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)
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
                candidate(self.walls, contract, request, body, fds, directory)
                status = 0
            finally:
                os._exit(status)
        for _, write in pipes:
            os.close(write)
        records = Records(pipes[0][0], self.task, contract)
        out, err = Tail(pipes[1][0]), Tail(pipes[2][0])
        timed_out = self.watch(pid, records, [out, err])
        _, status, usage = os.wait4(pid, 0)
        if not self.task["namespaces"]:
            kill_orphans()
        for sink in (records, out, err):
            drain(sink)
            os.close(sink.fd)
        if not self.task["namespaces"]:
            remove(directory)
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
        poll.register(pidfd, select.POLLIN)
        try:
            # While it lives, each page that this process writes to is copied; and what most
            # say fits their pipes.
            if poll.poll(PROMPT):
                return False
            sinks = {sink.fd: sink for sink in [records, *tails]}
            for fd in sinks:
                poll.register(fd, select.POLLIN)
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


def held():
    """The files that the evaluator has open: where they stand and how is common to all forks."""
    found = []
    for fd in range(CONTROL + 1, 1024):
        try:
            found.append((fd, os.lseek(fd, 0, os.SEEK_CUR), fcntl.fcntl(fd, fcntl.F_GETFL)))
        except OSError:
            pass  # closed, or nothing that has a place
    return found


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


def main():
    ours = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(ours, "task.json"), encoding="utf-8") as file:
        task = json.load(file)
    with open(os.path.join(ours, "filter"), "rb") as file:
        task["filter"] = file.read()
    task["ours"] = ours
    harness = Harness(task)
    # It was for this process alone. What `site` is missed for are `exit` and `quit`.
    os.environ.pop("LD_BIND_NOW", None)
    site.setquit()
    try:
        contract = load(task)
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
    harness.held = held()
    import gc

    gc.collect()
    gc.freeze()  # what is there already stays shared with the forks
    write_frame({"ready": {"stages": len(contract.stages), "staged": contract.staged}})
    while True:
        try:
            request, body = read_frame()
        except EOFError:
            return
        harness.evaluate(contract, request, body)


if __name__ == "__main__":
    main()
