"""What both sides of the warm harness need: system calls that Python lacks, frames, limits."""

import ctypes
import json
import os

CONTROL = 3
NEWNS, NEWIPC, NEWPID = 0x20000, 0x8000000, 0x20000000
NOSUID, NODEV, NOEXEC = 2, 4, 8
SYS_ADMIN = 1 << 21
SET_PDEATHSIG, DUMPABLE, SET_SECCOMP, SUBREAPER, AMBIENT = 1, 4, 22, 36, 47
PIDFD_OPEN, LANDLOCK = 434, 444

MAX_TEXT = 4096
MAX_TRACE = 16384

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))
    return result


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


def remove(top):
    """Removes a directory as sweep.rs does: it may be deeper than any recursion."""
    left, count = [top], 0
    try:
        while left:
            directory = left.pop()
            os.chmod(directory, 0o700)
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                if os.path.isdir(path) and not os.path.islink(path):
                    count += 1
                    left.append("%s.%d" % (top, count))
                    os.chmod(path, 0o700)
                    os.rename(path, left[-1])
                else:
                    os.unlink(path)
            os.rmdir(directory)
    except OSError:
        pass  # the keeper removes all of it in the end
