"""A step recorded once and played back.

A few hundred numbers are added in less time than Python takes to say so. What is played back are the same operations in
the same order, to the bit, with no Python in between.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch

from learned_sim_env.imagination.step import Step
from learned_sim_env.world_model.protocol import WorldModel

# Recordings that are kept of a model, one for each number of rows.
KEPT = 16

_recordings: WeakKeyDictionary[WorldModel, dict[tuple, Callable]] = WeakKeyDictionary()


def played(step: Step, arguments: tuple) -> Callable:
    """The same as `step`, faster, for arguments of the same shapes as these.

    Recorded the first time, which takes as long as some fifty steps, where that can be done: a model says by
    `static_graph` that it may be; on a GPU nobody has tried; torch records under Python 3.13 and before.
    """
    action: torch.Tensor = arguments[1]
    if not step.model.static_graph or action.device.type != "cpu" or sys.version_info >= (3, 14):
        return step
    kept, key = _recordings.setdefault(step.model, {}), (len(action), step.temperature)
    if key not in kept:
        if len(kept) == KEPT:
            del kept[next(iter(kept))]
        kept[key] = _recorded(step, arguments)
    return kept[key]


def _recorded(step: Step, arguments: tuple) -> Callable:
    # Constants are made when they are first needed: now, and not as part of what is recorded.
    step(*arguments)
    with warnings.catch_warnings():
        # That shapes are taken for granted, which they may be; and that recording is an old way of doing it.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        recorded = torch.jit.trace(step, arguments, strict=False, check_trace=False)

    def play(*arguments: Any) -> Any:
        # As it was recorded: what else torch would do to it takes a while, and gains nothing.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return recorded(*arguments)

    return play
