"""What a ShinkaEvolve evaluator imports: calls a candidate's function and writes what came of it.

`run_shinka_eval` behaves as its documentation says, with two exceptions. All runs are made, as
with `early_stop_method="none"`; and nothing is plotted, for nobody would see it.
"""

import importlib.util
import json
import math
import multiprocessing
import os
import pickle
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean, pstdev

NO_METRICS = {
    "combined_score": 0.0,
    "execution_time_mean": 0.0,
    "execution_time_std": 0.0,
    "num_successful_runs": 0,
    "num_valid_runs": 0,
    "num_invalid_runs": 0,
    "all_validation_errors": [],
}


def run_shinka_eval(
    program_path,
    results_dir,
    experiment_fn_name,
    num_runs,
    get_experiment_kwargs=None,
    aggregate_metrics_fn=None,
    validate_fn=None,
    plotting_fn=None,
    default_metrics_on_error=None,
    early_stop_method=None,
    early_stop_threshold=None,
    early_stop_score_fn=None,
    early_stop_kwargs=None,
    run_workers=1,
    max_workers_cap=None,
    verbose=None,
):
    """The metrics, whether the candidate is correct, and why it is not.

    The same stands in `metrics.json` and `correct.json` of the results' directory, and what the
    metrics have as `extra_data` in `extra.pkl`.
    """
    if run_workers < 1 or (max_workers_cap is not None and max_workers_cap < 1):
        raise ValueError("run_workers and max_workers_cap must be at least 1")
    if verbose is None:
        verbose = os.environ.get("SHINKA_EVAL_VERBOSE", "1") != "0"
    workers = min(run_workers, num_runs, max_workers_cap or run_workers)
    arguments = get_experiment_kwargs or (lambda run: {"seed": run + 1})
    extra = None
    try:
        done = runs(program_path, experiment_fn_name, num_runs, arguments, workers, verbose)
        results, seconds = [result for result, _ in done], [time for _, time in done]
        faults = [fault for fault in (check(validate_fn, result) for result in results) if fault]
        distinct = list(dict.fromkeys(faults))
        if aggregate_metrics_fn is None:
            metrics = {"num_successful_runs": len(results)}
        else:
            metrics = dict(aggregate_metrics_fn(results))
        metrics["execution_time_mean"] = fmean(seconds) if seconds else 0.0
        metrics["execution_time_std"] = pstdev(seconds) if seconds else 0.0
        if validate_fn is not None:
            metrics["num_valid_runs"] = len(results) - len(faults)
            metrics["num_invalid_runs"] = len(faults)
            metrics["all_validation_errors"] = distinct
        error = "Validation failed: %s" % "; ".join(distinct) if faults else None
        score = metrics.get("combined_score")
        if error is None and isinstance(score, float) and not math.isfinite(score):
            error = "combined_score is %r, not a finite number" % score
        extra = metrics.pop("extra_data", None)
    except Exception as fault:
        metrics = dict(default_metrics_on_error or NO_METRICS)
        error = "%s: %s" % (type(fault).__name__, fault)
    os.makedirs(results_dir, exist_ok=True)
    if extra is not None:
        with open(os.path.join(results_dir, "extra.pkl"), "wb") as file:
            pickle.dump(extra, file)
    for name, value in (("correct", {"correct": error is None, "error": error}), ("metrics", metrics)):
        with open(os.path.join(results_dir, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=4, default=simple)
    if verbose:
        print("correct" if error is None else "not correct: %s" % error)
    return metrics, error is None, error


def runs(path, name, count, arguments, workers, verbose):
    """The result of each run and its seconds, in the order of the runs."""
    if workers > 1:
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=fork) as pool:
            waiting = [pool.submit(alone, path, name, arguments(run)) for run in range(count)]
            return [one.result() for one in waiting]
    function, done = experiment(path, name), []
    for run in range(count):
        if verbose:
            print("run %d of %d" % (run + 1, count))
        done.append(timed(function, arguments(run)))
    return done


def alone(path, name, arguments):
    """One run in a process of its own."""
    return timed(experiment(path, name), arguments)


def timed(function, arguments):
    started = time.perf_counter()
    result = function(**arguments)
    return result, time.perf_counter() - started


def experiment(path, name):
    """The candidate's function, from its file."""
    spec = importlib.util.spec_from_file_location("program", path)
    if spec is None or spec.loader is None:
        raise ImportError("%s is no Python program" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["program"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def check(validate, result):
    """Why a result is not valid; empty if it is."""
    if validate is None:
        return ""
    valid, fault = validate(result)
    return "" if valid else str(fault or "a run is not valid")


def simple(value):
    """What JSON holds in place of what it has no form for."""
    for method in ("tolist", "item"):
        if hasattr(value, method):
            return getattr(value, method)()
    return str(value)
