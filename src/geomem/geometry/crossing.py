"""Where a measured curve reaches a level: thresholds of recall over the width, or over another size."""

import numpy as np
from jaxtyping import Float


def crossing(sizes: Float[np.ndarray, " size"], recalls: Float[np.ndarray, " size"], level: float) -> float:
    """Where recall first reaches a level, by a line between two measured sizes; NaN if it never does.

    Sizes ascend. The smallest size is the crossing if it is above the level already.

    >>> crossing(np.array([4.0, 6.0, 8.0]), np.array([0.5, 0.75, 1.0]), 0.875)
    7.0
    """
    reached = np.flatnonzero(recalls >= level)
    if not reached.size:
        return float("nan")
    last = int(reached[0])
    if last == 0:
        return float(sizes[0])
    share = (level - recalls[last - 1]) / (recalls[last] - recalls[last - 1])
    return float(sizes[last - 1] + share * (sizes[last] - sizes[last - 1]))
