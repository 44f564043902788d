"""Methods of a frozen network, recorded once and played back.

For small tensors Python's overhead outweighs the computation. A recording runs the same operations in the same order,
with the same bits and without Python; repeated operations on the same values run once.

torch's tracer and interpreter are used directly, not through `torch.jit`, which is deprecated from torch 2.14 on and
keeps its recordings until the program ends. Its successors were measured, for a step of one row: plain Python takes 1.8
times as long as a recording (as for 16 rows and for 256), a graph of `make_fx` 2.3 times, one of `torch.export` 3.5
times; `torch.compile` is about as fast, but needs a compiler and 50 s for each number of rows, and gives other results;
AOTInductor fails at complex numbers. So plain Python is used where this tracer is not available.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

# Recordings that are kept of one owner, one for each number of rows.
KEPT = 16
# torch's tracer supports Python 3.13 and before.
AVAILABLE = sys.version_info < (3, 14) and all(
    hasattr(torch._C, name) for name in ("_create_graph_by_tracing", "_create_function_from_graph")
)

_recordings: WeakKeyDictionary[Any, dict[tuple, Callable]] = WeakKeyDictionary()
# Several threads may ask for the same one. Reentrant, because what is recorded may play something else.
_recording = threading.RLock()


def played(module: nn.Module, method: str, arguments: tuple, owner: Any = None, key: Hashable = None) -> Callable:
    """A method of a module, faster, for arguments of the same shapes as these.

    Recorded at the first call, which takes as long as some fifty calls. On a GPU, with gradients or without the tracer,
    this is the plain method. In-place changes of the weights take effect.

    Args:
        module: does the same operations whatever the numbers in the arguments are.
        method: its name.
        arguments: tensors, or dicts of them; the second is a tensor (B, ...).
        owner: the recording is kept for as long as this object exists; by default the module. For short-lived modules.
        key: tells modules of one owner apart.
    """
    second: torch.Tensor = arguments[1]
    if second.device.type != "cpu" or torch.is_grad_enabled() or not AVAILABLE:
        return getattr(module, method)
    # The operations depend on the number of threads, see `layers.linear`.
    name = (type(module), method, len(second), torch.get_num_threads(), key)
    with _recording:
        kept = _recordings.setdefault(module if owner is None else owner, {})
        if name not in kept:
            if len(kept) >= KEPT:
                del kept[next(iter(kept))]
            kept[name] = _recorded(module, getattr(module, method), arguments)
        return kept[name]


def _recorded(module: nn.Module, function: Callable, arguments: tuple) -> Callable:
    # Cached constants are made at the first call, so that they are not recorded.
    function(*arguments)
    with warnings.catch_warnings(), _frozen(module):
        # The tracer warns that shapes become constants, as they should.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        graph, _ = torch._C._create_graph_by_tracing(function, arguments, lambda _: "", False, False)
    torch._C._jit_pass_cse(graph)
    torch._C._jit_pass_dce(graph)
    # Weights are constants of the graph, and nothing but this function holds it: it goes with the function.
    recorded = torch._C._create_function_from_graph(function.__name__, graph)

    def play(*arguments: Any) -> Any:
        # As it was recorded: torch's optimisations take a while, and gain nothing.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return recorded(*arguments)

    return play


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Without gradients of the weights, which could not be constants otherwise."""
    wanted = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in wanted:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanted:
            weight.requires_grad_(True)
