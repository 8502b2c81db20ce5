"""Scores a packing of 26 circles in the unit square by the sum of their radii.

An agent is its 26 centres, in params.json. Their circles are grown here, all at the same pace,
each until it touches another or the border. Everything is computed in whole numbers, of which
ONE make the side of the square, so the check at the end is exact: there is no tolerance.
"""

import json
import os
from math import isqrt

N = 26
ONE = 1 << 48


def evaluate(agent_dir):
    with open(os.path.join(agent_dir, "params.json")) as file:
        params = json.load(file)
    xs = [round(params[f"x{i}"] * ONE) for i in range(N)]
    ys = [round(params[f"y{i}"] * ONE) for i in range(N)]
    radii = grow(xs, ys)
    check(xs, ys, radii)
    return {"combined_score": sum(radii) / ONE, "smallest": min(radii) / ONE}


def grow(xs, ys):
    """The radii of circles that grow at one pace, each until something stops it."""
    wall = [min(x, ONE - x, y, ONE - y) for x, y in zip(xs, ys)]
    # What each other circle lets a circle have: half the distance while both grow, and what
    # is left beside it once it has stopped. Its place for itself holds the border.
    apart = [[0] * N for _ in range(N)]
    for i in range(N):
        row, x, y = apart[i], xs[i], ys[i]
        for j in range(i):
            row[j] = apart[j][i] = isqrt((x - xs[j]) ** 2 + (y - ys[j]) ** 2)
    room = [[d // 2 for d in row] for row in apart]
    for i in range(N):
        room[i][i] = wall[i]
    bound = [min(row) for row in room]
    growing = set(range(N))
    radii = [0] * N
    while growing:
        i = min(growing, key=bound.__getitem__)
        growing.remove(i)
        radii[i] = max(0, bound[i])
        for j in growing:
            row = room[j]
            row[i] = apart[i][j] - radii[i]
            bound[j] = min(row)
    return radii


def check(xs, ys, radii):
    """Refuses circles that leave the square or overlap."""
    for i in range(N):
        x, y, r = xs[i], ys[i], radii[i]
        if r < 0 or r > min(x, y, ONE - x, ONE - y):
            raise ValueError(f"circle {i} leaves the square")
        for j in range(i):
            if (x - xs[j]) ** 2 + (y - ys[j]) ** 2 < (r + radii[j]) ** 2:
                raise ValueError(f"circles {j} and {i} overlap")
