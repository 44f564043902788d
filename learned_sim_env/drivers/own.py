"""Drivers of one's own: "module:function" of a function that makes a driver from a seed a row."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from learned_sim_env.drivers.driver import Driver

# Of n rows, from a seed of each, on which alone the row's chance may depend.
Maker = Callable[[Sequence[int]], Driver]


def load(name: str) -> Maker:
    """The function that is called `name`.

    Raises:
        ImportError: if its module cannot be imported.
        ValueError: if that has no such function.
    """
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"driver {name!r}: module {module} has no function {function}")
    return found
