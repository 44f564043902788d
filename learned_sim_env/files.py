"""Files and folders that are either whole or not there."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

# What names of files and folders that are still being written begin with.
UNFINISHED = ".unfinished-"
# Of the system's errors: no space, a quota, or a limit on the size of files.
_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
# [bytes] With less than this, a disk is full.
_NOTHING = 2**16


class DiskFull(OSError):
    """There is no space for what was to be written."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Somewhere to write first: a path beside `path`, with its suffix, which takes its place when all went well.

    Raises:
        DiskFull: if there was no space for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _unfinished(path)
    try:
        with space_for(path):
            yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """The same for a folder, which the caller makes; its path is absolute. The old one goes when the new one stands.

    A folder cannot take another's place in one step, so for a moment there is none: if the process is killed just then,
    the old one is put back at the next write.

    Raises:
        DiskFull: if there was no space for it.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always called the same, so that it can be found again.
    old = path.with_name(f".old-{path.name}")
    if old.exists():
        shutil.rmtree(old) if path.exists() else os.replace(old, path)
    temporary = _unfinished(path)
    try:
        with space_for(path):
            yield temporary
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: Path, name: str = "*") -> None:
    """Remove what killed processes have left half written in `folder`; no other process may be writing there.

    name: pattern of what it would have become.
    """
    for leftover in folder.glob(f"{UNFINISHED}*-{name}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file: UTF-8, lines that end in a line feed, the same on every machine."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """A text file to write on at its end; what was written is taken back if that fails.

    Raises:
        DiskFull: if there was no space for it.
    """
    size = path.stat().st_size if path.exists() else 0
    try:
        with space_for(path), open(path, "a", encoding="utf-8", newline="\n") as file:
            yield file
    except BaseException:
        # What comes next must not go on in the middle of a line.
        with suppress(OSError):
            os.truncate(path, size)
        raise


@contextmanager
def space_for(path: Path) -> Iterator[None]:
    """Turn whatever a library raises for want of space, while it writes `path`, into one clear error.

    Raises:
        DiskFull: naming the path and how much space is left.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
        if (reason := _no_space(error, free)) is None:
            raise
        raise DiskFull(
            f"{path} cannot be written: {reason}, {free / 1e6:,.1f} MB are free in {path.parent.resolve()}; free some, "
            "or write elsewhere"
        ) from error


def _unfinished(path: Path) -> Path:
    """A unique name beside `path`: on shared storage, processes of several hosts may have the same number."""
    return path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}-{path.name}")


def _no_space(error: BaseException | None, free: float) -> str | None:
    """The system's words for want of space, if that is behind an error; None if it is not.

    Some libraries hide the system's error in a text, or behind the one that came when they tidied up after it; some
    crash, and then the space that is left has to tell.
    """
    if free < _NOTHING and isinstance(error, OSError) and error.errno is None:
        return os.strerror(errno.ENOSPC)
    while error is not None:
        for number in _FULL:
            words = os.strerror(number)
            if (isinstance(error, OSError) and error.errno == number) or words in str(error):
                return words
        error = error.__cause__ or error.__context__
    return None
