"""Pickles of plain values and NumPy arrays, read without calling anything else that is named in them."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from learned_sim_env.recordings.recording import RecordingError

# [bytes] A scene of a minute has a few million.
LARGEST = 512 * 2**20
# Of arrays: numbers, truth values, text, and plain values in arrays of objects.
DTYPE = re.compile(r"[<>|=]?([biufSUO?]\d*|bool|u?int\d+|float\d+)")


class UnpicklingRefused(RecordingError):
    """A pickle that is damaged, or names something other than plain values and NumPy arrays."""


class Placeholder:
    """Stands for an object of a class of the writer's own script: its arguments and its state, and nothing it does."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments, self.state = arguments, None


def load_pickle(path: Path) -> Any:
    """What a pickle holds.

    Raises:
        UnpicklingRefused: for a file that is damaged, too large, or asks for anything else, which the error names.
        OSError: if it cannot be read.
    """
    if path.stat().st_size > LARGEST:
        raise UnpicklingRefused(f"it has more than {LARGEST >> 20} MiB: it is no pickle of one scene")
    return loads(path.read_bytes())


def loads(data: bytes) -> Any:
    """The same for bytes."""
    try:
        return _Restricted(io.BytesIO(data)).load()
    except UnpicklingRefused:
        raise
    except Exception as error:
        # A damaged pickle can raise anything.
        raise UnpicklingRefused(f"it is no whole pickle ({type(error).__name__}: {error})") from None


def _dtype(name: Any, *_: Any) -> np.dtype:
    if not (isinstance(name, str) and DTYPE.fullmatch(name)):
        raise UnpicklingRefused(f"it has an array of type {str(name)[:40]!r}, which is none of numbers or text")
    # A copy: the byte order is part of the state that it is given.
    return np.dtype(name, False, True)


def _empty(kind: Any = None, shape: Any = None, dtype: Any = None) -> np.ndarray:
    """An array that its state fills, with as many bytes as there are."""
    return np.zeros(0)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    """One number of NumPy's."""
    if not isinstance(data, bytes) or dtype.hasobject or len(data) != dtype.itemsize:
        raise UnpicklingRefused("it has a number that is not one")
    return np.frombuffer(data, dtype)[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str = "C") -> np.ndarray:
    """An array of protocol 5."""
    if dtype.hasobject:
        raise UnpicklingRefused("it has an array of objects that is given as bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How old protocols write bytes."""
    return str(text).encode("latin1")


def _plain(factory: Any = None, *arguments: Any) -> dict:
    """A dict with a default is a dict."""
    return {}


# What may be named, by module and name: what is called instead.
_NUMPY: dict[str, Any] = {
    "_reconstruct": _empty,
    "ndarray": np.ndarray,
    "dtype": _dtype,
    "scalar": _scalar,
    "_frombuffer": _from_buffer,
}
_PLAIN: dict[tuple[str, str], Any] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "int"): int,
    ("builtins", "long"): int,
    ("builtins", "float"): float,
    ("builtins", "bool"): bool,
    ("collections", "OrderedDict"): _plain,
    ("collections", "defaultdict"): _plain,
    ("_codecs", "encode"): _encode,
}
_NUMPY_MODULES = re.compile(r"numpy(\._?core\.(multiarray|numeric|_multiarray_umath))?")


# The reader in Python, not the one in C: its memo is a dict, which a large index does not make grow.
class _Restricted(pickle._Unpickler):
    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        key = ("builtins" if module == "__builtin__" else module, name)
        if key in _PLAIN:
            return _PLAIN[key]
        if _NUMPY_MODULES.fullmatch(module) and name in _NUMPY:
            return _NUMPY[name]
        if module == "__main__" and name.isidentifier():
            return type(name, (Placeholder,), {})
        raise UnpicklingRefused(f"it names {module}.{name}: only plain values and NumPy arrays are read from pickles")

    def persistent_load(self, pid: Any) -> Any:
        raise UnpicklingRefused("it refers to objects outside itself")

    def get_extension(self, code: int) -> Any:
        raise UnpicklingRefused("it uses registered extensions")

    def load_build(self) -> None:
        """Give the object on the stack its state: to arrays as NumPy does, to placeholders to keep; to nothing else."""
        stack = self.stack
        state, thing = stack.pop(), stack[-1]
        if isinstance(thing, np.ndarray):
            thing.__setstate__(state)
        elif isinstance(thing, np.dtype):
            if not (isinstance(state, tuple) and state[1:5] in _PLAIN_DTYPES):
                raise UnpicklingRefused("it has an array of records, and only numbers and text are read")
            thing.__setstate__(state)  # type: ignore[attr-defined]
        elif isinstance(thing, Placeholder):
            thing.state = state
        else:
            raise UnpicklingRefused(f"it gives a state to a {type(thing).__name__}")

    dispatch[pickle.BUILD[0]] = load_build


# Byte order, and that there are no parts, names and fields.
_PLAIN_DTYPES = {(order, None, None, None) for order in "<>|="}
