"""Optional and heavy packages, imported where they are used, with one error for all that are missing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

# The last Python version that an extra's packages exist for; the others follow Python.
LAST_PYTHON = {"metadrive": (3, 11), "carla": (3, 12)}


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, which `pip install "learned-sim-env[extra]"` provides.

    Raises:
        ImportError: if it is not installed, or cannot be on this version of Python. An error inside an installed module
            is passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        python, last = sys.version_info[:2], LAST_PYTHON.get(extra)
        if last is not None and python > last:
            remedy = f"it exists up to Python {last[0]}.{last[1]}, and this is Python {python[0]}.{python[1]}"
        else:
            remedy = f'pip install "learned-sim-env[{extra}]"'
        raise ImportError(f"{module} is not installed: {remedy}", name=module) from error


def opencv() -> Any:
    """The module `cv2`, which draws and reads pictures. Of the extras that bring it one suits every version of Python.

    Raises:
        ImportError: if it is not installed.
    """
    return require("cv2", extra="recordings")


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` for names whose modules load much, and so are imported when the name is first used.

    Args:
        package: its `__name__`.
        modules: by name, the module that has it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    return get
