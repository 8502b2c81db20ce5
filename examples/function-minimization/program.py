"""Looks for the lowest point of a landscape that it can only ask about, a few times."""


# EVOLVE-BLOCK-START
START_X = 4.0
START_Y = -3.0
STRIDE = 1.0
SHRINK = 0.5
# EVOLVE-BLOCK-END


def search(height):
    """Compass search: try a step each way, go where it is lower, else step shorter."""
    x, y, stride = START_X, START_Y, STRIDE
    here = height(x, y)
    for _ in range(6):
        steps = [(x + stride, y), (x - stride, y), (x, y + stride), (x, y - stride)]
        lowest, place = min((height(*step), step) for step in steps)
        if lowest < here:
            here, (x, y) = lowest, place
        else:
            stride *= SHRINK
    return x, y
