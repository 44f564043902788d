"""How the learning rate rises and falls."""

from __future__ import annotations

import math


def share_of_peak(step: int, steps: int, warmup: int, last: float) -> float:
    """Share of a learning rate's peak at `step` of `steps`: a linear rise over `warmup` steps, times a half cosine from
    1 down to `last`.
    """
    rising = min(1.0, (step + 1) / warmup)
    falling = last + (1 - last) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return rising * falling
