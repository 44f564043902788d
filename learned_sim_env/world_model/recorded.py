"""Functions of a frozen network recorded once and played back.

A few hundred numbers are added in less time than Python takes to say so. What is played back are the same operations in
the same order, to the bit, with no Python in between.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

# Recordings that are kept of one owner, one for each number of rows.
KEPT = 16

_recordings: WeakKeyDictionary[Any, dict[tuple, Callable]] = WeakKeyDictionary()


def played(module: nn.Module, method: str, arguments: tuple, owner: Any = None, key: Hashable = None) -> Callable:
    """A method of a module, faster, for arguments of the same shapes as these.

    Recorded the first time, which takes as long as some fifty calls, where that can be done: on a GPU nobody has tried,
    and torch records under Python 3.13 and before. Weights that are changed in place count.

    Args:
        module: does the same operations whatever the numbers in the arguments are.
        method: its name.
        arguments: tensors, or dicts of them; the second is a tensor (B, ...).
        owner: the recording is kept for as long as this object exists: by default the module. For modules that are made
            anew again and again around what they need.
        key: what else makes modules of one owner differ.
    """
    second: torch.Tensor = arguments[1]
    if second.device.type != "cpu" or torch.is_grad_enabled() or sys.version_info >= (3, 14):
        return getattr(module, method)
    kept = _recordings.setdefault(module if owner is None else owner, {})
    name = (type(module), method, len(second), key)
    if name not in kept:
        if len(kept) == KEPT:
            del kept[next(iter(kept))]
        kept[name] = _recorded(module, method, arguments)
    return kept[name]


def _recorded(module: nn.Module, method: str, arguments: tuple) -> Callable:
    # Constants are made when they are first needed: now, and not as part of what is recorded.
    getattr(module, method)(*arguments)
    with warnings.catch_warnings():
        # That shapes are taken for granted, which they may be; and that recording is an old way of doing it.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        whole = torch.jit.trace_module(module, {method: arguments}, strict=False, check_trace=False)
    recorded = getattr(whole, method)

    def play(*arguments: Any) -> Any:
        # As it was recorded: what else torch would do to it takes a while, and gains nothing.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return recorded(*arguments)

    return play
