"""A model's step recorded once and played back: the same operations in the same order, with no Python in between.

A few hundred numbers are added in less time than Python takes to say so. What is played back gives the same bits.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from learned_sim_env.world_model.protocol import State, WorldModel

# One step: from a state, actions (B, 2) and, unless the mode is wanted, noise (B, noise_size), to the state after it
# and what its heads say.
Step = Callable[..., tuple[State, dict[str, Tensor]]]

# Recordings that are kept of a model, one for each number of rows.
KEPT = 16

_recordings: WeakKeyDictionary[WorldModel, dict[tuple, Step]] = WeakKeyDictionary()


def step_of(model: WorldModel, temperature: float, *arguments: Any) -> Step:
    """`imagine` and `decode` of a model in one, for arguments of the same shapes as these; see `Step`.

    Recorded the first time, which takes as long as some fifty steps, where that can be done: a model says by
    `static_graph` that it may be; on a GPU nobody has tried; torch records under Python 3.13 and before.
    """
    rows = arguments[1]
    if not model.static_graph or rows.device.type != "cpu" or sys.version_info >= (3, 14):
        return _Step(model, temperature)
    kept = _recordings.setdefault(model, {})
    key = (len(rows), len(arguments), temperature)
    if key not in kept:
        if len(kept) == KEPT:
            del kept[next(iter(kept))]
        kept[key] = _recorded(_Step(model, temperature), arguments)
    return kept[key]


def _recorded(step: _Step, arguments: tuple) -> Step:
    # Constants are made when they are first needed: now, and not as part of what is recorded.
    step(*arguments)
    with warnings.catch_warnings():
        # That shapes are taken for granted, which they may be; and that recording is an old way of doing it.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        recorded = torch.jit.trace(step, arguments, strict=False, check_trace=False)

    def play(*arguments: Any) -> tuple[State, dict[str, Tensor]]:
        # As it was recorded: what else torch would do to it takes a while, and gains nothing.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return recorded(*arguments)

    return play


class _Step(nn.Module):
    def __init__(self, model: WorldModel, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, state: State, action: Tensor, noise: Tensor | None = None) -> tuple[State, dict[str, Tensor]]:
        state = self.model.imagine(state, action, noise, self.temperature)
        return state, self.model.decode(state)
