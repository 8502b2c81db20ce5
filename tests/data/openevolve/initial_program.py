"""Fits a line through points. An OpenEvolve problem, used as test data."""

import random


# EVOLVE-BLOCK-START
def predict(x):
    slope = 1.0
    offset = 0.5
    return slope * x + offset
# EVOLVE-BLOCK-END


def noise():
    return random.Random(0).random()
