"""Scores how near the candidate's line comes to y = 3x + 2, in two stages."""

import importlib.util

from openevolve.evaluation_result import EvaluationResult

from points import POINTS


def load(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def closeness(program, points):
    error = sum((program.predict(x) - y) ** 2 for x, y in points) / len(points)
    return 1.0 / (1.0 + error)


def evaluate_stage1(program_path):
    return {"runs": 1.0, "combined_score": closeness(load(program_path), POINTS[:2])}


def evaluate_stage2(program_path):
    return evaluate(program_path)


def evaluate(program_path):
    program = load(program_path)
    score = closeness(program, POINTS)
    return EvaluationResult(
        metrics={"combined_score": score, "exact": score == 1.0},
        artifacts={"prediction": f"f(10) = {program.predict(10)}"},
    )
