"""Functions of a frozen network recorded once and played back: the one place that knows how.

A few hundred numbers are added in less time than Python takes to say so. What is played back are the same operations in
the same order, to the bit, with no Python in between, and what is done twice to the same numbers is done once.

torch's tracer and interpreter are used below `torch.jit`, which is deprecated from torch 2.14 on, and which keeps
whatever it recorded until the program ends. What is to succeed it was measured, for a step of one row: plain Python
takes 1.8 times as long as what is played back (as for 16 rows and for 256), a graph of `make_fx` 2.3 times, one of
`torch.export` 3.5 times; `torch.compile` is about as fast, but needs a compiler and 50 s for each number of rows, and
gives other results; what AOTInductor makes fails at complex numbers. So it is plain Python where this tracer is not to
be had.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

# Recordings that are kept of one owner, one for each number of rows.
KEPT = 16
# torch records under Python 3.13 and before.
AVAILABLE = sys.version_info < (3, 14) and all(
    hasattr(torch._C, name) for name in ("_create_graph_by_tracing", "_create_function_from_graph")
)

_recordings: WeakKeyDictionary[Any, dict[tuple, Callable]] = WeakKeyDictionary()


def played(module: nn.Module, method: str, arguments: tuple, owner: Any = None, key: Hashable = None) -> Callable:
    """A method of a module, faster, for arguments of the same shapes as these.

    Recorded the first time, which takes as long as some fifty calls, where that can be done: on a GPU nobody has tried.
    Weights that are changed in place count.

    Args:
        module: does the same operations whatever the numbers in the arguments are.
        method: its name.
        arguments: tensors, or dicts of them; the second is a tensor (B, ...).
        owner: the recording is kept for as long as this object exists: by default the module. For modules that are made
            anew again and again around what they need.
        key: what else makes modules of one owner differ.
    """
    second: torch.Tensor = arguments[1]
    if second.device.type != "cpu" or torch.is_grad_enabled() or not AVAILABLE:
        return getattr(module, method)
    kept = _recordings.setdefault(module if owner is None else owner, {})
    # What is done depends on the number of threads, see `layers.linear`.
    name = (type(module), method, len(second), torch.get_num_threads(), key)
    if name not in kept:
        if len(kept) >= KEPT:
            del kept[next(iter(kept))]
        kept[name] = _recorded(module, getattr(module, method), arguments)
    return kept[name]


def _recorded(module: nn.Module, function: Callable, arguments: tuple) -> Callable:
    # Constants are made when they are first needed: now, and not as part of what is recorded.
    function(*arguments)
    with warnings.catch_warnings(), _frozen(module):
        # That shapes are taken for granted, which they may be.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        graph, _ = torch._C._create_graph_by_tracing(function, arguments, lambda _: "", False, False)
    torch._C._jit_pass_cse(graph)
    torch._C._jit_pass_dce(graph)
    # Weights are constants of the graph, and nothing but this function holds it: it goes with the function.
    recorded = torch._C._create_function_from_graph(function.__name__, graph)

    def play(*arguments: Any) -> Any:
        # As it was recorded: what else torch would do to it takes a while, and gains nothing.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return recorded(*arguments)

    return play


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Weights can be constants only while no gradient is wanted of them."""
    wanted = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in wanted:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanted:
            weight.requires_grad_(True)
