POINTS = [(x, 3 * x + 2) for x in (-2, -1, 0, 1, 2, 3)]
