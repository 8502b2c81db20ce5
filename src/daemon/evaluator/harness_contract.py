"""The contracts that Python evaluators follow: OpenEvolve's functions, ShinkaEvolve's script.

A contract is loaded once, in the warm process, and then runs in the process of each candidate.
"""

import errno
import importlib.machinery
import importlib.util
import inspect
import json
import os
import stat
import sys
import traceback
import types

from harness_base import MAX_TEXT, MAX_TRACE
from harness_candidate import flush

MAX_METRICS = 1000
# Beside what is kept of artefacts, of which ShinkaEvolve's metrics hold one.
MAX_RESULTS = 1 << 20
MAX_VERDICT = 1 << 16


def load(task):
    """The contract of the suite's evaluator, which is imported."""
    sys.path[:] = task["path"]
    path = os.path.join(task["suite"], task["evaluator"])
    os.chdir(task["suite"])
    sys.path.insert(0, os.path.dirname(path))
    sys.argv[:] = [path]
    contract = Functions(task, path) if task["args"] is None else Script(task, path)
    if "numpy" in sys.modules:
        # NumPy 2 loads it when it is first used, which is after a candidate's seed was set.
        importlib.import_module("numpy.random")
    return contract


def imported(path):
    spec = importlib.util.spec_from_file_location("evaluation_module", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluation_module"] = module
    spec.loader.exec_module(module)
    return module


def supply(name, path):
    """Puts a module of our own before all others of its name."""
    package, _, child = name.partition(".")
    parent = types.ModuleType(package)
    found = importlib.machinery.PathFinder.find_spec(package)
    # What else it has, where it is installed, is found as usual.
    parent.__path__ = list(found.submodule_search_locations or []) if found else []
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[package], sys.modules[name] = parent, module
    spec.loader.exec_module(module)
    setattr(parent, child, module)


def plain(value):
    """The number in what NumPy makes of one."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def metric(value):
    """The value with its type, as text where it is no finite number."""
    value = plain(value)
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
    score = plain(metrics.get("combined_score"))
    if not isinstance(score, (int, float)):
        numbers = [plain(value) for name, value in metrics.items() if name != "error"]
        numbers = [number for number in numbers if isinstance(number, (int, float))]
        if not numbers:
            return False
        score = sum(numbers) / len(numbers)
    return score >= threshold


class Functions:
    """`evaluate(path)`, or stages of it, that return metrics: OpenEvolve's contract."""

    def __init__(self, task, path):
        self.task, self.room = task, task["output"]
        supply("openevolve.evaluation_result", os.path.join(task["ours"], "evaluation_result.py"))
        self.module = imported(path)
        names = ["evaluate_stage1", "evaluate_stage2", "evaluate_stage3"]
        there = [callable(getattr(self.module, name, None)) for name in names] + [False]
        self.staged = task["cascade"] and there[0]
        self.stages = names[: there.index(False)] if self.staged else ["evaluate"]
        if not self.staged and not callable(getattr(self.module, "evaluate", None)):
            raise Unusable("%s defines no function evaluate(program_path)" % task["evaluator"])

    def run(self, reports, path, _directory):
        merged = {}
        for number, name in enumerate(self.stages, 1):
            reports.write(b"S", {"stage": number})
            try:
                result = getattr(self.module, name)(path)
                if not isinstance(result, dict) and inspect.isawaitable(result):
                    result = wait_for(result)
                metrics, artifacts = parts(result, name)
                self.report(reports, number, metrics, artifacts)
            except BaseException as error:  # SystemExit and KeyboardInterrupt, too
                fail(reports, number, error)
                return
            merged.update(metrics)
            if number < len(self.stages):
                thresholds = self.task["thresholds"]
                if number > len(thresholds) or not passes(merged, thresholds[number - 1]):
                    return

    def report(self, reports, stage, metrics, artifacts):
        if len(metrics) > MAX_METRICS:
            raise Unusable("more than %d metrics" % MAX_METRICS)
        metrics = {clean(name): metric(value) for name, value in metrics.items()}
        names, blobs = [], []
        for name, value in artifacts.items():
            blob = encode(value)[: self.room]
            self.room -= len(blob)
            names.append([clean(name), len(blob)])
            blobs.append(blob)
        reports.write(b"R", {"stage": stage, "metrics": metrics, "artifacts": names}, *blobs)


def parts(result, name):
    """The metrics and the artefacts of what a function returned."""
    if isinstance(result, dict):
        artifacts = result.get("artifacts")
        if not isinstance(artifacts, dict):
            return result, {}
        return {name: value for name, value in result.items() if name != "artifacts"}, artifacts
    metrics, artifacts = getattr(result, "metrics", None), getattr(result, "artifacts", None)
    if isinstance(metrics, dict):
        return metrics, artifacts if isinstance(artifacts, dict) else {}
    kind = type(result).__name__
    raise Unusable("%s returned %s instead of a dict or an EvaluationResult" % (name, kind))


def fail(reports, stage, error):
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
    reports.write(b"E", header, trace.encode("utf-8", "replace")[-MAX_TRACE:])


class Unusable(Exception):
    """An answer that cannot be used."""


def wait_for(awaitable):
    import asyncio

    async def main():
        return await awaitable

    return asyncio.run(main())


class Script:
    """A program that writes its results to files: ShinkaEvolve's contract.

    It runs in a process of its own, and whatever becomes of that, the files that it leaves count.
    They are handed on as they are.
    """

    staged, stages = False, ["script"]

    def __init__(self, task, path):
        self.task, self.path = task, path
        supply("shinka.core", os.path.join(task["ours"], "shinka_core.py"))
        with open(path, "rb") as file:
            self.code = compile(file.read(), path, "exec")
        try:
            # Under another name than __main__ it does nothing; but what it imports is there then.
            imported(path)
        except ImportError:
            raise
        except BaseException:
            pass  # one that looks for its arguments at once has not found them: each run imports

    def run(self, reports, path, directory):
        reports.write(b"S", {"stage": 1})
        results = os.path.join(directory, "results")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(reports.pipe)
                status = self.main(path, directory, results)
            finally:
                os._exit(status)
        ended = None
        while ended != pid:
            ended, status = os.wait()  # orphans are this process's, too
        for name, most in (("metrics.json", self.task["output"] + MAX_RESULTS), ("correct.json", MAX_VERDICT)):
            content, fault = read(results, name, most)
            reports.write(b"F", {"name": name, "text": fault}, content)
        killed = os.WIFSIGNALED(status)
        code = os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
        reports.write(b"D", {"status": {"killed" if killed else "exited": code}})

    def main(self, path, directory, results):
        """Becomes the program. Its exit status."""
        work = os.path.join(directory, "work")
        os.mkdir(results)
        os.mkdir(work)
        # It may read its files by their relative paths, and write beside them.
        for name in os.listdir(self.task["suite"]):
            os.symlink(os.path.join(self.task["suite"], name), os.path.join(work, name))
        os.chdir(work)
        sys.argv[:] = [self.path, "--program_path", path, "--results_dir", results, *self.task["args"]]
        module = types.ModuleType("__main__")
        module.__file__ = self.path
        sys.modules["__main__"] = module
        status = 0
        try:
            exec(self.code, module.__dict__)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if status and not isinstance(end.code, int):
                print(end.code, file=sys.stderr)
        except BaseException as error:
            status = 1
            traceback.print_exception(type(error), error, error.__traceback__.tb_next)
        flush()
        return status & 0xFF


def read(directory, name, most):
    """A file's content, or why it has none: nothing says that it is a file, or a small one."""
    opened = []
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        opened.append(os.open(directory, flags | os.O_DIRECTORY))
        opened.append(os.open(name, flags, dir_fd=opened[0]))
        if not stat.S_ISREG(os.fstat(opened[1]).st_mode):
            return b"", "is no regular file"
        content = bytearray()
        while len(content) <= most:
            part = os.read(opened[1], min(most + 1 - len(content), 1 << 16))
            if not part:
                return content, ""
            content += part
        return b"", "is larger than %d KiB" % (most >> 10)
    except FileNotFoundError:
        return b"", "is missing"
    except OSError as error:
        return b"", "cannot be read: %s" % error.strerror
    finally:
        for fd in opened:
            os.close(fd)
